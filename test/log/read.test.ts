/** Reading in the process that writes: from where, how much, how long, and never what is not durable. */

import { mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openLog, readLog, WalError, type Log, type LogEntry, type LogOptions, type ReadOptions } from '../../dist/src/index.js'
import { flip } from '../recovery/made-segments.js'
import { loseAllButTail } from '../support/filled-log.js'

let directory: string
let log: Log | undefined

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-read-'))
})

afterEach(async () => {
  await log?.close().catch(() => undefined)
  log = undefined
  rmSync(directory, { recursive: true })
})

async function open(options: Partial<LogOptions> = {}): Promise<Log> {
  log = await openLog({ directory, ...options })
  return log
}

/** Appends `count` entries that say their number, and waits until they are durable. */
async function fill(target: Log, count: number, text = (sequence: number): string => `entry ${sequence}`): Promise<void> {
  for (let index = 0; index < count; index++) {
    await target.ready(text(0).length + 64)
    target.append(text(target.lastSequence + 1))
  }
  await target.flush()
}

async function sequences(target: Log, options?: ReadOptions): Promise<number[]> {
  const read: number[] = []
  for await (const entry of target.read(options)) read.push(entry.sequence)
  return read
}

function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)
}

const READINGS = {
  'in the process that writes': (target: Log, options: ReadOptions) => target.read(options),
  'of the directory': (target: Log, options: ReadOptions) => readLog(target.directory, options),
}

test('all entries come in order, with the bytes, the text and the time they were given', async () => {
  const target = await open()
  const beforeMs = Date.now()
  const receipt = await target.write('{"n":"ü😀"}')
  const bytes = Buffer.from([0, 255, 77, 83, 71, 33])
  await target.write(bytes)
  await target.write('')
  const read: LogEntry[] = []
  for await (const entry of target.read()) read.push(entry)
  expect(read.map(({ sequence }) => sequence)).toEqual([1, 2, 3])
  expect(read[0]!.json()).toEqual({ n: 'ü😀' })
  expect(read[0]!.timestamp).toBe(receipt.timestamp)
  expect(receipt.timestamp).toBeGreaterThanOrEqual(beforeMs - 1000)
  expect(read[1]!.data.equals(bytes)).toBe(true)
  expect([read[2]!.text(), read[2]!.data.length]).toEqual(['', 0])
  expect(read.every(({ ticks, timestamp }) => Number((ticks - 621_355_968_000_000_000n) / 10_000n) === timestamp)).toBe(true)
})

test('a reading begins with any sequence, in any segment, sealed or not', async () => {
  const target = await open({ maxSegmentEntries: 400 })
  await fill(target, 2000)
  expect(target.segments().length).toBeGreaterThan(3)
  for (const first of [1, 2, 300, 777, 1500, 1999, 2000]) expect(await sequences(target, { fromSequence: first }), `from ${first}`).toEqual(range(first, 2000))
  expect(await sequences(target, { fromSequence: 2001 })).toEqual([])
  expect(await sequences(target, { fromSequence: 10 ** 12 })).toEqual([])
})

test('the limit counts over the whole reading, across batches and segments', async () => {
  const target = await open({ maxSegmentEntries: 400 })
  await fill(target, 1500)
  for (const limit of [0, 1, 2, 999, 1499, 1500, 1501, Infinity]) {
    expect((await sequences(target, { limit })).length, `limit ${limit}`).toBe(Math.min(1500, limit))
    let count = 0
    for await (const batch of target.readBatches({ limit, fromSequence: 5 })) count += batch.length
    expect(count).toBe(Math.min(1496, limit))
  }
})

