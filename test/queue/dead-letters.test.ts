import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { decodeDeadLetter, readLog, type DeadLetter, type LogOptions } from '../../dist/src/index.js'
import { describeError, encodeDeadLetter, type DeadLetterInfo } from '../../dist/src/queue/dead-letter-layout.js'
import { open } from '../support/filled-log.js'

const INFO: DeadLetterInfo = { consumer: 'c', sequence: 7, timestamp: 1.7e12, attempts: 2, error: { name: 'Error', message: 'no' } }

/** The dead letter that one entry becomes whose handler throws that. */
async function bury(thrown: unknown, options: Partial<LogOptions> = {}, data = 'entry'): Promise<DeadLetter | undefined> {
  const log = await open(options)
  await log.write(data)
  const consumer = log.consumer('reader')
  const running = consumer.run(() => { throw thrown }, { deadLetter: 'dead', retry: { maxAttempts: 1 } })
  while (consumer.progress.committed === 0 && await Promise.race([running.then(() => false), new Promise((resolve) => setImmediate(resolve, true))]));
  await consumer.stop()
  await running
  for await (const entry of readLog(join(log.directory, 'dead', 'dead'), { includeWritten: true })) return decodeDeadLetter(entry.data)
  return undefined
}

describe('whatever is thrown, the entry is buried with what can be told of it:', () => {
  const trap = new Proxy({}, { get: () => { throw new Error('a trap') } })
  test.each<[string, unknown, object]>([
    ['a string', 'just text', { name: 'Error', message: 'just text' }],
    ['undefined', undefined, { message: 'undefined' }],
    ['a symbol', Symbol('s'), { message: 'Symbol(s)' }],
    ['an object without a prototype', Object.assign(Object.create(null), { status: 503 }), { message: expect.stringContaining('status: 503') }],
    ['an error of another realm', runInNewContext('new TypeError("from elsewhere")'), { name: 'TypeError', message: 'from elsewhere', stack: expect.any(String) }],
    ['an error with odd fields', Object.assign(new Error('x'), { name: 5, code: 7, stack: {} }), { name: 'Error', message: 'x' }],
    ['a proxy that throws', trap, { name: 'Error' }],
  ])('%s', async (_title, thrown, error) => {
    expect(await bury(thrown)).toMatchObject({ consumer: 'reader', sequence: 1, attempts: 1, error, data: Buffer.from('entry') })
  })

  test('a message of a million characters, where entries are small', async () => {
    const letter = await bury(new Error('\u0000'.repeat(1_000_000)), { maxEntryBytes: 64 }, 'x'.repeat(64))
    expect(letter!.error.message.length).toBeGreaterThan(1000)
    expect(letter!.data).toHaveLength(64)
  })
})

describe('the layout of a dead letter', () => {
  test('comes back as it was, with any bytes behind it', () => {
    for (const data of [Buffer.alloc(0), Buffer.from('{"not":"the description"}'), Buffer.from([0, 255, 68, 69, 65, 68])]) {
      expect(decodeDeadLetter(encodeDeadLetter(INFO, data))).toEqual({ ...INFO, data })
    }
  })

  test('every cut of it, and everything else, is no dead letter', () => {
    const whole = encodeDeadLetter(INFO, Buffer.alloc(0))
    for (let length = 0; length < whole.length; length++) expect(decodeDeadLetter(whole.subarray(0, length)), `cut to ${length}`).toBeUndefined()
    const described = (info: unknown): Buffer => encodeDeadLetter(info as DeadLetterInfo, Buffer.alloc(0))
    for (const info of [null, 5, [], {}, { ...INFO, sequence: 1.5 }, { ...INFO, consumer: 7 }, { ...INFO, error: null }, { ...INFO, error: { name: 'x' } }]) {
      expect(decodeDeadLetter(described(info)), JSON.stringify(info)).toBeUndefined()
    }
    const long = Buffer.from(whole)
    long.writeUInt32LE(0xffff_ffff, 4)
    expect(decodeDeadLetter(long)).toBeUndefined()
  })

  test('an error is told in no more than fits beside the entry', () => {
    const error = describeError(Object.assign(new Error('\u0000'.repeat(100_000)), { stack: '\u0000'.repeat(100_000), name: '\u0000'.repeat(9999), code: '\u0000'.repeat(9999) }))
    expect(encodeDeadLetter({ ...INFO, consumer: '\ud83d\ude00'.repeat(63), error }, Buffer.alloc(0)).length).toBeLessThan(2 ** 17)
  })
})
