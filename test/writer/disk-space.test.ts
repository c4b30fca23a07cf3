/** The reserve for a full disk, on a disk in memory that refuses at the moment that is asked for. */

import { beforeEach, describe, expect, test } from 'vitest'
import { allocateRing, openRing, type Ring } from '../../dist/src/ring/ring.js'
import { SPACE, WORD } from '../../dist/src/ring/ring-layout.js'
import { DiskSpace } from '../../dist/src/writer/disk-space.js'
import { MemoryDisk, systemError } from '../model/memory-disk.js'

const RESERVE_BYTES = 700_000

let disk: MemoryDisk
let ring: Ring
let space: DiskSpace

beforeEach(() => {
  disk = new MemoryDisk({ capacityBytes: 4 * 2 ** 20 })
  disk.makeDirectory('/log')
  ring = openRing(allocateRing(4096, 16, 1000))
  space = new DiskSpace(ring, disk, '/log', RESERVE_BYTES)
})

/** From now on the second write to a file fails. */
function refuseWrites(code: string): void {
  let writes = 0
  disk.onOperation = ({ kind, path }) => {
    if (kind === 'write' && ++writes > 1) throw systemError(code, 'write', path)
  }
}

const told = (): number => ring.atomics.load(ring.words, WORD.space)
const files = (): [string, number][] => disk.list('/log').map((name) => {
  const file = disk.open(`/log/${name}`, 'read')
  const size = file.size()
  file.close()
  return [name, size]
})

describe('the reserve', () => {
  test('is as large as it is to be, and durable: it survives a power cut', () => {
    space.reserve(() => false)
    expect([space.isFull, told(), files()]).toEqual([false, SPACE.ok, [['reserve', RESERVE_BYTES]]])
    for (const state of disk.crashStates()) expect(state.list('/log')).toEqual(['reserve'])
  })

  test('that others have taken the room of meanwhile leaves nothing behind; the disk counts as full until it is there, or something may be freed', () => {
    refuseWrites('ENOSPC')
    space.reserve(() => false)
    expect([space.isFull, told(), files()]).toEqual([true, SPACE.diskFull, []])
    space.reserve(() => true)
    expect([space.isFull, told(), files()]).toEqual([false, SPACE.ok, []])
    disk.onOperation = undefined
    space.reserve(() => false)
    expect([space.isFull, told(), files()]).toEqual([false, SPACE.ok, [['reserve', RESERVE_BYTES]]])
  })

  test('that may not be as large as that (EFBIG) is done without, and not tried again', () => {
    refuseWrites('EFBIG')
    space.reserve(() => false)
    expect([space.isFull, told(), files()]).toEqual([false, SPACE.ok, []])
    const { length } = disk.operations
    space.reserve(() => false)
    expect(disk.operations.length).toBe(length)
  })

  test('that cannot be written for another reason fails, and leaves nothing behind', () => {
    refuseWrites('EIO')
    expect(() => space.reserve(() => false)).toThrow(expect.objectContaining({ code: 'EIO' }))
    expect(files()).toEqual([])
  })
})
