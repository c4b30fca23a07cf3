/**
 * The batch trailer, `CMT!`: a control frame that ends every batch and is written with it.
 *
 * ```
 *   0–3    'CMT!'
 *   4–7    zero
 *   8–23   UUID of this segment
 *  24–31   offset of this frame in the file, u64
 *  32–39   offset where the batch starts, u64
 *  40–47   first sequence, u64          48–55  last sequence, u64; last = first - 1: no entry
 *  56–63   the sequence known durable when this was written, u64
 *  64–67   CRC of the previous trailer of this segment, u32; 0 in the first
 *  68–83   UUID of the previous segment; zeros in the first segment of a directory
 *  84–87   number of cursors that follow, u32; 0xFFFFFFFF: not repeated, unchanged since an earlier trailer
 *  88–     cursors: name length in bytes, u16; name, UTF-8; committed sequence, u64; seek epoch, u32
 * ```
 *
 * Valid by itself iff (1) the frame is valid with sequence 0 and the letters; (2) UUID and offset are those of the
 * place where it stands; (3) 128 <= batch start <= offset; (4) first >= 1 and last >= first - 1; (5) durable <= last;
 * (6) the cursors fill the rest exactly, names 1 to 255 bytes of UTF-8, at most 4,096 of them.
 *
 * Valid in the chain iff also (7) the batch starts where the previous trailer ended, or at 128 for the first, which
 * has no batch and carries all cursors; (8) frames tile the batch exactly from first to last; (9) first = previous
 * last + 1; (10) the previous trailer's CRC is as recorded; (11) durable never falls. UUID, offset and CRC bind the
 * chain so that no byte of an earlier use of the same blocks can join it.
 */

import { isUtf8 } from 'node:buffer'
import { encodeControlFrame } from './control-layout.js'
import { FRAME_DATA, FRAME_OVERHEAD } from './frame-layout.js'
import { getUint64, setUint64 } from './integers.js'
import { SEGMENT_HEADER_BYTES } from './segment-layout.js'
import { UUID_BYTES } from './uuid.js'

const SEGMENT_UUID = 8
const OWN_OFFSET = 24
const BATCH_START = 32
const FIRST_SEQUENCE = 40
const LAST_SEQUENCE = 48
const DURABLE_SEQUENCE = 56
const PREVIOUS_CHECKSUM = 64
const PREVIOUS_UUID = 68
const CURSOR_COUNT = 84
const CURSORS = 88
const UNCHANGED = 0xffffffff
/** What a cursor takes beside its name: the name's length, sequence, epoch. */
const CURSOR_OVERHEAD = 14

/** The fields and where they stand: [name, offset, bytes]. */
export const TRAILER_FIELDS = [
  ['letters', 0, 4], ['zero', 4, 4], ['segmentUuid', SEGMENT_UUID, 16], ['offset', OWN_OFFSET, 8], ['batchStart', BATCH_START, 8],
  ['firstSequence', FIRST_SEQUENCE, 8], ['lastSequence', LAST_SEQUENCE, 8], ['durableSequence', DURABLE_SEQUENCE, 8],
  ['previousChecksum', PREVIOUS_CHECKSUM, 4], ['previousUuid', PREVIOUS_UUID, 16], ['cursorCount', CURSOR_COUNT, 4],
] as const

/** The bytes of a trailer without cursors. */
export const TRAILER_BYTES = FRAME_OVERHEAD + CURSORS
/** The most consumers a log may have. */
export const MAX_CURSORS = 4096
/** The longest name of a consumer, in bytes of UTF-8. */
export const MAX_CURSOR_NAME_BYTES = 255

/** Where a consumer stands: the last sequence it committed, and how often it was sought. */
export interface Cursor {
  readonly name: string
  readonly sequence: number
  readonly epoch: number
}

/** A batch trailer in code. */
export interface Trailer {
  readonly segmentUuid: Uint8Array
  readonly offset: number
  readonly batchStart: number
  readonly firstSequence: number
  readonly lastSequence: number
  readonly durableSequence: number
  readonly previousChecksum: number
  readonly previousUuid: Uint8Array
  /** Every consumer's cursor, or undefined when they are not repeated. */
  readonly cursors: readonly Cursor[] | undefined
}

/** The bytes that cursors add to a trailer. */
export function cursorBytes(cursors: readonly Cursor[]): number {
  return cursors.reduce((sum, { name }) => sum + CURSOR_OVERHEAD + Buffer.byteLength(name), 0)
}

