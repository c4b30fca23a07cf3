import { join } from 'node:path'
import pino from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openLog, verifyLog, type Log, type LogOptions } from '../../dist/src/index.js'
import { startChild } from '../support/child-process.js'
import { SmallDisk, smallDiskObstacle } from '../support/small-disk.js'

const MIB = 2 ** 20
const obstacle = smallDiskObstacle()
if (obstacle !== undefined) console.log(`full disk: skipped, no small disk can be made here: ${obstacle}`)

const text = (number: number): string => `${number} ${'x'.repeat(500)}`

/** No limit of its own: the disk is the limit. */
const UNLIMITED = { maxBytes: 2 ** 40, maxAgeMs: Infinity }

async function open(disk: SmallDisk, options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ directory: join(disk.path, 'log'), ringBytes: 256 * 1024, maxSegmentBytes: MIB, retention: UNLIMITED, ...options })
  onTestFinished(() => log.close().catch(() => undefined))
  return log
}

/** Appends from `from` on until it is refused; returns the first number that was not accepted, and why. */
async function appendUntilRefused(log: Log, from = 1): Promise<{ next: number; code: string }> {
  for (let next = from; ;) {
    try {
      log.append(text(next))
      next++
    } catch (error) {
      const { code } = error as { code: string }
      if (code !== 'ERR_WAL_FULL') return { next, code }
      // Not ready(), which would wait for a disk with room too.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

/** All entries from `first` to `last` are there, each as it was. */
async function expectAll(log: Log, first: number, last: number): Promise<void> {
  let next = first
  for await (const entries of log.readBatches({ fromSequence: first })) {
    for (const entry of entries) {
      expect(entry.sequence).toBe(next)
      if (entry.text() !== text(next)) expect(entry.text()).toBe(text(next))
      next++
    }
  }
  expect(next).toBe(last + 1)
}

async function untilRoom(log: Log): Promise<void> {
  while (log.stats().space !== 'ok') await new Promise((resolve) => setTimeout(resolve, 5))
}

describe.skipIf(obstacle !== undefined)('on a disk of 64 MiB that is filled to the brim', { timeout: 120_000 }, () => {
  test('appends are refused, what was accepted becomes durable, all else goes on, and so do appends once there is room', async () => {
    const disk = new SmallDisk(64)
    const log = await open(disk)
    await log.write(text(1))
    log.consumer('reader')
    const giveBack = disk.fillUntil(4 * MIB)
    const { next, code } = await appendUntilRefused(log, 2)
    expect(code).toBe('ERR_WAL_DISK_FULL')
    expect(log.stats().space).toBe('disk-full')
    await log.flush()
    expect(log.durableSequence).toBe(next - 1)
    await expectAll(log, 1, next - 1)
    // Not even what the reserve had is left to others.
    disk.fillUntil(0)
    const reader = log.consumer('reader')
    for await (const entry of reader) if (entry.sequence === 10) break
    reader.commit(10)
    await reader.committed(10)
    await log.checkpoint()
    expect(() => log.append('no')).toThrow(expect.objectContaining({ code: 'ERR_WAL_DISK_FULL' }))
    await log.close()
    const again = await open(disk)
    expect(again.consumers()).toEqual([{ name: 'reader', committed: 10, lag: next - 11 }])
    await expectAll(again, 1, next - 1)
    // The first append finds out; nothing of it is lost.
    let last = next - 1
    try {
      last = again.append(text(next))
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_WAL_DISK_FULL' })
    }
    giveBack()
    await untilRoom(again)
    while (last < next + 1000) ({ sequence: last } = await again.write(text(last + 1)))
    await expectAll(again, 1, last)
    expect((await verifyLog(again.directory)).damages).toEqual([])
  })

  test('a waiting write gets through once there is room, and so does a blocking append', async () => {
    const disk = new SmallDisk(64)
    const log = await open(disk, { whenFull: 'block', blockTimeoutMs: 60_000 })
    await log.write(text(1))
    const giveBack = disk.fillUntil(3 * MIB)
    let accepted = 1
    const writes: Promise<unknown>[] = []
    while (log.stats().space === 'ok') {
      for (let count = 0; count < 50; count++) writes.push(log.write(text(++accepted)))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const late = log.write(text(++accepted))
    const room = log.ready(100)
    giveBack()
    await Promise.all([...writes, late, room])
    const { sequence } = await log.write(text(++accepted))
    expect(sequence).toBe(accepted)
    await expectAll(log, 1, accepted)
  })

  test('dropped entries are counted, and have no number', async () => {
    const disk = new SmallDisk(64)
    const log = await open(disk, { whenFull: 'drop' })
    await log.write(text(1))
    const giveBack = disk.fillUntil(3 * MIB)
    let last = 1
    while (log.stats().space === 'ok') {
      const sequence = log.append(text(last + 1))
      if (sequence !== 0) last = sequence
      if (last % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const before = log.stats().dropped
    expect(log.append('gone')).toBe(0)
    expect(log.stats().dropped).toBe(before + 1)
    giveBack()
    // There is room on the disk before there is in the ring.
    await log.ready(600)
    expect(log.append(text(last + 1))).toBe(last + 1)
    await log.flush()
    await expectAll(log, 1, last + 1)
  })

  test('with drop-oldest the oldest go, a consumer is told exactly which, and appends go on', async () => {
    const disk = new SmallDisk(64)
    const log = await open(disk, { whenFull: 'block', retention: { ...UNLIMITED, whenOver: 'drop-oldest' } })
    await log.write(text(1))
    const consumer = log.consumer('slow')
    disk.fillUntil(8 * MIB)
    const total = 60_000
    for (let number = 2; number <= total; number++) log.append(text(number))
    await log.flush()
    const first = log.segments()[0]!.firstSequence
    expect(first).toBeGreaterThan(total / 2)
    const lost: number[][] = []
    consumer.on('lost', ({ firstSequence, lastSequence }) => lost.push([firstSequence, lastSequence]))
    const seen: number[] = []
    await consumer.runBatches((entries) => {
      for (const entry of entries) {
        expect(entry.text()).toBe(text(entry.sequence))
        seen.push(entry.sequence)
      }
      if (seen.at(-1) === total) setImmediate(() => void consumer.stop())
    })
    expect(lost.map(([from, to]) => to! - from! + 1).reduce((sum, count) => sum + count, 0) + seen.length).toBe(total)
    expect(lost[0]![0]).toBe(1)
    expect(seen.at(-1)).toBe(total)
  })

  test('what every consumer has committed is freed for it, also without drop-oldest', async () => {
    const disk = new SmallDisk(64)
    const log = await open(disk, { retention: { ...UNLIMITED, keepConsumed: true } })
    await log.write(text(1))
    const consumer = log.consumer('reader')
    disk.fillUntil(6 * MIB)
    const { next } = await appendUntilRefused(log, 2)
    await log.flush()
    let seen = 0
    await consumer.runBatches((entries) => {
      seen = entries.at(-1)!.sequence
      if (seen === next - 1) setImmediate(() => void consumer.stop())
    })
    await consumer.committed(next - 1)
    await untilRoom(log)
    expect(log.append(text(next))).toBe(next)
    await log.flush()
  })

  test('a log that has never been there opens, reads and closes, and refuses to append', async () => {
    const disk = new SmallDisk(64)
    disk.fillUntil(64 * 1024)
    const log = await open(disk)
    expect((await appendUntilRefused(log)).code).toBe('ERR_WAL_DISK_FULL')
    for await (const entry of log.read()) expect(entry.text()).toBe(text(entry.sequence))
  })

  test('kill -9 on the full disk: opening needs no hand, and all that was acknowledged is there', async () => {
    const disk = new SmallDisk(64)
    disk.fillUntil(6 * MIB)
    const child = startChild(new URL('./fixtures/full-disk-child.mjs', import.meta.url), [join(disk.path, 'log')])
    await child.untilOutput('durable')
    child.process.kill('SIGKILL')
    const { output, errors } = await child.end
    expect(errors).toBe('')
    disk.fillUntil(0)
    const log = await open(disk)
    const durable = Number(/durable (\d+)/.exec(output)![1])
    expect(durable).toBeGreaterThan(1000)
    expect(log.lastSequence).toBeGreaterThanOrEqual(durable)
    await expectAll(log, 1, log.lastSequence)
    expect(log.consumers()).toMatchObject([{ name: 'reader', committed: 0 }])
    await log.close()
  })

  test('a logger never throws; its lines wait, then are counted', async () => {
    const disk = new SmallDisk(64)
    const log = await open(disk)
    await log.write(text(1))
    const giveBack = disk.fillUntil(3 * MIB)
    await appendUntilRefused(log, 2)
    const destination = log.destination({ maxOverflowBytes: 10_000 })
    const logger = pino(destination)
    for (let count = 0; count < 1000; count++) logger.info('line')
    expect(destination.dropped).toBeGreaterThan(500)
    giveBack()
    await new Promise((resolve) => destination.once('drain', resolve as never))
    const last = log.lastSequence
    await log.flush()
    expect((await log.get(last))!.json()).toMatchObject({ msg: 'line' })
  })
})
