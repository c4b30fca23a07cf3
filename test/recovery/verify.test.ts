import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Disk, DiskFile } from '../../dist/src/disk/disk.js'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { decodeSegmentHeader, encodeSegmentHeader, tailHeader, type SegmentHeader } from '../../dist/src/format/segment-layout.js'
import { encodeIndex, type IndexEntry, type SparseIndex } from '../../dist/src/format/index-layout.js'
import { parseSegmentName } from '../../dist/src/format/segment-name.js'
import { relativeTicks, tickBase, ticksFromMs } from '../../dist/src/format/ticks.js'
import { recover } from '../../dist/src/recovery/recover.js'
import { verifyDirectory, verifyLog, type VerifyReport } from '../../dist/src/recovery/verify.js'
import { readIndex } from '../../dist/src/segment/sealed-index.js'
import { below, runSeed, seededRandom } from '../model/random.js'
import { SegmentMaker } from './made-segments.js'
import { frameOf, offsetOfEntry, segmentFiles, sizeOf, writeLog } from './written-log.js'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-verify-'))
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** Changes a file's bytes, sealed or not. */
function edit(file: string, change: (bytes: Buffer) => Buffer | void): void {
  const bytes = readFileSync(file)
  chmodSync(file, 0o600)
  writeFileSync(file, change(bytes) ?? bytes)
}

function flip(file: string, offset: number, bit = 0): void {
  edit(file, (bytes) => { bytes[offset]! ^= 1 << bit })
}

