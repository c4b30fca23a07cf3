/** Sealing on a disk without room for it, in memory. */

import { expect, test } from 'vitest'
import { recover } from '../../dist/src/recovery/recover.js'
import { allocateRing, initializeRing, openRing } from '../../dist/src/ring/ring.js'
import { CursorKeeper } from '../../dist/src/writer/cursor-keeper.js'
import { SegmentStore } from '../../dist/src/writer/segment-store.js'
import { SizeLimit } from '../../dist/src/writer/size-limit.js'
import { TailKeeper } from '../../dist/src/writer/tail-keeper.js'
import { MemoryDisk, systemError } from '../model/memory-disk.js'

const OPTIONS = {
  directory: '/log', maxSegmentBytes: 65_536, maxSegmentEntries: 1000, maxSegmentAgeMs: 1000, durability: 'batch', lingerMs: 0, maxBatchBytes: 4096,
  preallocateBytes: 0, lockWaitMs: 0, salvages: false, reserveBytes: 0,
  retention: { maxBytes: 2 ** 40, maxAgeMs: Infinity, maxSegments: 1000, keepConsumed: true, whenOver: 'refuse', cleanupIntervalMs: 1000 },
} as const

test('a tail takes what it was begun for, and the next one what the limit gives by then', () => {
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  const ring = openRing(allocateRing(4096, 16, 1000))
  initializeRing(ring, { nextSequence: 1, tickBase: 1, floorTicks: 0, clockZeroNs: 0n, clockZeroTicks: 0 })
  const store = new SegmentStore(disk, '/log', [], { spareBytes: () => OPTIONS.maxSegmentBytes, maxSegmentAgeMs: 1000 })
  const limit = { maxSegmentBytes: 8192 } as SizeLimit
  const tails = new TailKeeper(disk, OPTIONS, limit, recover(disk, '/log'), 0n, new CursorKeeper(ring, []), store, () => 0)
  const before = tails.limits.bytes
  tails.ensure(1)
  expect(tails.limits.bytes).toBe(before)
  Object.assign(limit, { maxSegmentBytes: 16_384 })
  expect(tails.limits.bytes).toBe(before)
  tails.seal()
  expect(tails.limits.bytes).toBeGreaterThan(before + 8000)
})

test('a seal that found no room for its header is finished before anything more is written: no batch fits meanwhile, nor a mark', () => {
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  const ring = openRing(allocateRing(4096, 16, 1000))
  initializeRing(ring, { nextSequence: 1, tickBase: 1, floorTicks: 0, clockZeroNs: 0n, clockZeroTicks: 0 })
  const cursors = new CursorKeeper(ring, [])
  const store = new SegmentStore(disk, '/log', [], { spareBytes: () => OPTIONS.maxSegmentBytes, maxSegmentAgeMs: 1000 })
  const tails = new TailKeeper(disk, OPTIONS, new SizeLimit(disk, OPTIONS, 0), recover(disk, '/log'), 0n, cursors, store, () => 0)
  const need = { bytes: 100, firstSequence: 1, lastSequence: 1 }
  expect([tails.isTooSmallFor(need), tails.isFull]).toEqual([false, false])
  const { name } = tails.ensure(1)
  expect([tails.isTooSmallFor(need), tails.isFull]).toEqual([false, false])
  disk.onOperation = ({ kind, offset, path }) => {
    if (kind === 'write' && offset === 0) throw systemError('ENOSPC', 'write', path)
  }
  expect(() => tails.seal()).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
  expect([tails.tail?.name, tails.tail?.isSealing, tails.isTooSmallFor(need), tails.isFull, store.count]).toEqual([name, true, true, true, 0])
  disk.onOperation = undefined
  tails.seal()
  expect([tails.tail, tails.isTooSmallFor(need), store.count]).toEqual([undefined, false, 1])
  expect(recover(disk, '/log')).toMatchObject({ nextSequence: 1, report: { segments: 1, cleanClose: true } })
})
