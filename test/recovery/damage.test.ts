/** Damage to what is provably acknowledged is refused, with file, offset and sequences, and nothing is changed. */

import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { createSegmentName } from '../../dist/src/format/segment-name.js'
import { encodeSegmentHeader, tailHeader } from '../../dist/src/format/segment-layout.js'
import { openLog, readLog, verifyLog, WalError } from '../../dist/src/index.js'
import { recover } from '../../dist/src/recovery/recover.js'
import { MemoryDisk } from '../model/memory-disk.js'
import { damage, flip, frameOf, imageOf, readSequences, SegmentMaker, upTo } from './made-segments.js'

let directory: string
let maker: SegmentMaker

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-damage-'))
  maker = new SegmentMaker(directory)
})

afterEach(() => rmSync(directory, { recursive: true }))

/** Recovery refuses with `ERR_WAL_CORRUPT`, details as given, and leaves every byte as it was. */
function expectRefused(details: Partial<WalError>, salvages = false): void {
  const before = imageOf(directory)
  let refusal: unknown
  try {
    recover(nodeDisk, directory, salvages)
  } catch (error) {
    refusal = error
  }
  expect(refusal).toBeInstanceOf(WalError)
  expect(refusal).toMatchObject({ code: 'ERR_WAL_CORRUPT', ...details })
  const { file, offset, firstSequence, lastSequence, message } = refusal as WalError
  expect(message).toContain(file!)
  expect(message).toContain(`at byte ${offset}`)
  expect(firstSequence! <= lastSequence!).toBe(true)
  expect(imageOf(directory)).toEqual(before)
}

test('every flipped byte before a later durable mark is refused, with the first entry that is lost', () => {
  const { path, ends } = maker.make({ batches: [2, 2, 2], settle: true })
  for (let offset = ends[0]!; offset < ends[3]!; offset += 3) {
    const batch = ends.findLastIndex((end) => end <= offset)
    flip(path, offset)
    expectRefused({ file: path, firstSequence: batch * 2 + 1, lastSequence: 6 })
    flip(path, offset)
  }
  expect(recover(nodeDisk, directory).nextSequence).toBe(7)
})

test('damage to the first trailer before a later durable mark is refused', () => {
  const { path, ends } = maker.make({ batches: [2, 2], settle: true })
  for (let offset = 128; offset < ends[0]!; offset++) {
    flip(path, offset)
    expectRefused({ file: path, firstSequence: 1, lastSequence: 4 })
    flip(path, offset)
  }
})

test('zeros over acknowledged sectors are refused when any later mark has survived', () => {
  const { path, ends } = maker.make({ batches: [20, 20, 20], settle: true })
  damage(path, (bytes) => void bytes.fill(0, ends[1]! + 100, ends[1]! + 612))
  expectRefused({ file: path, firstSequence: 21, lastSequence: 60 })
})

test('the one ambiguous case, the very last batch with no mark behind it, is cut and said so', async () => {
  const { path, ends } = maker.make({ batches: [2, 2, 2] })
  flip(path, ends[2]! + 40)
  expect(recover(nodeDisk, directory).report).toMatchObject({ lastSequence: 4, cuts: [{ file: path, offset: ends[2], mayHaveBeenAcknowledged: true }] })
  expect(await readSequences(directory)).toEqual(upTo(4))
})

test('a later segment proves the tail before it: a batch lost there is refused', () => {
  const { path, ends } = maker.make({ batches: [2, 2] })
  maker.make({ batches: [1] })
  flip(path, ends[1]! + 40)
  expectRefused({ file: path, offset: ends[1]!, firstSequence: 3, lastSequence: 4 })
})

test('a sealed segment with a damaged header, index or size is refused at open', () => {
  const { path, lastSequence } = maker.make({ batches: [2, 2], seal: true })
  maker.make({ batches: [1], seal: true })
  const whole = imageOf(directory)
  const size = Buffer.from(whole[basename(path)]!, 'hex').length
  for (const offset of [size - 1, size - 5, size - 40, size - 90]) {
    flip(path, offset)
    expectRefused({ file: path, firstSequence: 1, lastSequence })
    flip(path, offset)
  }
  flip(path, 140)
  expectRefused({ file: path, firstSequence: 1, lastSequence })
  flip(path, 140)
  damage(path, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]))
  expectRefused({ file: path })
  truncateSync(path, size - 1)
  expectRefused({ file: path })
})

