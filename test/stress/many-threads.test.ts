/** Three threads, 600,000 entries and one that is larger than the ring: all of them, in order, in files that a second parser accepts. */

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLog, type LogHandle } from '../../dist/src/index.js'
import { parseDirectory } from '../format/independent-parser.mjs'
import { runSeed } from '../model/random.js'
import { ENTRIES, LARGE_BEFORE, LARGE_BYTES, LARGE_THREAD, ThreadEntries } from './fixtures/thread-entries.mjs'

const THREADS = 3
const TOTAL = THREADS * ENTRIES + 1
const PRODUCER = new URL('./fixtures/producer-thread.mjs', import.meta.url)

/** What one thread says it did. */
interface ThreadReport { readonly sequences: Float64Array; readonly large: number }

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-threads-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

test('3 threads × 200,000 entries of 0 to 64 KiB and one of 40 MiB are all there after close', { timeout: 300_000 }, async () => {
  const seed = runSeed()
  console.log(`many threads SEED=${seed}`)
  const log = await openLog({ directory, whenFull: 'block', blockTimeoutMs: Infinity })
  const startMs = performance.now()
  const reports = await Promise.all(Array.from({ length: THREADS }, (_, thread) => runThread(log.handle(), thread, seed)))
  await log.close()
  console.log(`many threads: appended and durable in ${seconds(startMs)} s, ${log.stats().syncs} syncs, ${Math.round(log.stats().bytes / 2 ** 20)} MiB`)
  const readMs = performance.now()
  verifyFiles(reports, seed)
  console.log(`many threads: every file parsed and compared in ${seconds(readMs)} s`)
})

function seconds(startMs: number): string {
  return ((performance.now() - startMs) / 1000).toFixed(1)
}

async function runThread(handle: LogHandle, thread: number, seed: number): Promise<ThreadReport> {
  const worker = new Worker(PRODUCER, { workerData: { handle, thread, seed } })
  // Both at once: a thread's last message and its exit may come in the same turn.
  const [[report]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]) as [[ThreadReport], unknown]
  return report
}

/** By the threads' own word: which entry of which thread has each sequence. Each thread's sequences ascend. */
function ownersOf(reports: readonly ThreadReport[]): { threads: Uint8Array; numbers: Uint32Array } {
  const threads = new Uint8Array(TOTAL + 1)
  const numbers = new Uint32Array(TOTAL + 1)
  for (const [thread, { sequences }] of reports.entries()) {
    let previous = 0
    let isAscending = true
    for (const [number, sequence] of sequences.entries()) {
      isAscending &&= sequence > previous && threads[sequence] === 0
      previous = sequence
      threads[sequence] = thread + 1
      numbers[sequence] = number
    }
    expect(isAscending, `sequences of thread ${thread} ascend, and are its own`).toBe(true)
  }
  const { sequences, large } = reports[LARGE_THREAD]!
  expect(large > sequences[LARGE_BEFORE - 1]! && large < sequences[LARGE_BEFORE]!, 'the large entry has its place in the order').toBe(true)
  return { threads, numbers }
}

function verifyFiles(reports: readonly ThreadReport[], seed: number): void {
  const { threads, numbers } = ownersOf(reports)
  const { large } = reports[LARGE_THREAD]!
  const entries = new ThreadEntries(seed)
  const parsed = parseDirectory(directory)
  const wrong: string[] = []
  let count = 0
  for (const { sequence, data } of parsed.entries()) {
    if (sequence !== ++count) wrong.push(`${sequence} comes where ${count} belongs`)
    const thread = threads[sequence]! - 1
    const wanted = sequence === large ? entries.large() : entries.entry(thread, numbers[sequence]!)
    if (!data.equals(wanted)) wrong.push(`${sequence} is not entry ${numbers[sequence]} of thread ${thread}`)
    if (wrong.length > 10) break
  }
  expect(wrong).toEqual([])
  expect(count).toBe(TOTAL)
  expect(parsed.segments.every(({ sealed, tail }) => sealed && tail === 'end')).toBe(true)
  expect(parsed.segments.length).toBeGreaterThan(3)
  expect(parsed.segments.some(({ fileBytes }) => fileBytes > LARGE_BYTES)).toBe(true)
  expect(parsed.others).toEqual(['reserve'])
}
