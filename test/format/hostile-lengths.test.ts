/** A length is checked against its limit and against what remains before anything is allocated or skipped. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { encodeRange } from '../../dist/src/format/control-layout.js'
import { checkFrame, frameSize, MAX_FRAME_DATA_BYTES, sealFrame } from '../../dist/src/format/frame-layout.js'
import { decodeIndex, encodeIndex } from '../../dist/src/format/index-layout.js'
import { createSegmentName } from '../../dist/src/format/segment-name.js'
import { decodeSegmentHeader, encodeSegmentHeader, tailHeader } from '../../dist/src/format/segment-layout.js'
import { decodeTrailer, encodeTrailer, type Trailer } from '../../dist/src/format/trailer-layout.js'
import { readIndex } from '../../dist/src/segment/sealed-index.js'
import { scanSegment } from '../../dist/src/segment/scan.js'

const ID = new Uint8Array(16).fill(9)
const TRAILER: Trailer = {
  segmentUuid: ID, previousUuid: ID, offset: 128, batchStart: 128, firstSequence: 1, lastSequence: 0, durableSequence: 0, previousChecksum: 0, cursors: [{ name: 'abc', sequence: 0, epoch: 0 }],
}
/** As i32: negative, beyond the project's limit, beyond the file, beyond by one. */
const LENGTHS = [-1, -28, -(2 ** 31), 2 ** 31 - 1, MAX_FRAME_DATA_BYTES, MAX_FRAME_DATA_BYTES + 1, 4096, 21]

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-hostile-'))
})

afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true })
})

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** What `act` allocates at most at once, by any of Buffer's ways. */
function largestAllocation(act: () => void): number {
  let largest = 0
  for (const way of ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const) {
    const original = Buffer[way].bind(Buffer)
    vi.spyOn(Buffer, way).mockImplementation((size: number) => {
      largest = Math.max(largest, size)
      return original(size) as never
    })
  }
  act()
  vi.restoreAllMocks()
  return largest
}

test('a frame whose length is negative, huge or beyond the end is refused by its length', () => {
  const bytes = encodeRange('gap', 1, 1, 0, 0)
  for (const length of LENGTHS) {
    viewOf(bytes).setInt32(4, length, true)
    expect(frameSize(viewOf(bytes), 0, bytes.length, bytes.length), String(length)).toBe('length')
    expect(checkFrame(bytes, viewOf(bytes), 0, bytes.length, bytes.length), String(length)).toBe('length')
  }
  viewOf(bytes).setInt32(4, 20, true)
  expect(checkFrame(bytes, viewOf(bytes), 0, bytes.length, bytes.length)).toBe(bytes.length)
})

test('scanning a file with a hostile length allocates no more than a window, and ends the chain there', () => {
  const name = createSegmentName(1)
  const start = Buffer.concat([encodeSegmentHeader(tailHeader(1)), encodeTrailer({ ...TRAILER, segmentUuid: name.uuid, cursors: [] }, 0, 0)])
  for (const length of LENGTHS) {
    const frame = encodeRange('gap', 1, 1, 0, 0)
    viewOf(frame).setInt32(4, length, true)
    const path = join(directory, name.name)
    writeFileSync(path, Buffer.concat([start, frame]))
    const file = nodeDisk.open(path, 'read')
    const largest = largestAllocation(() => expect(scanSegment(file, name.uuid, file.size())).toMatchObject({ fault: 'length', faultOffset: start.length, endOffset: start.length }))
    file.close()
    expect(largest).toBeLessThanOrEqual(2 << 20)
  }
})

test('an index whose footer lies about its size is refused before anything of that size is read', () => {
  const frame = encodeIndex(ID, { lastTrailerOffset: 128, cursorTrailerOffset: 128, entries: [] }, 0, 0)
  const path = join(directory, 'segment')
  for (const size of [0, 1, 71, 73, frame.length + 1, 2 ** 31, 2 ** 32 - 1]) {
    const bytes = frame.slice()
    viewOf(bytes).setUint32(bytes.length - 8, size, true)
    sealFrame(bytes, viewOf(bytes), 0, bytes.length - 28)
    writeFileSync(path, Buffer.concat([Buffer.alloc(200), bytes]))
    const file = nodeDisk.open(path, 'read')
    const largest = largestAllocation(() => expect(readIndex(file, file.size(), ID)).toBeUndefined())
    file.close()
    expect(largest).toBeLessThan(300)
  }
})

