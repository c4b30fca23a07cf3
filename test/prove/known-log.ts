/**
 * Logs of which everything is known: every piece of every file, every entry, every mark and cursor. Written by the library's own tail, from a seed
 * alone (names included), so that a case is reached again; what is known is noted while writing, not read back.
 */

import { join } from 'node:path'
import type { Cursor } from '../../dist/src/format/trailer-layout.js'
import type { Tail } from '../../dist/src/segment/tail.js'
import { MemoryDisk } from '../model/memory-disk.js'
import { below, seededRandom, type Random } from '../model/random.js'
import type { Code } from './code-of-build.js'

/** Where the log is, on a disk in memory. */
export const DIRECTORY = '/log'
const FIRST_MS = Date.UTC(2026, 0, 1)
const HEADER_BYTES = 128
/** The open tail is filled with zeros ahead, in steps of this. */
const PREALLOCATE_BYTES = 2048
const UUID_BYTES = 16

/** One entry. */
export interface KnownEntry {
  readonly sequence: number
  readonly ticks: bigint
  readonly data: Buffer
}

/** A stretch of a file that one checksum covers. */
export interface Piece {
  readonly kind: 'header' | 'trailer' | 'entry' | 'range' | 'index'
  readonly offset: number
  readonly end: number
  /** The sequences that it holds; last = first - 1: none. */
  readonly first: number
  readonly last: number
  /** Of a trailer. */
  readonly mark?: number
  readonly cursors?: readonly Cursor[] | undefined
}

/** One segment file. `pieces` tile it, but for what is allocated ahead. */
export interface KnownSegment {
  readonly name: string
  readonly bytes: Buffer
  readonly first: number
  readonly last: number
  readonly isSealed: boolean
  readonly isRecycled: boolean
  readonly pieces: readonly Piece[]
}

/** One log. */
export interface KnownLog {
  readonly name: string
  readonly segments: readonly KnownSegment[]
  /** A segment that begins where the last one does: with both there, nobody can tell which entries are the log's. */
  readonly rival: KnownSegment
  /** By sequence; undefined where a producer died. */
  readonly entries: readonly (KnownEntry | undefined)[]
  readonly last: number
}

/** How large the logs are. */
export interface LogSize {
  readonly segments: number
  readonly segmentBytes: number
}

/**
 * The same log in five states: closed; killed with and without the last trailer that says that all is durable, also in a file that held another
 * segment before; and killed when its tail had one batch.
 */
export function knownLogs(code: Code, seed: number, { segments, segmentBytes }: LogSize): KnownLog[] {
  const maker = new LogMaker(code, seed)
  for (let left = segments - 1; left > 0; left--) maker.segment(segmentBytes)
  // One without entries, as it is left where nothing but commits came.
  maker.segment(0)
  const young = maker.fork('young', (tail) => tail.batch())
  const settled = maker.fork('settled', (tail) => {
    tail.fill(segmentBytes)
    // What its mark proves is then one entry more than the batches before it hold.
    tail.batch(1)
    tail.settle()
  })
  const unsettled = maker.fork('unsettled', (tail) => tail.fill(segmentBytes))
  const closed = maker.fork('closed', (tail) => {
    tail.fill(segmentBytes)
    tail.settle()
    tail.seal()
  })
  return [closed, settled, unsettled, recycled(code, unsettled), young]
}

/** The directory of a log, on a disk in memory. */
export function diskOf(files: readonly { readonly name: string; readonly bytes: Uint8Array }[]): MemoryDisk {
  const disk = new MemoryDisk()
  disk.makeDirectory(DIRECTORY)
  for (const { name, bytes } of files) {
    const file = disk.create(join(DIRECTORY, name))
    file.write([bytes], 0)
    file.sync()
    file.close()
  }
  disk.syncDirectory(DIRECTORY)
  return disk
}

/** The log with its tail in the file of a segment that was freed: its header says so, and behind its end stands what that one left. */
function recycled(code: Code, log: KnownLog): KnownLog {
  const tail = log.segments.at(-1)!
  const end = tail.pieces.at(-1)!.end
  const header = code.encodeSegmentHeader({ ...code.tailHeader(tail.first), recycled: true })
  const old = log.segments[0]!.bytes.subarray(end)
  const bytes = Buffer.concat([header, tail.bytes.subarray(header.length, end), old])
  return { ...log, name: 'recycled', segments: [...log.segments.slice(0, -1), { ...tail, bytes, isRecycled: true }] }
}

