/**
 * Writes the golden files beside it, byte by byte from the tables of the format, with nothing of the library. They were written
 * once and pin version 1: run this again only together with a change of the format.
 *
 * The first file is a sealed segment: batches, a group, an empty entry, entries that contain frames' letters, an aborted
 * frame, a gap, cursors in trailers, an index of two. The second is the open tail that follows it, with zeros behind.
 */

import { writeFileSync } from 'node:fs'

/** Ticks of 2024-02-03T04:05:06.789Z as .NET counts them: (new DateTime(2024, 2, 3, 4, 5, 6, 789)).Ticks. */
const BASE_TICKS = 638_425_299_067_890_000n
const BASE_MS = 1_706_933_106_789
const FIRST_UUID = '018d6d2438657a0bb1c2d3e4f5060708'
const SECOND_UUID = '018d6d2438667a0b8122334455667788'
const NO_UUID = '00'.repeat(16)
const SEALED_NAME = `20240203040506-${FIRST_UUID}.wal`
const OPEN_NAME = `20240203040506-${SECOND_UUID}.wal`

/** CRC-32/ISO-HDLC, one bit after the other, as its definition reads. */
function crc32(bytes) {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}

const u16 = (value) => { const bytes = Buffer.alloc(2); bytes.writeUInt16LE(value); return bytes }
const u32 = (value) => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); return bytes }
const u64 = (value) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(BigInt(value)); return bytes }
const letters = (text) => Buffer.from(text, 'latin1')
const uuid = (hex) => Buffer.from(hex, 'hex')
const sealedBy = (bytes) => Buffer.concat([bytes, u32(crc32(bytes))])

/** 'MSG!', length, sequence, timestamp, data, CRC. */
function frame(sequence, tick, data) {
  return sealedBy(Buffer.concat([letters('MSG!'), u32(data.length), u64(sequence), u64(BASE_TICKS + BigInt(tick)), data]))
}

function header({ first, last, firstTick, lastTick, count, size, sealed }) {
  const ticks = (tick) => u64(tick === undefined ? 0n : BASE_TICKS + BigInt(tick))
  const fields = [letters('WAL!'), u32(1), u64(first), u64(last), ticks(firstTick), ticks(lastTick), u64(count), u64(size), Buffer.from([sealed])]
  return sealedBy(Buffer.concat([...fields, Buffer.alloc(67)]))
}

function trailer(segment, tick, { first, last, durable, cursors }) {
  const names = (cursors ?? []).map(([name, sequence, epoch]) => {
    const bytes = Buffer.from(name, 'utf8')
    return Buffer.concat([u16(bytes.length), bytes, u64(sequence), u32(epoch)])
  })
  const bytes = frame(0, tick, Buffer.concat([
    letters('CMT!'), u32(0), uuid(segment.uuid), u64(segment.size), u64(segment.batchStart), u64(first), u64(last), u64(durable),
    u32(segment.trailerChecksum), uuid(segment.previous), u32(cursors === undefined ? 0xffffffff : cursors.length), ...names,
  ]))
  segment.lastTrailer = segment.size
  if (cursors !== undefined) segment.cursorTrailer = segment.size
  add(segment, bytes)
  segment.batchStart = segment.size
  segment.trailerChecksum = bytes.readUInt32LE(bytes.length - 4)
}

function segmentOf(id, previous) {
  return { uuid: id, previous, parts: [], size: 128, batchStart: 128, trailerChecksum: 0, lastTrailer: 0, cursorTrailer: 0 }
}

/** Adds bytes; returns the offset where they stand. */
function add(segment, bytes) {
  const offset = segment.size
  segment.parts.push(bytes)
  segment.size += bytes.length
  return offset
}

const range = (kind, first, last) => Buffer.concat([letters(kind), u64(first), u64(last)])

