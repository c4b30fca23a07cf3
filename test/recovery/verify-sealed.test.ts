/** What is found in a sealed segment, frame by frame: in files made of a header, frames and an index, with one or two things in them that should not be. */

import { expect, test } from 'vitest'
import type { Disk, DiskFile } from '../../dist/src/disk/disk.js'
import { encodeRange } from '../../dist/src/format/control-layout.js'
import { FRAME_DATA, FRAME_LENGTH, FRAME_OVERHEAD, frameChecksum, sealFrame } from '../../dist/src/format/frame-layout.js'
import { encodeIndex } from '../../dist/src/format/index-layout.js'
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../../dist/src/format/segment-layout.js'
import { createSegmentName } from '../../dist/src/format/segment-name.js'
import { relativeTicks, tickBase, ticksFromMs } from '../../dist/src/format/ticks.js'
import { encodeTrailer } from '../../dist/src/format/trailer-layout.js'
import { readFacts } from '../../dist/src/recovery/facts.js'
import { findDamage, type Finding } from '../../dist/src/recovery/verify-sealed.js'
import { MemoryDisk } from '../model/memory-disk.js'
import { frameOf } from './written-log.js'

const MS = Date.UTC(2026, 0, 1)
const TICKS = ticksFromMs(MS)
const TICK_BASE = tickBase(TICKS)
const RELATIVE_TICKS = relativeTicks(TICKS, TICK_BASE)
const NAME = createSegmentName(MS)
const BLOCK_BYTES = 1024 * 1024

/** A frame; a number is the trailer with that last sequence. */
type Piece = Uint8Array | number
/** Which pieces the index names, each with a sequence. */
type Indexed = readonly (readonly [piece: number, sequence: number])[]
/** What goes wrong with the bytes; `at` is where each piece stands, and last the index. */
type Harm = (bytes: Buffer, at: readonly number[]) => Buffer | void
/** What is found at a piece, and the entries that it costs. */
type Found = readonly [piece: number, reason: string, first?: number, last?: number]

const entry = (sequence: number, data = `entry ${sequence}`): Uint8Array => frameOf(sequence, Buffer.from(data), MS)

/** What `ABT!` would be, with letters that nobody knows. */
function unknownFrame(first: number, last: number): Uint8Array {
  const bytes = encodeRange('aborted', first, last, RELATIVE_TICKS, TICK_BASE)
  bytes.set(Buffer.from('XYZ!'), FRAME_DATA)
  sealFrame(bytes, new DataView(bytes.buffer), 0, bytes.length - FRAME_OVERHEAD)
  return bytes
}

/** Room for a header, these pieces with their trailers in one chain, and the index of a segment that begins with 1. */
function segmentOf(pieces: readonly Piece[], indexed: Indexed = [[1, 1]]): { bytes: Buffer; at: number[]; last: number } {
  const frames: Uint8Array[] = []
  const at: number[] = []
  let offset = SEGMENT_HEADER_BYTES
  let batchStart = offset
  let lastTrailerOffset = offset
  let previousChecksum = 0
  let last = 0
  for (const piece of pieces) {
    at.push(offset)
    const frame = typeof piece !== 'number' ? piece : encodeTrailer({
      segmentUuid: NAME.uuid, offset, batchStart, firstSequence: last + 1, lastSequence: piece, durableSequence: last, previousChecksum,
      previousUuid: new Uint8Array(16), cursors: offset === SEGMENT_HEADER_BYTES ? [] : undefined,
    }, RELATIVE_TICKS, TICK_BASE)
    if (typeof piece === 'number') {
      lastTrailerOffset = offset
      batchStart = offset + frame.length
      previousChecksum = frameChecksum(new DataView(frame.buffer), 0, frame.length)
      last = piece
    }
    frames.push(frame)
    offset += frame.length
  }
  at.push(offset)
  const entries = indexed.map(([piece, sequence]) => ({ sequence, ticks: TICKS, offset: at[piece]! }))
  const index = encodeIndex(NAME.uuid, { lastTrailerOffset, cursorTrailerOffset: SEGMENT_HEADER_BYTES, entries }, RELATIVE_TICKS, TICK_BASE)
  return { bytes: Buffer.concat([Buffer.alloc(SEGMENT_HEADER_BYTES), ...frames, index]), at, last }
}

/** What is found in the file once its header says that it ends with `last`. It is opened for reading only, and closed again. */
function findingsOf(bytes: Buffer, last: number, onRead?: (buffer: Uint8Array, offset: number) => void): Finding[] {
  bytes.set(encodeSegmentHeader({
    firstSequence: 1, lastSequence: last, firstTicks: TICKS, lastTicks: TICKS, entryCount: last, bytes: bytes.length, sealed: true,
  }))
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  const made = disk.create(`/log/${NAME.name}`)
  made.write([bytes], 0)
  made.close()
  const files: DiskFile[] = []
  const watched = { open: (path: string, access: 'read' | 'write'): DiskFile => {
    expect(access).toBe('read')
    const file = disk.open(path, access)
    const read = file.read.bind(file)
    file.read = (buffer, offset) => {
      const count = read(buffer, offset)
      onRead?.(buffer, offset)
      return count
    }
    files.push(file)
    return file
  } } as Disk
  const findings = findDamage(watched, readFacts(disk, '/log', NAME))
  expect(files).toHaveLength(1)
  expect(() => files[0]!.size()).toThrow('EBADF')
  return findings
}

const CHECKSUM = 'a frame is damaged (checksum)'
const LENGTH = 'a frame is damaged (length)'
const SEQUENCE = 'a frame is damaged (sequence)'
const INDEX = 'a frame is not as it must be (index)'

