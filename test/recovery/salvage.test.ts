import { chmodSync, copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { openLog, repairLog, verifyLog, WalError, type Log, type LogOptions } from '../../dist/src/index.js'
import { recover } from '../../dist/src/recovery/recover.js'
import { parseDirectory } from '../format/independent-parser.mjs'
import { ringwal } from '../cli/ringwal-command.js'
import { MemoryDisk, PowerCut } from '../model/memory-disk.js'
import { seededRandom } from '../model/random.js'

const SEGMENTS = 4
const PER_SEGMENT = 20
const LAST = SEGMENTS * PER_SEGMENT

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-salvage-'))
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

async function open(options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ directory, reserveBytes: 0, retention: { keepConsumed: true }, ...options })
  onTestFinished(() => log.close().catch(() => undefined))
  return log
}

/** Four sealed segments of 20 entries, and a consumer that has committed 33. */
async function make(): Promise<string[]> {
  const log = await open({ maxSegmentEntries: PER_SEGMENT })
  for (let number = 1; number <= LAST; number++) await log.write(text(number))
  log.cursors.add('reader', 0)
  log.cursors.find('reader')!.seek(33)
  await log.close()
  return segmentFiles()
}

const text = (number: number): string => `entry ${number} ${'x'.repeat(number * 3)}`
const range = (first: number, last: number): number[] => Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)
const segmentFiles = (): string[] => readdirSync(directory).filter((name) => name.endsWith('.wal')).sort().map((name) => join(directory, name))

function edit(file: string, change: (bytes: Buffer) => Buffer | void): void {
  const bytes = readFileSync(file)
  chmodSync(file, 0o600)
  writeFileSync(file, change(bytes) ?? bytes)
}

/** The sequences that the log has entries for, each with its own text. */
async function check(log: Log, missing: readonly number[]): Promise<void> {
  const seen: number[] = []
  for await (const entry of log.read()) {
    expect(entry.text()).toBe(text(entry.sequence))
    seen.push(entry.sequence)
  }
  expect(seen).toEqual(range(1, LAST).filter((sequence) => !missing.includes(sequence)))
}

/** Salvages; then all is valid, accounted for, and goes on with a new number. */
async function salvage(missing: readonly number[]): Promise<Log['recovery']> {
  await expect(open()).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT' })
  const log = await open({ onCorrupt: 'salvage' })
  await check(log, missing)
  expect(log.recovery.lost.flatMap(({ firstSequence, lastSequence }) => range(firstSequence, lastSequence))).toEqual(missing)
  for (const copy of log.recovery.salvaged) {
    expect(copy.startsWith(join(directory, 'salvage'))).toBe(true)
    expect(statSync(copy).mode & 0o077).toBe(0)
  }
  expect(log.cursors.list()).toEqual([{ name: 'reader', committed: 33 }])
  await log.close()
  expect(await verifyLog(directory)).toMatchObject({ status: 'sound', lastSequence: LAST })
  const parsed = parseDirectory(directory)
  for (const entry of parsed.entries()) expect(entry.data.toString()).toBe(text(entry.sequence))
  expect(parsed.segments.every(({ sealed }) => sealed)).toBe(true)
  const again = await open()
  expect(again.recovery).toMatchObject({ lost: [], salvaged: [], lastSequence: LAST })
  await check(again, missing)
  expect((await again.write('next')).sequence).toBe(LAST + 1)
  await again.close()
  return log.recovery
}

