/** How much a log may take of a disk in memory. */

import { expect, test } from 'vitest'
import { SizeLimit } from '../../dist/src/writer/size-limit.js'
import { MemoryDisk } from '../model/memory-disk.js'

const KIB = 1024
const MIB = 1024 * KIB
const OPTIONS = {
  directory: '/log', maxSegmentBytes: MIB, maxSegmentEntries: 1000, maxSegmentAgeMs: 1000, durability: 'batch', lingerMs: 0, maxBatchBytes: 4096,
  preallocateBytes: 0, lockWaitMs: 0, salvages: false, reserveBytes: 0,
  retention: { maxBytes: undefined as number | undefined, maxAgeMs: Infinity, maxSegments: 1000, keepConsumed: true, whenOver: 'refuse', cleanupIntervalMs: 1000 },
} as const

/** A disk of 16 MiB of which others have so much. */
function diskWith(othersBytes: number): MemoryDisk {
  const disk = new MemoryDisk({ capacityBytes: 16 * MIB })
  disk.makeDirectory('/log')
  const file = disk.create('/others')
  file.write([Buffer.alloc(othersBytes)], 0)
  file.close()
  return disk
}

test('by default it is half of what is free or taken by the log, of which a segment takes a quarter at most', () => {
  const limit = new SizeLimit(diskWith(12 * MIB), OPTIONS, 2 * MIB)
  expect([limit.maxBytes, limit.maxSegmentBytes]).toEqual([3 * MIB, 768 * KIB])
  const large = new SizeLimit(diskWith(0), OPTIONS, 0)
  expect([large.maxBytes, large.maxSegmentBytes]).toEqual([8 * MIB, MIB])
})

test('where a full disk has next to nothing for the log it is the least that may be told, and rises with what others free; never does it fall', () => {
  const disk = diskWith(16 * MIB)
  const limit = new SizeLimit(disk, OPTIONS, 10 * KIB)
  expect([limit.maxBytes, limit.maxSegmentBytes]).toEqual([64 * KIB, 16 * KIB])
  disk.remove('/others')
  limit.look(0)
  expect([limit.maxBytes, limit.maxSegmentBytes]).toEqual([8 * MIB, MIB])
  disk.create('/log/others').write([Buffer.alloc(10 * MIB)], 0)
  limit.look(0)
  expect(limit.maxBytes).toBe(8 * MIB)
})

test('what is told stays, whatever there is', () => {
  const limit = new SizeLimit(diskWith(0), { ...OPTIONS, retention: { ...OPTIONS.retention, maxBytes: 256 * KIB } }, 0)
  limit.look(8 * MIB)
  expect([limit.maxBytes, limit.maxSegmentBytes, limit.patienceMs]).toEqual([256 * KIB, 64 * KIB, Infinity])
})
