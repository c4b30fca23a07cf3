/** The drawings in the sources, the field tables and what the code writes are one and the same layout. */

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CONTROL_KIND, encodeRange, RANGE_FRAME_BYTES } from '../../dist/src/format/control-layout.js'
import * as frame from '../../dist/src/format/frame-layout.js'
import { encodeIndex, INDEX_FOOTER_BYTES, MIN_INDEX_FRAME_BYTES } from '../../dist/src/format/index-layout.js'
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_FIELDS, SEGMENT_MAGIC } from '../../dist/src/format/segment-layout.js'
import { encodeTrailer, TRAILER_BYTES, TRAILER_FIELDS, type Trailer } from '../../dist/src/format/trailer-layout.js'

type Field = readonly [name: string, offset: number, bytes: number]

/** The byte ranges in the drawing of a layout: `8–23 …`, several to a line, or a single byte with a name behind it. */
function drawn(file: string): [number, number][] {
  const source = readFileSync(new URL(`../../src/format/${file}.ts`, import.meta.url), 'utf8')
  const drawing = /```\n([\s\S]*?)```/.exec(source)![1]!
  const ranges: [number, number][] = []
  for (const [, first, last] of drawing.matchAll(/(?<=^ \*|\s{2,})\s*(\d+)(?:–(\d+))?(?= {2}| {1,6}\S)/gm)) {
    if (first !== undefined) ranges.push([Number(first), Number(last ?? first)])
  }
  return ranges.sort((a, b) => a[0] - b[0])
}

/** What is wrong with fields that ought to follow each other from byte 0 to `end`. */
function faults(ranges: readonly (readonly [first: number, last: number])[], end: number): string[] {
  const wrong: string[] = []
  let next = 0
  for (const [first, last] of ranges) {
    if (first !== next || last < first) wrong.push(`${first}–${last} does not begin with ${next}`)
    next = last + 1
  }
  return next === end ? wrong : [...wrong, `ends with ${next - 1}, not ${end - 1}`]
}

function rangesOf(fields: readonly Field[]): [number, number][] {
  return fields.map(([, offset, bytes]) => [offset, offset + bytes - 1])
}

const UUID = new Uint8Array(16).fill(0x11)
const TRAILER: Trailer = {
  segmentUuid: UUID, offset: 1000, batchStart: 500, firstSequence: 7, lastSequence: 9, durableSequence: 6, previousChecksum: 0xdeadbeef,
  previousUuid: new Uint8Array(16).fill(0x22), cursors: undefined,
}

test('the check itself sees a gap, an overlap and a wrong end', () => {
  expect(faults([[0, 3], [5, 7]], 8)).toHaveLength(1)
  expect(faults([[0, 3], [3, 7]], 8)).toHaveLength(1)
  expect(faults([[0, 3], [4, 6]], 8)).toHaveLength(1)
  expect(faults([[0, 3], [4, 7]], 8)).toEqual([])
})

test('the fields of the segment header tile its 128 bytes, and so does the drawing', () => {
  expect(faults(rangesOf(SEGMENT_HEADER_FIELDS), SEGMENT_HEADER_BYTES)).toEqual([])
  expect(drawn('segment-layout')).toEqual(rangesOf(SEGMENT_HEADER_FIELDS))
})

test('the fields of the trailer tile it up to its cursors, and so does the drawing', () => {
  const fixed = TRAILER_BYTES - frame.FRAME_OVERHEAD
  expect(faults(rangesOf(TRAILER_FIELDS), fixed)).toEqual([])
  expect(drawn('trailer-layout').filter(([first]) => first < fixed)).toEqual(rangesOf(TRAILER_FIELDS))
})

test('the drawings of the index and of ranges have no gap', () => {
  expect(faults(drawn('index-layout').filter(([first]) => first < 40), 40)).toEqual([])
  expect(faults(drawn('control-layout').filter(([first]) => first < 20), RANGE_FRAME_BYTES - frame.FRAME_OVERHEAD)).toEqual([])
})

test('the fields of a frame tile its 28 bytes around the data', () => {
  const data = 5
  expect(faults([
    [0, frame.FRAME_LENGTH - 1], [frame.FRAME_LENGTH, frame.FRAME_SEQUENCE - 1], [frame.FRAME_SEQUENCE, frame.FRAME_TIMESTAMP - 1],
    [frame.FRAME_TIMESTAMP, frame.FRAME_DATA - 1], [frame.FRAME_DATA, frame.FRAME_DATA + data - 1],
    [frame.FRAME_DATA + data, frame.FRAME_DATA + data + frame.FRAME_CHECKSUM_BYTES - 1],
  ], frame.FRAME_OVERHEAD + data)).toEqual([])
  expect([frame.FRAME_LENGTH, frame.FRAME_SEQUENCE, frame.FRAME_TIMESTAMP, frame.FRAME_DATA, frame.FRAME_OVERHEAD]).toEqual([4, 8, 16, 24, 28])
})

