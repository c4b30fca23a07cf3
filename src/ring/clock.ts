/**
 * The log's clock: a wall clock taken once at open, and a monotonic one since, the same for all threads. It never steps;
 * a clock that is set, or a machine that was suspended, shows after the next open.
 */

import { performance } from 'node:perf_hooks'
import { relativeTicks, tickBase, ticksFromMs } from '../format/ticks.js'
import type { Ring, RingStart } from './ring.js'
import { WORD } from './ring-layout.js'

const TICKS_PER_MS = 10_000
const SAMPLES = 8
/** Beyond this a relative tick might leave the range of exact numbers: some 14 years. */
const FAR_TICKS = 2 ** 52

/** Reads the clock in relative ticks. About 40 ns; makes no garbage. */
export type Clock = () => number

/** The clock of a log that is opened now and whose last timestamp on disk is `lastTicks`. */
export function startClock(lastTicks: bigint): Pick<RingStart, 'tickBase' | 'floorTicks' | 'clockZeroNs' | 'clockZeroTicks'> {
  const clockZeroNs = process.hrtime.bigint()
  const now = ticksFromMs(Date.now())
  // A last timestamp that is decades ahead (a clock that once stood wrong) is counted from instead.
  const base = tickBase(lastTicks - now > BigInt(FAR_TICKS) ? lastTicks : now)
  return {
    tickBase: base,
    floorTicks: Math.max(0, relativeTicks(lastTicks, base)),
    clockZeroNs,
    clockZeroTicks: Math.max(0, relativeTicks(now, base)),
  }
}

/** The clock for the calling thread. `performance.now()` counts from a start of its own in every thread: measured here. */
export function threadClock(ring: Ring): Clock {
  const zeroNs = ring.wide[WORD.clockZeroNs / 2]!
  const zeroTicks = Number(ring.wide[WORD.clockZeroTicks / 2]!)
  const now = performance.now.bind(performance)
  let offsetMs = 0
  let best = Infinity
  for (let sample = 0; sample < SAMPLES; sample++) {
    const before = process.hrtime.bigint()
    const nowMs = now()
    const after = process.hrtime.bigint()
    if (Number(after - before) < best) {
      best = Number(after - before)
      offsetMs = Number(before + (after - before) / 2n - zeroNs) / 1e6 - nowMs
    }
  }
  return () => zeroTicks + (now() + offsetMs) * TICKS_PER_MS
}
