/** Recovery on a disk that has no room, at any of its writes: either it is done, or it is left to be done again, and no entry is lost. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { recover } from '../../dist/src/recovery/recover.js'
import { MemoryDisk, systemError } from '../model/memory-disk.js'
import { SegmentMaker } from './made-segments.js'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-no-room-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

/** A log with a batch that is written and not marked durable, in memory. */
function unmarked(): MemoryDisk {
  const maker = new SegmentMaker(directory)
  maker.make({ batches: [2], seal: true })
  maker.make({ batches: [3, 2], preallocateBytes: 4096 })
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
