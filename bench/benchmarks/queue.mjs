/** The queue: how fast entries are delivered and committed, what commits cost, and a consumer that catches up with a burst. */

import { setTimeout as sleep } from 'node:timers/promises'
import { openLog } from '../../dist/src/index.js'
import { BESIDE_BYTES, LINE_BYTES, makeLines } from '../entries.mjs'
import { touchMemory } from '../raw-disk.mjs'

export const title = 'The queue'

const MIB = 2 ** 20
const LINES = makeLines()
const line = (index) => LINES[index & (LINES.length - 1)]

export function plan({ size }) {
  const deliveries = [
    { name: 'ringwal run', call: 'measureDelivery', settings: { way: 'run', count: size(500_000) }, promise: 'durable' },
    { name: 'ringwal runBatches', call: 'measureDelivery', settings: { way: 'runBatches', count: size(500_000) }, promise: 'durable' },
    { name: 'liteque', call: 'measureLiteque', settings: { count: size(5000) }, promise: 'written', needs: ['liteque', 'better-sqlite3'] },
    { name: 'plainjob', call: 'measurePlainjob', settings: { count: size(20_000) }, promise: 'written', needs: ['plainjob', 'better-sqlite3'] },
  ]
  return [
    {
      title: 'Delivered to a handler that does nothing, one at a time', in: [], metric: 'rate', unit: 'entries/s', measurements: deliveries,
      note: 'Enqueued before; from the start of the consumer until all is handled and marked as done (ringwal: until the commit is durable). Both other queues stand on better-sqlite3 in WAL mode with synchronous = NORMAL, which they set themselves: what they did last is lost with the power. `enqueueRate`: all enqueued one by one, and as safe as promised.',
      rows: [
        { name: 'delivery: run against liteque', of: 'ringwal run', against: 'liteque' },
        { name: 'delivery: run against plainjob', of: 'ringwal run', against: 'plainjob' },
        { name: 'enqueueing against liteque', of: ['ringwal run', 'enqueueRate'], against: ['liteque', 'enqueueRate'] },
        { name: 'enqueueing against plainjob', of: ['ringwal run', 'enqueueRate'], against: ['plainjob', 'enqueueRate'] },
      ],
    },
    {
      title: 'Commits beside appends', in: [], metric: 'ms', unit: 'ms', note: 'As many appends, alone, and with a commit after each; until all is durable. `extraSyncs`: beyond one for each batch.',
      measurements: [false, true].map((commits) => ({ name: commits ? 'with commits' : 'alone', call: 'measureCommits', settings: { commits, count: size(1_000_000) } })),
      rows: [{ name: 'appends with as many commits beside them, against appends alone', of: 'with commits', against: 'alone', atMost: 1.1,
        limit: 'A commit takes some 18 ns of the caller\'s thread, where an append takes 125.' }],
    },
    {
      title: 'Catching up with a burst', in: [], metric: 'ms', unit: 'ms', note: 'Lag and heap every 100 ms, while nothing else is appended.',
      measurements: [{ name: 'runBatches', call: 'measureCatchingUp', settings: { count: size(5_000_000) } }],
      plot: { kind: 'points', x: { label: 'ms', format: 'count' }, y: { label: 'lag, entries', format: 'count', fromZero: true } },
    },
  ]
}

const open = (directory) => openLog({ directory, whenFull: 'block', retention: { keepConsumed: true } })

async function append(log, count, each = (_index) => undefined) {
  const before = log.stats()
  const startMs = performance.now()
  for (let index = 0; index < count; index++) {
    log.append(line(index))
    each(index)
  }
  await log.flush()
  const ms = performance.now() - startMs
  const after = log.stats()
  return { ms, extraSyncs: after.syncs - before.syncs - (after.batches - before.batches) }
}

export async function measureDelivery({ directory, way, count }) {
  const log = await open(directory)
  const { ms: enqueueMs } = await append(log, count)
  const consumer = log.consumer(way)
  const startMs = performance.now()
  let seen = 0
  await consumer[way]((entries) => {
    seen += way === 'run' ? 1 : entries.length
    if (seen === count) setImmediate(() => void consumer.stop())
  })
  await consumer.committed(count)
  const ms = performance.now() - startMs
  await log.close()
  return { rate: (count / ms) * 1000, enqueueRate: (count / enqueueMs) * 1000 }
}

