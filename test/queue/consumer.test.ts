import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  attachConsumer, decodeDeadLetter, openLog, readLog, WalError, type Consumer, type ConsumerHandle, type DeadLetter, type Log, type LogEntry, type RunOptions,
} from '../../dist/src/index.js'
import { openRing } from '../../dist/src/ring/ring.js'
import { runChild, startChild } from '../support/child-process.js'
import { fill, open } from '../support/filled-log.js'
import { oweEntry } from '../support/owed-entry.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

const FAST = { initialDelayMs: 1, maxDelayMs: 4 }

/** A run that stops when `isEnough`. */
async function runUntil(consumer: Consumer, isEnough: () => boolean, handler: Parameters<Consumer['run']>[0], options?: RunOptions): Promise<void> {
  await consumer.run(async (entry, context) => {
    try {
      return await handler(entry, context)
    } finally {
      if (isEnough()) setImmediate(() => void consumer.stop())
    }
  }, options)
}

const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, index) => first + index)

async function deadLettersOf(log: Log, name: string): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  for await (const { data } of readLog(join(log.directory, 'dead', name), { includeWritten: true })) letters.push(decodeDeadLetter(data)!)
  return letters
}

describe('run', () => {
  test('delivers every entry in order, those to come included, and commits each', async () => {
    const log = await open()
    await fill(log, 100)
    const consumer = log.consumer('reader')
    const seen: string[] = []
    const running = runUntil(consumer, () => seen.length === 200, (entry) => void seen.push(entry.text()))
    await fill(log, 100, (number) => `later ${number}`)
    await running
    expect(seen).toEqual([...range(1, 100).map((number) => `entry ${number}`), ...range(1, 100).map((number) => `later ${number}`)])
    expect(consumer.progress).toMatchObject({ head: 200, committed: 200, lag: 0, lagBytes: 0, inFlight: 0, retrying: 0, deadLettered: 0, lost: 0 })
    await consumer.committed(200)
  })

  test('runs so many at a time, starts them in order, and commits the finished prefix only', async () => {
    const log = await open()
    await fill(log, 12)
    const consumer = log.consumer('reader')
    const waiting = new Map<number, () => void>()
    const started: number[] = []
    const running = consumer.run((entry) => new Promise<void>((resolve) => {
      started.push(entry.sequence)
      waiting.set(entry.sequence, resolve)
    }), { concurrency: 4 })
    const untilStarted = async (count: number): Promise<void> => {
      while (started.length < count) await new Promise((resolve) => setImmediate(resolve))
    }
    await untilStarted(4)
    expect(consumer.progress).toMatchObject({ committed: 0, inFlight: 4 })
    for (const sequence of [2, 3, 4]) waiting.get(sequence)!()
    await untilStarted(7)
    expect(consumer.progress).toMatchObject({ committed: 0, inFlight: 4 })
    expect(consumer.progress.oldestUncommittedAgeMs).toBeGreaterThanOrEqual(0)
    waiting.get(1)!()
    await untilStarted(8)
    expect(consumer.progress).toMatchObject({ committed: 4, lag: 8, inFlight: 4 })
    const stopping = consumer.stop()
    for (const sequence of [5, 6, 7, 8]) waiting.get(sequence)!()
    await stopping
    await running
    expect(started).toEqual(range(1, 8))
    expect(consumer.progress.committed).toBe(8)
  })

  test('tries a failed entry again, later and later, and tells of each failure, without holding up the others', async () => {
    const log = await open()
    await fill(log, 50)
    const consumer = log.consumer('reader')
    const attempts: number[] = []
    const failures: number[] = []
    const order: number[] = []
    await runUntil(consumer, () => order.length === 50, (entry, { attempt }) => {
      if (entry.sequence === 10) {
        attempts.push(attempt)
        if (attempt < 4) throw new Error(`attempt ${attempt}`)
      }
      order.push(entry.sequence)
    }, { concurrency: 2, retry: FAST, onError: (_error, { entries, attempt }) => void failures.push(entries[0]!.sequence * 10 + attempt) })
    expect(attempts).toEqual([1, 2, 3, 4])
    expect(failures).toEqual([101, 102, 103])
    expect(order.filter((sequence) => sequence !== 10)).toEqual(range(1, 50).filter((sequence) => sequence !== 10))
    expect(order.at(-1)).toBe(10)
    expect(consumer.progress.committed).toBe(50)
  })

  test('one poison entry among 10,000: the others do not wait, and it ends among the dead letters, durably, before it is committed', async () => {
    const log = await open()
    await fill(log, 10_000)
    const consumer = log.consumer('reader')
    const done: number[] = []
    let committedAtBurial = -1
    const running = consumer.run(async (entry) => {
      await new Promise((resolve) => setImmediate(resolve))
      if (entry.sequence === 17) throw Object.assign(new TypeError('cannot be digested'), { code: 'EPOISON' })
      done.push(entry.sequence)
    }, { concurrency: 8, deadLetter: 'reader-dead', retry: { maxAttempts: 3, initialDelayMs: 400, jitter: false }, onError: () => void (committedAtBurial = consumer.progress.committed) })
    while (consumer.progress.committed < 10_000) await new Promise((resolve) => setImmediate(resolve))
    await consumer.stop()
    await running
    expect(done).toHaveLength(9_999)
    expect(committedAtBurial).toBe(16)
    expect(consumer.progress).toMatchObject({ deadLettered: 1, committed: 10_000 })
    const letters = await deadLettersOf(log, 'reader-dead')
    expect(letters).toHaveLength(1)
    expect(letters[0]).toMatchObject({ consumer: 'reader', sequence: 17, attempts: 3, error: { name: 'TypeError', message: 'cannot be digested', code: 'EPOISON' } })
    expect(letters[0]!.data.toString()).toBe('entry 17')
    expect(letters[0]!.timestamp).toBe((await log.get(17))!.timestamp)
    expect(letters[0]!.error.stack).toContain('cannot be digested')
  })

  test('without a dead-letter log it rejects with the cause, and commits nothing of what failed', async () => {
    const log = await open()
    await fill(log, 20)
    const consumer = log.consumer('reader')
    const cause = new Error('always')
    const failing = consumer.run((entry) => {
      if (entry.sequence === 5) throw cause
    }, { concurrency: 3, retry: { ...FAST, maxAttempts: 2 } })
    await expect(failing).rejects.toMatchObject({ name: 'WalError', code: 'ERR_WAL_HANDLER', firstSequence: 5, lastSequence: 5, cause })
    expect(consumer.progress.committed).toBe(4)
    const again: number[] = []
    await runUntil(consumer, () => again.length === 16, (entry) => void again.push(entry.sequence))
    expect(again).toEqual(range(5, 20))
  })

  test('rejects when waiting for more, too, as soon as an entry has failed for good', async () => {
    const log = await open()
    await fill(log, 3)
    await expect(log.consumer('reader').run((entry) => {
      if (entry.sequence === 3) throw new Error('the last')
    }, { retry: { ...FAST, maxAttempts: 2 } })).rejects.toMatchObject({ code: 'ERR_WAL_HANDLER' })
  })

  test.each([
    ['throws', (cause: Error) => { throw cause }],
    ['rejects with', async (cause: Error) => await Promise.reject(cause)],
  ])('what onError %s stops it', async (_way, onError) => {
    const log = await open()
    await fill(log, 3)
    const cause = new Error('enough')
    const running = log.consumer('reader').run(() => { throw new Error('no') }, { onError: () => onError(cause), retry: { ...FAST, maxAttempts: 2 } })
    await expect(running).rejects.toBe(cause)
  })

  test('a dead-letter log that cannot be opened stops it, and the entry is not committed', async () => {
    const log = await open()
    await fill(log, 3)
    const held = await openLog({ directory: join(log.directory, 'dead', 'held'), ringBytes: 4096, reserveBytes: 0 })
    onTestFinished(() => held.close())
    const consumer = log.consumer('reader')
    await expect(consumer.run(() => { throw new Error('no') }, { deadLetter: 'held', retry: { maxAttempts: 1 } })).rejects.toMatchObject({ code: 'ERR_WAL_LOCKED' })
    expect(consumer.progress.committed).toBe(0)
  })

  test('entries that always fail are bounded in number: the heap does not grow', async () => {
    const log = await open({ ringBytes: 2 ** 20 })
    await fill(log, 5000)
    const consumer = log.consumer('reader')
    let started = 0
    const running = consumer.run(() => {
      started++
      throw new Error('always')
    }, { concurrency: 16, retry: { initialDelayMs: 60_000, maxDelayMs: 60_000 } })
    while (consumer.progress.retrying < 1024) await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(started).toBe(1024)
    await consumer.stop()
    await running
  })

  test('passes over sequences without an entry, also the last ones', async () => {
    const log = await open()
    await fill(log, 3)
    const consumer = log.consumer('reader')
    const seen: number[] = []
    const running = consumer.run((entry) => void seen.push(entry.sequence))
    const owed = oweEntry(log)
    owed.publishAborted()
    await log.flush()
    while (consumer.progress.lag > 0) await new Promise((resolve) => setImmediate(resolve))
    expect(consumer.progress.committed).toBe(4)
    log.append('after')
    while (seen.length < 4) await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toEqual([1, 2, 3, 5])
    await consumer.stop()
    await running
  })

  test('a worker of a pool that dies counts as a failed attempt', async () => {
    const log = await open()
    for (const text of ['first', 'kills its thread', 'third']) log.append(text)
    await log.flush()
    const pool = new Piscina({ filename: new URL('./fixtures/pool-task.mjs', import.meta.url).href, maxThreads: 1 })
    onTestFinished(() => pool.destroy())
    const results: string[] = []
    const failures: number[] = []
    await runUntil(log.consumer('reader'), () => results.length === 3, async (entry, { attempt }) => {
      results.push(await pool.run({ text: entry.text(), attempt }) as string)
    }, { retry: FAST, onError: (_error, { entries }) => void failures.push(entries[0]!.sequence) })
    expect(failures).toContain(2)
    expect(results.toSorted()).toEqual(['FIRST', 'KILLS ITS THREAD', 'THIRD'])
  })
})

