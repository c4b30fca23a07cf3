/**
 * A frame: one entry, or one control frame, the same bytes in the ring and in the file. Little-endian, packed.
 *
 * ```
 *  0         4         8                   16                  24          24+n      28+n
 *  ┌─────────┬─────────┬───────────────────┬───────────────────┬───────────┬─────────┐
 *  │ 'MSG!'  │ n  i32  │ sequence      u64 │ timestamp     i64 │ data  [n] │ CRC u32 │
 *  └─────────┴─────────┴───────────────────┴───────────────────┴───────────┴─────────┘
 * ```
 *
 * Valid iff (1) the magic stands; (2) 0 <= n <= the bytes that are left less 28; (3) the sequence is the
 * expected one, or 0 with a known control kind in the first four data bytes; (4) the timestamp (100 ns ticks since
 * 0001-01-01T00:00:00Z) is not below the previous one; (5) the CRC of all before it stands at the end.
 * (1), (2) and (5) are checked here; (3) and (4) by whoever knows what to expect.
 *
 * This is the frame of Jaahas.WriteAheadLog; its reader passes over sequence 0.
 */

import { crc32 as zlibCrc32 } from 'node:zlib'
import { crc32, MAX_SHIFT_BYTES, shiftCrc } from './crc32.js'
import { getUint64 } from './integers.js'
import { msFromTickWords, setTicks } from './ticks.js'

/** 'MSG!' read as a little-endian u32. */
export const FRAME_MAGIC = 0x2147534d
export const FRAME_LENGTH = 4
export const FRAME_SEQUENCE = 8
export const FRAME_TIMESTAMP = 16
export const FRAME_DATA = 24
export const FRAME_CHECKSUM_BYTES = 4
/** What a frame adds to its data. */
export const FRAME_OVERHEAD = FRAME_DATA + FRAME_CHECKSUM_BYTES
/** The most data one frame may hold, by this project's own limit; the field would allow 2^31 - 1. */
export const MAX_FRAME_DATA_BYTES = 2 ** 30

const TWO_32 = 2 ** 32
/** The CRC of anything followed by its own CRC, as a frame is. */
const CHECKED_RESIDUE = 0x2144df1c

/** Writes magic, length, sequence and timestamp. The data and {@link sealFrame} follow. */
export function writeFrameHeader(
  view: DataView, offset: number, dataBytes: number, sequence: number, relativeTicks: number, tickBase: number,
): void {
  view.setUint32(offset, FRAME_MAGIC, true)
  view.setInt32(offset + FRAME_LENGTH, dataBytes, true)
  view.setUint32(offset + FRAME_SEQUENCE, sequence >>> 0, true)
  view.setUint32(offset + FRAME_SEQUENCE + 4, Math.floor(sequence / TWO_32), true)
  setTicks(view, offset + FRAME_TIMESTAMP, relativeTicks, tickBase)
}

/** Writes the checksum over header and data as they stand in `bytes` now. */
export function sealFrame(bytes: Uint8Array, view: DataView, offset: number, dataBytes: number): void {
  const end = offset + FRAME_DATA + dataBytes
  view.setUint32(end, crc32(bytes, view, offset, end), true)
}

/** Why there is no valid frame at an offset. */
export type FrameFault =
  /** Fewer bytes than a frame needs: more may come, or the file ends here. */
  | 'short'
  /** Zeros where the magic belongs: preallocated, never written. */
  | 'zeros'
  | 'magic'
  | 'length'
  | 'checksum'

/**
 * The bytes that the frame at `offset` takes, or the fault. `end` bounds what may be read;
 * `left` is how many bytes the file has from `offset` on (the buffer may hold fewer).
 */
export function checkFrame(bytes: Uint8Array, view: DataView, offset: number, end: number, left: number): number | FrameFault {
  const size = frameSize(view, offset, end, left)
  if (typeof size !== 'number') return size
  if (offset + size > end) return 'short'
  const checksumAt = offset + size - FRAME_CHECKSUM_BYTES
  return crc32(bytes, view, offset, checksumAt) === view.getUint32(checksumAt, true) ? size : 'checksum'
}

/**
 * How many bytes of whole frames from `offset` on are valid, as {@link checkFrame} has it, found by one checksum over all of them: 20 ns a frame of 132
 * bytes, where one by one takes 60. 0 if that cannot be told so: they are to be checked one by one.
 *
 * Every valid frame has the same CRC, its own one included, so those of many together follow from their lengths. One damaged frame is found by this just
 * as by its own checksum (shifting loses nothing); several are missed together with the same chance of one in 2^32.
 */
export function soundRun(bytes: Uint8Array, view: DataView, offset: number, end: number): number {
  let at = offset
  let expected = 0
  while (end - at >= FRAME_OVERHEAD && view.getUint32(at, true) === FRAME_MAGIC) {
    const size = FRAME_OVERHEAD + view.getInt32(at + FRAME_LENGTH, true)
    if (size < FRAME_OVERHEAD || size > MAX_SHIFT_BYTES || size > end - at) break
    expected = shiftCrc(expected, size) ^ CHECKED_RESIDUE
    at += size
  }
  return zlibCrc32(bytes.subarray(offset, at)) === expected >>> 0 ? at - offset : 0
}

/** The bytes that the frame at `offset` claims to take, checked against `left` but not read to its end. */
export function frameSize(view: DataView, offset: number, end: number, left: number): number | FrameFault {
  if (end - offset < 8) return end - offset >= 4 && view.getUint32(offset, true) === 0 ? 'zeros' : 'short'
  const magic = view.getUint32(offset, true)
  if (magic !== FRAME_MAGIC) return magic === 0 ? 'zeros' : 'magic'
  const dataBytes = view.getInt32(offset + FRAME_LENGTH, true)
  if (dataBytes < 0 || dataBytes > MAX_FRAME_DATA_BYTES || dataBytes > left - FRAME_OVERHEAD) return 'length'
  return FRAME_OVERHEAD + dataBytes
}

/** The sequence of a checked frame; 0 for a control frame, NaN beyond 2^53 - 1. */
export function frameSequence(view: DataView, offset: number): number {
  return getUint64(view, offset + FRAME_SEQUENCE)
}

/** The timestamp of a frame in ticks since year 1. */
export function frameTicks(view: DataView, offset: number): bigint {
  return view.getBigInt64(offset + FRAME_TIMESTAMP, true)
}

/** The timestamp of a frame in whole milliseconds since 1970. */
export function frameMs(view: DataView, offset: number): number {
  return msFromTickWords(view.getUint32(offset + FRAME_TIMESTAMP + 4, true), view.getUint32(offset + FRAME_TIMESTAMP, true))
}

/** The checksum that stands at the end of a frame of `size` bytes. */
export function frameChecksum(view: DataView, offset: number, size: number): number {
  return view.getUint32(offset + size - FRAME_CHECKSUM_BYTES, true)
}
