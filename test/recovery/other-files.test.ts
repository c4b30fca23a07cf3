/** What else may lie in a directory: files of others, links, pipes, and segments that this project did not write. */

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { createSegmentName, parseSegmentName } from '../../dist/src/format/segment-name.js'
import { encodeSegmentHeader, tailHeader } from '../../dist/src/format/segment-layout.js'
import { openLog, readLog, repairLog } from '../../dist/src/index.js'
import { recover } from '../../dist/src/recovery/recover.js'
import { Tail } from '../../dist/src/segment/tail.js'
import { flip, frameOf, imageOf, readSequences, SegmentMaker, textOf, upTo } from './made-segments.js'

let root: string
let directory: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ringwal-others-'))
  directory = join(root, 'log')
  mkdirSync(directory)
})

afterEach(() => rmSync(root, { recursive: true }))

/** A sealed file as Jaahas.WriteAheadLog writes it: header and plain frames, no control frame. */
function writeForeign(first: number, last: number, sealed = true): string {
  const frames = Array.from({ length: last - first + 1 }, (_, index) => frameOf(first + index))
  const view = (frame: Uint8Array): DataView => new DataView(frame.buffer)
  const header = encodeSegmentHeader(!sealed ? tailHeader(first) : {
    firstSequence: first, lastSequence: last, firstTicks: view(frames[0]!).getBigInt64(16, true), lastTicks: view(frames.at(-1)!).getBigInt64(16, true),
    entryCount: frames.length, bytes: 128 + frames.reduce((sum, frame) => sum + frame.length, 0), sealed: true,
  })
  const path = join(directory, createSegmentName(1_600_000_000_000).name)
  writeFileSync(path, Buffer.concat([header, ...frames]))
  return path
}

test('a sealed file without trailers, from elsewhere, is read', async () => {
  writeForeign(1, 5)
  expect(await readSequences(directory)).toEqual(upTo(5))
})

test('what recovery goes on from: which segments are its own, the newest and its time, all entries and bytes', () => {
  const path = writeForeign(1, 5)
  const own = new SegmentMaker(directory)
  const foreign = { path, uuid: parseSegmentName(basename(path))!.uuid, firstSequence: 1, lastSequence: 5, ends: [] }
  const made = [own.make({ batches: [2], seal: true, previous: foreign }), own.make({ batches: [3], seal: true })]
  const recovered = recover(nodeDisk, directory)
  expect(recovered.segments.map((segment) => [segment.path, segment.firstSequence, segment.lastSequence, segment.isOwn])).toEqual([
    [path, 1, 5, false], [made[0]!.path, 6, 7, true], [made[1]!.path, 8, 10, true],
  ])
  const bytes = [path, ...made.map((segment) => segment.path)].map((file) => readFileSync(file).length)
  expect(recovered.segments.map((segment) => segment.bytes)).toEqual(bytes)
  expect(recovered.report).toMatchObject({ segments: 3, entries: 10, bytes: bytes.reduce((sum, each) => sum + each), lastSequence: 10, cleanClose: true, cuts: [], lost: [], salvaged: [] })
  expect(Buffer.compare(recovered.previousUuid, made[1]!.uuid)).toBe(0)
  expect(recovered.lastCreatedMs).toBe(parseSegmentName(basename(made[1]!.path))!.createdMs)
  expect(recovered.report.durationMs).toBeLessThan(60_000)
})

test('an empty directory is recovered as an empty log', () => {
  const { previousUuid, ...recovered } = recover(nodeDisk, directory)
  expect(recovered).toMatchObject({ segments: [], nextSequence: 1, lastTicks: 0n, cursors: [], lastCreatedMs: 0, report: { segments: 0, entries: 0, bytes: 0, cleanClose: true } })
  expect([...previousUuid]).toEqual(Array.from({ length: 16 }, () => 0))
})

test('a file from elsewhere is never changed: the log goes on in a segment of its own', async () => {
  const path = writeForeign(1, 5)
  const before = readFileSync(path)
  for (const next of [6, 7]) {
    const log = await openLog({ directory })
    expect(log.lastSequence).toBe(next - 1)
    await log.write(textOf(next))
    await log.close()
  }
  expect(readFileSync(path).equals(before)).toBe(true)
  expect(await readSequences(directory)).toEqual(upTo(7))
})

// Known: an open file's header tells nothing of its entries, and they are not counted; see the verdict `keep` of foreign segments.
test('a file from elsewhere that nobody sealed is left as it is, and its numbers are not given out again', async () => {
  const path = writeForeign(1, 5, false)
  const before = readFileSync(path)
  try {
    const log = await openLog({ directory })
    const { lastSequence } = log
    await log.close()
    expect(lastSequence).toBe(5)
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_WAL_CORRUPT', file: path })
  }
  expect(readFileSync(path).equals(before)).toBe(true)
})

test('a damaged file from elsewhere that is sealed is not repaired: it is never changed', async () => {
  const path = writeForeign(1, 5)
  flip(path, 128 + frameOf(1).length + 30)
  const before = readFileSync(path)
  expect(await repairLog(directory)).toMatchObject({ before: { status: 'corrupt' }, after: { status: 'corrupt' }, lost: [], copies: [] })
  expect(readFileSync(path).equals(before)).toBe(true)
})

test('a damaged file from elsewhere that nobody sealed is refused; a salvage makes a segment of what is sound before the damage, and keeps a copy', async () => {
  const path = writeForeign(1, 5, false)
  flip(path, 128 + 3 * frameOf(1).length + 30)
  const before = readFileSync(path)
  expect(() => recover(nodeDisk, directory)).toThrow(expect.objectContaining({ code: 'ERR_WAL_CORRUPT', file: path, firstSequence: 4 }))
  const { report } = recover(nodeDisk, directory, true)
  expect(report.lost).toMatchObject([{ firstSequence: 4, lastSequence: 4, file: path }])
  expect(readFileSync(report.salvaged[0]!).equals(before)).toBe(true)
  expect(await readSequences(directory)).toEqual(upTo(3))
})

