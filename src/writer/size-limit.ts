/** How much of its file system a log may take, and how large that lets its segments be. */

import type { Disk } from '../disk/disk.js'
import type { WriterOptions } from './writer-options.js'

/** The part of what a file system has for it that a log takes at most, unless it is told. */
const DEFAULT_SHARE = 1 / 2
/** However little that is: as little as may be told. */
const MIN_DEFAULT_BYTES = 64 * 1024
/** The part of the limit that a segment takes at most. */
const SEGMENT_SHARE = 1 / 4
const MIN_SEGMENT_BYTES = 4096
/** How often a log that is over the default looks whether there is more for it. */
const LOOK_MS = 1000

/** The limit of one log: what it is told, or a share of what its file system has for it. */
export class SizeLimit {
  readonly #disk: Disk
  readonly #options: WriterOptions
  #maxBytes: number

  /** `takenBytes`: as in {@link look}. */
  constructor(disk: Disk, options: WriterOptions, takenBytes: number) {
    this.#disk = disk
    this.#options = options
    this.#maxBytes = options.retention.maxBytes ?? MIN_DEFAULT_BYTES
    this.look(takenBytes)
  }

  get #isTold(): boolean {
    return this.#options.retention.maxBytes !== undefined
  }

  /** Bytes that the log may take. */
  get maxBytes(): number {
    return this.#maxBytes
  }

  /** Bytes that a segment may take. */
  get maxSegmentBytes(): number {
    return Math.min(this.#options.maxSegmentBytes, Math.max(MIN_SEGMENT_BYTES, Math.floor(this.#maxBytes * SEGMENT_SHARE)))
  }

  /**
   * Reckons the default anew, the log having `takenBytes` of what there is for it. It only rises: what others free counts, which the log may have
   * been opened without; what they take does not push out what has been accepted.
   */
  look(takenBytes: number): void {
    if (this.#isTold) return
    const { freeBytes } = this.#disk.space(this.#options.directory)
    this.#maxBytes = Math.max(this.#maxBytes, Math.floor((freeBytes + takenBytes) * DEFAULT_SHARE))
  }

  /** How long a log that is over it need not look again. */
  get patienceMs(): number {
    return this.#isTold ? Infinity : LOOK_MS
  }
}
