/** A wrong option or argument gives an error that names it, what was expected and what came; nothing is made on disk for it. */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { attachProducer, LogMessage, openLog, readLog, readLogBatches, type Log, type LogHandle, type LogOptions, type ReadLogOptions } from '../../dist/src/index.js'
import { resolveOptions } from '../../dist/src/log/options.js'

type Kind = 'TYPE' | 'VALUE' | 'RANGE'
const CODES = { TYPE: 'ERR_INVALID_ARG_TYPE', VALUE: 'ERR_INVALID_ARG_VALUE', RANGE: 'ERR_OUT_OF_RANGE' } as const

/** The error that must come: its class and code, the name in quotes, what was expected, what was received. */
function wanted(kind: Kind, name: string, expected: string, received: string): unknown {
  return expect.objectContaining({
    name: kind === 'RANGE' ? 'RangeError' : 'TypeError', code: CODES[kind],
    message: expect.toSatisfy((message: string) => message.includes(`"${name}"`) && message.includes(expected) && message.endsWith(`Received ${received}`)),
  })
}

const NOT_NUMBERS: readonly (readonly [unknown, string])[] = [['1', 'type string ("1")'], [null, 'null'], [true, 'type boolean (true)'], [{}, 'an instance of Object'], [5n, 'type bigint (5)']]
/** Name, what it must be, values out of range. */
const NUMBERS: readonly (readonly [keyof LogOptions, string, readonly number[]])[] = [
  ['ringBytes', 'from 4096 to 1073741824', [0, 4095, 2 ** 31, -4096, 4096.5, Number.NaN, Infinity]],
  ['ringBytes', 'a power of two', [4097, 12_288]],
  ['ringSlots', 'from 16 to 16777216', [0, 15, 2 ** 25, 16.5]],
  ['ringSlots', 'a power of two', [17, 24]],
  ['maxEntryBytes', 'from 1 to 1073741824', [0, -1, 2 ** 30 + 1, 1.5]],
  ['maxSegmentBytes', 'from 4096 to 17179869184', [0, 4095, 2 ** 34 + 1, Number.NaN]],
  ['maxSegmentEntries', 'an integer from 1', [0, -1, 0.5, Infinity]],
  ['maxSegmentAgeMs', 'milliseconds', [0, -1, Number.NaN]],
  ['lingerMs', 'from 0 to 1000 milliseconds', [-1, 1001, Number.NaN, Infinity]],
  ['maxBatchBytes', 'from 4096 to 1073741824', [0, 4095, 2 ** 31]],
  ['blockTimeoutMs', 'milliseconds', [-1, Number.NaN]],
  ['preallocateBytes', 'from 0 to 1073741824', [-1, 2 ** 30 + 1, 0.5]],
  ['lockWaitMs', 'milliseconds', [-1, Number.NaN]],
]

let root: string
let directory: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ringwal-options-'))
  directory = join(root, 'log')
})

afterEach(() => rmSync(root, { recursive: true }))

async function expectRefused(options: object, error: unknown): Promise<void> {
  await expect(openLog(options as LogOptions)).rejects.toEqual(error)
  expect(existsSync(directory)).toBe(false)
}

