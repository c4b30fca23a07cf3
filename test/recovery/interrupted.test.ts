/** A crash in the middle of a roll, of a seal, or of recovery itself: the next opening finishes what was begun, with the same result. */

import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Disk } from '../../dist/src/disk/disk.js'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { readLog } from '../../dist/src/index.js'
import { recover } from '../../dist/src/recovery/recover.js'
import { parseDirectory } from '../format/independent-parser.mjs'
import { MemoryDisk, PowerCut } from '../model/memory-disk.js'
import { runSeed } from '../model/random.js'
import { damage, imageOf, readSequences, SegmentMaker, upTo } from './made-segments.js'

let directory: string
let maker: SegmentMaker

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-interrupted-'))
  maker = new SegmentMaker(directory)
})

afterEach(() => rmSync(directory, { recursive: true }))

/** The directory's files on a disk in memory, all of it durable. */
function inMemory(): MemoryDisk {
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  for (const [name, hex] of Object.entries(imageOf(directory))) {
    const file = disk.create(`/log/${name}`)
    file.write([Buffer.from(hex, 'hex')], 0)
    file.sync()
    file.close()
  }
  disk.syncDirectory('/log')
  return disk
}

/** What recovery leaves: next sequence, entries, sealed files with their bytes. */
function resultOf(disk: MemoryDisk): unknown {
  const { nextSequence, cursors } = recover(disk, '/log')
  const files = disk.list('/log').sort().map((name) => {
    const file = disk.open(`/log/${name}`, 'read')
    const bytes = Buffer.alloc(file.size())
    file.read(bytes, 0)
    file.close()
    return [name, bytes.toString('hex')]
  })
  return { nextSequence, cursors, files }
}

/** Directories that recovery has to change. */
const UNFINISHED: readonly (readonly [string, (maker: SegmentMaker) => void])[] = [
  ['a tail with zeros behind', (made) => void made.make({ batches: [3, 2], preallocateBytes: 4096 })],
  ['a torn tail behind a sealed segment', (made) => {
    made.make({ batches: [2], seal: true })
    const { path, ends } = made.make({ batches: [3, 2] })
    truncateSync(path, ends[2]! - 10)
  }],
  ['a roll whose new segment has no first trailer', (made) => {
    made.make({ batches: [2], seal: true })
    truncateSync(made.make({ batches: [] }).path, 150)
  }],
  ['a seal that was interrupted, and a new segment', (made) => {
    unseal(made.make({ batches: [2, 2], seal: true }).path)
    made.make({ batches: [1] })
  }],
]

/** The state between the index and the final header. */
function unseal(path: string): void {
  const { length } = readFileSync(path)
  damage(path, (bytes) => {
    const tail = readFileSync(new SegmentMaker(mkdtempSync(join(directory, 'header-'))).make({ batches: [] }).path).subarray(0, 128)
    tail.copy(bytes)
    return bytes.subarray(0, length)
  })
  for (const name of nodeDisk.list(directory).filter((each) => each.startsWith('header-'))) rmSync(join(directory, name), { recursive: true })
}

test('every state between the steps of a seal is finished, with nothing lost and nothing counted as cut', async () => {
  const { path } = maker.make({ batches: [2, 2], seal: true })
  const whole = readFileSync(path)
  unseal(path)
  const { report } = recover(nodeDisk, directory)
  expect(report).toMatchObject({ entries: 4, lastSequence: 4, cuts: [] })
  expect(readFileSync(path).equals(whole)).toBe(true)
})

test('a seal whose index is only half there is begun anew', async () => {
  const { path, ends } = maker.make({ batches: [2, 2], seal: true })
  const whole = readFileSync(path)
  for (let size = ends.at(-1)!; size < whole.length; size += 9) {
    damage(path, () => whole)
    unseal(path)
    truncateSync(path, size)
    expect(recover(nodeDisk, directory).nextSequence).toBe(5)
    expect(readFileSync(path).equals(whole), `${size} bytes`).toBe(true)
  }
})

test('a crash in the middle of a roll heals: sealed or not, with the new segment empty, torn or begun', async () => {
  for (const isSealed of [true, false]) {
    for (const length of [0, 60, 128, 200, undefined]) {
      const first = maker.make({ batches: [2, 2], seal: isSealed })
      const second = maker.make({ batches: [] })
      if (length !== undefined) truncateSync(second.path, length)
      expect(recover(nodeDisk, directory).nextSequence).toBe(5)
      expect(await readSequences(directory)).toEqual(upTo(4))
      for (const _ of parseDirectory(directory).frames());
      for (const { path } of [first, second]) rmSync(path, { force: true })
      maker.made.length = 0
    }
  }
})

test('recovery that is cut off at any operation, power lost, gives in the end what an undisturbed one gives', { timeout: 120_000 }, () => {
  const seed = runSeed()
  console.log(`interrupted SEED=${seed}`)
  for (const [what, make] of UNFINISHED) {
    const inside = mkdtempSync(join(directory, 'case-'))
    make((maker = new SegmentMaker(inside)))
    const outer = directory
    directory = inside
    const start = inMemory()
    directory = outer
    rmSync(inside, { recursive: true })
    const undisturbed = start.clone()
    const wanted = resultOf(undisturbed)
    const steps = undisturbed.operations.length
    expect(steps, what).toBeGreaterThan(0)
    for (let step = 0; step < steps; step++) {
      const disk = start.clone()
      let left = step
      disk.onOperation = () => {
        if (left-- === 0) throw new PowerCut()
      }
      expect(() => recover(disk, '/log'), `${what}, step ${step}`).toThrow(PowerCut)
      let count = 0
      for (const state of disk.crashStates({ maxStates: 60, seed })) {
        expect(resultOf(state), `${what}, cut off at step ${step}, state ${count++}`).toEqual(wanted)
      }
      expect(count).toBeGreaterThan(0)
    }
  }
})

test('a tail that somebody cuts short while it is copied ends recovery, which would else wait for the rest for ever', () => {
  const { path, ends } = maker.make({ batches: [2, 2] })
  let opens = 0
  const disk: Disk = { ...nodeDisk, open: (file, access) => {
    // The first time it is scanned.
    if (++opens === 2) truncateSync(path, 200)
    return nodeDisk.open(file, access)
  } }
  expect(() => recover(disk, directory)).toThrow(`${path} still reaches to byte ${ends[2]!}`)
})

test('a recovered directory reads the same for the library and the independent parser', async () => {
  maker.make({ batches: [4], seal: true })
  const { path, ends } = maker.make({ batches: [3, 2] })
  truncateSync(path, ends[2]! - 1)
  recover(nodeDisk, directory)
  const entries = [...parseDirectory(directory).entries()]
  let at = 0
  for await (const entry of readLog(directory)) {
    expect([entry.sequence, entry.ticks, entry.text()]).toEqual([entries[at]!.sequence, entries[at]!.ticks, entries[at]!.data.toString()])
    at++
  }
  expect(at).toBe(7)
  expect(basename(path)).toMatch(/\.wal$/)
})
