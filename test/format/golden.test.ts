import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { encodeRange } from '../../dist/src/format/control-layout.js'
import { decodeIndex, encodeIndex } from '../../dist/src/format/index-layout.js'
import { parseSegmentName } from '../../dist/src/format/segment-name.js'
import { decodeSegmentHeader, encodeSegmentHeader } from '../../dist/src/format/segment-layout.js'
import { relativeTicks, tickBase } from '../../dist/src/format/ticks.js'
import { decodeTrailer, encodeTrailer } from '../../dist/src/format/trailer-layout.js'
import { readLog, type LogEntry } from '../../dist/src/index.js'
import { gatherFacts } from '../../dist/src/recovery/facts.js'
import { recover } from '../../dist/src/recovery/recover.js'
import { scanSegment } from '../../dist/src/segment/scan.js'
import { goldenFiles } from './golden/make-golden.mjs'
import { parseDirectory, type IndependentFrame } from './independent-parser.mjs'

const GOLDEN = fileURLToPath(new URL('golden/', import.meta.url))
const SEALED = '20240203040506-018d6d2438657a0bb1c2d3e4f5060708.wal'
const TAIL = '20240203040506-018d6d2438667a0b8122334455667788.wal'
const BASE_TICKS = 638_425_299_067_890_000n
/** What the files hold: sequence, ticks after the base, bytes. */
const ENTRIES: readonly (readonly [number, number, Buffer])[] = [
  [1, 0, Buffer.from('first')],
  [2, 10_000, Buffer.from('{"group":1}')],
  [3, 10_000, Buffer.alloc(0)],
  [4, 10_000, Buffer.from('ünï ☃ 😀')],
  [5, 10_001, frameInAnEntry()],
  [6, 20_000, Buffer.from('CMT!\0\0\0\0MSG!')],
  [10, 20_500, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
  [12, 2 ** 33, Buffer.from('after the gap')],
  [13, 2 ** 33, Buffer.from('in the tail')],
  [14, 2 ** 33 + 1, Buffer.alloc(300, 0xa5)],
  [15, 2 ** 33 + 2, Buffer.from('written, not known durable')],
]

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-golden-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

function frameInAnEntry(): Buffer {
  const bytes = Buffer.concat([Buffer.from('MSG!'), Buffer.alloc(20), Buffer.from('MSG!CMT!'), Buffer.alloc(4)])
  bytes.writeInt32LE(8, 4)
  bytes.writeBigUInt64LE(99n, 8)
  bytes.writeBigInt64LE(BASE_TICKS + 5n, 16)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 32)), 32)
  return bytes
}

function shown(entries: readonly { sequence: number; ticks: bigint; data: Buffer }[]): unknown[] {
  return entries.map(({ sequence, ticks, data }) => [sequence, Number(ticks - BASE_TICKS), data.toString('hex')])
}

function expected(upTo = Infinity): unknown[] {
  return ENTRIES.filter(([sequence]) => sequence <= upTo).map(([sequence, tick, data]) => [sequence, tick, data.toString('hex')])
}

async function all(entries: AsyncIterable<LogEntry>): Promise<LogEntry[]> {
  const read: LogEntry[] = []
  for await (const entry of entries) read.push(entry)
  return read
}

test('the golden files are what their generator makes', () => {
  for (const [name, bytes] of goldenFiles()) expect(readFileSync(join(GOLDEN, name)).equals(bytes), name).toBe(true)
})

test('the library reads every golden entry, exactly', async () => {
  expect(shown(await all(readLog(GOLDEN, { includeWritten: true })))).toEqual(expected())
})

test('what no mark of the golden tail proves durable is held back', async () => {
  expect(shown(await all(readLog(GOLDEN)))).toEqual(expected(14))
})

test('the independent parser reads every golden entry, exactly', () => {
  const parsed = parseDirectory(GOLDEN)
  expect(shown([...parsed.entries()])).toEqual(expected())
  expect(parsed.segments.map(({ sealed, tail, entryCount, lastSequence }) => ({ sealed, tail, entryCount, lastSequence }))).toEqual([
    { sealed: true, tail: 'end', entryCount: 8, lastSequence: 12 },
    { sealed: false, tail: 'zeros', entryCount: 3, lastSequence: 15 },
  ])
  expect(parsed.segments[1]!.cursors).toEqual([{ name: 'mailer', sequence: 5, epoch: 0 }, { name: 'über', sequence: 2, epoch: 8 }])
})

