/** How late the event loop is. */

import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 1
const PERCENTILES = [50, 75, 90, 95, 99, 99.5, 99.9, 100]

/** Measures from now on. What Node records includes the timer's own interval: that is taken off. */
export function watchEventLoop() {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  return {
    /** @returns {{ percentile: number, ms: number }[]} since the beginning */
    percentiles: () => PERCENTILES.map((percentile) => ({ percentile, ms: Math.max(0, delay.percentile(percentile) / 1e6 - RESOLUTION_MS) })),
  }
}
