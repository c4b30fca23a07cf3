import { mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLog, type Log, type LogEntry } from '../../dist/src/index.js'
import { endCommands, ringwal } from './ringwal-command.js'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-dead-'))
})

afterEach(() => {
  endCommands()
  rmSync(directory, { recursive: true, force: true })
})

const open = (): Promise<Log> => openLog({ directory, reserveBytes: 0, retention: { keepConsumed: true } })

/** Delivers everything with a handler that cannot take what is poisonous, or all. */
async function deliver(log: Log, isMended: boolean): Promise<string[]> {
  const done: string[] = []
  const consumer = log.consumer('reader')
  const running = consumer.run(async (entry) => {
    const text = entry.file === undefined ? entry.text() : `file ${Buffer.concat(await entry.file.open().toArray()).toString()}`
    if (text.includes('poison') && !isMended) throw Object.assign(new Error(`cannot take ${text}\u001b[31m`), { code: 'EPOISON' })
    done.push(text)
  }, { concurrency: 2, retry: { maxAttempts: 2, initialDelayMs: 1 }, deadLetter: 'reader-dead' })
  while (consumer.progress.lag > 0) await new Promise((resolve) => setImmediate(resolve))
  await consumer.stop()
  await running
  return done
}

test('dead letters are listed, replayed once the handler is mended, with their files too, and gone then', async () => {
  const log = await open()
  for (const text of ['one', 'poison', 'two']) await log.write(text)
  await log.appendFile(['poison in a file'], { metadata: { name: 'f' } })
  expect(await deliver(log, false)).toEqual(['one', 'two'])
  await log.close()
  const { stdout } = await ringwal(['dead', 'list', directory])
  expect(stdout.toString()).toMatch(/^LOG +NUMBER +CONSUMER +ENTRY +APPENDED +ATTEMPTS +ERROR\nreader-dead +1 +reader +2 +\d{4}-\S+ +2 +Error: cannot take poison\ufffd\[31m\nreader-dead +2 +reader +4 /)
  const lines = (await ringwal(['dead', 'list', directory, '--json'])).stdout.toString().trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines).toMatchObject([
    { log: 'reader-dead', number: 1, consumer: 'reader', sequence: 2, attempts: 2, bytes: 6, error: { message: 'cannot take poison\u001b[31m', code: 'EPOISON' } },
    { number: 2, sequence: 4, bytes: 16, file: expect.stringContaining('blobs') },
  ])
  expect((await ringwal(['dead', 'replay', directory, 'nobody'])).stderr).toContain('there is no dead-letter log nobody')
  expect((await ringwal(['dead', 'replay', directory])).stdout.toString()).toContain('2 dead letters appended again')
  expect((await ringwal(['dead', 'list', directory])).stdout.toString()).toBe(`${directory}: 0 dead letters\n`)
  expect(readdirSync(join(directory, 'dead', 'reader-dead', 'blobs'))).toEqual(['incoming'])
  expect((await ringwal(['dead', 'replay', directory])).stdout.toString()).toContain('0 dead letters')
  const again = await open()
  expect((await deliver(again, true)).toSorted()).toEqual(['file poison in a file', 'poison'])
  await again.close()
})

test('a dead letter whose file is damaged is told, replayed as what its entry tells, and holds up no other', async () => {
  const log = await open()
  await log.appendFile(['poison in a file'], { metadata: { name: 'f' } })
  await log.write('poison')
  await deliver(log, false)
  await log.close()
  const blobs = join(directory, 'dead', 'reader-dead', 'blobs')
  const [blob] = readdirSync(blobs).filter((name) => name.endsWith('.blob'))
  truncateSync(join(blobs, blob!), 6)
  const { status, stdout, stderr } = await ringwal(['dead', 'replay', directory])
  expect(stderr).toMatch(/^ringwal: the file of entry \d is damaged or missing: it ends after 6 bytes instead of 16 .*; its entry is appended without it\n$/)
  expect(stdout.toString()).toContain('2 dead letters appended again')
  expect(status).toBe(0)
  expect((await ringwal(['dead', 'list', directory])).stdout.toString()).toBe(`${directory}: 0 dead letters\n`)
  const again = await open()
  const entries: LogEntry[] = []
  for await (const entry of again.read({ fromSequence: 3 })) entries.push(entry)
  expect(entries).toHaveLength(2)
  const { file } = entries.find((entry) => entry.file !== undefined)!
  expect(file).toMatchObject({ metadata: { name: 'f' }, bytes: 16 })
  await expect(file!.open().toArray()).rejects.toMatchObject({ code: 'ERR_WAL_BLOB' })
  await again.close()
})

test('a log without dead letters has none', async () => {
  const log = await open()
  await log.write('one')
  await log.close()
  expect((await ringwal(['dead', 'list', directory])).stdout.toString()).toBe(`${directory}: 0 dead letters\n`)
  expect((await ringwal(['dead', 'replay', directory])).stdout.toString()).toContain('0 dead letters')
  expect((await ringwal(['dead'])).status).toBe(2)
})
