/** Heap and resident memory over time at full rate. */

import { setImmediate as turn } from 'node:timers/promises'
import { openLog } from '../../dist/src/index.js'
import { makeLines } from '../entries.mjs'
import { median } from '../statistics.mjs'

export const title = 'Memory at full rate'

const MIB = 2 ** 20
const QUICK_S = 20
const FULL_S = 300
/** Appends between two looks at the clock. */
const APPENDS = 10_000

export function plan({ size, isFull }) {
  const seconds = size(isFull ? FULL_S : QUICK_S)
  const curve = (points, label) => ({ kind: 'points', points, x: { label: 'seconds', format: 'count' }, y: { label, format: 'count', fromZero: true } })
  return [{
    title: `${seconds} seconds, lines of 104 bytes`, in: ['quick'], rounds: 1, metric: 'heapLate', unit: 'MiB',
    note: 'Heap in use just after a collection, once a second; the last third against the first. The log keeps 512 MiB. The ring, and what is reserved for large entries, is not in the heap.',
    measurements: [{ name: 'ringwal', promise: 'durable', call: 'measureMemory', settings: { seconds, kept: 512 * MIB } }],
    rows: [{ name: `heap at full rate over ${seconds} s, its last third against its first`, of: ['ringwal', 'heapLate'], against: ['ringwal', 'heapEarly'], atMost: 1.1 }],
    plot: [curve('heapPoints', 'heap, MiB'), curve('rssPoints', 'resident, MiB')],
  }]
}

export async function measureMemory({ directory, seconds, kept }) {
  const log = await openLog({ directory, whenFull: 'block', retention: { maxBytes: kept } })
  const lines = makeLines()
  const heapPoints = []
  const rssPoints = []
  const startMs = performance.now()
  let next = 0
  for (let second = 1; second <= seconds; second++) {
    while (performance.now() - startMs < second * 1000) {
      for (let index = 0; index < APPENDS; index++) log.append(lines[next++ & (lines.length - 1)])
      await turn()
    }
    rssPoints.push([second, process.memoryUsage.rss() / MIB])
    globalThis.gc()
    heapPoints.push([second, process.memoryUsage().heapUsed / MIB])
  }
  await log.close()
  const third = Math.max(1, Math.floor(seconds / 3))
  const middle = (points) => median(points.map(([, value]) => value))
  return {
    heapEarly: middle(heapPoints.slice(0, third)), heapLate: middle(heapPoints.slice(-third)),
    rssEarly: middle(rssPoints.slice(0, third)), rssLate: middle(rssPoints.slice(-third)),
    rate: next / seconds, heapPoints, rssPoints,
  }
}
