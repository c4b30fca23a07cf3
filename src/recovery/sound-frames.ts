/**
 * Walking a segment's frames past damage.
 *
 * Behind a damaged place frames go on, first choice first: where the damaged one's own length says, if the next frame stands there and nothing speaks
 * against it; else at the next bytes that are a frame by magic, length and checksum. An entry may hold any bytes, frames of a log among them, so what is
 * found by its magic must belong: one of the sequences that are missing, and from there frame by frame, sequence by sequence, on to a trailer of this
 * very segment, which tells its UUID and its own place, or to where the length led, if that leads on. What searching may cost is bounded by the file's
 * size: neither damage nor planted bytes can make it quadratic.
 */

import type { DiskFile } from '../disk/disk.js'
import { controlKind, decodeRange } from '../format/control-layout.js'
import { FRAME_DATA, FRAME_LENGTH, FRAME_MAGIC, FRAME_OVERHEAD, frameSequence, frameSize, frameTicks } from '../format/frame-layout.js'
import { SEGMENT_HEADER_BYTES } from '../format/segment-layout.js'
import { decodeTrailer, type Cursor } from '../format/trailer-layout.js'
import { checkBlocking, FrameWindow } from '../segment/frame-window.js'

const BLOCK_BYTES = 1024 * 1024
/** Behind damage: there may be more of it near. A search for the next frame begins with so much, and reads twice as much each time. */
const NEAR_BYTES = 4096
const MAGIC = Buffer.alloc(4)
MAGIC.writeUInt32LE(FRAME_MAGIC)

/** The segment that is walked. */
export interface WalkedSegment {
  readonly file: DiskFile
  readonly fileBytes: number
  readonly uuid: Uint8Array
}

/** What was found. Sequences ascend; what lies between two pieces is lost. */
export type SoundPiece =
  | { readonly kind: 'entry'; readonly first: number; readonly last: number; readonly ticks: bigint; readonly frame: Uint8Array }
  | { readonly kind: 'aborted' | 'gap'; readonly first: number; readonly last: number }
  | { readonly kind: 'cursors'; readonly cursors: readonly Cursor[] }

/** Where frames are sound again. */
export interface ResumePoint {
  readonly offset: number
  /** The first sequence there; that of the next entry where a control frame stands. */
  readonly sequence: number
}

/** What the searches in one segment may still cost, and what they have found out. */
interface Search {
  /** Bytes that may still be looked at. */
  bytes: number
  /** The last way that was followed from where a length led. */
  way: Way
  /** The last place that was found by its magic: nothing before it leads on to a trailer. `'none'`: nothing does, or it may cost no more. */
  place: ResumePoint | 'none' | undefined
  /** That place, once it is known to be on the way. */
  onWay: ResumePoint | undefined
  /** The longest way from a magic that led nowhere: where its next frame begins, and where it ended. Its frames need not be tried one by one. */
  vainAt: number
  vainEnd: number
}

/** Frames that follow on each other. */
interface Way {
  /** File offsets of its first frame, and where it ends. */
  readonly from: number
  readonly end: number
  /** The sequence to follow there. */
  readonly next: number
  /** Whether it ends with a trailer of the segment, or joins another way that is known. */
  readonly leadsOn: boolean
  /** Whether damaged frames were passed, by their lengths. */
  readonly hasDamage: boolean
}

const NO_WAY: Way = { from: 0, end: 0, next: 0, leadsOn: false, hasDamage: false }

function beginSearch({ fileBytes }: WalkedSegment): Search {
  return { bytes: 8 * fileBytes, way: NO_WAY, place: undefined, onWay: undefined, vainAt: 0, vainEnd: 0 }
}

/**
 * The sound frames of a segment with sequences from `from` to `to`, in order, and the cursors in its trailers: also in those that follow
 * on the last of these frames, as the newest cursors mostly do. Blocks.
 */
export function* walkSound(segment: WalkedSegment, from: number, to: number): Generator<SoundPiece, void, undefined> {
  const search = beginSearch(segment)
  let next = from
  let lastTicks = 0n
  let window = new FrameWindow(SEGMENT_HEADER_BYTES, segment.fileBytes, BLOCK_BYTES)
  while (window.offset < segment.fileBytes) {
    const size = checkBlocking(window, segment.file)
    if (typeof size === 'number') {
      const piece = pieceAt(window, size, segment.uuid)
      if (next > to && piece !== undefined && piece.kind !== 'cursors') return
      const isInOrder = piece !== undefined && (piece.kind === 'cursors' || (piece.first >= next && piece.last <= to))
      if (isInOrder && !(piece.kind === 'entry' && piece.ticks < lastTicks)) {
        yield piece
        if (piece.kind !== 'cursors') next = piece.last + 1
        if (piece.kind === 'entry') lastTicks = piece.ticks
      }
      window.advance(size)
      continue
    }
    const resume = next > to ? undefined : soundAfter(segment, window.offset, next, to, search)
    if (resume === undefined) return
    window = new FrameWindow(resume.offset, segment.fileBytes, NEAR_BYTES)
  }
}

