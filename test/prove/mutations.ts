/** Changes of bytes that readers may meet: blind ones, and such that keep a checksum or a length right, so that what is behind them is reached. */

import { crc32 } from 'node:zlib'
import { below, type Random } from '../model/random.js'

const MAGIC = Buffer.from('MSG!')
const HEADER_BYTES = 128
const FRAME_DATA = 24
const CHECKSUM_BYTES = 4
const EDGES = [0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0xffffn, 0x7fffffffn, 0x80000000n, 0xfffffffen, 0xffffffffn, 1n << 32n, (1n << 53n) - 1n, 1n << 53n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n]
const WORDS = ['null', '[]', '{}', '-0', '1e999', '""', '"\\u0000"', 'true', '{"__proto__":1}', '9007199254740993', '-1', '[[', '"', '\\', '\ud800']

/** An integer at `offset`, little-endian, in as many bytes as fit. */
function writeEdge(bytes: Buffer, offset: number, random: Random): void {
  const width = [1, 2, 4, 8][below(random, 4)]!
  const near = BigInt(below(random, 3)) - 1n
  const value = below(random, 3) === 0 ? BigInt(bytes.length - offset) + near : EDGES[below(random, EDGES.length)]! + near
  for (let at = 0; at < width && offset + at < bytes.length; at++) bytes[offset + at] = Number((value >> BigInt(8 * at)) & 0xffn)
}

/** A few blind changes. */
export function mutate(bytes: Buffer, random: Random, other: Buffer): Buffer {
  let result = bytes
  for (let left = 1 + below(random, 3); left > 0; left--) result = mutateOnce(result, random, other)
  return result
}

function mutateOnce(bytes: Buffer, random: Random, other: Buffer): Buffer {
  const at = below(random, bytes.length + 1)
  const length = below(random, Math.min(64, bytes.length - at) + 1)
  switch (below(random, 9)) {
    case 0:
    case 1:
      if (at < bytes.length) bytes[at]! ^= 1 << below(random, 8)
      return bytes
    case 2:
      if (at < bytes.length) bytes[at] = below(random, 256)
      return bytes
    case 3:
    case 4:
      writeEdge(bytes, at, random)
      return bytes
    case 5:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
    case 6:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at)])
    case 7:
      return bytes.subarray(0, at)
    default: {
      const from = below(random, other.length + 1)
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + 1 + below(random, 256)), bytes.subarray(at + length)])
    }
  }
}

/** The checksum at the end of the frame at `offset`, made right for the length that it says it has; or else for all that is there. */
export function sealAt(bytes: Buffer, offset: number, end: number): void {
  if (end - offset < FRAME_DATA + CHECKSUM_BYTES) return
  const said = bytes.readInt32LE(offset + 4)
  const isFitting = said >= 0 && said <= end - offset - FRAME_DATA - CHECKSUM_BYTES
  const checksumAt = isFitting ? offset + FRAME_DATA + said : end - CHECKSUM_BYTES
  if (!isFitting) bytes.writeInt32LE(checksumAt - offset - FRAME_DATA, offset + 4)
  bytes.writeUInt32LE(crc32(bytes.subarray(offset, checksumAt)), checksumAt)
}

/** A frame by itself: changed, and in most cases sealed again. */
export function mutateFrame(bytes: Buffer, random: Random, other: Buffer): Buffer {
  const result = mutate(bytes, random, other)
  if (below(random, 4) > 0) sealAt(result, 0, result.length)
  return result
}

/** A segment's header: changed, and in most cases with its checksum made right. */
export function mutateHeader(bytes: Buffer, random: Random, other: Buffer): Buffer {
  const result = mutate(bytes, random, other)
  if (below(random, 4) > 0) sealHeader(result)
  return result
}

function sealHeader(bytes: Buffer): void {
  if (bytes.length >= HEADER_BYTES) bytes.writeUInt32LE(crc32(bytes.subarray(0, HEADER_BYTES - CHECKSUM_BYTES)), HEADER_BYTES - CHECKSUM_BYTES)
}

