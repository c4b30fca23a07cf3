/** Latencies in an HDR histogram, in nanoseconds. */

import { build } from 'hdr-histogram-js'

const LONGEST_NS = 120e9
/** At one in how many: 1000 is 99.9 %. */
const ONE_IN = [1.111, 2, 4, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 1_000_000]

export function createHistogram() {
  return build({ highestTrackableValue: LONGEST_NS, numberOfSignificantValueDigits: 3 })
}

/** @param {number} ns */
export function record(histogram, ns) {
  histogram.recordValue(Math.min(LONGEST_NS, Math.max(1, Math.round(ns))))
}

/** Percentiles in nanoseconds, and the curve of them: `points` of [one in how many, ns]. */
export function summarize(histogram) {
  const at = (percentile) => histogram.getValueAtPercentile(percentile)
  return {
    count: histogram.totalCount,
    p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), p9999: at(99.99), max: histogram.maxValue,
    points: ONE_IN.filter((one) => one <= histogram.totalCount).map((one) => [one, at(100 - 100 / one)]),
  }
}
