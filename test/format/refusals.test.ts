/** What has a sound checksum and is refused all the same: each rule of validity at its edge. */

import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { CONTROL_KIND, controlKind, decodeRange, encodeControlFrame, encodeRange } from '../../dist/src/format/control-layout.js'
import { FRAME_OVERHEAD, frameSequence, frameSize, MAX_FRAME_DATA_BYTES, writeFrameHeader } from '../../dist/src/format/frame-layout.js'
import { decodeIndex, encodeIndex, MIN_INDEX_FRAME_BYTES, type IndexEntry, type SparseIndex } from '../../dist/src/format/index-layout.js'
import { decodeSegmentHeader, encodeSegmentHeader, SEGMENT_HEADER_BYTES, tailHeader, type SegmentHeader } from '../../dist/src/format/segment-layout.js'
import { createSegmentName, isSpareName, segmentNameOf, spareName } from '../../dist/src/format/segment-name.js'
import { decodeTrailer, encodeTrailer, type Cursor } from '../../dist/src/format/trailer-layout.js'
import { createUuid, uuidFromHex } from '../../dist/src/format/uuid.js'

const ID = new Uint8Array(16).fill(9)
/** Where the index stands in its file. */
const FILE_OFFSET = 100_000
const ENTRY: IndexEntry = { sequence: 5, ticks: 2n ** 32n + 7n, offset: 1000 }

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

function decoded(index: Partial<SparseIndex>, uuid = ID): SparseIndex | undefined {
  const whole = { lastTrailerOffset: 128, cursorTrailerOffset: 128, entries: [], ...index }
  const bytes = encodeIndex(ID, whole, 0, 0)
  return decodeIndex(bytes, viewOf(bytes), 0, bytes.length, FILE_OFFSET, uuid)
}

test('an index is taken as it was written, from the smallest to one of many entries', () => {
  expect(decoded({})).toMatchObject({ lastTrailerOffset: 128, cursorTrailerOffset: 128, entries: [] })
  const entries = Array.from({ length: 100 }, (_, number) => ({ sequence: number + 1, ticks: BigInt(number), offset: 128 + number }))
  expect(decoded({ entries, lastTrailerOffset: FILE_OFFSET - 1 })).toMatchObject({ lastTrailerOffset: FILE_OFFSET - 1, entries })
})

test('an index of another segment is none, whichever byte of its UUID differs', () => {
  for (let byte = 0; byte < 16; byte++) expect(decoded({}, ID.with(byte, 8)), String(byte)).toBeUndefined()
})

test.each<[string, Partial<SparseIndex>]>([
  ['whose last trailer would be in the header', { lastTrailerOffset: 127 }],
  ['whose last trailer would be in or behind the index', { lastTrailerOffset: FILE_OFFSET }],
  ['whose trailer with cursors would be in the header', { cursorTrailerOffset: 127 }],
  ['whose trailer with cursors would be in or behind the index', { cursorTrailerOffset: FILE_OFFSET }],
  ['with an entry of sequence 0', { entries: [{ ...ENTRY, sequence: 0 }] }],
  ['with an entry in the header', { entries: [{ ...ENTRY, offset: 127 }] }],
  ['with an entry in or behind the index', { entries: [{ ...ENTRY, offset: FILE_OFFSET }] }],
  ['with a sequence twice', { entries: [ENTRY, { ...ENTRY, offset: 2000 }] }],
  ['with two entries at one place', { entries: [ENTRY, { ...ENTRY, sequence: 6 }] }],
  ['whose times fall by a little', { entries: [ENTRY, { sequence: 6, ticks: ENTRY.ticks - 1n, offset: 2000 }] }],
  ['whose times fall in a middle byte', { entries: [{ ...ENTRY, ticks: 2n ** 48n }, { sequence: 6, ticks: 2n ** 40n, offset: 2000 }] }],
  ['whose times fall by much, though their low words rise', { entries: [ENTRY, { sequence: 6, ticks: 8n, offset: 2000 }] }],
])('an index %s is none', (_what, index) => {
  expect(decoded(index)).toBeUndefined()
})

