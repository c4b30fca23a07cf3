/** Recovery on a disk that has no room, at any of its writes: either it is done, or it is left to be done again, and no entry is lost. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { recover } from '../../dist/src/recovery/recover.js'
import { MemoryDisk, systemError } from '../model/memory-disk.js'
import { SegmentMaker, type MadeSegment, type SegmentPlan } from './made-segments.js'

let directory: string
let last: MadeSegment

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-no-room-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

const PLAN: SegmentPlan = { batches: [3, 2], preallocateBytes: 4096 }

/** A log in memory whose last segment is as planned: by default with a batch that is written and not marked durable. */
function unmarked(plan = PLAN, isFollowed = false): MemoryDisk {
  const maker = new SegmentMaker(directory)
  maker.make({ batches: [2], seal: true })
  last = maker.make(plan)
  if (isFollowed) maker.make({ batches: [1], seal: true })
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  for (const name of readdirSync(directory)) {
    const file = disk.create(`/log/${name}`)
    file.write([readFileSync(join(directory, name))], 0)
    file.sync()
    file.close()
  }
  disk.syncDirectory('/log')
  return disk
}

/** From the `from`-th of those that make or extend a file on, every operation is refused. */
function refuseFrom(disk: MemoryDisk, from: number, code: string): void {
  let count = 0
  disk.onOperation = ({ kind, path }) => {
    if ((kind === 'create' || kind === 'write') && ++count >= from) throw systemError(code, kind === 'create' ? 'open' : 'write', path)
  }
}

test('where a segment may be left open, it is recovered without room as far as it goes, and sealed the next time', () => {
  const start = unmarked()
  const wanted = recover(start.clone(), '/log')
  const seen = new Set<string>()
  for (let from = 1; from <= 6; from++) {
    const disk = start.clone()
    refuseFrom(disk, from, 'ENOSPC')
    let isRefused = false
    try {
      expect(recover(disk, '/log', false, true)).toMatchObject({ nextSequence: 8, report: { entries: 7 } })
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' })
      isRefused = true
    }
    seen.add(isRefused ? 'refused' : 'done')
    disk.onOperation = undefined
    const { nextSequence, report } = recover(disk, '/log')
    expect([nextSequence, report.entries, report.segments], `no room from write ${from} on`).toEqual([8, wanted.report.entries, 2])
    expect(disk.list('/log').filter((name) => name.endsWith('.spare'))).toEqual([])
  }
  expect([...seen]).toContain('done')
})

test('where it may not, want of room is told, as is any other error; the next recovery gives the same', () => {
  const start = unmarked()
  for (const code of ['ENOSPC', 'EIO']) {
    // The copy, and where it stands then, its index and header.
    for (let from = 1; from <= 4; from++) {
      const disk = start.clone()
      refuseFrom(disk, from, code)
      expect(() => recover(disk, '/log', false, code === 'EIO'), `${code} from write ${from} on`).toThrow(expect.objectContaining({ code }))
      disk.onOperation = undefined
      expect(recover(disk, '/log')).toMatchObject({ nextSequence: 8, report: { entries: 7, segments: 2 } })
    }
  }
})

/** What is done to the log from now on: kind, end of the file's name, and where it is written. */
function doneTo(disk: MemoryDisk, act: () => void): string[] {
  const { length } = disk.operations
  act()
  return disk.operations.slice(length).map(({ kind, path, offset }) => [kind, path.split('.')[1], offset].filter((part) => part !== undefined).join(' '))
}

/** Refuses one operation: the first of that kind to a file of that sort, from `offset` on. */
function refuseOne(disk: MemoryDisk, code: string, kind: string, sort: string, offset = 0): void {
  disk.onOperation = (operation) => {
    if (operation.kind !== kind || !operation.path.endsWith(sort) || (operation.offset ?? 0) < offset) return
    disk.onOperation = undefined
    throw systemError(code, kind, operation.path)
  }
}

const spares = (disk: MemoryDisk): string[] => disk.list('/log').filter((name) => name.endsWith('.spare'))

