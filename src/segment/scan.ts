/**
 * Scanning a segment from its first frame: the longest chain of trailers, and what stands behind it.
 * The rules are those of trailer-layout.ts. Time is linear in the file's size; memory is a window, or the largest frame.
 */

import type { DiskFile } from '../disk/disk.js'
import { controlKind, CONTROL_KIND, decodeRange } from '../format/control-layout.js'
import {
  checkFrame, FRAME_DATA, FRAME_MAGIC, frameChecksum, frameSequence, frameSize, frameTicks, type FrameFault,
} from '../format/frame-layout.js'
import { INDEX_INTERVAL_BYTES, type IndexEntry } from '../format/index-layout.js'
import { SEGMENT_HEADER_BYTES } from '../format/segment-layout.js'
import { decodeTrailer, standsWhereItSays, TRAILER_BYTES, type Cursor, type Trailer } from '../format/trailer-layout.js'
import { checkBlocking, FrameWindow, WINDOW_BYTES } from './frame-window.js'

/** A run of sequences without entries. */
export interface SequenceRange {
  readonly first: number
  readonly last: number
}

/** What a scan found. */
export interface SegmentScan {
  /** File offset where the longest chain of trailers ends; 128 when there is none. */
  readonly endOffset: number
  /** First and last sequence of the chain, undefined without a valid first trailer. */
  readonly firstSequence: number | undefined
  readonly lastSequence: number | undefined
  readonly previousUuid: Uint8Array | undefined
  readonly entryCount: number
  readonly firstTicks: bigint
  readonly lastTicks: bigint
  readonly cursors: readonly Cursor[]
  readonly lastTrailerOffset: number
  readonly cursorTrailerOffset: number
  readonly index: readonly IndexEntry[]
  readonly aborted: readonly SequenceRange[]
  readonly gaps: readonly SequenceRange[]
  /** The highest durable mark of the chain. */
  readonly durableSequence: number
  /** File offset behind the last batch that the proof covers; what stands there may never have reached the disk. */
  readonly provedOffset: (provedSequence: number) => number
  /** What ended the chain, and where: the first frame that is not as it must be. */
  readonly fault: ScanFault
  readonly faultOffset: number
  /** The highest durable mark of a trailer behind the chain that is valid by itself; 0 when there is none. */
  readonly strayProof: number
  /** Whether there is such a trailer: then a batch of this segment was written behind the chain, whoever had these blocks before. */
  readonly hasStrayTrailer: boolean
  /** Whether nothing but zeros stands behind the chain. */
  readonly isTailZero: boolean
  /**
   * Whether the frame behind the chain begins what would be its next batch. If not, and the file held another segment before, that is
   * what stands there: a batch of which not even the first sector was written.
   */
  readonly beginsBatch: boolean
}

/** Why a chain ended. */
export type ScanFault = FrameFault | 'end' | 'sequence' | 'timestamp' | 'control' | 'trailer' | 'unfinished batch' | 'index'

/** Tells how far a long scan has come: bytes done since the last call. */
export type ScanProgress = (bytes: number) => void

/** Scans the segment in `file` with the UUID of its name. Blocks the thread. */
export function scanSegment(file: DiskFile, uuid: Uint8Array, fileBytes: number, progress?: ScanProgress): SegmentScan {
  const chain = new Chain(uuid)
  const window = new FrameWindow(SEGMENT_HEADER_BYTES, fileBytes, WINDOW_BYTES * 4)
  let reported = SEGMENT_HEADER_BYTES
  let fault: ScanFault | undefined
  while (fault === undefined) {
    if (window.offset >= fileBytes) {
      fault = 'end'
      break
    }
    const size = checkBlocking(window, file)
    fault = typeof size === 'number' ? chain.take(window, size) : size
    if (typeof size === 'number' && fault === undefined) window.advance(size)
    if (progress !== undefined && window.offset - reported > WINDOW_BYTES) {
      progress(window.offset - reported)
      reported = window.offset
    }
  }
  const behind = searchBehind(file, uuid, chain.endOffset, fileBytes)
  return {
    ...chain.result((fault === 'end' || (fault === 'zeros' && !behind.hasTrailer)) && chain.isInBatch ? 'unfinished batch' : fault!, window.offset),
    strayProof: behind.strayProof, hasStrayTrailer: behind.hasTrailer, isTailZero: behind.isZero, beginsBatch: beginsBatch(file, chain.endOffset, chain.lastSequence + 1),
  }
}

function beginsBatch(file: DiskFile, offset: number, next: number): boolean {
  const head = Buffer.alloc(FRAME_DATA)
  if (file.read(head, offset) < head.length || head.readUInt32LE(0) !== FRAME_MAGIC) return false
  const sequence = frameSequence(new DataView(head.buffer, head.byteOffset, head.length), 0)
  return sequence === next || sequence === 0
}

