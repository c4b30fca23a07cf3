/** What a log keeps and lets go, with real files. */

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openLog, readLog, type Log, type LogOptions } from '../../dist/src/index.js'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { readEntryBatches } from '../../dist/src/log/reader.js'
import { Catalog } from '../../dist/src/segment/catalog.js'
import { ProducerThread } from '../support/producer-thread.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

const KIB = 1024
const SEGMENT_BYTES = 64 * KIB
/** Never by itself in the time of a test: what happens then happens because it was asked for. */
const SELDOM = { cleanupIntervalMs: 3_600_000 }

async function open(options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({
    directory: temporaryDirectory(), ringBytes: 64 * KIB, reserveBytes: 0, maxSegmentBytes: SEGMENT_BYTES, whenFull: 'block', ...options,
  })
  onTestFinished(() => log.close().catch(() => undefined))
  return log
}

const text = (sequence: number): string => `${sequence} `.padEnd(1000, 'x')

async function fill(log: Log, count: number): Promise<void> {
  for (let left = count; left > 0; left--) log.append(text(log.lastSequence + 1))
  await log.flush()
}

/** Appends until the log is at its limit. */
async function fillToLimit(log: Log): Promise<void> {
  while (log.stats().space === 'ok') {
    try {
      log.append(text(log.lastSequence + 1))
    } catch (error) {
      const { code } = error as { code: string }
      if (code !== 'ERR_WAL_FULL' && code !== 'ERR_WAL_DISK_FULL') throw error
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await log.flush()
}

/** The cursor of a consumer that has been handed everything up to now. */
function addConsumer(log: Log, name: string): ReturnType<Log['cursors']['add']> {
  return log.cursors.find(name) ?? log.cursors.add(name, 0)
}

async function commit(log: Log, name: string, sequence: number): Promise<void> {
  const cursor = addConsumer(log, name)
  cursor.noteDelivered(log.durableSequence)
  cursor.commit(sequence)
  await cursor.untilDurable(sequence)
}

async function until(isReached: () => boolean): Promise<void> {
  for (let look = 0; !isReached(); look++) {
    expect(look, 'it never came').toBeLessThan(1000)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

const oldest = (log: Log): number => log.segments()[0]!.firstSequence
const sealed = (log: Log): number => log.segments().filter((segment) => segment.sealed).length

function bytesOnDisk({ directory }: Log): number {
  return readdirSync(directory).reduce((sum, name) => sum + (statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0), 0)
}

describe('without consumers a segment goes', () => {
  test('by age, on the interval', async () => {
    const log = await open({ retention: { maxAgeMs: 150, cleanupIntervalMs: 20 } })
    await fill(log, 150)
    await log.roll()
    expect(sealed(log)).toBeGreaterThan(2)
    await until(() => sealed(log) <= 1)
    expect(oldest(log)).toBeGreaterThan(60)
    await fill(log, 10)
    for await (const entry of log.read()) expect(entry.text()).toBe(text(entry.sequence))
  })

  test('by count, at every roll', async () => {
    const log = await open({ retention: { ...SELDOM, maxSegments: 3 } })
    await fill(log, 1000)
    await log.checkpoint()
    expect(sealed(log)).toBe(3)
  })

  test('by bytes: with spares and the tail the log never takes more than it may', async () => {
    const maxBytes = 400 * KIB
    const log = await open({ retention: { ...SELDOM, maxBytes } })
    let most = 0
    for (let round = 0; round < 100; round++) {
      await fill(log, 30)
      most = Math.max(most, bytesOnDisk(log))
    }
    expect(most).toBeLessThanOrEqual(maxBytes)
    expect(most).toBeGreaterThan(maxBytes / 2)
  })

  test('and the oldest go first, so that what is left has no gap', async () => {
    const log = await open({ retention: { ...SELDOM, maxBytes: 300 * KIB } })
    await fill(log, 2000)
    await log.checkpoint()
    const sequences: number[] = []
    for await (const entry of log.read()) sequences.push(entry.sequence)
    expect(sequences).toEqual(Array.from({ length: sequences.length }, (_, index) => 2001 - sequences.length + index))
  })
})

describe('with consumers a segment', () => {
  test('stays until the slowest of them has committed it, whatever its age and count', async () => {
    const log = await open({ retention: { maxAgeMs: 1, maxSegments: 1, cleanupIntervalMs: 10 } })
    for (const name of ['fast', 'slow']) addConsumer(log, name)
    await fill(log, 500)
    await commit(log, 'fast', 500)
    await log.checkpoint()
    expect(oldest(log)).toBe(1)
    await commit(log, 'slow', 200)
    await until(() => oldest(log) > 100)
    expect(oldest(log)).toBeLessThanOrEqual(201)
    await log.cursors.remove('slow')
    await log.checkpoint()
    expect(oldest(log)).toBeGreaterThan(400)
  })

  test('is kept with keepConsumed until the other limits say that it goes', async () => {
    const log = await open({ retention: { ...SELDOM, keepConsumed: true, maxSegments: 4 } })
    addConsumer(log, 'reader')
    await fill(log, 150)
    await commit(log, 'reader', 150)
    await log.checkpoint()
    expect(oldest(log)).toBe(1)
    await fill(log, 600)
    await commit(log, 'reader', 750)
    await log.checkpoint()
    expect(sealed(log)).toBe(4)
  })

  test('that a consumer holds up goes as soon as it has been deleted', async () => {
    const log = await open({ whenFull: 'throw', retention: { ...SELDOM, maxBytes: 400 * KIB } })
    for (const name of ['fast', 'gone']) addConsumer(log, name)
    await fillToLimit(log)
    await commit(log, 'fast', log.lastSequence)
    expect(log.stats().space).toBe('over-limit')
    await log.cursors.remove('gone')
    await until(() => log.stats().space === 'ok')
    expect(oldest(log)).toBeGreaterThan(200)
  })
})

describe('at its limit, behind a consumer', () => {
  test.each([false, true])('the log refuses, and goes on by itself as soon as the consumer commits, with keepConsumed: %s', async (keepConsumed) => {
    const log = await open({ whenFull: 'throw', retention: { ...SELDOM, maxBytes: 400 * KIB, keepConsumed } })
    addConsumer(log, 'slow')
    await fillToLimit(log)
    const last = log.lastSequence
    const thread = await ProducerThread.start(log.handle())
    expect(() => log.append('no')).toThrow(expect.objectContaining({ code: 'ERR_WAL_DISK_FULL', message: expect.stringContaining('maxBytes') as string }))
    expect(await thread.askFailing('append', 'no')).toMatchObject({ code: 'ERR_WAL_DISK_FULL' })
    const waiting = log.write(text(last + 1))
    const elsewhere = thread.ask('ready', 100)
    await commit(log, 'slow', last)
    expect((await waiting).sequence).toBe(last + 1)
    await elsewhere
    expect(log.stats().space).toBe('ok')
  })

  test('a loop of refused appends wakes nobody', async () => {
    const log = await open({ whenFull: 'drop', retention: { ...SELDOM, maxBytes: 400 * KIB } })
    addConsumer(log, 'slow')
    await fillToLimit(log)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const before = log.stats()
    for (let count = 0; count < 100_000; count++) expect(log.append('no')).toBe(0)
    expect(log.stats().dropped - before.dropped).toBe(100_000)
    expect(log.stats().writerSleeps - before.writerSleeps).toBeLessThan(100)
  })

  test('close refuses what waits for room, and does not wait for it', async () => {
    const log = await open({ retention: { ...SELDOM, maxBytes: 400 * KIB } , whenFull: 'throw' })
    addConsumer(log, 'slow')
    await fillToLimit(log)
    const waiting = [log.write('late'), log.ready(100)].map((each) => each.then(() => 'done', ({ code }: { code: string }) => code))
    await log.close()
    expect(await Promise.all(waiting)).toEqual(['ERR_WAL_DISK_FULL', 'ERR_WAL_DISK_FULL'])
    const room = await open({ directory: log.directory, retention: { ...SELDOM, maxBytes: 2 ** 30 } })
    expect(room.recovery.cleanClose).toBe(true)
    for await (const entry of room.read()) expect(entry.text()).toBe(text(entry.sequence))
  })

  test('close refuses those who only ask for room as well', async () => {
    const log = await open({ retention: { ...SELDOM, maxBytes: 400 * KIB }, whenFull: 'throw' })
    addConsumer(log, 'slow')
    await fillToLimit(log)
    const ready = log.ready(100).catch(({ code }: { code: string }) => code)
    await log.close()
    expect(await ready).toBe('ERR_WAL_DISK_FULL')
  })

  test('with drop-oldest whole segments go, and a reader that was behind is told exactly which entries', async () => {
    const log = await open({ retention: { ...SELDOM, maxBytes: 400 * KIB, whenOver: 'drop-oldest' } })
    addConsumer(log, 'slow')
    await fill(log, 20)
    const reading = log.read()
    expect((await reading.next()).value!.sequence).toBe(1)
    await fill(log, 1000)
    await log.checkpoint()
    const first = oldest(log)
    let last = 1
    const error = await (async () => {
      for await (const entry of reading) {
        expect(entry.sequence).toBe(++last)
        expect(entry.text()).toBe(text(last))
      }
    })().catch((each: unknown) => each)
    expect(error).toMatchObject({ code: 'ERR_WAL_TRIMMED', firstSequence: last + 1, lastSequence: first - 1 })
    expect(log.stats().space).toBe('ok')
    const again = log.read({ fromSequence: first })
    expect((await again.next()).value!.sequence).toBe(first)
    await again.return()
  })
})

test('a reader that held back what was not proved durable is told of that too when it has gone', async () => {
  const log = await open({ durability: 'manual', retention: SELDOM })
  addConsumer(log, 'all')
  for (let sequence = 1; sequence <= 10; sequence++) log.append(text(sequence))
  while (log.stats().unwritten > 0) await new Promise(setImmediate)
  let release!: () => void
  const gate = new Promise<void>((resolve) => (release = resolve))
  let waiting!: () => void
  const isWaiting = new Promise<void>((resolve) => (waiting = resolve))
  const horizon = {
    visible: () => undefined,
    includeWritten: false,
    untilMore: async () => {
      waiting()
      await gate
      return true
    },
  }
  const plan = { fromSequence: 4, fromTimestamp: undefined, strict: false, limit: Infinity, follow: true, signal: undefined, onCaughtUp: undefined, onGap: undefined }
  const reading = readEntryBatches(new Catalog(nodeDisk, log.directory), horizon, plan)
  const next = reading.next()
  await isWaiting
  await fill(log, 300)
  await commit(log, 'all', 300)
  await log.checkpoint()
  await fill(log, 100)
  await log.checkpoint()
  release()
  await expect(next).rejects.toMatchObject({ code: 'ERR_WAL_TRIMMED', firstSequence: 4, lastSequence: oldest(log) - 1 })
})

test('a new reader elsewhere begins with what is there', async () => {
  const log = await open({ retention: { ...SELDOM, maxBytes: 300 * KIB } })
  await fill(log, 1000)
  await log.checkpoint()
  const first = oldest(log)
  for await (const entry of readLog(log.directory)) {
    expect(entry.sequence).toBe(first)
    break
  }
})

test('no segment takes more than a quarter of the limit', async () => {
  const log = await open({ maxSegmentBytes: 64 * KIB * KIB, preallocateBytes: 2 ** 21, retention: { ...SELDOM, maxBytes: 256 * KIB } })
  await fill(log, 500)
  for (const { bytes } of log.segments()) expect(bytes).toBeLessThanOrEqual(64 * KIB)
  expect(bytesOnDisk(log)).toBeLessThanOrEqual(256 * KIB)
})

test.each<[string, unknown, string]>([
  ['maxBytes', 64 * KIB - 1, 'an integer from 65536'], ['maxBytes', '1', 'an integer'], ['maxBytes', Infinity, 'an integer from 65536'],
  ['maxAgeMs', 0, 'from 1 to Infinity milliseconds'], ['maxAgeMs', Number.NaN, 'milliseconds'], ['maxAgeMs', null, 'a number of milliseconds'],
  ['maxSegments', 0, 'an integer from 1'], ['maxSegments', 1.5, 'an integer from 1'],
  ['keepConsumed', 1, 'a boolean'], ['whenOver', 'drop', "one of 'refuse', 'drop-oldest'"],
  ['cleanupIntervalMs', 0, 'milliseconds'], ['maxByte', 1, 'one of the known options: maxBytes'],
])('a wrong retention.%s names itself: %s', async (name, value, expected) => {
  await expect(openLog({ directory: '/nowhere/at/all', retention: { [name]: value } })).rejects.toThrow(
    expect.objectContaining({ message: expect.toSatisfy((message: string) => message.includes(`"options.retention.${name}"`) && message.includes(expected)) as string }) as Error,
  )
})

test('a wrong reserve, or retention that is none, names itself', async () => {
  for (const value of [-1, 2 ** 30 + 1, 0.5, '1']) await expect(openLog({ directory: '/nowhere', reserveBytes: value as number })).rejects.toThrow('"options.reserveBytes"')
  for (const value of [null, 5]) await expect(openLog({ directory: '/nowhere', retention: value as never })).rejects.toThrow('"options.retention"')
})
