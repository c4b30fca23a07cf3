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

describe('what needs room', () => {
  /** Fails for want of room so often. */
  const failing = (times: number): () => void => () => {
    if (times-- > 0) throw systemError('ENOSPC', 'write', '/log/x')
  }

  test('is tried again as long as something is freed, then once more for the reserve, which is given up', () => {
    space.reserve(() => false)
    let frees = 2
    expect(space.attempt(failing(3), () => frees-- > 0)).toBeUndefined()
    expect([frees, files(), space.isFull, space.isWaiting, told()]).toEqual([-1, [], true, true, SPACE.diskFull])
    expect(space.dueMs).toBeGreaterThan(performance.now())
    expect(space.attempt(failing(1), () => false)).toMatchObject({ code: 'ENOSPC' })
    space.reserve(() => false)
    expect([space.isFull, space.isWaiting, space.dueMs]).toEqual([false, false, Infinity])
  })

  test('and fails for another reason fails, the reserve being kept', () => {
    space.reserve(() => false)
    const work = (): void => { throw systemError('EIO', 'write', '/log/x') }
    expect(() => space.attempt(work, () => true)).toThrow(expect.objectContaining({ code: 'EIO' }))
    expect(files()).toEqual([['reserve', RESERVE_BYTES]])
  })
})

test('a disk without room for the reserve counts as full from the beginning, unless something may be freed; a limit that is exceeded is told as such', () => {
  disk.create('/log/other').write([Buffer.alloc(3_700_000)], 0)
  space.look(() => false)
  expect([space.isFull, told()]).toEqual([true, SPACE.diskFull])
  space.reserve(() => false)
  expect([space.isFull, disk.list('/log')]).toEqual([true, ['other']])
  space.look(() => true)
  expect([space.isFull, told()]).toEqual([false, SPACE.ok])
  space.noteOver(true)
  expect(told()).toBe(SPACE.overLimit)
  space.look(() => false)
  expect(told()).toBe(SPACE.diskFull)
})

test('without a reserve, one that other options have left is removed, and the disk is never full for want of it', () => {
  space.reserve(() => false)
  const none = new DiskSpace(ring, disk, '/log', 0)
  expect(files()).toEqual([])
  none.look(() => false)
  expect([none.isFull, told()]).toEqual([false, SPACE.ok])
})
