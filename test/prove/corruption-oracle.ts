/**
 * What must become of a log of which one file was changed: worked out from what is known of it and from which pieces of the file are still byte
 * for byte what was written, and from nothing that the library's reading says.
 *
 * A piece proves what it says as long as it is intact: a header that a segment is sealed, with its last sequence; a trailer, wherever it stands, its
 * durable mark; a later segment all before it. What is proved and not there is refused at opening, or, inside a sealed segment, reported by
 * whoever reads it; the rest is cut, and said so.
 */

import type { Cursor } from '../../dist/src/format/trailer-layout.js'
import type { KnownLog, KnownSegment, Piece } from './known-log.js'

/** Opening refuses: the first and last sequence that it must name, and the places that may be named as the damaged one. */
export interface Refused {
  readonly kind: 'refused'
  readonly first: number
  readonly last: number
  readonly offsets: readonly number[]
}

/** Opening goes on. */
export interface Opened {
  readonly kind: 'opened'
  /** What was done about it, and what that is called in the sums. */
  readonly how: Healing
  /** The last sequence of the log from now on. */
  readonly last: number
  readonly cursors: readonly Cursor[]
  /** Pieces inside a segment that opening does not read: who reads them is told. */
  readonly damaged: readonly Piece[]
  /** Where the file is cut; undefined: nowhere. */
  readonly cutAt: number | undefined
  /** Whether `mayHaveBeenAcknowledged` must be said; undefined: there is nothing left that tells. */
  readonly mayHaveBeen: boolean | undefined
}

/** In which way a changed log is opened. */
export type Healing =
  /** Inside a sealed segment an entry, or what stands for some, is damaged: whoever reads it is told. */
  | 'reported by the reader'
  /** Inside a sealed segment a trailer is damaged that no entry and no cursor hangs on: `verify` tells. */
  | 'a trailer inside, told by verify'
  | 'header written again'
  | 'tail cut, and said so'
  | 'file removed, and said so'
  /** The change is behind the last batch, where nothing was written yet. */
  | 'behind the end'
  /** The last batches are gone, and so is all that told of them: it cannot be told from a log that never had them. */
  | 'gone without a trace'

/** What must be so. */
export type Expected = Refused | Opened

/** Judges the log with `bytes` in place of the file of its segment with that index. */
export function expectedOf(log: KnownLog, index: number, bytes: Buffer): Expected {
  const segment = log.segments[index]!
  const isIntact = (piece: Piece): boolean => {
    return piece.end <= bytes.length && segment.bytes.compare(bytes, piece.offset, piece.end, piece.offset, piece.end) === 0
  }
  const intact = new Set(segment.pieces.filter(isIntact))
  const isHeaderIntact = intact.has(segment.pieces[0]!)
  return segment.isSealed && isHeaderIntact ? sealed(log, index, bytes, intact) : open(log, index, bytes, intact)
}

function trailersOf(segment: KnownSegment): readonly Piece[] {
  return segment.pieces.filter((piece) => piece.kind === 'trailer')
}

function sealed(log: KnownLog, index: number, bytes: Buffer, intact: ReadonlySet<Piece>): Expected {
  const segment = log.segments[index]!
  const [firstTrailer] = trailersOf(segment)
  const indexPiece = segment.pieces.at(-1)!
  const isWhole = bytes.length === segment.bytes.length && intact.has(indexPiece) && intact.has(firstTrailer!)
  const isNewest = index === log.segments.length - 1
  const cursorTrailer = trailersOf(segment).findLast((piece) => piece.cursors !== undefined)!
  if (!isWhole) return { kind: 'refused', first: segment.first, last: segment.last, offsets: [48, firstTrailer!.offset, bytes.length] }
  if (isNewest && !intact.has(cursorTrailer)) return { kind: 'refused', first: segment.first, last: segment.last, offsets: [cursorTrailer.offset] }
  const damaged = segment.pieces.filter((piece) => !intact.has(piece))
  return {
    kind: 'opened', how: damaged.some(({ kind }) => kind !== 'trailer') ? 'reported by the reader' : 'a trailer inside, told by verify',
    last: log.last, cursors: cursorsUpTo(log, index, undefined), damaged, cutAt: undefined, mayHaveBeen: undefined,
  }
}

