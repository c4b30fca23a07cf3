/**
 * An entry that tells of an uploaded file, and the file itself as it is read.
 *
 * ```
 *  0–15   marker: 0, 'ringwal-file-1', 0
 *  16–    JSON, UTF-8: uuid (32 hex digits), bytes, sha256 (64 hex digits), metadata
 * ```
 *
 * Valid iff (1) the marker stands; (2) the rest is a JSON object with `uuid`, `bytes` and `sha256` of their types.
 */

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { DiskFile } from '../disk/disk.js'
import { nodeDisk } from '../disk/node-disk.js'
import { WalError } from '../errors.js'
import { BLOBS, blobName } from '../segment/blob-name.js'

const MARKER = Buffer.from('\0ringwal-file-1\0')
const CHUNK_BYTES = 256 * 1024

/** What an entry tells of its file. */
export interface FileInfo {
  readonly uuid: string
  readonly bytes: number
  /** 64 hex digits. */
  readonly sha256: string
  readonly metadata: unknown
}

/** The bytes of an entry that tells of a file. */
export function encodeFileInfo({ uuid, bytes, sha256, metadata }: FileInfo): Buffer {
  return Buffer.concat([MARKER, Buffer.from(JSON.stringify({ uuid, bytes, sha256, metadata }))])
}

/** What an entry's bytes tell of a file; undefined when it is an ordinary entry. */
export function decodeFileInfo(data: Buffer): FileInfo | undefined {
  if (data.length < MARKER.length || !data.subarray(0, MARKER.length).equals(MARKER)) return undefined
  let info: Partial<FileInfo>
  try {
    info = JSON.parse(data.toString('utf8', MARKER.length)) as Partial<FileInfo>
  } catch {
    return undefined // Anybody may append any bytes.
  }
  const { uuid, bytes, sha256, metadata = null } = info ?? {}
  const isHex = (value: unknown, digits: number): boolean => typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value)
  const isSound = isHex(uuid, 32) && Number.isSafeInteger(bytes) && bytes! >= 0 && isHex(sha256, 64)
  return isSound ? { uuid: uuid!, bytes: bytes!, sha256: sha256!, metadata } : undefined
}

/** The file of an entry: see `appendFile`. */
export class EntryFile {
  /** What was given with it. */
  readonly metadata: unknown
  /** Its size. */
  readonly bytes: number
  /** Its SHA-256, 64 hex digits. */
  readonly sha256: string
  /** Where it is, while the log has the entry. */
  readonly path: string
  readonly #sequence: number

  /** Of the entry `sequence` of the log in `directory`. */
  constructor(info: FileInfo, directory: string, sequence: number) {
    this.metadata = info.metadata
    this.bytes = info.bytes
    this.sha256 = info.sha256
    this.path = join(directory, BLOBS, blobName(sequence))
    this.#sequence = sequence
  }

  /**
   * Reads it, 256 KiB at a time, without blocking. What was read is certain once the stream has ended: it is destroyed with `ERR_WAL_BLOB` when
   * the file is missing, or not what was appended.
   */
  open(): Readable {
    return Readable.from(this.#chunks(), { objectMode: false, highWaterMark: CHUNK_BYTES })
  }

  async* #chunks(): AsyncGenerator<Buffer, void, undefined> {
    const file = this.#open()
    const hash = createHash('sha256')
    try {
      for (let at = 0; at < this.bytes;) {
        const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, this.bytes - at))
        const count = await file.readAsync(chunk, at)
        if (count < chunk.length) throw this.#damaged(`it ends after ${at + count} bytes instead of ${this.bytes}`)
        hash.update(chunk)
        at += count
        // The last piece is held back until all of it is known to be right.
        if (at === this.bytes) this.#check(file, hash.digest('hex'))
        yield chunk
      }
      if (this.bytes === 0) this.#check(file, hash.digest('hex'))
    } finally {
      file.close()
    }
  }

  #open(): DiskFile {
    try {
      return nodeDisk.open(this.path, 'read')
    } catch (cause) {
      throw this.#damaged('it cannot be opened', cause)
    }
  }

  #check(file: DiskFile, sha256: string): void {
    if (file.size() !== this.bytes) throw this.#damaged(`it has ${file.size()} bytes instead of ${this.bytes}`)
    if (sha256 !== this.sha256) throw this.#damaged(`its SHA-256 is ${sha256} instead of ${this.sha256}`)
  }

  #damaged(what: string, cause?: unknown): WalError {
    const place = { file: this.path, firstSequence: this.#sequence, lastSequence: this.#sequence }
    return new WalError('ERR_WAL_BLOB', `the file of entry ${this.#sequence} is damaged or missing: ${what} (${this.path})`, place, cause)
  }
}
