import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openLog, type Log, type LogOptions } from '../../dist/src/index.js'
import { openRing } from '../../dist/src/ring/ring.js'
import { WORD } from '../../dist/src/ring/ring-layout.js'
import { EVENT_WAITERS } from '../../dist/src/sync/event-count.js'
import { oweEntry } from '../support/owed-entry.js'
import { textsOf } from '../support/log-contents.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

async function openTemporary(options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ ...options, directory: temporaryDirectory() })
  onTestFinished(() => log.close())
  return log
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
}

/** Promises rejected with nobody there to see, until the calling test ends. */
function unhandledRejections(): unknown[] {
  const seen: unknown[] = []
  const note = (reason: unknown): void => void seen.push(reason)
  process.on('unhandledRejection', note)
  onTestFinished(() => void process.off('unhandledRejection', note))
  return seen
}

describe('a signal', () => {
  test('ends the waiting of every call, not the entry', async () => {
    const unhandled = unhandledRejections()
    const log = await openTemporary({ ringBytes: 4096 })
    const owed = oweEntry(log)
    const abort = new AbortController()
    const { signal } = abort
    const sequence = log.append('appended')
    const inLine = Array.from({ length: 10 }, (_, index) => log.write(`${index} `.padEnd(900, '.'), { signal }))
    const calls = [...inLine, log.durable(sequence, { signal }), log.ready(1000, { signal }), log.flush({ signal })]
    const reason = new Error('enough')
    abort.abort(reason)
    expect(await Promise.allSettled(calls)).toEqual(calls.map(() => ({ status: 'rejected', reason })))
    owed.publishAborted()
    await log.flush()
    expect((await textsOf(log)).map((text) => text.split(' ')[0])).toEqual(['appended', ...inLine.map((_, index) => String(index))])
    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).toEqual([])
  })

  test('that is aborted already refuses before anything is taken', async () => {
    const log = await openTemporary()
    const signal = AbortSignal.abort(new Error('before'))
    await expect(log.write('never', { signal })).rejects.toThrow('before')
    await expect(log.durable(0, { signal })).rejects.toThrow('before')
    await expect(log.ready(1, { signal })).rejects.toThrow('before')
    await expect(log.flush({ signal })).rejects.toThrow('before')
    expect(log.lastSequence).toBe(0)
  })

  test('leaves no listener behind', async () => {
    const log = await openTemporary()
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...given: Parameters<typeof add>) => (listeners++, add(...given))
    signal.removeEventListener = (...given: Parameters<typeof remove>) => (listeners--, remove(...given))
    for (let index = 0; index < 50; index++) await log.write('x', { signal })
    expect(listeners).toBe(0)
  })

  test('that was aborted is let go of, and all that hangs on it, while an earlier wait goes on', async () => {
    const log = await openTemporary({ ringBytes: 4096 })
    const owed = oweEntry(log)
    const sequence = log.append('appended')
    const inLine = Array.from({ length: 10 }, () => log.write('w'.repeat(900)))
    const waiting = [log.durable(sequence), log.ready(900), ...inLine]
    const reasons: WeakRef<Error>[] = []
    for (let index = 0; index < 100; index++) {
      const abort = new AbortController()
      const calls = [log.durable(sequence, { signal: abort.signal }), log.ready(900, { signal: abort.signal })]
      const reason = new Error('enough')
      abort.abort(reason)
      await Promise.allSettled(calls)
      reasons.push(new WeakRef(reason))
    }
    // What was looked at in this turn is kept until its end.
    await turn()
    collectGarbage()
    const kept = reasons.filter((reason) => reason.deref() !== undefined).length
    owed.publishAborted()
    await Promise.all(waiting)
    expect(kept).toBeLessThan(50)
  })

  test('that is not an AbortSignal is a TypeError', async () => {
    const log = await openTemporary()
    await expect(log.write('x', { signal: {} as AbortSignal })).rejects.toThrow(TypeError)
    expect(log.lastSequence).toBe(0)
  })
})