/** What opening a copy of the directory for writing would say: undefined, or its refusal. */
function refusalOf(path: string): { file: string; offset: number; firstSequence: number; lastSequence: number } | undefined {
  const copy = mkdtempSync(join(tmpdir(), 'ringwal-verify-copy-'))
  try {
    cpSync(path, copy, { recursive: true })
    recover(nodeDisk, copy)
    return undefined
  } catch (error) {
    const { file, offset, firstSequence, lastSequence } = error as { file: string; offset: number; firstSequence: number; lastSequence: number }
    return { file: join(path, basename(file)), offset, firstSequence, lastSequence }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function placesOf(report: VerifyReport): unknown[] {
  return report.damages.map(({ file, offset, firstSequence, lastSequence }) => ({ file, offset, firstSequence, lastSequence }))
}

describe('a log without damage is sound', () => {
  test('when it was closed', async () => {
    writeLog(directory, { segments: [[3, 1, 400], [200, 200], [1]] })
    const report = await verifyLog(directory)
    expect(report).toMatchObject({ status: 'sound', damages: [], repairs: [], entries: 805, lastSequence: 805, isLive: false })
    expect(report.segments.map(({ state, firstSequence, lastSequence, entries, status }) => [state, firstSequence, lastSequence, entries, status])).toEqual([
      ['sealed', 1, 404, 404, 'sound'], ['sealed', 405, 804, 400, 'sound'], ['sealed', 805, 805, 1, 'sound'],
    ])
  })

  test('when its tail ends in preallocated zeros', async () => {
    writeLog(directory, { segments: [[10], [10, 10]], isOpen: true })
    expect(await verifyLog(directory)).toMatchObject({ status: 'sound', repairs: [], lastSequence: 30 })
  })

  test('when the crash came between index and final header', async () => {
    writeLog(directory, { segments: [[10, 10]] })
    const [file] = segmentFiles(directory)
    const open: SegmentHeader = { firstSequence: 1, lastSequence: 0, firstTicks: 0n, lastTicks: 0n, entryCount: 0, bytes: 0, sealed: false }
    edit(file!, (bytes) => { bytes.set(encodeSegmentHeader(open)) })
    expect(await verifyLog(directory)).toMatchObject({ status: 'sound', lastSequence: 20 })
    edit(file!, (bytes) => Buffer.concat([bytes, Buffer.from('garbage')]))
    const { status, repairs } = await verifyLog(directory)
    expect({ status, repairs }).toMatchObject({ status: 'torn', repairs: [{ kind: 'cut', reason: 'index', mayHaveBeenAcknowledged: true }] })
    const { offset, bytes, mayHaveBeenAcknowledged } = repairs[0]!
    expect(recover(nodeDisk, directory).report.cuts).toEqual([{ file, offset, bytes, reason: 'index', mayHaveBeenAcknowledged }])
  })

  test('when that came in a file that had held another segment, of which something stands behind the index', async () => {
    writeLog(directory, { segments: [[10, 10]] })
    const [file] = segmentFiles(directory)
    edit(file!, (bytes) => {
      bytes.set(encodeSegmentHeader({ ...tailHeader(1), recycled: true }))
      return Buffer.concat([bytes, frameOf(5, Buffer.from('left'), Date.UTC(2025, 0, 1))])
    })
    expect(await verifyLog(directory)).toMatchObject({ status: 'sound', lastSequence: 20 })
    expect(recover(nodeDisk, directory).report).toMatchObject({ entries: 20, cuts: [] })
  })

  test('when it has no segments', async () => {
    expect(await verifyLog(directory)).toMatchObject({ status: 'sound', segments: [], lastSequence: 0 })
  })

  test('when it is larger than the blocks that are read at a time', async () => {
    writeLog(directory, { segments: [[9, 700, 1], [300]], dataBytes: 5000 })
    expect(await verifyLog(directory)).toMatchObject({ status: 'sound', entries: 1010 })
  })

  test('when it was written by other software, without trailers', async () => {
    writeForeign(directory, 20)
    expect(await verifyLog(directory)).toMatchObject({ status: 'sound', entries: 20, segments: [{ state: 'foreign' }] })
    const [file] = segmentFiles(directory)
    flip(file!, offsetOfEntry(file!, 7) + 30)
    expect(placesOf(await verifyLog(directory))).toEqual([{ file, offset: offsetOfEntry(file!, 7), firstSequence: 7, lastSequence: 7 }])
  })

  test.each([0, 20])('when other software has written it and not sealed it, its header telling of %s entries', async (told) => {
    writeForeign(directory, 20, { ...tailHeader(1), lastSequence: told })
    expect(await verifyLog(directory)).toMatchObject({ status: 'sound', entries: 20, lastSequence: 20, segments: [{ state: 'foreign' }] })
  })
})

test('each segment is told in numbers, with undefined where there is nothing to tell', async () => {
  writeLog(directory, { segments: [[3], [4, 2], [], []], isOpen: true, preallocateBytes: 0 })
  const [sealed, open, empty, unfinished] = segmentFiles(directory)
  truncateSync(unfinished!, 0)
  // As an interrupted seal leaves it.
  edit(open!, (bytes) => { bytes.set(encodeSegmentHeader(tailHeader(4))) })
  const { segments, bytes } = await verifyLog(directory)
  const ms = (sequence: number): number => Date.UTC(2026, 0, 1) + sequence
  // Every name is there: in JSON too, as null.
  expect(segments).toStrictEqual([
    { file: sealed, state: 'sealed', firstSequence: 1, lastSequence: 3, entries: 3, bytes: sizeOf(sealed!), firstTimestamp: ms(1), lastTimestamp: ms(3), status: 'sound' },
    { file: open, state: 'open', firstSequence: 4, lastSequence: 9, entries: 6, bytes: sizeOf(open!), firstTimestamp: ms(4), lastTimestamp: ms(9), status: 'sound' },
    { file: empty, state: 'sealed', firstSequence: 10, lastSequence: 9, entries: 0, bytes: sizeOf(empty!), firstTimestamp: undefined, lastTimestamp: undefined, status: 'sound' },
    { file: unfinished, state: 'unreadable', firstSequence: undefined, lastSequence: undefined, entries: undefined, bytes: 0, firstTimestamp: undefined, lastTimestamp: undefined, status: 'torn' },
  ])
  expect(bytes).toBe(sizeOf(sealed!) + sizeOf(open!) + sizeOf(empty!))
})

function writeForeign(path: string, entries: number, open?: SegmentHeader): void {
  const ms = Date.UTC(2026, 0, 1)
  const frames = Array.from({ length: entries }, (_, index) => frameOf(index + 1, Buffer.from(`line ${index}`), ms + index))
  const header = encodeSegmentHeader(open ?? {
    firstSequence: 1, lastSequence: entries, firstTicks: ticksFromMs(ms), lastTicks: ticksFromMs(ms + entries - 1), entryCount: entries,
    bytes: frames.reduce((sum, frame) => sum + frame.length, 128), sealed: true,
  })
  writeFileSync(join(path, '20260101000000-019b76dac00070008000000000000001.wal'), Buffer.concat([header, ...frames]))
}

describe('an unfinished write is torn', () => {
  const begun = (sequence: number): Buffer => frameOf(sequence, Buffer.from('begun'), Date.UTC(2026, 0, 1) + sequence)

  test.each<[string, Buffer]>([
    ['half of something', Buffer.from('half of something')],
    ['the first entry of a batch, whole', begun(16)],
    ['a sound entry that does not follow', begun(17)],
  ])('%s: what opening would cut is what it does cut', async (_what, bytesBehind) => {
    writeLog(directory, { segments: [[5], [5, 5]], isOpen: true })
    const file = segmentFiles(directory).at(-1)!
    const end = readFileSync(file).lastIndexOf('CMT!') - 24 + 116
    edit(file, (bytes) => { bytes.set(bytesBehind, end) })
    const report = await verifyLog(directory)
    expect(report).toMatchObject({ status: 'torn', damages: [], lastSequence: 15 })
    const { cuts } = recover(nodeDisk, directory).report
    expect(report.repairs).toEqual(cuts.map((cut) => ({ ...cut, kind: 'cut', afterSequence: 15 })))
    expect(cuts).toHaveLength(1)
    expect(await verifyLog(directory)).toMatchObject({ status: 'sound', lastSequence: 15 })
  })

  test('also when it is the very last batch, of which no later mark tells', async () => {
    writeLog(directory, { segments: [[5, 5]], isOpen: true, isSettled: false })
    const [file] = segmentFiles(directory)
    flip(file!, offsetOfEntry(file!, 8) + 25)
    expect(await verifyLog(directory)).toMatchObject({ status: 'torn', lastSequence: 5, repairs: [{ kind: 'cut', afterSequence: 5, mayHaveBeenAcknowledged: true }] })
  })

  test('a newest file that never got its first trailer would be removed', async () => {
    writeLog(directory, { segments: [[5], []], isOpen: true, isSettled: false })
    const file = segmentFiles(directory).at(-1)!
    truncateSync(file, 0)
    expect(await verifyLog(directory)).toMatchObject({
      status: 'torn', lastSequence: 5,
      repairs: [{ kind: 'remove', reason: 'no valid header or first trailer', file, offset: 0, bytes: 0, afterSequence: 0, mayHaveBeenAcknowledged: false }],
    })
  })

  test('a torn header of the newest segment would be written again', async () => {
    writeLog(directory, { segments: [[5], [5]], isOpen: true })
    const file = segmentFiles(directory).at(-1)!
    flip(file, 20)
    const report = await verifyLog(directory)
    expect(report).toMatchObject({ status: 'torn', lastSequence: 10, segments: [{ status: 'sound' }, { file, status: 'torn' }] })
    expect(report.repairs).toEqual([{
      kind: 'header', reason: 'its header is damaged (checksum)', file, offset: 0, bytes: 0, afterSequence: 10, mayHaveBeenAcknowledged: false,
    }])
  })
})

describe('damage is named exactly', () => {
  test('one entry of a sealed segment, and only that one', async () => {
    writeLog(directory, { segments: [[100, 300], [5]] })
    const [file] = segmentFiles(directory)
    flip(file!, offsetOfEntry(file!, 250) + 40)
    const report = await verifyLog(directory)
    expect(report.status).toBe('corrupt')
    expect(placesOf(report)).toEqual([{ file, offset: offsetOfEntry(file!, 250), firstSequence: 250, lastSequence: 250 }])
    expect(report.segments.map(({ status }) => status)).toEqual(['corrupt', 'sound'])
  })

  test('several places of one file', async () => {
    writeLog(directory, { segments: [[100, 300]] })
    const [file] = segmentFiles(directory)
    const damaged = [3, 150, 151, 153, 400]
    const places = [[3, 3], [150, 151], [153, 153], [400, 400]].map(([firstSequence, lastSequence]) => (
      { file, offset: offsetOfEntry(file!, firstSequence!), firstSequence, lastSequence }))
    for (const sequence of damaged) flip(file!, offsetOfEntry(file!, sequence) + 40)
    expect(placesOf(await verifyLog(directory))).toEqual(places)
  })

  test('a trailer, without any entry', async () => {
    writeLog(directory, { segments: [[10, 10, 10]] })
    const [file] = segmentFiles(directory)
    const offset = readFileSync(file!).indexOf('CMT!', offsetOfEntry(file!, 15)) - 24
    flip(file!, offset + 60)
    expect(placesOf(await verifyLog(directory))).toEqual([{ file, offset, firstSequence: undefined, lastSequence: undefined }])
  })

  test('a lost length field costs no more than up to the next indexed entry', async () => {
    writeLog(directory, { segments: [[4000]] })
    const [file] = segmentFiles(directory)
    flip(file!, offsetOfEntry(file!, 500) + 5, 3)
    const indexed = indexOf(file!).entries.find((entry) => entry.sequence > 500)!
    expect(placesOf(await verifyLog(directory))).toEqual([
      { file, offset: offsetOfEntry(file!, 500), firstSequence: 500, lastSequence: indexed.sequence - 1 },
    ])
  })

  test('a sealed file that was cut short lacks what was behind', async () => {
    writeLog(directory, { segments: [[10, 10]] })
    const [file] = segmentFiles(directory)
    const offset = offsetOfEntry(file!, 15)
    chmodSync(file!, 0o600)
    truncateSync(file!, offset)
    expect(placesOf(await verifyLog(directory))).toEqual([{ file, offset, firstSequence: 15, lastSequence: 20 }])
  })

  test('a missing segment', async () => {
    writeLog(directory, { segments: [[10], [10], [10]] })
    const [, second, third] = segmentFiles(directory)
    unlinkSync(second!)
    const report = await verifyLog(directory)
    expect(report.damages).toMatchObject([{ file: third, firstSequence: 11, lastSequence: 20 }])
    expect(report.damages).toMatchObject([refusalOf(directory)!])
    expect(report.repairs).toEqual([])
  })

  test.each<[string, (maker: SegmentMaker) => void]>([
    ['one without entries, behind a missing one', (maker) => {
      maker.make({ batches: [2], seal: true })
      const missing = maker.make({ batches: [3], seal: true })
      maker.make({ batches: [], seal: true })
      unlinkSync(missing.path)
    }],
    ['one whose sequences another has as well', (maker) => {
      const first = maker.make({ batches: [2], seal: true })
      for (const previous of [first, first]) maker.make({ batches: [3], seal: true, previous })
    }],
    ...[2, 1].map((count) => [`one with ${count} that follows on another than is there`, (maker) => {
      const first = maker.make({ batches: [2], seal: true })
      maker.make({ batches: [count], seal: true, previous: { ...first, uuid: new Uint8Array(16).fill(7) } })
    }] satisfies [string, (maker: SegmentMaker) => void]),
  ])('the place of a sealed segment that is sound in itself, with the sequences of the refusal to open: %s', async (_what, make) => {
    make(new SegmentMaker(directory))
    expect(placesOf(await verifyLog(directory))).toEqual([refusalOf(directory)])
  })

  test('a sealed segment without entries whose size is not what its header says, as opening has it', async () => {
    writeLog(directory, { segments: [[5], []] })
    const file = segmentFiles(directory).at(-1)!
    edit(file, (bytes) => Buffer.concat([bytes, Buffer.from('garbage')]))
    expect(refusalOf(directory)).toMatchObject({ file, offset: 48 })
    expect(await verifyLog(directory)).toMatchObject({ status: 'corrupt', isLive: false, damages: [{ file, offset: 48, firstSequence: undefined }] })
  })

  test('acknowledged entries of the tail, with the words of the refusal to open', async () => {
    writeLog(directory, { segments: [[10], [10, 10]], isOpen: true })
    const file = segmentFiles(directory).at(-1)!
    flip(file, offsetOfEntry(file, 14) + 26)
    const report = await verifyLog(directory)
    expect(placesOf(report)).toEqual([refusalOf(directory)])
    expect(placesOf(report)).toEqual([{ file, offset: offsetOfEntry(file, 14), firstSequence: 11, lastSequence: 30 }])
  })

  test('acknowledged entries of an open segment, all that its header tells of', async () => {
    writeLog(directory, { segments: [[2, 2]], isOpen: true })
    const [file] = segmentFiles(directory)
    edit(file!, (bytes) => { bytes.set(encodeSegmentHeader({ ...tailHeader(1), lastSequence: 4 })) })
    flip(file!, offsetOfEntry(file!, 1) + 26)
    const places = placesOf(await verifyLog(directory))
    expect(places).toEqual([{ file, offset: offsetOfEntry(file!, 1), firstSequence: 1, lastSequence: 4 }])
    expect(places).toEqual([refusalOf(directory)])
  })

  test('an index with a sound checksum that points at the wrong frame', async () => {
    writeLog(directory, { segments: [[4000]] })
    const [file] = segmentFiles(directory)
    const index = indexOf(file!)
    const entries = index.entries.map((entry, number) => (number === 2 ? { ...entry, offset: entry.offset + 68 } : entry))
    writeIndex(file!, { ...index, entries })
    const report = await verifyLog(directory)
    expect(report).toMatchObject({ status: 'corrupt', damages: [{ reason: expect.stringContaining(`index says that entry ${entries[2]!.sequence}`) }] })
  })

  test('a header with a sound checksum that says what the frames do not', async () => {
    writeLog(directory, { segments: [[40]] })
    const [file] = segmentFiles(directory)
    edit(file!, (bytes) => { bytes.set(encodeSegmentHeader({ ...(decodeSegmentHeader(bytes.subarray(0, 128)) as SegmentHeader), entryCount: 39 })) })
    expect(await verifyLog(directory)).toMatchObject({ status: 'corrupt', damages: [{ reason: expect.stringContaining('entry count 39'), offset: 0 }] })
  })

  test.each<[string, (header: SegmentHeader) => Partial<SegmentHeader>, number | undefined]>([
    ['first timestamp', ({ firstTicks }) => ({ firstTicks: firstTicks + 1n }), undefined],
    ['last timestamp', ({ lastTicks }) => ({ lastTicks: lastTicks - 1n }), undefined],
    ['last sequence', () => ({ lastSequence: 39, entryCount: 39 }), undefined],
    ['last sequence', () => ({ lastSequence: 41, entryCount: 40 }), 41],
  ])('a header that says another %s', async (what, lie, lost) => {
    writeLog(directory, { segments: [[40]] })
    const [file] = segmentFiles(directory)
    edit(file!, (bytes) => {
      const header = decodeSegmentHeader(bytes.subarray(0, 128)) as SegmentHeader
      bytes.set(encodeSegmentHeader({ ...header, ...lie(header) }))
    })
    const { damages, status } = await verifyLog(directory)
    expect(status).toBe('corrupt')
    expect(damages).toContainEqual({ file, offset: 0, reason: expect.stringContaining(`its header says ${what}`), firstSequence: lost, lastSequence: lost })
    expect(damages.every(({ reason }) => reason.startsWith(`its header says ${what}`) || reason.startsWith('its header says entry count'))).toBe(true)
  })

  test('a header that says another size, all else being sound, and no entry', async () => {
    writeLog(directory, { segments: [[40]] })
    const [file] = segmentFiles(directory)
    edit(file!, (bytes) => { bytes.set(encodeSegmentHeader({ ...(decodeSegmentHeader(bytes.subarray(0, 128)) as SegmentHeader), bytes: 4711 })) })
    const reason = `its size is ${sizeOf(file!)} bytes, its header says 4711`
    expect((await verifyLog(directory)).damages).toEqual([{ reason, file, offset: 48, firstSequence: undefined, lastSequence: undefined }])
  })

  test.each<[string, (entry: IndexEntry) => Partial<IndexEntry>]>([
    ['sequence', ({ sequence }) => ({ sequence: sequence + 1 })], ['timestamp', ({ ticks }) => ({ ticks: ticks + 1n })],
    ['offset, within its frame', ({ offset }) => ({ offset: offset + 1 })], ['offset, within the frame before', ({ offset }) => ({ offset: offset - 1 })],
  ])('an index in which one entry has another %s', async (_what, lie) => {
    writeLog(directory, { segments: [[4000]] })
    const [file] = segmentFiles(directory)
    const index = indexOf(file!)
    const entries = index.entries.map((entry, number) => (number === 2 ? { ...entry, ...lie(entry) } : entry))
    writeIndex(file!, { ...index, entries })
    const reason = `its index says that entry ${entries[2]!.sequence} is at byte ${entries[2]!.offset}`
    expect((await verifyLog(directory)).damages).toMatchObject([{ file, reason, firstSequence: undefined, lastSequence: undefined }])
  })

  test('an index that names older cursors than there are', async () => {
    const { path } = new SegmentMaker(directory).make({ batches: [2, 2], seal: true, cursors: [{ name: 'reader', sequence: 2, epoch: 0 }] })
    const index = indexOf(path)
    expect(index.cursorTrailerOffset).toBe(index.lastTrailerOffset)
    writeIndex(path, { ...index, cursorTrailerOffset: 128 })
    expect((await verifyLog(directory)).damages).toMatchObject([{ file: path, reason: 'its index names other trailers than are there' }])
  })

  test('an index that says that an entry is where the last trailer stands', async () => {
    writeLog(directory, { segments: [[4000]] })
    const [file] = segmentFiles(directory)
    const index = indexOf(file!)
    const last = index.entries.at(-1)!
    const entries = [...index.entries.slice(0, -1), { ...last, offset: index.lastTrailerOffset + 8 }]
    writeIndex(file!, { ...index, entries })
    const reason = `its index says that entry ${last.sequence} is at byte ${index.lastTrailerOffset + 8}`
    expect(await verifyLog(directory)).toMatchObject({ status: 'corrupt', damages: [{ reason, firstSequence: undefined, lastSequence: undefined }] })
  })

  test.each(['lastTrailerOffset', 'cursorTrailerOffset'] as const)('an index that names another trailer than is there: %s', async (field) => {
    writeLog(directory, { segments: [[10, 10, 10]] })
    const [file] = segmentFiles(directory)
    const index = indexOf(file!)
    writeIndex(file!, { ...index, [field]: readFileSync(file!).indexOf('CMT!', offsetOfEntry(file!, 5)) - 24 })
    const report = await verifyLog(directory)
    expect(report).toMatchObject({ status: 'corrupt', damages: [{ firstSequence: undefined, lastSequence: undefined }] })
    if (field === 'lastTrailerOffset') expect(report.damages[0]!.reason).toBe('its index names other trailers than are there')
  })

  test.each<[batches: number[], lost: number[][]]>([
    [[10], [[1, 10]]], [[], []],
  ])('a sealed segment with nothing but its index: all that its header tells of, where batches were %j', async (batches, lost) => {
    writeLog(directory, { segments: [batches] })
    const [file] = segmentFiles(directory)
    edit(file!, (bytes) => {
      const indexBytes = bytes.readUInt32LE(bytes.length - 8)
      const header = { ...(decodeSegmentHeader(bytes.subarray(0, 128)) as SegmentHeader), bytes: 128 + indexBytes }
      return Buffer.concat([encodeSegmentHeader(header), bytes.subarray(bytes.length - indexBytes)])
    })
    const report = await verifyLog(directory)
    expect(report.status).toBe('corrupt')
    expect(report.damages.map(({ reason }) => reason)).toContain('its header says first sequence 1, its frames say undefined')
    const found = report.damages.filter((damage) => damage.firstSequence !== undefined)
    expect(found.map(({ firstSequence, lastSequence }) => [firstSequence, lastSequence])).toEqual(lost)
  })

  test('more damaged places than a report is to hold are summed up in its last one', async () => {
    writeLog(directory, { segments: [[2500]] })
    const [file] = segmentFiles(directory)
    edit(file!, (bytes) => {
      for (let at = bytes.indexOf('MSG!'); at >= 0; at = bytes.indexOf('MSG!', at + 1)) if (bytes.readBigUInt64LE(at + 8) % 2n === 1n) bytes[at + 30]! ^= 1
    })
    const { damages } = await verifyLog(directory)
    expect(damages.length).toBe(1000)
    expect(damages.slice(0, 999).map(({ firstSequence, lastSequence }) => [firstSequence, lastSequence])).toEqual(Array.from({ length: 999 }, (_, index) => [2 * index + 1, 2 * index + 1]))
    expect(damages.at(-1)).toMatchObject({ reason: '999 damaged places come before this one', firstSequence: 1999, lastSequence: 2500 })
  })

  test('what is not the next frame of a segment that other software has written, where opening refuses it too', async () => {
    writeForeign(directory, 6, tailHeader(1))
    const [file] = segmentFiles(directory)
    const offset = offsetOfEntry(file!, 4)
    edit(file!, (bytes) => Buffer.concat([bytes.subarray(0, offset), bytes.subarray(offsetOfEntry(file!, 5))]))
    const report = await verifyLog(directory)
    expect(report).toMatchObject({ status: 'corrupt', segments: [{ state: 'foreign', lastSequence: 3 }] })
    expect(placesOf(report)).toEqual([{ file, offset, firstSequence: 4, lastSequence: 4 }])
    expect(refusalOf(directory)).toEqual({ file, offset, firstSequence: 4, lastSequence: 4 })
  })

  test('one that other software has left open is as its frames tell, whatever its header says, as opening has it', async () => {
    writeForeign(directory, 2, { ...tailHeader(1), lastSequence: 3 })
    expect(await verifyLog(directory)).toMatchObject({ status: 'sound', lastSequence: 2, damages: [] })
    expect(refusalOf(directory)).toBeUndefined()
    const [file] = segmentFiles(directory)
    flip(file!, offsetOfEntry(file!, 2) + 26)
    expect(placesOf(await verifyLog(directory))).toEqual([refusalOf(directory)])
  })
})

/** Puts another index there, of the same length. */
function writeIndex(file: string, index: SparseIndex): void {
  edit(file, (bytes) => {
    const { lastTicks } = decodeSegmentHeader(bytes.subarray(0, 128)) as SegmentHeader
    const made = encodeIndex(parseSegmentName(basename(file))!.uuid, index, relativeTicks(lastTicks, tickBase(lastTicks)), tickBase(lastTicks))
    bytes.set(made, bytes.length - made.length)
  })
}

function indexOf(file: string): NonNullable<ReturnType<typeof readIndex>> {
  const open = nodeDisk.open(file, 'read')
  try {
    return readIndex(open, open.size(), parseSegmentName(basename(file))!.uuid)!
  } finally {
    open.close()
  }
}

describe('no single flipped bit is overlooked', () => {
  const seed = runSeed()

  test(`in a closed log (SEED=${seed})`, async () => {
    const random = seededRandom(seed)
    writeLog(directory, { segments: [[3, 9], [20], [2, 2]] })
    const files = segmentFiles(directory)
    for (let round = 0; round < 150; round++) {
      const file = files[below(random, files.length)]!
      const [offset, bit] = [below(random, sizeOf(file)), below(random, 8)]
      flip(file, offset, bit)
      const { status, damages } = await verifyLog(directory)
      const where = `bit ${bit} of byte ${offset} of ${file}`
      expect(status, where).not.toBe('sound')
      if (refusalOf(directory) !== undefined) expect(status, where).toBe('corrupt')
      for (const { firstSequence, lastSequence } of damages) if (firstSequence !== undefined) expect(lastSequence, where).toBeGreaterThanOrEqual(firstSequence)
      flip(file, offset, bit)
    }
    expect((await verifyLog(directory)).status).toBe('sound')
  })

  test(`in an open tail, where opening and verifying always agree (SEED=${seed})`, async () => {
    const random = seededRandom(seed)
    writeLog(directory, { segments: [[3], [3, 9, 4]], isOpen: true, preallocateBytes: 2400 })
    const file = segmentFiles(directory).at(-1)!
    for (let round = 0; round < 80; round++) {
      const [offset, bit] = [below(random, sizeOf(file)), below(random, 8)]
      flip(file, offset, bit)
      const report = await verifyLog(directory)
      const where = `bit ${bit} of byte ${offset}`
      expect(report.status, where).not.toBe('sound')
      const refusal = refusalOf(directory)
      if (refusal === undefined) expect(report.status, where).toBe('torn')
      else expect(placesOf(report), where).toContainEqual(refusal)
      flip(file, offset, bit)
    }
  })
})

describe('beside a writer', () => {
  /** A disk on which the first look scans the tail as it was before, but searches behind it when the writer has gone on. */
  function lateDisk(stale: Buffer, isStillLate: () => boolean): Disk {
    const wrap = (file: DiskFile): DiskFile => new Proxy(file, {
      get(target, name) {
        if (name !== 'read') return Reflect.get(target, name).bind(target)
        return (buffer: Uint8Array, offset: number): number => {
          if (!isStillLate() || offset > 128) return target.read(buffer, offset)
          return stale.copy(buffer, 0, offset, Math.min(stale.length, offset + buffer.length))
        }
      },
    })
    return { ...nodeDisk, open: (path, access) => wrap(nodeDisk.open(path, access)) }
  }

  test('what the writer added during the scan is not taken for damage', async () => {
    writeLog(directory, { segments: [[5, 5, 5, 5]], isOpen: true })
    const [file] = segmentFiles(directory)
    const now = readFileSync(file!)
    const stale = Buffer.concat([now.subarray(0, offsetOfEntry(file!, 11)), Buffer.alloc(now.length - offsetOfEntry(file!, 11))])
    let looks = 0
    const disk = lateDisk(stale, () => looks === 1)
    const counting: Disk = { ...disk, list: (path) => { looks++; return disk.list(path) } }
    expect(await verifyDirectory(counting, directory)).toMatchObject({ status: 'sound', isLive: true, lastSequence: 20 })
    expect(looks).toBe(2)
  })

  test('what is still missing at the second look is damage', async () => {
    writeLog(directory, { segments: [[5, 5, 5, 5]], isOpen: true })
    const [file] = segmentFiles(directory)
    flip(file!, offsetOfEntry(file!, 7) + 30)
    expect(await verifyDirectory(nodeDisk, directory)).toMatchObject({ status: 'corrupt', isLive: false, damages: [{ firstSequence: 6, lastSequence: 20 }] })
  })

  /** Checks the directory, to which something happens before each look. Tells how many looks that took as well. */
  async function verifyChanging(happenings: readonly (() => void)[]): Promise<[VerifyReport, number]> {
    let looks = 0
    const disk: Disk = { ...nodeDisk, list: (path) => {
      happenings[looks++]?.()
      return nodeDisk.list(path)
    } }
    const report = await verifyDirectory(disk, directory)
    return [report, looks]
  }

  /** What becomes of a tail: of its bytes, where `at` tells the place of an entry. */
  type Change = (bytes: Buffer, at: (sequence: number) => number) => Buffer | void
  const zerosFrom = (sequence: number): Change => (bytes, at) => { bytes.fill(0, at(sequence)) }
  const damaged = (sequence: number, zerosFromSequence?: number): Change => (bytes, at) => {
    bytes[at(sequence) + 30]! ^= 1
    if (zerosFromSequence !== undefined) bytes.fill(0, at(zerosFromSequence))
  }

  test.each<[string, Change, Change]>([
    ['damage, then damage behind it', damaged(7, 16), damaged(12)],
    ['damage, then damage before it', damaged(12), damaged(7, 16)],
    ['damage, then half a batch', damaged(7), zerosFrom(17)],
    ['half a batch, then damage', zerosFrom(17), damaged(7)],
    ['half a batch, then half another one', zerosFrom(12), zerosFrom(17)],
    ['an empty file, then a torn header', () => Buffer.alloc(0), (bytes) => { bytes[20]! ^= 1 }],
  ])('what only one look has seen is a writer at work: %s', async (_what, first, second) => {
    writeLog(directory, { segments: [[5, 5, 5, 5]], isOpen: true })
    const [file] = segmentFiles(directory)
    const sound = readFileSync(file!)
    const changes: Change[] = [first, second, () => undefined]
    const states = changes.map((change) => {
      const bytes = Buffer.from(sound)
      return change(bytes, (sequence) => offsetOfEntry(file!, sequence)) ?? bytes
    })
    const [report, looks] = await verifyChanging(states.map((bytes) => () => writeFileSync(file!, bytes)))
    expect(report).toMatchObject({ status: 'sound', isLive: true, lastSequence: 20, damages: [], repairs: [] })
    expect(looks).toBe(3)
  })

  test('where each look sees more, the fifth is the last; what only that one has seen is a writer at work', async () => {
    writeLog(directory, { segments: [[1], [1], [1], [1], [1], [1]] })
    const files = segmentFiles(directory)
    const [report, looks] = await verifyChanging(files.map((file) => () => flip(file, 20)))
    expect(looks).toBe(5)
    expect(report).toMatchObject({ status: 'torn', isLive: true, damages: [] })
    expect(report.repairs.map(({ kind, file }) => [kind, file])).toEqual(files.slice(0, 4).map((file) => ['header', file]))
  })

  test('an interrupted seal that a writer begins anew meanwhile is no doubt', async () => {
    writeLog(directory, { segments: [[5]] })
    const [file] = segmentFiles(directory)
    edit(file!, (bytes) => { bytes.set(encodeSegmentHeader(tailHeader(1))) })
    const end = readFileSync(file!).indexOf('IDX!') - 24
    let opens = 0
    const disk: Disk = { ...nodeDisk, open: (path, access) => {
      // It has been scanned by then, and its index is looked at.
      if (++opens === 2) truncateSync(path, end)
      return nodeDisk.open(path, access)
    } }
    expect(await verifyDirectory(disk, directory)).toMatchObject({ status: 'sound', isLive: true, lastSequence: 5, repairs: [] })
  })

  test('a file that is removed when it has been opened for the last time counts: it is read to its end', async () => {
    writeLog(directory, { segments: [[5], [5]] })
    const [first] = segmentFiles(directory)
    let opens = 0
    const disk: Disk = { ...nodeDisk, open: (path, access) => {
      const file = nodeDisk.open(path, access)
      if (path === first && ++opens === 2) rmSync(first)
      return file
    } }
    expect(await verifyDirectory(disk, directory)).toMatchObject({ status: 'sound', entries: 10, isLive: false })
    expect(opens).toBe(2)
  })

  test('a file that is removed during the check is passed over', async () => {
    writeLog(directory, { segments: [[5], [5]] })
    const [first] = segmentFiles(directory)
    const disk: Disk = { ...nodeDisk, list: (path) => {
      const names = nodeDisk.list(path)
      rmSync(first!, { force: true })
      return names
    } }
    expect(await verifyDirectory(disk, directory)).toMatchObject({ status: 'sound', entries: 5 })
  })

  test('a file that is removed at any other moment is passed over as well: the oldest one, or one whose seal was interrupted', async () => {
    for (const [segments, isUnsealed] of [[[[5], [5]], false], [[[5]], true]] as const) {
      const made = mkdtempSync(join(directory, 'made-'))
      writeLog(made, { segments })
      const [first] = segmentFiles(made)
      if (isUnsealed) edit(first!, (bytes) => { bytes.set(encodeSegmentHeader(tailHeader(1))) })
      const sound = readFileSync(first!)
      let mostOpens = 0
      for (let goesAt = Infinity; goesAt > 0; goesAt--) {
        writeFileSync(first!, sound)
        let opens = 0
        const disk: Disk = { ...nodeDisk, open: (path, access) => {
          if (path === first && ++opens === goesAt) rmSync(first)
          return nodeDisk.open(path, access)
        } }
        const { status, damages, repairs, isLive } = await verifyDirectory(disk, made, { onProgress: () => undefined })
        expect([status, damages, repairs, isLive], `gone when it is opened for the ${goesAt}. time`).toEqual(['sound', [], [], false])
        if (goesAt === Infinity) goesAt = mostOpens = opens + 1
      }
      expect(mostOpens).toBeGreaterThan(2)
    }
  })

  test('a file that is used for another segment while it is read is passed over, whenever it was opened', async () => {
    const made = mkdtempSync(join(directory, 'made-'))
    writeLog(made, { segments: [[5], [5]] })
    const [first] = segmentFiles(made)
    const spare = `${first}.spare`
    const sound = readFileSync(first!)
    let mostOpens = 0
    for (let goesAt = Infinity; goesAt > 0; goesAt--) {
      rmSync(spare, { force: true })
      writeFileSync(first!, sound)
      let opens = 0
      const disk: Disk = { ...nodeDisk, open: (path, access) => {
        const file = nodeDisk.open(path, access)
        if (path === first && ++opens === goesAt) {
          renameSync(first, spare)
          edit(spare, (bytes) => { bytes.fill(0) })
        }
        return file
      } }
      const { status, damages, repairs } = await verifyDirectory(disk, made)
      expect([status, damages, repairs], `used again when it is opened for the ${goesAt}. time`).toEqual(['sound', [], []])
      if (goesAt === Infinity) goesAt = mostOpens = opens + 1
    }
    expect(mostOpens).toBeGreaterThan(2)
  })
})

describe('arguments and progress', () => {
  test('progress ends with every byte', async () => {
    writeLog(directory, { segments: [[300], [300]], dataBytes: 5000 })
    // Neither is a segment.
    mkdirSync(join(directory, 'blobs'))
    writeFileSync(join(directory, 'notes.txt'), 'other bytes')
    const total = segmentFiles(directory).reduce((sum, file) => sum + sizeOf(file), 0)
    const calls: [number, number][] = []
    await verifyLog(directory, { onProgress: (...call) => calls.push(call) })
    expect(calls.length).toBeGreaterThan(2)
    expect(calls.every(([done, all], index) => all === total && done >= (calls[index - 1]?.[0] ?? 0))).toBe(true)
    expect(calls.at(-1)).toEqual([total, total])
  })

  test('progress counts the bytes of a tail once, also where it is looked at again', async () => {
    writeLog(directory, { segments: [[150]], dataBytes: 5000, isOpen: true })
    const check = async (): Promise<[string, number[]]> => {
      const done: number[] = []
      const { status } = await verifyLog(directory, { onProgress: (doneBytes) => done.push(doneBytes) })
      return [status, done.slice(0, -1)]
    }
    const [status, done] = await check()
    expect([status, done.length]).toEqual(['sound', 2])
    edit(segmentFiles(directory)[0]!, (bytes) => Buffer.concat([bytes, Buffer.from('torn')]))
    expect(await check()).toEqual(['torn', done])
  })

  test('it tells how long it took', async () => {
    const startMs = performance.now()
    const { durationMs } = await verifyLog(directory)
    expect(durationMs).toBeGreaterThan(0)
    expect(durationMs).toBeLessThanOrEqual(performance.now() - startMs)
  })

  test('wrong arguments, an aborted signal and a missing directory are refused', async () => {
    const refused = (name: string) => ({ code: 'ERR_INVALID_ARG_TYPE', message: expect.stringContaining(`"${name}"`) })
    await expect(verifyLog(7 as never)).rejects.toMatchObject(refused('directory'))
    await expect(verifyLog('')).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    await expect(verifyLog(directory, { onProgress: 1 as never })).rejects.toMatchObject(refused('options.onProgress'))
    await expect(verifyLog(directory, { signal: 1 as never })).rejects.toMatchObject(refused('options.signal'))
    const none = join(directory, 'none')
    await expect(verifyLog(none)).rejects.toMatchObject({ code: 'ERR_WAL_IO', file: none, message: expect.stringContaining(`cannot read the log in ${none}`) })
    writeLog(directory, { segments: [[1]] })
    await expect(verifyLog(directory, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
    await expect(verifyLog(none, { signal: new AbortController().signal })).rejects.toMatchObject({ code: 'ERR_WAL_IO', file: none })
    // Whatever it is: not taken for an error of the log's disk.
    const reason = Object.assign(new Error('EPIPE: broken pipe, write'), { code: 'EPIPE', syscall: 'write' })
    for (const path of [directory, none]) await expect(verifyLog(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })

  test('a signal that is aborted while a segment is checked ends the work before the next one', async () => {
    writeLog(directory, { segments: [[200], [200], [200]], dataBytes: 5000 })
    const first = sizeOf(segmentFiles(directory)[0]!)
    const enough = new AbortController()
    const done: number[] = []
    const checking = verifyLog(directory, { signal: enough.signal, onProgress: (doneBytes) => {
      done.push(doneBytes)
      enough.abort(new Error('enough'))
    } })
    await expect(checking).rejects.toThrow('enough')
    expect(done.length).toBeGreaterThan(0)
    expect(done.at(-1)).toBeLessThanOrEqual(first)
    const whole = verifyLog(directory, { signal: new AbortController().signal })
    expect(await whole).toMatchObject({ status: 'sound', entries: 600 })
  })

  test('a file that the system does not open is no damage: the check cannot be made', async () => {
    writeLog(directory, { segments: [[1], [1]] })
    const [first] = segmentFiles(directory)
    renameSync(first!, join(directory, 'elsewhere'))
    symlinkSync(join(directory, 'elsewhere'), first!)
    await expect(verifyLog(directory)).rejects.toMatchObject({ code: 'ERR_WAL_IO', cause: { code: 'ELOOP' } })
  })
})