describe('openLog', () => {
  test('a number out of its range is refused by name, with its limits and what came', async () => {
    for (const [name, expected, values] of NUMBERS) {
      for (const value of values) await expectRefused({ directory, [name]: value }, wanted('RANGE', `options.${name}`, expected, `type number (${value})`))
    }
  })

  test('what is not a number where one belongs is refused by name', async () => {
    for (const name of new Set(NUMBERS.map(([each]) => each))) {
      for (const [value, received] of NOT_NUMBERS) await expectRefused({ directory, [name]: value }, wanted('TYPE', `options.${name}`, '', received))
    }
  })

  test('a choice that is none of its words is refused with the words', async () => {
    await expectRefused({ directory, whenFull: 'wait' }, wanted('VALUE', 'options.whenFull', "one of 'throw', 'drop', 'block'", 'type string ("wait")'))
    await expectRefused({ directory, onCorrupt: 'ignore' }, wanted('VALUE', 'options.onCorrupt', "one of 'refuse'", 'type string ("ignore")'))
    for (const [value, received] of [['sometimes', 'type string ("sometimes")'], [null, 'null'], [5, 'type number (5)']] as const) {
      await expectRefused({ directory, durability: value }, wanted('VALUE', 'options.durability', "'batch', 'manual' or { intervalMs }", received))
    }
  })

  test('an interval out of range, or none, is refused by its full name', async () => {
    await expectRefused({ directory, durability: {} }, wanted('TYPE', 'options.durability.intervalMs', 'a number of milliseconds', 'undefined'))
    for (const value of [0, -1, 86_400_001, Number.NaN]) {
      await expectRefused({ directory, durability: { intervalMs: value } }, wanted('RANGE', 'options.durability.intervalMs', 'from 1 to 86400000 milliseconds', `type number (${value})`))
    }
  })

  test('an option that is not known is refused, with those that are', async () => {
    await expectRefused({ directory, maxSegmentSize: 5 }, wanted('VALUE', 'options.maxSegmentSize', 'maxSegmentBytes', 'type number (5)'))
  })

  test('a directory that is no path is refused', async () => {
    for (const [value, received] of [[undefined, 'undefined'], [5, 'type number (5)'], [new URL('file:///tmp'), 'an instance of URL']] as const) {
      await expectRefused({ directory: value }, wanted('TYPE', 'options.directory', 'a string', received))
    }
    await expectRefused({ directory: '' }, wanted('VALUE', 'options.directory', 'not empty', 'type string ("")'))
    await expectRefused({ directory: 'a\0b' }, wanted('VALUE', 'options.directory', 'without null bytes', 'type string ("a\\u0000b")'))
  })

  test('no options, or something else in their place, are refused', async () => {
    for (const [value, received] of [[undefined, 'undefined'], [null, 'null'], ['data/wal', 'type string ("data/wal")']] as const) {
      await expect(openLog(value as unknown as LogOptions)).rejects.toEqual(wanted('TYPE', 'options', 'an object', received))
    }
  })

  test('a worker that is no URL or path is refused', async () => {
    for (const [value, received] of [['', 'type string ("")'], [5, 'type number (5)'], [null, 'null']] as const) {
      await expectRefused({ directory, workerUrl: value }, wanted('TYPE', 'options.workerUrl', 'a URL or a path', received))
    }
  })

  test('a directory that is a file is refused by the operating system, as ERR_WAL_IO, and left alone', async () => {
    const file = join(root, 'file')
    writeFileSync(file, 'x')
    await expect(openLog({ directory: file })).rejects.toMatchObject({ name: 'WalError', code: 'ERR_WAL_IO', file, cause: { code: 'ENOTDIR' } })
    await expect(openLog({ directory: join(file, 'log') })).rejects.toMatchObject({ name: 'WalError', code: 'ERR_WAL_IO' })
  })

  test('a directory that cannot be made is refused with what the system said', async ({ skip }) => {
    const disk = join(root, 'disk')
    mkdirSync(disk)
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', disk], { stdio: 'ignore' })
    } catch {
      return skip('needs root, to mount what can only be read')
    }
    try {
      await expect(openLog({ directory: join(disk, 'a', 'log') })).rejects.toMatchObject({ code: 'ERR_WAL_IO', file: join(disk, 'a'), cause: { code: 'EROFS' } })
    } finally {
      execFileSync('umount', [disk])
    }
  })

  test('every default is filled, and the result is frozen', () => {
    const resolved = resolveOptions({ directory: '/data/wal' })
    expect(resolved).toEqual({
      directory: '/data/wal', ringBytes: 2 ** 24, ringSlots: 2 ** 18, maxEntryBytes: 2 ** 26, maxSegmentBytes: 2 ** 26, maxSegmentEntries: Number.MAX_SAFE_INTEGER,
      maxSegmentAgeMs: 86_400_000, durability: 'batch', lingerMs: 0, maxBatchBytes: 2 ** 22, whenFull: 'throw', blockTimeoutMs: 10_000, preallocateBytes: 2 ** 21,
      lockWaitMs: 0, workerUrl: undefined, onCorrupt: 'refuse', reserveBytes: 2 ** 24 + 2 ** 18,
      retention: { maxBytes: undefined, maxAgeMs: 7 * 86_400_000, maxSegments: Number.MAX_SAFE_INTEGER, keepConsumed: false, whenOver: 'refuse', cleanupIntervalMs: 3_600_000 },
    })
    expect(Object.isFrozen(resolved)).toBe(true)
    expect(resolveOptions({ directory: '/a', ringBytes: undefined, lingerMs: undefined } as unknown as LogOptions)).toEqual(resolveOptions({ directory: '/a' }))
  })

  test('the limits themselves are allowed', () => {
    for (const limits of [
      { ringBytes: 4096, ringSlots: 16, maxEntryBytes: 1, maxSegmentBytes: 4096, maxSegmentEntries: 1, maxSegmentAgeMs: 1, lingerMs: 0, maxBatchBytes: 4096, blockTimeoutMs: 0, preallocateBytes: 0, lockWaitMs: 0 },
      { ringBytes: 2 ** 30, ringSlots: 2 ** 24, maxEntryBytes: 2 ** 30, maxSegmentBytes: 2 ** 34, maxSegmentAgeMs: Infinity, lingerMs: 1000, maxBatchBytes: 2 ** 30, blockTimeoutMs: Infinity, preallocateBytes: 2 ** 30, lockWaitMs: Infinity },
    ]) expect(resolveOptions({ directory: '/a', ...limits })).toMatchObject(limits)
  })
})