describe('opening with salvage', () => {
  test('a segment cut short loses what was cut off, and a copy is kept', async () => {
    const [, second] = await make()
    const before = readFileSync(second!)
    edit(second!, (bytes) => bytes.subarray(0, bytes.length - 700))
    const cut = readFileSync(second!)
    await expect(open()).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT' })
    const log = await open({ onCorrupt: 'salvage' })
    const missing = log.recovery.lost.flatMap(({ firstSequence, lastSequence }) => range(firstSequence, lastSequence))
    expect(missing.length).toBeGreaterThan(0)
    expect(missing).toEqual(range(missing[0]!, 40))
    expect(log.recovery.lost[0]).toMatchObject({ file: second, reason: expect.stringContaining('its size is') })
    expect(log.recovery.salvaged).toHaveLength(1)
    expect(readFileSync(log.recovery.salvaged[0]!).equals(cut)).toBe(true)
    expect(before.length).toBeGreaterThan(cut.length)
    await check(log, missing)
    await log.close()
    expect((await verifyLog(directory)).status).toBe('sound')
  })

  test('a damaged index, or first trailer, costs no entry', async () => {
    const [first, , third] = await make()
    edit(first!, (bytes) => void (bytes[bytes.length - 30]! ^= 1))
    edit(third!, (bytes) => void (bytes[200]! ^= 1))
    expect((await salvage([])).salvaged).toHaveLength(2)
  })

  test('a missing segment is accounted for, as the one that it was', async () => {
    const [, second] = await make()
    unlinkSync(second!)
    const { lost, salvaged } = await salvage(range(21, 40))
    expect(lost).toEqual([{ firstSequence: 21, lastSequence: 40, file: second, reason: expect.stringContaining('missing') }])
    expect(salvaged).toEqual([])
    expect(existsSync(second!)).toBe(true)
  })

  test('two missing segments are one gap', async () => {
    const [, second, third] = await make()
    unlinkSync(second!)
    unlinkSync(third!)
    await salvage(range(21, 60))
  })

  test('a segment of garbage is lost with all that it had', async () => {
    const [, , third] = await make()
    edit(third!, (bytes) => Buffer.alloc(bytes.length, 'garbage '))
    await salvage(range(41, 60))
  })

  test('the same segment twice: the second is taken out', async () => {
    const [, second] = await make()
    copyFileSync(second!, join(directory, second!.slice(directory.length + 1).replace(/^\d{14}-(.{11})./, '20991231235959-$1f')))
    const log = await open({ onCorrupt: 'salvage' })
    await check(log, [])
    await log.close()
    expect((await verifyLog(directory)).status).toBe('sound')
  })

  test('an open tail that is damaged where later marks tell of it keeps what is sound behind the damage', async () => {
    const log = await open({ maxSegmentEntries: 1000 })
    for (let number = 1; number <= LAST; number++) await log.write(text(number))
    const [file] = segmentFiles()
    const bytes = readFileSync(file!)
    await log.close()
    writeFileSync(join(directory, 'x'), '')
    unlinkSync(join(directory, 'x'))
    const sealed = segmentFiles()[0]!
    const at = bytes.indexOf(text(30)) + 10
    bytes[at]! ^= 1
    chmodSync(sealed, 0o600)
    writeFileSync(sealed, bytes)
    await expect(open()).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT', firstSequence: 30 })
    const salvaged = await open({ onCorrupt: 'salvage' })
    const missing = salvaged.recovery.lost.flatMap(({ firstSequence, lastSequence }) => range(firstSequence, lastSequence))
    expect(missing).toContain(30)
    expect(missing.filter((sequence) => sequence !== 30 && sequence < LAST - 2)).toEqual([])
    await salvaged.close()
    expect((await verifyLog(directory)).status).toBe('sound')
  })

  test.each([false, true])('a version that is not known is refused all the same, and nothing is changed; the segment before it damaged: %s', async (isDamaged) => {
    const { crc32 } = await import('node:zlib')
    const [first, second] = await make()
    if (isDamaged) edit(first!, (bytes) => bytes.subarray(0, bytes.length - 50))
    edit(second!, (bytes) => {
      bytes.writeUInt32LE(2, 4)
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 124)), 124)
    })
    await expect(open({ onCorrupt: 'salvage' })).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT', message: expect.stringContaining('version') })
    expect(existsSync(join(directory, 'salvage'))).toBe(false)
  })

  test('a crash at any moment of it, and another salvage, end in the same', async () => {
    await make()
    edit(segmentFiles()[1]!, (bytes) => void (bytes.fill(7, 300, 900)))
    edit(segmentFiles()[1]!, (bytes) => bytes.subarray(0, bytes.length - 50))
    unlinkSync(segmentFiles()[2]!)
    const load = (): MemoryDisk => {
      const disk = new MemoryDisk()
      disk.makeDirectory('/log')
      for (const path of segmentFiles()) {
        const file = disk.create(`/log/${path.slice(directory.length + 1)}`)
        file.write([readFileSync(path)], 0)
        file.sync()
        file.close()
      }
      disk.syncDirectory('/log')
      return disk
    }
    const whole = load()
    const wanted = recover(whole, '/log', true)
    const operations = whole.operations.length
    const lostOf = (disk: MemoryDisk): string => JSON.stringify(recover(disk, '/log').report.lastSequence)
    expect(wanted.report.lost.length).toBeGreaterThan(1)
    const random = seededRandom(7)
    const before = load().operations.length
    for (let at = before; at < operations; at++) {
      const disk = load()
      disk.onOperation = (_operation, index) => {
        if (index === at) throw new PowerCut(0)
      }
      expect(() => recover(disk, '/log', true)).toThrow(PowerCut)
      disk.onOperation = undefined
      const after = disk.crash(random, { names: 'any', writes: 'subset', garbage: 'fresh' })
      const again = recover(after, '/log', true)
      expect(again).toMatchObject({ nextSequence: wanted.nextSequence, cursors: wanted.cursors })
      expect(again.report.entries).toBe(wanted.report.entries)
      expect(lostOf(after)).toBe(String(LAST))
    }
  })
})