test('an index or a trailer that counts more than it holds is refused', () => {
  for (const count of [1, 2, 1000, 2 ** 31, 2 ** 32 - 1]) {
    const index = encodeIndex(ID, { lastTrailerOffset: 128, cursorTrailerOffset: 128, entries: [] }, 0, 0)
    viewOf(index).setUint32(24 + 4, count, true)
    expect(decodeIndex(index, viewOf(index), 0, index.length, 300, ID)).toBeUndefined()
  }
  for (const count of [0, 2, 3, 4096, 4097, 2 ** 32 - 2, 2 ** 32 - 1]) {
    const trailer = encodeTrailer(TRAILER, 0, 0)
    viewOf(trailer).setUint32(24 + 84, count, true)
    expect(decodeTrailer(trailer, viewOf(trailer), 0, trailer.length, 128, ID), String(count)).toBeUndefined()
  }
})

test('a cursor whose name is empty, too long or beyond the trailer is refused', () => {
  for (const length of [0, 2, 4, 256, 65_535]) {
    const trailer = encodeTrailer(TRAILER, 0, 0)
    viewOf(trailer).setUint16(24 + 88, length, true)
    expect(decodeTrailer(trailer, viewOf(trailer), 0, trailer.length, 128, ID), String(length)).toBeUndefined()
  }
})

test('a cursor whose name is no UTF-8 is refused: two such names could read as one', () => {
  for (const byte of [0x80, 0xc0, 0xff]) {
    const trailer = encodeTrailer(TRAILER, 0, 0)
    trailer[24 + 90] = byte
    expect(decodeTrailer(trailer, viewOf(trailer), 0, trailer.length, 128, ID), String(byte)).toBeUndefined()
  }
})

test('numbers beyond 2^53 in a header, trailer or index are refused, not rounded', () => {
  const header = encodeSegmentHeader({ ...tailHeader(1), lastSequence: 1, entryCount: 1, bytes: 500, sealed: true })
  const fields = [8, 16, 40, 48]
  for (const at of fields) {
    const bytes = header.slice()
    viewOf(bytes).setBigUint64(at, 2n ** 63n + 2n ** 53n, true)
    sealHeader(bytes)
    expect(decodeSegmentHeader(bytes), `header byte ${at}`).toBe('fields')
  }
  for (const at of [24, 32, 40, 48, 56, 88 + 5]) {
    const bytes = encodeTrailer(TRAILER, 0, 0)
    viewOf(bytes).setBigUint64(24 + at, 2n ** 60n, true)
    expect(decodeTrailer(bytes, viewOf(bytes), 0, bytes.length, 128, ID), `trailer byte ${at}`).toBeUndefined()
  }
  for (const at of [24, 32, 40, 56]) {
    const bytes = encodeIndex(ID, { lastTrailerOffset: 128, cursorTrailerOffset: 128, entries: [{ sequence: 1, ticks: 1n, offset: 244 }] }, 0, 0)
    viewOf(bytes).setBigUint64(24 + at, 2n ** 60n, true)
    expect(decodeIndex(bytes, viewOf(bytes), 0, bytes.length, 300, ID), `index byte ${at}`).toBeUndefined()
  }
})

test('a header of another version is told from damage', () => {
  const bytes = encodeSegmentHeader(tailHeader(1))
  viewOf(bytes).setUint32(4, 2, true)
  expect(decodeSegmentHeader(bytes)).toBe('checksum')
  sealHeader(bytes)
  expect(decodeSegmentHeader(bytes)).toBe('version')
})

function sealHeader(bytes: Uint8Array): void {
  const copy = new Uint8Array(128 + 4)
  copy.set(bytes.subarray(0, 124))
  sealFrame(copy, viewOf(copy), 0, 124 - 24)
  bytes.set(copy.subarray(124, 128), 124)
}

test('where not even a magic and a length are left, zeros are zeros if a magic could stand there, and all else is short', () => {
  for (const byte of [0, 1]) {
    const bytes = new Uint8Array(16).fill(byte)
    const faults = Array.from({ length: 10 }, (_, left) => frameSize(viewOf(bytes), 2, 2 + left, left))
    const whole = byte === 0 ? 'zeros' : 'magic'
    const short = byte === 0 ? 'zeros' : 'short'
    expect(faults).toEqual(['short', 'short', 'short', 'short', short, short, short, short, whole, whole])
  }
})
