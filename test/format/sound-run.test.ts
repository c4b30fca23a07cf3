/** Many frames checked by one checksum: what is found valid so is valid one by one, and one damaged bit is always seen. */

import { crc32 as zlibCrc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { MAX_SHIFT_BYTES, shiftCrc } from '../../dist/src/format/crc32.js'
import { checkFrame, FRAME_OVERHEAD, sealFrame, soundRun, writeFrameHeader } from '../../dist/src/format/frame-layout.js'
import { below, runSeed, seededRandom, type Random } from '../model/random.js'

const TICK_BASE = 148_849_000

function framesOf(sizes: readonly number[], random: Random): { bytes: Buffer; view: DataView } {
  const bytes = Buffer.alloc(sizes.reduce((sum, size) => sum + FRAME_OVERHEAD + size, 0))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 0
  for (const [index, size] of sizes.entries()) {
    writeFrameHeader(view, at, size, index + 1, index, TICK_BASE)
    for (let byte = 0; byte < size; byte++) bytes[at + 24 + byte] = below(random, 256)
    sealFrame(bytes, view, at, size)
    at += FRAME_OVERHEAD + size
  }
  return { bytes, view }
}

/** How far frames are valid, each by its own checksum. */
function oneByOne(bytes: Buffer, view: DataView, end: number): number {
  let at = 0
  for (let size = checkFrame(bytes, view, 0, end, end); typeof size === 'number'; size = checkFrame(bytes, view, at, end, end - at)) at += size
  return at
}

test('a checksum is moved past any number of bytes as zlib has it', () => {
  const seed = runSeed()
  console.log(`shiftCrc SEED=${seed}`)
  const random = seededRandom(seed)
  const before = Buffer.from(Array.from({ length: 50 }, () => below(random, 256)))
  const after = Buffer.from(Array.from({ length: MAX_SHIFT_BYTES }, () => below(random, 256)))
  const wrong: number[] = []
  for (let bytes = 0; bytes <= MAX_SHIFT_BYTES; bytes++) {
    const behind = after.subarray(0, bytes)
    if (((shiftCrc(zlibCrc32(before), bytes) ^ zlibCrc32(behind)) >>> 0) !== zlibCrc32(Buffer.concat([before, behind]))) wrong.push(bytes)
  }
  expect(wrong).toEqual([])
})

test('whole frames are one run; one that is cut, too large or no frame ends it', () => {
  const random = seededRandom(1)
  const { bytes, view } = framesOf([0, 1, 104, 1000, MAX_SHIFT_BYTES - FRAME_OVERHEAD, 7, MAX_SHIFT_BYTES - FRAME_OVERHEAD + 1, 5], random)
  const large = bytes.length - 2 * FRAME_OVERHEAD - 5 - (MAX_SHIFT_BYTES - FRAME_OVERHEAD + 1)
  expect(soundRun(bytes, view, 0, bytes.length)).toBe(large)
  expect(soundRun(bytes, view, large, bytes.length)).toBe(0)
  expect(soundRun(bytes, view, large + MAX_SHIFT_BYTES + 1, bytes.length)).toBe(FRAME_OVERHEAD + 5)
  expect(soundRun(bytes, view, 0, large - 1)).toBe(large - FRAME_OVERHEAD - 7)
  expect(soundRun(bytes, view, 0, 20)).toBe(0)
  view.setInt32(large - FRAME_OVERHEAD - 7 + 4, -1, true)
  expect(soundRun(bytes, view, 0, bytes.length)).toBe(large - FRAME_OVERHEAD - 7)
})

test('every flipped bit of a run is seen', () => {
  const random = seededRandom(2)
  const { bytes, view } = framesOf([104, 3, 60, 0, 17], random)
  const missed: number[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    // A damaged length or magic may end the run before; what is in it is valid then.
    const run = soundRun(bytes, view, 0, bytes.length)
    if (run > oneByOne(bytes, view, bytes.length) || run > (bit >> 3)) missed.push(bit)
    bytes[bit >> 3]! ^= 1 << (bit & 7)
  }
  expect(missed).toEqual([])
  expect(soundRun(bytes, view, 0, bytes.length)).toBe(bytes.length)
})

test('whatever is done to frames, a run is never longer than they are valid one by one', () => {
  const seed = runSeed()
  console.log(`soundRun SEED=${seed}`)
  const random = seededRandom(seed)
  for (let round = 0; round < 3000; round++) {
    const { bytes, view } = framesOf(Array.from({ length: 1 + below(random, 12) }, () => below(random, 200)), random)
    const isWhole = below(random, 4) === 0
    for (let changes = isWhole ? 0 : 1 + below(random, 3); changes > 0; changes--) {
      const from = below(random, bytes.length)
      const to = Math.min(bytes.length, from + 1 + below(random, 64))
      if (below(random, 2) === 0) bytes.copyWithin(from, below(random, bytes.length), bytes.length)
      else for (let at = from; at < to; at++) bytes[at] = below(random, 256)
    }
    const run = soundRun(bytes, view, 0, bytes.length)
    const valid = oneByOne(bytes, view, bytes.length)
    expect(run === 0 || run <= valid, `round ${round}: ${run} of ${valid}`).toBe(true)
    if (isWhole) expect(run).toBe(bytes.length)
  }
})

test('what is no frame ends a run, also where its checksum is right', () => {
  const random = seededRandom(1)
  const { bytes, view } = framesOf([10, 20, 30], random)
  const second = FRAME_OVERHEAD + 10
  const end = second + FRAME_OVERHEAD + 20
  bytes.writeUInt32LE(0x21474d53, second)
  bytes.writeUInt32LE(zlibCrc32(bytes.subarray(second, end - 4)), end - 4)
  expect(soundRun(bytes, view, 0, bytes.length)).toBe(second)
})
