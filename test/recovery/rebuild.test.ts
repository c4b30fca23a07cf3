/** What a salvage or a repair keeps of a damaged segment, frame by frame, and what it makes of segments that do not fit together. */

import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { encodeRange } from '../../dist/src/format/control-layout.js'
import { encodeSegmentHeader, tailHeader } from '../../dist/src/format/segment-layout.js'
import { createSegmentName, parseSegmentName, spareName } from '../../dist/src/format/segment-name.js'
import { absoluteTicks, relativeTicks, tickBase, ticksFromMs } from '../../dist/src/format/ticks.js'
import { readLog, repairLog, verifyLog } from '../../dist/src/index.js'
import { rebuildSegment } from '../../dist/src/recovery/rebuild.js'
import { recover, type RecoveryReport } from '../../dist/src/recovery/recover.js'
import { readIndex } from '../../dist/src/segment/sealed-index.js'
import { Tail } from '../../dist/src/segment/tail.js'
import { parseDirectory } from '../format/independent-parser.mjs'
import { damage, flip, readSequences, SegmentMaker, upTo, type MadeSegment } from './made-segments.js'
import { dataOf, frameOf, offsetOfEntry, segmentFiles, writeLog } from './written-log.js'

const MS = Date.UTC(2026, 0, 1)
const TICKS = ticksFromMs(MS)

let directory: string
let maker: SegmentMaker

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-rebuild-'))
  maker = new SegmentMaker(directory)
})

afterEach(() => rmSync(directory, { recursive: true }))

/** A frame that tells of sequences without entries. */
function rangeFrame(kind: 'aborted' | 'gap', first: number, last: number): Uint8Array {
  return encodeRange(kind, first, last, relativeTicks(TICKS, tickBase(TICKS)), tickBase(TICKS))
}

/** A sealed segment of one batch, entries 1 to `last`, made of these frames. */
function writeFrames(frames: readonly Uint8Array[], last: number): string {
  const tail = Tail.create(nodeDisk, {
    directory, createdMs: MS, firstSequence: 1, previousUuid: new Uint8Array(16), cursors: [], lastTicks: TICKS, preallocateBytes: 0, maxBytes: 1 << 20,
  })
  const entryCount = frames.filter((frame) => new DataView(frame.buffer, frame.byteOffset).getBigUint64(8, true) !== 0n).length
  tail.write(frames, {
    bytes: frames.reduce((sum, frame) => sum + frame.length, 0), firstSequence: 1, lastSequence: last, entryCount, firstTicks: TICKS, lastTicks: TICKS,
    marks: [{ sequence: 1, ticks: TICKS, batchOffset: 0 }],
  }, 0, undefined)
  tail.seal()
  return join(directory, tail.name.name)
}

const entry = (sequence: number, data: string | Uint8Array = `entry ${sequence}`): Uint8Array => frameOf(sequence, Buffer.from(data), MS)

/** What reading gives: sequence and text. */
async function contents(): Promise<[number, string][]> {
  const seen: [number, string][] = []
  for await (const { sequence, data } of readLog(directory)) seen.push([sequence, data.toString()])
  return seen
}

/** How often these letters stand in a file. */
const count = (path: string, letters: string): number => readFileSync(path, 'latin1').split(letters).length - 1

/** Repairs; the log is sound then. Returns the sequences that were given up, as pairs. */
async function repairedLoss(): Promise<(readonly [number, number])[]> {
  expect((await verifyLog(directory)).status).toBe('corrupt')
  const { after, lost } = await repairLog(directory)
  expect(after).toMatchObject({ status: 'sound', damages: [], repairs: [] })
  return lost.map(({ firstSequence, lastSequence }) => [firstSequence, lastSequence] as const)
}