/** As its README sets it up. */
export async function measureLiteque({ directory, count }) {
  const { buildDBClient, Runner, SqliteQueue } = await import('liteque')
  const { z } = await import('zod')
  const database = buildDBClient(`${directory}/queue.db`, { runMigrations: true })
  const queue = new SqliteQueue('requests', database, { defaultJobArgs: { numRetries: 2 }, keepFailedJobs: false })
  const enqueueMs = await timed(async () => {
    for (let index = 0; index < count; index++) await queue.enqueue({ message: line(index) })
  })
  let seen = 0
  const runner = new Runner(queue, { run: async () => { seen++ } }, { concurrency: 1, pollIntervalMs: 1000, timeoutSecs: 60, validator: z.object({ message: z.string() }) })
  const startMs = performance.now()
  const running = runner.run()
  // It polls: that nothing is left counts, not when its runner notices.
  for (let left = count; left > 0;) {
    await sleep(1)
    if (seen < count) continue
    const { pending, pending_retry: retrying, running: open } = await queue.stats()
    left = pending + retrying + open
  }
  const ms = performance.now() - startMs
  runner.stop()
  await running
  // Its time limits are timers that nobody ends.
  setImmediate(() => process.exit())
  return { rate: (count / ms) * 1000, enqueueRate: (count / enqueueMs) * 1000 }
}

/** As its README sets it up, without its messages. */
export async function measurePlainjob({ directory, count }) {
  const { better, defineQueue, defineWorker } = await import('plainjob')
  const { default: Database } = await import('better-sqlite3')
  const silent = { error: console.error, warn: console.error, info: () => undefined, debug: () => undefined }
  const queue = defineQueue({ connection: better(new Database(`${directory}/queue.db`)), logger: silent })
  const enqueueMs = await timed(async () => {
    for (let index = 0; index < count; index++) queue.add('print', line(index))
  })
  let done = 0
  let worker
  const ms = await timed(() => new Promise((resolve) => {
    worker = defineWorker('print', async () => undefined, {
      queue, logger: silent,
      onCompleted: () => {
        if (++done === count) resolve(undefined)
      },
    })
    void worker.start()
  }))
  await worker.stop()
  queue.close()
  return { rate: (count / ms) * 1000, enqueueRate: (count / enqueueMs) * 1000 }
}

async function timed(work) {
  const startMs = performance.now()
  await work()
  return performance.now() - startMs
}

export async function measureCommits({ directory, commits, count }) {
  const log = await open(directory)
  const consumer = log.consumer('reader')
  await append(log, count)
  // Commits need deliveries: as many entries as will be committed.
  const iterator = consumer[Symbol.asyncIterator]()
  for (let last = 0; last < count;) last = (await iterator.next()).value.sequence
  await iterator.return()
  touchMemory(directory, count * (LINE_BYTES + BESIDE_BYTES))
  const result = await append(log, count, commits ? (index) => consumer.commit(1 + index) : undefined)
  await log.close()
  return result
}

export async function measureCatchingUp({ directory, count }) {
  const log = await openLog({ directory, whenFull: 'block' })
  const consumer = log.consumer('reader')
  await append(log, count)
  globalThis.gc()
  const before = process.memoryUsage().heapUsed
  let mostBytes = 0
  const points = []
  const startMs = performance.now()
  const running = consumer.runBatches(() => undefined)
  for (let lag = count; lag > 0;) {
    lag = consumer.progress.lag
    points.push([performance.now() - startMs, lag])
    mostBytes = Math.max(mostBytes, process.memoryUsage().heapUsed - before)
    if (lag > 0) await sleep(100)
  }
  const ms = performance.now() - startMs
  await consumer.stop()
  await running
  await log.close()
  return { ms, rate: (count / ms) * 1000, heapMib: mostBytes / MIB, points }
}
