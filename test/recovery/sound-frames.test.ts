/** Where sound frames go on behind damage, and what is taken from there: frame by frame, in files made of nothing else. */

import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import type { DiskFile } from '../../dist/src/disk/disk.js'
import { encodeControlFrame, encodeRange } from '../../dist/src/format/control-layout.js'
import { FRAME_DATA, FRAME_LENGTH, FRAME_OVERHEAD, FRAME_SEQUENCE } from '../../dist/src/format/frame-layout.js'
import { SEGMENT_HEADER_BYTES } from '../../dist/src/format/segment-layout.js'
import { relativeTicks, tickBase, ticksFromMs } from '../../dist/src/format/ticks.js'
import { encodeTrailer, type Cursor } from '../../dist/src/format/trailer-layout.js'
import { soundAfter, walkSound, type WalkedSegment } from '../../dist/src/recovery/sound-frames.js'
import { MemoryDisk } from '../model/memory-disk.js'
import { upTo } from './made-segments.js'
import { frameOf } from './written-log.js'

const MS = Date.UTC(2026, 0, 1)
const TICK_BASE = tickBase(ticksFromMs(MS))
const RELATIVE_TICKS = relativeTicks(ticksFromMs(MS), TICK_BASE)
const UUID = new Uint8Array(16).fill(7)
const OTHER_UUID = new Uint8Array(16).fill(8)
const BLOCK_BYTES = 1024 * 1024
/** No frame's magic is among them. */
const NOISE = Buffer.alloc(50, 0x55)

/** A piece of a file: its bytes, or what makes them for the place where they will stand. */
type Piece = Uint8Array | ((offset: number) => Uint8Array)

const entry = (sequence: number, data: string | Uint8Array = `entry ${sequence}`, ms = MS): Buffer => frameOf(sequence, Buffer.from(data), ms)
const range = (kind: 'aborted' | 'gap', first: number, last: number): Uint8Array => encodeRange(kind, first, last, RELATIVE_TICKS, TICK_BASE)
const trailer = (lastSequence: number, cursors?: readonly Cursor[], segmentUuid = UUID) => (offset: number): Uint8Array => encodeTrailer({
  segmentUuid, offset, batchStart: SEGMENT_HEADER_BYTES, firstSequence: 1, lastSequence, durableSequence: 0, previousChecksum: 0, previousUuid: new Uint8Array(16), cursors,
}, RELATIVE_TICKS, TICK_BASE)

/** An entry that holds frames. */
const holder = (sequence: number, ...frames: readonly Uint8Array[]): Buffer => entry(sequence, Buffer.concat(frames))
/** The head of a frame that reaches from within an entry to the entry's end, whose checksum is taken for its own. */
const headTo = (sequence: number, rest: number): Buffer => entry(sequence, Buffer.alloc(rest)).subarray(0, FRAME_DATA + rest)
const PLANTED = entry(5, 'planted')
const HOLDS = Buffer.from('holds ')

/** Its checksum is wrong. */
function damaged(frame: Uint8Array): Uint8Array {
  return frame.with(frame.length - 1, frame.at(-1)! ^ 1)
}

/** A segment that is a header's room and these pieces; `at` are their offsets. */
function segmentOf(...pieces: readonly Piece[]): { segment: WalkedSegment; at: number[] } {
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  const file = disk.create('/log/segment')
  const at: number[] = []
  let offset = SEGMENT_HEADER_BYTES
  for (const piece of pieces) {
    const bytes = typeof piece === 'function' ? piece(offset) : piece
    at.push(offset)
    file.write([bytes], offset)
    offset += bytes.length
  }
  return { segment: { file, fileBytes: offset, uuid: UUID }, at }
}

/** What walking gives: sequences, kinds of what is no entry, places of consumers. */
function walked(segment: WalkedSegment, from: number, to: number): unknown[] {
  return [...walkSound(segment, from, to)].map((piece) => {
    return piece.kind === 'entry' ? piece.first : piece.kind === 'cursors' ? piece.cursors.map(({ sequence }) => `at ${sequence}`).join() : [piece.kind, piece.first, piece.last]
  })
}

const cursor = (sequence: number): Cursor[] => [{ name: 'reader', sequence, epoch: 0 }]

/** How often `walk` reads a segment, in all. */
function readsOf({ file, fileBytes, uuid }: WalkedSegment, walk: (segment: WalkedSegment) => unknown): number {
  let bytes = 0
  const read = (buffer: Uint8Array, offset: number): number => {
    const count = file.read(buffer, offset)
    bytes += count
    return count
  }
  walk({ file: { read } as DiskFile, fileBytes, uuid })
  return bytes / fileBytes
}

