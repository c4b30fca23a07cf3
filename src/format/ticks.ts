/**
 * Timestamps: ticks of 100 ns since 0001-01-01T00:00:00Z (proleptic Gregorian), as .NET counts them.
 *
 * Today's tick is about 6.4e17, beyond the 2^53 of an exact `number`, and a `bigint` costs garbage on every
 * append. So inside the library a tick is a *relative* one: a `number` counted from a base that is a multiple
 * of 2^32 ticks. The low 32 bits then are the low 32 bits on disk, and the high word is base + quotient.
 */

const TWO_32 = 2 ** 32
const TICKS_PER_MS = 10_000
/** Milliseconds from 0001-01-01 to 1970-01-01. */
const UNIX_EPOCH_MS = 62_135_596_800_000
const EPOCH_TICKS = BigInt(UNIX_EPOCH_MS) * BigInt(TICKS_PER_MS)
const EPOCH_HIGH = Number(EPOCH_TICKS >> 32n)
const EPOCH_LOW = Number(EPOCH_TICKS & 0xffffffffn)

/** Ticks of a time in milliseconds since 1970. */
export function ticksFromMs(ms: number): bigint {
  return BigInt(Math.floor(ms * TICKS_PER_MS)) + EPOCH_TICKS
}

/** Whole milliseconds since 1970 of a tick given as two 32-bit words (both unsigned). */
export function msFromTickWords(high: number, low: number): number {
  // 2^32 ticks are 429,496 ms and 7,296 ticks: so that nothing comes near 2^53, where the last tick of a millisecond would round up.
  return (high - EPOCH_HIGH) * 429_496 + Math.floor(((high - EPOCH_HIGH) * 7296 + low - EPOCH_LOW) / TICKS_PER_MS)
}

/** Whole milliseconds since 1970. */
export function msFromTicks(ticks: bigint): number {
  return msFromTickWords(Number(ticks >> 32n), Number(ticks & 0xffffffffn))
}

/** The high word that relative ticks of a log opened at `ticks` count from. */
export function tickBase(ticks: bigint): number {
  return Number(ticks >> 32n)
}

/** `ticks` as a number relative to `base`. */
export function relativeTicks(ticks: bigint, base: number): number {
  return Number(ticks - (BigInt(base) << 32n))
}

/** The full tick of a relative one. */
export function absoluteTicks(relative: number, base: number): bigint {
  return (BigInt(base) << 32n) + BigInt(relative)
}

/** Writes a relative tick (a safe integer >= 0) as i64. */
export function setTicks(view: DataView, offset: number, relative: number, base: number): void {
  view.setUint32(offset, relative >>> 0, true)
  view.setUint32(offset + 4, base + Math.floor(relative / TWO_32), true)
}
