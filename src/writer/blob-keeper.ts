/** Uploaded files as the writer has them: how many bytes they take, and that they go with their entries. */

import { join } from 'node:path'
import type { Disk } from '../disk/disk.js'
import { blobName, BLOBS, parseBlobName } from '../segment/blob-name.js'

/** What opening says where there is none: nothing, a link, a directory or device, a socket. */
const NO_FILE = new Set<string | undefined>(['ENOENT', 'ELOOP', 'EINVAL', 'ENXIO'])

/** The blobs of one log. */
export class BlobKeeper {
  readonly #disk: Disk
  readonly #directory: string
  /** Their bytes, by sequence. */
  readonly #blobs = new Map<number, number>()
  /** Bytes of each blob and all before it, ascending; made when they are asked for. */
  #sums: readonly { readonly sequence: number; readonly bytes: number }[] | undefined

  /** Blobs beyond `lastSequence` were of entries that a crash has lost: they go. */
  constructor(disk: Disk, directory: string, lastSequence: number) {
    this.#disk = disk
    this.#directory = join(directory, BLOBS)
    this.#remove(this.#list().filter((sequence) => sequence > lastSequence && this.#sizeOf(sequence) !== undefined))
  }

  #list(): number[] {
    try {
      return this.#disk.list(this.#directory).map(parseBlobName).filter((sequence) => sequence !== undefined)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  }

  /** Looks which there are. */
  refresh(): void {
    const sequences = this.#list()
    const present = new Set(sequences)
    for (const sequence of this.#blobs.keys()) if (!present.has(sequence)) this.#blobs.delete(sequence)
    for (const sequence of sequences) {
      if (this.#blobs.has(sequence)) continue
      const bytes = this.#sizeOf(sequence)
      if (bytes !== undefined) this.#blobs.set(sequence, bytes)
    }
    this.#sums = undefined
  }

  /** Undefined of what is no file, which is none of the log's, and of what somebody has removed meanwhile. */
  #sizeOf(sequence: number): number | undefined {
    try {
      const file = this.#disk.open(this.#path(sequence), 'read')
      const bytes = file.size()
      file.close()
      return bytes
    } catch (error) {
      if (NO_FILE.has((error as NodeJS.ErrnoException).code)) return undefined
      // Only calls that are made to fail come here: `npm run prove -- system-calls` does so.
      throw error
    }
  }

  #path(sequence: number): string {
    return join(this.#directory, blobName(sequence))
  }

  /** Bytes of the blobs of all entries up to `lastSequence`. */
  bytesUpTo(lastSequence: number): number {
    this.#sums ??= sumUp(this.#blobs)
    let [low, high] = [0, this.#sums.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#sums[middle]!.sequence <= lastSequence) low = middle + 1
      else high = middle
    }
    return this.#sums[low - 1]?.bytes ?? 0
  }

  /** Removes the blobs whose entries are gone: those below `firstSequence`. */
  removeBelow(firstSequence: number): void {
    this.#remove([...this.#blobs.keys()].filter((sequence) => sequence < firstSequence))
  }

  #remove(sequences: readonly number[]): void {
    for (const sequence of sequences) {
      try {
        this.#disk.remove(this.#path(sequence))
      } catch (error) {
        // Somebody was faster.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
      this.#blobs.delete(sequence)
    }
    this.#sums = undefined
    if (sequences.length > 0) this.#disk.syncDirectory(this.#directory)
  }
}

function sumUp(blobs: ReadonlyMap<number, number>): { sequence: number; bytes: number }[] {
  let sum = 0
  return [...blobs].sort(([a], [b]) => a - b).map(([sequence, bytes]) => ({ sequence, bytes: (sum += bytes) }))
}