test('behind an entry with a wrong checksum its own length leads on', () => {
  const { segment, at } = segmentOf(entry(1), damaged(entry(2)), entry(3), trailer(3))
  expect(soundAfter(segment, at[1]!, 2, 3)).toMatchObject({ offset: at[2], sequence: 3 })
  expect(walked(segment, 1, 3)).toEqual([1, 3])
})

test('of several damaged frames each is passed by its own length: nothing sound between them is given up', () => {
  const damagedTrailer: Piece = (offset) => damaged(trailer(1)(offset))
  const { segment } = segmentOf(entry(1), damagedTrailer, entry(2), damaged(entry(3)), entry(4), damaged(entry(5)), entry(6), trailer(6))
  expect(walked(segment, 1, 6)).toEqual([1, 2, 4, 6])
})

test('a sound frame that is out of place is not where frames go on: they do behind it', () => {
  const { segment, at } = segmentOf(entry(1), entry(4, 'out of place'), entry(3), trailer(3))
  expect(soundAfter(segment, at[1]!, 2, 4)).toEqual({ offset: at[2], sequence: 3 })
})

test('nothing goes on at the end of the file, or where no frame has room before it', () => {
  const { segment } = segmentOf(entry(1), NOISE)
  for (let left = 0; left <= 30; left++) expect(soundAfter(segment, segment.fileBytes - left, 2, 3), `${left} bytes`).toBeUndefined()
})

test('frames go on at sequences that are no entries, if all of them are wanted', () => {
  const { segment, at } = segmentOf(entry(1), NOISE, range('aborted', 2, 3), entry(4), trailer(4))
  expect(soundAfter(segment, at[1]!, 2, 3)).toEqual({ offset: at[2], sequence: 2 })
  expect(soundAfter(segment, at[1]!, 2, 4)).toEqual({ offset: at[2], sequence: 2 })
  // One of them is not: the next frame that fits is the entry behind them.
  expect(soundAfter(segment, at[1]!, 3, 4)).toEqual({ offset: at[3], sequence: 4 })
  expect(soundAfter(segment, at[1]!, 2, 2)).toEqual({ offset: at[4], sequence: 5 })
  expect(walked(segment, 1, 4)).toEqual([1, ['aborted', 2, 3], 4])
})

test('frames go on at a trailer, unless it ends before what is wanted', () => {
  const { segment, at } = segmentOf(entry(1), NOISE, trailer(1), entry(2), trailer(2))
  expect(soundAfter(segment, at[1]!, 2, 2)).toEqual({ offset: at[2], sequence: 2 })
  const late = segmentOf(entry(1), NOISE, trailer(1), entry(4), trailer(4))
  expect(soundAfter(late.segment, late.at[1]!, 3, 4)).toEqual({ offset: late.at[3], sequence: 4 })
})

test('frames go on at no other frame, and none is taken: one that tells nothing, an entry that is not wanted, another segment\'s trailer', () => {
  // What would be sequence 2 of a range.
  const index = encodeControlFrame('index', 20, RELATIVE_TICKS, TICK_BASE, (_bytes, view, at) => {
    for (const to of [4, 12]) view.setUint32(at + to, 2, true)
  })
  for (const frame of [index, entry(1), entry(6), trailer(5, undefined, OTHER_UUID)]) {
    const { segment, at } = segmentOf(entry(1), NOISE, frame, entry(3), trailer(3))
    expect(soundAfter(segment, at[1]!, 2, 5)).toEqual({ offset: at[3], sequence: 3 })
    expect(walked(segmentOf(entry(1), frame, entry(3), trailer(3)).segment, 1, 5)).toEqual([1, 3])
  }
  const alone = segmentOf(entry(1), NOISE, index)
  expect(soundAfter(alone.segment, alone.at[1]!, 2, 5)).toBeUndefined()
})

test('frames inside an entry\'s data are not gone on with: nothing leads from them to a trailer of this segment', () => {
  const planted = Buffer.concat([entry(3, 'planted'), trailer(3, undefined, OTHER_UUID)(0)])
  const { segment, at } = segmentOf(entry(1), NOISE, planted, NOISE, entry(3), trailer(3))
  expect(soundAfter(segment, at[1]!, 2, 3)).toEqual({ offset: at[4], sequence: 3 })
  // An entry whose data is what a trailer in its place would say.
  const disguised = segmentOf(entry(1), NOISE, (offset) => {
    const frame = trailer(3)(offset)
    return entry(3, frame.subarray(FRAME_DATA, frame.length - 4))
  })
  expect(soundAfter(disguised.segment, disguised.at[1]!, 2, 3)).toBeUndefined()
})

test('a frame is found wherever it stands between two blocks that are read', () => {
  for (const before of [1, 2, 3, 4, 27, 28]) {
    const { segment, at } = segmentOf(entry(1), Buffer.alloc(BLOCK_BYTES + 1 - before, 0x55), entry(2), trailer(2))
    expect(soundAfter(segment, at[1]!, 2, 2), `${before} bytes before the end of a block`).toEqual({ offset: at[2], sequence: 2 })
  }
})