/** The chain as far as it holds. Frames of a batch count once their trailer has come. */
class Chain {
  readonly #uuid: Uint8Array
  #trailer: Trailer | undefined
  #trailerChecksum = 0
  #first: Trailer | undefined
  #cursors: readonly Cursor[] = []
  #cursorTrailerOffset = 0
  #batches: { readonly lastSequence: number; readonly endOffset: number }[] = []
  #durable = 0
  #sealed = { entryCount: 0, firstTicks: 0n, lastTicks: 0n, index: 0, aborted: 0, gaps: 0 }
  #open = { nextSequence: 0, entryCount: 0, firstTicks: 0n, lastTicks: 0n, isInBatch: false }
  readonly #index: IndexEntry[] = []
  readonly #aborted: SequenceRange[] = []
  readonly #gaps: SequenceRange[] = []
  endOffset = SEGMENT_HEADER_BYTES

  constructor(uuid: Uint8Array) {
    this.#uuid = uuid
  }

  get lastSequence(): number {
    return this.#trailer?.lastSequence ?? 0
  }

  get isInBatch(): boolean {
    return this.#open.isInBatch
  }

  /** Takes the checked frame in the window, or says why it does not belong. */
  take(window: FrameWindow, size: number): ScanFault | undefined {
    const { view, at } = window
    const ticks = frameTicks(view, at)
    if (ticks < this.#open.lastTicks) return 'timestamp'
    // Before a trailer makes all of its batch count: its own timestamp is then the last one, also where there is no entry.
    this.#open.lastTicks = ticks
    const sequence = frameSequence(view, at)
    return sequence === 0 ? this.#takeControl(window, size) : this.#takeEntry(sequence, ticks, window.offset)
  }

  #takeEntry(sequence: number, ticks: bigint, offset: number): ScanFault | undefined {
    const open = this.#open
    if (this.#trailer === undefined) return 'trailer'
    if (sequence !== open.nextSequence) return 'sequence'
    const last = this.#index.at(-1)
    if (last === undefined || offset - last.offset >= INDEX_INTERVAL_BYTES) this.#index.push({ sequence, ticks, offset })
    if (open.entryCount === 0) open.firstTicks = ticks
    open.entryCount++
    open.nextSequence++
    open.isInBatch = true
    return undefined
  }

  #takeControl(window: FrameWindow, size: number): ScanFault | undefined {
    const { bytes, view, at } = window
    const kind = controlKind(view, at, size)
    if (kind === 'trailer') {
      const trailer = decodeTrailer(bytes, view, at, size, window.offset, this.#uuid)
      return trailer !== undefined && this.#takeTrailer(trailer, size, frameChecksum(view, at, size)) ? undefined : 'trailer'
    }
    if (kind === 'index') return 'index'
    if (kind === undefined || this.#trailer === undefined) return 'control'
    const range = decodeRange(view, at, size)
    if (range === undefined || range.first !== this.#open.nextSequence) return 'sequence'
    ;(kind === 'aborted' ? this.#aborted : this.#gaps).push(range)
    this.#open.nextSequence = range.last + 1
    this.#open.isInBatch = true
    return undefined
  }

  #takeTrailer(trailer: Trailer, size: number, checksum: number): boolean {
    const previous = this.#trailer
    if (previous === undefined) {
      const isFirst = trailer.offset === SEGMENT_HEADER_BYTES && trailer.batchStart === SEGMENT_HEADER_BYTES
        && trailer.lastSequence === trailer.firstSequence - 1 && trailer.previousChecksum === 0 && trailer.cursors !== undefined
      if (!isFirst) return false
      this.#first = trailer
    } else {
      const follows = trailer.batchStart === this.endOffset && trailer.firstSequence === previous.lastSequence + 1
        && trailer.lastSequence === this.#open.nextSequence - 1 && trailer.previousChecksum === this.#trailerChecksum
        && trailer.durableSequence >= previous.durableSequence
      if (!follows) return false
    }
    this.#trailer = trailer
    this.#trailerChecksum = checksum
    this.#durable = trailer.durableSequence
    this.endOffset = trailer.offset + size
    this.#open.nextSequence = trailer.lastSequence + 1
    this.#open.isInBatch = false
    if (trailer.cursors !== undefined) {
      this.#cursors = trailer.cursors
      this.#cursorTrailerOffset = trailer.offset
    }
    const { entryCount, firstTicks, lastTicks } = this.#open
    this.#sealed = { entryCount, firstTicks, lastTicks, index: this.#index.length, aborted: this.#aborted.length, gaps: this.#gaps.length }
    this.#noteBatch(trailer.lastSequence)
    return true
  }

  /**
   * Keeps only the batches at and above the durable mark: what {@link SegmentScan.provedOffset} may be asked for. A trailer
   * without a batch is proved by no sequence, and the first one not by the sequence before it: its sync may have failed.
   */
  #noteBatch(lastSequence: number): void {
    if (this.#batches.at(-1)?.lastSequence === lastSequence) return
    this.#batches.push({ lastSequence, endOffset: this.#batches.length === 0 ? SEGMENT_HEADER_BYTES : this.endOffset })
    let keep = 0
    while (keep + 1 < this.#batches.length && this.#batches[keep + 1]!.lastSequence <= this.#durable) keep++
    if (keep > 64) this.#batches = this.#batches.slice(keep)
  }

  result(fault: ScanFault, faultOffset: number): Omit<SegmentScan, 'strayProof' | 'hasStrayTrailer' | 'isTailZero' | 'beginsBatch'> {
    const sealed = this.#sealed
    const batches = this.#batches
    return {
      endOffset: this.endOffset,
      firstSequence: this.#first?.firstSequence,
      lastSequence: this.#trailer?.lastSequence,
      previousUuid: this.#first?.previousUuid,
      entryCount: sealed.entryCount,
      firstTicks: sealed.firstTicks,
      lastTicks: sealed.lastTicks,
      cursors: this.#cursors,
      lastTrailerOffset: this.#trailer?.offset ?? 0,
      cursorTrailerOffset: this.#cursorTrailerOffset,
      index: this.#index.slice(0, sealed.index),
      aborted: this.#aborted.slice(0, sealed.aborted),
      gaps: this.#gaps.slice(0, sealed.gaps),
      durableSequence: this.#durable,
      provedOffset: (proved) => batches.findLast((batch) => batch.lastSequence <= proved)?.endOffset ?? SEGMENT_HEADER_BYTES,
      fault,
      faultOffset,
    }
  }
}

const LETTERS = Buffer.alloc(4)
LETTERS.writeUInt32LE(CONTROL_KIND.trailer)

/**
 * Searches from `from` to the end for trailers that are valid by themselves, past any damage. Reads in overlapping
 * blocks. A trailer's checksum is only computed where UUID and offset are its own, and never more bytes in all than
 * the file has twice over, so that planted letters cannot make this quadratic.
 */
export function searchBehind(file: DiskFile, uuid: Uint8Array, from: number, fileBytes: number): { strayProof: number; hasTrailer: boolean; isZero: boolean } {
  let strayProof = 0
  let hasTrailer = false
  let isZero = true
  let budget = 2 * fileBytes
  const block = Buffer.allocUnsafeSlow(Math.min(4 * WINDOW_BYTES, Math.max(0, fileBytes - from)))
  for (let offset = from; offset < fileBytes;) {
    const length = file.read(block.subarray(0, Math.min(block.length, fileBytes - offset)), offset)
    if (length === 0) break
    const bytes = block.subarray(0, length)
    isZero &&= isAllZero(bytes)
    for (let at = bytes.indexOf(LETTERS); at >= 0; at = bytes.indexOf(LETTERS, at + 1)) {
      const start = offset + at - FRAME_DATA
      if (start < from || budget <= 0) continue
      const found = readStrayTrailer(file, start, fileBytes, uuid)
      if (found === undefined) continue
      budget -= found.bytes
      strayProof = Math.max(strayProof, found.durableSequence ?? 0)
      hasTrailer ||= found.durableSequence !== undefined
    }
    if (offset + length >= fileBytes) break
    offset += Math.max(1, length - (LETTERS.length - 1))
  }
  return { strayProof, hasTrailer, isZero }
}

/** The durable mark of the trailer at `start`, if it is valid by itself; undefined in all if its checksum is not even worth computing. */
function readStrayTrailer(
  file: DiskFile, start: number, fileBytes: number, uuid: Uint8Array,
): { durableSequence: number | undefined; bytes: number } | undefined {
  const head = Buffer.alloc(TRAILER_BYTES)
  if (file.read(head, start) < TRAILER_BYTES || head.readUInt32LE(0) !== FRAME_MAGIC) return undefined
  const view = new DataView(head.buffer, head.byteOffset, head.length)
  const size = frameSize(view, 0, head.length, fileBytes - start)
  if (typeof size !== 'number' || size < TRAILER_BYTES || !standsWhereItSays(head, view, 0, start, uuid)) return undefined
  const whole = Buffer.allocUnsafeSlow(size)
  if (file.read(whole, start) < size) return undefined
  const wholeView = new DataView(whole.buffer, whole.byteOffset, size)
  if (checkFrame(whole, wholeView, 0, size, size) !== size) return { durableSequence: undefined, bytes: size }
  return { durableSequence: decodeTrailer(whole, wholeView, 0, size, start, uuid)?.durableSequence, bytes: size }
}

function isAllZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZERO_BLOCK.length) {
    const part = bytes.subarray(at, at + ZERO_BLOCK.length)
    if (!part.equals(part.length === ZERO_BLOCK.length ? ZERO_BLOCK : ZERO_BLOCK.subarray(0, part.length))) return false
  }
  return true
}

const ZERO_BLOCK = Buffer.alloc(65536)
