import { describe, expect, onTestFinished, test } from 'vitest'
import { Worker } from 'node:worker_threads'
import { attachProducer, LogMessage, openLog, type EntryData, type Log, type LogOptions } from '../../dist/src/index.js'
import { readPhase } from '../../dist/src/ring/records.js'
import { openRing, recordScratch } from '../../dist/src/ring/ring.js'
import { entriesOf, textsOf } from '../support/log-contents.js'
import { oweEntry } from '../support/owed-entry.js'
import { ProducerThread } from '../support/producer-thread.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

async function openTemporary(options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ ...options, directory: temporaryDirectory() })
  onTestFinished(() => log.close())
  return log
}

describe('the bytes of an entry', () => {
  test.each<[string, EntryData, string]>([
    ['an empty text', '', ''],
    ['empty bytes', new Uint8Array(0), ''],
    ['characters of four bytes', '🜁🜂🜃'.repeat(100), '🜁🜂🜃'.repeat(100)],
    ['many characters of four bytes, larger than the scratch', '🜁'.repeat(30_000), '🜁'.repeat(30_000)],
    ['lone surrogates', 'a\ud800b\udc00', 'a\ufffdb\ufffd'],
    ['lone surrogates, larger than the scratch', '\ud800'.repeat(30_000), '\ufffd'.repeat(30_000)],
    ['what looks like a frame', 'MSG!\u0000\u0000', 'MSG!\u0000\u0000'],
    ['a DataView of a part', new DataView(new TextEncoder().encode('abcdef').buffer, 1, 3), 'bcd'],
    ['a Uint16Array', new Uint16Array([0x4241, 0x4443]), 'ABCD'],
    ['larger than the ring', 'r'.repeat(200_000), 'r'.repeat(200_000)],
    ['a message', new LogMessage().write('a').json({ b: 1 }), 'a{"b":1}'],
  ])('%s comes back as it was', async (_name, data, text) => {
    const log = await openTemporary({ ringBytes: 65_536, maxEntryBytes: 256 * 1024 })
    await log.write(data)
    log.appendGroup(['before', data, 'after'])
    await log.flush()
    expect(await textsOf(log)).toEqual([text, 'before', text, 'after'])
  })

  test('are copied at once: the caller may change its buffer right after the call, also while a write waits for room', async () => {
    const log = await openTemporary({ ringBytes: 4096 })
    const buffer = Buffer.alloc(800)
    const writes = Array.from({ length: 100 }, (_, index) => {
      buffer.fill(index)
      const write = log.write(buffer)
      buffer.fill(255)
      return write
    })
    await Promise.all(writes)
    const seen = (await entriesOf(log)).length
    expect(seen).toBe(100)
    let index = 0
    for await (const entry of log.read()) expect(entry.data.equals(Buffer.alloc(800, index++))).toBe(true)
  })

  test('are copied at once from a LogMessage too, which may be used again right after the call, also while a write waits for room', async () => {
    const log = await openTemporary({ ringBytes: 4096 })
    const message = new LogMessage()
    const writes = Array.from({ length: 100 }, (_, index) => {
      const write = log.write(message.write(`${index} `.padEnd(800, '.')))
      message.reset().write('spoilt')
      message.reset()
      return write
    })
    await Promise.all(writes)
    let index = 0
    for await (const entry of log.read()) expect(entry.text()).toBe(`${index++} `.padEnd(800, '.'))
    expect(index).toBe(100)
  })

  test('have a right checksum also when another thread changes them during append', async () => {
    const log = await openTemporary({ whenFull: 'block' })
    const shared = new SharedArrayBuffer(8192)
    const worker = new Worker('const { workerData: b } = require("worker_threads"); const v = new Int32Array(b); for (let i = 0; ; i++) v.fill(i)', { eval: true, workerData: shared })
    onTestFinished(async () => void (await worker.terminate()))
    for (let count = 0; count < 20_000; count++) log.append(new Uint8Array(shared, 0, count % 8192))
    await log.flush()
    // Reading checks every checksum.
    expect(await entriesOf(log)).toHaveLength(20_000)
  })

  test('a detached buffer is a TypeError, and nothing is claimed', async () => {
    const log = await openTemporary()
    const bytes = new Uint8Array(8)
    structuredClone(bytes, { transfer: [bytes.buffer] })
    expect(() => log.append(bytes)).toThrow(TypeError)
    expect(() => log.appendGroup(['a', bytes])).toThrow(TypeError)
    expect(log.lastSequence).toBe(0)
  })

  test.each([[1000], [-1], [Number.NaN]])('a subclass of Uint8Array that claims a length of %s cannot harm the log', async (lie) => {
    class Liar extends Uint8Array {
      override get length(): number { return lie }
      override get byteLength(): number { return lie }
    }
    const log = await openTemporary()
    try {
      log.append(new Liar(8))
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
    await log.write('after')
    expect((await textsOf(log)).at(-1)).toBe('after')
  })

  test('a getter that appends while its entry is taken cannot harm the log', async () => {
    const log = await openTemporary()
    class Nested extends Uint8Array {
      override get byteLength(): number {
        log.append('nested')
        return super.byteLength
      }
    }
    log.append('first')
    log.append(new Nested([65, 66]))
    log.appendGroup(['group', new Nested([67, 68]), 'end'])
    await log.write('last')
    expect((await textsOf(log)).filter((text) => text !== 'nested')).toEqual(['first', 'AB', 'group', 'CD', 'end', 'last'])
  })
})

describe('a stack that overflows inside append', () => {
  test('leaves a log that works, 1,000 times: what was returned is there, what threw is not', { timeout: 120_000 }, async () => {
    const log = await openTemporary({ whenFull: 'block' })
    const accepted = new Map<number, string>()
    let number = 0
    // Goes on deeper after a throw, so that every place inside append is hit.
    const dig = (): void => {
      const text = `entry ${number++}`
      try {
        accepted.set(log.append(text), text)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      }
      dig()
    }
    const descend = (depth: number): void => (depth === 0 ? dig() : descend(depth - 1))
    let depth = 0
    const measure = (): void => {
      depth++
      measure()
    }
    expect(measure).toThrow(RangeError)
    for (let time = 0; time < 1000; time++) {
      expect(() => descend(Math.floor(depth * 0.9) + (time % 61))).toThrow(RangeError)
      if (time % 100 === 0) expect(log.flushSync()).toBe('durable')
    }
    await log.flush()
    const entries = await entriesOf(log)
    expect(new Map(entries.map(({ sequence, text }) => [sequence, text]))).toEqual(accepted)
    expect(entries.length + log.stats().aborted).toBe(log.lastSequence)
  })

  test('leaves nothing owed: the death of another thread is settled although this one never appends again', async () => {
    const log = await openTemporary({ whenFull: 'block' })
    const ring = openRing(log.handle().ring)
    const dig = (): void => {
      try {
        log.append('deep')
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      }
      dig()
    }
    const descend = (depth: number): void => (depth === 0 ? dig() : descend(depth - 1))
    for (let time = 0; time < 1000 && readPhase(ring, 0) % 2 === 0; time++) expect(() => descend(5000 + time % 61)).toThrow(RangeError)
    expect(log.flushSync()).toBe('durable')
    const owed = oweEntry(log, { thread: 2 ** 22 + 1, startLow: 1, startHigh: 1 })
    expect(log.flushSync({ timeoutMs: 10_000 }), 'the writer waits for this thread').toBe('durable')
    expect(log.durableSequence).toBe(owed.sequence)
  })
})

describe('producers on other threads', () => {
  test('attaching twice on a thread gives the same producer, and closing it lets the thread attach anew', async () => {
    const log = await openTemporary()
    const producer = attachProducer(log.handle())
    expect(attachProducer(structuredClone(log.handle()))).toBe(producer)
    const closing = producer.close()
    // Before its closing is done, too.
    const again = attachProducer(log.handle())
    expect(again === producer).toBe(false)
    await closing
    expect(() => producer.append('late')).toThrow(expect.objectContaining({ code: 'ERR_WAL_CLOSED' }))
    expect(attachProducer(log.handle()) === again).toBe(true)
    await again.write('again')
    await again.close()
    expect(log.append('still open')).toBe(2)
  })

  test.each(['throw', 'block'] as const)('a closed one leaves alone what it staged its entries in, which is another thread’s by now, with whenFull %j', async (whenFull) => {
    const log = await openTemporary({ whenFull })
    const producer = attachProducer(log.handle())
    const destination = producer.destination()
    await producer.close()
    const scratches = [0, 1, 2].map((index) => recordScratch(openRing(log.handle().ring), index))
    for (const scratch of scratches) scratch.fill(1)
    const closed = expect.objectContaining({ code: 'ERR_WAL_CLOSED' })
    expect(() => producer.append('late')).toThrow(closed)
    expect(() => producer.appendGroup(['late', 'later'])).toThrow(closed)
    await expect(producer.write('late')).rejects.toThrow(closed)
    expect(destination.write('late')).toBe(false)
    for (const scratch of scratches) expect(scratch.every((byte) => byte === 1)).toBe(true)
  })

  test.each([[undefined], [{}], [{ ring: {}, settings: { id: 'x' } }], ['handle']])('what is not a handle is ERR_WAL_HANDLE: %s', (handle) => {
    expect(() => attachProducer(handle as never)).toThrow(expect.objectContaining({ code: 'ERR_WAL_HANDLE' }))
  })

  test('a write that is asked for after close is refused, also while earlier ones still wait for room', async () => {
    const log = await openTemporary({ ringBytes: 4096 })
    const producer = attachProducer(log.handle())
    const owed = oweEntry(log)
    const writes = Array.from({ length: 20 }, () => producer.write('w'.repeat(900)))
    const closing = producer.close()
    const late = producer.write('late').then(() => 'accepted', (error: { code?: string }) => error.code)
    owed.publishAborted()
    await Promise.all([...writes, closing])
    expect(await late).toBe('ERR_WAL_CLOSED')
  })

  test('the entries of all threads are there, each thread’s in order', async () => {
    const log = await openTemporary({ whenFull: 'block' })
    const threads = await Promise.all([0, 1, 2].map(async () => await ProducerThread.start(log.handle())))
    await Promise.all(threads.map(async (thread, index) => await thread.ask('appendMany', { prefix: `${index}:`, count: 5000 })))
    await log.flush()
    const texts = await textsOf(log)
    expect(texts).toHaveLength(15_000)
    for (const index of [0, 1, 2]) {
      expect(texts.filter((text) => text.startsWith(`${index}:`))).toEqual(Array.from({ length: 5000 }, (_, count) => `${index}:${count}`))
    }
  })

  test.each([['exit'], ['fail']])('a thread that ends by %s leaves its entries and stops nobody', async (way) => {
    const log = await openTemporary()
    const thread = await ProducerThread.start(log.handle())
    await thread.ask('appendMany', { prefix: '', count: 100 })
    const ended = new Promise((resolve) => thread.worker.once('exit', resolve))
    void thread.ask(way)
    await ended
    await log.write('after')
    expect(await textsOf(log)).toHaveLength(101)
  })
})