test('in a segment longer than a block, damage in many places costs nothing that is sound', () => {
  const places = upTo(20).flatMap((sequence): Piece[] => [NOISE, entry(sequence), trailer(sequence)])
  const { segment } = segmentOf(...places, entry(21, Buffer.alloc(3 * BLOCK_BYTES)))
  expect(walked(segment, 1, 21)).toEqual(upTo(21))
})

test('a length that leads beyond the end of the file costs nothing, however often it stands there', () => {
  const head = entry(2, Buffer.alloc(1000)).subarray(0, FRAME_DATA)
  const { segment, at } = segmentOf(entry(1), NOISE, ...upTo(30).map(() => head), entry(3), trailer(3))
  expect(soundAfter(segment, at[1]!, 2, 3)).toEqual({ offset: at[32], sequence: 3 })
})

test.each<[string, readonly Piece[], (segment: WalkedSegment) => unknown]>([
  ['frames that lead to no trailer', [NOISE, ...upTo(300).map((sequence) => entry(sequence))], (segment) => soundAfter(segment, SEGMENT_HEADER_BYTES, 1, 300)],
  [
    'heads of frames that are none', [NOISE, ...upTo(300).map(() => entry(2, Buffer.alloc(7000)).subarray(0, FRAME_DATA)), Buffer.alloc(7100, 0x55)],
    (segment) => soundAfter(segment, SEGMENT_HEADER_BYTES, 2, 2),
  ],
  [
    'damage in many places', upTo(100).flatMap((sequence): Piece[] => [NOISE, entry(sequence, Buffer.alloc(4000)), trailer(sequence)]),
    (segment) => walked(segment, 1, 100),
  ],
  [
    'damage of two kinds in one batch',
    [...upTo(300).flatMap((part): Piece[] => [entry(3 * part - 2), damaged(entry(3 * part - 1)), part % 2 ? NOISE : entry(3 * part)]), trailer(900)],
    (segment) => walked(segment, 1, 900),
  ],
])('how often a segment is read is bounded, whatever stands in it: %s', (_what, pieces, walk) => {
  // 3, 8, 7 and 36 times; without a bound it is 100 times and more.
  expect(readsOf(segmentOf(...pieces).segment, walk)).toBeLessThan(60)
})

test('damage in many places of a short segment costs nothing that is sound', () => {
  const { segment } = segmentOf(...upTo(100).flatMap((sequence): Piece[] => [NOISE, entry(sequence), trailer(sequence)]))
  expect(walked(segment, 1, 100)).toEqual(upTo(100))
})

test('two damaged places in a long batch cost no more than what is between them', () => {
  const run = (first: number, last: number): Buffer[] => upTo(last).slice(first - 1).map((sequence) => entry(sequence))
  const { segment } = segmentOf(entry(1), NOISE, ...run(3, 300), NOISE, ...run(302, 600), trailer(600), ...run(601, 3600), trailer(3600))
  expect(walked(segment, 1, 3600)).toEqual([1, ...upTo(3600).slice(301)])
})

test.each<[string, Uint8Array]>([['an entry', entry(3, 'planted')], ['lost sequences', range('gap', 3, 4)], ['aborted ones', range('aborted', 3, 3)]])(
  'a damaged length that leads onto a frame within its own entry is not believed: %s', (_what, planted) => {
    const holding = holder(2, HOLDS, planted, Buffer.from(' and more'))
    holding.writeInt32LE('..'.length, FRAME_LENGTH)
    const { segment, at } = segmentOf(entry(1), holding, entry(3), entry(4), trailer(4))
    expect(soundAfter(segment, at[1]!, 2, 4)).toEqual({ offset: at[2], sequence: 3 })
    expect(walked(segment, 1, 4)).toEqual([1, 3, 4])
  })