test('a segment behind a damaged one from elsewhere keeps its times above that one', async () => {
  const path = writeForeign(1, 3)
  const own = new SegmentMaker(directory)
  const { path: next } = own.make({ batches: [2, 2], settle: true, previous: { path, uuid: parseSegmentName(basename(path))!.uuid, firstSequence: 1, lastSequence: 3, ends: [] } })
  flip(next, 140)
  expect(recover(nodeDisk, directory, true).report.lost).toEqual([])
  expect(await readSequences(directory)).toEqual(upTo(7))
})

test('names that are not exactly a segment\'s are not looked at, and left alone', async () => {
  const segment = new SegmentMaker(directory).make({ batches: [2], seal: true })
  const strangers = ['README.txt', 'x.wal', segment.path.slice(directory.length + 1).replace('.wal', '.wal.bak'), '.hidden.wal']
  for (const name of strangers) writeFileSync(join(directory, name), 'not a segment')
  mkdirSync(join(directory, 'folder.wal'))
  expect(await readSequences(directory)).toEqual([1, 2])
  expect(recover(nodeDisk, directory)).toMatchObject({ nextSequence: 3, report: { segments: 1 } })
  for (const name of strangers) expect(readFileSync(join(directory, name), 'utf8')).toBe('not a segment')
})

const END_OF_TIME = '99991231235959-e677d21fdbff7fff8fffffffffffffff.wal'

test('an empty file with the name of a segment beyond the year 9999 is a stranger: what is acknowledged beside it is found again', async () => {
  const stranger = '99991231235959-ffffffffffff7fff8fffffffffffffff.wal'
  writeFileSync(join(directory, stranger), '')
  for (const next of [1, 2, 3]) {
    const log = await openLog({ directory })
    expect((await log.write(textOf(next))).sequence).toBe(next)
    await log.close()
  }
  expect(await readSequences(directory)).toEqual(upTo(3))
  expect(readFileSync(join(directory, stranger), 'utf8')).toBe('')
})

test.each<[string, () => void]>([
  ['an empty file with the last name that there can be', () => writeFileSync(join(directory, END_OF_TIME), '')],
  ['a last timestamp of the last day that there can be', () => {
    const tail = Tail.create(nodeDisk, {
      directory, createdMs: 1_700_000_000_000, firstSequence: 1, previousUuid: new Uint8Array(16), cursors: [], lastTicks: 3_155_378_975_999_999_999n,
      preallocateBytes: 0, maxBytes: 0,
    })
    tail.seal()
  }],
])('%s: where no later segment can be named the log fails, and nothing is acknowledged that is not found again', async (_what, make) => {
  make()
  const log = await openLog({ directory })
  let acknowledged = 0
  const writing = (async () => {
    for (; acknowledged < 3; acknowledged++) {
      await log.write(textOf(acknowledged + 1))
      await log.roll()
    }
  })()
  await expect(writing).rejects.toMatchObject({ code: 'ERR_WAL_FAILED' })
  await expect(log.close()).rejects.toMatchObject({ code: 'ERR_WAL_FAILED' })
  expect(await readSequences(directory)).toEqual(upTo(acknowledged))
})

test('a symbolic link in a segment\'s place is not followed: opening and reading refuse, the target stays', async () => {
  const elsewhere = join(root, 'elsewhere')
  const { path } = new SegmentMaker(directory).make({ batches: [2] })
  renameSync(path, elsewhere)
  symlinkSync(elsewhere, path)
  const before = readFileSync(elsewhere)
  await expect(openLog({ directory })).rejects.toMatchObject({ name: 'WalError', code: 'ERR_WAL_IO', file: path, cause: { code: 'ELOOP' } })
  await expect(readSequences(directory)).rejects.toMatchObject({ code: 'ERR_WAL_IO' })
  expect(readFileSync(elsewhere).equals(before)).toBe(true)
})

test.skipIf(process.platform === 'win32')('a pipe in a segment\'s place does not block opening or reading: it is refused', async () => {
  const path = join(directory, createSegmentName(1_600_000_000_000).name)
  execFileSync('mkfifo', [path])
  await expect(openLog({ directory })).rejects.toMatchObject({ code: 'ERR_WAL_IO', file: path })
  await expect(readSequences(directory)).rejects.toMatchObject({ code: 'ERR_WAL_IO' })
})

test('a directory in a segment\'s place is refused', async () => {
  const path = join(directory, createSegmentName(1_600_000_000_000).name)
  mkdirSync(path)
  await expect(openLog({ directory })).rejects.toMatchObject({ code: 'ERR_WAL_IO' })
})

test('a refused directory is left as it was, and its lock is free', async () => {
  mkdirSync(join(directory, createSegmentName(1_600_000_000_000).name))
  await expect(openLog({ directory })).rejects.toMatchObject({ code: 'ERR_WAL_IO' })
  rmSync(join(directory, nodeDisk.list(directory)[0]!), { recursive: true })
  expect(imageOf(directory)).toEqual({})
  await (await openLog({ directory })).close()
})

test('a reader changes nothing, and may read what is read-only', async () => {
  const { path } = new SegmentMaker(directory).make({ batches: [2], seal: true })
  chmodSync(path, 0o444)
  const before = imageOf(directory)
  for await (const entry of readLog(directory)) expect(entry.text()).toBe(textOf(entry.sequence))
  expect(imageOf(directory)).toEqual(before)
})
