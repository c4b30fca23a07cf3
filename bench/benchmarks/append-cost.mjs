/** What an append costs the thread that calls it. */

import { Bench } from 'tinybench'
import { LogMessage, openLog } from '../../dist/src/index.js'
import { LINE_BYTES, makeEmojiLines, makeLines } from '../entries.mjs'
import { createHistogram, record, summarize } from '../latency.mjs'
import { makeWork } from './floors.mjs'

export const title = 'Append cost on the caller\'s thread'

const SIZES = [16, LINE_BYTES, 1024, 16 * 1024, 2 ** 20]
const KINDS = ['string', 'emoji', 'bytes', 'message', 'group']
const GROUP = 8
/** Calls timed together: reading the clock takes a fifth of what an append does. */
const CALLS = 64
/** Bytes that may wait in the ring: what is measured is appending, not waiting for room. */
const AHEAD_BYTES = 4 * 2 ** 20
/** Of a frame, beside its data: its checksum goes over header and data. */
const HEADER_BYTES = 24

export function plan({ size }) {
  const kinds = (bytes) => KINDS.map((kind) => ({ name: `${kind}, ${bytes} B`, series: kind, x: bytes, call: 'measureCalls', settings: { kind, bytes, entries: size(300_000) } }))
  return [
    {
      title: 'A string of 104 bytes', in: ['ci', 'quick'], metric: 'appendNs', unit: 'ns', note: `Medians of tinybench, ${CALLS} calls timed together, in one process. The ring never fills up.`,
      measurements: [{ name: 'ringwal', call: 'measureAgainstFloor', settings: { bytes: LINE_BYTES, ms: size(1500) } }],
      rows: [{ name: 'append p50, 104-byte string, against encoding + CRC', of: ['ringwal', 'appendNs'], against: ['ringwal', 'floorNs'], atMost: 2 }],
    },
    {
      title: 'By kind and size: median', in: [], metric: 'callNs', unit: 'ns an entry', measurements: SIZES.flatMap(kinds),
      note: `${CALLS} calls timed together. A group is ${GROUP} strings in one call, told for each entry.`,
      plot: { x: { label: 'entry size', log: true, format: 'bytes' }, y: { label: 'an append', log: true, format: 'ns' } },
    },
    {
      title: '104 bytes: percentiles of single calls', in: [], metric: 'p50', unit: 'ns', measurements: kinds(LINE_BYTES),
      note: 'Each call timed by itself: the clock\'s own cost (timerNs) is in it. `heapBytes`: allocated by each append.',
      plot: { kind: 'percentiles', x: { label: 'share of calls', log: true, format: 'percent' }, y: { label: 'one call', log: true, format: 'ns' } },
    },
  ]
}

export async function measureAgainstFloor({ directory, bytes, ms }) {
  const lines = makeLines(bytes)
  const log = await openLog({ directory, whenFull: 'block' })
  const bench = new Bench({ time: ms, warmupTime: ms / 3 })
  const floor = makeWork('encode and crc', bytes, CALLS, lines, HEADER_BYTES)
  let next = 0
  const append = () => {
    for (let call = 0; call < CALLS; call++) log.append(lines[next++ & (lines.length - 1)])
  }
  bench.add('floor', floor)
  bench.add('append', append, { afterEach: keepRoom(log, bytes, CALLS) })
  await bench.run()
  await log.close()
  const [floorNs, appendNs] = bench.tasks.map(({ result }) => (result.latency.p50 * 1e6) / CALLS)
  return { appendNs, floorNs }
}

/** Between what is timed: waits until all is durable when some MiB have gathered. */
function keepRoom(log, bytes, entriesEach) {
  const most = Math.max(1, Math.floor(AHEAD_BYTES / (bytes + HEADER_BYTES + 4)))
  let ahead = 0
  return () => {
    ahead += entriesEach
    if (ahead + entriesEach <= most) return
    const outcome = log.flushSync()
    if (outcome !== 'durable') throw new Error(`expected all to be durable, got ${outcome}`)
    ahead = 0
  }
}

export async function measureCalls({ directory, kind, bytes, entries }) {
  const log = await openLog({ directory, whenFull: 'block', maxSegmentBytes: 2 ** 30 })
  const { call, entriesEach } = makeCall(log, kind, bytes)
  const calls = Math.max(1, Math.min(CALLS, Math.floor(AHEAD_BYTES / bytes / entriesEach / 4)))
  const rounds = Math.max(20, Math.floor(Math.min(entries, 2 ** 28 / bytes) / calls / entriesEach))
  const rest = keepRoom(log, bytes, calls * entriesEach)
  const together = createHistogram()
  const single = createHistogram()
  for (let round = -rounds; round < rounds; round++) {
    const startMs = performance.now()
    for (let one = 0; one < calls; one++) call()
    if (round >= 0) record(together, ((performance.now() - startMs) * 1e6) / calls / entriesEach)
    rest()
  }
  for (let round = 0; round < rounds; round++) {
    for (let one = 0; one < calls; one++) {
      const startMs = performance.now()
      call()
      record(single, (performance.now() - startMs) * 1e6)
    }
    rest()
  }
  const heapBytes = measureHeap(call, calls, rest) / entriesEach
  await log.close()
  return { callNs: together.getValueAtPercentile(50), heapBytes, timerNs: measureTimer(), ...summarize(single) }
}

/** Heap that grows over some calls, without a collection between: the least of several tries, since a collection may still come. */
function measureHeap(call, calls, rest) {
  const tries = []
  for (let attempt = 0; attempt < 20; attempt++) {
    globalThis.gc()
    const before = process.memoryUsage().heapUsed
    for (let one = 0; one < calls; one++) call()
    tries.push((process.memoryUsage().heapUsed - before) / calls)
    rest()
  }
  const grown = tries.filter((bytes) => bytes >= 0)
  return grown.length === 0 ? 0 : Math.min(...grown)
}

function measureTimer() {
  const histogram = createHistogram()
  for (let index = 0; index < 100_000; index++) {
    const startMs = performance.now()
    record(histogram, (performance.now() - startMs) * 1e6)
  }
  return histogram.getValueAtPercentile(50)
}

function makeCall(log, kind, bytes) {
  const lines = kind === 'emoji' ? makeEmojiLines(bytes) : makeLines(bytes)
  const mask = lines.length - 1
  let next = 0
  if (kind === 'bytes') {
    const buffers = lines.map((line) => Buffer.from(line))
    return { call: () => log.append(buffers[next++ & mask]), entriesEach: 1 }
  }
  if (kind === 'message') {
    const message = new LogMessage()
    return { call: () => log.append(message.reset().write(lines[next++ & mask])), entriesEach: 1 }
  }
  if (kind === 'group') {
    const groups = lines.map((_, index) => Array.from({ length: bytes > 2 ** 18 ? 1 : GROUP }, (_one, at) => lines[(index + at) & mask]))
    return { call: () => log.appendGroup(groups[next++ & mask]), entriesEach: groups[0].length }
  }
  return { call: () => log.append(lines[next++ & mask]), entriesEach: 1 }
}
