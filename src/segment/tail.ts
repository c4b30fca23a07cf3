/** The segment that is being written. Owned by the writer; every call blocks its thread. */

import { join } from 'node:path'
import { isDiskFull, type Disk, type DiskFile } from '../disk/disk.js'
import { frameChecksum } from '../format/frame-layout.js'
import { INDEX_INTERVAL_BYTES, type IndexEntry } from '../format/index-layout.js'
import { createSegmentName, type SegmentName } from '../format/segment-name.js'
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, tailHeader } from '../format/segment-layout.js'
import { relativeTicks, tickBase } from '../format/ticks.js'
import { encodeTrailer, TRAILER_BYTES, type Cursor } from '../format/trailer-layout.js'
import { writeFinalHeader, writeIndex } from './seal.js'

const ZEROS = new Uint8Array(256 * 1024)
/**
 * A batch from here on is written straight behind the last one: filling its blocks with zeros first writes everything twice, which costs more than the
 * cheaper sync saves. (Batches of 32 KiB take 183 µs with zeros and 231 µs without, of 64 KiB 216 and 223, of 256 KiB 363 and 326; 104-byte entries at full
 * rate: 1.6 M/s with, 3.2 M/s without.)
 */
const LARGE_BATCH_BYTES = 64 * 1024

/** What a new tail begins with. */
export interface TailStart {
  readonly directory: string
  /** Creation time in ms since 1970; later than that of any segment in the directory. */
  readonly createdMs: number
  readonly firstSequence: number
  readonly previousUuid: Uint8Array
  readonly cursors: readonly Cursor[]
  readonly lastTicks: bigint
  /** The most bytes to be filled with zeros at a time, ahead of need; 0: none. */
  readonly preallocateBytes: number
  /** No more than this is ever preallocated. */
  readonly maxBytes: number
}

/** A freed segment that becomes the tail: its header is zero, durably so. */
export interface TailSpare {
  readonly path: string
  readonly file: DiskFile
  readonly bytes: number
}

/** A batch as the tail sees it: what its bytes are. */
export interface TailBatch {
  readonly bytes: number
  readonly firstSequence: number
  readonly lastSequence: number
  readonly entryCount: number
  /** Of entries; not looked at when there are none. */
  readonly firstTicks: bigint
  readonly lastTicks: bigint
  readonly marks: readonly { readonly sequence: number; readonly ticks: bigint; readonly batchOffset: number }[]
}

/** The tail. */
export class Tail {
  readonly name: SegmentName
  readonly createdMs: number
  readonly firstSequence: number
  readonly #file: DiskFile
  readonly #start: TailStart
  readonly #index: IndexEntry[] = []
  #end = SEGMENT_HEADER_BYTES
  #allocated = 0
  #lastSequence: number
  #firstTicks = 0n
  #lastTicks: bigint
  #entryCount = 0
  #trailerChecksum = 0
  #trailerOffset = 0
  #cursorTrailerOffset = 0
  #durableMark: number
  #sealedBytes: number | undefined

  /**
   * Creates the segment's file. When it returns, header, first trailer and name are durable, so that a batch may be
   * acknowledged after its own sync.
   */
  static create(disk: Disk, start: TailStart, spare?: TailSpare): Tail {
    const name = createSegmentName(start.createdMs)
    const path = join(start.directory, name.name)
    // A spare may be written to before its new name is durable: the old one is nobody's, and its header is zero.
    const tail = new Tail(spare === undefined ? disk.create(path) : renamed(disk, spare, path), name, start)
    try {
      tail.#writeStart(spare?.bytes ?? 0)
      // write → sync file → sync directory → (later) acknowledge
      tail.#file.sync()
      disk.syncDirectory(start.directory)
    } catch (error) {
      // The next attempt has another name, and begins with the same sequence: where this one stayed beside it, one of them would count as damaged.
      tail.#file.close()
      disk.remove(path)
      disk.syncDirectory(start.directory)
      // That has been synced after all: where it could not be opened before, it is the segment that no file was left for.
      throw (error as NodeJS.ErrnoException).syscall === 'open' ? Object.assign(error as Error, { path }) : error
    }
    return tail
  }

