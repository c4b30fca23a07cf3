import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openLog, readLog, type Log, type LogEntry, type LogOptions } from '../../dist/src/index.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

const SEGMENT_BYTES = 512 * 1024

async function open(directory: string, options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ directory, maxSegmentBytes: SEGMENT_BYTES, reserveBytes: 0, whenFull: 'block', ...options })
  onTestFinished(() => log.close())
  return log
}

const text = (sequence: number): string => `${sequence} `.padEnd(1000, 'x')

async function fill(log: Log, count: number): Promise<void> {
  for (let left = count; left > 0; left--) log.append(text(log.lastSequence + 1))
  await log.flush()
}

/** Commits all, so that whole segments are freed, and waits until they are. */
async function consume(log: Log): Promise<void> {
  const consumer = log.consumer('all')
  for await (const entry of consumer) {
    if (entry.sequence < log.lastSequence) continue
    consumer.commit(entry.sequence)
    break
  }
  await consumer.committed(log.lastSequence)
  await log.checkpoint()
}

const spares = (log: Log): string[] => readdirSync(log.directory).filter((name) => name.endsWith('.spare'))
const segments = (log: Log): number => readdirSync(log.directory).filter((name) => name.endsWith('.wal')).length

test('freed segments wait to be used again, two at most, and are used; closing removes them', async () => {
  const log = await open(temporaryDirectory())
  await fill(log, 3000)
  await consume(log)
  expect(spares(log)).toHaveLength(2)
  expect(segments(log)).toBe(1)
  await fill(log, 500)
  expect(spares(log)).toHaveLength(1)
  await fill(log, 1000)
  expect(spares(log)).toHaveLength(0)
  for await (const entry of log.read()) expect(entry.text()).toBe(text(entry.sequence))
  await consume(log)
  await log.close()
  expect(spares(log)).toHaveLength(0)
})

test('a reader of the log goes on to the end of a segment that is freed under it', async () => {
  const log = await open(temporaryDirectory())
  await fill(log, 1500)
  const reading = log.read()
  const seen: number[] = []
  for (let count = 0; count < 10; count++) seen.push((await reading.next()).value!.sequence)
  await consume(log)
  await fill(log, 2000)
  const error = await drain(reading, seen).catch((each: unknown) => each)
  expect(error).toMatchObject({ code: 'ERR_WAL_TRIMMED', firstSequence: seen.at(-1)! + 1, lastSequence: log.segments()[0]!.firstSequence - 1 })
  // All of the segment that it was in.
  expect(seen.at(-1)).toBeGreaterThan(400)
  expect(seen).toEqual(seen.map((_, index) => index + 1))
})

test.each([0, 1, 5, 300])('a reader elsewhere, %i entries into a segment whose blocks are used again, gets right entries or is told', async (position) => {
  const log = await open(temporaryDirectory())
  await fill(log, 1500)
  const reading = readLog(log.directory)
  const seen: number[] = []
  for (let count = 0; count < position; count++) seen.push((await reading.next()).value!.sequence)
  await consume(log)
  await fill(log, 2000)
  const error = await drain(reading, seen).catch((each: unknown) => each)
  if (position === 0) {
    expect(error).toBeUndefined()
    expect(seen[0]).toBe(log.segments()[0]!.firstSequence)
  } else {
    expect(error).toMatchObject({ code: 'ERR_WAL_TRIMMED', firstSequence: seen.at(-1)! + 1 })
  }
})

test('a follower elsewhere reads what comes in files that are used again, and nothing that is old', { timeout: 60_000 }, async () => {
  const log = await open(temporaryDirectory())
  await fill(log, 10)
  const controller = new AbortController()
  const seen: number[] = []
  const following = (async () => {
    for await (const entry of readLog(log.directory, { follow: true, signal: controller.signal })) {
      expect(entry.text()).toBe(text(entry.sequence))
      seen.push(entry.sequence)
    }
  })().catch((error: unknown) => error)
  for (let round = 0; round < 6; round++) {
    await fill(log, 600)
    const last = log.lastSequence
    while (seen.at(-1) !== last) await new Promise((resolve) => setTimeout(resolve, 2))
    await consume(log)
  }
  controller.abort(new Error('enough'))
  expect(await following).toMatchObject({ message: 'enough' })
  expect(seen).toEqual(seen.map((_, index) => index + 1))
})

test('spares that a crash left are removed at opening', async () => {
  const directory = temporaryDirectory()
  const first = await open(directory)
  await fill(first, 100)
  await first.close()
  const { copyFileSync } = await import('node:fs')
  const [name] = readdirSync(directory).filter((each) => each.endsWith('.wal'))
  copyFileSync(join(directory, name!), join(directory, `${'a'.repeat(32)}.spare`))
  const log = await open(directory)
  expect(spares(log)).toEqual([])
  expect(log.lastSequence).toBe(100)
})

async function drain(reading: AsyncGenerator<LogEntry>, seen: number[]): Promise<void> {
  for await (const entry of reading) {
    expect(entry.text()).toBe(text(entry.sequence))
    seen.push(entry.sequence)
  }
}
