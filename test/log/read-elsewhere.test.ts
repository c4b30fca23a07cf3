/** Reading a log's directory without opening it, in this process or another, beside a live writer. */

import { fork, type ChildProcess } from 'node:child_process'
import { on, once } from 'node:events'
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { openLog, readLog, readLogBatches, repairLog, verifyLog, type Log, type LogOptions, type ReadLogOptions } from '../../dist/src/index.js'
import { INDEX_INTERVAL_BYTES } from '../../dist/src/format/index-layout.js'
import { decodeSegmentHeader, encodeSegmentHeader, tailHeader } from '../../dist/src/format/segment-layout.js'
import { TRAILER_BYTES } from '../../dist/src/format/trailer-layout.js'
import { damage, frameOf, SegmentMaker, textOf, upTo } from '../recovery/made-segments.js'

const READER = fileURLToPath(new URL('./fixtures/reading-process.mjs', import.meta.url))

interface Seen { readonly sequence?: number; readonly text?: string; readonly end?: string; readonly started?: boolean }

let directory: string
let log: Log | undefined
const children: ChildProcess[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-elsewhere-'))
})

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await log?.close().catch(() => undefined)
  log = undefined
  rmSync(directory, { recursive: true })
})

async function open(options: Partial<LogOptions> = {}): Promise<Log> {
  log = await openLog({ directory, ...options })
  return log
}

/** What another process sees, message by message. The process has started when this resolves. */
async function readInProcess(options: ReadLogOptions): Promise<AsyncIterator<Seen>> {
  const child = fork(READER, [directory, JSON.stringify(options)], { execArgv: [] })
  children.push(child)
  const messages = (on(child, 'message', { close: ['exit'] }) as AsyncIterable<[Seen]>)[Symbol.asyncIterator]()
  expect((await messages.next()).value![0]).toEqual({ started: true })
  return { next: async () => ({ done: false, value: (await messages.next()).value?.[0] as Seen }) }
}

async function seenUntilEnd(reader: AsyncIterator<Seen>): Promise<{ sequences: number[]; end: string }> {
  const sequences: number[] = []
  for (;;) {
    const { value } = await reader.next()
    if (value.end !== undefined) return { sequences, end: value.end }
    sequences.push(value.sequence!)
  }
}

async function sequencesHere(options: ReadLogOptions = {}): Promise<number[]> {
  const read: number[] = []
  for await (const entry of readLog(directory, options)) read.push(entry.sequence)
  return read
}

test('another process reads what a closed log holds', async () => {
  const target = await open({ maxSegmentEntries: 40 })
  for (let count = 0; count < 150; count++) target.append(`entry ${count + 1}`)
  await target.close()
  expect(await seenUntilEnd(await readInProcess({ fromSequence: 3 }))).toEqual({ sequences: upTo(150).slice(2), end: 'done' })
})

test('another process that follows sees every entry, the last one too once the log is idle', async () => {
  const target = await open()
  const reader = await readInProcess({ follow: true, limit: 60 })
  for (let round = 0; round < 20; round++) {
    target.append(`a ${round}`)
    target.append(`b ${round}`)
    await target.write(`c ${round}`)
  }
  // Nothing more is written: only the mark of an idle log can show the last batch.
  expect(await seenUntilEnd(reader)).toEqual({ sequences: upTo(60), end: 'done' })
  expect(target.durableSequence).toBe(60)
})

test('another process follows across rolls and sees the seal of a log that is closed', async () => {
  const target = await open({ maxSegmentEntries: 25 })
  const reader = await readInProcess({ follow: true, limit: 201 })
  for (let count = 0; count < 200; count++) {
    target.append(`entry ${count + 1}`)
    if (count % 10 === 9) await target.flush()
  }
  await target.roll()
  target.append('the last')
  await target.close()
  expect(await seenUntilEnd(reader)).toEqual({ sequences: upTo(201), end: 'done' })
})

test('a follower that came before the first segment sees it come', async () => {
  const target = await open()
  const reader = await readInProcess({ follow: true, limit: 1 })
  await target.write('first')
  expect((await reader.next()).value).toEqual({ sequence: 1, text: 'first' })
})

test('what no mark proves durable is only seen by who asks for it', async () => {
  new SegmentMaker(directory).make({ batches: [3, 2] })
  expect(await sequencesHere()).toEqual(upTo(3))
  expect(await sequencesHere({ includeWritten: true })).toEqual(upTo(5))
  expect(await seenUntilEnd(await readInProcess({ includeWritten: true }))).toEqual({ sequences: upTo(5), end: 'done' })
})

test('under manual durability nothing is seen elsewhere before a sync, and all of it after', async () => {
  const target = await open({ durability: 'manual' })
  target.append('one')
  target.append('two')
  while (target.stats().unwritten > 0) await new Promise(setImmediate)
  expect(await sequencesHere()).toEqual([])
  expect(await sequencesHere({ includeWritten: true })).toEqual([1, 2])
  await target.flush()
  const following = readLog(directory, { follow: true, limit: 2 })
  expect((await following.next()).value!.text()).toBe('one')
  expect((await following.next()).value!.text()).toBe('two')
})

