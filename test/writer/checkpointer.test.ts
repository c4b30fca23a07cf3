/** What checkpoints free, and how room is made on a full disk, on a disk in memory. */

import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { createSegmentName } from '../../dist/src/format/segment-name.js'
import type { RecoveredSegment } from '../../dist/src/recovery/recover.js'
import { isServed, request } from '../../dist/src/ring/commands.js'
import { allocateRing, initializeRing, openRing, type Ring } from '../../dist/src/ring/ring.js'
import { blobName } from '../../dist/src/segment/blob-name.js'
import { BlobKeeper } from '../../dist/src/writer/blob-keeper.js'
import { Checkpointer } from '../../dist/src/writer/checkpointer.js'
import { CursorKeeper } from '../../dist/src/writer/cursor-keeper.js'
import { DiskSpace } from '../../dist/src/writer/disk-space.js'
import { SegmentStore } from '../../dist/src/writer/segment-store.js'
import { SizeLimit } from '../../dist/src/writer/size-limit.js'
import { MemoryDisk, systemError } from '../model/memory-disk.js'

const OPTIONS = {
  directory: '/log', maxSegmentBytes: 4096, maxSegmentEntries: 1000, maxSegmentAgeMs: 1000, durability: 'batch', lingerMs: 0, maxBatchBytes: 4096,
  preallocateBytes: 0, lockWaitMs: 0, salvages: false, reserveBytes: 0,
  retention: { maxBytes: 2 ** 40, maxAgeMs: Infinity, maxSegments: 1000, keepConsumed: true, whenOver: 'drop-oldest', cleanupIntervalMs: 1000 },
} as const

/** A log of two sealed segments of that size, which may go when the disk is full, or the limit is exceeded. */
function full(bytes = 1000, maxBytes = 2 ** 40): { readonly disk: MemoryDisk; readonly checkpointer: Checkpointer; readonly store: SegmentStore; readonly ring: Ring } {
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  const segments = [1, 2].map((number): RecoveredSegment => {
    const name = createSegmentName(number * 1000)
    const path = `/log/${name.name}`
    disk.create(path).close()
    return { name, path, firstSequence: number * 10, lastSequence: number * 10 + 9, bytes, isOwn: true }
  })
  const ring = openRing(allocateRing(4096, 16, 1000))
  initializeRing(ring, { nextSequence: 30, tickBase: 1, floorTicks: 0, clockZeroNs: 0n, clockZeroTicks: 0 })
  const store = new SegmentStore(disk, '/log', segments, { spareBytes: () => OPTIONS.maxSegmentBytes, maxSegmentAgeMs: OPTIONS.maxSegmentAgeMs })
  const space = new DiskSpace(ring, disk, '/log', 0)
  const options = { ...OPTIONS, retention: { ...OPTIONS.retention, maxBytes } }
  const checkpointer = new Checkpointer(ring, options, new SizeLimit(disk, options, 2 * bytes), store, new CursorKeeper(ring, []), space, new BlobKeeper(disk, '/log', 29), () => 30)
  return { disk, checkpointer, store, ring }
}

/** Uploads of that size, by the sequences of their entries. */
function upload(disk: MemoryDisk, bytes: number, ...sequences: number[]): void {
  disk.makeDirectory('/log/blobs')
  for (const sequence of sequences) {
    const file = disk.create(`/log/blobs/${blobName(sequence)}`)
    file.write([Buffer.alloc(bytes)], 0)
    file.close()
  }
}

test('on a full disk the oldest segment goes, cursors first, one at a time, until none is left that may go', () => {
  const { disk, checkpointer, store } = full()
  let secured = 0
  const counts: number[] = []
  while (checkpointer.makeRoom(() => { secured++ })) counts.push(store.count)
  expect([counts, secured, disk.list('/log')]).toEqual([[1, 0], 2, []])
})

test('where there is no room even for the cursors nothing is removed; a removal that fails is told', () => {
  const { disk, checkpointer, store } = full()
  expect(checkpointer.makeRoom(() => { throw systemError('ENOSPC', 'write', '/log') })).toBe(false)
  expect(store.count).toBe(2)
  disk.onOperation = ({ kind, path }) => {
    if (kind === 'remove') throw systemError('EIO', 'unlink', path)
  }
  expect(() => checkpointer.makeRoom(() => undefined)).toThrow(expect.objectContaining({ code: 'EIO', syscall: 'unlink' }))
  expect([store.count, disk.list('/log').length]).toEqual([2, 2])
})

test('what is kept to be used again goes before any segment', () => {
  const { disk, checkpointer, store } = full(OPTIONS.maxSegmentBytes)
  store.removeOldest(true)
  expect([store.spareBytes, disk.list('/log').length]).toEqual([OPTIONS.maxSegmentBytes, 2])
  expect(checkpointer.makeRoom(() => undefined)).toBe(true)
  expect([store.spareBytes, store.count, disk.list('/log').length]).toEqual([0, 1, 1])
})

test('uploads go right after their segment, and no longer count: only what is over the limit is removed', () => {
  // Two segments, the tail, a spare, and room for two uploads of the three.
  const { disk, checkpointer, store } = full(1000, 2 * OPTIONS.maxSegmentBytes + 2000 + 2 * 100_000)
  upload(disk, 100_000, 12, 25, 30)
  const from = disk.operations.length
  for (let step = 0; step < 3; step++) checkpointer.step(step, () => undefined)
  expect([store.count, disk.list('/log/blobs')]).toEqual([1, [blobName(25), blobName(30)]])
  expect(disk.operations.slice(from).map(({ kind, path }) => `${kind} ${dirname(path)}`)).toEqual([
    'remove /log', 'syncDirectory /', 'remove /log/blobs', 'syncDirectory /log',
  ])
})

test('uploads whose segments have gone are removed before anything else is, and count for nothing', () => {
  const { disk, checkpointer, store } = full(1000, 2 * OPTIONS.maxSegmentBytes + 2000 + 100_000)
  upload(disk, 100_000, 5, 9, 30)
  checkpointer.step(0, () => undefined)
  expect([store.count, disk.list('/log/blobs')]).toEqual([2, [blobName(30)]])
})

test('on a full disk uploads go with their segments, at once', () => {
  const { disk, checkpointer } = full()
  upload(disk, 1000, 12, 25)
  expect(checkpointer.makeRoom(() => undefined)).toBe(true)
  expect(disk.list('/log/blobs')).toEqual([blobName(25)])
})

test.each(['EMFILE', 'ENFILE'])('while no directory can be listed (%s) nothing is removed, and a checkpoint waits', (code) => {
  const { disk, checkpointer, store, ring } = full(1000, 2 * OPTIONS.maxSegmentBytes + 1000)
  const { list } = disk
  disk.list = (path) => { throw systemError(code, 'scandir', path) }
  const ticket = request(ring, 'checkpoint')
  const nowMs = performance.now()
  // Two tries, the second of which is too early.
  for (let step = 0; step < 2; step++) checkpointer.step(nowMs, () => undefined)
  expect([store.count, checkpointer.makeRoom(() => undefined), isServed(ring, 'checkpoint', ticket)]).toEqual([2, false, false])
  expect(checkpointer.dueMs).toBeGreaterThan(nowMs)
  disk.list = list
  const laterMs = checkpointer.dueMs
  for (let step = 0; step < 2; step++) checkpointer.step(laterMs, () => undefined)
  expect([store.count, isServed(ring, 'checkpoint', ticket)]).toEqual([1, true])
})
