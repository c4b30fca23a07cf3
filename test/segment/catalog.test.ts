/** Which segments a reader sees, and where each begins, in directories that no writer has put in order. */

import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Disk } from '../../dist/src/disk/disk.js'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { createSegmentName } from '../../dist/src/format/segment-name.js'
import { encodeSegmentHeader, tailHeader } from '../../dist/src/format/segment-layout.js'
import { Catalog } from '../../dist/src/segment/catalog.js'
import { damage, frameOf, readSequences, SegmentMaker, upTo } from '../recovery/made-segments.js'

let directory: string
let maker: SegmentMaker

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-catalog-'))
  maker = new SegmentMaker(directory)
})

afterEach(() => rmSync(directory, { recursive: true }))

const listed = (disk: Disk = nodeDisk): [string, number][] => new Catalog(disk, directory).list().map(({ path, header }) => [path, header.firstSequence])

test('segments stand in order of sequence, two with the same one in order of their names', () => {
  const first = maker.make({ batches: [2], seal: true })
  const second = maker.make({ batches: [2], seal: true })
  const [earlier, later] = [1_600_000_000_000, 1_900_000_000_000].map((ms) => join(directory, createSegmentName(ms).name)) as [string, string]
  copyFileSync(first.path, later)
  copyFileSync(second.path, earlier)
  const names = nodeDisk.list(directory).sort()
  for (const list of [() => names, () => names.toReversed()]) {
    expect(listed({ ...nodeDisk, list }).map(([path]) => path)).toEqual([first.path, later, earlier, second.path])
  }
})

test('a sealed header that another segment has left in a file is not believed: its own first trailer tells, or else it tells nothing', async () => {
  maker.make({ batches: [3], seal: true })
  const tail = maker.make({ batches: [2], settle: true })
  const left = encodeSegmentHeader({ ...tailHeader(1), lastSequence: 3, entryCount: 3, bytes: 4711, sealed: true })
  damage(tail.path, (bytes) => void bytes.set(left))
  expect(listed()).toEqual([[maker.made[0]!.path, 1], [tail.path, 4]])
  expect(await readSequences(directory)).toEqual(upTo(5))
  damage(tail.path, (bytes) => bytes.subarray(0, 200))
  expect(listed()).toEqual([[maker.made[0]!.path, 1]])
  expect(await readSequences(directory)).toEqual(upTo(3))
})

test('a sealed file from elsewhere that was cut short is read as far as it goes', async () => {
  const frames = [1, 2, 3].map(frameOf)
  const bytes = frames.reduce((sum, frame) => sum + frame.length, 128)
  const path = join(directory, createSegmentName(1_600_000_000_000).name)
  const header = encodeSegmentHeader({ ...tailHeader(1), lastSequence: 3, entryCount: 3, bytes, sealed: true })
  copyFileSync(maker.make({ batches: [] }).path, path)
  unlinkSync(maker.made[0]!.path)
  damage(path, () => Buffer.concat([header, ...frames]).subarray(0, bytes - 30))
  expect(listed()).toEqual([[path, 1]])
  await expect(readSequences(directory)).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT', file: path, firstSequence: 3, lastSequence: 3 })
})

test('a segment of a version that is not known is none that a reader could read, and is named when others come behind it', async () => {
  const { path } = maker.make({ batches: [2], seal: true })
  const bytes = readFileSync(path)
  maker.make({ batches: [2], seal: true })
  damage(path, () => {
    bytes.writeUInt32LE(2, 4)
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 124)), 124)
    return bytes
  })
  expect(listed()).toEqual([[maker.made[1]!.path, 3]])
  await expect(readSequences(directory)).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT', file: path })
})

test('a segment that goes before it can be opened is none; of what a reader looks for behind a gap it is not the reason', () => {
  const gone = maker.make({ batches: [2], seal: true })
  const next = maker.make({ batches: [2], seal: true })
  const names = nodeDisk.list(directory)
  unlinkSync(gone.path)
  expect(listed({ ...nodeDisk, list: () => names })).toEqual([[next.path, 3]])
  let looks = 0
  const catalog = new Catalog({ ...nodeDisk, list: () => (looks++ < 2 ? names : nodeDisk.list(directory)) }, directory)
  expect(catalog.findUnreadable(catalog.list()[0]!)).toBeUndefined()
})

test('what a tail says later is believed if it can be its own: sealed, or still open, whatever another segment has left in its place', () => {
  maker.make({ batches: [3], seal: true })
  const { path } = maker.make({ batches: [2], settle: true })
  const catalog = new Catalog(nodeDisk, directory)
  const [, open] = catalog.list()
  const file = nodeDisk.open(path, 'read')
  const refreshed = (): [boolean, number, number] => {
    const { header, fileBytes } = catalog.refresh(open!, file)
    return [header.sealed, header.firstSequence, fileBytes]
  }
  const bytes = readFileSync(path).length
  expect(refreshed()).toEqual([false, 4, bytes])
  damage(path, (all) => void all.set(encodeSegmentHeader({ ...tailHeader(1), lastSequence: 3, entryCount: 3, bytes: 4711, sealed: true })))
  expect(refreshed()).toEqual([false, 4, bytes])
  damage(path, (all) => all.subarray(0, 200))
  expect(refreshed()).toEqual([false, 4, bytes])
  damage(path, (all) => void all.fill(0))
  expect(refreshed()).toEqual([false, 4, bytes])
  file.close()
})

test('a segment that was removed since it was listed is gone; one that the system does not open is not taken for gone', () => {
  const [gone, link] = [maker.make({ batches: [2], seal: true }), maker.make({ batches: [2], seal: true })]
  const catalog = new Catalog(nodeDisk, directory)
  const [first, second] = catalog.list()
  unlinkSync(gone.path)
  renameSync(link.path, join(directory, 'elsewhere'))
  symlinkSync(join(directory, 'elsewhere'), link.path)
  expect([catalog.open(first!), catalog.isGone(first!)]).toEqual([undefined, true])
  expect(() => catalog.open(second!)).toThrow(expect.objectContaining({ code: 'ELOOP' }))
})
