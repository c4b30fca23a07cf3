/** How freed segments become spares, on a disk in memory. */

import { expect, test } from 'vitest'
import { createSegmentName } from '../../dist/src/format/segment-name.js'
import type { RecoveredSegment } from '../../dist/src/recovery/recover.js'
import { SegmentStore } from '../../dist/src/writer/segment-store.js'
import { MemoryDisk, systemError } from '../model/memory-disk.js'

const BYTES = 10_000

/** A store of five sealed segments. */
function made(isOwn = true): { readonly disk: MemoryDisk; readonly store: SegmentStore; readonly names: readonly string[] } {
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  const segments = [1, 2, 3, 4, 5].map((number): RecoveredSegment => {
    const name = createSegmentName(number * 1000)
    const path = `/log/${name.name}`
    const file = disk.create(path)
    file.write([Buffer.alloc(BYTES, 7)], 0)
    file.sync()
    file.protect()
    file.close()
    return { name, path, firstSequence: number * 10, lastSequence: number * 10 + 9, bytes: BYTES, isOwn }
  })
  disk.syncDirectory('/log')
  return { disk, store: new SegmentStore(disk, '/log', segments, { spareBytes: () => BYTES, maxSegmentAgeMs: 1000 }), names: segments.map(({ name }) => name.name) }
}

const spares = (disk: MemoryDisk): string[] => disk.list('/log').filter((name) => name.endsWith('.spare'))

test('two freed segments are kept as spares, without a header; further ones go, as do those of other software', () => {
  const { disk, store, names } = made()
  for (let removed = 0; removed < 3; removed++) store.removeOldest(true)
  expect([spares(disk).length, store.spareBytes, store.count, store.bytes]).toEqual([2, 2 * BYTES, 2, 2 * BYTES])
  const spare = store.takeSpare()!
  const bytes = Buffer.alloc(BYTES)
  expect(spare.file.read(bytes, 0)).toBe(BYTES)
  expect([bytes.subarray(0, 128).every((byte) => byte === 0), bytes.subarray(128).every((byte) => byte === 7)]).toEqual([true, true])
  spare.file.close()
  store.removeOldest(false)
  expect(disk.list('/log').filter((name) => name.endsWith('.wal'))).toEqual([names[4]])
  const foreign = made(false)
  foreign.store.removeOldest(true)
  expect([spares(foreign.disk), foreign.store.count]).toEqual([[], 4])
})

test('where a spare takes room even to be prepared it is given up, with all others; another error is told', () => {
  for (const code of ['ENOSPC', 'EIO']) {
    const { disk, store } = made()
    store.removeOldest(true)
    disk.onOperation = ({ kind, path }) => {
      if (kind === 'write') throw systemError(code, 'write', path)
    }
    if (code === 'EIO') expect(() => store.removeOldest(true)).toThrow(expect.objectContaining({ code }))
    else {
      store.removeOldest(true)
      expect([spares(disk), store.spareBytes, store.takeSpare(), store.removeSpares()]).toEqual([[], 0, undefined, false])
    }
    expect(store.count).toBe(3)
  }
})