function pieceAt({ bytes, view, at, offset }: FrameWindow, size: number, uuid: Uint8Array): SoundPiece | undefined {
  const sequence = frameSequence(view, at)
  if (sequence > 0) return { kind: 'entry', first: sequence, last: sequence, ticks: frameTicks(view, at), frame: bytes.subarray(at, at + size) }
  if (sequence !== 0) return undefined
  const kind = controlKind(view, at, size)
  if (kind === 'trailer') {
    const cursors = decodeTrailer(bytes, view, at, size, offset, uuid)?.cursors
    return cursors && { kind: 'cursors', cursors }
  }
  const range = kind === 'aborted' || kind === 'gap' ? decodeRange(view, at, size) : undefined
  return range && { kind: kind as 'aborted' | 'gap', ...range }
}

/**
 * Where sound frames go on behind the damage at `offset`, with a sequence from `next` to `to`, or with a control frame of this segment;
 * undefined when they do not. Blocks.
 */
export function soundAfter(segment: WalkedSegment, offset: number, next: number, to: number, search = beginSearch(segment)): ResumePoint | undefined {
  const byLength = byItsLength(segment, offset, next, to)
  if (byLength === undefined) return byMagic(segment, offset + 1, next, to, search)
  const { place, damagedSequence } = byLength
  if (place.offset < search.way.from || place.offset > search.way.end) search.way = follow(segment, place, search, { passesDamage: true })
  const { way } = search
  // Nothing is lost, or just the entry that the damaged frame says it is: that length was right. Else it may be what is damaged, and frames go on before.
  const isNext = place.sequence <= (damagedSequence === next ? next + 1 : next)
  if (isNext && way.leadsOn && !way.hasDamage) return place
  const found = byMagic(segment, offset + 1, next, to, search, isNext || !way.leadsOn ? undefined : place.offset)
  if (found === undefined) return place
  // Of two places with the same sequence the one within an entry is that which does not lead on by itself.
  const isDenied = found.offset > place.offset && found.sequence <= place.sequence
  if (!isDenied && isOnWay(segment, place.offset, found, search)) return place
  if (isNext && found.sequence >= way.next) return place
  if (found.offset > place.offset) search.way = NO_WAY
  return found
}

/** Whether the frames from `offset` on, the damaged ones by their lengths, have one that begins at that place. */
function isOnWay({ file, fileBytes }: WalkedSegment, offset: number, place: ResumePoint, search: Search): boolean {
  if (search.onWay === place) return true
  const head = Buffer.alloc(FRAME_DATA)
  const view = new DataView(head.buffer, head.byteOffset, head.length)
  let at = offset
  while (at < place.offset && search.bytes > 0) {
    search.bytes -= head.length
    const size = frameSize(view, 0, file.read(head, at), fileBytes - at)
    if (typeof size !== 'number') return false
    at += size
  }
  if (at !== place.offset) return false
  search.onWay = place
  return true
}

/** Where the damaged frame's own length leads, and the sequence that it says it has. */
function byItsLength(
  { file, fileBytes, uuid }: WalkedSegment, offset: number, next: number, to: number,
): { readonly place: ResumePoint; readonly damagedSequence: number } | undefined {
  const head = Buffer.alloc(FRAME_DATA)
  if (file.read(head, offset) < head.length) return undefined
  const view = new DataView(head.buffer, head.byteOffset, head.length)
  const size = frameSize(view, 0, head.length, fileBytes - offset)
  const found = typeof size === 'number' ? fitting({ file, fileBytes, uuid }, offset + size, next, to) : undefined
  return found && { place: found.place, damagedSequence: frameSequence(view, 0) }
}

/** The first place from `from` on that leads on, or that leads to the frame at `joins` without being it. */
function byMagic(segment: WalkedSegment, from: number, next: number, to: number, search: Search, joins?: number): ResumePoint | undefined {
  const { file, fileBytes } = segment
  const { place: known } = search
  if (joins === undefined && known === 'none') return undefined
  if (joins === undefined && typeof known === 'object' && known.offset >= from && known.sequence >= next) return known
  let blockBytes = NEAR_BYTES
  for (let offset = from; offset + FRAME_OVERHEAD <= fileBytes && search.bytes > 0;) {
    const block = Buffer.allocUnsafeSlow(Math.min(blockBytes, fileBytes - offset))
    const bytes = block.subarray(0, file.read(block, offset))
    search.bytes -= bytes.length
    for (let at = bytes.indexOf(MAGIC); at >= 0 && search.bytes > 0; at = bytes.indexOf(MAGIC, at + 1)) {
      if (isVain(segment, offset + at, search)) continue
      const found = fitting(segment, offset + at, next, to, search)
      if (found === undefined) continue
      const { place, bytes: frameBytes } = found
      const { leadsOn, end } = follow(segment, place, search, { passesDamage: false, joins: place.offset === joins ? undefined : joins })
      if (leadsOn) {
        // The next search may pass the rest once more.
        search.bytes += bytes.length - at
        return (search.place = place)
      }
      if (end <= search.vainEnd) continue
      search.vainAt = place.offset + frameBytes
      search.vainEnd = end
    }
    // Not in any test: the file was cut meanwhile.
    if (bytes.length < Math.min(blockBytes, fileBytes - offset)) break
    offset += bytes.length - (MAGIC.length - 1)
    blockBytes = Math.min(2 * blockBytes, BLOCK_BYTES)
  }
  search.place = 'none'
  return undefined
}