test('a batch without its trailer is not shown, even to who asks for what is written', async () => {
  const { path, ends } = new SegmentMaker(directory).make({ batches: [3, 2] })
  truncateSync(path, ends[2]! - 20)
  expect(await sequencesHere({ includeWritten: true })).toEqual(upTo(3))
})

test('batches and single entries are the same, and the limit holds for both', async () => {
  const maker = new SegmentMaker(directory)
  maker.make({ batches: [30, 20], seal: true })
  maker.make({ batches: [50], seal: true })
  const inBatches: number[] = []
  for await (const batch of readLogBatches(directory, { limit: 70 })) {
    expect(batch.length).toBeGreaterThan(0)
    for (const entry of batch) {
      expect(entry.text()).toBe(textOf(entry.sequence))
      inBatches.push(entry.sequence)
    }
  }
  expect(inBatches).toEqual(upTo(70))
  expect(await sequencesHere({ limit: 70 })).toEqual(inBatches)
})

test('what is removed before a follower has come to the entries that it wants is no loss to it', async () => {
  const live = await open({ reserveBytes: 0, maxSegmentEntries: 10, retention: { maxSegments: 1 } })
  const appendUpTo = (last: number): void => {
    while (live.lastSequence < last) {
      live.append('x')
      live.flushSync()
    }
  }
  appendUpTo(11)
  let tell!: () => void
  const caughtUp = new Promise<void>((resolve) => (tell = resolve))
  const reading = readLog(directory, { fromSequence: 100, follow: true, limit: 2, onCaughtUp: (sequence) => sequence === 11 && tell() })
  const first = reading.next()
  await caughtUp
  // It has the tail open, and cannot look before that is gone.
  appendUpTo(45)
  while (live.segments()[0]!.firstSequence <= 20) live.flushSync()
  await live.flush()
  await new Promise((resolve) => setImmediate(resolve))
  appendUpTo(105)
  await live.close()
  expect((await first).value!.sequence).toBe(100)
  expect((await reading.next()).value!.sequence).toBe(101)
  await reading.return()
})

test('an abort ends a following reading elsewhere too, with its reason, and lets go of the directory', async () => {
  new SegmentMaker(directory).make({ batches: [2], seal: true })
  const controller = new AbortController()
  const reason = new Error('enough')
  const following = readLog(directory, { follow: true, signal: controller.signal })
  await following.next()
  await following.next()
  const waiting = following.next()
  controller.abort(reason)
  await expect(waiting).rejects.toBe(reason)
})

test('a follower that is left early ends at once', async () => {
  new SegmentMaker(directory).make({ batches: [2], seal: true })
  for await (const entry of readLog(directory, { follow: true })) if (entry.sequence === 2) break
  expect(await sequencesHere()).toEqual([1, 2])
})

test('a reader takes no lock: it reads beside the writer, and the writer opens beside it', async () => {
  new SegmentMaker(directory).make({ batches: [2], seal: true })
  const following = readLog(directory, { follow: true })
  await following.next()
  const target = await open()
  await target.write('three')
  await following.next()
  expect((await following.next()).value!.text()).toBe('three')
  await following.return()
})