describe('durable', () => {
  test.each([[1], [-1], [0.5], [Number.NaN], [2 ** 53], ['1']])('of a sequence never given out is a RangeError: %s', async (sequence) => {
    const log = await openTemporary()
    await expect(log.durable(sequence as number)).rejects.toThrow(RangeError)
  })

  test('of many at once, in any order, resolves each', async () => {
    const log = await openTemporary({ whenFull: 'block' })
    const sequences = Array.from({ length: 2000 }, (_, index) => log.append(String(index)))
    await Promise.all([...sequences].reverse().map((sequence) => log.durable(sequence)))
    expect(log.durableSequence).toBe(2000)
  })

  test('comes to who has stopped the clock, whether it is looked for or slept for', async () => {
    const log = await openTemporary()
    const { words } = openRing(log.handle().ring)
    vi.useFakeTimers({ toFake: ['setImmediate', 'setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'Date'] })
    onTestFinished(() => void vi.useRealTimers())
    await log.write('one')
    const owed = oweEntry(log)
    const waiting = log.write('behind one that is owed')
    while (Atomics.load(words, WORD.durableEvent + EVENT_WAITERS) === 0) await turn()
    owed.publishAborted()
    await waiting
    await log.write('three')
    expect(log.durableSequence).toBe(4)
  })

  test("under 'manual' nothing is synced until somebody waits, and then it is", async () => {
    const log = await openTemporary({ durability: 'manual' })
    for (const wait of [async (sequence: number) => await log.durable(sequence), async () => await log.flush(), () => log.flushSync()]) {
      const before = log.durableSequence
      const sequence = log.append('x')
      while (log.stats().unwritten > 0) await new Promise((resolve) => setImmediate(resolve))
      expect(log.durableSequence).toBe(before)
      expect(log.stats().unsynced).toBe(1)
      await wait(sequence)
      expect(log.durableSequence).toBe(sequence)
    }
    await log.write('x')
    log.append('sealed by roll')
    await log.flush()
    await log.roll()
    expect(log.durableSequence).toBe(log.lastSequence)
  })

  test('with { intervalMs } comes by itself, many entries to a sync, and flush hastens it', async () => {
    const log = await openTemporary({ durability: { intervalMs: 100 } })
    for (let index = 0; index < 100; index++) {
      log.append('x')
      while (log.stats().unwritten > 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await log.durable(log.lastSequence)
    const { syncs, batches } = log.stats()
    expect(syncs).toBeLessThan(batches)
    const slow = await openTemporary({ durability: { intervalMs: 3_600_000 } })
    slow.append('x')
    await slow.flush()
    slow.append('y')
    expect(slow.flushSync()).toBe('durable')
  })
})

describe('flushSync', () => {
  test('says durable, and timeout while something is owed; the entries are still on their way', async () => {
    const log = await openTemporary()
    log.append('one')
    expect(log.flushSync()).toBe('durable')
    expect(log.flushSync({ timeoutMs: 0 })).toBe('durable')
    const owed = oweEntry(log)
    log.append('two')
    expect(log.flushSync({ timeoutMs: 20 })).toBe('timeout')
    owed.publishAborted()
    expect(log.flushSync({ timeoutMs: Infinity })).toBe('durable')
    expect(() => log.flushSync({ timeoutMs: -1 })).toThrow(RangeError)
    expect(await textsOf(log)).toEqual(['one', 'two'])
  })

  test('covers what writes of this producer have in line for room', async () => {
    const log = await openTemporary({ ringBytes: 4096 })
    const writes = Array.from({ length: 100 }, () => log.write('w'.repeat(900)))
    expect(log.flushSync()).toBe('durable')
    expect(log.durableSequence).toBe(100)
    await Promise.all(writes)
  })
})

describe('roll', () => {
  test('seals what was appended before it: 500 times', { timeout: 120_000 }, async () => {
    const log = await openTemporary({ preallocateBytes: 0 })
    for (let time = 1; time <= 500; time++) {
      log.append('x')
      for (let spin = (time * 37) % 300; spin > 0; spin--);
      await log.roll()
      expect(log.stats().rolls, 'the entry before the roll is in no sealed segment').toBe(time)
    }
  })

  test('of an empty tail has no effect', async () => {
    const log = await openTemporary()
    await log.roll()
    expect(log.segments()).toEqual([])
  })
})
