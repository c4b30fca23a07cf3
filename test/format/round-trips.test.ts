/** Whatever is encoded decodes to the same; whatever is not exactly that is refused. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { controlKind, decodeRange, encodeRange, RANGE_FRAME_BYTES } from '../../dist/src/format/control-layout.js'
import { checkFrame, FRAME_DATA, frameChecksum, frameSequence, frameTicks, sealFrame } from '../../dist/src/format/frame-layout.js'
import { decodeIndex, encodeIndex, type IndexEntry } from '../../dist/src/format/index-layout.js'
import { decodeSegmentHeader, encodeSegmentHeader, tailHeader, type SegmentHeader } from '../../dist/src/format/segment-layout.js'
import { decodeTrailer, encodeTrailer, MAX_CURSORS, type Cursor, type Trailer } from '../../dist/src/format/trailer-layout.js'
import { runSeed } from '../model/random.js'

const SEED = runSeed()
const RUNS = { seed: SEED, numRuns: 500 }
console.log(`format round trips SEED=${SEED}`)

const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 })
const i64 = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((text) => Buffer.byteLength(text) <= 255)
const cursor: fc.Arbitrary<Cursor> = fc.record({ name, sequence: fc.maxSafeNat(), epoch: fc.integer({ min: 0, max: 2 ** 32 - 1 }) })
const trailer: fc.Arbitrary<Trailer> = fc.record({
  segmentUuid: uuid, previousUuid: uuid, offset: fc.integer({ min: 128, max: 2 ** 40 }), previousChecksum: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  sequences: fc.tuple(fc.integer({ min: 1, max: 2 ** 52 }), fc.nat(2 ** 20), fc.nat(2 ** 20)), back: fc.nat(2 ** 41),
  cursors: fc.option(fc.array(cursor, { maxLength: 8 }), { nil: undefined }),
}).map(({ sequences: [first, more, undurable], back, ...rest }) => ({
  ...rest, batchStart: Math.max(128, rest.offset - back), firstSequence: first, lastSequence: first - 1 + more,
  durableSequence: Math.max(0, first - 1 + more - undurable),
}))
const header: fc.Arbitrary<SegmentHeader> = fc.record({
  firstSequence: fc.integer({ min: 1, max: 2 ** 52 }), more: fc.nat(2 ** 32), firstTicks: i64, lastTicks: i64, missing: fc.nat(2 ** 32),
  bytes: fc.integer({ min: 128, max: 2 ** 53 - 1 }), sealed: fc.boolean(),
}).map(({ more, missing, ...rest }) => ({ ...rest, lastSequence: rest.firstSequence - 1 + more, entryCount: Math.max(0, more - missing) }))
const index = fc.record({ uuid, fileOffset: fc.integer({ min: 2 ** 20, max: 2 ** 40 }), steps: fc.array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 28, max: 1000 }), fc.nat(2 ** 31)), { maxLength: 50 }) })
  .map(({ steps, ...rest }) => {
    const entries: IndexEntry[] = []
    let last: IndexEntry = { sequence: 1, ticks: 5n, offset: 128 }
    for (const [more, bytes, later] of steps) {
      last = { sequence: last.sequence + more, ticks: last.ticks + BigInt(later), offset: last.offset + bytes }
      entries.push(last)
    }
    return { ...rest, index: { lastTrailerOffset: 200, cursorTrailerOffset: 128, entries } }
  })

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

test('a segment header comes back as it was', () => {
  fc.assert(fc.property(header, (given) => {
    expect(decodeSegmentHeader(encodeSegmentHeader(given))).toEqual(given)
  }), RUNS)
  expect(decodeSegmentHeader(encodeSegmentHeader(tailHeader(77)))).toEqual(tailHeader(77))
})

test('a trailer comes back as it was, cursors included, wherever it stands in a buffer', () => {
  fc.assert(fc.property(trailer, fc.maxSafeNat(), fc.nat(20), (given, ticks, at) => {
    const encoded = encodeTrailer(given, ticks, 1000)
    const bytes = new Uint8Array(at + encoded.length)
    bytes.set(encoded, at)
    const view = viewOf(bytes)
    expect(checkFrame(bytes, view, at, bytes.length, encoded.length)).toBe(encoded.length)
    expect([controlKind(view, at, encoded.length), frameSequence(view, at), frameTicks(view, at)]).toEqual(['trailer', 0, (1000n << 32n) + BigInt(ticks)])
    expect(decodeTrailer(bytes, view, at, encoded.length, given.offset, given.segmentUuid)).toEqual(given)
  }), RUNS)
})

test('the most cursors, with the longest names, come back', () => {
  const cursors = Array.from({ length: MAX_CURSORS }, (_, number) => ({ name: String(number).padStart(255, 'x'), sequence: number, epoch: number }))
  const given: Trailer = {
    segmentUuid: new Uint8Array(16), previousUuid: new Uint8Array(16), offset: 128, batchStart: 128, firstSequence: 1, lastSequence: 0, durableSequence: 0, previousChecksum: 0, cursors,
  }
  const bytes = encodeTrailer(given, 0, 0)
  expect(decodeTrailer(bytes, viewOf(bytes), 0, bytes.length, 128, given.segmentUuid)).toEqual(given)
  const tooMany = encodeTrailer({ ...given, cursors: [...cursors, { name: 'y', sequence: 1, epoch: 0 }] }, 0, 0)
  expect(decodeTrailer(tooMany, viewOf(tooMany), 0, tooMany.length, 128, given.segmentUuid)).toBeUndefined()
})

test('a range comes back as it was', () => {
  fc.assert(fc.property(fc.constantFrom('aborted' as const, 'gap' as const), fc.integer({ min: 1, max: 2 ** 52 }), fc.nat(2 ** 40), (kind, first, more) => {
    const bytes = encodeRange(kind, first, first + more, 1, 2)
    expect(controlKind(viewOf(bytes), 0, bytes.length)).toBe(kind)
    expect(decodeRange(viewOf(bytes), 0, bytes.length)).toEqual({ first, last: first + more })
  }), RUNS)
  for (const [first, last] of [[0, 0], [0, 1], [2, 1]]) {
    const bytes = encodeRange('aborted', first!, last!, 1, 2)
    expect(decodeRange(viewOf(bytes), 0, bytes.length)).toBeUndefined()
  }
  expect(decodeRange(viewOf(encodeRange('gap', 1, 1, 1, 2)), 0, RANGE_FRAME_BYTES + 1)).toBeUndefined()
})

test('an index comes back as it was', () => {
  fc.assert(fc.property(index, (given) => {
    const bytes = encodeIndex(given.uuid, given.index, 3, 4)
    expect(controlKind(viewOf(bytes), 0, bytes.length)).toBe('index')
    expect(decodeIndex(bytes, viewOf(bytes), 0, bytes.length, given.fileOffset, given.uuid)).toEqual(given.index)
  }), RUNS)
})

test('every single byte that is changed in a header or a control frame is seen', () => {
  const id = new Uint8Array(16).fill(7)
  const cursors = [{ name: 'ü', sequence: 3, epoch: 1 }]
  const frames = [
    encodeTrailer({ segmentUuid: id, previousUuid: id, offset: 300, batchStart: 200, firstSequence: 4, lastSequence: 9, durableSequence: 3, previousChecksum: 5, cursors }, 9, 9),
    encodeIndex(id, { lastTrailerOffset: 300, cursorTrailerOffset: 128, entries: [{ sequence: 1, ticks: 1n, offset: 244 }] }, 9, 9),
    encodeRange('aborted', 4, 5, 9, 9),
  ]
  for (const bytes of frames) {
    forEachChange(bytes, (changed) => expect(typeof checkFrame(changed, viewOf(changed), 0, changed.length, changed.length)).toBe('string'))
  }
  forEachChange(encodeSegmentHeader({ ...tailHeader(5), bytes: 500, lastSequence: 5, entryCount: 1, sealed: true }), (changed) => {
    expect(typeof decodeSegmentHeader(changed)).toBe('string')
  })
})

function forEachChange(bytes: Uint8Array, check: (changed: Uint8Array) => void): void {
  for (let at = 0; at < bytes.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = bytes.slice()
      changed[at]! ^= flip
      check(changed)
    }
  }
}

test('a trailer with a sound checksum that does not belong where it stands is refused', () => {
  fc.assert(fc.property(trailer, uuid, fc.integer({ min: 1, max: 1000 }), (given, other, moved) => {
    fc.pre(Buffer.compare(other, given.segmentUuid) !== 0)
    const bytes = encodeTrailer(given, 1, 1)
    expect(decodeTrailer(bytes, viewOf(bytes), 0, bytes.length, given.offset + moved, given.segmentUuid)).toBeUndefined()
    expect(decodeTrailer(bytes, viewOf(bytes), 0, bytes.length, given.offset, other)).toBeUndefined()
  }), RUNS)
})

test('control data that was changed and sealed again decodes to what is sound, or not at all', () => {
  fc.assert(fc.property(trailer, fc.nat(), fc.nat(255), (given, place, value) => {
    const bytes = encodeTrailer(given, 1, 1)
    const dataBytes = bytes.length - 28
    bytes[FRAME_DATA + (place % dataBytes)] = value
    sealFrame(bytes, viewOf(bytes), 0, dataBytes)
    const decoded = decodeTrailer(bytes, viewOf(bytes), 0, bytes.length, given.offset, given.segmentUuid)
    if (decoded === undefined) return
    expect(decoded.batchStart >= 128 && decoded.batchStart <= given.offset && decoded.firstSequence >= 1).toBe(true)
    expect(decoded.lastSequence >= decoded.firstSequence - 1 && decoded.durableSequence <= decoded.lastSequence).toBe(true)
    for (const { name: text, sequence } of decoded.cursors ?? []) expect(Number.isSafeInteger(sequence) && text.length >= 1).toBe(true)
    expect(frameChecksum(viewOf(bytes), 0, bytes.length)).toBe(bytes.length < 28 ? 0 : viewOf(bytes).getUint32(bytes.length - 4, true))
  }), { seed: SEED, numRuns: 2000 })
})