describe('of three closed segments, 50 entries each, a damaged one', () => {
  /** Writes over the middle one, at these offsets. */
  async function damaged(...offsets: number[]): Promise<string> {
    const opened = await open()
    for (let number = 1; number <= 150; number++) {
      opened.append(`entry ${number}`)
      if (number % 50 === 0) await opened.roll()
    }
    await opened.close()
    const { file } = opened.segments()[1]!
    chmodSync(file, 0o600)
    const fd = openSync(file, 'r+')
    for (const offset of offsets) writeSync(fd, Buffer.alloc(8, 'x'), 0, 8, offset)
    closeSync(fd)
    return file
  }

  test('says by its first trailer what it holds, if it is the header', async () => {
    await damaged(30)
    const sequences: number[] = []
    for await (const entry of readLog(directory)) sequences.push(entry.sequence)
    expect(sequences).toEqual(Array.from({ length: 150 }, (_, index) => index + 1))
  })

  test.each([[1, 51], [60, 60]])('is an error at its place, if it is both: from %i', async (fromSequence, firstSequence) => {
    const file = await damaged(30, 140)
    const sequences: number[] = []
    const reading = (async () => {
      for await (const entry of readLog(directory, { fromSequence })) sequences.push(entry.sequence)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT', file, firstSequence, lastSequence: 100 })
    expect(sequences).toEqual(fromSequence === 1 ? Array.from({ length: 50 }, (_, index) => index + 1) : [])
  })
})

test('two segments that say they begin with the same sequence are no endless reading', async () => {
  for (const name of ['20260101000000-019b76daa8007a5f9cc59b0f51d45459.wal', '20260101000001-019b76daabe87d1ca3c00c60d3050b5f.wal']) {
    writeFileSync(join(directory, name), encodeSegmentHeader(tailHeader(1)))
  }
  const sequences: number[] = []
  for await (const entry of readLog(directory)) sequences.push(entry.sequence)
  expect(sequences).toEqual([])
})

test('an entry behind the last one that a sealed header tells of is none, and no endless reading', async () => {
  const { path } = new SegmentMaker(directory).make({ batches: [3], seal: true })
  damage(path, (bytes) => {
    const header = decodeSegmentHeader(bytes)
    if (typeof header === 'string') throw new Error(header)
    bytes.set(encodeSegmentHeader({ ...header, lastSequence: 2, entryCount: 2 }))
  })
  expect(await sequencesHere()).toEqual([1, 2])
})

test('what a follower has read of a batch that a recovery then cuts is not shown: its sequences are given to other entries', async () => {
  const { path, ends } = new SegmentMaker(directory).make({ batches: [2, 1, 3] })
  truncateSync(path, ends[3]! - 20)
  const following = readLog(directory, { follow: true })
  const texts: string[] = []
  const readOne = async (): Promise<void> => {
    const { value } = await following.next()
    texts.push(`${value!.sequence} ${value!.text()}`)
  }
  await readOne()
  await readOne()
  const target = await open()
  target.append('new four')
  await target.write('new five')
  for (let sequence = 3; sequence <= 5; sequence++) await readOne()
  await following.return()
  expect(texts).toEqual([`1 ${textOf(1)}`, `2 ${textOf(2)}`, `3 ${textOf(3)}`, '4 new four', '5 new five'])
})

describe('a follower that holds back the end of a tail when its writer has gone', () => {
  /** A follower that has been handed what is proved, and waits. It gives the texts of what comes from then on. */
  async function follow(proved: number, onGap?: ReadLogOptions['onGap']): Promise<(count: number) => Promise<string[]>> {
    const controller = new AbortController()
    onTestFinished(() => controller.abort())
    let wait!: () => void
    const isWaiting = new Promise<void>((resolve) => (wait = resolve))
    const following = readLog(directory, { follow: true, signal: controller.signal, onCaughtUp: wait, ...onGap && { onGap } })
    for (let sequence = 1; sequence <= proved; sequence++) expect((await following.next()).value!.text()).toBe(textOf(sequence))
    let next = following.next()
    next.catch(() => undefined)
    await isWaiting
    return async (count) => {
      const texts: string[] = []
      for (; texts.length < count; next = following.next()) texts.push((await next).value!.text())
      next.catch(() => undefined)
      return texts
    }
  }

  test('gets what a recovery keeps, though nothing more is written, and nothing of what it cuts', async () => {
    const { path, ends } = new SegmentMaker(directory).make({ batches: [3, 2, 2] })
    truncateSync(path, ends[3]! - 20)
    const take = await follow(3)
    const target = await open()
    expect(target.recovery).toMatchObject({ lastSequence: 5, cuts: [{ offset: ends[2] }] })
    expect(await take(2)).toEqual([4, 5].map(textOf))
    await target.write('new six')
    expect(await take(1)).toEqual(['new six'])
  })

  test('gets what a repair keeps, though it stands at another place of the file, and is told once of what it gives up', async () => {
    // The first one held back is one of those whose place readers note.
    let [first, bytes] = [1, 2 * TRAILER_BYTES]
    for (; bytes < INDEX_INTERVAL_BYTES; first++) bytes += frameOf(first).length
    const { path, ends } = new SegmentMaker(directory).make({ batches: [10, first - 11, 2, 2, 1] })
    damage(path, (all) => void all.fill(0, ends[3], ends[4]))
    const gaps: number[][] = []
    const take = await follow(first - 1, (...gap) => gaps.push(gap))
    const lost = [first + 2, first + 3]
    expect((await repairLog(directory)).lost).toMatchObject([{ firstSequence: lost[0], lastSequence: lost[1] }])
    expect(await take(2)).toEqual([first, first + 1].map(textOf))
    await (await open()).write('new')
    expect(await take(1)).toEqual(['new'])
    expect(gaps).toEqual([lost])
  })
})

test('a sealed header that another segment has left in the newest file is not believed', async () => {
  const elsewhere = mkdtempSync(join(tmpdir(), 'ringwal-elsewhere-'))
  const left = readFileSync(new SegmentMaker(elsewhere).make({ batches: [2], seal: true }).path)
  rmSync(elsewhere, { recursive: true })
  new SegmentMaker(directory).make({ batches: [3], seal: true })
  writeFileSync(join(directory, '20990101000000-03b56b03280071c193949911d6754acf.wal'), left.subarray(0, left.length - 100))
  expect((await verifyLog(directory)).status).toBe('torn')
  expect(await sequencesHere()).toEqual(upTo(3))
})
