import { once } from 'node:events'
import pino from 'pino'
import { Worker } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openLog, type Log, type LogOptions } from '../../dist/src/index.js'
import { runChild } from '../support/child-process.js'
import { reopenAndRead, textsOf } from '../support/log-contents.js'
import { oweEntry } from '../support/owed-entry.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

async function openTemporary(options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ ...options, directory: temporaryDirectory() })
  onTestFinished(() => log.close())
  return log
}

describe('pino into a log', () => {
  test('lines arrive in order, without their newline, and flush calls back when they are durable', async () => {
    const log = await openTemporary()
    const logger = pino(log.destination())
    for (let index = 0; index < 100; index++) logger.info({ index }, 'lines\nwithin')
    const error = await new Promise((resolve) => logger.flush(resolve))
    expect(error ?? undefined).toBeUndefined()
    expect(log.durableSequence).toBe(100)
    const texts = await textsOf(log)
    expect(texts.map((text) => (JSON.parse(text) as { index: number }).index)).toEqual(Array.from({ length: 100 }, (_, index) => index))
    expect(texts.every((text) => text.endsWith('}'))).toBe(true)
  })

  test('process.exit right after a line keeps it, and lines from exit listeners', async () => {
    const directory = temporaryDirectory()
    const child = await runChild(new URL('./fixtures/pino-child.mjs', import.meta.url), [directory])
    expect(child).toMatchObject({ code: 5, errors: '' })
    const { entries } = await reopenAndRead(directory)
    expect(entries).toHaveLength(1002)
    expect(entries.slice(-2).map(({ text }) => (JSON.parse(text) as { msg: string }).msg)).toEqual(['last', 'from an exit listener'])
  })

  test('threads log into the same log by attachProducer, and lose nothing at their end', async () => {
    const log = await openTemporary()
    const script = new URL('./fixtures/pino-thread.mjs', import.meta.url)
    await Promise.all([0, 1].map(async (index) => await once(new Worker(script, { workerData: { handle: log.handle(), index } }), 'exit')))
    await log.flush()
    const lines = (await textsOf(log)).map((text) => JSON.parse(text) as { thread: number; index: number })
    for (const thread of [0, 1]) {
      expect(lines.filter((line) => line.thread === thread).map((line) => line.index)).toEqual(Array.from({ length: 500 }, (_, index) => index))
    }
  })
})

describe('a destination', () => {
  test('takes one newline off, of text and of bytes, and no more', async () => {
    const log = await openTemporary()
    const destination = log.destination()
    for (const line of ['a\n', 'b', 'c\n\n', '\n', '']) expect(destination.write(line)).toBe(true)
    expect(destination.write(Buffer.from('d\n'))).toBe(true)
    expect(destination.flushSync()).toBe('durable')
    expect(await textsOf(log)).toEqual(['a', 'b', 'c\n', '', '', 'd'])
  })

  test.each(['throw', 'drop'] as const)('keeps lines in order while the ring is full, within its bound; drops beyond it, counts them, says so, and drains: %s', async (whenFull) => {
    const log = await openTemporary({ ringBytes: 4096, whenFull })
    const destination = log.destination({ maxOverflowBytes: 50_000 })
    const owed = oweEntry(log)
    const accepted = Array.from({ length: 200 }, (_, index) => {
      const before = destination.dropped
      destination.write(`${index} `.padEnd(500, '.'))
      return destination.dropped === before ? index : undefined
    }).filter((index) => index !== undefined)
    expect(accepted.length).toBeGreaterThanOrEqual(100)
    expect(accepted.length).toBeLessThan(110)
    expect(destination.dropped).toBe(200 - accepted.length)
    const [dropped] = await once(destination as never, 'drop') as [number]
    expect(dropped).toBe(200 - accepted.length)
    const drained = once(destination as never, 'drain')
    owed.publishAborted()
    await drained
    destination.write('after')
    expect(destination.flushSync()).toBe('durable')
    const texts = await textsOf(log)
    expect(texts.pop()).toBe('after')
    expect(texts.map((text) => Number.parseInt(text))).toEqual(accepted)
    expect(log.stats().dropped, 'what only waited in memory counts as dropped').toBe(0)
  })

  test('never throws: not on what is no line, not on one too large, not after end, not after close', async () => {
    const log = await openTemporary({ maxEntryBytes: 1000 })
    const destination = log.destination()
    const errors: Error[] = []
    destination.on('error', ((error: Error) => errors.push(error)) as never)
    expect(destination.write('x'.repeat(1001))).toBe(false)
    for (const line of [undefined, null, 7, {}]) expect(destination.write(line as never)).toBe(false)
    expect(destination.dropped).toBe(5)
    // `once` below would take an error that is still to be told for its own.
    await new Promise((resolve) => setImmediate(resolve))
    const finished = Promise.all([once(destination as never, 'finish'), once(destination as never, 'close')])
    destination.end('last\n')
    await finished
    expect(destination.write('late')).toBe(false)
    const other = log.destination()
    await log.close()
    expect(other.write('late')).toBe(false)
    expect(other.dropped).toBe(1)
    expect(other.flushSync()).toBe('durable')
    await new Promise((resolve) => other.flush(resolve))
    other.end()
    expect(await textsOf(log)).toEqual(['last'])
    expect(errors.length).toBeGreaterThan(0)
  })

  test('at its end what overflowed is not lost', async () => {
    const log = await openTemporary({ ringBytes: 4096 })
    const destination = log.destination()
    for (let index = 0; index < 100; index++) destination.write(`${index} `.padEnd(900, '.'))
    const finished = once(destination as never, 'finish')
    destination.end()
    await finished
    expect(await textsOf(log)).toHaveLength(100)
    expect(destination.dropped).toBe(0)
  })
})
