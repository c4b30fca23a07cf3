/**
 * What a recovered directory holds, read by a parser of its own: the format's tables in code once more, so that a fault in
 * the library's reading cannot hide one in its writing. After recovery every segment is sealed; anything else is a violation.
 */

import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Disk } from '../../dist/src/disk/disk.js'
import type { Cursor } from '../../dist/src/format/trailer-layout.js'

/** What a promise of the log says, and this run has shown to be false. */
export class Violation extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'Violation'
  }
}

/** One sequence as it stands in the files. `data` undefined: aborted. */
export interface ImageEntry {
  readonly data: Buffer | undefined
  readonly ticks: bigint
}

/** What the files of a log hold. */
export interface LogImage {
  /** The first sequence, whether or not there is an entry. */
  readonly first: number
  /** The entries from there on, one a sequence. */
  readonly entries: ImageEntry[]
  /** The segments' file names, in order. */
  readonly names: readonly string[]
  /** The cursors of the last trailer that carries them. */
  readonly cursors: readonly Cursor[]
}

const HEADER = 128
const OVERHEAD = 28
/** In place of a number of cursors: they are as they were. */
const UNCHANGED = 0xffffffff

interface Reading {
  first: number | undefined
  readonly entries: ImageEntry[]
  cursors: readonly Cursor[]
  /** What came before the first file has been removed, or never was. */
  previousUuid: string | undefined
}

/** All that there is. Throws a {@link Violation} on anything that a sealed log must not hold. */
export function readImage(disk: Disk, directory: string): LogImage {
  const reading: Reading = { first: undefined, entries: [], cursors: [], previousUuid: undefined }
  const names: string[] = []
  for (const name of disk.list(directory).sort()) {
    const uuid = /^\d{14}-([0-9a-f]{32})\.wal$/.exec(name)?.[1]
    if (/^(reserve|[0-9a-f]{32}\.spare)$/.test(name)) continue
    if (uuid === undefined) throw new Violation(`a file that is no segment: ${name}`)
    names.push(name)
    const file = disk.open(join(directory, name), 'read')
    const bytes = Buffer.alloc(file.size())
    file.read(bytes, 0)
    file.close()
    try {
      readSegment(bytes, uuid, reading)
    } catch (error) {
      throw error instanceof Violation ? new Violation(`${name}: ${error.message}`) : error
    }
    reading.previousUuid = uuid
  }
  return { first: reading.first ?? 1, entries: reading.entries, names, cursors: reading.cursors }
}

function must(condition: boolean, what: string, offset: number): asserts condition {
  if (!condition) throw new Violation(`${what} (at byte ${offset})`)
}

const u64 = (bytes: Buffer, offset: number): number => Number(bytes.readBigUInt64LE(offset))

function readSegment(bytes: Buffer, uuid: string, reading: Reading): void {
  must(bytes.length >= HEADER && bytes.toString('latin1', 0, 4) === 'WAL!' && bytes.readUInt32LE(4) === 1, 'no header', 0)
  must(crc32(bytes.subarray(0, 124)) === bytes.readUInt32LE(124), 'the header has a wrong checksum', 124)
  must(bytes[56] === 1, 'not sealed after recovery', 56)
  must(u64(bytes, 48) === bytes.length, `${bytes.length} bytes, the header says ${u64(bytes, 48)}`, 48)
  reading.first ??= u64(bytes, 8)
  must(u64(bytes, 8) === lastOf(reading) + 1, `begins with ${u64(bytes, 8)}, expected ${lastOf(reading) + 1}`, 8)
  const read = readFrames(bytes, uuid, reading)
  must(u64(bytes, 16) === lastOf(reading), `ends with ${lastOf(reading)}, the header says ${u64(bytes, 16)}`, 16)
  must(u64(bytes, 40) === read.length, `${read.length} entries, the header says ${u64(bytes, 40)}`, 40)
  if (read.length === 0) return
  must(bytes.readBigInt64LE(24) === read[0]!.ticks, 'the header has another first timestamp', 24)
  must(bytes.readBigInt64LE(32) === read.at(-1)!.ticks, 'the header has another last timestamp', 32)
}

/** The last sequence read so far. */
function lastOf({ first, entries }: Reading): number {
  return first! + entries.length - 1
}

function readFrames(bytes: Buffer, uuid: string, reading: Reading): ImageEntry[] {
  const { entries, previousUuid } = reading
  const read: ImageEntry[] = []
  let ticks = entries.at(-1)?.ticks ?? 0n
  let batchStart = HEADER
  let isIndexed = false
  for (let at = HEADER; at < bytes.length;) {
    must(!isIndexed, 'something stands behind the index', at)
    must(bytes.length - at >= OVERHEAD && bytes.toString('latin1', at, at + 4) === 'MSG!', 'no frame', at)
    const length = bytes.readInt32LE(at + 4)
    must(length >= 0 && length <= bytes.length - at - OVERHEAD, `a frame of length ${length}`, at)
    const end = at + OVERHEAD + length
    must(crc32(bytes.subarray(at, end - 4)) === bytes.readUInt32LE(end - 4), 'a frame with a wrong checksum', at)
    must(bytes.readBigInt64LE(at + 16) >= ticks, 'a timestamp that falls', at)
    ticks = bytes.readBigInt64LE(at + 16)
    const sequence = u64(bytes, at + 8)
    const data = bytes.subarray(at + 24, end - 4)
    const letters = sequence === 0 ? data.toString('latin1', 0, 4) : 'entry'
    const next = lastOf(reading) + 1
    if (letters === 'entry') {
      must(sequence === next, `sequence ${sequence}, expected ${next}`, at)
      const entry = { data, ticks }
      entries.push(entry)
      read.push(entry)
    } else if (letters === 'ABT!') {
      must(u64(data, 4) === next, `aborts ${u64(data, 4)}, expected ${next}`, at)
      for (const last = u64(data, 12); lastOf(reading) < last;) entries.push({ data: undefined, ticks })
    } else if (letters === 'CMT!') {
      must(data.toString('hex', 8, 24) === uuid && u64(data, 24) === at, 'a trailer of another place', at)
      must(u64(data, 32) === batchStart && u64(data, 48) === next - 1, 'a trailer that does not fit its batch', at)
      must(previousUuid === undefined || data.toString('hex', 68, 84) === previousUuid, 'a trailer that names another previous segment', at)
      must(at > HEADER || data.readUInt32LE(84) !== UNCHANGED, 'a first trailer without cursors', at)
      if (data.readUInt32LE(84) !== UNCHANGED) reading.cursors = readCursors(data)
      batchStart = end
    } else {
      must(letters === 'IDX!' && batchStart === at, `a control frame ${letters} outside of a batch`, at)
      isIndexed = true
    }
    at = end
  }
  must(isIndexed, 'no index', bytes.length)
  return read
}

function readCursors(data: Buffer): Cursor[] {
  const cursors: Cursor[] = []
  for (let at = 88; at < data.length;) {
    const name = data.toString('utf8', at + 2, at + 2 + data.readUInt16LE(at))
    at += 2 + data.readUInt16LE(at)
    cursors.push({ name, sequence: u64(data, at), epoch: data.readUInt32LE(at + 8) })
    at += 12
  }
  return cursors
}