/** `leads`: the frames whose damaged lengths lead to a place, as its piece and how far into it. */
test.each<[string, readonly Piece[], readonly (readonly [from: number, to: number, into: number])[], readonly number[]]>([
  [
    'a way that goes over it, to another batch',
    [entry(1), entry(2), entry(3), trailer(3), holder(4, HOLDS, PLANTED), entry(5), entry(6), entry(7), trailer(7)],
    [[1, 7, 0], [4, 4, FRAME_DATA + HOLDS.length]], [1, 3, 5, 6, 7],
  ],
  [
    'a way that leads out of it again, past the head of a frame that is none',
    [entry(1), holder(2, HOLDS, entry(3, 'planted'), headTo(4, 10)), entry(3), entry(4), trailer(4)], [[1, 1, FRAME_DATA + HOLDS.length]], [1, 3, 4],
  ],
  [
    'a way to another one beside it', [entry(1), entry(2), entry(3), damaged(holder(4, PLANTED, entry(6, 'planted'))), entry(5), entry(6), trailer(6)],
    [[1, 3, FRAME_DATA + PLANTED.length]], [1, 5, 6],
  ],
])('a frame within an entry is not believed for %s', (_what, pieces, leads, sound) => {
  const { segment, at } = segmentOf(...pieces)
  for (const [from, to, into] of leads) {
    const length = Buffer.alloc(4)
    length.writeInt32LE(at[to]! + into - at[from]! - FRAME_OVERHEAD)
    segment.file.write([length], at[from]! + FRAME_LENGTH)
  }
  expect(walked(segment, 1, 7)).toEqual(sound)
  const entries = [...walkSound(segment, 1, 7)].filter((piece) => piece.kind === 'entry')
  expect(entries.map(({ frame }) => Buffer.from(frame).toString('latin1', FRAME_DATA)).filter((text) => text.startsWith('planted'))).toEqual([])
})

test('entries that hold frames between two damaged places cost nothing behind these', () => {
  const { segment } = segmentOf(
    entry(1), NOISE, ...upTo(60).slice(2).map((sequence) => holder(sequence, Buffer.alloc(100), entry(sequence, 'held'))), NOISE, entry(62), trailer(62), entry(63), trailer(63),
  )
  expect(walked(segment, 1, 63)).toEqual([1, 62, 63])
})

test.each<[string, readonly Piece[], readonly number[]]>([
  ['a trailer that is gone', [entry(1), damaged(entry(2)), entry(3), NOISE, entry(4), trailer(4)], [1, 3, 4]],
  ['an entry whose head is gone', [entry(1), damaged(entry(2)), entry(3), NOISE, entry(5), trailer(5)], [1, 3, 5]],
  ['one with a wrong checksum, and no trailer at all', [entry(1), damaged(entry(2)), entry(3), damaged(entry(4)), entry(5)], [1, 3, 5]],
])('what is between an entry with a wrong checksum and other damage is kept: %s', (_what, pieces, sound) => {
  expect(walked(segmentOf(...pieces).segment, 1, 5)).toEqual(sound)
})

test('a control frame with a sequence beyond all numbers is none', () => {
  const lying = Buffer.from(range('gap', 2, 2))
  lying.writeBigUInt64LE(2n ** 60n, FRAME_SEQUENCE)
  lying.writeUInt32LE(crc32(lying.subarray(0, -4)), lying.length - 4)
  expect(walked(segmentOf(entry(1), lying, entry(2), trailer(2)).segment, 1, 2)).toEqual([1, 2])
})

test('an entry that is older than the one before it is nobody\'s', () => {
  const { segment } = segmentOf(entry(1, 'x', MS + 10), entry(2, 'x', MS + 9), entry(3, 'x', MS + 10), range('gap', 4, 4), trailer(4))
  expect(walked(segment, 1, 4)).toEqual([1, 3, ['gap', 4, 4]])
  const apart = segmentOf(entry(1, 'x', MS + 10), range('gap', 2, 2), trailer(2, cursor(0)), entry(3, 'x', MS + 9), entry(4, 'x', MS + 10), trailer(4))
  expect(walked(apart.segment, 1, 4)).toEqual([1, ['gap', 2, 2], 'at 0', 4])
})

test('what is walked ends with the last that is wanted, and the places of consumers right behind it', () => {
  const { segment } = segmentOf(entry(1), trailer(1, cursor(0)), entry(2), trailer(2, cursor(1)), trailer(2, cursor(2)), entry(3), trailer(3, cursor(3)))
  expect(walked(segment, 1, 2)).toEqual([1, 'at 0', 2, 'at 1', 'at 2'])
  expect(walked(segment, 2, 3)).toEqual(['at 0', 2, 'at 1', 'at 2', 3, 'at 3'])
  const cut = segmentOf(entry(1), NOISE, trailer(1, cursor(1)))
  expect(walked(cut.segment, 1, 1)).toEqual([1])
})

test('behind damage the last that is wanted is found as well; where it is itself damaged, the places of consumers behind it', () => {
  expect(walked(segmentOf(entry(1), NOISE, entry(2), trailer(2, cursor(1))).segment, 1, 2)).toEqual([1, 2, 'at 1'])
  expect(walked(segmentOf(entry(1), damaged(entry(2)), trailer(2, cursor(1))).segment, 1, 2)).toEqual([1, 'at 1'])
})

test('sequences that reach beyond what is wanted are left out', () => {
  const { segment } = segmentOf(entry(1), range('aborted', 2, 4), trailer(4))
  expect(walked(segment, 1, 3)).toEqual([1])
  expect(walked(segment, 1, 4)).toEqual([1, ['aborted', 2, 4]])
})