test('a sealed header that cannot be read does not hide entries: trailers tell them again', async () => {
  const { path } = maker.make({ batches: [2, 2], seal: true })
  maker.make({ batches: [1], seal: true })
  for (const offset of [0, 9, 56, 60, 127]) flip(path, offset)
  expect(recover(nodeDisk, directory)).toMatchObject({ nextSequence: 6, report: { entries: 5, segments: 2 } })
  expect(await readSequences(directory)).toEqual(upTo(5))
})

test.each([['the header of the newest', 1, 56], ['the header of one that is followed', 2, 56], ['an index', 2, -5]])(
  'what is damaged is mended where it may not be written to, as a sealed segment may not by anybody but root: %s', (_what, count, offset) => {
    const [first] = Array.from({ length: count }, () => maker.make({ batches: [2, 2], seal: true }))
    flip(first!.path, offset < 0 ? readFileSync(first!.path).length + offset : offset)
    const disk = new MemoryDisk({ enforceProtection: true })
    disk.makeDirectory('/log')
    for (const name of readdirSync(directory)) {
      const file = disk.create(`/log/${name}`)
      file.write([readFileSync(join(directory, name))], 0)
      file.protect()
      file.close()
    }
    expect(recover(disk, '/log', true)).toMatchObject({ nextSequence: 4 * count + 1, report: { entries: 4 * count, segments: count, lost: [] } })
    expect(recover(disk, '/log').report.cleanClose).toBe(true)
  })

test('a frame damaged inside a sealed segment is not found at open, and reported at its place when read', async () => {
  const { path, ends } = maker.make({ batches: [2, 2, 2], seal: true })
  flip(path, ends[1]! + 40)
  expect(recover(nodeDisk, directory).nextSequence).toBe(7)
  const read: number[] = []
  const reading = (async () => {
    for await (const entry of readLog(directory)) read.push(entry.sequence)
  })()
  await expect(reading).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT', file: path, offset: ends[1]!, firstSequence: 3, lastSequence: 3 })
  expect(read).toEqual([1, 2])
})

test('a segment that is missing in the middle is refused with the entries that are missing', () => {
  maker.make({ batches: [2], seal: true })
  const middle = maker.make({ batches: [3], seal: true })
  const last = maker.make({ batches: [1] })
  unlinkSync(middle.path)
  expectRefused({ file: last.path, firstSequence: 3, lastSequence: 5 })
})

test('a first segment that is missing has been removed by right, and the rest is whole', async () => {
  const first = maker.make({ batches: [2], seal: true })
  maker.make({ batches: [3], seal: true })
  unlinkSync(first.path)
  expect(recover(nodeDisk, directory).nextSequence).toBe(6)
  expect(await readSequences(directory)).toEqual([3, 4, 5])
})

test('a segment that is there twice, under another name, is refused', () => {
  const first = maker.make({ batches: [2], seal: true })
  maker.make({ batches: [1], seal: true })
  const copy = join(directory, createSegmentName(1_800_000_000_000).name)
  copyFileSync(first.path, copy)
  expectRefused({})
})

test('two segments that both follow the same one are refused', () => {
  const first = maker.make({ batches: [2], seal: true })
  maker.make({ batches: [3], seal: true })
  const twin = maker.make({ batches: [3], previous: first })
  expectRefused({ firstSequence: 3 })
  unlinkSync(twin.path)
  expect(recover(nodeDisk, directory).nextSequence).toBe(6)
})

test('a segment of another version is refused and left as it is, by a salvage too, whatever else there is to mend', () => {
  const first = maker.make({ batches: [2], seal: true })
  const { path } = maker.make({ batches: [2], seal: true })
  damage(path, (bytes) => {
    bytes.writeUInt32LE(2, 4)
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 124)), 124)
  })
  expectRefused({ file: path, offset: 4 })
  expectRefused({ file: path, offset: 4 }, true)
  flip(first.path, readFileSync(first.path).length - 5)
  expectRefused({ file: first.path })
  expectRefused({ file: path, offset: 4 }, true)
})

