/** The parser that judges the library's files is itself judged first: it must see every seeded fault. */

import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLog } from '../../dist/src/index.js'
import { goldenFiles } from './golden/make-golden.mjs'
import { FormatError, parseDirectory, parseName } from './independent-parser.mjs'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-parser-'))
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

function faultOf(): string | undefined {
  try {
    for (const _ of parseDirectory(directory).frames());
    return undefined
  } catch (error) {
    if (error instanceof FormatError) return error.rule
    throw error
  }
}

function writeSealed(): { path: string; bytes: Buffer } {
  const [name, bytes] = goldenFiles()[0]!
  const path = join(directory, name)
  writeFileSync(path, bytes)
  return { path, bytes }
}

test('it finds no fault in the golden segment', () => {
  writeSealed()
  expect(faultOf()).toBeUndefined()
})

test('it sees every single byte that was changed in a sealed segment', () => {
  const { path, bytes } = writeSealed()
  const unseen: number[] = []
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 1 << (at % 8)
    writeFileSync(path, changed)
    if (faultOf() === undefined) unseen.push(at)
  }
  expect(unseen).toEqual([])
})

test('it sees every truncation of a sealed segment, and a byte too many', () => {
  const { path, bytes } = writeSealed()
  const unseen: number[] = []
  for (let length = bytes.length - 1; length >= 0; length--) {
    truncateSync(path, length)
    if (faultOf() === undefined) unseen.push(length)
  }
  expect(unseen).toEqual([])
  writeFileSync(path, Buffer.concat([bytes, Buffer.alloc(1)]))
  expect(faultOf()).toBe('the header tells the size of the file')
})

test('of an open tail it takes whole batches and tells zeros from torn bytes', () => {
  const [name, bytes] = goldenFiles()[1]!
  const path = join(directory, name)
  const parse = (): unknown[] => {
    const parsed = parseDirectory(directory)
    const sequences = [...parsed.entries()].map(({ sequence }) => sequence)
    return [sequences, parsed.segments[0]!.tail]
  }
  writeFileSync(path, bytes)
  expect(parse()).toEqual([[13, 14, 15], 'zeros'])
  writeFileSync(path, bytes.subarray(0, 936))
  expect(parse()).toEqual([[13, 14, 15], 'end'])
  writeFileSync(path, bytes.subarray(0, 935))
  expect(parse()).toEqual([[13, 14], 'torn'])
  bytes[400]! ^= 1
  writeFileSync(path, bytes)
  expect(parse()).toEqual([[], 'torn'])
})

test('it does not take a name whose time is not that of its UUID', () => {
  const [name] = goldenFiles()[0]!
  expect(parseName(name)).toBeDefined()
  expect(parseName(`2${name.slice(1, 13)}7${name.slice(14)}`)).toBeUndefined()
})

test('what the library writes satisfies it: rolls, groups, large and empty entries, reopening', async () => {
  const sizes = [0, 1, 27, 28, 600, 5000, 70_000, 300_000]
  const contents: Buffer[] = []
  for (let round = 0; round < 3; round++) {
    const log = await openLog({ directory, maxSegmentBytes: 256 * 1024, ringBytes: 64 * 1024, maxEntryBytes: 1 << 20 })
    for (const size of sizes) {
      contents.push(Buffer.alloc(size, contents.length + 1))
      await log.write(contents.at(-1)!)
    }
    contents.push(Buffer.from('MSG!CMT!'), Buffer.alloc(0), Buffer.from('IDX!'))
    await log.durable(log.appendGroup(contents.slice(-3)) + 2)
    if (round === 1) await log.roll()
    await log.close()
  }
  const parsed = parseDirectory(directory)
  let count = 0
  for (const { sequence, data } of parsed.entries()) expect(data.equals(contents[sequence - 1]!), `entry ${sequence} (${++count})`).toBe(true)
  expect(count).toBe(contents.length)
  expect(parsed.others).toEqual(['reserve'])
  expect(parsed.segments.every(({ sealed }) => sealed)).toBe(true)
  expect(readFileSync(parsed.segments[0]!.path).subarray(0, 4).toString()).toBe('WAL!')
})
