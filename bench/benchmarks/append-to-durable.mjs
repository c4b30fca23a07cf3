/** How long it takes from an append until the entry is durable: on a schedule, and for those who wait for each. */

import { setImmediate as turn } from 'node:timers/promises'
import { LINE_BYTES, makeLines } from '../entries.mjs'
import { createHistogram, record, summarize } from '../latency.mjs'
import { writeAndSync } from '../raw-disk.mjs'

export const title = 'Append to durable'

const RATES = [1000, 10_000, 100_000, 1_000_000]
/** The first part of a schedule is not measured. */
const WARM_MS = 500
/** Latencies recorded for each second: of more entries every n-th is. */
const RECORDED_RATE = 100_000
/** Entries appended without a turn of the event loop between, when the schedule is behind. */
const MOST_AT_ONCE = 10_000
/** Header, checksum and batch trailer: what one entry of ringwal's takes on disk beside its data. */
const RAW_BYTES = LINE_BYTES + 128
const PEERS = [
  { name: 'lmdb, flushed', store: 'lmdb', needs: ['lmdb'] },
  { name: 'better-sqlite3, WAL FULL', store: 'sqlite', needs: ['better-sqlite3'] },
]

export function plan({ size, isFull }) {
  const waiting = (name, store, writers, more = {}) => ({ name, promise: 'durable', call: 'measureWaiting', settings: { store, writers, ms: size(1500) }, ...more })
  return [
    {
      title: 'Write and wait, 104 bytes', in: ['ci', 'quick'], metric: 'p50', unit: 'ns',
      note: `Each writer writes its next entry when the last one is durable. The raw file is filled with zeros before; ${RAW_BYTES} bytes are written and synced at a time.`,
      measurements: [
        waiting('1 writer', 'ringwal', 1),
        { name: 'raw write + fdatasync', promise: 'durable', call: 'measureRaw', settings: { bytes: RAW_BYTES, ms: size(1500), isPreallocated: true } },
        waiting('16 writers', 'ringwal', 16),
        ...(isFull ? PEERS.flatMap(({ name, store, needs }) => [waiting(`${name}, 1 writer`, store, 1, { needs }), waiting(`${name}, 16 writers`, store, 16, { needs })]) : []),
      ],
      rows: [
        { name: 'write-and-wait p50, one at a time, against raw write + fdatasync', of: '1 writer', against: 'raw write + fdatasync', atMost: 1.4 },
        { name: '16 waiting writers\' p50 against 1', of: '16 writers', against: '1 writer', atMost: 2 },
      ],
      plot: percentiles('share of writes'),
    },
    ...RATES.map((rate) => ({
      title: `On schedule: ${rate.toLocaleString('en-US')} entries/s`, in: [], metric: 'p50', unit: 'ns',
      note: 'Entries arrive at fixed times. Latency counts from the time that an entry was due, so that a stall is felt by all that it kept waiting.',
      measurements: [
        { name: 'ringwal', store: 'ringwal' }, ...(rate <= 100_000 ? PEERS : []),
      ].map(({ name, store, needs }) => ({ name, needs, promise: 'durable', call: 'measureSchedule', settings: { store, rate, ms: size(3000) } })),
      plot: percentiles('share of entries'),
    })),
  ]
}

function percentiles(label) {
  return { kind: 'percentiles', x: { label, log: true, format: 'percent' }, y: { label: 'append to durable', log: true, format: 'ns' } }
}

export function measureRaw(settings) {
  return writeAndSync(settings)
}

export async function measureWaiting({ directory, store, writers, ms }) {
  const { open } = await import(`../stores/${store}.mjs`)
  const opened = await open(directory)
  const lines = makeLines()
  const write = opened.log === undefined
    ? async (line) => {
      opened.add(line)
      await opened.durable()
    }
    : (line) => opened.log.write(line)
  const histogram = createHistogram()
  const startMs = performance.now()
  const work = async (number) => {
    for (let index = number; ; index++) {
      const beforeMs = performance.now()
      if (beforeMs - startMs > WARM_MS + ms) return
      await write(lines[index & (lines.length - 1)])
      if (beforeMs - startMs > WARM_MS) record(histogram, (performance.now() - beforeMs) * 1e6)
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, number) => work(number)))
  await opened.close()
  return { ...summarize(histogram), rate: histogram.totalCount / (ms / 1000) }
}

export async function measureSchedule({ directory, store, rate, ms }) {
  const { open } = await import(`../stores/${store}.mjs`)
  const opened = await open(directory)
  const lines = makeLines()
  const histogram = createHistogram()
  const stride = Math.max(1, Math.ceil(rate / RECORDED_RATE))
  const warm = Math.ceil((WARM_MS * rate) / 1000)
  const total = warm + Math.ceil((ms * rate) / 1000)
  const startMs = performance.now() + 10
  const dueMs = (index) => startMs + (index * 1000) / rate
  const recordAll = (first, end) => {
    const nowMs = performance.now()
    for (let index = Math.max(first, warm); index < end; index++) if (index % stride === 0) record(histogram, (nowMs - dueMs(index)) * 1e6)
  }
  const pending = new Set()
  for (let next = 0; next < total;) {
    const first = next
    const end = Math.min(total, first + MOST_AT_ONCE, Math.floor(((performance.now() - startMs) * rate) / 1000) + 1)
    for (; next < end; next++) opened.add(lines[next & (lines.length - 1)])
    if (next > first) {
      const waited = opened.durable().then(() => {
        recordAll(first, end)
        pending.delete(waited)
      })
      pending.add(waited)
    }
    await turn()
  }
  await Promise.all(pending)
  const tookMs = performance.now() - startMs
  await opened.close()
  return { ...summarize(histogram), reachedRate: (total / tookMs) * 1000 }
}