test('the magics are the letters that the format names', () => {
  const letters = (value: number): string => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    return bytes.toString('latin1')
  }
  expect([SEGMENT_MAGIC, frame.FRAME_MAGIC].map(letters)).toEqual(['WAL!', 'MSG!'])
  expect(Object.entries(CONTROL_KIND).map(([kind, value]) => [kind, letters(value)])).toEqual([['trailer', 'CMT!'], ['aborted', 'ABT!'], ['gap', 'GAP!'], ['index', 'IDX!']])
})

test('each field of the header is written where its table says, and nowhere else', () => {
  const base = { firstSequence: 2, lastSequence: 3, firstTicks: 4n, lastTicks: 5n, entryCount: 1, bytes: 200, sealed: false }
  const changes = {
    firstSequence: { firstSequence: 0x0102030405 }, lastSequence: { lastSequence: 0x0908070605 }, firstTicks: { firstTicks: 0x7fffffffffffffffn },
    lastTicks: { lastTicks: -1n }, entryCount: { entryCount: 0x1f2f3f4f5f }, bytes: { bytes: 2 ** 53 - 1 }, sealed: { sealed: true },
  }
  for (const [name, change] of Object.entries(changes)) {
    const allowed = [fieldRange(SEGMENT_HEADER_FIELDS, name), fieldRange(SEGMENT_HEADER_FIELDS, 'checksum')]
    expectChangesWithin(encodeSegmentHeader(base), encodeSegmentHeader({ ...base, ...change }), allowed, name)
  }
})

test('each field of the trailer is written where its table says, and nowhere else', () => {
  const changes: Record<string, Partial<Trailer>> = {
    segmentUuid: { segmentUuid: new Uint8Array(16).fill(0xff) }, offset: { offset: 0x0102030405 }, batchStart: { batchStart: 0x0102030405 },
    firstSequence: { firstSequence: 0x1f2f3f4f5f }, lastSequence: { lastSequence: 0x1f2f3f4f5f }, durableSequence: { durableSequence: 0x1f2f3f4f5f },
    previousChecksum: { previousChecksum: 1 }, previousUuid: { previousUuid: UUID }, cursorCount: { cursors: [] },
  }
  expect(Object.keys(changes)).toEqual(TRAILER_FIELDS.map(([name]) => name).filter((name) => name !== 'letters' && name !== 'zero'))
  for (const [name, change] of Object.entries(changes)) {
    const [first, last] = fieldRange(TRAILER_FIELDS, name)
    const allowed: [number, number][] = [[first + frame.FRAME_DATA, last + frame.FRAME_DATA], [TRAILER_BYTES - 4, TRAILER_BYTES - 1]]
    expectChangesWithin(encodeTrailer(TRAILER, 5, 1), encodeTrailer({ ...TRAILER, ...change }, 5, 1), allowed, name)
  }
})

test('the smallest frames have the sizes that are stated', () => {
  expect(encodeTrailer(TRAILER, 0, 0)).toHaveLength(TRAILER_BYTES)
  expect(encodeRange('gap', 1, 2, 0, 0)).toHaveLength(RANGE_FRAME_BYTES)
  const index = encodeIndex(UUID, { lastTrailerOffset: 128, cursorTrailerOffset: 128, entries: [] }, 0, 0)
  expect(index).toHaveLength(MIN_INDEX_FRAME_BYTES)
  expect(new DataView(index.buffer).getUint32(index.length - INDEX_FOOTER_BYTES, true)).toBe(index.length)
})

function fieldRange(fields: readonly Field[], wanted: string): [number, number] {
  const [, offset, bytes] = fields.find(([name]) => name === wanted)!
  return [offset, offset + bytes - 1]
}

function expectChangesWithin(before: Uint8Array, after: Uint8Array, allowed: readonly [number, number][], name: string): void {
  expect(after.length).toBe(before.length)
  const changed = [...before.keys()].filter((at) => before[at] !== after[at])
  expect(changed.filter((at) => !allowed.some(([first, last]) => at >= first && at <= last)), `${name} changes other bytes`).toEqual([])
  expect(changed.some((at) => at >= allowed[0]![0] && at <= allowed[0]![1]), `${name} is written`).toBe(true)
}