describe('runBatches', () => {
  test('delivers within its limits, one batch after the other, and commits each', async () => {
    const log = await open()
    await fill(log, 1000)
    const consumer = log.consumer('reader')
    const sizes: number[] = []
    const seen: number[] = []
    let running = 0
    await consumer.runBatches(async (entries) => {
      expect(++running).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      running--
      sizes.push(entries.length)
      seen.push(...entries.map((entry) => entry.sequence))
      if (seen.length === 1000) setImmediate(() => void consumer.stop())
    }, { maxEntries: 64 })
    expect(seen).toEqual(range(1, 1000))
    expect(Math.max(...sizes)).toBe(64)
    expect(consumer.progress.committed).toBe(1000)
  })

  test('bytes are a limit too, but a large entry goes by itself', async () => {
    const log = await open({ ringBytes: 2 ** 20 })
    for (const bytes of [100, 100, 100, 5000, 100]) log.append('x'.repeat(bytes))
    await log.flush()
    const consumer = log.consumer('reader')
    const sizes: number[] = []
    await consumer.runBatches((entries) => {
      sizes.push(entries.length)
      if (entries.at(-1)!.sequence === 5) setImmediate(() => void consumer.stop())
    }, { maxBytes: 250 })
    expect(sizes).toEqual([2, 1, 1, 1])
  })

  test('waits for more, as long as it is told', async () => {
    const log = await open()
    await log.write('first')
    const consumer = log.consumer('reader')
    const batches: string[][] = []
    const running = consumer.runBatches((entries) => void batches.push(entries.map((entry) => entry.text())), { maxEntries: 3, maxWaitMs: 60_000 })
    await log.write('second')
    await log.write('third')
    while (batches.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(batches).toEqual([['first', 'second', 'third']])
    await consumer.stop()
    await running
  })

  test('a batch that fails for good goes whole to the dead letters, entry by entry', async () => {
    const log = await open()
    await fill(log, 6)
    const consumer = log.consumer('reader')
    const good: number[] = []
    const running = consumer.runBatches((entries) => {
      if (entries[0]!.sequence === 3) throw new Error('not these')
      good.push(...entries.map((entry) => entry.sequence))
    }, { maxEntries: 2, retry: { ...FAST, maxAttempts: 2 }, deadLetter: 'bad' })
    while (consumer.progress.committed < 6) await new Promise((resolve) => setImmediate(resolve))
    await consumer.stop()
    await running
    expect(good).toEqual([1, 2, 5, 6])
    expect((await deadLettersOf(log, 'bad')).map(({ sequence, attempts }) => [sequence, attempts])).toEqual([[3, 2], [4, 2]])
    expect(consumer.progress).toMatchObject({ committed: 6, deadLettered: 2 })
  })
})

describe('the end of a run', () => {
  test('a handler that never returns is waited for no longer than it was told, hears of it, and is not committed', async () => {
    const log = await open()
    await fill(log, 5)
    const consumer = log.consumer('reader')
    let signal!: AbortSignal
    let started!: () => void
    const untilStarted = new Promise<void>((resolve) => (started = resolve))
    const running = consumer.run((entry, context) => {
      if (entry.sequence < 3) return undefined
      signal = context.signal
      started()
      return new Promise(() => undefined)
    }, { stopTimeoutMs: 30 })
    await untilStarted
    expect(signal.aborted).toBe(false)
    await consumer.stop()
    await running
    expect(signal.aborted).toBe(true)
    expect(consumer.progress.committed).toBe(2)
  })

  test('a signal ends it well, also one that is aborted already', async () => {
    const log = await open()
    await fill(log, 3)
    const consumer = log.consumer('reader')
    const controller = new AbortController()
    const seen: number[] = []
    await consumer.run((entry) => {
      seen.push(entry.sequence)
      if (entry.sequence === 2) controller.abort()
    }, { signal: controller.signal })
    expect(seen).toEqual([1, 2])
    await consumer.run(() => expect.unreachable(), { signal: controller.signal })
  })

  test('after closing the log there is no new consumer, and none runs', async () => {
    const log = await openLog({ directory: temporaryDirectory(), reserveBytes: 0 })
    await fill(log, 3)
    const consumer = log.consumer('reader')
    await log.close()
    expect(() => log.consumer('other')).toThrow(expect.objectContaining({ code: 'ERR_WAL_CLOSED' }))
    await expect(consumer.run(() => undefined)).rejects.toMatchObject({ code: 'ERR_WAL_CLOSED' })
    await expect(consumer[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'ERR_WAL_CLOSED' })
    await expect(log.deleteConsumer('reader')).rejects.toMatchObject({ code: 'ERR_WAL_CLOSED' })
    await expect(log.checkpoint()).rejects.toMatchObject({ code: 'ERR_WAL_CLOSED' })
    await consumer.stop()
  })

  test('leaves no segment open, however often it is run', async () => {
    const log = await open()
    await fill(log, 50)
    const consumer = log.consumer('reader')
    const openFiles = (): string[] => readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`)
      } catch {
        return [] // It was the listing's own.
      }
    }).filter((path) => path.startsWith(log.directory) && path.endsWith('.wal'))
    const before = openFiles().length
    for (let round = 0; round < 20; round++) {
      consumer.seek({ sequence: 1 })
      await consumer.run((entry) => {
        if (entry.sequence === 5) void consumer.stop()
      })
      for await (const entry of consumer) if (entry.sequence === 8) break
    }
    while (openFiles().length > before) await new Promise((resolve) => setImmediate(resolve))
  })

  test('comes before that of the process, whatever a handler waits for', async () => {
    const child = await runChild(new URL('./fixtures/unheld-child.mjs', import.meta.url), [temporaryDirectory()])
    expect(child).toMatchObject({ code: 0, output: 'over\n', errors: '' })
  })

  test('two runs of one consumer, or a run and an iteration: the second is refused', async () => {
    const log = await open()
    const consumer = log.consumer('reader')
    const first = consumer.run(() => undefined)
    await expect(consumer.run(() => undefined)).rejects.toMatchObject({ code: 'ERR_WAL_BUSY' })
    await expect(consumer.runBatches(() => undefined)).rejects.toMatchObject({ code: 'ERR_WAL_BUSY' })
    await expect(consumer[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'ERR_WAL_BUSY' })
    await consumer.stop()
    await first
    await consumer.stop()
  })

  test('closing the log stops it, whatever it waits for', async () => {
    const log = await open()
    await fill(log, 3)
    const idle = log.consumer('idle').run(() => undefined)
    const failing = log.consumer('failing').run(() => { throw new Error('no') }, { retry: { initialDelayMs: 60_000 } })
    for await (const entry of log.consumer('by hand')) {
      expect(entry.sequence).toBe(1)
      await log.close()
    }
    await idle
    await failing
  })

  test('a log that fails makes it reject with the cause', async () => {
    const log = await openLog({ directory: temporaryDirectory(), reserveBytes: 0 })
    await fill(log, 3)
    const running = log.consumer('reader').run(() => undefined)
    // A mark out of place: the writer refuses to go on.
    openRing(log.handle().ring).slots.fill(-1)
    await expect(running).rejects.toMatchObject({ code: 'ERR_WAL_FAILED', cause: { code: 'ERR_WAL_PROTOCOL' } })
    await expect(log.close()).rejects.toMatchObject({ code: 'ERR_WAL_FAILED' })
  })
})

describe('by hand', () => {
  test('entries are handed out in order, and committed when it is said', async () => {
    const log = await open()
    await fill(log, 10)
    const consumer = log.consumer('reader')
    const seen: number[] = []
    for await (const entry of consumer) {
      seen.push(entry.sequence)
      if (entry.sequence === 4) expect(consumer.commit(4)).toBe(true)
      if (entry.sequence === 6) break
    }
    expect(seen).toEqual(range(1, 6))
    expect(consumer.progress.committed).toBe(4)
    expect(consumer.commit(3)).toBe(false)
    expect(() => consumer.commit(7)).toThrow(expect.objectContaining({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }))
    expect(() => consumer.commit(1.5)).toThrow(RangeError)
    expect(() => consumer.commit(-1)).toThrow(RangeError)
    for await (const entry of consumer) {
      expect(entry.sequence).toBe(5)
      break
    }
  })

  test('the last entry takes the sequences without one behind it along', async () => {
    const log = await open()
    await fill(log, 2)
    const consumer = log.consumer('reader')
    const iterator = consumer[Symbol.asyncIterator]()
    await iterator.next()
    await iterator.next()
    consumer.commit(2)
    oweEntry(log).publishAborted()
    await log.flush()
    const next = iterator.next()
    while (consumer.progress.lag > 0) await new Promise((resolve) => setImmediate(resolve))
    await log.write('more')
    expect((await next).value!.sequence).toBe(4)
    await iterator.return!()
  })

  test('a slow reader is given no more than a block ahead', async () => {
    const log = await open({ ringBytes: 2 ** 20, whenFull: 'block' })
    const entry = Buffer.alloc(64 * 1024)
    for (let number = 0; number < 3000; number++) log.append(entry)
    await log.flush()
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    for await (const { sequence } of log.consumer('reader')) {
      // Garbage counts until it is collected, which the bytes of buffers bring about.
      if (sequence % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
      if (sequence === 3000) break
    }
    expect(most).toBeLessThan(1000 * 64 * 1024)
  })
})

describe('seek', () => {
  test('goes back and forth, and what is in flight commits nothing', async () => {
    const log = await open()
    await fill(log, 10)
    const consumer = log.consumer('reader')
    const seen: number[] = []
    let letGo!: () => void
    const held = new Promise<void>((resolve) => (letGo = resolve))
    const running = consumer.run(async (entry) => {
      seen.push(entry.sequence)
      if (seen.length === 6) {
        consumer.seek({ sequence: 3 })
        await held
      }
    })
    while (consumer.progress.committed < 10) await new Promise((resolve) => setImmediate(resolve))
    letGo()
    await consumer.stop()
    await running
    expect(seen).toEqual([...range(1, 6), ...range(3, 10)])
    consumer.seek({ sequence: 11 })
    expect(consumer.progress.committed).toBe(10)
    consumer.seek({ sequence: 1 })
    expect(consumer.progress.committed).toBe(0)
    expect(() => consumer.commit(1)).toThrow(RangeError)
  })

  test('to a time: the first entry at or after it comes next', async () => {
    // What the consumer has passed would be freed meanwhile, now and then.
    const log = await open({ maxSegmentEntries: 3, retention: { keepConsumed: true } })
    const timestamps: number[] = []
    for (let number = 0; number < 8; number++) {
      timestamps.push((await log.write(`entry ${number}`)).timestamp)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const consumer = log.consumer('reader', { start: { timestamp: new Date(timestamps[4]!) } })
    expect(consumer.progress.committed).toBe(4)
    consumer.seek({ timestamp: timestamps[7]! + 1 })
    expect(consumer.progress.committed).toBe(8)
    consumer.seek({ timestamp: 0 })
    expect(consumer.progress.committed).toBe(0)
  })

  test('makes waiting for an earlier commit pointless, and says so', async () => {
    const log = await open()
    await fill(log, 5)
    const consumer = log.consumer('reader')
    for await (const entry of consumer) if (entry.sequence === 5) break
    const waiting = consumer.committed(5)
    consumer.seek({ sequence: 2 })
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_WAL_CURSOR' })
  })
})

describe('consumers of a log', () => {
  test('a new one begins at the earliest entry, or where it is told; a known one where it stands, or is sought', async () => {
    const log = await open()
    await fill(log, 10)
    const place = (name: string, start?: NonNullable<Parameters<Log['consumer']>[1]>['start']): number => log.consumer(name, start === undefined ? {} : { start }).progress.committed
    expect(place('a')).toBe(0)
    expect(place('b', 'earliest')).toBe(0)
    expect(place('c', 'latest')).toBe(10)
    expect(place('d', { sequence: 4 })).toBe(3)
    expect(place('d')).toBe(3)
    expect(place('d', 'latest')).toBe(10)
    expect(log.consumer('d')).toBe(log.consumer('d'))
    expect(log.consumers()).toEqual([
      { name: 'a', committed: 0, lag: 10 }, { name: 'b', committed: 0, lag: 10 }, { name: 'c', committed: 10, lag: 0 }, { name: 'd', committed: 10, lag: 0 },
    ])
  })

  test('are there again after closing and opening, and gone once deleted', async () => {
    const directory = temporaryDirectory()
    const first = await openLog({ directory, reserveBytes: 0 })
    await fill(first, 10)
    for await (const entry of first.consumer('reader')) {
      if (entry.sequence === 7) break
    }
    first.consumer('reader').commit(6)
    first.consumer('other')
    expect(await first.deleteConsumer('other')).toBe(true)
    expect(await first.deleteConsumer('nobody')).toBe(false)
    await first.close()
    const second = await openLog({ directory, reserveBytes: 0 })
    onTestFinished(() => second.close())
    expect(second.consumers()).toEqual([{ name: 'reader', committed: 6, lag: 4 }])
    const reader = second.consumer('reader')
    expect(await second.deleteConsumer('reader')).toBe(true)
    await expect(reader.run(() => undefined)).rejects.toMatchObject({ code: 'ERR_WAL_CURSOR' })
    expect(reader.commit(7)).toBe(false)
    expect(second.consumer('reader').progress.committed).toBe(0)
  })

  test.each(['', 'a/b', 'a\\b', '.', '..', 'line\nbreak', 'x'.repeat(300), 'é'.repeat(128), '\ud800', 7, undefined, null])('the name %j is refused', async (name) => {
    const log = await open()
    const refused = expect.objectContaining({ name: 'TypeError', message: expect.stringContaining('"name"') })
    expect(() => log.consumer(name as string)).toThrow(refused)
    await expect(log.deleteConsumer(name as string)).rejects.toThrow(refused)
    await expect(log.consumer('reader').run(() => undefined, { deadLetter: name as string, signal: AbortSignal.abort() }))[name === undefined ? 'resolves' : 'rejects'][name === undefined ? 'toBeUndefined' : 'toThrow']()
    expect(log.consumers()).toEqual([{ name: 'reader', committed: 0, lag: 0 }])
  })

  test('names of 255 bytes, and of any script, are fine', async () => {
    const log = await open()
    for (const name of ['x'.repeat(255), 'прочитано 🜁', ' a b ']) expect(log.consumer(name).name).toBe(name)
    expect(log.consumers()).toHaveLength(3)
  })

  test.each<[string, (consumer: Consumer, log: Log) => unknown]>([
    ['handler', (consumer) => consumer.run('no' as never)],
    ['options.concurrency', (consumer) => consumer.run(() => undefined, { concurrency: 0 })],
    ['options.retry.maxAttempts', (consumer) => consumer.run(() => undefined, { retry: { maxAttempts: 0 } })],
    ['options.retry.factor', (consumer) => consumer.run(() => undefined, { retry: { factor: 0.5 } })],
    ['options.retries', (consumer) => consumer.run(() => undefined, { retries: 3 } as never)],
    ['options.onError', (consumer) => consumer.run(() => undefined, { onError: 3 } as never)],
    ['options.signal', (consumer) => consumer.run(() => undefined, { signal: {} } as never)],
    ['options.stopTimeoutMs', (consumer) => consumer.run(() => undefined, { stopTimeoutMs: -1 })],
    ['options.maxEntries', (consumer) => consumer.runBatches(() => undefined, { maxEntries: 0 })],
    ['options.maxWaitMs', (consumer) => consumer.runBatches(() => undefined, { maxWaitMs: Number.NaN })],
    ['options.start', (_consumer, log) => log.consumer('x', { start: 'begin' as never })],
    ['options.start.sequence', (_consumer, log) => log.consumer('x', { start: { sequence: 0 } })],
    ['options.start.timestamp', (_consumer, log) => log.consumer('x', { start: { timestamp: Number.NaN } })],
    ['sequence', (_consumer, log) => log.consumer('x', { start: { sequence: 100 } })],
    ['place', (consumer) => consumer.seek({} as never)],
    ['place', (consumer) => consumer.seek({ sequence: 1, timestamp: 1 } as never)],
    ['place.sequence', (consumer) => consumer.seek({ sequence: '1' } as never)],
  ])('a wrong %s is named', async (name, call) => {
    const log = await open()
    const consumer = log.consumer('reader')
    await expect(async () => await call(consumer, log)).rejects.toThrow(expect.objectContaining({ message: expect.stringContaining(`"${name}"`), code: expect.stringMatching(/^ERR_(INVALID_ARG|OUT_OF_RANGE)/) }))
    expect(log.consumers()).toHaveLength(1)
  })
})

describe('commits', () => {
  test('on another thread count, go no further than what was delivered, and are void after a seek', async () => {
    const log = await open()
    await fill(log, 10)
    const consumer = log.consumer('reader')
    for await (const entry of consumer) if (entry.sequence === 6) break
    const worker = new Worker(new URL('./fixtures/committing-thread.mjs', import.meta.url), { workerData: consumer.handle() })
    onTestFinished(async () => void (await worker.terminate()))
    await once(worker, 'message')
    const ask = async (sequence: number, wait = false): Promise<{ moved?: boolean; error?: { code: string } }> => {
      worker.postMessage({ sequence, wait })
      return (await once(worker, 'message'))[0] as { moved?: boolean; error?: { code: string } }
    }
    expect(await ask(5, true)).toEqual({ moved: true })
    expect(consumer.progress.committed).toBe(5)
    expect(await ask(4)).toEqual({ moved: false })
    expect((await ask(7)).error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
    consumer.seek({ sequence: 2 })
    expect(await ask(6)).toEqual({ moved: false })
    expect(consumer.progress.committed).toBe(1)
    expect(() => attachConsumer({} as ConsumerHandle)).toThrow(expect.objectContaining({ code: 'ERR_WAL_HANDLE' }))
    const own = attachConsumer(consumer.handle())
    expect(own.name).toBe('reader')
  })

  test('many make few trailers: 100,000 commits beside as many appends make no extra syncs', async () => {
    const log = await open({ ringBytes: 2 ** 24, whenFull: 'block' })
    await fill(log, 1000)
    const consumer = log.consumer('reader')
    for await (const entry of consumer) if (entry.sequence === 1000) break
    await consumer.committed(0)
    const before = log.stats()
    for (let number = 1; number <= 1000; number++) {
      consumer.commit(number)
      if (number % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await consumer.committed(1000)
    const after = log.stats()
    // One in 10 ms at most, and the last, which was waited for.
    expect(after.syncs - before.syncs).toBeLessThan(100)
  })

  test('made right before process.exit() are kept by the exit hook', async () => {
    const directory = temporaryDirectory()
    expect(await runChild(new URL('./fixtures/exiting-child.mjs', import.meta.url), [directory])).toMatchObject({ code: 0, errors: '' })
    const log = await openLog({ directory, reserveBytes: 0 })
    onTestFinished(() => log.close())
    expect(log.consumers()).toEqual([{ name: 'reader', committed: 15, lag: 5 }])
  })

  test('what was reported durable is not delivered again after kill -9, and all else is', { timeout: 60_000 }, async () => {
    const root = temporaryDirectory()
    const directory = join(root, 'log')
    const notes = join(root, 'notes')
    const log = await openLog({ directory, reserveBytes: 0, maxSegmentBytes: 4096, ringBytes: 2 ** 20, whenFull: 'block', retention: { keepConsumed: true } })
    log.consumer('reader')
    await fill(log, 3000)
    await log.close()
    let committed = 0
    const delivered = new Set<number>()
    for (let round = 0; committed < 3000; round++) {
      const child = startChild(new URL('./fixtures/consuming-child.mjs', import.meta.url), [directory, notes])
      await child.untilOutput('open\n')
      await new Promise((resolve) => setTimeout(resolve, 30 + 10 * (round % 7)))
      child.process.kill('SIGKILL')
      expect(await child.end).toMatchObject({ signal: 'SIGKILL', errors: '' })
      const lines = readFileSync(notes, 'utf8').split('\n')
      committed = 0
      delivered.clear()
      for (const line of lines) {
        const [what, text] = line.split(' ')
        if (what === 'committed') committed = Math.max(committed, Number(text))
        if (what === 'delivered') {
          expect(Number(text), 'was durably committed before').toBeGreaterThan(committed)
          delivered.add(Number(text))
        }
      }
      expect([...delivered].filter((sequence) => sequence <= committed)).toHaveLength(committed)
    }
  })
})

describe('what is lost', () => {
  test('to retention is told exactly, counted, and passed over', async () => {
    const log = await open({ maxSegmentEntries: 10, retention: { maxBytes: 65_536, whenOver: 'drop-oldest' }, ringBytes: 2 ** 20 })
    await fill(log, 5)
    const consumer = log.consumer('slow')
    const iterator = consumer[Symbol.asyncIterator]()
    expect((await iterator.next()).value!.sequence).toBe(1)
    consumer.commit(1)
    await iterator.return!()
    for (let number = 0; number < 300; number++) await log.write(Buffer.alloc(1000, number))
    await log.checkpoint()
    const first = log.segments()[0]!.firstSequence
    expect(first).toBeGreaterThan(100)
    const lost: number[][] = []
    consumer.on('lost', ({ firstSequence, lastSequence, cause }) => {
      expect(cause).toBeInstanceOf(WalError)
      expect(cause.code).toBe('ERR_WAL_TRIMMED')
      lost.push([firstSequence, lastSequence])
    })
    const seen: LogEntry[] = []
    await runUntil(consumer, () => seen.at(-1)!.sequence === 305, (entry) => void seen.push(entry))
    expect(seen.map((entry) => entry.sequence)).toEqual(range(first, 305))
    expect(lost).toEqual([[2, first - 1]])
    expect(consumer.progress).toMatchObject({ lost: first - 2, committed: 305 })
  })
})