/** A finished trailer frame. */
export function encodeTrailer(trailer: Trailer, relativeTicks: number, tickBase: number): Uint8Array {
  const names = (trailer.cursors ?? []).map((cursor) => Buffer.from(cursor.name))
  const dataBytes = CURSORS + cursorBytes(trailer.cursors ?? [])
  return encodeControlFrame('trailer', dataBytes, relativeTicks, tickBase, (bytes, view, at) => {
    bytes.set(trailer.segmentUuid, at + SEGMENT_UUID)
    setUint64(view, at + OWN_OFFSET, trailer.offset)
    setUint64(view, at + BATCH_START, trailer.batchStart)
    setUint64(view, at + FIRST_SEQUENCE, trailer.firstSequence)
    setUint64(view, at + LAST_SEQUENCE, trailer.lastSequence)
    setUint64(view, at + DURABLE_SEQUENCE, trailer.durableSequence)
    view.setUint32(at + PREVIOUS_CHECKSUM, trailer.previousChecksum, true)
    bytes.set(trailer.previousUuid, at + PREVIOUS_UUID)
    view.setUint32(at + CURSOR_COUNT, trailer.cursors?.length ?? UNCHANGED, true)
    let to = at + CURSORS
    for (const [index, cursor] of (trailer.cursors ?? []).entries()) {
      const name = names[index]!
      view.setUint16(to, name.length, true)
      bytes.set(name, to + 2)
      setUint64(view, to + 2 + name.length, cursor.sequence)
      view.setUint32(to + 10 + name.length, cursor.epoch, true)
      to += CURSOR_OVERHEAD + name.length
    }
  })
}

/** The trailer in a checked control frame of `size` bytes at `offset`, which is at `fileOffset` of segment `uuid`; undefined unless valid by itself. */
export function decodeTrailer(
  bytes: Uint8Array, view: DataView, offset: number, size: number, fileOffset: number, uuid: Uint8Array,
): Trailer | undefined {
  if (size < TRAILER_BYTES || !standsWhereItSays(bytes, view, offset, fileOffset, uuid)) return undefined
  const at = offset + FRAME_DATA
  const batchStart = getUint64(view, at + BATCH_START)
  const firstSequence = getUint64(view, at + FIRST_SEQUENCE)
  const lastSequence = getUint64(view, at + LAST_SEQUENCE)
  const durableSequence = getUint64(view, at + DURABLE_SEQUENCE)
  if (!(batchStart >= SEGMENT_HEADER_BYTES && batchStart <= fileOffset)) return undefined
  if (!(firstSequence >= 1 && lastSequence >= firstSequence - 1)) return undefined
  if (!(durableSequence <= lastSequence)) return undefined
  const cursors = decodeCursors(bytes, view, at + CURSORS, offset + size - 4, view.getUint32(at + CURSOR_COUNT, true))
  if (cursors === null) return undefined
  const previousChecksum = view.getUint32(at + PREVIOUS_CHECKSUM, true)
  const previousUuid = bytes.slice(at + PREVIOUS_UUID, at + PREVIOUS_UUID + UUID_BYTES)
  return { segmentUuid: uuid, offset: fileOffset, batchStart, firstSequence, lastSequence, durableSequence, previousChecksum, previousUuid, cursors }
}

/** Whether the frame at `offset` carries this segment's UUID and its own place: cheap, before any checksum. */
export function standsWhereItSays(bytes: Uint8Array, view: DataView, offset: number, fileOffset: number, uuid: Uint8Array): boolean {
  const at = offset + FRAME_DATA
  if (getUint64(view, at + OWN_OFFSET) !== fileOffset) return false
  for (let index = 0; index < UUID_BYTES; index++) if (bytes[at + SEGMENT_UUID + index] !== uuid[index]) return false
  return true
}

/** The cursors between `from` and `to`; undefined when not repeated, null when they do not fill that space exactly. */
function decodeCursors(bytes: Uint8Array, view: DataView, from: number, to: number, count: number): Cursor[] | undefined | null {
  if (count === UNCHANGED) return from === to ? undefined : null
  if (count > MAX_CURSORS) return null
  const cursors: Cursor[] = []
  let at = from
  for (let index = 0; index < count; index++) {
    if (to - at < CURSOR_OVERHEAD) return null
    const nameBytes = view.getUint16(at, true)
    if (nameBytes < 1 || nameBytes > MAX_CURSOR_NAME_BYTES || to - at < CURSOR_OVERHEAD + nameBytes) return null
    const sequence = getUint64(view, at + 2 + nameBytes)
    if (Number.isNaN(sequence)) return null
    const name = Buffer.from(bytes.buffer, bytes.byteOffset + at + 2, nameBytes)
    // Else two names could read as one, and a name be longer than it may be when it is written again.
    if (!isUtf8(name)) return null
    cursors.push({ name: name.toString('utf8'), sequence, epoch: view.getUint32(at + 10 + nameBytes, true) })
    at += CURSOR_OVERHEAD + nameBytes
  }
  return at === to ? cursors : null
}
