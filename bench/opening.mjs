/**
 * Opening against the size of the log: one sealed segment, and 64 of them (4 GiB), in turn, several rounds.
 * Opening reads headers and indexes of sealed segments, not their entries. `npm run bench:opening`
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import Table from 'cli-table3'
import { openLog } from 'ringwal'

const ROUNDS = 15
const SEGMENT_BYTES = 64 * 1024 * 1024
const ENTRY = Buffer.alloc(64 * 1024, 'ringwal ')

/** Fills a directory with `count` sealed segments. */
async function fill(directory, count) {
  const log = await openLog({ directory, maxSegmentBytes: SEGMENT_BYTES, whenFull: 'block' })
  const entries = Math.floor((count * SEGMENT_BYTES * 0.99) / ENTRY.length)
  for (let written = 0; written < entries; written++) log.append(ENTRY)
  await log.close()
}

async function timeOpening(directory) {
  const startMs = performance.now()
  const log = await openLog({ directory })
  const tookMs = performance.now() - startMs
  const { segments, bytes, durationMs } = log.recovery
  await log.close()
  return { tookMs, segments, bytes, recoveryMs: durationMs }
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}

const root = mkdtempSync(join(tmpdir(), 'ringwal-opening-'))
try {
  const logs = [{ directory: join(root, 'one'), count: 1, runs: [] }, { directory: join(root, 'many'), count: 64, runs: [] }]
  for (const { directory, count } of logs) await fill(directory, count)
  for (let round = -1; round < ROUNDS; round++) {
    for (const { directory, runs } of logs) {
      const run = await timeOpening(directory)
      if (round >= 0) runs.push(run)
    }
  }
  const table = new Table({ head: ['segments', 'MiB', 'openLog ms: median', 'min', 'max', 'of it recovery'], style: { head: [], border: [] } })
  for (const { runs } of logs) {
    const times = runs.map((run) => run.tookMs)
    table.push([runs[0].segments, Math.round(runs[0].bytes / 2 ** 20), ...[median(times), Math.min(...times), Math.max(...times), median(runs.map((run) => run.recoveryMs))].map((ms) => ms.toFixed(1))])
  }
  const [one, many] = logs.map(({ runs }) => runs)
  const ratios = many.map((run, index) => run.tookMs / one[index].tookMs).sort((a, b) => a - b)
  console.log(table.toString())
  console.log(`ratio, round by round: median ${median(ratios).toFixed(2)}, ${ratios[0].toFixed(2)} to ${ratios.at(-1).toFixed(2)} (to reach: below 2)`)
} finally {
  rmSync(root, { recursive: true, force: true })
}
