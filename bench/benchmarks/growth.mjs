/** What an entry costs while everything grows: the log, its segments, its consumers. Each curve should be flat. */

import { setImmediate as turn } from 'node:timers/promises'
import { openLog } from '../../dist/src/index.js'
import { BESIDE_BYTES, LINE_BYTES, makeLines } from '../entries.mjs'
import { touchMemory } from '../raw-disk.mjs'
import { median } from '../statistics.mjs'

export const title = 'Growth'

const POINTS = 40
const CONSUMERS = [1, 10, 25, 50, 100]
const ROUNDS = 4
const LINES = makeLines()
const line = (index) => LINES[index & (LINES.length - 1)]

export function plan({ size }) {
  const entries = size(20_000_000)
  const segments = size(10_000)
  const label = (number) => number.toLocaleString('en-US')
  const flat = (x, y) => ({ kind: 'points', x: { label: x, format: 'count' }, y: { label: y, format: y.startsWith('ns') ? 'ns' : 'count', fromZero: true } })
  return [
    {
      title: `The log, to ${label(entries)} entries`, in: [], metric: 'late', unit: 'ns an entry, last quarter', note: 'Until durable, in 40 parts.',
      measurements: [{ name: 'ringwal', promise: 'durable', call: 'measureLog', settings: { entries } }],
      rows: [{ name: `cost of an entry, the last quarter of ${label(entries)} against the first`, of: ['ringwal', 'late'], against: ['ringwal', 'early'] }],
      plot: flat('entries in the log', 'ns an entry'),
    },
    {
      title: `Segments, to ${label(segments)}`, in: [], rounds: 2, metric: 'late', unit: 'ms a roll, last quarter', note: 'One entry of 104 bytes in each, then `roll()`.',
      measurements: [{ name: 'ringwal', promise: 'durable', call: 'measureSegments', settings: { segments } }],
      rows: [{ name: `a roll, the last quarter of ${label(segments)} segments against the first`, of: ['ringwal', 'late'], against: ['ringwal', 'early'] }],
      plot: flat('segments', 'ms a roll'),
    },
    {
      title: 'Consumers, to 100', in: [], metric: 'ns', unit: 'ns an entry', note: 'Appending while each consumer commits after every 1,000 entries, until all is durable.',
      measurements: CONSUMERS.map((consumers) => ({ name: `${consumers} consumers`, series: 'append and commits', x: consumers, promise: 'durable', call: 'measureConsumers', settings: { consumers, entries: size(500_000) } })),
      rows: [{ name: '100 consumers against 1', of: '100 consumers', against: '1 consumers' }],
      plot: { x: { label: 'consumers', format: 'count' }, y: { label: 'an entry', format: 'ns', fromZero: true } },
    },
  ]
}

/** Curves of a cost, and its medians at the beginning and the end. */
function summarize(points) {
  const quarter = Math.max(1, Math.floor(points.length / 4))
  const middle = (part) => median(part.map(([, value]) => value))
  return { early: middle(points.slice(0, quarter)), late: middle(points.slice(-quarter)), points }
}

async function appendDurably(log, count) {
  const startMs = performance.now()
  for (let index = 0; index < count; index++) log.append(line(index))
  await log.flush()
  return performance.now() - startMs
}

export async function measureLog({ directory, entries }) {
  const log = await openLog({ directory, whenFull: 'block' })
  const part = Math.ceil(entries / POINTS)
  await appendDurably(log, part)
  touchMemory(directory, entries * (LINE_BYTES + BESIDE_BYTES))
  const points = []
  for (let index = 1; index <= POINTS; index++) points.push([index * part, ((await appendDurably(log, part)) * 1e6) / part])
  await log.close()
  return summarize(points)
}

export async function measureSegments({ directory, segments }) {
  const log = await openLog({ directory })
  const part = Math.ceil(segments / POINTS)
  const points = []
  for (let index = 1; index <= POINTS; index++) {
    const startMs = performance.now()
    for (let roll = 0; roll < part; roll++) {
      await log.write(line(roll))
      await log.roll()
    }
    points.push([index * part, (performance.now() - startMs) / part])
  }
  if (log.segments().length < part * POINTS) throw new Error(`expected ${part * POINTS} segments, got ${log.segments().length}`)
  await log.close()
  return summarize(points)
}

export async function measureConsumers({ directory, consumers, entries }) {
  const log = await openLog({ directory, whenFull: 'block', retention: { keepConsumed: true } })
  const all = Array.from({ length: consumers }, (_, index) => log.consumer(`consumer ${index}`))
  await appendDurably(log, entries)
  // What is committed must have been delivered.
  for (const consumer of all) await deliver(consumer, entries)
  touchMemory(directory, ROUNDS * entries * (LINE_BYTES + BESIDE_BYTES))
  let ns
  // The last one counts: all is compiled by then.
  for (let round = 0; round < ROUNDS; round++) ns = await appendAndCommit(log, all, { entries, round })
  await log.close()
  return { ns }
}

async function appendAndCommit(log, consumers, { entries, round }) {
  const startMs = performance.now()
  for (let index = 0; index < entries; index++) {
    log.append(line(index))
    if (index % 1000 !== 999) continue
    const committed = Math.floor((round * entries + index + 1) / ROUNDS)
    for (const consumer of consumers) consumer.commit(committed)
    if (index % 100_000 === 99_999) await turn()
  }
  await log.flush()
  return ((performance.now() - startMs) * 1e6) / entries
}

async function deliver(consumer, entries) {
  const iterator = consumer[Symbol.asyncIterator]()
  for (let last = 0; last < entries;) last = (await iterator.next()).value.sequence
  await iterator.return()
}