/** Opens with salvage what is refused without; the log is sound then. */
async function salvaged(): Promise<RecoveryReport> {
  expect(() => recover(nodeDisk, directory)).toThrow(expect.objectContaining({ code: 'ERR_WAL_CORRUPT' }))
  const { report } = recover(nodeDisk, directory, true)
  expect(await verifyLog(directory)).toMatchObject({ status: 'sound', lastSequence: report.lastSequence })
  return report
}

describe('a segment that is rebuilt', () => {
  test('loses one damaged entry of many, is written in batches, and is found through its index', async () => {
    writeLog(directory, { segments: [[60, 60]], dataBytes: 10_000 })
    const [file] = segmentFiles(directory)
    flip(file!, offsetOfEntry(file!, 50) + 5000)
    const damaged = readFileSync(file!)
    expect((await verifyLog(directory)).status).toBe('corrupt')
    const { after, lost, copies } = await repairLog(directory)
    expect(lost).toMatchObject([{ firstSequence: 50, lastSequence: 50, file }])
    expect(readFileSync(copies[0]!).equals(damaged)).toBe(true)
    expect(after).toMatchObject({ status: 'sound', entries: 119, lastSequence: 120 })
    // A trailer each 256 KiB, beside the first one and that for the cursors; index entries at least 64 KiB apart.
    expect(count(file!, 'CMT!')).toBe(7)
    const rebuilt = nodeDisk.open(file!, 'read')
    const { entries } = readIndex(rebuilt, rebuilt.size(), parseSegmentName(basename(file!))!.uuid)!
    rebuilt.close()
    expect([entries.length, entries[0]!.sequence, entries.every(({ offset }, at) => at === 0 || offset - entries[at - 1]!.offset >= 65_536)]).toEqual([14, 1, true])
    const seen: number[] = []
    for await (const { sequence, data } of readLog(directory, { fromSequence: 49 })) {
      expect(dataOf(sequence, 10_000).equals(data)).toBe(true)
      seen.push(sequence)
    }
    expect(seen).toEqual([49, ...upTo(120).slice(50)])
  })

  test('ends a batch with the entry that fills it, and indexes the one that lies just so far behind the last', async () => {
    writeLog(directory, { segments: [[9]], dataBytes: 65_536 - 28 })
    const [file] = segmentFiles(directory)
    flip(file!, offsetOfEntry(file!, 9) + 100)
    expect(await repairedLoss()).toEqual([[9, 9]])
    const parsed = parseDirectory(directory)
    expect([...parsed.frames()].map(({ kind }) => kind[0]).join('')).toBe('teeeeteeeetgtt')
    expect(parsed.segments[0]!.index.map(({ sequence }) => sequence)).toEqual(upTo(8))
  })

  test('begins with the time of the one before it, also where its own first entry is lost', async () => {
    maker.make({ batches: [2], seal: true })
    const { path } = maker.make({ batches: [3], seal: true })
    flip(path, offsetOfEntry(path, 3) + 30)
    expect(await repairedLoss()).toEqual([[3, 3]])
    expect([...parseDirectory(directory).entries()].map(({ sequence }) => sequence)).toEqual([1, 2, 4, 5])
  })

  test('keeps aborted sequences as what they are, and those that were given up before are not given up again', async () => {
    const path = writeFrames([entry(1), entry(2), rangeFrame('aborted', 3, 4), entry(5), entry(6)], 6)
    expect((await verifyLog(directory)).status).toBe('sound')
    flip(path, offsetOfEntry(path, 2) + 25)
    expect(await verifyLog(directory)).toMatchObject({ damages: [{ firstSequence: 2, lastSequence: 2 }] })
    expect(await repairedLoss()).toEqual([[2, 2]])
    expect([count(path, 'ABT!'), count(path, 'GAP!')]).toEqual([1, 1])
    flip(path, offsetOfEntry(path, 1) + 25)
    expect(await repairedLoss()).toEqual([[1, 1]])
    expect(nodeDisk.list(join(directory, 'salvage')).sort()).toEqual([1, 2].map((number) => `${basename(path)}.${number}`))
    expect([count(path, 'ABT!'), count(path, 'GAP!')]).toEqual([1, 2])
    expect(await contents()).toEqual([[5, 'entry 5'], [6, 'entry 6']])
  })

  test('is searched to its end: an entry of more than a mebibyte, of which nothing tells how long it was', async () => {
    writeLog(directory, { segments: [[3]], dataBytes: 1_500_000 })
    const [file] = segmentFiles(directory)
    damage(file!, (bytes) => void bytes.fill(7, offsetOfEntry(file!, 2), offsetOfEntry(file!, 2) + 24))
    expect(await repairedLoss()).toEqual([[2, 2]])
    expect((await contents()).map(([sequence, text]) => [sequence, text.length])).toEqual([[1, 1_500_000], [3, 1_500_000]])
  })

  test('keeps nothing of two damaged entries beside each other, and all behind them', async () => {
    writeLog(directory, { segments: [[9]] })
    const [file] = segmentFiles(directory)
    for (const sequence of [4, 5]) flip(file!, offsetOfEntry(file!, sequence) + 30)
    const lost = await repairedLoss()
    expect(lost).toEqual([[4, 5]])
    expect((await contents()).map(([sequence]) => sequence)).toEqual([1, 2, 3, 6, 7, 8, 9])
  })

  test('takes no frame for a gap that stands within an entry, whatever that says', async () => {
    const planted = Buffer.concat([rangeFrame('gap', 3, 99), rangeFrame('gap', 1, 2), rangeFrame('aborted', 0, 0), rangeFrame('gap', 3, 4)])
    const path = writeFrames([entry(1), entry(2, Buffer.concat([Buffer.from('holds '), planted])), entry(3), entry(4), entry(5)], 5)
    damage(path, (bytes) => void bytes.writeInt32LE(2, offsetOfEntry(path, 2) + 4))
    expect(await repairedLoss()).toEqual([[2, 2]])
    expect(await contents()).toEqual([[1, 'entry 1'], [3, 'entry 3'], [4, 'entry 4'], [5, 'entry 5']])
  })

  test('that was cut short within the head of a frame keeps what is before it', async () => {
    writeLog(directory, { segments: [[10, 10]] })
    const [file] = segmentFiles(directory)
    const offset = offsetOfEntry(file!, 15)
    chmodSync(file!, 0o600)
    truncateSync(file!, offset + 10)
    expect((await salvaged()).lost).toMatchObject([{ firstSequence: 15, lastSequence: 20 }])
    expect((await contents()).map(([sequence]) => sequence)).toEqual(upTo(14))
  })

  test('that was cut short between two frames: behind damage that hides its own length nothing is believed without a trailer', async () => {
    writeLog(directory, { segments: [[10, 10]] })
    const [file] = segmentFiles(directory)
    const [damaged, end] = [12, 15].map((sequence) => offsetOfEntry(file!, sequence)) as [number, number]
    damage(file!, (bytes) => {
      bytes.writeInt32LE(3, damaged + 4)
      return bytes.subarray(0, end)
    })
    expect((await salvaged()).lost).toMatchObject([{ firstSequence: 12, lastSequence: 20 }])
    expect((await contents()).map(([sequence]) => sequence)).toEqual(upTo(11))
  })

  test('gives up what is older than all that comes before it: times never fall', () => {
    const { path } = maker.make({ batches: [5], seal: true })
    const name = parseSegmentName(basename(path))!
    const lastTicks = absoluteTicks(3, 148_849_000)
    const plan = { name, first: 1, last: 5, previousUuid: new Uint8Array(16), lastTicks, cursors: [], exists: true }
    expect(rebuildSegment(nodeDisk, directory, plan).lost).toEqual([{ first: 1, last: 2 }])
    expect(recover(nodeDisk, directory)).toMatchObject({ nextSequence: 6, report: { entries: 3 } })
  })

  test('whose own cursors cannot be read gets those of later segments', async () => {
    const cursors = (sequence: number): { name: string; sequence: number; epoch: number }[] => [{ name: 'uploader', sequence, epoch: 0 }]
    const first = maker.make({ batches: [2, 2], seal: true, cursors: cursors(2) })
    maker.make({ batches: [2], seal: true, cursors: cursors(4) })
    flip(first.path, first.ends[2]! - 10)
    expect(await repairedLoss()).toEqual([])
    expect(recover(nodeDisk, directory).cursors).toEqual(cursors(4))
    expect(await readSequences(directory)).toEqual(upTo(6))
  })
})

