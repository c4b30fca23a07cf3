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
/** A last timestamp that is further ahead of the clock than this was made by one that stood wrong. */
const AHEAD_TICKS = 86_400_000 * TICKS_PER_MS

/** Reads the clock in relative ticks. About 40 ns; makes no garbage. */
export type Clock = () => number

/**
 * The clock of a log that is opened now and whose last timestamp on disk is `lastTicks`. Timestamps never fall: a clock that is a little behind waits for
 * itself to catch up. Where that would take more than a day, time is counted on from the last timestamp: it must not stand still for years.
 */
export function startClock(lastTicks: bigint): Pick<RingStart, 'tickBase' | 'floorTicks' | 'clockZeroNs' | 'clockZeroTicks'> {
  const clockZeroNs = process.hrtime.bigint()
  const wall = ticksFromMs(Date.now())
  const now = lastTicks - wall > BigInt(AHEAD_TICKS) ? lastTicks : wall
  const base = tickBase(now)
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
