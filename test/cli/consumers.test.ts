import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openLog, type LogOptions } from '../../dist/src/index.js'
import { endCommands, ringwal, shell } from './ringwal-command.js'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-consumers-'))
})

afterEach(() => {
  endCommands()
  rmSync(directory, { recursive: true, force: true })
})

/** Five segments of 20 entries, and consumers that have committed so much. */
async function makeLog(committed: { readonly [name: string]: number }, options: Partial<LogOptions> = {}): Promise<void> {
  const log = await openLog({ directory, maxSegmentEntries: 20, retention: { keepConsumed: true }, reserveBytes: 0, ...options })
  for (let number = 1; number <= 100; number++) log.append(`entry ${number}`)
  await log.flush()
  for (const [name, sequence] of Object.entries(committed)) log.cursors.add(name, sequence)
  await log.close()
}

async function committed(): Promise<Record<string, number>> {
  const log = await openLog({ directory, retention: { keepConsumed: true } })
  const cursors = Object.fromEntries(log.cursors.list().map((cursor) => [cursor.name, cursor.committed]))
  await log.close()
  return cursors
}

describe('consumers', () => {
  test('tells for each how far it is behind, and since when its oldest entry waits', async () => {
    await makeLog({ uploader: 40, archive: 100 })
    const { stdout, status } = await ringwal(['consumers', directory, '--json'])
    expect(status).toBe(0)
    const { consumers, lastSequence } = JSON.parse(stdout.toString())
    expect(lastSequence).toBe(100)
    expect(consumers).toMatchObject([{ name: 'archive', committed: 100, lag: 0, lagBytes: 0, oldestUncommitted: null }, { name: 'uploader', committed: 40, lag: 60 }])
    const log = await openLog({ directory, retention: { keepConsumed: true } })
    expect(consumers[1].oldestUncommitted).toBe((await log.get(41))!.timestamp)
    const bytes = log.segments().reduce((sum, segment) => sum + segment.bytes, 0)
    expect(consumers[1].lagBytes).toBeGreaterThan(bytes / 3)
    expect(consumers[1].lagBytes).toBeLessThan(bytes)
    // Beside a writer it reads the same.
    expect((await ringwal(['consumers', directory, '--json'])).status).toBe(0)
    await log.close()
  })

  test('holds no file open, however many there are', async () => {
    const log = await openLog({ directory, reserveBytes: 0, whenFull: 'block' })
    for (let number = 1; number <= 100; number++) log.append(Buffer.alloc(16_384, number))
    for (let number = 1; number <= 200; number++) log.cursors.add(`reader ${number}`, 0)
    await log.close()
    const { stdout, stderr } = await shell(`ulimit -n 100; ringwal consumers ${directory} --json`)
    expect(stderr).toBe('')
    expect(JSON.parse(stdout.toString()).consumers).toHaveLength(200)
  })

  test('makes a table in which no name can steer a terminal', async () => {
    await makeLog({ 'red\u001b[31m': 7 })
    const { stdout } = await ringwal(['consumers', directory])
    expect(stdout.toString()).toMatch(/^CONSUMER +COMMITTED +LAG +ABOUT +OLDEST SINCE +AGE\nred\ufffd\[31m +7 +93 +\d\S* \w+ +\d{4}-/)
    expect(stdout.toString()).toMatch(/1 consumer, last sequence 100\n$/)
  })

  test('a log without consumers says so', async () => {
    await makeLog({})
    expect((await ringwal(['consumers', directory])).stdout.toString()).toBe(`${directory}: 0 consumers, last sequence 100\n`)
  })
})

describe('commit and seek', () => {
  test('move a cursor forwards, and anywhere; durable when they end', async () => {
    await makeLog({ uploader: 40 })
    expect((await ringwal(['commit', directory, 'uploader', '70'])).stdout.toString()).toBe('uploader: committed 70\n')
    expect(await committed()).toEqual({ uploader: 70 })
    expect((await ringwal(['seek', directory, 'uploader', '11'])).stdout.toString()).toBe('uploader: 11 comes next\n')
    expect(await committed()).toEqual({ uploader: 10 })
    expect((await ringwal(['seek', directory, 'uploader', '101'])).status).toBe(0)
    expect(await committed()).toEqual({ uploader: 100 })
  })

  test.each([
    [['commit', 'uploader', '39'], 3, /has committed 40 already: seek goes back/],
    [['commit', 'uploader', '101'], 3, /the log ends with 100/],
    [['seek', 'uploader', '102'], 3, /the log ends with 100/],
    [['commit', 'loader', '50'], 3, /there is no consumer loader: there are uploader/],
    [['commit', 'uploader', '-1'], 2, /unknown option|integer from 0/],
    [['seek', 'uploader', '0'], 2, /integer from 1/],
    [['seek', 'uploader', 'x'], 2, /integer from 1/],
    [['commit', 'uploader'], 2, /missing required argument/],
  ] as const)('%j is refused, and changes nothing', async ([command, ...rest], status, message) => {
    await makeLog({ uploader: 40 })
    const ended = await ringwal([command, directory, ...rest])
    expect(ended.status).toBe(status)
    expect(ended.stderr).toMatch(message)
    expect(await committed()).toEqual({ uploader: 40 })
  })

  test('are refused while a writer has the log open, with its process', async () => {
    await makeLog({ uploader: 40 })
    const log = await openLog({ directory })
    const ended = await ringwal(['commit', directory, 'uploader', '50'])
    expect(ended.status).toBe(3)
    expect(ended.stderr).toContain(`is locked by process ${process.pid}`)
    await log.close()
  })
})

describe('checkpoint', () => {
  test('frees the segments that every consumer has committed, and no others', async () => {
    await makeLog({ uploader: 79, archive: 100 })
    const { stdout, status } = await ringwal(['checkpoint', directory])
    expect(status).toBe(0)
    expect(stdout.toString()).toMatch(/freed 3 segments, \d\S* \w+\n$/)
    const log = await openLog({ directory, retention: { keepConsumed: true } })
    expect(log.segments()[0]!.firstSequence).toBe(61)
    expect(log.lastSequence).toBe(100)
    await log.close()
  })

  test.each([['--max-age', '0ms'], ['--max-bytes', '1K']])('%s %s is wrong usage', async (option, value) => {
    await makeLog({})
    expect(await ringwal(['checkpoint', directory, option, value])).toMatchObject({ status: 2, stderr: expect.stringMatching(/^ringwal: .* is out of range.*\n$/) })
  })

  test('frees nothing of a log without consumers, unless it is told what is too much', async () => {
    await makeLog({})
    expect((await ringwal(['checkpoint', directory])).stdout.toString()).toContain('freed 0 segments')
    expect((await ringwal(['checkpoint', directory, '--max-segments', '2'])).stdout.toString()).toContain('freed 3 segments')
    const log = await openLog({ directory })
    expect(log.segments()[0]!.firstSequence).toBe(61)
    await log.close()
  })
})
