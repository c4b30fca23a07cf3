/** The tail on a disk in memory that refuses at the moment that is asked for. */

import { beforeEach, describe, expect, test } from 'vitest'
import { createSegmentName } from '../../dist/src/format/segment-name.js'
import { ticksFromMs } from '../../dist/src/format/ticks.js'
import { Tail, type TailSpare, type TailStart } from '../../dist/src/segment/tail.js'
import { MemoryDisk, systemError, type Operation } from '../model/memory-disk.js'

const MS = Date.UTC(2026, 0, 1)
const TICKS = ticksFromMs(MS)
const START: TailStart = {
  directory: '/log', createdMs: MS, firstSequence: 1, previousUuid: new Uint8Array(16), cursors: [], lastTicks: TICKS, preallocateBytes: 8192, maxBytes: 65_536,
}

let disk: MemoryDisk

beforeEach(() => {
  disk = new MemoryDisk()
  disk.makeDirectory('/log')
})

function refuse(code: string, kind: Operation['kind'], from = 1): void {
  let count = 0
  disk.onOperation = (operation) => {
    if (operation.kind === kind && ++count >= from) throw systemError(code, kind, operation.path)
  }
}

function spare(): TailSpare {
  const path = '/log/0123456789abcdef0123456789abcdef.spare'
  const file = disk.create(path)
  file.write([Buffer.alloc(8192)], 0)
  file.sync()
  return { path, file, bytes: 8192 }
}

const sizes = (): number[] => disk.list('/log').map((name) => {
  const file = disk.open(`/log/${name}`, 'read')
  const size = file.size()
  file.close()
  return size
})

describe('a tail that cannot be begun', () => {
  test.each(['ENOSPC', 'EIO'])('leaves no file behind, so that the next attempt is alone: %s', (code) => {
    refuse(code, 'write')
    expect(() => Tail.create(disk, START)).toThrow(expect.objectContaining({ code }))
    expect(disk.list('/log')).toEqual([])
  })

  test.each(['sync', 'syncDirectory'] as const)('nor if it is its %s that fails', (kind) => {
    let count = 0
    disk.onOperation = (operation) => {
      if (operation.kind === kind && ++count === 1) throw systemError('ENOSPC', kind, operation.path)
    }
    expect(() => Tail.create(disk, START)).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
    expect(disk.list('/log')).toEqual([])
  })

  test('in a spare that cannot have its name gives the spare up', () => {
    const given = spare()
    refuse('EIO', 'rename')
    expect(() => Tail.create(disk, START, given)).toThrow(expect.objectContaining({ code: 'EIO' }))
    expect(disk.list('/log')).toEqual([])
  })
})

test('where there is no room for zeros ahead, the tail begins and takes batches without them; another error is told', () => {
  refuse('ENOSPC', 'write', 2)
  const tail = Tail.create(disk, START)
  expect(sizes()).toEqual([tail.endOffset])
  expect(() => tail.mark(0, undefined)).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
  disk.onOperation = undefined
  tail.mark(0, undefined)
  tail.allocateAhead()
  expect(sizes()[0]).toBeGreaterThan(tail.endOffset + START.preallocateBytes / 2)
  tail.abandon()
  refuse('EIO', 'write', 2)
  expect(() => Tail.create(disk, { ...START, createdMs: MS + 1 })).toThrow(expect.objectContaining({ code: 'EIO' }))
  expect(disk.list('/log')).toEqual([tail.name.name])
})

test('a spare is taken over with its size: nothing is filled with zeros again', () => {
  const given = spare()
  const { length } = disk.operations
  const tail = Tail.create(disk, { ...START, createdMs: createSegmentName(MS).createdMs }, given)
  expect([disk.list('/log'), sizes()]).toEqual([[tail.name.name], [8192]])
  expect(disk.operations.slice(length).map(({ kind }) => kind)).toEqual(['rename', 'write', 'sync', 'syncDirectory'])
  tail.abandon()
})