test('a reading begins with the first entry at or after a time, given as a number or a Date', async () => {
  const target = await open({ maxSegmentEntries: 90 })
  for (let round = 0; round < 5; round++) {
    await fill(target, 100)
    const { timestamp } = await target.write('mark')
    while (Date.now() <= timestamp + 2) await turn()
  }
  const all: LogEntry[] = []
  for await (const entry of target.read()) all.push(entry)
  for (const sample of [all[0]!, all[99]!, all[150]!, all[333]!, all.at(-1)!]) {
    const first = all.find(({ timestamp }) => timestamp >= sample.timestamp)!.sequence
    expect(await sequences(target, { fromTimestamp: sample.timestamp })).toEqual(range(first, all.length))
    expect(await sequences(target, { fromTimestamp: new Date(sample.timestamp), limit: 3 })).toEqual(range(first, Math.min(first + 2, all.length)))
  }
  expect(await sequences(target, { fromTimestamp: 0 })).toEqual(range(1, all.length))
  expect(await sequences(target, { fromTimestamp: all.at(-1)!.timestamp + 1 })).toEqual([])
  expect(await sequences(target, { fromTimestamp: all[0]!.timestamp, fromSequence: 200 })).toEqual(range(200, all.length))
})

test('a reading from a time after all that a sealed log has ends at once, or goes on with what comes', async () => {
  const target = await open()
  await fill(target, 3)
  await target.roll()
  const [later] = target.segments().slice(-1).map(({ lastTimestamp }) => lastTimestamp! + 1)
  expect(target.segments().map(({ sealed }) => sealed)).toEqual([true])
  expect(await sequences(target, { fromTimestamp: later! })).toEqual([])
  const elsewhere = []
  for await (const { sequence } of readLog(target.directory, { fromTimestamp: later! })) elsewhere.push(sequence)
  expect(elsewhere).toEqual([])
  const caughtUp: number[] = []
  const followed = sequences(target, { fromTimestamp: later!, follow: true, limit: 1, onCaughtUp: (sequence) => caughtUp.push(sequence) })
  while (caughtUp.length === 0 || Date.now() <= later!) await turn()
  target.append('after that')
  expect(await followed).toEqual([4])
  expect(caughtUp).toEqual([3])
})

test('get gives one entry, and undefined for what is not there', async () => {
  const target = await open({ maxSegmentEntries: 400 })
  expect(await target.get(1)).toBeUndefined()
  await fill(target, 700)
  for (const sequence of [1, 2, 350, 699, 700]) expect((await target.get(sequence))!.text()).toBe(`entry ${sequence}`)
  expect(await target.get(701)).toBeUndefined()
  expect(await target.get(Number.MAX_SAFE_INTEGER)).toBeUndefined()
})

test('an entry is not seen before it is durable: what is only accepted or written stays hidden', async () => {
  const target = await open({ durability: 'manual' })
  const first = target.append('first')
  await target.durable(first)
  const last = target.append('written, not synced')
  while (target.stats().unwritten > 0) await turn()
  expect(target.durableSequence).toBe(first)
  expect(await sequences(target)).toEqual([first])
  expect(await target.get(last)).toBeUndefined()
  const following = target.read({ follow: true })
  expect((await following.next()).value!.sequence).toBe(first)
  const next = following.next()
  await turn()
  expect(target.durableSequence).toBe(first)
  await target.durable(last)
  expect((await next).value!.text()).toBe('written, not synced')
  await following.return()
})

test('a follower gets every entry while others are appended, across rolls, and ends when the log is closed', async () => {
  const target = await open({ maxSegmentEntries: 400, ringBytes: 64 * 1024 })
  const following = (async () => {
    const read: number[] = []
    for await (const entry of target.read({ follow: true })) {
      expect(entry.sequence).toBeLessThanOrEqual(target.durableSequence)
      read.push(entry.sequence)
    }
    return read
  })()
  for (let round = 0; round < 20; round++) {
    await fill(target, 150)
    if (round % 5 === 0) await target.roll()
  }
  await target.close()
  expect(await following).toEqual(range(1, 3000))
})

test('a follower of an empty log gets its first entry', async () => {
  const target = await open()
  const following = target.read({ follow: true })
  const first = following.next()
  await target.write('first')
  expect((await first).value!.text()).toBe('first')
  await following.return()
})

