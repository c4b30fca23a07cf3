/** 64-bit integers on disk as `number`s in code. All little-endian. */

import { invariant } from '../errors.js'

const TWO_32 = 2 ** 32

/** Writes a safe non-negative integer as u64. */
export function setUint64(view: DataView, offset: number, value: number): void {
  // The text is made only when it is needed: this is done six times a batch.
  if (!(Number.isSafeInteger(value) && value >= 0)) invariant(false, `${value} is a safe non-negative integer`)
  view.setUint32(offset, value >>> 0, true)
  view.setUint32(offset + 4, Math.floor(value / TWO_32), true)
}

/** Reads a u64 (or non-negative i64); NaN when it is beyond 2^53 - 1, which fails every comparison that follows. */
export function getUint64(view: DataView, offset: number): number {
  const high = view.getUint32(offset + 4, true)
  return high > 0x1fffff ? Number.NaN : high * TWO_32 + view.getUint32(offset, true)
}