describe('reading damage inside a sealed segment', () => {
  test('tells exactly which entries cannot be read, and goes on behind them', async () => {
    const [, second] = await make()
    edit(second!, (bytes) => void (bytes[bytes.indexOf(text(27)) + 3]! ^= 1))
    const log = await open()
    const read = async (fromSequence: number): Promise<number[]> => {
      const seen: number[] = []
      for await (const entry of log.read({ fromSequence })) seen.push(entry.sequence)
      return seen
    }
    await expect(read(1)).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT', file: second, firstSequence: 27, lastSequence: 27 })
    expect(await read(28)).toEqual(range(28, LAST))
  })

  test('a consumer stops there, or passes over it when the log was opened with salvage, and says what it lost', async () => {
    const [, second, third] = await make()
    edit(second!, (bytes) => void bytes.fill(1, bytes.indexOf(text(35)) - 20, bytes.indexOf(text(37)) + 5))
    edit(third!, (bytes) => void (bytes[bytes.indexOf(text(50))]! ^= 1))
    const refusing = await open()
    await expect(refusing.consumer('reader').run(() => undefined)).rejects.toMatchObject({ code: 'ERR_WAL_CORRUPT', firstSequence: 35, lastSequence: 37 })
    await refusing.close()
    const log = await open({ onCorrupt: 'salvage' })
    const consumer = log.consumer('reader')
    const lost: number[][] = []
    consumer.on('lost', ({ firstSequence, lastSequence, cause }) => {
      expect(cause).toBeInstanceOf(WalError)
      lost.push([firstSequence, lastSequence])
    })
    const seen: number[] = []
    await consumer.run((entry) => {
      seen.push(entry.sequence)
      if (entry.sequence === LAST) setImmediate(() => void consumer.stop())
    })
    expect(seen).toEqual(range(35, LAST).filter((sequence) => ![35, 36, 37, 50].includes(sequence)))
    expect(lost).toEqual([[35, 37], [50, 50]])
    expect(consumer.progress).toMatchObject({ lost: 4, committed: LAST, lag: 0 })
    // Its cursor is still to be written: not into a directory that goes.
    await log.close()
  })
})

describe('frames inside an entry', () => {
  test('are never taken for entries, also when the length of the one that holds them is damaged', async () => {
    // The second entry holds a whole frame that claims to be entry 4 to come, as another log would have written it.
    const planted = Buffer.alloc(28 + 7)
    planted.write('MSG!')
    planted.writeInt32LE(7, 4)
    planted.writeBigUInt64LE(4n, 8)
    planted.writeBigInt64LE(0x7000000000000000n, 16)
    planted.write('planted', 24)
    const { crc32 } = await import('node:zlib')
    planted.writeUInt32LE(crc32(planted.subarray(0, 31)), 31)
    const log = await open()
    for (const data of ['first', Buffer.concat([Buffer.from('holds '), planted, planted]), 'third', 'fourth', 'fifth']) log.append(data)
    await log.flush()
    await log.close()
    const [file] = segmentFiles()
    edit(file!, (bytes) => void bytes.writeInt32LE(3, bytes.indexOf('holds ') - 20))
    const { lost } = await repairLog(directory)
    expect(lost).toMatchObject([{ firstSequence: 2, lastSequence: 2 }])
    const again = await open()
    const seen: string[] = []
    for await (const entry of again.read()) seen.push(entry.text())
    expect(seen).toEqual(['first', 'third', 'fourth', 'fifth'])
  })
})

describe('a consumer that comes to what a salvage has given up', () => {
  test.each(['at this opening', 'before'])('%s, is told of it, counts it, and passes over it', async (when) => {
    const [, second] = await make()
    edit(second!, (bytes) => void bytes.fill(1, bytes.indexOf(text(35)) - 20, bytes.indexOf(text(37)) + 5))
    if (when === 'before') await repairLog(directory)
    else edit(second!, (bytes) => void bytes.fill(0, 0, 128))
    const log = await open({ onCorrupt: when === 'before' ? 'refuse' : 'salvage' })
    const consumer = log.consumer('reader')
    const lost: number[] = []
    consumer.on('lost', ({ firstSequence, lastSequence, cause }) => {
      expect(cause).toMatchObject({ name: 'WalError', code: 'ERR_WAL_CORRUPT', firstSequence, lastSequence })
      lost.push(...range(firstSequence, lastSequence))
    })
    const seen: number[] = []
    await consumer.run((entry) => {
      seen.push(entry.sequence)
      if (entry.sequence === LAST) setImmediate(() => void consumer.stop())
    })
    expect(lost).toContain(36)
    expect([...seen, ...lost].sort((a, b) => a - b)).toEqual(range(34, LAST))
    expect(consumer.progress).toMatchObject({ lost: lost.length, committed: LAST, lag: 0 })
    // Its cursor is still to be written: not into a directory that goes.
    await log.close()
  })
})