test('what is in doubt is written into a new file, and not again into the old one; then it is cut and sealed, each step synced', () => {
  const disk = unmarked()
  const end = last.ends.at(-1)!
  expect(doneTo(disk, () => recover(disk, '/log'))).toEqual([
    'syncDirectory', 'create spare', 'write spare 0', 'sync spare', 'rename spare', 'syncDirectory', 'truncate wal', 'sync wal',
    `write wal ${end}`, 'truncate wal', 'sync wal', 'write wal 0', 'sync wal', 'protect wal',
  ])
})

test('a long one is copied a mebibyte at a time, and not a byte of what stands behind its last batch', () => {
  const disk = unmarked({ batches: [10_000] })
  const end = last.ends.at(-1)!
  const tail = disk.open(`/log/${basename(last.path)}`, 'write')
  tail.write([Buffer.alloc(5000)], end)
  tail.close()
  expect(recover(disk, '/log').report).toMatchObject({ entries: 10_002, cuts: [{ offset: end, bytes: 5000, reason: 'zeros' }] })
  const copied = disk.operations.filter(({ kind, path }) => kind === 'write' && path.endsWith('.spare'))
  expect(copied.map(({ offset, bytes }) => [offset, bytes])).toEqual([[0, 2 ** 20], [2 ** 20, end - 2 ** 20]])
})

test('what a next segment proves to its end is not written again, only sealed', () => {
  const disk = unmarked({ batches: [3, 2] }, true)
  const end = last.ends.at(-1)!
  const operations = doneTo(disk, () => expect(recover(disk, '/log').report).toMatchObject({ cuts: [], entries: 8, cleanClose: false }))
  expect(operations).toEqual([
    // The first is its mode, which may be a sealed one's.
    'syncDirectory', 'protect wal', 'truncate wal', 'sync wal', `write wal ${end}`, 'truncate wal', 'sync wal', 'write wal 0', 'sync wal', 'protect wal',
  ])
})

test.each([['create', 'spare'], ['write', 'spare']])('without room to %s the %s it is written again where it is, from what is proved on, and no half copy stays', (kind, sort) => {
  const disk = unmarked()
  refuseOne(disk, 'ENOSPC', kind, sort)
  const operations = doneTo(disk, () => expect(recover(disk, '/log')).toMatchObject({ nextSequence: 8 }))
  expect(operations.filter((operation) => operation.startsWith('write wal'))).toEqual([`write wal ${last.ends[1]!}`, `write wal ${last.ends[2]!}`, 'write wal 0'])
  expect(spares(disk)).toEqual([])
})

test.each([['create', 'spare'], ['write', 'spare'], ['sync', 'spare'], ['write', 'wal']])('another error, to %s the %s, is told at once', (kind, sort) => {
  const disk = unmarked()
  refuseOne(disk, 'EIO', kind, sort)
  expect(() => recover(disk, '/log', false, true)).toThrow(expect.objectContaining({ code: 'EIO' }))
  expect(disk.list('/log').filter((name) => name.endsWith('.wal')).length).toBe(2)
  expect(recover(disk, '/log')).toMatchObject({ nextSequence: 8, report: { entries: 7, segments: 2 } })
})

test('without room for its index or its header a segment is left open where it may be, cut to what is whole; else that is told', () => {
  const start = unmarked()
  const end = last.ends.at(-1)!
  for (const offset of [end, 0]) {
    const refused = start.clone()
    refuseOne(refused, 'ENOSPC', 'write', 'wal', offset)
    expect(() => recover(refused, '/log')).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
    const disk = start.clone()
    disk.onOperation = ({ kind, path, offset: at }) => {
      if (kind === 'write' && path.endsWith('wal') && at! >= offset) throw systemError('ENOSPC', 'write', path)
    }
    const { report, segments } = recover(disk, '/log', false, true)
    expect(report).toMatchObject({ entries: 7, segments: 2 })
    expect(segments.at(-1)).toMatchObject({ firstSequence: 3, lastSequence: 7, bytes: end })
    expect(report.bytes).toBe(segments.reduce((sum, { bytes }) => sum + bytes, 0))
  }
})
