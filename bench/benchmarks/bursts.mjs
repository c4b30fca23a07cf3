/** Idle, then very much at once: how long the caller stalls at most, and when all is durable. */

import { setTimeout as sleep } from 'node:timers/promises'
import { LINE_BYTES, makeLines } from '../entries.mjs'
import { createHistogram, record, summarize } from '../latency.mjs'

export const title = 'Bursts'

const IDLE_MS = 300

const CONTENDERS = [
  { name: 'ringwal', store: 'ringwal', promise: 'durable' },
  { name: 'ringwal, ring of 512 MiB', store: 'ringwal', options: { ringBytes: 2 ** 29 }, promise: 'durable' },
  { name: 'pino transport to a file', store: 'pino-transport', promise: 'written', needs: ['pino'] },
  { name: 'sonic-boom, async (pino.destination)', store: 'sonic-boom', promise: 'written', needs: ['sonic-boom'] },
  { name: 'lmdb, batched, flushed', store: 'lmdb', promise: 'durable', needs: ['lmdb'] },
]

export function plan({ size, isFull }) {
  const count = size(2_000_000)
  return [{
    title: `${count.toLocaleString('en-US')} lines of ${LINE_BYTES} bytes at once`, in: ['quick'], metric: 'p999', unit: 'ns',
    note: 'Three bursts after some idling each; each call timed by itself, waiting for room included (the default ring takes 127,000 such lines). `safeMs`: from the first call until all is as safe as promised.',
    measurements: (isFull ? CONTENDERS : CONTENDERS.slice(0, 1)).map(({ name, store, options, promise, needs }) => ({
      name, promise, needs, call: 'measureBursts', settings: { store, options, count, bursts: isFull ? 3 : 2 },
    })),
    rows: [{ name: 'append p99.9 in a burst against its p50', of: ['ringwal', 'p999'], against: ['ringwal', 'p50'], atMost: 100 }],
    plot: { kind: 'percentiles', x: { label: 'share of calls', log: true, format: 'percent' }, y: { label: 'one call', log: true, format: 'ns' } },
  }]
}

export async function measureBursts({ directory, store, options, count, bursts }) {
  const { open } = await import(`../stores/${store}.mjs`)
  const opened = await open(directory, options)
  const lines = makeLines()
  const mask = lines.length - 1
  const histogram = createHistogram()
  const safe = []
  const burst = async (histogramOrNone) => {
    await sleep(IDLE_MS)
    const startMs = performance.now()
    let lastMs = startMs
    for (let index = 0; index < count; index++) {
      const wait = opened.add(lines[index & mask])
      if (wait !== undefined) await wait
      const nowMs = performance.now()
      if (histogramOrNone !== undefined) record(histogramOrNone, (nowMs - lastMs) * 1e6)
      // Recording is not the call's time.
      lastMs = performance.now()
    }
    const calledMs = performance.now() - startMs
    await opened.durable()
    return { calledMs, safeMs: performance.now() - startMs }
  }
  await burst()
  for (let round = 0; round < bursts; round++) safe.push(await burst(histogram))
  await opened.close()
  const mean = (pick) => safe.reduce((sum, one) => sum + pick(one), 0) / safe.length
  return { ...summarize(histogram), calledMs: mean(({ calledMs }) => calledMs), safeMs: mean(({ safeMs }) => safeMs) }
}
