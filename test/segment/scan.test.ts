/** Scanning what the writer never wrote, and files that get shorter while they are read. */

import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DiskFile } from '../../dist/src/disk/disk.js'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { encodeRange } from '../../dist/src/format/control-layout.js'
import { sealFrame } from '../../dist/src/format/frame-layout.js'
import { relativeTicks, tickBase, ticksFromMs } from '../../dist/src/format/ticks.js'
import { TRAILER_BYTES } from '../../dist/src/format/trailer-layout.js'
import { checkAsync, checkBlocking, FrameWindow } from '../../dist/src/segment/frame-window.js'
import { scanSegment, searchBehind, type SegmentScan } from '../../dist/src/segment/scan.js'
import { Tail } from '../../dist/src/segment/tail.js'
import { damage, SegmentMaker } from '../recovery/made-segments.js'
import { frameOf } from '../recovery/written-log.js'

const MS = Date.UTC(2026, 0, 1)
const TICKS = ticksFromMs(MS)
const NO_UUID = new Uint8Array(16)

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-scan-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

function withFile<Result>(path: string, use: (file: DiskFile) => Result): Result {
  const file = nodeDisk.open(path, 'read')
  try {
    return use(file)
  } finally {
    file.close()
  }
}

/** The scan of a segment that begins with 3, has entry 3 and this range in one batch, and says that it ends with `last`. */
function scanOfRange(first: number, last: number): SegmentScan {
  const tail = Tail.create(nodeDisk, {
    directory, createdMs: MS + first, firstSequence: 3, previousUuid: NO_UUID, cursors: [], lastTicks: TICKS, preallocateBytes: 0, maxBytes: 1 << 20,
  })
  const range = encodeRange('gap', first, last, relativeTicks(TICKS, tickBase(TICKS)), tickBase(TICKS))
  const entry = frameOf(3, Buffer.from('third'), MS)
  tail.write([entry, range], {
    bytes: entry.length + range.length, firstSequence: 3, lastSequence: last, entryCount: 1, firstTicks: TICKS, lastTicks: TICKS,
    marks: [{ sequence: 3, ticks: TICKS, batchOffset: 0 }],
  }, 2, undefined)
  tail.abandon()
  return withFile(join(directory, tail.name.name), (file) => scanSegment(file, tail.name.uuid, file.size()))
}

test('a batch counts only if its gaps are in their place', () => {
  expect(scanOfRange(4, 9)).toMatchObject({ lastSequence: 9, entryCount: 1, gaps: [{ first: 4, last: 9 }] })
  for (const [first, last] of [[5, 9], [3, 9], [0, 9]] as const) {
    expect(scanOfRange(first, last), `${first} to ${last}`).toMatchObject({ fault: 'sequence', lastSequence: 2, entryCount: 0, gaps: [], strayProof: 2 })
  }
})

test('what is to be written again begins behind the last batch that is proved; where nothing is, with the first frame', () => {
  const maker = new SegmentMaker(directory)
  maker.make({ batches: [2], seal: true })
  const { path, uuid, ends } = maker.make({ batches: [2, 2] })
  const scan = withFile(path, (file) => scanSegment(file, uuid, file.size()))
  expect([0, 2, 3, 4, 5, 6, 9].map(scan.provedOffset)).toEqual([128, 128, 128, ends[1], ends[1], ends[2], ends[2]])
})

test('a file that has become shorter since its size was asked for ends where it ends: no reader waits for the rest', async () => {
  const cursors = [{ name: 'a consumer with a long name', sequence: 2, epoch: 0 }]
  const { path, uuid, ends } = new SegmentMaker(directory).make({ batches: [2, 2, 2], cursors })
  const fileBytes = readFileSync(path).length
  // Within the names of the last trailer, which stands behind a damaged frame, and within an entry.
  for (const size of [fileBytes - 20, ends[1]! + 40, 100]) {
    truncateSync(path, size)
    const scan = withFile(path, (file) => scanSegment(file, uuid, fileBytes))
    expect(scan, `${size} bytes`).toMatchObject({ fault: 'short', endOffset: ends.findLast((end) => end <= size) ?? 128, strayProof: 0, hasStrayTrailer: false })
    const file = nodeDisk.open(path, 'read')
    const offset = scan.faultOffset
    expect([checkBlocking(new FrameWindow(offset, fileBytes), file), await checkAsync(new FrameWindow(offset, fileBytes), file)]).toEqual(['short', 'short'])
    file.close()
  }
})

test('a first trailer that is not one, by what it says, begins no chain: it follows on another, has entries, or no cursors', () => {
  const { path, uuid } = new SegmentMaker(directory).make({ batches: [2] })
  const sound = readFileSync(path)
  const lies: ((data: DataView) => void)[] = [
    (data) => data.setUint32(64, 7, true), (data) => data.setBigUint64(48, 1n, true), (data) => data.setUint32(84, 0xffffffff, true),
  ]
  for (const lie of lies) {
    damage(path, () => {
      const bytes = Buffer.from(sound)
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      lie(new DataView(bytes.buffer, bytes.byteOffset + 128 + 24))
      sealFrame(bytes, view, 128, TRAILER_BYTES - 28)
      return bytes
    })
    const scan = withFile(path, (file) => scanSegment(file, uuid, file.size()))
    expect(scan).toMatchObject({ fault: 'trailer', faultOffset: 128, endOffset: 128, firstSequence: undefined, lastSequence: undefined, hasStrayTrailer: true })
  }
})

test('entries without a trailer before them belong to no batch', () => {
  const { path, uuid } = new SegmentMaker(directory).make({ batches: [2] })
  damage(path, (bytes) => Buffer.concat([bytes.subarray(0, 128), frameOf(1, Buffer.from('first'), MS)]))
  expect(withFile(path, (file) => scanSegment(file, uuid, file.size()))).toMatchObject({ fault: 'trailer', faultOffset: 128, endOffset: 128, entryCount: 0, index: [] })
})

test('heads of trailers that are planted behind the chain, each as long as the file allows, cost no more than to read the file a few times', () => {
  const { path, uuid, ends } = new SegmentMaker(directory).make({ batches: [2] })
  const HEADS = 3000
  damage(path, (bytes) => {
    const file = Buffer.concat([bytes, Buffer.alloc(HEADS * TRAILER_BYTES)])
    for (let at = bytes.length; at < file.length; at += TRAILER_BYTES) {
      bytes.copy(file, at, 128, 128 + TRAILER_BYTES)
      file.writeInt32LE(file.length - at - 28, at + 4)
      file.writeBigUInt64LE(BigInt(at), at + 24 + 24)
    }
    return file
  })
  const fileBytes = readFileSync(path).length
  withFile(path, (file) => {
    let readBytes = 0
    const counted = new Proxy(file, { get: (target, name) => (name !== 'read' ? Reflect.get(target, name) : (buffer: Uint8Array, offset: number): number => {
      const count = target.read(buffer, offset)
      readBytes += count
      return count
    }) })
    expect(searchBehind(counted, uuid, ends[1]!, fileBytes)).toEqual({ strayProof: 0, hasTrailer: false, isZero: false })
    // The file once, each head, twice the file for checksums, and the one that uses that up.
    expect(readBytes).toBeLessThan(6 * fileBytes)
  })
})