test('of several damaged places the first is told, and how many more there are', () => {
  const paths = Array.from({ length: 3 }, () => maker.make({ batches: [2], seal: true }).path)
  const message = (): string => {
    try {
      recover(nodeDisk, directory)
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }
  flip(paths[0]!, readFileSync(paths[0]!).length - 1)
  expect(message()).toBe(`acknowledged entries 1 to 2 are damaged or missing: its index is damaged, at byte ${readFileSync(paths[0]!).length} of ${paths[0]}`)
  for (const path of paths.slice(1)) flip(path, readFileSync(path).length - 1)
  expect(message()).toMatch(/; and 2 more$/)
})

test('openLog rejects with what recovery found, and frees the directory', async () => {
  const { path, ends } = maker.make({ batches: [2, 2], settle: true })
  flip(path, ends[0]! + 30)
  const details = { name: 'WalError', code: 'ERR_WAL_CORRUPT', file: path, offset: ends[0], firstSequence: 1, lastSequence: 4 }
  await expect(openLog({ directory })).rejects.toMatchObject(details)
  flip(path, ends[0]! + 30)
  const log = await openLog({ directory })
  expect(log.lastSequence).toBe(4)
  await log.close()
})

test('a sealed segment that is cut short within its first trailer is refused, not removed', () => {
  maker.make({ batches: [2], seal: true })
  const { path } = maker.make({ batches: [2, 2], seal: true })
  for (const length of [128, 200, 243]) {
    truncateSync(path, length)
    expectRefused({ file: path, firstSequence: 3, lastSequence: 6 })
  }
})

test('damage to the trailer with the newest cursors is refused: consumers would be given again what they have committed', () => {
  const { path, ends } = maker.make({ batches: [2, 2], seal: true, cursors: [{ name: 'uploader', sequence: 2, epoch: 0 }] })
  expect(recover(nodeDisk, directory).cursors).toEqual([{ name: 'uploader', sequence: 2, epoch: 0 }])
  flip(path, ends[2]! - 10)
  expectRefused({ file: path, firstSequence: 1, lastSequence: 4 })
  expect(recover(nodeDisk, directory, true).report.lost).toEqual([])
})

test('a tail without a sound first trailer is removed with a word that its batch may have been acknowledged', async () => {
  maker.make({ batches: [2], seal: true })
  const { path } = maker.make({ batches: [2] })
  flip(path, 140)
  expect(await verifyLog(directory)).toMatchObject({ status: 'torn', repairs: [{ kind: 'remove', file: path, mayHaveBeenAcknowledged: true }] })
  expect(recover(nodeDisk, directory).report.cuts).toMatchObject([{ file: path, offset: 0, mayHaveBeenAcknowledged: true }])
})

test('in a file that held another segment before, a damaged last batch is told from what that one left, by its trailer', async () => {
  const old = maker.make({ batches: [40], seal: true })
  const { path, ends, firstSequence } = maker.make({ batches: [2, 2] })
  damage(path, (bytes) => {
    bytes.set(encodeSegmentHeader({ ...tailHeader(firstSequence), recycled: true }))
    return Buffer.concat([bytes, readFileSync(old.path).subarray(bytes.length)])
  })
  expect((await verifyLog(directory)).status).toBe('sound')
  const sound = readFileSync(path)
  expect(recover(nodeDisk, directory).report.cuts).toMatchObject([{ offset: ends[2], reason: 'stale', mayHaveBeenAcknowledged: false }])
  damage(path, () => sound)
  flip(path, ends[1]!)
  expect(await verifyLog(directory)).toMatchObject({ status: 'torn', repairs: [{ kind: 'cut', offset: ends[1], mayHaveBeenAcknowledged: true }] })
  expect(recover(nodeDisk, directory).report.cuts).toMatchObject([{ offset: ends[1], reason: 'magic', mayHaveBeenAcknowledged: true }])
})

test('a damaged length that leads to a sound frame further on costs no entry between', async () => {
  const { path, ends } = maker.make({ batches: [2, 3, 2], seal: true })
  const entryBytes = frameOf(3).length
  // Of the trailer behind the first batch, so that it seems to end behind the first entry of the next one.
  damage(path, (bytes) => void bytes.writeInt32LE(bytes.readInt32LE(ends[1]! - 116 + 4) + entryBytes, ends[1]! - 116 + 4))
  expect(await readSequences(directory)).toEqual(upTo(7))
})
