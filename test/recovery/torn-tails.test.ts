/** What an unclean stop leaves behind the last whole batch is cut, whatever it is; what was acknowledged stays; the next number follows. */

import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { encodeSegmentHeader, tailHeader } from '../../dist/src/format/segment-layout.js'
import { openLog } from '../../dist/src/index.js'
import { recover } from '../../dist/src/recovery/recover.js'
import { parseDirectory } from '../format/independent-parser.mjs'
import { below, runSeed, seededRandom } from '../model/random.js'
import { damage, frameOf, imageOf, readSequences, SegmentMaker, textOf, upTo } from './made-segments.js'

let root: string
let directory: string
let maker: SegmentMaker

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ringwal-torn-'))
  directory = join(root, 'log')
  mkdirSync(directory)
  maker = new SegmentMaker(directory)
})

afterEach(() => rmSync(root, { recursive: true }))

/** Recovers, and looks at the result with the reader and the independent parser. */
async function expectHealed(lastSequence: number): Promise<ReturnType<typeof recover>> {
  const recovered = recover(nodeDisk, directory)
  expect(recovered.nextSequence).toBe(lastSequence + 1)
  expect(await readSequences(directory)).toEqual(upTo(lastSequence))
  const parsed = parseDirectory(directory)
  expect([...parsed.entries()].map(({ sequence }) => sequence)).toEqual(upTo(lastSequence))
  expect(parsed.segments.every(({ sealed }) => sealed)).toBe(true)
  return recovered
}

test('a tail cut off at any byte of its last batch keeps every batch before it', async () => {
  const segment = maker.make({ batches: [3, 2, 4] })
  const [, , second, third] = segment.ends
  const whole = imageOf(directory)
  for (let size = second! + 1; size < third!; size += 7) {
    truncateSync(segment.path, size)
    const { report } = await expectHealed(5)
    expect(report.cuts).toMatchObject([{ file: segment.path, offset: second, bytes: size - second!, mayHaveBeenAcknowledged: true }])
    damage(segment.path, () => Buffer.from(Object.values(whole)[0]!, 'hex'))
  }
})

test('preallocated zeros are cut, and are no damage', async () => {
  maker.make({ batches: [3, 2], preallocateBytes: 64 * 1024 })
  const { report } = await expectHealed(5)
  expect(report).toMatchObject({ segments: 1, entries: 5, lastSequence: 5, cleanClose: false })
  expect(report.cuts.every(({ reason, mayHaveBeenAcknowledged }) => reason === 'zeros' && !mayHaveBeenAcknowledged)).toBe(true)
})

test('a batch that was torn just behind one of its entries is no zeros that were allocated ahead', async () => {
  const { path, ends } = maker.make({ batches: [3, 2], preallocateBytes: 64 * 1024 })
  damage(path, (bytes) => void bytes.set(frameOf(6), ends.at(-1)!))
  const { report } = await expectHealed(5)
  expect(report.cuts).toMatchObject([{ file: path, offset: ends.at(-1), reason: 'unfinished batch', mayHaveBeenAcknowledged: true }])
})

test('garbage behind the last batch is cut, whatever it looks like', async () => {
  const seed = runSeed()
  console.log(`torn tails SEED=${seed}`)
  const random = seededRandom(seed)
  const noise = (length: number): Buffer => Buffer.from(Array.from({ length }, () => below(random, 256)))
  // A segment of the same sequences, whose bytes may stand in reused blocks.
  mkdirSync(join(root, 'stale'))
  const stale = readFileSync(new SegmentMaker(join(root, 'stale')).make({ batches: [5, 4], settle: true }).path)
  const tails = [
    noise(1), noise(7), noise(500), noise(70_000), Buffer.from('MSG!'), Buffer.from('MSG!\xff\xff\xff\x7f', 'latin1'), frameOf(6), frameOf(9),
    stale.subarray(128), stale, Buffer.concat([Buffer.alloc(500), noise(20), Buffer.alloc(500)]),
  ]
  for (const tail of tails) {
    const { path } = new SegmentMaker(directory).make({ batches: [3, 2] })
    appendFileSync(path, tail)
    const { report } = await expectHealed(5)
    expect(report.cuts).toMatchObject([{ file: path, bytes: tail.length }])
    rmSync(path)
  }
})

test('a batch without its trailer was never acknowledged, and is cut', async () => {
  const { path } = maker.make({ batches: [3] })
  appendFileSync(path, Buffer.concat([frameOf(4), frameOf(5)]))
  await expectHealed(3)
})

test('marks that prove nothing do not keep a torn batch: manual durability', async () => {
  const { path, ends } = maker.make({ batches: [3, 3, 3], marks: false })
  damage(path, (bytes) => {
    bytes[ends[1]! + 30]! ^= 1
  })
  const { report } = await expectHealed(3)
  expect(report.cuts).toMatchObject([{ offset: ends[1], mayHaveBeenAcknowledged: true }])
})

test('a torn header of the newest segment with whole trailers is written again', async () => {
  maker.make({ batches: [3], seal: true })
  const newest = maker.make({ batches: [2] })
  damage(newest.path, (bytes) => void bytes.fill(0, 0, 128))
  await expectHealed(5)
})

test('the newest segment without a first trailer is removed, at every length it may have', async () => {
  maker.make({ batches: [3], seal: true })
  for (const length of [0, 1, 127, 128, 129, 200, 243]) {
    const newest = maker.make({ batches: [] })
    truncateSync(newest.path, length)
    const { report } = await expectHealed(3)
    expect(report).toMatchObject({ segments: 1, cleanClose: false, cuts: [{ file: newest.path, offset: 0, bytes: length, reason: 'no valid header or first trailer' }] })
    maker.made.pop()
  }
})

test('what was recovered is written on: numbers follow, and timestamps do not fall', async () => {
  maker.make({ batches: [3, 2], preallocateBytes: 8192 })
  const log = await openLog({ directory })
  expect(log.recovery).toMatchObject({ segments: 1, entries: 5, lastSequence: 5 })
  expect(log.lastSequence).toBe(5)
  expect(await log.write(textOf(6))).toMatchObject({ sequence: 6 })
  await log.close()
  await expectHealed(6)
  const ticks = [...parseDirectory(directory).entries()].map((entry) => entry.ticks)
  expect(ticks.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))).toEqual(ticks)
})

test('a clean close leaves nothing to cut, and a second recovery changes nothing', async () => {
  const log = await openLog({ directory })
  await log.write(textOf(1))
  await log.close()
  const before = imageOf(directory)
  const { report } = await expectHealed(1)
  expect(report).toMatchObject({ cleanClose: true, cuts: [], segments: 1, entries: 1 })
  expect(imageOf(directory)).toEqual(before)
})

test('a sealed header that the blocks of a new tail had before is not taken for its own, though the size is the same', async () => {
  maker.make({ batches: [3], seal: true })
  const tail = maker.make({ batches: [] })
  const bytes = readFileSync(tail.path)
  const before = encodeSegmentHeader({ ...tailHeader(2), bytes: bytes.length, sealed: true })
  writeFileSync(tail.path, Buffer.concat([before, bytes.subarray(128)]))
  await expectHealed(3)
})