describe('repair', () => {
  test('mends what only verify finds, keeps copies, and tells what is lost', async () => {
    const [first, second] = await make()
    edit(first!, (bytes) => void (bytes[bytes.indexOf(text(5)) + 1]! ^= 4))
    edit(second!, (bytes) => void (bytes[bytes.length - 40]! ^= 4))
    expect((await verifyLog(directory)).status).toBe('corrupt')
    const dry = await ringwal(['repair', directory, '--dry-run', '--json'])
    expect(dry.status).toBe(2)
    expect(JSON.parse(dry.stdout.toString())).toMatchObject({ before: { status: 'corrupt' }, lost: [], copies: [] })
    const { stdout, status } = await ringwal(['repair', directory])
    expect(status).toBe(0)
    expect(stdout.toString()).toContain('5')
    expect((await verifyLog(directory)).status).toBe('sound')
    const log = await open()
    await check(log, [5])
    expect(readdirSync(join(directory, 'salvage'))).toHaveLength(2)
  })

  test('a dry run only looks; then what opening refuses and what it does not look at are mended, with a copy of each file', async () => {
    const [first, second, third] = await make()
    const flipIn = (file: string, number: number): void => edit(file, (bytes) => void (bytes[bytes.indexOf(text(number)) + 1]! ^= 4))
    flipIn(first!, 5)
    flipIn(third!, 50)
    edit(second!, (bytes) => {
      bytes[bytes.indexOf(text(25)) + 1]! ^= 4
      bytes[bytes.length - 40]! ^= 4
    })
    const before = segmentFiles().map((file) => readFileSync(file))
    const dry = await repairLog(directory, { dryRun: true })
    expect(dry).toMatchObject({ before: { status: 'corrupt' }, lost: [], cuts: [], copies: [] })
    expect(dry.after).toBe(dry.before)
    expect(segmentFiles().every((file, index) => readFileSync(file).equals(before[index]!))).toBe(true)
    const { lost, copies, after } = await repairLog(directory)
    expect(after.status).toBe('sound')
    expect(lost.map(({ file, firstSequence, lastSequence }) => [file, firstSequence, lastSequence])).toEqual([[second, 25, 25], [first, 5, 5], [third, 50, 50]])
    expect(copies.map((copy) => readFileSync(copy))).toEqual([before[1], before[0], before[2]])
  })

  test('any flipped bit of a sealed segment costs no more than the entry that it is in', { timeout: 120_000 }, async () => {
    const [, second] = await make()
    const sound = readFileSync(second!)
    for (let at = 0; at < sound.length; at += 13) {
      rmSync(join(directory, 'salvage'), { recursive: true, force: true })
      edit(second!, () => {
        const bytes = Buffer.from(sound)
        bytes[at]! ^= 1 << (at % 8)
        return bytes
      })
      const report = await repairLog(directory)
      expect(report.after.status, `byte ${at}`).toBe('sound')
      const missing = report.lost.flatMap(({ firstSequence, lastSequence }) => range(firstSequence, lastSequence))
      expect(missing.length, `byte ${at}`).toBeLessThanOrEqual(1)
    }
  })

  test('does nothing to a sound log, and nothing while a writer has it open', async () => {
    await make()
    const before = segmentFiles().map((file) => readFileSync(file).toString('base64'))
    expect(await repairLog(directory)).toMatchObject({ lost: [], copies: [], cuts: [], after: { status: 'sound' } })
    expect(segmentFiles().map((file) => readFileSync(file).toString('base64'))).toEqual(before)
    await open()
    await expect(repairLog(directory)).rejects.toMatchObject({ code: 'ERR_WAL_LOCKED' })
    const nowhere = join(directory, 'nowhere')
    await expect(repairLog(nowhere)).rejects.toMatchObject({ code: 'ERR_WAL_IO', message: expect.stringContaining(`cannot repair the log in ${nowhere}`) })
    const refused = (name: string) => ({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: expect.stringContaining(`"${name}"`) })
    await expect(repairLog(7 as never)).rejects.toMatchObject(refused('directory'))
    await expect(repairLog(directory, { dryRun: 1 as never })).rejects.toMatchObject(refused('options.dryRun'))
  })
})