test('a scan of the golden segments finds the gap, the aborted run, the cursors and the marks', () => {
  const scans = [SEALED, TAIL].map((name) => {
    const file = nodeDisk.open(join(GOLDEN, name), 'read')
    try {
      return scanSegment(file, parseSegmentName(name)!.uuid, file.size())
    } finally {
      file.close()
    }
  })
  expect(scans[0]).toMatchObject({
    firstSequence: 1, lastSequence: 12, entryCount: 8, aborted: [{ first: 7, last: 9 }], gaps: [{ first: 11, last: 11 }], durableSequence: 12,
    firstTicks: BASE_TICKS, lastTicks: BASE_TICKS + 2n ** 33n, fault: 'index',
    cursors: [{ name: 'mailer', sequence: 5, epoch: 0 }, { name: 'über', sequence: 2, epoch: 8 }],
  })
  expect(scans[1]).toMatchObject({ firstSequence: 13, lastSequence: 15, entryCount: 3, durableSequence: 14, fault: 'zeros', isTailZero: true })
})

test('encoding what was decoded gives the golden bytes again', () => {
  const file = readFileSync(join(GOLDEN, SEALED))
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  const { uuid } = parseSegmentName(SEALED)!
  const header = decodeSegmentHeader(file)
  expect(typeof header === 'string' ? header : Buffer.from(encodeSegmentHeader(header))).toEqual(file.subarray(0, 128))
  for (const frame of parseDirectory(GOLDEN).frames()) {
    if (frame.kind === 'entry' || frame.offset + 28 > file.length) continue
    if (frame.kind === 'trailer' && frame.uuid !== Buffer.from(uuid).toString('hex')) break
    expect(again(frame, file, view, uuid), `${frame.kind} at ${frame.offset}`).toEqual(file.subarray(frame.offset, frame.offset + frameBytes(file, frame.offset)))
  }
  const indexBytes = file.readUInt32LE(file.length - 8)
  const at = file.length - indexBytes
  const index = decodeIndex(file, view, at, indexBytes, at, uuid)
  const ticks = file.readBigInt64LE(at + 16)
  expect(Buffer.from(encodeIndex(uuid, index!, relativeTicks(ticks, tickBase(ticks)), tickBase(ticks)))).toEqual(file.subarray(at))
})

function frameBytes(file: Buffer, offset: number): number {
  return 28 + file.readInt32LE(offset + 4)
}

function again(frame: IndependentFrame, file: Buffer, view: DataView, uuid: Uint8Array): Buffer {
  const ticks = file.readBigInt64LE(frame.offset + 16)
  const base = tickBase(ticks)
  const relative = relativeTicks(ticks, base)
  if (frame.kind === 'trailer') {
    const trailer = decodeTrailer(file, view, frame.offset, frameBytes(file, frame.offset), frame.offset, uuid)
    return Buffer.from(encodeTrailer(trailer!, relative, base))
  }
  if (frame.kind === 'entry') throw new TypeError('an entry is not encoded again')
  return Buffer.from(encodeRange(frame.kind, frame.first, frame.last, relative, base))
}

test('recovery takes the golden directory over: keeps the sealed segment, seals the tail, goes on with 16', () => {
  for (const name of [SEALED, TAIL]) copyFileSync(join(GOLDEN, name), join(directory, name))
  const before = readFileSync(join(directory, SEALED))
  const recovered = recover(nodeDisk, directory)
  expect(recovered).toMatchObject({ nextSequence: 16, lastTicks: BASE_TICKS + 2n ** 33n + 2n, cursors: [{ name: 'mailer', sequence: 5 }, { name: 'über', sequence: 2 }] })
  expect(recovered.report).toMatchObject({ segments: 2, entries: 11, lastSequence: 15, cleanClose: false, cuts: [{ offset: 936, reason: 'zeros', mayHaveBeenAcknowledged: false }] })
  expect(readFileSync(join(directory, SEALED)).equals(before)).toBe(true)
  expect(gatherFacts(nodeDisk, directory).map((facts) => typeof facts.header !== 'string' && facts.header.sealed)).toEqual([true, true])
  expect(shown([...parseDirectory(directory).entries()])).toEqual(expected())
})
