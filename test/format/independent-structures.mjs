/** The single structures of a segment file, for the independent parser: name, header, frame, trailer, index. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { crc32 } from 'node:zlib'

/** Bytes of a segment's header. */
export const HEADER_BYTES = 128
const OVERHEAD = 28
const WINDOW_BYTES = 4 << 20
const NOT_REPEATED = 0xffffffff
/** Ticks of 100 ns from 0001-01-01 to 1970-01-01, as .NET's `DateTime.UnixEpoch.Ticks` says. */
export const UNIX_EPOCH_TICKS = 621_355_968_000_000_000n

/** A rule that a file breaks: which, and where. */
export class FormatError extends Error {
  constructor(file, offset, rule) {
    super(`${rule}, at byte ${offset} of ${file}`)
    this.name = 'FormatError'
    this.file = file
    this.offset = offset
    this.rule = rule
  }
}

/** Bytes of a file, wherever they are asked for. What was handed out stays as it is. */
export class ByteSource {
  #fd
  #window = Buffer.alloc(0)
  #start = 0

  constructor(path) {
    this.#fd = openSync(path, 'r')
    this.size = fstatSync(this.#fd).size
  }

  /** Exactly `length` bytes from `offset` on; the caller has checked that the file has them. */
  at(offset, length) {
    if (offset < this.#start || offset + length > this.#start + this.#window.length) {
      const window = Buffer.allocUnsafeSlow(Math.min(this.size - offset, Math.max(length, WINDOW_BYTES)))
      for (let done = 0; done < window.length;) {
        const count = readSync(this.#fd, window, done, window.length - done, offset + done)
        if (count === 0) throw new Error('the file has become shorter while it was read')
        done += count
      }
      this.#window = window
      this.#start = offset
    }
    return this.#window.subarray(offset - this.#start, offset - this.#start + length)
  }

  close() {
    closeSync(this.#fd)
  }
}

/** The parts of a segment's file name, or undefined when it is none. */
export function parseName(name) {
  const match = /^(\d{14})-([0-9a-f]{32})\.wal$/.exec(name)
  if (match === null) return undefined
  const [, stamp, uuid] = match
  const createdMs = Number.parseInt(uuid.slice(0, 12), 16)
  const isUuid7 = uuid[12] === '7' && '89ab'.includes(uuid[16])
  const isSameTime = new Date(createdMs).toISOString().replace(/[-:T]/g, '').slice(0, 14) === stamp
  return isUuid7 && isSameTime ? { name, uuid, createdMs } : undefined
}

/** The header of a segment. */
export function parseHeader(source, path) {
  const must = (holds, offset, rule) => {
    if (!holds) throw new FormatError(path, offset, rule)
  }
  must(source.size >= HEADER_BYTES, 0, 'a segment has a header of 128 bytes')
  const bytes = source.at(0, HEADER_BYTES)
  must(bytes.toString('latin1', 0, 4) === 'WAL!', 0, 'a segment begins with WAL!')
  must(bytes.readUInt32LE(4) === 1, 4, 'the version is 1')
  must(crc32(bytes.subarray(0, 124)) === bytes.readUInt32LE(124), 124, 'the header has its checksum')
  must(bytes.subarray(57, 124).every((byte) => byte === 0), 57, 'what is reserved is zero')
  must(bytes[56] === 0 || bytes[56] === 1, 56, 'the sealed flag is 0 or 1')
  return {
    firstSequence: number(bytes, 8),
    lastSequence: number(bytes, 16),
    firstTicks: bytes.readBigInt64LE(24),
    lastTicks: bytes.readBigInt64LE(32),
    entryCount: number(bytes, 40),
    bytes: number(bytes, 48),
    sealed: bytes[56] === 1,
  }
}

/** A u64; NaN beyond 2^53 - 1. */
export function number(bytes, offset) {
  const value = Number(bytes.readBigUInt64LE(offset))
  return Number.isSafeInteger(value) ? value : Number.NaN
}

/** The frame at an offset, all but its meaning checked. */
export function parseFrame(source, path, offset, previousTicks) {
  const must = (holds, at, rule) => {
    if (!holds) throw new FormatError(path, offset + at, rule)
  }
  const left = source.size - offset
  must(left >= OVERHEAD, 0, 'frames fill the file to its end')
  const head = source.at(offset, 24)
  must(head.toString('latin1', 0, 4) === 'MSG!', 0, 'a frame begins with MSG!')
  const length = head.readInt32LE(4)
  must(length >= 0 && length <= left - OVERHEAD, 4, 'a frame ends within the file')
  const bytes = source.at(offset, OVERHEAD + length)
  must(crc32(bytes.subarray(0, 24 + length)) === bytes.readUInt32LE(24 + length), 24 + length, 'a frame has its checksum')
  const ticks = bytes.readBigInt64LE(16)
  must(ticks >= previousTicks, 16, 'timestamps do not fall')
  return { offset, size: bytes.length, sequence: number(bytes, 8), ticks, data: bytes.subarray(24, 24 + length), checksum: bytes.readUInt32LE(24 + length) }
}

/** The index frame that the footer at the end of a sealed file points to, parsed. */
export function parseIndex(source, path, uuid) {
  const must = (holds, offset, rule) => {
    if (!holds) throw new FormatError(path, offset, rule)
  }
  const footerAt = source.size - 8
  must(footerAt >= HEADER_BYTES, 0, 'a sealed segment ends with an index')
  const size = source.at(footerAt, 8).readUInt32LE(0)
  const offset = source.size - size
  must(offset >= HEADER_BYTES && size >= OVERHEAD + 44, footerAt, 'the footer tells the size of the index frame')
  const { sequence, data } = parseFrame(source, path, offset, 0n)
  must(sequence === 0 && data.toString('latin1', 0, 4) === 'IDX!' && data.length + OVERHEAD === size, offset, 'the last frame is the index')
  must(data.toString('hex', 8, 24) === uuid, offset + 32, 'the index names its segment')
  const count = data.readUInt32LE(4)
  must(data.length === 40 + 24 * count + 4, offset + 28, 'the entries fill the index exactly')
  const entries = Array.from({ length: count }, (_, index) => {
    const at = 40 + 24 * index
    return { sequence: number(data, at), ticks: data.readBigInt64LE(at + 8), offset: number(data, at + 16) }
  })
  return { offset, lastTrailer: number(data, 24), cursorTrailer: number(data, 32), entries }
}

/** The trailer in a frame, its fields not yet compared with anything. */
export function parseTrailer({ offset, data }, path) {
  const must = (holds, at, rule) => {
    if (!holds) throw new FormatError(path, offset + 24 + at, rule)
  }
  must(data.length >= 88 && data.readUInt32LE(4) === 0, 4, 'a trailer has its fixed part')
  const count = data.readUInt32LE(84)
  let cursors
  let at = 88
  if (count !== NOT_REPEATED) {
    must(count <= 4096, 84, 'there are at most 4096 cursors')
    cursors = []
    for (let index = 0; index < count; index++) {
      must(data.length - at >= 2, at, 'the cursors fit the trailer')
      const length = data.readUInt16LE(at)
      must(length >= 1 && length <= 255 && data.length - at >= 14 + length, at, 'a cursor has a name of 1 to 255 bytes')
      const name = data.toString('utf8', at + 2, at + 2 + length)
      cursors.push({ name, sequence: number(data, at + 2 + length), epoch: data.readUInt32LE(at + 10 + length) })
      at += 14 + length
    }
  }
  must(at === data.length, at, 'the cursors fill the trailer exactly')
  return {
    uuid: data.toString('hex', 8, 24), offset: number(data, 24), batchStart: number(data, 32), first: number(data, 40), last: number(data, 48),
    durable: number(data, 56), previousChecksum: data.readUInt32LE(64), previousUuid: data.toString('hex', 68, 84), cursors,
  }
}
