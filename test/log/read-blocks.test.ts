/** Entries are read in blocks, their text cut from pages: none of that shows, whatever the sizes and however early a reader leaves. */

import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLog, readLog, readLogBatches, type Log } from '../../dist/src/index.js'
import { Block } from '../../dist/src/segment/block.js'
import { below, runSeed, seededRandom, type Random } from '../model/random.js'

let directory: string
let log: Log | undefined

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-blocks-'))
})

afterEach(async () => {
  await log?.close()
  log = undefined
  rmSync(directory, { recursive: true })
})

const LETTERS = ['a', 'Z', '0', ' ', '\n', '\u007f', 'é', '€', '😀', '\u0000', '\ufeff']

function randomText(random: Random, letters: number): string {
  // Most are ASCII: those take the short way.
  const kinds = below(random, 4) === 0 ? LETTERS.length : 6
  return Array.from({ length: letters }, () => LETTERS[below(random, kinds)]).join('')
}

test('text is that of the bytes, wherever it lies in a block, and also while the block is being filled', () => {
  const seed = runSeed()
  console.log(`text SEED=${seed}`)
  const random = seededRandom(seed)
  for (let round = 0; round < 20; round++) {
    const bytes = Buffer.from(Array.from({ length: 100_000 }, () => (below(random, 200) === 0 ? below(random, 256) : 32 + below(random, 95))))
    const block = new Block(Buffer.alloc(bytes.length), 0)
    for (let at = 0; at < bytes.length;) {
      const start = at + below(random, 30)
      const end = Math.min(bytes.length, start + below(random, below(random, 10) === 0 ? 3000 : 200))
      if (start >= end) break
      if (end > block.filledBytes) {
        const filled = Math.min(bytes.length, end + below(random, 20_000))
        bytes.copy(block.bytes, block.filledBytes, block.filledBytes, filled)
        block.filledBytes = filled
      }
      expect(block.text(start, end)).toBe(bytes.toString('utf8', start, end))
      at = end
    }
  }
})

test('entries of all sizes come back, from blocks that hold many and many that hold one', async () => {
  const seed = runSeed()
  console.log(`blocks SEED=${seed}`)
  const random = seededRandom(seed)
  log = await openLog({ directory, maxSegmentBytes: 4 * 2 ** 20, ringBytes: 4 * 2 ** 20, whenFull: 'block' })
  const texts: string[] = []
  for (let round = 0; round < 6; round++) {
    const most = [50, 300, 5000, 90_000, 400_000, 120][round]!
    for (let bytes = 0; bytes < 2 ** 21;) {
      const text = randomText(random, below(random, most))
      texts.push(text)
      bytes += Buffer.byteLength(text) + 28
      log.append(text)
    }
  }
  await log.flush()
  let index = 0
  const checkAll = async (batches: AsyncIterable<readonly { sequence: number; text(): string; data: Buffer }[]>): Promise<void> => {
    index = 0
    for await (const batch of batches) {
      for (const entry of batch) {
        if (entry.sequence !== index + 1 || entry.text() !== texts[index] || !entry.data.equals(Buffer.from(texts[index]!))) throw new Error(`entry ${index + 1} differs`)
        index++
      }
    }
    expect(index).toBe(texts.length)
  }
  await checkAll(log.readBatches())
  await log.close()
  await checkAll(readLogBatches(directory))
})

test('a reader that leaves in the middle keeps no file open', async () => {
  log = await openLog({ directory, maxSegmentBytes: 4 * 2 ** 20, whenFull: 'block' })
  for (let sequence = 1; sequence <= 40_000; sequence++) log.append(`entry ${sequence}`.padEnd(100))
  await log.close()
  const openSegments = (): string[] => readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return []
    }
  }).filter((path) => path.startsWith(directory))
  const seed = runSeed()
  console.log(`leaving SEED=${seed}`)
  const random = seededRandom(seed)
  for (let round = 0; round < 30; round++) {
    const last = 1 + below(random, 40_000)
    let read = 0
    for await (const { sequence } of readLog(directory)) {
      read = sequence
      if (sequence === last) break
    }
    expect(read).toBe(last)
  }
  // A block that was being read ahead is waited for before its file is closed.
  while (openSegments().length > 0) await new Promise(setImmediate)
})
