/** How fast entries become durable: by contender, number of producer threads and size of the entries. */

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { BESIDE_BYTES, LINE_BYTES, makeLines } from '../entries.mjs'
import { touchMemory, writeAndSync } from '../raw-disk.mjs'

export const title = 'Durable throughput'

const MIB = 2 ** 20
const SIZES = [16, LINE_BYTES, 1024, 16 * 1024, MIB]
const LARGE_BYTES = 64 * 1024

/** Of one profiled entry of 104 bytes, Node 20, 2 virtual cores, 2026. */
const PRODUCER_LIMIT = 'One producer thread is what limits it, with 125 to 145 ns for each entry: some 40 each for reading the clock and for encoding, which are calls out of JavaScript, '
  + '35 for claim, copy and publishing, the rest for the checks around them.'

const CONTENDERS = [
  { name: 'ringwal', store: 'ringwal', promise: 'durable' },
  { name: 'lmdb, batched, flushed', store: 'lmdb', promise: 'durable', needs: ['lmdb'], target: 4.5 },
  { name: 'better-sqlite3, WAL FULL, 1000 rows a transaction', store: 'sqlite', promise: 'durable', needs: ['better-sqlite3'], target: 5 },
  { name: 'pino transport to a file', store: 'pino-transport', promise: 'written', needs: ['pino'], target: 2 },
]
const FURTHER = [
  { name: 'classic-level, sync, batches of 1000', store: 'level', promise: 'durable', needs: ['classic-level'] },
  { name: 'sonic-boom, async (pino.destination)', store: 'sonic-boom', promise: 'written', needs: ['sonic-boom'] },
  { name: 'sonic-boom, sync (pino.destination)', store: 'sonic-boom', options: { sync: true }, promise: 'written', needs: ['sonic-boom'] },
  { name: 'winston file', store: 'winston', promise: 'written', needs: ['winston'] },
  { name: '@logtape/file, syncs at each flush', store: 'logtape', promise: 'durable', needs: ['@logtape/file'], share: 0.02 },
]

export function plan({ size, isFull }) {
  const contenders = isFull ? [...CONTENDERS, ...FURTHER] : CONTENDERS
  return [
    {
      title: 'One producer, lines of 104 bytes', in: ['quick'], metric: 'rate', unit: 'entries/s',
      note: 'From the first append until the last line is as safe as the contender promises, in a store that has taken as many before. Very slow ones take fewer lines.',
      measurements: contenders.map(({ name, store, options, promise, needs, share = 1 }) => ({
        name, promise, needs, call: 'measureStore', settings: { store, options, bytes: LINE_BYTES, count: size(500_000 * share) },
      })),
      rows: contenders.slice(1).map(({ name, target }) => ({ name: `ringwal against ${name}`, of: 'ringwal', against: name, atLeast: target, limit: PRODUCER_LIMIT })),
    },
    againstFloor(),
    producersContest({ size, isFull }),
    ...sweeps({ size }),
  ]
}

/** Of one size in every run: with less the first milliseconds of a process would be measured, and with smaller segments their rolls. */
function againstFloor() {
  const count = 4096
  const totalBytes = count * LARGE_BYTES
  const ringwal = (name, options) => ({ name, promise: 'durable', call: 'measureStore', settings: { store: 'ringwal', bytes: LARGE_BYTES, count, options: { maxSegmentBytes: totalBytes / 4, ...options } } })
  const raw = (name, isPreallocated, of) => ({
    name, promise: 'durable', call: 'measureRaw',
    settings: (measured) => ({ bytes: Math.max(4096, Math.round(measured[of].batchBytes / 4096) * 4096), totalBytes, isPreallocated }),
  })
  return {
    title: 'Entries of 64 KiB against the raw disk', in: ['ci', 'quick'], metric: 'megabytes', unit: 'MB/s',
    note: 'Like against like. A log that keeps two segments writes into those it has freed, as the raw file is filled with zeros and synced before; a log that '
      + 'only grows takes new blocks, as a raw file that is appended to. The same bytes are written raw, in batches of the mean size that ringwal has just made, each followed by fdatasync.',
    measurements: [
      ringwal('ringwal, freed segments', { retention: { maxSegments: 2 } }),
      raw('raw, preallocated', true, 'ringwal, freed segments'),
      ringwal('ringwal, new segments'),
      raw('raw, appended', false, 'ringwal, new segments'),
    ],
    rows: [
      { name: 'all bytes synced, 64 KiB entries, against the raw preallocated floor', of: 'ringwal, freed segments', against: 'raw, preallocated', atLeast: 0.8,
        limit: 'The writer writes and syncs all the time, as the raw file does, but with a producer beside it that encodes each entry (6 µs) and computes its checksum (9 µs): '
          + 'with a thread that does just that beside it the raw file, too, is written at 0.84 to 0.93 of its rate. The rolls, one every 64 MiB, take a tenth.' },
      { name: '… a log that only grows, against raw appending', of: 'ringwal, new segments', against: 'raw, appended' },
    ],
  }
}

const SHARED_LIMIT = 'Two cores are all used: of 280 ns for an entry two producers take 205 and the writer 75. One producer takes 145: with two, the call that claims and fills takes 85 ns '
  + 'instead of 35, for the cache lines that both write to (other places for the words and slots that they share did not help). '
  + 'Every batch is then as large as it may be: the writer, which drains, writes and syncs by turns, has to share the cores with them.'