test('an index may have many entries of one time', () => {
  expect(decoded({ entries: [ENTRY, { ...ENTRY, sequence: 6, offset: 1001 }] })?.entries).toHaveLength(2)
  expect(decoded({ entries: [ENTRY, { sequence: 6, ticks: 2n ** 33n, offset: 1001 }] })?.entries).toHaveLength(2)
})

test('a frame that is too short for an index, or another size than its count says, is none', () => {
  const small = encodeControlFrame('index', MIN_INDEX_FRAME_BYTES - FRAME_OVERHEAD - 1, 0, 0, () => undefined)
  expect(decodeIndex(small, viewOf(small), 0, small.length, FILE_OFFSET, ID)).toBeUndefined()
  const bytes = encodeIndex(ID, { lastTrailerOffset: 128, cursorTrailerOffset: 128, entries: [ENTRY] }, 0, 0)
  expect(decodeIndex(bytes, viewOf(bytes), 0, bytes.length - 24, FILE_OFFSET, ID)).toBeUndefined()
})

test('a control frame has the kind that its letters say, if it has four', () => {
  for (const kind of Object.keys(CONTROL_KIND) as (keyof typeof CONTROL_KIND)[]) {
    const bytes = encodeControlFrame(kind, 4, 0, 0, () => undefined)
    expect(controlKind(viewOf(bytes), 0, bytes.length)).toBe(kind)
    expect(controlKind(viewOf(bytes), 0, bytes.length - 1)).toBeUndefined()
    bytes[24]! ^= 1
    expect(controlKind(viewOf(bytes), 0, bytes.length)).toBeUndefined()
  }
})

test('a range begins with 1 at the earliest and does not end before it begins', () => {
  const range = (first: number, last: number): unknown => {
    const bytes = encodeRange('aborted', first, last, 0, 0)
    return decodeRange(viewOf(bytes), 0, bytes.length)
  }
  expect(range(1, 1)).toEqual({ first: 1, last: 1 })
  expect(range(7, 9)).toEqual({ first: 7, last: 9 })
  expect(range(0, 1)).toBeUndefined()
  expect(range(8, 7)).toBeUndefined()
})

test('a UUID is a segment’s name if its time is one that a name can tell', () => {
  const uuid = createUuid(1_706_933_106_789)
  expect(segmentNameOf(uuid)).toMatchObject({ uuid, createdMs: 1_706_933_106_789 })
  // The year 10000 takes a digit too many.
  expect(segmentNameOf(createUuid(253_402_300_799_999))).toBeDefined()
  expect(segmentNameOf(createUuid(253_402_300_800_000))).toBeUndefined()
  expect(segmentNameOf(uuidFromHex('ffffffffffff7a0bb1c2d3e4f5060708'))).toBeUndefined()
  // Of no version that this project writes.
  expect(segmentNameOf(new Uint8Array(16))).toBeUndefined()
})

function trailerOf(cursors: readonly Cursor[] | undefined, firstSequence = 1): ReturnType<typeof decodeTrailer> {
  const bytes = encodeTrailer({
    segmentUuid: ID, previousUuid: ID, offset: 128, batchStart: 128, firstSequence, lastSequence: firstSequence, durableSequence: 0, previousChecksum: 0, cursors,
  }, 0, 0)
  return decodeTrailer(bytes, viewOf(bytes), 0, bytes.length, 128, ID)
}

test.each([['without a name', 0], ['with a name of 256 bytes', 256]])('a trailer with a cursor %s is none', (_what, nameBytes) => {
  expect(trailerOf([{ name: 'x'.repeat(nameBytes), sequence: 0, epoch: 0 }])).toBeUndefined()
})

test('a trailer has cursors of names of 1 to 255 bytes', () => {
  const cursors = [{ name: 'x', sequence: 3, epoch: 2 }, { name: 'y'.repeat(255), sequence: 0, epoch: 2 ** 32 - 1 }]
  expect(trailerOf(cursors)?.cursors).toEqual(cursors)
})

test('a trailer of sequence 0 is none', () => {
  expect(trailerOf(undefined)).toBeDefined()
  expect(trailerOf(undefined, 0)).toBeUndefined()
})

test('a spare is named by the whole of its UUID, and by nothing else', () => {
  const spare = spareName(createSegmentName(5))
  expect(isSpareName(spare)).toBe(true)
  for (const other of [`x${spare}`, `${spare}x`, spare.slice(1), `g${spare.slice(1)}`, spare.replace('.', 'x')]) expect(isSpareName(other), other).toBe(false)
})