/** Writes segments one after the other. */
class LogMaker {
  readonly #code: Code
  readonly #seed: number
  readonly #random: Random
  readonly #segments: KnownSegment[] = []
  #state: LogState

  constructor(code: Code, seed: number) {
    this.#code = code
    this.#seed = seed
    this.#random = seededRandom(seed)
    this.#state = { entries: [], cursors: [], ticks: code.ticksFromMs(FIRST_MS), previousUuid: new Uint8Array(UUID_BYTES), number: 0 }
  }

  /** A sealed one. */
  segment(bytes: number): void {
    const tail = new TailMaker(this.#code, this.#random, this.#state)
    tail.fill(bytes)
    tail.seal()
    this.#segments.push(tail.result())
    this.#state = tail.state
  }

  /** The log with a last segment as `make` makes it, the same each time that it does the same. */
  fork(name: string, make: (tail: TailMaker) => void): KnownLog {
    const tail = new TailMaker(this.#code, seededRandom(~this.#seed), this.#state)
    make(tail)
    const rival = new TailMaker(this.#code, seededRandom(this.#seed), { ...this.#state, number: this.#state.number + 1 })
    rival.batch()
    const segments = [...this.#segments, tail.result()]
    return { name, segments, rival: rival.result(), entries: tail.state.entries, last: tail.state.entries.length }
  }
}

interface LogState {
  readonly entries: readonly (KnownEntry | undefined)[]
  readonly cursors: readonly Cursor[]
  readonly ticks: bigint
  readonly previousUuid: Uint8Array
  readonly number: number
}

/** Writes one segment, and notes what is in it. */
export class TailMaker {
  readonly #code: Code
  readonly #random: Random
  readonly #disk = new MemoryDisk()
  readonly #path: string
  readonly #tail: Tail
  readonly #pieces: Piece[] = []
  readonly #first: number
  #isSealed = false
  state: LogState

  constructor(code: Code, random: Random, state: LogState) {
    this.#code = code
    this.#random = random
    const createdMs = FIRST_MS + state.number * 1000
    const uuid = Uint8Array.from({ length: UUID_BYTES }, () => below(random, 256))
    new DataView(uuid.buffer).setUint32(0, Math.floor(createdMs / 65536))
    new DataView(uuid.buffer).setUint16(4, createdMs % 65536)
    uuid[6] = 0x70 | (uuid[6]! & 0x0f)
    uuid[8] = 0x80 | (uuid[8]! & 0x3f)
    const name = code.segmentNameOf(uuid)!
    this.#first = state.entries.length + 1
    this.#path = join(DIRECTORY, name.name)
    this.#disk.makeDirectory(DIRECTORY)
    this.#tail = code.Tail.rebuild(this.#disk, this.#path, name, {
      directory: DIRECTORY, createdMs, firstSequence: this.#first, previousUuid: state.previousUuid, cursors: state.cursors, lastTicks: state.ticks,
      preallocateBytes: PREALLOCATE_BYTES, maxBytes: 1 << 30,
    })
    this.#pieces.push({ kind: 'header', offset: 0, end: HEADER_BYTES, first: 1, last: 0 })
    this.#noteTrailer(HEADER_BYTES, this.#first, this.#first - 1, this.#first - 1, state.cursors)
    this.state = { ...state, previousUuid: uuid, number: state.number + 1 }
  }

  /** Batches up to about so many bytes. */
  fill(bytes: number): void {
    while (this.#tail.endOffset < bytes - PREALLOCATE_BYTES / 2) this.batch()
  }

  /** A batch of a few entries, here and there one whose producer died; every third trailer or so carries cursors. */
  batch(entries = 1 + below(this.#random, 6)): void {
    const random = this.#random
    const first = this.state.entries.length + 1
    const start = this.#tail.endOffset
    const buffers: Uint8Array[] = []
    const marks: { sequence: number; ticks: bigint; batchOffset: number }[] = []
    let bytes = 0
    for (let left = entries; left > 0; left--) {
      const sequence = this.state.entries.length + 1
      const isAborted = below(random, 12) === 0
      const frame = isAborted ? this.#abort(sequence) : this.#entry(sequence)
      if (!isAborted) marks.push({ sequence, ticks: this.state.ticks, batchOffset: bytes })
      this.#pieces.push({ kind: isAborted ? 'range' : 'entry', offset: start + bytes, end: start + bytes + frame.length, first: sequence, last: sequence })
      buffers.push(frame)
      bytes += frame.length
    }
    const last = this.state.entries.length
    const cursors = below(random, 3) === 0 ? this.#moveCursors(first - 1) : undefined
    this.#tail.write(buffers, {
      bytes, marks, firstSequence: first, lastSequence: last, entryCount: marks.length,
      firstTicks: marks.at(0)?.ticks ?? 0n, lastTicks: marks.at(-1)?.ticks ?? 0n,
    }, first - 1, cursors)
    this.#noteTrailer(start + bytes, first, last, first - 1, cursors)
  }

  #entry(sequence: number): Uint8Array {
    const code = this.#code
    const ticks = this.state.ticks + BigInt(below(this.#random, 20_000))
    const data = Buffer.from(Uint8Array.from({ length: this.#dataBytes() }, () => below(this.#random, 256)))
    const frame = Buffer.alloc(code.FRAME_OVERHEAD + data.length)
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
    const base = code.tickBase(ticks)
    code.writeFrameHeader(view, 0, data.length, sequence, code.relativeTicks(ticks, base), base)
    frame.set(data, code.FRAME_DATA)
    code.sealFrame(frame, view, 0, data.length)
    this.state = { ...this.state, ticks, entries: [...this.state.entries, { sequence, ticks, data }] }
    return frame
  }

  /**
   * Some are empty, most are short, some are longer than a sector. Of many the whole frame is a power of two: then the length of the frame before leads, with
   * one bit flipped, right over it.
   */
  #dataBytes(): number {
    const random = this.#random
    return below(random, 3) === 0 ? (1 << 5 + below(random, 4)) - this.#code.FRAME_OVERHEAD : below(random, 1 << below(random, 11))
  }

  #abort(sequence: number): Uint8Array {
    const { ticks } = this.state
    const base = this.#code.tickBase(ticks)
    this.state = { ...this.state, entries: [...this.state.entries, undefined] }
    return this.#code.encodeRange('aborted', sequence, sequence, this.#code.relativeTicks(ticks, base), base)
  }

  /** Two consumers, which commit what is durable. */
  #moveCursors(durable: number): readonly Cursor[] {
    const at = (name: string): number => this.state.cursors.find((cursor) => cursor.name === name)?.sequence ?? 0
    const cursors = ['uploader', 'zähler'].map((name) => ({ name, sequence: at(name) + below(this.#random, durable - at(name) + 1), epoch: 0 }))
    this.state = { ...this.state, cursors }
    return cursors
  }

  /** The last trailer, which says that all is durable; it carries the cursors once more. */
  settle(): void {
    const offset = this.#tail.endOffset
    const last = this.state.entries.length
    const cursors = this.#moveCursors(last)
    this.#tail.mark(last, cursors)
    this.#noteTrailer(offset, last + 1, last, last, cursors)
  }

  seal(): void {
    const offset = this.#tail.endOffset
    const bytes = this.#tail.seal()
    this.#pieces.push({ kind: 'index', offset, end: bytes, first: 1, last: 0 })
    this.#isSealed = true
  }

  #noteTrailer(offset: number, first: number, last: number, mark: number, cursors: readonly Cursor[] | undefined): void {
    this.#pieces.push({ kind: 'trailer', offset, end: this.#tail.endOffset, first, last, mark, cursors })
  }

  result(): KnownSegment {
    const file = this.#disk.open(this.#path, 'read')
    const bytes = Buffer.alloc(file.size())
    file.read(bytes, 0)
    return {
      name: this.#path.slice(DIRECTORY.length + 1), bytes, first: this.#first, last: this.state.entries.length, isSealed: this.#isSealed,
      isRecycled: false, pieces: this.#pieces,
    }
  }
}