test('an abort ends a reading with the reason of its signal, waiting or not', async () => {
  const target = await open()
  await fill(target, 10)
  const reason = new Error('enough')
  const controller = new AbortController()
  const following = target.read({ follow: true, signal: controller.signal })
  for (let count = 0; count < 10; count++) await following.next()
  const waiting = following.next()
  controller.abort(reason)
  await expect(waiting).rejects.toBe(reason)
  await expect(target.read({ signal: AbortSignal.abort(reason) }).next()).rejects.toBe(reason)
  expect(await sequences(target)).toEqual(range(1, 10))
})

describe.each(Object.entries(READINGS))('a reading %s', (_where, read) => {
  test('ends with the next entry after an abort, also in the middle of a block', async () => {
    const target = await open()
    await fill(target, 10)
    await target.roll()
    const reason = new Error('enough')
    const controller = new AbortController()
    const reading = read(target, { signal: controller.signal })
    for (let count = 0; count < 3; count++) await reading.next()
    controller.abort(reason)
    await expect(reading.next()).rejects.toBe(reason)
    expect(await reading.next()).toEqual({ done: true, value: undefined })
  })

  test.each([
    ['nothing at all', null],
    ['the end of another log', new WalError('ERR_WAL_CLOSED', 'another log is closed')],
    ['an error of the system', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' })],
  ])('that waits ends with the reason of its signal, be it %s', async (_what, reason) => {
    const target = await open()
    const controller = new AbortController()
    const caughtUp: number[] = []
    const waiting = read(target, { follow: true, signal: controller.signal, onCaughtUp: (sequence) => caughtUp.push(sequence) }).next()
    while (caughtUp.length === 0) await turn()
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })
})

test('what a reading finds when it has been aborted is not told any more', async () => {
  const target = await open({ preallocateBytes: 0 })
  await fill(target, 10)
  await target.roll()
  const { file } = target.segments()[0]!
  flip(file, readFileSync(file).indexOf('entry 1'))
  const reason = new Error('enough')
  const controller = new AbortController()
  const reading = target.readBatches({ signal: controller.signal }).next()
  controller.abort(reason)
  await expect(reading).rejects.toBe(reason)
})

test('many readers at a time, begun anywhere, each see all of it', async () => {
  const target = await open({ maxSegmentEntries: 400, ringBytes: 64 * 1024 })
  const writing = fill(target, 3000)
  const readings = [1, 10, 500, 1500].map(async (fromSequence) => {
    const read: number[] = []
    for await (const entry of target.read({ fromSequence, follow: true, limit: 3001 - fromSequence })) read.push(entry.sequence)
    return read
  })
  await writing
  for (const [index, fromSequence] of [1, 10, 500, 1500].entries()) expect(await readings[index]).toEqual(range(fromSequence, 3000))
})

test('a segment that is deleted while it is read is held until it has been read', async () => {
  const target = await open({ maxSegmentBytes: 2 ** 21, preallocateBytes: 0 })
  await fill(target, 4000, (sequence) => `${sequence}`.padEnd(500, '.'))
  const [first] = target.segments()
  const reading = target.read()
  const read = [(await reading.next()).value!.sequence]
  unlinkSync(first!.file)
  for await (const entry of reading) read.push(entry.sequence)
  expect(read).toEqual(range(1, 4000))
})

test('a segment that is deleted before a reader comes to it is told as ERR_WAL_TRIMMED, with its entries', async () => {
  const target = await open({ maxSegmentBytes: 8192, maxSegmentEntries: 50, preallocateBytes: 0 })
  await fill(target, 220, (sequence) => `entry ${sequence}`.padEnd(20))
  const segments = target.segments()
  const reading = target.read()
  await reading.next()
  unlinkSync(segments[1]!.file)
  const { firstSequence, lastSequence } = segments[1]!
  const rest = (async () => {
    let last = 0
    try {
      for await (const entry of reading) last = entry.sequence
      return { last }
    } catch (error) {
      return { last, error }
    }
  })()
  expect(await rest).toMatchObject({ last: firstSequence - 1, error: { code: 'ERR_WAL_TRIMMED', firstSequence, lastSequence } })
  unlinkSync(segments[0]!.file)
  expect(await sequences(target)).toEqual(range(lastSequence + 1, 220))
  expect(await target.get(firstSequence)).toBeUndefined()
})

describe.each(Object.entries(READINGS))('what is removed before a reading has begun, %s,', (_where, read) => {
  /** A reading of an empty log that follows, once it waits, and what it is told of how far it is. */
  async function waiting(target: Log, options: ReadOptions = {}): Promise<{ next: Promise<IteratorResult<LogEntry, void>>; caughtUp: number[] }> {
    const caughtUp: number[] = []
    const next = read(target, { ...options, follow: true, onCaughtUp: (sequence) => caughtUp.push(sequence) }).next()
    // Awaited by the test, after more than one turn.
    next.catch(() => undefined)
    while (caughtUp.length === 0) await turn()
    return { next, caughtUp }
  }

  test('is missed by a reader that waited for it', async () => {
    const target = await open({ maxSegmentEntries: 10 })
    const since = Date.now() - 60_000
    const readers = [await waiting(target), await waiting(target, { fromTimestamp: since })]
    const lastSequence = loseAllButTail(target)
    for (const { next } of readers) await expect(next).rejects.toMatchObject({ code: 'ERR_WAL_TRIMMED', firstSequence: 1, lastSequence })
  })

  test('is not missed if it is older than what is wanted', async () => {
    const target = await open({ maxSegmentEntries: 10 })
    const controller = new AbortController()
    const { next, caughtUp } = await waiting(target, { fromTimestamp: Date.now() + 3_600_000, signal: controller.signal })
    loseAllButTail(target)
    while (caughtUp.at(-1) !== target.lastSequence) await turn()
    controller.abort(new Error('enough'))
    await expect(next).rejects.toThrow('enough')
  })

  test('is missed by a reader that is strict, and by no other', async () => {
    const target = await open({ maxSegmentEntries: 10 })
    const lastSequence = loseAllButTail(target)
    await expect(read(target, { strict: true, fromSequence: 3 }).next()).rejects.toMatchObject({ code: 'ERR_WAL_TRIMMED', firstSequence: 3, lastSequence })
    for (const options of [{}, { strict: true, fromSequence: lastSequence + 1 }, { strict: false, fromSequence: 3 }]) {
      const reading = read(target, { ...options, follow: true })
      expect((await reading.next()).value!.sequence).toBe(lastSequence + 1)
      await reading.return()
    }
  })
})

test('damage is reported at its place, after every entry before it', async () => {
  const target = await open({ preallocateBytes: 0 })
  await fill(target, 100)
  await target.roll()
  const { file } = target.segments()[0]!
  const offsets: number[] = []
  for await (const _ of target.read()) offsets.push(0)
  expect(offsets.length).toBe(100)
  // The last: the checksum of "entry 5" may begin with a zero digit.
  const place = readFileSync(file).lastIndexOf('entry 50')
  flip(file, place)
  const read: number[] = []
  const reading = (async () => {
    for await (const entry of target.read()) read.push(entry.sequence)
  })()
  await expect(reading).rejects.toMatchObject({ name: 'WalError', code: 'ERR_WAL_CORRUPT', file, firstSequence: 50, lastSequence: 50 })
  const error = await reading.catch((each: unknown) => each) as { offset: number }
  expect(place - error.offset).toBeGreaterThan(0)
  expect(place - error.offset).toBeLessThanOrEqual(28)
  expect(read).toEqual(range(1, 49))
})

test('what the system refuses to show is told as ERR_WAL_IO, by whatever looks at the files', async () => {
  const target = await open()
  await fill(target, 3)
  const refusal = expect.objectContaining({ name: 'WalError', code: 'ERR_WAL_IO', file: directory, cause: expect.objectContaining({ code: 'ENOENT' }) })
  renameSync(directory, `${directory}-away`)
  try {
    expect(() => target.segments()).toThrow(refusal)
    expect(() => target.sequenceAt(0)).toThrow(refusal)
    expect(() => target.consumer('new')).toThrow(refusal)
    await expect(sequences(target)).rejects.toEqual(refusal)
  } finally {
    renameSync(`${directory}-away`, directory)
  }
  expect(target.segments()).toHaveLength(1)
})
