/** What is taken down of each kind of segment before it is judged: what is believed, what is read, and that no file stays open. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Disk, DiskFile } from '../../dist/src/disk/disk.js'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { decodeSegmentHeader, encodeSegmentHeader, tailHeader, type SegmentHeader } from '../../dist/src/format/segment-layout.js'
import { createSegmentName, parseSegmentName } from '../../dist/src/format/segment-name.js'
import { verifyLog } from '../../dist/src/index.js'
import { isTailStale, readFacts, type SegmentFacts } from '../../dist/src/recovery/facts.js'
import { recover } from '../../dist/src/recovery/recover.js'
import { verifyDirectory } from '../../dist/src/recovery/verify.js'
import { damage, flip, frameOf, SegmentMaker, type MadeSegment } from './made-segments.js'

let directory: string
let maker: SegmentMaker
let opened: number

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-facts-'))
  maker = new SegmentMaker(directory)
  opened = 0
})

afterEach(() => {
  expect(opened, 'files left open').toBe(0)
  rmSync(directory, { recursive: true })
})

/** Counts what is open. */
const counting: Disk = { ...nodeDisk, open: (path, access) => counted(nodeDisk.open(path, access)), create: (path) => counted(nodeDisk.create(path)) }
/** The same, and opens nothing for writing: as root nothing else would tell. */
const reading: Disk = { ...counting, open: (path, access) => {
  expect(access).toBe('read')
  return counting.open(path, access)
} }

function counted(file: DiskFile): DiskFile {
  opened++
  return new Proxy(file, { get: (target, name) => {
    if (name === 'path') return target.path
    return name !== 'close' ? Reflect.get(target, name).bind(target) : () => {
      opened--
      target.close()
    }
  } })
}

const factsOf = (path: string): SegmentFacts => readFacts(reading, directory, parseSegmentName(basename(path))!)

/** Puts a header there that differs from what it says. */
function rewriteHeader(path: string, changes: Partial<SegmentHeader>): void {
  damage(path, (bytes) => void bytes.set(encodeSegmentHeader({ ...(decodeSegmentHeader(bytes.subarray(0, 128)) as SegmentHeader), ...changes })))
}

/** Entries 4 to 7, sealed, behind a segment of three. */
function makeSealed(): MadeSegment {
  maker.make({ batches: [3], seal: true })
  return maker.make({ batches: [2, 2], seal: true })
}

describe('a sealed segment', () => {
  test('is not scanned: its header, its index and two of its trailers tell', () => {
    const { path } = makeSealed()
    expect(factsOf(path)).toMatchObject({
      header: { sealed: true, firstSequence: 4, lastSequence: 7 }, staleHeader: undefined, scan: undefined, foreign: undefined,
      sealed: { firstSequence: 4, previousUuid: Buffer.from(maker.made[0]!.uuid), cursors: [], index: { cursorTrailerOffset: 128 } },
    })
  })

  test('whose header another segment has left is scanned as an open one, by its own first trailer', () => {
    const { path } = makeSealed()
    rewriteHeader(path, { firstSequence: 1, lastSequence: 4 })
    const facts = factsOf(path)
    expect(facts).toMatchObject({ header: 'stale', staleHeader: { firstSequence: 1 }, sealed: undefined, scan: { firstSequence: 4, lastSequence: 7 } })
  })

  test('without a first trailer keeps its header where its index is its own, or the size fits; else nothing speaks for that', () => {
    const { path } = makeSealed()
    flip(path, 140)
    expect(factsOf(path)).toMatchObject({ header: { sealed: true }, scan: undefined, sealed: { firstSequence: undefined, previousUuid: undefined } })
    rewriteHeader(path, { bytes: 4711 })
    expect(factsOf(path)).toMatchObject({ header: { sealed: true, bytes: 4711 }, staleHeader: undefined, scan: undefined })
    flip(path, readFileSync(path).length - 1)
    expect(factsOf(path)).toMatchObject({ header: 'stale', staleHeader: { bytes: 4711, lastSequence: 7 }, sealed: undefined, scan: { lastSequence: undefined } })
  })
})

