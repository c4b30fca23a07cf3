/**
 * The header of a segment file. Little-endian, 128 bytes, at offset 0. Frames follow without a gap.
 *
 * ```
 *   0–3    'WAL!'
 *   4–7    version, u32 = 1
 *   8–15   first sequence, u64           16–23  last sequence, u64
 *  24–31   first timestamp, i64 ticks    32–39  last timestamp, i64 ticks
 *  40–47   message count, i64            entries only; control frames are not counted
 *  48–55   segment size in bytes, i64    header included
 *  56      sealed (read-only), 0 or 1
 *  57      of a tail: made from a freed segment, 0 or 1; what stands behind its last batch may be left from that
 *  58–123  reserved, zero
 * 124–127  CRC-32 of bytes 0–123
 * ```
 *
 * Valid iff (1) 128 bytes are there; (2) the magic stands; (3) the CRC stands; (4) the version is 1;
 * (5) first >= 1 and last >= first - 1; (6) sealed is 0 or 1; (7) when sealed: size >= 128, count >= 0 and at most
 * last - first + 1.
 *
 * Every version keeps the magic, the version and the CRC where they are, so that a file of another version is told
 * from a torn header, and never treated as one.
 *
 * A tail's header is written once, with last = first - 1 and timestamps, count and size 0, and once more when
 * it is sealed. This is the header of Jaahas.WriteAheadLog.
 */

import { crc32 } from './crc32.js'
import { getUint64, setUint64 } from './integers.js'

/** 'WAL!' read as a little-endian u32. */
export const SEGMENT_MAGIC = 0x214c4157
export const FORMAT_VERSION = 1
export const SEGMENT_HEADER_BYTES = 128

const VERSION = 4
const FIRST_SEQUENCE = 8
const LAST_SEQUENCE = 16
const FIRST_TIMESTAMP = 24
const LAST_TIMESTAMP = 32
const MESSAGE_COUNT = 40
const SIZE = 48
const SEALED = 56
const RECYCLED = 57
const CHECKSUM = 124

/** The fields and where they stand: [name, offset, bytes]. */
export const SEGMENT_HEADER_FIELDS = [
  ['magic', 0, 4], ['version', VERSION, 4], ['firstSequence', FIRST_SEQUENCE, 8], ['lastSequence', LAST_SEQUENCE, 8],
  ['firstTicks', FIRST_TIMESTAMP, 8], ['lastTicks', LAST_TIMESTAMP, 8], ['entryCount', MESSAGE_COUNT, 8], ['bytes', SIZE, 8],
  ['sealed', SEALED, 1], ['recycled', RECYCLED, 1], ['reserved', 58, 66], ['checksum', CHECKSUM, 4],
] as const

/** A segment's header in code. */
export interface SegmentHeader {
  readonly firstSequence: number
  /** Last sequence; first - 1 while the segment is open or when it is empty. */
  readonly lastSequence: number
  readonly firstTicks: bigint
  readonly lastTicks: bigint
  readonly entryCount: number
  /** Size of the whole file; 0 while the segment is open. */
  readonly bytes: number
  readonly sealed: boolean
  /** A tail whose file held another segment before. */
  readonly recycled?: boolean
}

/** The header of a new tail that begins with `firstSequence`. */
export function tailHeader(firstSequence: number): SegmentHeader {
  return { firstSequence, lastSequence: firstSequence - 1, firstTicks: 0n, lastTicks: 0n, entryCount: 0, bytes: 0, sealed: false }
}

/** The header's bytes. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, SEGMENT_MAGIC, true)
  view.setUint32(VERSION, FORMAT_VERSION, true)
  setUint64(view, FIRST_SEQUENCE, header.firstSequence)
  setUint64(view, LAST_SEQUENCE, header.lastSequence)
  view.setBigInt64(FIRST_TIMESTAMP, header.firstTicks, true)
  view.setBigInt64(LAST_TIMESTAMP, header.lastTicks, true)
  setUint64(view, MESSAGE_COUNT, header.entryCount)
  setUint64(view, SIZE, header.bytes)
  view.setUint8(SEALED, header.sealed ? 1 : 0)
  view.setUint8(RECYCLED, header.recycled ? 1 : 0)
  view.setUint32(CHECKSUM, crc32(bytes, view, 0, CHECKSUM), true)
  return bytes
}

/** Why a header is not valid. */
export type HeaderFault = 'short' | 'magic' | 'version' | 'checksum' | 'fields'

/** The header at the start of `bytes`, or the fault. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | HeaderFault {
  if (bytes.length < SEGMENT_HEADER_BYTES) return 'short'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== SEGMENT_MAGIC) return 'magic'
  if (crc32(bytes, view, 0, CHECKSUM) !== view.getUint32(CHECKSUM, true)) return 'checksum'
  if (view.getUint32(VERSION, true) !== FORMAT_VERSION) return 'version'
  const header: SegmentHeader = {
    firstSequence: getUint64(view, FIRST_SEQUENCE),
    lastSequence: getUint64(view, LAST_SEQUENCE),
    firstTicks: view.getBigInt64(FIRST_TIMESTAMP, true),
    lastTicks: view.getBigInt64(LAST_TIMESTAMP, true),
    entryCount: getUint64(view, MESSAGE_COUNT),
    bytes: getUint64(view, SIZE),
    sealed: view.getUint8(SEALED) === 1,
    ...(view.getUint8(RECYCLED) === 1 && { recycled: true }),
  }
  const sound = header.firstSequence >= 1 && header.lastSequence >= header.firstSequence - 1 && view.getUint8(SEALED) <= 1
    && (!header.sealed || (header.bytes >= SEGMENT_HEADER_BYTES && header.entryCount >= 0
      && header.entryCount <= header.lastSequence - header.firstSequence + 1))
  return sound ? header : 'fields'
}
