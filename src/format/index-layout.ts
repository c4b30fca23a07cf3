/**
 * The sparse index, `IDX!`: the control frame that ends a sealed segment.
 *
 * ```
 *   0–3    'IDX!'
 *   4–7    number of entries, u32
 *   8–23   UUID of this segment
 *  24–31   offset of the segment's last trailer, u64
 *  32–39   offset of its last trailer that carries cursors, u64
 *  40–     entries: sequence, u64; timestamp, i64 ticks; offset of that frame, u64; all ascending
 *  last 4  bytes of this whole frame, u32; so that it is found from the file's end
 * ```
 *
 * Valid iff (1) the frame is valid with sequence 0 and the letters; (2) the UUID is the segment's; (3) the count fills
 * the frame exactly; (4) sequences and offsets ascend, timestamps do not fall, offsets lie between the header and
 * this frame; (5) so do both trailer offsets.
 */

import { encodeControlFrame } from './control-layout.js'
import { FRAME_CHECKSUM_BYTES, FRAME_DATA, FRAME_OVERHEAD } from './frame-layout.js'
import { getUint64, setUint64 } from './integers.js'
import { SEGMENT_HEADER_BYTES } from './segment-layout.js'
import { UUID_BYTES } from './uuid.js'

const COUNT = 4
const SEGMENT_UUID = 8
const LAST_TRAILER = 24
const CURSOR_TRAILER = 32
const ENTRIES = 40
const ENTRY_BYTES = 24
const FOOTER_BYTES = 4

/** How far apart the indexed frames are, in bytes. */
export const INDEX_INTERVAL_BYTES = 64 * 1024
/** The bytes at the end of a sealed file that tell where its index begins. */
export const INDEX_FOOTER_BYTES = FOOTER_BYTES + FRAME_CHECKSUM_BYTES
/** The smallest index frame. */
export const MIN_INDEX_FRAME_BYTES = FRAME_OVERHEAD + ENTRIES + FOOTER_BYTES

/** The most that the index of a segment of `segmentBytes` takes. */
export function largestIndexBytes(segmentBytes: number): number {
  return MIN_INDEX_FRAME_BYTES + Math.ceil(segmentBytes / INDEX_INTERVAL_BYTES) * ENTRY_BYTES
}

/** One indexed frame. */
export interface IndexEntry {
  readonly sequence: number
  readonly ticks: bigint
  readonly offset: number
}

/** A sealed segment's index in code. */
export interface SparseIndex {
  readonly lastTrailerOffset: number
  readonly cursorTrailerOffset: number
  readonly entries: readonly IndexEntry[]
}

/** A finished index frame. */
export function encodeIndex(uuid: Uint8Array, index: SparseIndex, relativeTicks: number, tickBase: number): Uint8Array {
  const dataBytes = ENTRIES + index.entries.length * ENTRY_BYTES + FOOTER_BYTES
  return encodeControlFrame('index', dataBytes, relativeTicks, tickBase, (bytes, view, at) => {
    view.setUint32(at + COUNT, index.entries.length, true)
    bytes.set(uuid, at + SEGMENT_UUID)
    setUint64(view, at + LAST_TRAILER, index.lastTrailerOffset)
    setUint64(view, at + CURSOR_TRAILER, index.cursorTrailerOffset)
    for (const [number, entry] of index.entries.entries()) {
      const to = at + ENTRIES + number * ENTRY_BYTES
      setUint64(view, to, entry.sequence)
      view.setBigInt64(to + 8, entry.ticks, true)
      setUint64(view, to + 16, entry.offset)
    }
    view.setUint32(at + dataBytes - FOOTER_BYTES, FRAME_OVERHEAD + dataBytes, true)
  })
}

/** The size of the index frame that ends a file, out of its last {@link INDEX_FOOTER_BYTES} bytes; not yet checked. */
export function indexFrameBytes(footer: Uint8Array): number {
  return new DataView(footer.buffer, footer.byteOffset, footer.byteLength).getUint32(0, true)
}

/** The index in a checked control frame of `size` bytes at `offset`, which is at `fileOffset` of segment `uuid`; undefined unless valid. */
export function decodeIndex(
  bytes: Uint8Array, view: DataView, offset: number, size: number, fileOffset: number, uuid: Uint8Array,
): SparseIndex | undefined {
  if (size < MIN_INDEX_FRAME_BYTES) return undefined
  const at = offset + FRAME_DATA
  const count = view.getUint32(at + COUNT, true)
  if (FRAME_OVERHEAD + ENTRIES + count * ENTRY_BYTES + FOOTER_BYTES !== size) return undefined
  for (let byte = 0; byte < UUID_BYTES; byte++) if (bytes[at + SEGMENT_UUID + byte] !== uuid[byte]) return undefined
  const within = (value: number): boolean => value >= SEGMENT_HEADER_BYTES && value < fileOffset
  const lastTrailerOffset = getUint64(view, at + LAST_TRAILER)
  const cursorTrailerOffset = getUint64(view, at + CURSOR_TRAILER)
  if (!within(lastTrailerOffset) || !within(cursorTrailerOffset)) return undefined
  if (!entriesAscend(view, at + ENTRIES, count, within)) return undefined
  let entries: IndexEntry[] | undefined
  return {
    lastTrailerOffset,
    cursorTrailerOffset,
    get entries() {
      return (entries ??= Array.from({ length: count }, (_, number) => readEntry(view, at + ENTRIES + number * ENTRY_BYTES)))
    },
  }
}

function readEntry(view: DataView, from: number): IndexEntry {
  return { sequence: getUint64(view, from), ticks: view.getBigInt64(from + 8, true), offset: getUint64(view, from + 16) }
}

/** Rule (4), without making an object for each entry: opening checks every segment's index and reads few. */
function entriesAscend(view: DataView, start: number, count: number, within: (offset: number) => boolean): boolean {
  let sequence = 0
  let offset = 0
  let ticksHigh = 0
  let ticksLow = 0
  for (let number = 0; number < count; number++) {
    const from = start + number * ENTRY_BYTES
    const nextSequence = getUint64(view, from)
    const nextOffset = getUint64(view, from + 16)
    const nextHigh = view.getInt32(from + 12, true)
    const nextLow = view.getUint32(from + 8, true)
    if (!(nextSequence > sequence && nextOffset > offset && within(nextOffset))) return false
    if (nextHigh < ticksHigh || (nextHigh === ticksHigh && nextLow < ticksLow)) return false
    sequence = nextSequence
    offset = nextOffset
    ticksHigh = nextHigh
    ticksLow = nextLow
  }
  return true
}