function producersContest({ size, isFull }) {
  const numbers = isFull ? [1, 2, 4, 8] : [1, 2, 4]
  const name = (producers) => `${producers} producer${producers === 1 ? '' : 's'}`
  return {
    title: 'Producer threads, lines of 104 bytes', in: ['quick'], metric: 'rate', unit: 'entries/s',
    note: 'All producers are worker threads, started together; until all that they appended is durable. The main thread waits.',
    measurements: numbers.map((producers) => ({
      name: name(producers), promise: 'durable', call: 'measureProducers', settings: { producers, bytes: LINE_BYTES, count: size(1_600_000) },
    })),
    rows: [
      { name: '2 producers together against 1', of: name(2), against: name(1), atLeast: 1.3, limit: SHARED_LIMIT },
      { name: '4 producers together against 1', of: name(4), against: name(1), atLeast: 1, limit: SHARED_LIMIT },
      ...(isFull ? [{ name: '8 producers together against 1', of: name(8), against: name(1) }] : []),
    ],
  }
}

function sweeps({ size }) {
  /** Some 200 MB each; small entries fewer bytes, since their number counts. */
  const count = (bytes) => size(Math.round(Math.min(1_000_000, 200 * MIB / bytes) / 8) * 8)
  const plot = { x: { label: 'entry size', log: true, format: 'bytes' }, y: { label: 'MB/s', log: true, format: 'count' } }
  const sizes = (series, settings) => SIZES.map((bytes) => ({ ...series, name: `${series.series}, ${bytes} B`, x: bytes, settings: { ...settings, bytes, count: count(bytes) } }))
  return [
    {
      title: 'By entry size and producers', in: [], metric: 'megabytes', unit: 'MB/s', plot,
      measurements: [1, 2, 4, 8].flatMap((producers) => sizes({ series: `${producers} producers`, promise: 'durable', call: 'measureProducers' }, { producers })),
    },
    {
      title: 'By entry size and contender', in: [], metric: 'megabytes', unit: 'MB/s', plot,
      measurements: CONTENDERS.flatMap(({ name, store, promise, needs }) => sizes({ series: name, promise, needs, call: 'measureStore' }, { store })),
    },
    {
      title: 'When to sync, lines of 104 bytes', in: [], metric: 'rate', unit: 'entries/s',
      note: '`manual`: one flush at the end.',
      measurements: ['batch', 'manual', { intervalMs: 10 }].map((durability) => ({
        name: `durability: ${JSON.stringify(durability)}`, promise: 'durable', call: 'measureStore',
        settings: { store: 'ringwal', options: { durability }, bytes: LINE_BYTES, count: size(1_000_000) },
      })),
    },
  ]
}

/** Appends as many to warm up, then `count` against the clock. */
export async function measureStore({ directory, store, options, bytes, count }) {
  const lines = makeLines(bytes)
  const mask = lines.length - 1
  const { open } = await import(`../stores/${store}.mjs`)
  const opened = await open(directory, options)
  const append = async () => {
    for (let index = 0; index < count; index++) {
      const wait = opened.add(lines[index & mask])
      if (wait !== undefined) await wait
    }
    await opened.durable()
  }
  await append()
  touchMemory(directory, 2 * count * (bytes + BESIDE_BYTES))
  const before = opened.log?.stats()
  const startMs = performance.now()
  await append()
  const ms = performance.now() - startMs
  const after = opened.log?.stats()
  await opened.close()
  const batches = before === undefined ? {} : { batchBytes: (after.bytes - before.bytes) / (after.batches - before.batches) }
  return { rate: (count / ms) * 1000, megabytes: (count * bytes) / ms / 1000, ...batches }
}

export function measureRaw(settings) {
  touchMemory(settings.directory, 2 * settings.totalBytes)
  return writeAndSync(settings)
}

/** Gate words: how many are ready, and which round may run. */
const READY = 0
const ROUND = 1
const DONE = 2

export async function measureProducers({ directory, producers, bytes, count }) {
  const { open } = await import('../stores/ringwal.mjs')
  const { log, close } = await open(directory, {})
  const gate = new Int32Array(new SharedArrayBuffer(12))
  const share = Math.max(1, Math.round(count / producers))
  const workers = Array.from({ length: producers }, () => new Worker(new URL('../producer-thread.mjs', import.meta.url), {
    workerData: { handle: log.handle(), gate, bytes, count: share, rounds: 2 },
  }))
  const ended = Promise.all(workers.map((worker) => once(worker, 'exit')))
  const reached = async (word, value) => {
    for (let now = Atomics.load(gate, word); now < value; now = Atomics.load(gate, word)) await Atomics.waitAsync(gate, word, now, 100).value
  }
  const runRound = async (round) => {
    await reached(READY, producers * round)
    touchMemory(directory, 2 * count * (bytes + BESIDE_BYTES))
    const startMs = performance.now()
    Atomics.store(gate, ROUND, round)
    Atomics.notify(gate, ROUND)
    await reached(DONE, producers * round)
    await log.flush()
    return performance.now() - startMs
  }
  await runRound(1)
  const ms = await runRound(2)
  const { entries } = log.stats()
  await ended
  await close()
  const all = share * producers
  if (entries !== 2 * all) throw new Error(`expected ${2 * all} entries, got ${entries}`)
  return { rate: (all / ms) * 1000, megabytes: (all * bytes) / ms / 1000 }
}