const nothing: Harm = () => undefined
/** The pieces' checksums are wrong. */
const spoil = (...pieces: number[]): Harm => (bytes, at) => { for (const piece of pieces) bytes[at[piece]! + FRAME_DATA + 1]! ^= 1 }
/** The piece does not tell where it ends. */
const loseLength = (piece: number): Harm => (bytes, at) => void bytes.writeInt32LE(-1, at[piece]! + FRAME_LENGTH)

test.each<[what: string, pieces: readonly Piece[], harm: Harm, found: readonly Found[], indexed?: Indexed]>([
  ['its index', [0, entry(1), entry(2), 2], spoil(4), [[4, 'its index is damaged']]],
  ['its index, and the last entry', [0, entry(1), 1, entry(2), 2], spoil(3, 5), [[3, CHECKSUM, 2, 2], [5, CHECKSUM]]],
  ['another index in front of its own', [0, entry(1), 1], (bytes, at) => Buffer.concat([bytes, bytes.subarray(at[3])]), [[3, INDEX]]],
  ['its last trailer, which is gone', [0, entry(1), 1, entry(2), 2],
    (bytes, at) => Buffer.concat([bytes.subarray(0, at[4]), bytes.subarray(at[5])]), [[4, INDEX, 2, 2]]],
  ['the length of its first trailer, and an entry', [0, entry(1), entry(2), entry(3), 3], (bytes, at) => {
    loseLength(0)(bytes, at)
    spoil(2)(bytes, at)
  }, [[0, LENGTH], [2, CHECKSUM, 2, 2]]],
  ['the last entry, and the last mark', [0, entry(1), 1, 1], spoil(1, 3), [[1, CHECKSUM, 1, 1], [3, CHECKSUM]]],
  ['its end, from within the head of a frame', [0, entry(1), 1, entry(2), entry(3), 3],
    (bytes, at) => bytes.subarray(0, at[4]! + 3), [[4, 'a frame is damaged (short)', 3, 3]]],
  ['its end, from its last entry on', [0, entry(1), 1, entry(2), entry(3), 3], (bytes, at) => bytes.subarray(0, at[4]), [[4, 'its frames end too early', 3, 3]]],
  ['a frame that does not belong there, though the index names it',
    [0, entry(1), entry(4), entry(2), entry(3), entry(4), 4], nothing, [[2, SEQUENCE]], [[1, 1], [2, 4]]],
  ['an entry, with an earlier one once more behind it',
    [0, entry(1), entry(2), entry(3), entry(2), entry(4), 4], spoil(3), [[3, CHECKSUM, 3, 3]], [[1, 1], [4, 2], [5, 4]]],
  ['the length of an entry, with an earlier one once more behind it, which the index names',
    [0, entry(1), entry(2), entry(3), entry(2), entry(4), 4], loseLength(3), [[3, LENGTH, 3, 3]], [[1, 1], [4, 2], [5, 4]]],
  ['an entry, with one behind it that comes after the last', [0, entry(1), entry(2), entry(9), entry(3), 3], spoil(2), [[2, CHECKSUM, 2, 2]]],
  ['a length that leads past an entry that the index names', [0, entry(1), entry(2), entry(3), entry(4), 4],
    (bytes, at) => void bytes.writeInt32LE(at[4]! - at[2]! - FRAME_OVERHEAD, at[2]! + FRAME_LENGTH), [[2, CHECKSUM, 2, 2]], [[1, 1], [3, 3]]],
  ['a length, where the index says of the entry behind it that it is another', [0, entry(1), entry(2), entry(3), entry(4), entry(5), 5],
    loseLength(2), [[2, LENGTH, 2, 4]], [[1, 1], [3, 4], [5, 5]]],
  ['a control frame that nobody knows, whatever it says', [0, entry(1), unknownFrame(2, 2), entry(3), 3], nothing, [[2, SEQUENCE, 2, 2]]],
])('what is damaged is named, and nothing else: %s', (_what, pieces, harm, found, indexed) => {
  const { bytes, at, last } = segmentOf(pieces, indexed)
  const expected = found.map(([piece, reason, firstSequence, lastSequence]) => ({ reason, offset: at[piece], firstSequence, lastSequence }))
  expect(findingsOf(harm(bytes, at) ?? bytes, last)).toEqual(expected)
})

test('a large segment is read in a few blocks of at most a mebibyte, also where a block ends right before a frame', () => {
  // Behind the header, the first trailer and 140 of these fill the first block.
  const entries = Array.from({ length: 150 }, (_, index) => entry(index + 1, 'x'.repeat(7461)))
  const { bytes, at, last } = segmentOf([0, ...entries, 150], [[1, 1], [145, 145]])
  expect(at[141]! - SEGMENT_HEADER_BYTES).toBe(BLOCK_BYTES)
  const reads: number[] = []
  expect(findingsOf(bytes, last, (buffer) => void reads.push(buffer.length))).toEqual([])
  expect(Math.max(...reads)).toBeLessThanOrEqual(BLOCK_BYTES)
  expect(reads.length).toBeLessThan(20)
})

test('a file that changes while it is checked does not lead astray', () => {
  const { bytes, at, last } = segmentOf([0, entry(1), 1])
  let looks = 0
  const findings = findingsOf(bytes, last, (buffer, offset) => {
    // The scan has found all of it sound; now its index is held against it.
    if (offset === SEGMENT_HEADER_BYTES && ++looks === 2) buffer.fill(0)
  })
  expect(findings).toMatchObject([{ reason: `its index says that entry 1 is at byte ${at[1]}`, offset: at[3] }])
})