describe('a segment from elsewhere', () => {
  /** Frames with these sequences behind a header that says that they begin with 1. */
  function write(sequences: readonly number[], header: SegmentHeader = tailHeader(1)): string {
    const path = join(directory, createSegmentName(1_600_000_000_000).name)
    writeFileSync(path, Buffer.concat([encodeSegmentHeader(header), ...sequences.map(frameOf)]))
    return path
  }

  const frameBytes = frameOf(1).length

  test('that is open is read to its end, frame by frame', () => {
    const facts = factsOf(write([1, 2, 3]))
    expect(facts).toMatchObject({ scan: undefined, sealed: undefined, header: { firstSequence: 1 }, foreign: { lastSequence: 3, entryCount: 3, faultOffset: undefined } })
    expect(facts.foreign!.lastTicks - facts.foreign!.firstTicks).toBe(2n)
  })

  test('ends before what is not its next frame', () => {
    expect(factsOf(write([1, 2, 4])).foreign).toMatchObject({ lastSequence: 2, entryCount: 2, faultOffset: 128 + 2 * frameBytes })
    const path = write([1, 2, 3])
    flip(path, 128 + frameBytes + 30)
    expect(factsOf(path).foreign).toMatchObject({ lastSequence: 1, entryCount: 1, faultOffset: 128 + frameBytes })
  })

  test('that begins later counts its own entries', () => {
    const path = join(directory, createSegmentName(1_600_000_000_000).name)
    writeFileSync(path, Buffer.concat([encodeSegmentHeader(tailHeader(5)), ...[5, 6].map(frameOf)]))
    expect(factsOf(path).foreign).toMatchObject({ lastSequence: 6, entryCount: 2 })
  })

  test('that is sealed is what its header says', () => {
    const header = { ...tailHeader(1), lastSequence: 3, entryCount: 3, firstTicks: 5n, lastTicks: 9n, bytes: 128 + 3 * frameBytes, sealed: true }
    expect(factsOf(write([1, 2, 3], header))).toMatchObject({ scan: undefined, sealed: undefined, foreign: { lastSequence: 3, entryCount: 3, firstTicks: 5n, lastTicks: 9n, faultOffset: undefined } })
  })
})

test('the check of a whole directory reads, and closes what it has read: of a segment whose seal was interrupted the index too', async () => {
  const { path } = makeSealed()
  rewriteHeader(path, tailHeader(4))
  const progress: number[] = []
  const report = await verifyDirectory(reading, directory, { onProgress: (doneBytes) => progress.push(doneBytes) })
  expect(report).toMatchObject({ status: 'sound', entries: 7, segments: [{ state: 'sealed' }, { state: 'open' }] })
  expect(progress).toEqual([report.bytes])
})

test('recovery leaves no file open: what it seals, what it copies for that, what a salvage keeps and rebuilds', () => {
  const first = maker.make({ batches: [2], seal: true })
  maker.make({ batches: [2, 2] })
  flip(first.path, readFileSync(first.path).length - 5)
  expect(recover(counting, directory, true)).toMatchObject({ nextSequence: 7, report: { segments: 2, entries: 6, lost: [], salvaged: [expect.any(String)] } })
})

test('a salvage that fails leaves no file open, wherever it does', () => {
  const { path } = maker.make({ batches: [2, 2], seal: true })
  flip(path, readFileSync(path).length - 5)
  const image = readFileSync(path)
  const isDone = (upTo: number): boolean => {
    let left = upTo
    const fail = <Result>(act: () => Result): Result => {
      if (left-- > 0) return act()
      throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO', syscall: 'write' })
    }
    const failing = (file: DiskFile): DiskFile => new Proxy(file, {
      get: (target, name) => (name === 'write' || name === 'sync' ? (...args: never[]) => fail(() => (target[name] as (...args: never[]) => void)(...args)) : Reflect.get(target, name)),
    })
    const disk: Disk = { ...counting, open: (file, access) => failing(counting.open(file, access)), create: (file) => fail(() => failing(counting.create(file))) }
    try {
      recover(disk, directory, true)
      return true
    } catch (error) {
      expect(error).toMatchObject({ code: 'EIO' })
      expect(opened, `after ${upTo}`).toBe(0)
      writeFileSync(path, image)
      return false
    }
  }
  let failures = 0
  while (!isDone(failures)) failures++
  expect(failures).toBeGreaterThan(8)
})

test('a batch that was begun in a file of another segment is no leftover of that one, though its trailer never came', async () => {
  const old = maker.make({ batches: [40], seal: true })
  const { path, ends, firstSequence } = maker.make({ batches: [2, 2] })
  damage(path, (bytes) => {
    bytes.set(encodeSegmentHeader({ ...tailHeader(firstSequence), recycled: true }))
    return Buffer.concat([bytes.subarray(0, ends[1]! + frameOf(43).length), readFileSync(old.path).subarray(ends[1]! + frameOf(43).length)])
  })
  expect(isTailStale(factsOf(path))).toBe(false)
  expect(await verifyLog(directory)).toMatchObject({ status: 'torn', repairs: [{ kind: 'cut', offset: ends[1], mayHaveBeenAcknowledged: true }] })
  const { cuts } = recover(nodeDisk, directory).report
  expect(cuts).toMatchObject([{ offset: ends[1], mayHaveBeenAcknowledged: true }])
  expect(cuts[0]!.reason).not.toBe('stale')
})