test('a frame that is too short for a trailer is none, also where nothing stands behind it', () => {
  for (let dataBytes = 4; dataBytes < 96; dataBytes++) {
    const bytes = encodeControlFrame('trailer', dataBytes, 0, 0, (into, _view, at) => void into.fill(9, at + 4, at + dataBytes))
    expect(decodeTrailer(bytes.slice(), viewOf(bytes.slice()), 0, bytes.length, 128, ID), String(dataBytes)).toBeUndefined()
  }
})

/** A sealed segment of the entries 7 to 9. */
const SEALED: SegmentHeader = { firstSequence: 7, lastSequence: 9, firstTicks: 5n, lastTicks: 6n, entryCount: 3, bytes: SEGMENT_HEADER_BYTES, sealed: true }

/** With a checksum that is right, whatever is in it. */
function decodedHeader(header: Partial<SegmentHeader>, change: (bytes: Buffer) => void = () => undefined): ReturnType<typeof decodeSegmentHeader> {
  const bytes = Buffer.from(encodeSegmentHeader({ ...SEALED, ...header }))
  change(bytes)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, SEGMENT_HEADER_BYTES - 4)), SEGMENT_HEADER_BYTES - 4)
  return decodeSegmentHeader(bytes)
}

test.each<[string, Partial<SegmentHeader>]>([
  ['of a segment', {}],
  ['of one from the first sequence on, with fewer entries than sequences', { firstSequence: 1, entryCount: 0 }],
  ['of an empty one', { lastSequence: 6, entryCount: 0 }],
  ['of an open one, which does not tell its size yet', { lastSequence: 6, entryCount: 0, bytes: 0, sealed: false }],
])('a header %s is taken as it was written', (_what, header) => {
  expect(decodedHeader(header)).toEqual({ ...SEALED, ...header })
})

test.each<[string, Partial<SegmentHeader>]>([
  ['that begins with sequence 0', { firstSequence: 0 }],
  ['whose last sequence is before its first by more than one', { lastSequence: 5, entryCount: 0 }],
  ['of a sealed segment that is smaller than a header', { bytes: SEGMENT_HEADER_BYTES - 1 }],
  ['of more entries than sequences', { entryCount: 4 }],
])('a header %s is none', (_what, header) => {
  expect(decodedHeader(header)).toBe('fields')
})

test('a header that is too short, of something else, of another version, or neither sealed nor open, says so', () => {
  expect(decodeSegmentHeader(encodeSegmentHeader(SEALED).subarray(1))).toBe('short')
  expect(decodedHeader({}, (bytes) => void (bytes[0]! ^= 1))).toBe('magic')
  expect(decodedHeader({}, (bytes) => bytes.writeUInt32LE(2, 4))).toBe('version')
  expect(decodedHeader({}, (bytes) => bytes.writeUInt8(2, 56))).toBe('fields')
  expect(decodedHeader({}, (bytes) => bytes.fill(255, 40, 48))).toBe('fields')
})

test('a tail that has just begun ends before its first sequence', () => {
  expect(tailHeader(7)).toMatchObject({ firstSequence: 7, lastSequence: 6, sealed: false })
})

test('a frame may be of any sequence up to 2^53 - 1, and of no more bytes than an entry may have', () => {
  const view = new DataView(new ArrayBuffer(FRAME_OVERHEAD))
  for (const sequence of [1, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 5, Number.MAX_SAFE_INTEGER]) {
    writeFrameHeader(view, 0, 0, sequence, 0, 0)
    expect(frameSequence(view, 0)).toBe(sequence)
  }
  const sizeOf = (dataBytes: number): ReturnType<typeof frameSize> => {
    writeFrameHeader(view, 0, dataBytes, 1, 0, 0)
    return frameSize(view, 0, FRAME_OVERHEAD, 2 ** 32)
  }
  expect(sizeOf(MAX_FRAME_DATA_BYTES)).toBe(FRAME_OVERHEAD + MAX_FRAME_DATA_BYTES)
  expect(sizeOf(MAX_FRAME_DATA_BYTES + 1)).toBe('length')
})
