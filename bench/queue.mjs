/**
 * The queue: what commits cost beside appends, how fast entries are delivered to a handler that does nothing, and whether a consumer catches up
 * with a burst. `npm run bench:queue`. ROUNDS, COMMITS and BURST may be set in the environment.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Table from 'cli-table3'
import { openLog } from 'ringwal'
import { LINE_BYTES, lines } from './lines.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 9)
const COMMITS = Number(process.env.COMMITS ?? 1_000_000)
const BURST = Number(process.env.BURST ?? 5_000_000)
const LINE_MASK = lines.length - 1

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const spread = (values, digits = 0) => `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)})`

async function withLog(use, options = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'ringwal-queue-'))
  const log = await openLog({ directory, whenFull: 'block', retention: { keepConsumed: true }, ...options })
  try {
    return await use(log)
  } finally {
    await log.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function append(log, count, each = () => undefined) {
  const before = log.stats()
  const startMs = performance.now()
  for (let index = 0; index < count; index++) {
    log.append(lines[index & LINE_MASK])
    each(index)
  }
  await log.flush()
  const ms = performance.now() - startMs
  const after = log.stats()
  // Each batch has one; what goes beyond was made for something else.
  return { ms, extraSyncs: after.syncs - before.syncs - (after.batches - before.batches) }
}

/** The same appends alone, and with a commit after each, in turn. */
async function commitCost() {
  return await withLog(async (log) => {
    const consumer = log.consumer('reader')
    const alone = []
    const beside = []
    for (let round = -1; round < ROUNDS; round++) {
      const plain = await append(log, COMMITS)
      // Commits need deliveries: as many entries as will be committed.
      const iterator = consumer[Symbol.asyncIterator]()
      const first = consumer.progress.committed + 1
      for (let last = 0; last < first + COMMITS - 1;) last = (await iterator.next()).value.sequence
      await iterator.return()
      const committing = await append(log, COMMITS, (index) => consumer.commit(first + index))
      if (round < 0) continue
      alone.push(plain)
      beside.push(committing)
    }
    const ratios = beside.map(({ ms }, round) => (ms / alone[round].ms - 1) * 100)
    return { alone, beside, ratios }
  })
}

async function deliveryRates() {
  return await withLog(async (log) => {
    await append(log, COMMITS)
    const rates = { run: [], runBatches: [] }
    for (let round = -1; round < ROUNDS; round++) {
      for (const way of ['run', 'runBatches']) {
        const consumer = log.consumer(`${way} ${round}`)
        const startMs = performance.now()
        let seen = 0
        await consumer[way]((entries) => {
          seen += way === 'run' ? 1 : entries.length
          if (seen === COMMITS) setImmediate(() => void consumer.stop())
        })
        if (round >= 0) rates[way].push(COMMITS / (performance.now() - startMs))
        await log.deleteConsumer(consumer.name)
      }
    }
    return rates
  })
}

/** A burst, and a consumer beside it: its lag now and then, and the heap. */
async function burst() {
  return await withLog(async (log) => {
    const consumer = log.consumer('reader')
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    await append(log, BURST)
    const lags = []
    let mostBytes = 0
    const startMs = performance.now()
    const running = consumer.runBatches(() => undefined)
    while (consumer.progress.lag > 0) {
      lags.push(consumer.progress.lag)
      mostBytes = Math.max(mostBytes, process.memoryUsage().heapUsed - before)
      await sleep(100)
    }
    const ms = performance.now() - startMs
    await consumer.stop()
    await running
    return { lags, ms, mostMib: mostBytes / 2 ** 20, falls: lags.every((lag, index) => index === 0 || lag < lags[index - 1]) }
  }, { retention: {} })
}

const cost = await commitCost()
const rates = await deliveryRates()
const caught = await burst()
const table = new Table({ head: ['', 'median (least to most)', 'to reach'], style: { head: [], border: [], compact: true } })
table.push(
  [`${COMMITS.toLocaleString('en-US')} appends alone, ms`, spread(cost.alone.map(({ ms }) => ms)), ''],
  ['... with as many commits beside them, ms', spread(cost.beside.map(({ ms }) => ms)), ''],
  ['more time, %', spread(cost.ratios, 1), 'below 10'],
  ['syncs beyond one a batch, alone', spread(cost.alone.map(({ extraSyncs }) => extraSyncs)), ''],
  ['... with commits', spread(cost.beside.map(({ extraSyncs }) => extraSyncs)), 'no more'],
  ['run, thousand entries/s', spread(rates.run), '150'],
  ['runBatches, thousand entries/s', spread(rates.runBatches), '500'],
  [`after a burst of ${BURST.toLocaleString('en-US')}: caught up within ms`, caught.ms.toFixed(0), ''],
  ['lag every 100 ms, million', caught.lags.map((lag) => (lag / 1e6).toFixed(1)).join(' '), caught.falls ? 'falls steadily' : 'DOES NOT FALL'],
  ['heap growth meanwhile, MiB', caught.mostMib.toFixed(1), 'below 64'],
)
console.log(`Node ${process.version}, ${process.platform} ${process.arch}, lines of ${LINE_BYTES} bytes, files in ${tmpdir()}\n${table}`)
