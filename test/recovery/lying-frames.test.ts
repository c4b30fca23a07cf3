/** What no checksum finds: frames, headers and indexes with sound checksums that say what is not so. A bug elsewhere, or somebody's doing. */

import { cpSync, mkdirSync, readFileSync, chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { readLogBatches, repairLog, verifyLog, type WalError } from '../../dist/src/index.js'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { recover } from '../../dist/src/recovery/recover.js'
import { below, runSeed, seededRandom, type Random } from '../model/random.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { segmentFiles, writeLog } from './written-log.js'

const CASES = 200
const HEADER_BYTES = 128

/** Offsets and sizes of all frames, as the lengths tell. */
function framesOf(bytes: Buffer): { at: number; size: number }[] {
  const frames = []
  for (let at = HEADER_BYTES; at + 28 <= bytes.length && bytes.toString('latin1', at, at + 4) === 'MSG!';) {
    const size = 28 + bytes.readInt32LE(at + 4)
    frames.push({ at, size })
    at += size
  }
  return frames
}

/** A value that is near, far, or nothing. */
function lie(random: Random, bytes: Buffer, at: number): void {
  const ways = [
    () => bytes.writeUInt8(below(random, 256), at),
    () => bytes.writeUInt8((bytes.readUInt8(at) + 1) & 255, at),
    () => bytes.writeUInt8((bytes.readUInt8(at) + 255) & 255, at),
    () => bytes.writeUInt32LE(below(random, 2 ** 32), Math.min(at, bytes.length - 4)),
    () => bytes.writeUInt32LE(0, Math.min(at, bytes.length - 4)),
  ]
  ways[below(random, ways.length)]!()
}

/** Changes the segment header, or some frame behind its magic, control frames above all, and mends the checksum. */
function tellLies(random: Random, file: string): void {
  const bytes = readFileSync(file)
  if (below(random, 5) === 0) {
    lie(random, bytes.subarray(0, 120), 8 + below(random, 52))
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 124)), 124)
  } else {
    const all = framesOf(bytes)
    const control = all.filter(({ at }) => bytes.readBigUInt64LE(at + 8) === 0n)
    const frames = below(random, 4) === 0 ? all : control
    const { at, size } = frames[below(random, 2) === 0 ? frames.length - 1 : below(random, frames.length)]!
    lie(random, bytes.subarray(at, at + size - 4), 4 + below(random, size - 8))
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + size - 4)), at + size - 4)
    // Sometimes a place is damaged as well, so that frames are looked for behind it.
    if (below(random, 3) === 0) bytes[HEADER_BYTES + below(random, bytes.length - HEADER_BYTES)]! ^= 1 << below(random, 8)
  }
  chmodSync(file, 0o600)
  writeFileSync(file, bytes)
}

/** The sequences that a reading gives before it ends or stops at damage; those too that no mark proves durable, as in a tail that says it is open. */
async function readable(directory: string): Promise<{ sequences: number[]; error?: WalError }> {
  const sequences: number[] = []
  try {
    for await (const entries of readLogBatches(directory, { includeWritten: true })) for (const { sequence } of entries) sequences.push(sequence)
  } catch (error) {
    return { sequences, error: error as WalError }
  }
  return { sequences }
}

function isAscending(sequences: readonly number[]): boolean {
  return sequences.every((sequence, index) => index === 0 || sequence > sequences[index - 1]!)
}

const seed = runSeed()

test(`${CASES} logs with frames that lie: readers, verify, opening and repair end, and say one thing (SEED=${seed})`, { timeout: 240_000 }, async () => {
  const random = seededRandom(seed)
  const root = temporaryDirectory()
  const sound = join(root, 'sound')
  mkdirSync(sound)
  writeLog(sound, { segments: [[3, 1, 30], [20, 20], [5, 5]], dataBytes: 3000 })
  const found = { sound: 0, torn: 0, corrupt: 0 }
  for (let number = 0; number < CASES; number++) {
    const directory = join(root, `lying-${number}`)
    cpSync(sound, directory, { recursive: true })
    const files = segmentFiles(directory)
    tellLies(random, files[below(random, files.length)]!)
    const which = `SEED=${seed}, case ${number}, in ${directory}`
    const { status, lastSequence } = await verifyLog(directory)
    found[status]++
    const reading = await readable(directory)
    expect(isAscending(reading.sequences), which).toBe(true)
    if (reading.error !== undefined) expect(reading.error.code, `${which}: ${reading.error.message}`).toMatch(/^ERR_WAL_(CORRUPT|TRIMMED)$/)
    // What is called sound is read from the first entry to the last.
    if (status === 'sound') expect([reading.sequences.length, reading.error], which).toEqual([lastSequence - reading.sequences[0]! + 1, undefined])
    const opened = join(root, 'opened')
    cpSync(directory, opened, { recursive: true })
    expect(refusalOf(opened), which).toMatch(/^(none|ERR_WAL_CORRUPT)$/)
    await expectRepaired(directory, which)
  }
  console.log(`lying frames: SEED=${seed}`, found)
  expect(found.corrupt).toBeGreaterThan(CASES / 4)
})

/** What opening says. */
function refusalOf(directory: string): string {
  try {
    recover(nodeDisk, directory)
    return 'none'
  } catch (error) {
    return (error as WalError).code
  }
}

/** After a repair the log is sound, and what is left is read in order; one of an unknown version stays as it is. */
async function expectRepaired(directory: string, which: string): Promise<void> {
  const report = await repairLog(directory).catch((error: WalError) => error)
  if (report instanceof Error) return expect(report.code, `${which}: ${report.stack}`).toBe('ERR_WAL_CORRUPT')
  expect(report.after.status, which).toBe('sound')
  const after = await readable(directory)
  expect([isAscending(after.sequences), after.error], which).toEqual([true, undefined])
}
