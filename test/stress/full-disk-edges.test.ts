/** The full disk where it is hardest: no block left, no reserve, others who take what is freed; threads, exits, quotas. */

import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openLog, verifyLog, type Log, type LogOptions } from '../../dist/src/index.js'
import { runChild } from '../support/child-process.js'
import { ProducerThread } from '../support/producer-thread.js'
import { SmallDisk, smallDiskObstacle } from '../support/small-disk.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { traceObstacle } from './system-call-trace.js'

const MIB = 2 ** 20
const UNLIMITED = { maxBytes: 2 ** 40, maxAgeMs: Infinity, cleanupIntervalMs: 3_600_000 }
const obstacle = smallDiskObstacle()
if (obstacle !== undefined) console.log(`full disk, edges: skipped, no small disk can be made here: ${obstacle}`)
const noTrace = traceObstacle()
if (noTrace !== undefined) console.log(`full disk, quotas: skipped, no system call can be made to fail here: ${noTrace}`)

const text = (number: number): string => `${number} ${'x'.repeat(1000)}`

async function open(disk: SmallDisk, options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ directory: join(disk.path, 'log'), ringBytes: 256 * 1024, maxSegmentBytes: MIB, retention: UNLIMITED, ...options })
  onTestFinished(() => log.close().catch(() => undefined))
  return log
}

async function fill(log: Log, upTo: number): Promise<void> {
  while (log.lastSequence < upTo) {
    await log.ready(1100)
    log.append(text(log.lastSequence + 1))
  }
  await log.flush()
}