function sealedSegment() {
  const segment = segmentOf(FIRST_UUID, NO_UUID)
  trailer(segment, 0, { first: 1, last: 0, durable: 0, cursors: [] })
  const firstAt = add(segment, frame(1, 0, Buffer.from('first')))
  trailer(segment, 0, { first: 1, last: 1, durable: 0 })
  // A group of three, the middle one empty, in one batch with an entry that looks like a frame.
  add(segment, frame(2, 10_000, Buffer.from('{"group":1}')))
  add(segment, frame(3, 10_000, Buffer.alloc(0)))
  add(segment, frame(4, 10_000, Buffer.from('ünï ☃ 😀', 'utf8')))
  add(segment, frame(5, 10_001, frame(99, 5, Buffer.from('MSG!CMT!'))))
  trailer(segment, 10_001, { first: 2, last: 5, durable: 1, cursors: [['mailer', 1, 0], ['über', 0, 7]] })
  add(segment, frame(6, 20_000, Buffer.from('CMT!\0\0\0\0MSG!')))
  add(segment, frame(0, 20_000, range('ABT!', 7, 9)))
  const indexedAt = add(segment, frame(10, 20_500, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))))
  trailer(segment, 20_500, { first: 6, last: 10, durable: 5, cursors: [['mailer', 5, 0], ['über', 2, 8]] })
  add(segment, frame(0, 20_500, range('GAP!', 11, 11)))
  add(segment, frame(12, 2 ** 33, Buffer.from('after the gap')))
  trailer(segment, 2 ** 33, { first: 11, last: 12, durable: 10 })
  trailer(segment, 2 ** 33, { first: 13, last: 12, durable: 12 })
  const entries = [[1, 0, firstAt], [10, 20_500, indexedAt]].map(([sequence, tick, offset]) => Buffer.concat([u64(sequence), u64(BASE_TICKS + BigInt(tick)), u64(offset)]))
  const indexBytes = 28 + 40 + 24 * entries.length + 4
  add(segment, frame(0, 2 ** 33, Buffer.concat([
    letters('IDX!'), u32(entries.length), uuid(segment.uuid), u64(segment.lastTrailer), u64(segment.cursorTrailer), ...entries, u32(indexBytes),
  ])))
  const head = header({ first: 1, last: 12, firstTick: 0, lastTick: 2 ** 33, count: 8, size: segment.size, sealed: 1 })
  return Buffer.concat([head, ...segment.parts])
}

function openTail() {
  const segment = segmentOf(SECOND_UUID, FIRST_UUID)
  trailer(segment, 2 ** 33, { first: 13, last: 12, durable: 12, cursors: [['mailer', 5, 0], ['über', 2, 8]] })
  add(segment, frame(13, 2 ** 33, Buffer.from('in the tail')))
  add(segment, frame(14, 2 ** 33 + 1, Buffer.alloc(300, 0xa5)))
  trailer(segment, 2 ** 33 + 1, { first: 13, last: 14, durable: 12 })
  add(segment, frame(15, 2 ** 33 + 2, Buffer.from('written, not known durable')))
  trailer(segment, 2 ** 33 + 2, { first: 15, last: 15, durable: 14 })
  const head = header({ first: 13, last: 12, count: 0, size: 0, sealed: 0 })
  const bytes = Buffer.concat([head, ...segment.parts])
  return Buffer.concat([bytes, Buffer.alloc(4096 - bytes.length)])
}

/** The golden files: name and bytes. */
export function goldenFiles() {
  if (Number.parseInt(FIRST_UUID.slice(0, 12), 16) !== BASE_MS || Number.parseInt(SECOND_UUID.slice(0, 12), 16) !== BASE_MS + 1) {
    throw new Error('the names do not tell the time they should')
  }
  return [[SEALED_NAME, sealedSegment()], [OPEN_NAME, openTail()]]
}

if (process.argv[1] === import.meta.filename) {
  for (const [name, bytes] of goldenFiles()) writeFileSync(new URL(name, import.meta.url), bytes)
}