  /** A segment under its own name, in a file of another one: for a salvage. Nothing is durable before {@link seal}. */
  static rebuild(disk: Disk, path: string, name: SegmentName, start: TailStart): Tail {
    const tail = new Tail(disk.create(path), name, start)
    try {
      tail.#writeStart(0)
    } catch (error) {
      tail.abandon()
      throw error
    }
    return tail
  }

  private constructor(file: DiskFile, name: SegmentName, start: TailStart) {
    this.#file = file
    this.#start = start
    this.name = name
    this.createdMs = start.createdMs
    this.firstSequence = start.firstSequence
    this.#lastSequence = start.firstSequence - 1
    this.#lastTicks = start.lastTicks
    this.#durableMark = start.firstSequence - 1
  }

  /** Header, first trailer, and zeros as far as a new file is allocated ahead. */
  #writeStart(fileBytes: number): void {
    const { preallocateBytes, maxBytes, cursors } = this.#start
    const header = encodeSegmentHeader({ ...tailHeader(this.firstSequence), recycled: fileBytes > 0 })
    const trailer = this.#encodeTrailer(SEGMENT_HEADER_BYTES, this.firstSequence, this.#lastSequence, this.#durableMark, cursors, this.#lastTicks)
    const used = header.length + trailer.length
    this.#file.write([header, trailer], 0)
    this.#allocated = Math.max(used, fileBytes)
    if (fileBytes === 0) this.#fill(Math.min(preallocateBytes, maxBytes))
    this.#noteTrailer(trailer, SEGMENT_HEADER_BYTES, true)
    this.#end = used
  }

  /** File offset behind the last trailer. */
  get endOffset(): number {
    return this.#end
  }

  get lastSequence(): number {
    return this.#lastSequence
  }

  get lastTicks(): bigint {
    return this.#lastTicks
  }

  /** The durable sequence that the last trailer tells of. */
  get durableMark(): number {
    return this.#durableMark
  }

  /** Writes a batch, whose bytes are `buffers` in order, and its trailer behind what is there. Durable after {@link sync}; after a throw nothing counts as written. */
  write(buffers: readonly Uint8Array[], batch: TailBatch, durableSequence: number, cursors: readonly Cursor[] | undefined): void {
    const trailerOffset = this.#end + batch.bytes
    const lastTicks = batch.entryCount > 0 ? batch.lastTicks : this.#lastTicks
    const trailer = this.#encodeTrailer(trailerOffset, batch.firstSequence, batch.lastSequence, durableSequence, cursors, lastTicks)
    const end = trailerOffset + trailer.length
    if (batch.bytes < LARGE_BATCH_BYTES && end > this.#allocated) this.#allocate(end)
    this.#file.write([...buffers, trailer], this.#end)
    this.#noteIndex(batch)
    this.#noteTrailer(trailer, trailerOffset, cursors !== undefined)
    if (this.#entryCount === 0 && batch.entryCount > 0) this.#firstTicks = batch.firstTicks
    this.#lastTicks = lastTicks
    this.#entryCount += batch.entryCount
    this.#lastSequence = batch.lastSequence
    this.#durableMark = durableSequence
    this.#end = end
    this.#allocated = Math.max(this.#allocated, end)
  }

  /** Writes a trailer without a batch: it says that `durableSequence` is durable, and carries `cursors` if given. */
  mark(durableSequence: number, cursors: readonly Cursor[] | undefined): void {
    const next = this.#lastSequence + 1
    const nothing = { bytes: 0, firstSequence: next, lastSequence: next - 1, entryCount: 0, firstTicks: 0n, lastTicks: 0n, marks: [] }
    this.write([], nothing, durableSequence, cursors)
  }

  /** Everything written is durable when it returns. */
  sync(): void {
    this.#file.sync()
  }

  /** Whether a seal was begun that found no room for its end: nothing more may be written, and it is to be sealed again. */
  get isSealing(): boolean {
    return this.#sealedBytes !== undefined
  }

  /** Seals the segment and closes its file. All of it is durable when it returns. Returns the file's size. */
  seal(): number {
    const content = {
      uuid: this.name.uuid,
      firstSequence: this.firstSequence,
      lastSequence: this.#lastSequence,
      firstTicks: this.#firstTicks,
      lastTicks: this.#lastTicks,
      entryCount: this.#entryCount,
      endOffset: this.#end,
      lastTrailerOffset: this.#trailerOffset,
      cursorTrailerOffset: this.#cursorTrailerOffset,
      index: this.#index,
    }
    this.#sealedBytes ??= writeIndex(this.#file, content)
    writeFinalHeader(this.#file, content, this.#sealedBytes)
    this.#file.close()
    return this.#sealedBytes
  }

  /** Closes the file, where there is no room to seal it: opening the log does that. All in it is durable already. */
  leave(): void {
    this.#file.truncate(this.#sealedBytes ?? this.#end)
    this.#file.sync()
    this.#file.close()
  }

  /** Closes the file as it is, for a log that has failed. */
  abandon(): void {
    this.#file.close()
  }

  /** To be called when there is time: keeps at least half a step of allocated blocks ahead. */
  allocateAhead(): void {
    if (!this.isSealing && this.#allocated - this.#end < this.#start.preallocateBytes / 2) this.#allocate(this.#end)
  }

  /** Allocates one more step of blocks, at least up to `end`: written with zeros and synced, so that a batch's sync moves data only. */
  #allocate(end: number): void {
    const { preallocateBytes, maxBytes } = this.#start
    const upTo = Math.max(end, Math.min(this.#allocated + preallocateBytes, maxBytes))
    if (preallocateBytes === 0 || upTo <= this.#allocated) return
    if (this.#fill(upTo)) this.#file.sync()
  }

  /** Writes zeros up to there. False on a full disk: there may be room for the batch itself, which else will tell. */
  #fill(upTo: number): boolean {
    if (upTo <= this.#allocated) return true
    try {
      this.#file.write(zeros(upTo - this.#allocated), this.#allocated)
    } catch (error) {
      if (isDiskFull(error)) return false
      throw error
    }
    this.#allocated = upTo
    return true
  }

  #encodeTrailer(offset: number, first: number, last: number, durable: number, cursors: readonly Cursor[] | undefined, ticks: bigint): Uint8Array {
    const base = tickBase(ticks)
    return encodeTrailer({
      segmentUuid: this.name.uuid,
      offset,
      batchStart: this.#end,
      firstSequence: first,
      lastSequence: last,
      durableSequence: durable,
      previousChecksum: this.#trailerChecksum,
      previousUuid: this.#start.previousUuid,
      cursors,
    }, relativeTicks(ticks, base), base)
  }

  #noteTrailer(trailer: Uint8Array, offset: number, hasCursors: boolean): void {
    this.#trailerChecksum = frameChecksum(new DataView(trailer.buffer), 0, trailer.length)
    this.#trailerOffset = offset
    if (hasCursors) this.#cursorTrailerOffset = offset
  }

  #noteIndex(batch: TailBatch): void {
    for (const mark of batch.marks) {
      const offset = this.#end + mark.batchOffset
      const last = this.#index.at(-1)
      if (last === undefined || offset - last.offset >= INDEX_INTERVAL_BYTES) this.#index.push({ sequence: mark.sequence, ticks: mark.ticks, offset })
    }
  }
}

/** A spare that cannot have the name is given up. */
function renamed(disk: Disk, spare: TailSpare, path: string): DiskFile {
  try {
    disk.rename(spare.path, path)
    return spare.file
  } catch (error) {
    spare.file.close()
    disk.remove(spare.path)
    throw error
  }
}

function zeros(bytes: number): Uint8Array[] {
  const buffers: Uint8Array[] = []
  for (let left = bytes; left > 0; left -= ZEROS.length) buffers.push(left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left))
  return buffers
}

/** A segment without a batch: header and first trailer (without cursors). */
export const EMPTY_SEGMENT_BYTES = SEGMENT_HEADER_BYTES + TRAILER_BYTES