/** Whether the frame at `offset` is the next one on the way that led nowhere. */
function isVain({ file, fileBytes }: WalkedSegment, offset: number, search: Search): boolean {
  if (offset !== search.vainAt || offset >= search.vainEnd) return false
  const head = Buffer.alloc(FRAME_DATA)
  const length = file.read(head, offset)
  const size = frameSize(new DataView(head.buffer, head.byteOffset, head.length), 0, length, fileBytes - offset)
  search.vainAt += size as number
  return true
}

interface FollowOptions {
  readonly passesDamage: boolean
  readonly joins?: number | undefined
}

/**
 * Follows the frames from `place` on, sequence by sequence, to one that can be nowhere else, or to the one at `joins`; past damaged ones, by their
 * lengths, only if `passesDamage`.
 */
function follow({ file, fileBytes, uuid }: WalkedSegment, place: ResumePoint, search: Search, { passesDamage, joins }: FollowOptions): Way {
  const window = new FrameWindow(place.offset, fileBytes, NEAR_BYTES)
  let next = place.sequence
  let isBehindDamage = false
  let hasDamage = false
  while (window.offset < fileBytes && search.bytes > 0) {
    const result = checkBlocking(window, file)
    const size = result === 'checksum' && passesDamage ? FRAME_OVERHEAD + window.view.getInt32(window.at + FRAME_LENGTH, true) : result
    if (typeof size !== 'number') break
    search.bytes -= size
    if (typeof result === 'number') {
      const span = spanOfFrame(window, size, uuid)
      // A damaged frame may have had any number of sequences.
      if (span === undefined || (isBehindDamage ? span.from < next : span.from !== next)) break
      if (span.isTrailer || window.offset === joins) return { from: place.offset, end: window.offset, next: span.to, leadsOn: true, hasDamage }
      next = span.to
    }
    isBehindDamage = typeof result !== 'number'
    hasDamage ||= isBehindDamage
    window.advance(size)
  }
  return { from: place.offset, end: window.offset, next, leadsOn: false, hasDamage }
}

/** What a frame stands for: the sequence that it begins with, and the one that must follow on it. */
export interface FrameSpan {
  readonly from: number
  readonly to: number
  readonly isTrailer: boolean
}

/** What the checked frame in the window stands for; undefined of an index, and of what does not belong into the segment with that UUID. */
export function spanOfFrame({ bytes, view, at, offset }: FrameWindow, size: number, uuid: Uint8Array): FrameSpan | undefined {
  const sequence = frameSequence(view, at)
  if (sequence !== 0) return { from: sequence, to: sequence + 1, isTrailer: false }
  const kind = controlKind(view, at, size)
  if (kind === 'trailer') {
    const trailer = decodeTrailer(bytes, view, at, size, offset, uuid)
    return trailer && { from: trailer.lastSequence + 1, to: trailer.lastSequence + 1, isTrailer: true }
  }
  const range = kind === 'aborted' || kind === 'gap' ? decodeRange(view, at, size) : undefined
  return range && { from: range.first, to: range.last + 1, isTrailer: false }
}

/** A place, and the bytes of the frame there. */
interface FoundFrame {
  readonly place: ResumePoint
  readonly bytes: number
}

/** The place at `offset`, if a sound frame stands there that belongs. */
function fitting({ file, fileBytes, uuid }: WalkedSegment, offset: number, next: number, to: number, search?: Search): FoundFrame | undefined {
  const head = Buffer.alloc(FRAME_DATA + 4)
  if (file.read(head, offset) < FRAME_DATA) return undefined
  const headView = new DataView(head.buffer, head.byteOffset, head.length)
  const size = frameSize(headView, 0, head.length, fileBytes - offset)
  const sequence = frameSequence(headView, 0)
  if (typeof size !== 'number' || !(sequence === 0 || (sequence >= next && sequence <= to))) return undefined
  if (search !== undefined) search.bytes -= size
  const window = new FrameWindow(offset, fileBytes, size)
  const span = typeof checkBlocking(window, file) === 'number' ? spanOfFrame(window, size, uuid) : undefined
  return span !== undefined && span.from >= next && (span.isTrailer || span.to - 1 <= to) ? { place: { offset, sequence: span.from }, bytes: size } : undefined
}