async function appendUntilRefused(log: Log): Promise<number> {
  for (;;) {
    try {
      log.append(text(log.lastSequence + 1))
    } catch (error) {
      const { code } = error as { code: string }
      if (code === 'ERR_WAL_DISK_FULL') return log.lastSequence
      if (code !== 'ERR_WAL_FULL') throw error
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

async function textsFrom(log: Log, first: number): Promise<number> {
  let next = first
  for await (const entry of log.read({ fromSequence: first })) {
    expect(entry.sequence).toBe(next)
    if (entry.text() !== text(next)) expect(entry.text()).toBe(text(next))
    next++
  }
  return next - 1
}

async function untilSpace(log: Log, space: string): Promise<void> {
  for (let look = 0; log.stats().space !== space; look++) {
    expect(look, `the log never became ${space}`).toBeLessThan(2000)
    await sleep(5)
  }
}

const spares = (log: Log): number => readdirSync(log.directory).filter((name) => name.endsWith('.spare')).length

describe.skipIf(obstacle !== undefined)('on a disk of a few MiB', { timeout: 120_000 }, () => {
  test('a reserve that the disk could never hold is cut to a quarter of it: appends are taken', async () => {
    const disk = new SmallDisk(16)
    const log = await open(disk, { ringBytes: 16 * MIB, retention: {} })
    for (let number = 1; number <= 100; number++) await log.write(text(number))
    expect(log.stats().space).toBe('ok')
    expect(disk.freeBytes).toBeGreaterThan(6 * MIB)
  })

  test('by default the log takes half of the disk, and the rest is left to others', async () => {
    const disk = new SmallDisk(64)
    const free = disk.freeBytes
    const log = await open(disk, { whenFull: 'block', maxSegmentBytes: 64 * MIB, retention: {} })
    for (let number = 1; number <= 80_000; number++) log.append(text(number))
    await log.flush()
    await log.checkpoint()
    const bytes = log.segments().reduce((sum, segment) => sum + segment.bytes, 0)
    expect(bytes).toBeLessThanOrEqual(free / 2)
    expect(bytes).toBeGreaterThan(free / 8)
    expect(Math.max(...log.segments().map((segment) => segment.bytes))).toBeLessThanOrEqual(free / 8)
    expect(disk.freeBytes).toBeGreaterThan(free / 2 - MIB)
    expect(await textsFrom(log, log.segments()[0]!.firstSequence)).toBe(80_000)
  })

  test.each(['refuse', 'drop-oldest'] as const)('opened again, the log may by default take as much as before, its uploads and its reserve included: %s', async (whenOver) => {
    const disk = new SmallDisk(64)
    const options = { reserveBytes: 8 * MIB, retention: { whenOver, cleanupIntervalMs: 3_600_000 } }
    const first = await open(disk, options)
    first.cursors.add('slow', 0)
    for (let upload = 0; upload < 5; upload++) {
      await first.appendFile([Buffer.alloc(4 * MIB)])
      await first.roll()
    }
    await first.checkpoint()
    expect(first.stats().space).toBe('ok')
    await first.close()
    const again = await open(disk, options)
    await again.checkpoint()
    expect([again.segments().length, again.stats().space]).toEqual([first.lastSequence, 'ok'])
    expect((await again.write(text(1))).sequence).toBe(first.lastSequence + 1)
  })

  test.each([[[]], [['slow']]])('a log that was opened on the full disk may by default take half of what there is once there is room, with consumers: %j', async (consumers) => {
    const disk = new SmallDisk(64)
    const giveBack = disk.fillUntil(64 * 1024)
    const log = await open(disk, { retention: {} })
    expect(log.stats().space).toBe('disk-full')
    for (const name of consumers) log.cursors.add(name, 0)
    giveBack()
    await untilSpace(log, 'ok')
    await fill(log, 5000)
    await log.checkpoint()
    expect([log.stats().space, await textsFrom(log, 1)]).toEqual(['ok', 5000])
    // Its segments are as large as they would have been.
    expect(log.segments().length).toBeLessThan(10)
  })

  test('a log that lags at its default limit is let go on when others leave more of the disk', async () => {
    const disk = new SmallDisk(64)
    const giveBack = disk.fillUntil(4 * MIB)
    const log = await open(disk, { retention: {} })
    log.cursors.add('slow', 0)
    const last = await appendUntilRefused(log)
    await untilSpace(log, 'over-limit')
    giveBack()
    await untilSpace(log, 'ok')
    expect((await log.write(text(last + 1))).sequence).toBe(last + 1)
  })

  test('without room for the reserve a log says so at its first opening, before anything is accepted', async () => {
    const disk = new SmallDisk(16)
    const giveBack = disk.fillUntil(256 * 1024)
    const log = await open(disk)
    expect(log.stats().space).toBe('disk-full')
    expect(() => log.append('no')).toThrow(expect.objectContaining({ code: 'ERR_WAL_DISK_FULL' }))
    const waiting = log.write(text(1))
    giveBack()
    expect((await waiting).sequence).toBe(1)
    expect(await textsFrom(log, 1)).toBe(1)
  })

  test('a log with durable entries and not a block left, not even in reserve, closes and opens, and goes on once there is room', async () => {
    const disk = new SmallDisk(16)
    const options = { reserveBytes: 0, preallocateBytes: 0 }
    const first = await open(disk, options)
    // The file ends a little before the end of a block, the closing mark of the idle log included: the index will not fit.
    const write = async (bytes: number): Promise<number> => {
      await first.write('y'.repeat(bytes))
      await sleep(50)
      return first.segments()[0]!.bytes
    }
    const before = await write(16)
    const overhead = (await write(16)) - before - 16
    const end = before + 16 + overhead
    expect((await write((2 * 4096 - 30 - (end % 4096) - overhead) % 4096)) % 4096).toBe(4096 - 30)
    const giveBack = disk.fillUntil(0)
    const last = first.lastSequence
    await first.close()
    const second = await open(disk, options)
    expect(second.lastSequence).toBe(last)
    expect((await second.get(last))!.text()).toMatch(/^y+$/)
    expect(second.segments()[0]!.sealed).toBe(false)
    await second.close()
    giveBack()
    const third = await open(disk, options)
    expect((await third.write('more')).sequence).toBe(last + 1)
    await third.close()
    expect(await verifyLog(third.directory)).toMatchObject({ damages: [], repairs: [] })
  })

  test('what was accepted and finds no room is not acknowledged; close says so, and opening needs no hand', async () => {
    const disk = new SmallDisk(16)
    const log = await open(disk, { reserveBytes: 0, preallocateBytes: 0 })
    await fill(log, 10)
    disk.fillUntil(0)
    const accepted = await appendUntilRefused(log)
    const durable = log.durableSequence
    expect(durable).toBeLessThan(accepted)
    const waiting = log.durable(accepted).catch((error: unknown) => error)
    await expect(log.close()).rejects.toMatchObject({ code: 'ERR_WAL_FAILED', cause: { code: 'ENOSPC' } })
    expect(await waiting).toMatchObject({ code: 'ERR_WAL_FAILED' })
    const again = await open(disk, { reserveBytes: 0, preallocateBytes: 0 })
    expect(again.lastSequence).toBeGreaterThanOrEqual(durable)
    expect(await textsFrom(again, 1)).toBe(again.lastSequence)
  })

  test('with work that finds no room the writer tries ten times a second, and does not spin', async () => {
    const disk = new SmallDisk(16)
    const log = await open(disk, { reserveBytes: 0, preallocateBytes: 0 })
    const cursor = log.cursors.add('reader', 0)
    await fill(log, 100)
    const giveBack = disk.fillUntil(0)
    const last = await appendUntilRefused(log)
    const { durableSequence } = log
    cursor.noteDelivered(durableSequence)
    // The last block of the tail still has room for some commits.
    let committed = 0
    let work: Promise<unknown> = Promise.resolve()
    const isDone = async (): Promise<boolean> => await Promise.race([work.then(() => true), sleep(300, false)])
    for (let sequence = durableSequence - 60; sequence <= durableSequence && await isDone(); sequence++) {
      cursor.commit(committed = sequence)
      work = cursor.untilDurable(sequence)
    }
    expect(committed).toBeLessThan(durableSequence)
    work = Promise.all([work, log.roll(), log.checkpoint(), log.flush()])
    const before = log.stats().writerSleeps
    await sleep(1000)
    expect(log.stats().writerSleeps - before).toBeLessThan(40)
    giveBack()
    await work
    await untilSpace(log, 'ok')
    expect((await log.write(text(last + 1))).sequence).toBe(last + 1)
  })

  test('with the reserve, a roll, a checkpoint and commits work on the full disk', async () => {
    const disk = new SmallDisk(16)
    const log = await open(disk, { reserveBytes: MIB, maxSegmentBytes: 256 * 1024 })
    const cursor = log.cursors.add('reader', 0)
    await fill(log, 300)
    disk.fillUntil(0)
    const last = await appendUntilRefused(log)
    await log.flush()
    await log.roll()
    expect(log.segments().every(({ sealed }) => sealed)).toBe(true)
    cursor.noteDelivered(last)
    cursor.commit(100)
    await cursor.untilDurable(100)
    await log.checkpoint()
    expect(await textsFrom(log, log.segments()[0]!.firstSequence)).toBe(last)
    await log.close()
    const again = await open(disk)
    expect(again.cursors.list()).toEqual([{ name: 'reader', committed: 100 }])
    expect(await textsFrom(again, again.segments()[0]!.firstSequence)).toBe(last)
  })

  test('producers on other threads get the same errors, and wait in the same way', async () => {
    const disk = new SmallDisk(16)
    const log = await open(disk, { reserveBytes: MIB })
    const thread = await ProducerThread.start(log.handle())
    const giveBack = disk.fillUntil(MIB)
    const last = await appendUntilRefused(log)
    expect(await thread.askFailing('append', 'no')).toMatchObject({ name: 'WalError', code: 'ERR_WAL_DISK_FULL' })
    const waiting = [thread.ask<{ sequence: number }>('write', text(last + 1)), thread.ask('ready', 500)] as const
    await sleep(50)
    giveBack()
    expect((await waiting[0]).sequence).toBe(last + 1)
    await waiting[1]
    await thread.ask('close')
  })

  test('files that are kept to be used again are given up before any entry is', async () => {
    const disk = new SmallDisk(32)
    const log = await open(disk, { reserveBytes: MIB, retention: { ...UNLIMITED, whenOver: 'drop-oldest' } })
    const cursor = log.cursors.add('reader', 0)
    await fill(log, 5000)
    cursor.noteDelivered(5000)
    cursor.commit(2100)
    await cursor.untilDurable(2100)
    await log.checkpoint()
    expect(spares(log)).toBe(2)
    const { firstSequence } = log.segments()[0]!
    disk.fillUntil(0)
    await fill(log, 7000)
    expect(spares(log)).toBe(0)
    expect(log.segments()[0]!.firstSequence).toBe(firstSequence)
    expect(await textsFrom(log, firstSequence)).toBe(7000)
  })

  test('drop-oldest takes no more than what is written needs, also when others take what the reserve had', async () => {
    const disk = new SmallDisk(32)
    const log = await open(disk, { reserveBytes: 4 * MIB, retention: { ...UNLIMITED, whenOver: 'drop-oldest' } })
    log.cursors.add('slow', 0)
    await fill(log, 8000)
    disk.fillUntil(0)
    // Somebody else takes the reserve's room for good.
    const taking = setInterval(() => {
      if (!readdirSync(log.directory).includes('reserve') && disk.freeBytes > 0) disk.fillUntil(0)
    }, 2)
    onTestFinished(() => clearInterval(taking))
    await fill(log, 11_000)
    clearInterval(taking)
    const first = log.segments()[0]!.firstSequence
    // Three segments' worth was written: a few more went than that, by no means all.
    expect(first).toBeGreaterThan(1)
    expect(first).toBeLessThan(7000)
    expect(log.stats().space).toBe('ok')
    expect(await textsFrom(log, first)).toBe(11_000)
  })

  test('the exit hook and all appends after it take a bounded time', async () => {
    const disk = new SmallDisk(16)
    mkdirSync(join(disk.path, 'log'))
    disk.fillUntil(MIB)
    const child = await runChild(new URL('./fixtures/full-disk-exit-child.mjs', import.meta.url), [join(disk.path, 'log')])
    expect(child).toMatchObject({ code: 3, errors: '' })
    const { outcome, hookMs, allMs } = JSON.parse(child.output) as { outcome: string; hookMs: number; allMs: number }
    expect(outcome).toBe('timeout')
    expect(hookMs).toBeLessThan(12_000)
    expect(allMs).toBeLessThan(15_000)
    const log = await open(disk)
    expect(log.lastSequence).toBeGreaterThan(0)
  })
})

describe.skipIf(noTrace !== undefined)('a quota that is used up', () => {
  test.each(['EDQUOT', 'ENOSPC'])('is a full disk too (%s): writes wait, nothing is lost, none comes twice', { timeout: 60_000 }, async (error) => {
    const root = temporaryDirectory()
    const directory = join(root, 'log')
    const prefix = ['strace', '-f', '-qq', '-o', join(root, 'trace'), '-e', 'trace=pwritev,pwritev2,pwrite64', '-e', `inject=pwritev,pwritev2,pwrite64:error=${error}:when=12..20`]
    const child = await runChild(new URL('./fixtures/quota-child.mjs', import.meta.url), [directory], { prefix })
    expect(child).toMatchObject({ code: 0, errors: '', output: 'full: true\n' })
    const log = await openLog({ directory })
    onTestFinished(() => log.close())
    let next = 1
    for await (const entry of log.read()) expect(entry.text()).toBe(`entry ${next++}`)
    expect(next).toBe(51)
  })
})
