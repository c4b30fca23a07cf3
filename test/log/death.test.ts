import { performance } from 'node:perf_hooks'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openLog, type Log, type LogHandle } from '../../dist/src/index.js'
import { acknowledge } from '../../dist/src/ring/drain.js'
import { failLog, isEnded, markClosed } from '../../dist/src/ring/life.js'
import { openRing, type Ring } from '../../dist/src/ring/ring.js'
import { runChild } from '../support/child-process.js'
import { entriesOf, reopenAndRead, textsOf } from '../support/log-contents.js'
import { oweEntry } from '../support/owed-entry.js'
import { ProducerThread } from '../support/producer-thread.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

const CHILD = new URL('./fixtures/failing-child.mjs', import.meta.url)

describe('a write that the operating system refuses', () => {
  test('fails the log with the cause on every thread, wakes every waiter, and opening again heals', { timeout: 60_000 }, async () => {
    // 64 blocks of 512 or 1,024 bytes, as the shell has it.
    const limited = ['sh', '-c', 'ulimit -f 64; exec "$@"', 'sh']
    const directory = temporaryDirectory()
    const end = await runChild(CHILD, [directory], { prefix: limited })
    expect(end).toMatchObject({ code: 0, errors: '' })
    const failed = 'ERR_WAL_FAILED EFBIG'
    const outcome = JSON.parse(end.output) as Record<string, unknown>
    expect(outcome).toMatchObject({
      unhandled: 0, acknowledged: 1, append: failed, theirAppend: 'ERR_WAL_FAILED', flushSync: 'failed', durable: failed, roll: failed,
      close: failed, follower: failed,
    })
    expect(outcome['writes']).toContain(failed)
    expect(outcome['theirs']).toMatch(/^(written|ERR_WAL_FAILED EFBIG)$/)
    const again = await openLog({ directory })
    onTestFinished(() => again.close())
    expect((await again.get(1))?.text()).toBe('acknowledged')
    expect(again.recovery.lastSequence).toBeGreaterThanOrEqual(outcome['safe'] as number)
    expect((await again.write('after')).sequence).toBe(again.recovery.lastSequence + 1)
  })
})

describe('a log that ends while a thread is blocked', () => {
  /** Runs `act`; with the `ending`th reading of the clock in it (a wait reads the clock at each of its steps) the log ends. */
  async function endAtReading(ending: number, end: (ring: Ring) => void, act: (log: Log) => void): Promise<void> {
    const log = await openLog({ directory: temporaryDirectory(), ringBytes: 4096, whenFull: 'block' })
    const owed = oweEntry(log)
    const ring = openRing(log.handle().ring)
    const now = performance.now.bind(performance)
    let readings = 0
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
      if (++readings === ending) end(ring)
      return now()
    })
    try {
      act(log)
      expect(isEnded(ring)).toBe(true)
    } finally {
      clock.mockRestore()
      owed.publishAborted()
      await log.close().catch(() => undefined)
    }
  }
  const endings = Array.from({ length: 10 }, (_, index) => index + 1)

  test.each(endings)('at step %i, tells an append why, and not that the ring is full', async (ending) => {
    await endAtReading(ending, (ring) => failLog(ring, new Error('no disk')), (log) => {
      expect(() => {
        for (let count = 0; count < 10; count++) log.append('x'.repeat(900))
      }).toThrow(expect.objectContaining({ code: 'ERR_WAL_FAILED' }))
    })
  })

  test.each(endings)('at step %i, tells a flush that all is durable, if it is', async (ending) => {
    const end = (ring: Ring): void => {
      acknowledge(ring, 1)
      markClosed(ring)
    }
    await endAtReading(ending, end, (log) => expect(log.flushSync()).toBe('durable'))
  })
})

describe('the thread that opened the log', () => {
  test('may be a worker', async () => {
    const directory = temporaryDirectory()
    const opener = await ProducerThread.start()
    const handle = await opener.ask<LogHandle>('open', { directory })
    const other = await ProducerThread.start(handle)
    await opener.ask('write', 'theirs')
    await other.ask('write', 'another’s')
    await opener.ask('close')
    expect(await other.askFailing('append', 'late')).toMatchObject({ code: 'ERR_WAL_CLOSED' })
    expect((await reopenAndRead(directory)).entries.map((entry) => entry.text)).toEqual(['theirs', 'another’s'])
  })

  test('when terminated takes the log with it: all waiters on other threads get an error, and the directory opens again', { timeout: 60_000 }, async () => {
    const directory = temporaryDirectory()
    const opener = await ProducerThread.start()
    const handle = await opener.ask<LogHandle>('open', { directory, durability: { intervalMs: 3_600_000 }, ringBytes: 4096 })
    const others = await Promise.all([0, 1].map(async () => await ProducerThread.start(handle)))
    for (const other of others) await other.ask('append', 'acknowledged')
    await opener.ask('flush')
    await others[0]!.ask('append', 'pending')
    // Waits that no sync ends before its hour has come.
    const waiting = others.flatMap((other) => [other.askFailing('write', 'x'), other.askFailing('write', 'y')])
    await opener.worker.terminate()
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ code: 'ERR_WAL_FAILED' })
    for (const other of others) expect(await other.askFailing('append', 'late')).toMatchObject({ code: 'ERR_WAL_FAILED' })
    const { entries } = await reopenAndRead(directory, { lockWaitMs: 10_000 })
    expect(entries.length).toBeGreaterThanOrEqual(2)
    expect(entries.map((entry) => entry.sequence)).toEqual(entries.map((_, index) => index + 1))
  })

  test('when terminated under others that only append: they get an error, and not a full ring for ever', async () => {
    const directory = temporaryDirectory()
    const opener = await ProducerThread.start()
    const handle = await opener.ask<LogHandle>('open', { directory, ringBytes: 4096 })
    const other = await ProducerThread.start(handle)
    await opener.worker.terminate()
    const codes = new Set<string | undefined>()
    for (let count = 0; count < 200; count++) codes.add(await other.ask('append', 'x'.repeat(500)).then(() => 'accepted', (error: { remote: { code?: string } }) => error.remote.code))
    expect([...codes].at(-1)).toBe('ERR_WAL_FAILED')
    const again = await openLog({ directory, lockWaitMs: 10_000 })
    onTestFinished(() => again.close())
    await again.write('after')
    expect((await textsOf(again)).at(-1)).toBe('after')
    expect((await entriesOf(again)).map((entry) => entry.sequence)).toEqual((await entriesOf(again)).map((_, index) => index + 1))
  })
})