describe('a salvage', () => {
  test('keeps the cursors that stand in a damaged segment alone', async () => {
    const cursors = [{ name: 'uploader', sequence: 2, epoch: 0 }]
    const { path } = maker.make({ batches: [2, 2], seal: true, cursors })
    flip(path, readFileSync(path).length - 30)
    expect(await salvaged()).toMatchObject({ lost: [], cleanClose: false })
    expect(recover(nodeDisk, directory)).toMatchObject({ cursors, nextSequence: 5 })
  })

  test('mends any number of segments, each for itself, and also such as hold one entry', async () => {
    const paths = Array.from({ length: 12 }, () => maker.make({ batches: [1], seal: true }).path)
    for (const path of paths) flip(path, readFileSync(path).length - 5)
    const { segments, entries, lost, salvaged: copies } = await salvaged()
    expect([segments, entries, lost, copies.map((copy) => basename(copy))]).toEqual([12, 12, [], paths.map((path) => `${basename(path)}.1`)])
    expect([...parseDirectory(directory).entries()].map(({ sequence }) => sequence)).toEqual(upTo(12))
  })

  test('takes no notice of what an interrupted one has left', async () => {
    const { path } = maker.make({ batches: [2, 2], seal: true })
    flip(path, readFileSync(path).length - 30)
    writeFileSync(join(directory, spareName(parseSegmentName(basename(path))!)), 'half a segment')
    expect((await salvaged()).lost).toEqual([])
    expect(nodeDisk.list(directory).sort()).toEqual([basename(path), 'salvage'])
  })

  test('seals a sound segment that was left open, and mends the one behind it', async () => {
    const first = maker.make({ batches: [2, 2] })
    const second = maker.make({ batches: [2, 2], settle: true })
    flip(second.path, offsetOfEntry(second.path, 7) + 30)
    expect(await salvaged()).toMatchObject({ segments: 2, entries: 7, lost: [{ firstSequence: 7, lastSequence: 7, file: second.path }] })
    expect(readFileSync(first.path)[56]).toBe(1)
    expect(await readSequences(directory)).toEqual([1, 2, 3, 4, 5, 6, 8])
  })

  test('without a first trailer goes by the header: what was removed before it by right is not lost', async () => {
    const removed = maker.make({ batches: [2], seal: true })
    const { path } = maker.make({ batches: [2, 2], settle: true })
    unlinkSync(removed.path)
    flip(path, 140)
    expect((await salvaged()).lost).toEqual([])
    expect(await readSequences(directory)).toEqual([3, 4, 5, 6])
  })

  test('with neither header nor first trailer begins with 1', async () => {
    const { path } = maker.make({ batches: [2, 2], settle: true })
    for (const offset of [20, 140]) flip(path, offset)
    expect((await salvaged()).lost).toEqual([])
    expect(await readSequences(directory)).toEqual(upTo(4))
  })

  test('goes by the trailers of an open segment, whatever its header says that it begins with', async () => {
    maker.make({ batches: [2], seal: true })
    const { path } = maker.make({ batches: [2, 2], settle: true })
    flip(path, offsetOfEntry(path, 5) + 30)
    damage(path, (bytes) => void bytes.set(encodeSegmentHeader(tailHeader(100))))
    expect(await salvaged()).toMatchObject({ entries: 5, lastSequence: 6, lost: [{ firstSequence: 5, lastSequence: 5 }] })
    expect(await readSequences(directory)).toEqual([1, 2, 3, 4, 6])
  })

  test.each<[string, (own: Uint8Array) => Uint8Array]>([
    ['no segment', () => new Uint8Array(16)],
    ['one that would be newer than itself', () => createSegmentName(4_000_000_000_000).uuid],
    ['itself', (own) => own],
  ])('mends the link of a segment that names %s as the one before it, and makes none anew', async (_what, named) => {
    const [, second] = Array.from({ length: 3 }, () => maker.make({ batches: [2], seal: true }))
    damage(second!.path, (bytes) => {
      // In its first trailer, which ends with its checksum.
      bytes.set(named(second!.uuid), 220)
      bytes.writeUInt32LE(crc32(bytes.subarray(128, 240)), 240)
    })
    expect(await salvaged()).toMatchObject({ segments: 3, entries: 6, lost: [] })
    expect(await readSequences(directory)).toEqual(upTo(6))
  })

  test.each([['the newest', 2, false], ['followed by an open one', 3, false], ['followed by a sealed one', 3, true]])(
    'takes out a segment whose entries another has: %s', async (_what, segments, isSealed) => {
      maker.make({ batches: [2], seal: true })
      const second = maker.make({ batches: [3], seal: true })
      const twin = join(directory, createSegmentName(1_750_000_000_000).name)
      if (segments === 3) maker.make({ batches: [2], seal: isSealed, previous: second })
      copyFileSync(second.path, twin)
      const { salvaged: copies, lost } = await salvaged()
      expect([copies.map((copy) => basename(copy)), lost]).toEqual([[`${basename(twin)}.1`], []])
      expect(nodeDisk.list(directory)).not.toContain(basename(twin))
      expect(await readSequences(directory)).toEqual(upTo(segments === 3 ? 7 : 5))
    })

  test('keeps a segment whose entries another has, empty, if the next one names it', async () => {
    const first = maker.make({ batches: [2], seal: true })
    maker.make({ batches: [3], seal: true })
    const twin = maker.make({ batches: [3], seal: true, previous: first })
    maker.make({ batches: [2], seal: true, previous: twin })
    const { segments, entries, lost } = await salvaged()
    expect([segments, entries, lost]).toEqual([4, 7, []])
    expect(await readSequences(directory)).toEqual(upTo(7))
  })

  test('makes no segment anew that is there: one names the last but one before it, an empty one is between', async () => {
    const first = maker.make({ batches: [2], seal: true })
    maker.make({ batches: [], seal: true })
    maker.make({ batches: [2], seal: true, previous: first })
    expect(await salvaged()).toMatchObject({ segments: 3, entries: 4, lost: [] })
    expect(await readSequences(directory)).toEqual(upTo(4))
  })

  test('makes no segment anew that could not stand there: one names an older one than is before it, and names alone tell the order', async () => {
    const first = maker.make({ batches: [2], seal: true })
    const gone = maker.make({ batches: [1], seal: true })
    maker.make({ batches: [2], seal: true, previous: first })
    maker.make({ batches: [2], seal: true, previous: { ...gone, lastSequence: 4 } })
    const last = maker.make({ batches: [1] })
    unlinkSync(gone.path)
    damage(last.path, (bytes) => void bytes.fill(0x55))
    expect(await salvaged()).toMatchObject({ segments: 3, entries: 6, lost: [] })
    expect(await readSequences(directory)).toEqual(upTo(6))
  })

  test.each([[1, [3, 5]], [2, [3, 9]]] as const)('makes a missing segment anew, as the one that it was: %s of them', async (missing, [firstSequence, lastSequence]) => {
    const [, second, third, fourth] = [2, 3, 4, 2].map((count) => maker.make({ batches: [count], seal: true })) as [unknown, MadeSegment, MadeSegment, MadeSegment]
    const gone = missing === 1 ? [second] : [second, third]
    const kept = readFileSync(fourth.path)
    for (const { path } of gone) unlinkSync(path)
    const report = await salvaged()
    expect(report).toMatchObject({ entries: 11 - (lastSequence - firstSequence + 1), lastSequence: 11, salvaged: [], cleanClose: false })
    // Of two in a row the first is known only by the other one, which is gone as well.
    expect(report.lost).toMatchObject([{ firstSequence, lastSequence, file: gone.at(-1)!.path, reason: expect.stringContaining('is missing') }])
    expect(readFileSync(fourth.path).equals(kept)).toBe(true)
    expect(await readSequences(directory)).toEqual(upTo(11).filter((sequence) => sequence < firstSequence || sequence > lastSequence))
  })

  test('makes a missing segment anew that had no entry, and leaves the one behind it as it is', async () => {
    maker.make({ batches: [2], seal: true })
    const empty = maker.make({ batches: [], seal: true })
    const next = maker.make({ batches: [2], seal: true })
    const kept = readFileSync(next.path)
    unlinkSync(empty.path)
    expect(await salvaged()).toMatchObject({ segments: 3, entries: 4, lost: [], salvaged: [] })
    expect(readFileSync(next.path).equals(kept)).toBe(true)
    expect(nodeDisk.list(directory)).toContain(basename(empty.path))
    // Its first trailer, and none for cursors that nobody has found.
    expect(count(empty.path, 'CMT!')).toBe(1)
  })

  test.each([['sealed', { batches: [5], seal: true }], ['open', { batches: [5], settle: true }]])('keeps of the newest segment what the one before it does not have: %s', async (_what, plan) => {
    const first = maker.make({ batches: [5], seal: true })
    maker.make({ ...plan, previous: { ...first, lastSequence: 3 } })
    expect(await salvaged()).toMatchObject({ segments: 2, entries: 8, lastSequence: 8, lost: [] })
    expect(await readSequences(directory)).toEqual(upTo(8))
  })

  test('goes no further in a damaged segment than to where the next one that tells it begins', async () => {
    const [, second, third] = [2, 3, 4, 2].map((count) => maker.make({ batches: [count], seal: true })) as [unknown, MadeSegment, MadeSegment]
    damage(second.path, (bytes) => bytes.subarray(0, bytes.length - 30))
    damage(third.path, (bytes) => Buffer.alloc(bytes.length, 'garbage '))
    expect((await salvaged()).lost).toMatchObject([{ firstSequence: 6, lastSequence: 9, file: second.path }])
    expect(await readSequences(directory)).toEqual([1, 2, 3, 4, 5, 10, 11])
  })

  test('keeps what was before a damaged segment and behind it', async () => {
    const [, second] = [2, 3, 2].map((count) => maker.make({ batches: [count], seal: true })) as [unknown, MadeSegment]
    damage(second.path, (bytes) => bytes.subarray(0, offsetOfEntry(second.path, 5)))
    const { lost, salvaged: copies } = await salvaged()
    expect([lost.map(({ firstSequence, lastSequence }) => [firstSequence, lastSequence]), copies.map((copy) => basename(copy))]).toEqual([[[5, 5]], [`${basename(second.path)}.1`]])
    expect(await readSequences(directory)).toEqual([1, 2, 3, 4, 6, 7])
  })
})

test('a repair changes nothing in a sound log, though its tail is open, and opening would seal it', async () => {
  const { path } = maker.make({ batches: [2, 2], preallocateBytes: 4096 })
  const before = readFileSync(path)
  const report = await repairLog(directory)
  expect(report).toMatchObject({ before: { status: 'sound', entries: 4 }, lost: [], cuts: [], copies: [] })
  expect(report.after).toBe(report.before)
  expect(readFileSync(path).equals(before)).toBe(true)
})
