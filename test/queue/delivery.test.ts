import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { readLog, type Log, type LogEntry } from '../../dist/src/index.js'
import { MAX_WAITING_BYTES, MAX_WAITING_ENTRIES } from '../../dist/src/queue/delivery.js'
import { fill, open, until } from '../support/filled-log.js'

const ONCE_ONLY = { retry: { maxAttempts: 1 } }
const LATER = { retry: { initialDelayMs: 60_000, maxDelayMs: 60_000 } }

/** Time enough for anybody else to have read all of it, too. */
async function readAll(log: Log): Promise<void> {
  for await (const _ of log.readBatches());
}

/** A promise, and the ways to settle it. */
function held(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve!: () => void
  let reject!: (error: Error) => void
  const promise = new Promise<void>((...ways) => ([resolve, reject] = ways))
  return { promise, resolve, reject }
}

test('a handler that returns because its time was over has finished nothing: its entry comes again', async () => {
  const log = await open()
  await fill(log, 3)
  const consumer = log.consumer('reader')
  const running = consumer.run((entry, { signal }) => entry.sequence === 1 ? undefined : new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve())
  }), { concurrency: 2, stopTimeoutMs: 10 })
  await until(() => consumer.progress.inFlight === 2)
  await consumer.stop()
  await running
  for (let round = 0; round < 10; round++) await turn()
  expect(consumer.progress.committed).toBe(1)
})

test('what ends after its time is over is neither committed, nor tried again, nor buried, nor told', async () => {
  const log = await open()
  await fill(log, 2)
  const consumer = log.consumer('reader')
  const works = [held(), held()]
  const onError = vi.fn()
  const running = consumer.run((entry) => works[entry.sequence - 1]!.promise, { concurrency: 2, stopTimeoutMs: 10, deadLetter: 'dead', onError, ...ONCE_ONLY })
  await until(() => consumer.progress.inFlight === 2)
  await consumer.stop()
  await running
  works[0]!.resolve()
  works[1]!.reject(new Error('late'))
  for (let round = 0; round < 10; round++) await turn()
  expect(consumer.progress).toMatchObject({ committed: 0, deadLettered: 0, inFlight: 0, retrying: 0 })
  expect(onError).not.toHaveBeenCalled()
})

test('what a handler returns may throw when it is waited for: that attempt has failed', async () => {
  const log = await open()
  await fill(log, 2)
  const consumer = log.consumer('reader')
  const cause = new Error('cannot be waited for')
  const results = [
    { then: () => { throw cause } },
    { get then(): never { throw cause } },
  ]
  const failures: unknown[] = []
  const running = consumer.run(({ sequence }, { attempt }) => attempt === 1 ? results[sequence - 1] : undefined, {
    retry: { initialDelayMs: 1 }, onError: (error) => void failures.push(error),
  })
  await Promise.race([running, until(() => consumer.progress.lag === 0)])
  expect(failures).toEqual([cause, cause])
  expect(consumer.progress).toMatchObject({ committed: 2, inFlight: 0, retrying: 0 })
  await consumer.stop()
  await running
})

test('what a handler returns may call back more than once: it has ended once', async () => {
  const log = await open()
  await fill(log, 3)
  const consumer = log.consumer('reader')
  const work = held()
  const twice = {
    then(resolve: () => void, reject: (error: Error) => void): void {
      resolve()
      resolve()
      reject(new Error('after all'))
    },
  }
  const onError = vi.fn()
  const running = consumer.run(({ sequence }) => sequence === 1 ? twice : work.promise, { onError })
  await until(() => consumer.progress.committed === 1)
  for (let round = 0; round < 10; round++) await turn()
  expect(consumer.progress).toMatchObject({ inFlight: 1, retrying: 0 })
  work.resolve()
  await until(() => consumer.progress.lag === 0)
  await consumer.stop()
  await running
  expect(onError).not.toHaveBeenCalled()
})

test('what fails while a run is stopping leaves no timer that holds the process', async () => {
  const log = await open()
  await fill(log, 1)
  const consumer = log.consumer('reader')
  const work = held()
  const running = consumer.run(() => work.promise, LATER)
  await until(() => consumer.progress.inFlight === 1)
  const stopping = consumer.stop()
  for (let round = 0; round < 10; round++) await turn()
  const timers = vi.spyOn(globalThis, 'setTimeout')
  onTestFinished(() => timers.mockRestore())
  work.reject(new Error('no'))
  await stopping
  await running
  expect(timers.mock.calls.filter(([, delayMs]) => delayMs! >= 30_000)).toEqual([])
  expect(consumer.progress.committed).toBe(0)
})

