/**
 * What a recovered directory holds, read by a parser of its own: the format's tables in code once more, so that a fault in
 * the library's reading cannot hide one in its writing. After recovery every segment is sealed; anything else is a violation.
 */

import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Disk } from '../../dist/src/disk/disk.js'

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
  /** Its segment has been removed. */
  readonly isRemoved?: boolean
}

const HEADER = 128
const OVERHEAD = 28

/** All sequences from 1 on. Throws a {@link Violation} on anything that a sealed log must not hold. */
export function readImage(disk: Disk, directory: string): ImageEntry[] {
  const entries: ImageEntry[] = []
  // What came before the first file has been removed, or never was.
  let previousUuid: string | undefined
  for (const name of disk.list(directory).sort()) {
    const uuid = /^\d{14}-([0-9a-f]{32})\.wal$/.exec(name)?.[1]
    if (/^(reserve|[0-9a-f]{32}\.spare)$/.test(name)) continue
    if (uuid === undefined) throw new Violation(`a file that is no segment: ${name}`)
    const file = disk.open(join(directory, name), 'read')
    const bytes = Buffer.alloc(file.size())
    file.read(bytes, 0)
    file.close()
    try {
      readSegment(bytes, uuid, previousUuid, entries)
    } catch (error) {
      throw error instanceof Violation ? new Violation(`${name}: ${error.message}`) : error
    }
    previousUuid = uuid
  }
  return entries
}

function must(condition: boolean, what: string, offset: number): asserts condition {
  if (!condition) throw new Violation(`${what} (at byte ${offset})`)
}

const u64 = (bytes: Buffer, offset: number): number => Number(bytes.readBigUInt64LE(offset))

function readSegment(bytes: Buffer, uuid: string, previousUuid: string | undefined, entries: ImageEntry[]): void {
  must(bytes.length >= HEADER && bytes.toString('latin1', 0, 4) === 'WAL!' && bytes.readUInt32LE(4) === 1, 'no header', 0)
  must(crc32(bytes.subarray(0, 124)) === bytes.readUInt32LE(124), 'the header has a wrong checksum', 124)
  must(bytes[56] === 1, 'not sealed after recovery', 56)
  must(u64(bytes, 48) === bytes.length, `${bytes.length} bytes, the header says ${u64(bytes, 48)}`, 48)
  if (previousUuid === undefined) for (const before = u64(bytes, 8) - 1; entries.length < before;) entries.push({ data: undefined, ticks: 0n, isRemoved: true })
  const first = entries.length + 1
  must(u64(bytes, 8) === first, `begins with ${u64(bytes, 8)}, expected ${first}`, 8)
  const read = readFrames(bytes, uuid, previousUuid, entries)
  must(u64(bytes, 16) === entries.length, `ends with ${entries.length}, the header says ${u64(bytes, 16)}`, 16)
  must(u64(bytes, 40) === read.length, `${read.length} entries, the header says ${u64(bytes, 40)}`, 40)
  if (read.length === 0) return
  must(bytes.readBigInt64LE(24) === read[0]!.ticks, 'the header has another first timestamp', 24)
  must(bytes.readBigInt64LE(32) === read.at(-1)!.ticks, 'the header has another last timestamp', 32)
}

function readFrames(bytes: Buffer, uuid: string, previousUuid: string | undefined, entries: ImageEntry[]): ImageEntry[] {
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
    if (letters === 'entry') {
      must(sequence === entries.length + 1, `sequence ${sequence}, expected ${entries.length + 1}`, at)
      const entry = { data, ticks }
      entries.push(entry)
      read.push(entry)
    } else if (letters === 'ABT!') {
      must(u64(data, 4) === entries.length + 1, `aborts ${u64(data, 4)}, expected ${entries.length + 1}`, at)
      for (const last = u64(data, 12); entries.length < last;) entries.push({ data: undefined, ticks })
    } else if (letters === 'CMT!') {
      must(data.toString('hex', 8, 24) === uuid && u64(data, 24) === at, 'a trailer of another place', at)
      must(u64(data, 32) === batchStart && u64(data, 48) === entries.length, 'a trailer that does not fit its batch', at)
      must(previousUuid === undefined || data.toString('hex', 68, 84) === previousUuid, 'a trailer that names another previous segment', at)
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