/** The newest cursors: of a tail those in `chain`, its trailers that count. */
function cursorsUpTo(log: KnownLog, index: number, chain: readonly Piece[] | undefined): readonly Cursor[] {
  const isNewest = index === log.segments.length - 1
  const all = log.segments.flatMap((segment, at) => (at === index && isNewest && chain !== undefined ? chain : trailersOf(segment)))
  return all.findLast((piece) => piece.cursors !== undefined)?.cursors ?? []
}

/** A segment that is not sealed, or does not look so: its trailers tell. */
function open(log: KnownLog, index: number, bytes: Buffer, intact: ReadonlySet<Piece>): Expected {
  const segment = log.segments[index]!
  const isNewest = index === log.segments.length - 1
  const frames = segment.pieces.filter(({ kind }) => kind !== 'header' && kind !== 'index')
  const faultAt = frames.findIndex((piece) => !intact.has(piece))
  const sound = faultAt < 0 ? frames : frames.slice(0, faultAt)
  const chain = sound.filter(({ kind }) => kind === 'trailer')
  const lastBefore = segment.first - 1
  const reached = chain.at(-1)
  const last = reached?.last ?? lastBefore
  const marks = trailersOf(segment).filter((piece) => intact.has(piece)).map(({ mark }) => mark!)
  const proof = isNewest ? Math.max(lastBefore, ...marks) : segment.last
  const fault = frames[faultAt]
  if (proof > last || (reached === undefined && !isNewest)) {
    return { kind: 'refused', first: last + 1, last: Math.max(proof, last + 1), offsets: [fault!.offset] }
  }
  const lost = faultAt < 0 ? [] : frames.filter(({ offset }) => offset >= (reached?.end ?? 0))
  return {
    kind: 'opened', last: isNewest ? last : log.last, damaged: [], cursors: cursorsUpTo(log, index, chain),
    ...howHealed({ segment, bytes, intact, lost, end: reached?.end ?? 0, isGone: reached === undefined }),
  }
}

interface Opening {
  readonly segment: KnownSegment
  readonly bytes: Buffer
  readonly intact: ReadonlySet<Piece>
  /** Where the chain ends, and what was behind it. */
  readonly end: number
  readonly lost: readonly Piece[]
  readonly isGone: boolean
}

function howHealed({ segment, bytes, intact, end, lost, isGone }: Opening): Pick<Opened, 'how' | 'cutAt' | 'mayHaveBeen'> {
  const isTraced = lost.some((piece) => intact.has(piece))
  // Of a file without a first trailer only that of a batch tells that there ever was one.
  const isBatchTraced = lost.some((piece) => piece.kind === 'trailer' && intact.has(piece))
  if (isGone) return { how: isBatchTraced ? 'file removed, and said so' : 'gone without a trace', cutAt: 0, mayHaveBeen: isBatchTraced || undefined }
  const isUnfinishedSeal = segment.isSealed && lost.length === 0
  const cutAt = bytes.length > end && !isUnfinishedSeal ? end : undefined
  const isZero = isAllZero(bytes.subarray(end))
  const isHeaderIntact = intact.has(segment.pieces[0]!)
  // In a file that held another segment before, and says so, anything may stand behind the end.
  const isRecycled = segment.isRecycled && isHeaderIntact
  if (lost.length === 0) {
    // What nobody wrote there may look like the beginning of a batch.
    const isForeign = !isRecycled || bytes.length > segment.bytes.length
    const mayHaveBeen = cutAt === undefined || (!isZero && isForeign) ? undefined : false
    return { how: isHeaderIntact ? 'behind the end' : 'header written again', cutAt, mayHaveBeen }
  }
  if (isZero) return { how: 'gone without a trace', cutAt, mayHaveBeen: false }
  if (isRecycled && !isTraced) return { how: 'gone without a trace', cutAt, mayHaveBeen: undefined }
  return { how: 'tail cut, and said so', cutAt, mayHaveBeen: true }
}

const ZEROS = Buffer.alloc(1 << 16)

function isAllZero(bytes: Buffer): boolean {
  return bytes.length > ZEROS.length ? bytes.every((byte) => byte === 0) : bytes.compare(ZEROS, 0, bytes.length) === 0
}