describe('an open log', () => {
  let log: Log
  let logRoot: string

  beforeAll(async () => {
    logRoot = mkdtempSync(join(tmpdir(), 'ringwal-arguments-'))
    log = await openLog({ directory: logRoot, maxEntryBytes: 1000, ringBytes: 4096, ringSlots: 16 })
  })

  afterAll(async () => {
    await log.close()
    rmSync(logRoot, { recursive: true })
  })

  const NOT_DATA: readonly (readonly [unknown, string])[] = [
    [undefined, 'undefined'], [null, 'null'], [5, 'type number (5)'], [{}, 'an instance of Object'], [['a'], 'an instance of Array'], [new ArrayBuffer(4), 'an instance of ArrayBuffer'], [Symbol('s'), 'type symbol (Symbol(s))'],
  ]

  test('what is no entry is refused before a sequence is taken', async () => {
    for (const [value, received] of NOT_DATA) {
      const error = wanted('TYPE', 'data', 'a string, a Buffer', received)
      expect(() => log.append(value as string), received).toThrow(error as Error)
      await expect(log.write(value as string), received).rejects.toEqual(error)
      expect(() => log.appendGroup(['a', value as string]), received).toThrow(wanted('TYPE', 'entries[1]', 'a string, a Buffer', received) as Error)
    }
    expect(log.lastSequence).toBe(0)
  })

  test('an entry or a group that is too large is refused with the limit', async () => {
    const error = wanted('RANGE', 'data', 'at most 1000 bytes (maxEntryBytes)', 'type number (1001)')
    expect(() => log.append('x'.repeat(1001))).toThrow(error as Error)
    expect(() => log.append(new Uint8Array(1001))).toThrow(error as Error)
    await expect(log.write('x'.repeat(1001))).rejects.toEqual(error)
    expect(() => log.appendGroup('abc' as unknown as string[])).toThrow(wanted('TYPE', 'entries', 'an array', 'type string ("abc")') as Error)
    expect(() => log.appendGroup([])).toThrow(wanted('RANGE', 'entries.length', 'from 1 to 8', 'type number (0)') as Error)
    expect(() => log.appendGroup(Array.from({ length: 9 }, () => 'x'))).toThrow(wanted('RANGE', 'entries.length', 'from 1 to 8', 'type number (9)') as Error)
    expect(() => log.appendGroup(Array.from({ length: 8 }, () => 'x'.repeat(900)))).toThrow(wanted('RANGE', 'entries', 'bytes in all', `type number (${8 * 928})`) as Error)
    expect(log.lastSequence).toBe(0)
  })

  test('a sequence that was never given out, and no sequence at all, are refused', async () => {
    for (const value of [1, -1, 0.5, Number.NaN, '1', undefined]) {
      await expect(log.durable(value as number)).rejects.toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })
    }
    for (const value of [0, -1, 0.5, '1', undefined]) await expect(log.get(value as number)).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
  })

  test('waiting calls refuse a wrong signal, time or size by name', async () => {
    const signal = {} as AbortSignal
    const error = wanted('TYPE', 'options.signal', 'an AbortSignal', 'an instance of Object')
    for (const waiting of [log.durable(0, { signal }), log.write('x', { signal }), log.ready(1, { signal }), log.flush({ signal })]) await expect(waiting).rejects.toEqual(error)
    for (const value of [-1, 1001, 0.5, Number.NaN]) await expect(log.ready(value)).rejects.toEqual(wanted('RANGE', 'bytes', 'from 0 to 1000', `type number (${value})`))
    for (const value of [-1, Number.NaN]) expect(() => log.flushSync({ timeoutMs: value })).toThrow(wanted('RANGE', 'timeoutMs', 'from 0 to Infinity', `type number (${value})`) as Error)
    expect(() => log.destination({ maxOverflowBytes: -1 })).toThrow(wanted('RANGE', 'options.maxOverflowBytes', '', 'type number (-1)') as Error)
    expect(log.lastSequence).toBe(0)
  })

  test('wrong reading options are refused at the call, not at the first entry', () => {
    const cases: readonly (readonly [object, Kind, string, string])[] = [
      [{ fromSequence: 0 }, 'RANGE', 'options.fromSequence', 'type number (0)'], [{ fromSequence: '1' }, 'TYPE', 'options.fromSequence', 'type string ("1")'],
      [{ limit: -1 }, 'RANGE', 'options.limit', 'type number (-1)'], [{ limit: 1.5 }, 'RANGE', 'options.limit', 'type number (1.5)'], [{ limit: null }, 'TYPE', 'options.limit', 'null'],
      [{ follow: 1 }, 'TYPE', 'options.follow', 'type number (1)'], [{ strict: 1 }, 'TYPE', 'options.strict', 'type number (1)'], [{ signal: {} }, 'TYPE', 'options.signal', 'an instance of Object'],
      [{ fromTimestamp: '2024' }, 'TYPE', 'options.fromTimestamp', 'type string ("2024")'], [{ fromTimestamp: new Date(Number.NaN) }, 'RANGE', 'options.fromTimestamp', 'type number (NaN)'],
      [{ form: 1 }, 'VALUE', 'options.form', 'type number (1)'],
    ]
    for (const [options, kind, name, received] of cases) {
      for (const read of [() => log.read(options), () => log.readBatches(options), () => readLog(logRoot, options), () => readLogBatches(logRoot, options)]) {
        expect(read, name).toThrow(wanted(kind, name, '', received) as Error)
      }
    }
    expect(() => readLog(5 as unknown as string)).toThrow(wanted('TYPE', 'directory', 'a string', 'type number (5)') as Error)
    expect(() => readLog(logRoot, { includeWritten: 1 } as unknown as ReadLogOptions)).toThrow(wanted('TYPE', 'options.includeWritten', 'a boolean', 'type number (1)') as Error)
  })

  test('a handle that is none is refused', () => {
    for (const value of [undefined, null, {}, 5, 'handle', { settings: {} }]) {
      expect(() => attachProducer(value as unknown as LogHandle)).toThrow(expect.objectContaining({ name: 'WalError', code: 'ERR_WAL_HANDLE' }))
    }
  })

  test('a message refuses what it cannot hold', () => {
    const message = new LogMessage()
    expect(() => message.write(5 as unknown as string)).toThrow(wanted('TYPE', 'data', 'a string or a Uint8Array', 'type number (5)') as Error)
    expect(() => message.json(undefined)).toThrow(wanted('TYPE', 'value', 'JSON', 'undefined') as Error)
    expect(() => message.getSpan(-1)).toThrow(wanted('RANGE', 'bytes', '', 'type number (-1)') as Error)
    expect(() => message.advance(1e9)).toThrow(wanted('RANGE', 'bytes', '', 'type number (1000000000)') as Error)
    expect(message.length).toBe(0)
  })
})

test('reading a directory that is not there is ERR_WAL_IO, and makes none', async () => {
  await expect(readLog(directory).next()).rejects.toMatchObject({ code: 'ERR_WAL_IO', file: directory, cause: { code: 'ENOENT' } })
  expect(existsSync(directory)).toBe(false)
})