/** Text behind a marker of `markerBytes`: words of JSON put in, or in place of a value of the object, or of all. */
export function mutateText(bytes: Buffer, random: Random, other: Buffer, markerBytes: number): Buffer {
  const draw = below(random, 4)
  if (draw === 0) return mutate(bytes, random, other)
  const text = bytes.toString('utf8', markerBytes)
  const word = WORDS[below(random, WORDS.length)]!
  if (draw === 3) return Buffer.concat([bytes.subarray(0, markerBytes), Buffer.from(word)])
  if (draw === 1) {
    const at = below(random, text.length + 1)
    return Buffer.concat([bytes.subarray(0, markerBytes), Buffer.from(text.slice(0, at) + word + text.slice(at + below(random, 8)))])
  }
  const values = [...text.matchAll(/:("(?:[^"\\]|\\.)*"|-?[\d.]+|null|\{|\[)/g)]
  const value = values[below(random, values.length)]
  if (value === undefined) return bytes
  // The old value as the only element of an array looks like it when it is made a string.
  const put = below(random, 3) === 0 ? `[${value[1]}]` : word
  return Buffer.concat([bytes.subarray(0, markerBytes), Buffer.from(text.slice(0, value.index + 1) + put + text.slice(value.index + value[0].length))])
}

/** Where frames begin, by their letters. */
function framesOf(bytes: Buffer): number[] {
  const found: number[] = []
  for (let at = bytes.indexOf(MAGIC); at >= 0; at = bytes.indexOf(MAGIC, at + 1)) found.push(at)
  return found
}

/** A whole segment file: its header, one of its frames, or where they stand; and sometimes a chain of trailers that is right again. */
export function mutateSegment(bytes: Buffer, random: Random, other: Buffer): Buffer {
  const frames = framesOf(bytes)
  const draw = below(random, 10)
  if (draw === 0 || frames.length === 0) return mutate(bytes, random, other)
  if (draw <= 2) {
    writeEdge(bytes, below(random, HEADER_BYTES), random)
    if (below(random, 4) > 0) sealHeader(bytes)
    return bytes
  }
  const number = below(random, frames.length)
  const at = frames[number]!
  const end = frames[number + 1] ?? bytes.length
  let result = bytes
  if (draw <= 6) {
    const frame = bytes.subarray(at, end)
    writeEdge(frame, 4 + 4 * below(random, Math.max(1, Math.min(30, (frame.length >> 2) - 1))), random)
    if (below(random, 5) > 0) sealAt(bytes, at, end)
  } else if (draw === 7) {
    result = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
  } else {
    const from = framesOf(other)
    const start = from[below(random, from.length)] ?? 0
    const count = 1 + below(random, 4)
    const stop = from[from.indexOf(start) + count] ?? other.length
    result = Buffer.concat([bytes.subarray(0, at), other.subarray(start, stop), bytes.subarray(draw === 8 ? at : end)])
  }
  if (below(random, 3) === 0) chainAgain(result)
  return result
}

/** Makes every trailer tell its own place, its batch and the checksum before it, and the header the file's size. */
function chainAgain(bytes: Buffer): void {
  let before = 0
  let batchStart = HEADER_BYTES
  for (const at of framesOf(bytes)) {
    const length = bytes.length - at >= FRAME_DATA + 92 ? bytes.readInt32LE(at + 4) : -1
    const end = at + FRAME_DATA + length + CHECKSUM_BYTES
    if (length < 88 || end > bytes.length || bytes.toString('latin1', at + FRAME_DATA, at + FRAME_DATA + 4) !== 'CMT!') continue
    bytes.writeBigUInt64LE(BigInt(at), at + FRAME_DATA + 24)
    bytes.writeBigUInt64LE(BigInt(batchStart), at + FRAME_DATA + 32)
    bytes.writeUInt32LE(before, at + FRAME_DATA + 64)
    sealAt(bytes, at, end)
    before = bytes.readUInt32LE(end - CHECKSUM_BYTES)
    batchStart = end
  }
  if (bytes.length < HEADER_BYTES) return
  if (bytes[56] === 1) bytes.writeBigUInt64LE(BigInt(bytes.length), 48)
  sealHeader(bytes)
}
