/**
 * Walking a segment's frames past damage.
 *
 * Behind a damaged place frames go on, first choice first: where the damaged one's own length says, if the next frame stands there; else at the next
 * bytes that are a frame by magic, length and checksum. An entry may hold any bytes, frames of a log among them, so what is found must belong: one of
 * the sequences that are missing, and from there frame by frame on to a trailer of this very segment, which tells its UUID
 * and its own place. No byte is passed, and none checked, more than a few times, so that planted bytes cannot make this quadratic.
 */

import type { DiskFile } from '../disk/disk.js'
import { controlKind, decodeRange } from '../format/control-layout.js'
import { FRAME_DATA, FRAME_MAGIC, FRAME_OVERHEAD, frameSequence, frameSize, frameTicks } from '../format/frame-layout.js'
import { SEGMENT_HEADER_BYTES } from '../format/segment-layout.js'
import { decodeTrailer, type Cursor } from '../format/trailer-layout.js'
import { checkBlocking, FrameWindow } from '../segment/frame-window.js'

const BLOCK_BYTES = 1024 * 1024
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

/**
 * The sound frames of a segment with sequences from `from` to `to`, in order, and the cursors in its trailers: also in those that follow
 * on the last of these frames, as the newest cursors mostly do. Blocks.
 */
export function* walkSound(segment: WalkedSegment, from: number, to: number): Generator<SoundPiece, void, undefined> {
  const budget = { bytes: 8 * segment.fileBytes }
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
    const resume = next > to ? undefined : soundAfter(segment, window.offset, next, to, budget)
    if (resume === undefined) return
    window = new FrameWindow(resume.offset, segment.fileBytes, BLOCK_BYTES)
  }
}

function pieceAt({ bytes, view, at, offset }: FrameWindow, size: number, uuid: Uint8Array): SoundPiece | undefined {
  const sequence = frameSequence(view, at)
  if (sequence > 0) return { kind: 'entry', first: sequence, last: sequence, ticks: frameTicks(view, at), frame: bytes.subarray(at, at + size) }
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
export function soundAfter(
  segment: WalkedSegment, offset: number, next: number, to: number, budget = { bytes: 8 * segment.fileBytes },
): ResumePoint | undefined {
  const byLength = byItsLength(segment, offset, next, to)
  // Nothing is lost, or just the entry that the damaged frame says it is: that length was right. Else it may be what is damaged, and frames go on before.
  if (byLength !== undefined && byLength.sequence <= (byLength.damagedSequence === next ? next + 1 : next)) return byLength
  return byMagic(segment, offset + 1, next, to, budget) ?? byLength
}

/** Where the damaged frame's own length leads, and the sequence that it says it has. */
function byItsLength(
  { file, fileBytes, uuid }: WalkedSegment, offset: number, next: number, to: number,
): ResumePoint & { readonly damagedSequence: number } | undefined {
  const head = Buffer.alloc(FRAME_DATA)
  if (file.read(head, offset) < head.length) return undefined
  const view = new DataView(head.buffer, head.byteOffset, head.length)
  const size = frameSize(view, 0, head.length, fileBytes - offset)
  const found = typeof size === 'number' ? fitting({ file, fileBytes, uuid }, offset + size, next, to) : undefined
  return found && { ...found, damagedSequence: frameSequence(view, 0) }
}

function byMagic(segment: WalkedSegment, from: number, next: number, to: number, budget: { bytes: number }): ResumePoint | undefined {
  const { file, fileBytes } = segment
  const block = Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, Math.max(MAGIC.length, fileBytes - from)))
  for (let offset = from; offset + FRAME_OVERHEAD <= fileBytes && budget.bytes > 0;) {
    const length = file.read(block.subarray(0, Math.min(block.length, fileBytes - offset)), offset)
    const bytes = block.subarray(0, length)
    budget.bytes -= length
    for (let at = bytes.indexOf(MAGIC); at >= 0 && budget.bytes > 0; at = bytes.indexOf(MAGIC, at + 1)) {
      const found = fitting(segment, offset + at, next, to, budget)
      if (found !== undefined && leadsOn(segment, found.offset, budget)) return found
    }
    if (length < MAGIC.length || offset + length >= fileBytes) return undefined
    offset += length - (MAGIC.length - 1)
  }
  return undefined
}

/** Whether sound frames follow from `offset` on to one that can be nowhere else. */
function leadsOn({ file, fileBytes, uuid }: WalkedSegment, offset: number, budget: { bytes: number }): boolean {
  const window = new FrameWindow(offset, fileBytes)
  while (window.offset < fileBytes && budget.bytes > 0) {
    const size = checkBlocking(window, file)
    if (typeof size !== 'number') return false
    budget.bytes -= size
    const { bytes, view, at } = window
    const kind = frameSequence(view, at) === 0 ? controlKind(view, at, size) : undefined
    if (kind === 'trailer') return decodeTrailer(bytes, view, at, size, window.offset, uuid) !== undefined
    window.advance(size)
  }
  return false
}

/** The place at `offset`, if a sound frame stands there that belongs. */
function fitting({ file, fileBytes, uuid }: WalkedSegment, offset: number, next: number, to: number, budget?: { bytes: number }): ResumePoint | undefined {
  const head = Buffer.alloc(FRAME_DATA + 4)
  if (file.read(head, offset) < FRAME_DATA) return undefined
  const headView = new DataView(head.buffer, head.byteOffset, head.length)
  const size = frameSize(headView, 0, head.length, fileBytes - offset)
  const sequence = frameSequence(headView, 0)
  if (typeof size !== 'number' || !(sequence === 0 || (sequence >= next && sequence <= to))) return undefined
  if (budget !== undefined) budget.bytes -= size
  const window = new FrameWindow(offset, fileBytes, size)
  if (typeof checkBlocking(window, file) !== 'number') return undefined
  const { bytes, view, at } = window
  if (sequence > 0) return { offset, sequence }
  const kind = controlKind(view, at, size)
  if (kind === 'trailer') {
    const trailer = decodeTrailer(bytes, view, at, size, offset, uuid)
    return trailer && trailer.lastSequence + 1 >= next ? { offset, sequence: trailer.lastSequence + 1 } : undefined
  }
  const range = kind === 'aborted' || kind === 'gap' ? decodeRange(view, at, size) : undefined
  return range !== undefined && range.first >= next && range.last <= to ? { offset, sequence: range.first } : undefined
}
