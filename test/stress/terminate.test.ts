import { describe, expect, onTestFinished, test } from 'vitest'
import { isThreadDead } from '../../dist/src/disk/thread-identity.js'
import { openLog, type Log, type LogOptions } from '../../dist/src/index.js'
import { attachRecord } from '../../dist/src/ring/records.js'
import { openRing } from '../../dist/src/ring/ring.js'
import { MAX_RECORDS } from '../../dist/src/ring/ring-layout.js'
import { below, runSeed, seededRandom, type Random } from '../model/random.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { BurstThreads } from './burst-threads.js'
import { terminateThreads } from './terminations.js'

async function openTemporary(options: Partial<LogOptions>): Promise<Log> {
  const log = await openLog({ whenFull: 'block', blockTimeoutMs: 30_000, ...options, directory: temporaryDirectory() })
  onTestFinished(() => log.close())
  return log
}

function announcedRandom(name: string): Random {
  const seed = runSeed()
  console.log(`${name}: SEED=${seed}`)
  return seededRandom(seed)
}

/** Spins for a random time below `microseconds`: shorter than any timer. */
function spin(random: Random, microseconds: number): void {
  const endMs = performance.now() + (random() * microseconds) / 1000
  while (performance.now() < endMs);
}

async function flushed(log: Log): Promise<void> {
  expect(log.flushSync({ timeoutMs: 30_000 })).toBe('durable')
  await log.flush()
}

describe('a thread that is terminated in the middle of a burst', () => {
  test('does not stop the others: 200 times, at random moments', { timeout: 120_000 }, async () => {
    const random = announcedRandom('terminate')
    const log = await openTemporary({ ringBytes: 64 * 1024 })
    const { faults, entries, aborted } = await terminateThreads(log, random, 200)
    expect(faults).toEqual([])
    console.log(`terminate: 200 threads terminated, ${entries} entries, ${aborted} aborted`)
  })

  test('does not stop the others while the main thread is busy', { timeout: 120_000 }, async () => {
    const random = announcedRandom('terminate, main busy')
    const log = await openTemporary({ ringBytes: 64 * 1024 })
    const threads = new BurstThreads(log, 100)
    const survivor = threads.start({ pause: 1 })
    // From here to the end of the loop this thread never turns to its event loop.
    for (let kill = 0; kill < 60; kill++) {
      const victim = threads.start({ bytes: below(random, 400) })
      expect(threads.waitForMore(victim, 1), 'a thread cannot begin').toBe(true)
      spin(random, 500)
      void victim.worker.terminate()
      expect(threads.waitForMore(survivor, 100), `the survivor stands still after kill ${kill}`).toBe(true)
      log.append(`main ${kill} `)
    }
    await threads.stop()
    await flushed(log)
    expect((await threads.findFaults()).faults).toEqual([])
  })

  test('does not keep the place for large entries', { timeout: 120_000 }, async () => {
    const random = announcedRandom('terminate, large entries')
    const log = await openTemporary({ ringBytes: 64 * 1024, maxEntryBytes: 1024 * 1024 })
    const threads = new BurstThreads(log, 100)
    const survivor = threads.start({ bytes: 20_000, pause: 1 })
    for (let kill = 0; kill < 60; kill++) {
      const victim = threads.start({ bytes: 20_000 + below(random, 900_000) })
      expect(threads.waitForMore(victim, 1)).toBe(true)
      spin(random, 15_000)
      const terminated = victim.worker.terminate()
      expect(threads.waitForMore(survivor, 5), `the survivor stands still after kill ${kill}`).toBe(true)
      await terminated
    }
    await threads.stop()
    await flushed(log)
    const { faults, entries, aborted } = await threads.findFaults()
    expect(faults).toEqual([])
    console.log(`terminate, large entries: 60 threads terminated, ${entries} entries, ${aborted} aborted`)
  })

  test('leaves a record that others can have: 1,024 records of the dead are no obstacle', { timeout: 120_000 }, async () => {
    const log = await openTemporary({})
    const threads = new BurstThreads(log, 50)
    const ring = openRing(log.handle().ring)
    // All but the log's own record. No thread has such a number: the kernel's limit is 2^22.
    for (let record = 1; record < MAX_RECORDS; record++) attachRecord(ring, { thread: 2 ** 22 + record, startLow: 1, startHigh: 1 }, isThreadDead)
    for (let count = 0; count < 40; count++) {
      const thread = threads.start({ way: 'once' })
      await threads.untilFirst(thread)
      await thread.worker.terminate()
    }
    await flushed(log)
    const { faults, entries } = await threads.findFaults()
    expect(faults).toEqual([])
    expect(entries).toBe(40)
  })
})

describe('four producers at full speed on a ring of 16 MiB', () => {
  test.each([['append', 'block'], ['ready', 'throw']] as const)('lose nothing by %s when a full ring means %s', { timeout: 120_000 }, async (way, whenFull) => {
    const log = await openTemporary({ whenFull })
    const threads = new BurstThreads(log, 4)
    for (let thread = 0; thread < 4; thread++) threads.start({ way, limit: 100_000, bytes: 100 })
    await threads.untilEnded()
    await flushed(log)
    const { faults, entries, aborted } = await threads.findFaults()
    expect(faults).toEqual([])
    expect({ entries, aborted }).toEqual({ entries: 400_000, aborted: 0 })
  })
})