test('a stop waits for what is on its way to the dead letters, and commits it', async () => {
  const log = await open()
  await fill(log, 1)
  const consumer = log.consumer('reader')
  const running = consumer.run(() => {
    setImmediate(() => void consumer.stop())
    throw new Error('no')
  }, { deadLetter: 'dead', ...ONCE_ONLY })
  await running
  expect(consumer.progress).toMatchObject({ committed: 1, deadLettered: 1 })
  let letters = 0
  for await (const _ of readLog(join(log.directory, 'dead', 'dead'), { includeWritten: true })) letters++
  expect(letters).toBe(1)
})

test('after a seek, what failed for good before it is not buried', async () => {
  const log = await open()
  await fill(log, 2)
  const consumer = log.consumer('reader')
  const work = held()
  const seen: number[] = []
  const running = consumer.run((entry) => {
    seen.push(entry.sequence)
    return seen.length === 1 ? work.promise : undefined
  }, { deadLetter: 'dead', ...ONCE_ONLY })
  await until(() => seen.length === 1)
  consumer.seek({ sequence: 2 })
  work.reject(new Error('of the place before'))
  await until(() => consumer.progress.lag === 0)
  expect(seen).toEqual([1, 2])
  await consumer.stop()
  await running
  await log.close()
  expect(consumer.progress).toMatchObject({ committed: 2, deadLettered: 0 })
  expect(existsSync(join(log.directory, 'dead'))).toBe(false)
})

test('batches that wait to be tried again are bounded by their entries', async () => {
  const log = await open({ ringBytes: 2 ** 24 })
  await fill(log, 3 * MAX_WAITING_ENTRIES, () => 'x')
  const consumer = log.consumer('reader')
  let started = 0
  const running = consumer.runBatches((entries) => {
    started += entries.length
    throw new Error('away')
  }, LATER)
  await until(() => started >= MAX_WAITING_ENTRIES)
  await readAll(log)
  expect(started).toBeLessThan(MAX_WAITING_ENTRIES + 1000)
  await consumer.stop()
  await running
})

test('entries that wait to be tried again are bounded by their bytes', async () => {
  const log = await open({ ringBytes: 2 ** 24 })
  const entryBytes = 2 ** 20
  await fill(log, 100, () => Buffer.alloc(entryBytes))
  const consumer = log.consumer('reader')
  let started = 0
  const running = consumer.run(() => {
    started++
    throw new Error('away')
  }, LATER)
  await until(() => started * entryBytes >= MAX_WAITING_BYTES)
  await readAll(log)
  expect(started * entryBytes).toBe(MAX_WAITING_BYTES)
  await consumer.stop()
  await running
})

test('an entry that waited has its own bytes, not the block that it was read in, and what was taken of it before stands', async () => {
  const log = await open()
  for (let number = 1; number <= 1000; number++) log.append(`entry ${number}`)
  await log.flush()
  const consumer = log.consumer('reader')
  const attempts: { readonly entry: LogEntry; readonly data: Buffer; readonly timestamp: number }[] = []
  await consumer.run((entry, { attempt }) => {
    if (entry.sequence !== 500) return
    attempts.push({ entry, data: entry.data, timestamp: entry.timestamp })
    if (attempt === 1) throw new Error('again')
    setImmediate(() => void consumer.stop())
  }, { retry: { initialDelayMs: 1 } })
  expect(attempts.map(({ data }) => data.toString())).toEqual(['entry 500', 'entry 500'])
  expect(attempts[0]!.data.buffer.byteLength).toBeGreaterThan(10_000)
  expect(attempts[1]!.data.buffer.byteLength).toBeLessThan(100)
  expect(attempts[1]!.timestamp).toBe(attempts[0]!.timestamp)
  expect(attempts[1]!.entry.text()).toBe('entry 500')
})

test('a thousand entries that are ready at once do not pile up on the stack', async () => {
  const log = await open()
  await fill(log, 1000)
  const consumer = log.consumer('reader')
  const block = held()
  let deepest = 0
  const running = consumer.run((entry, { attempt }) => {
    Error.stackTraceLimit = 1000
    deepest = Math.max(deepest, new Error('look').stack!.split('\n').length)
    if (entry.sequence < 1000 && attempt === 1) throw new Error('again')
    return entry.sequence === 1000 ? block.promise : undefined
  }, { retry: { initialDelayMs: 1, maxDelayMs: 1 } })
  onTestFinished(() => void (Error.stackTraceLimit = 10))
  // All others become ready while the last one has the only place.
  await until(() => consumer.progress.inFlight === 1 && consumer.progress.retrying === 999)
  await new Promise((resolve) => setTimeout(resolve, 20))
  block.resolve()
  await until(() => consumer.progress.lag === 0)
  expect(deepest).toBeLessThan(100)
  await consumer.stop()
  await running
})
