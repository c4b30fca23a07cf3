/**
 * The benchmarks. All is measured side by side in one run, and told as ratios: figures of shared machines drift.
 *
 *     npm run bench                    the ratios to reach, 3 rounds, some minutes
 *     npm run bench -- --full          everything, 5 rounds
 *     npm run bench -- throughput      all of one benchmark; more names may follow
 *     npm run bench -- --ci            three ratios, half a minute, without any peer
 *
 * Files go below the temporary directory, or RINGWAL_BENCH_DIR. Results are written to bench/results: JSON, and one page for a browser.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeMachine } from './machine.mjs'
import { measure, runContest } from './contest.mjs'
import { installPeers } from './peers.mjs'
import { drawReport } from './report.mjs'
import { renderRows } from './rows.mjs'

const NAMES = ['floors', 'throughput', 'append-cost', 'append-to-durable', 'event-loop', 'bursts', 'opening', 'reading', 'queue', 'growth', 'memory']
const RESULTS = fileURLToPath(new URL('./results/', import.meta.url))
const MACHINE = new URL('./machine.mjs', import.meta.url).href

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { full: { type: 'boolean' }, ci: { type: 'boolean' }, rounds: { type: 'string' }, scale: { type: 'string' } },
})
const unknown = positionals.find((name) => !NAMES.includes(name))
if (unknown !== undefined) throw new Error(`there is no benchmark ${unknown}: expected one of ${NAMES.join(', ')}`)

/** What runs: the part of a run that a contest belongs to, or all of them. */
const part = values.ci ? 'ci' : values.full || positionals.length > 0 ? 'full' : 'quick'
const rounds = Number(values.rounds ?? (part === 'full' ? 5 : 3))
/** Everything smaller, to try a benchmark out. Figures are worth less then. */
const scale = Number(values.scale ?? (part === 'ci' ? 0.25 : 1))
const isFull = part === 'full'
const say = (text) => console.log(text)

const root = mkdtempSync(join(process.env.RINGWAL_BENCH_DIR ?? tmpdir(), 'ringwal-bench-'))
process.once('exit', () => rmSync(root, { recursive: true, force: true, maxRetries: 3 }))
for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]]) process.once(signal, () => process.exit(status))

const startMs = performance.now()
const benchmarks = []
for (const name of positionals.length > 0 ? positionals : NAMES) {
  const file = new URL(`./benchmarks/${name}.mjs`, import.meta.url).href
  const { title, plan } = await import(file)
  const contests = plan({ isFull, root, scale, size: (number) => Math.max(1, Math.round(number * scale)) }).filter((contest) => isFull || contest.in.includes(part))
  if (contests.length > 0) benchmarks.push({ name, title, file, contests: part === 'ci' ? contests.map(firstRatio) : contests })
}
const missing = await peersFor(benchmarks)
const disk = await measure(MACHINE, 'measureDisk', { directory: root })
const machine = { ...describeMachine(root), disk }
say(`${machine.processor}, ${machine.cores} cores, Node ${machine.node}, ${machine.fileSystem} in ${root}
raw disk: 4 KiB write + fdatasync ${disk.preallocatedSyncUs.toFixed(0)} µs (appended ${disk.appendSyncUs.toFixed(0)} µs), 1 MiB batches ${disk.preallocatedMegabytes.toFixed(0)} MB/s; load ${machine.loadAverage[0]}\n`)

const results = []
for (const { name, title, file, contests } of benchmarks) {
  say(`${title} (${name})`)
  const found = []
  for (const contest of contests) found.push(await runContest(contest, { file, rounds, root, missing, say }).catch((error) => fail(contest, error)))
  results.push({ benchmark: name, title, part, rounds, scale, machine, contests: found })
}
say(`\n${renderRows(results)}`)
if (part === 'ci') warn(results)
else save(results)
say(`\n${((performance.now() - startMs) / 1000).toFixed(0)} s`)

/** A contest with its first ratio, and what that needs. */
function firstRatio({ rows: [row], measurements, ...contest }) {
  const names = [row.of, row.against].map((side) => [side].flat()[0])
  return { ...contest, rows: [row], measurements: measurements.filter(({ name }) => names.includes(name)) }
}

/** The others go on, and the exit status tells. */
function fail({ title, metric, unit }, error) {
  console.error(`${title}: ${error.stderr || error.stack}`)
  process.exitCode = 1
  return { title, metric, unit, note: `FAILED: ${error.message.split('\n')[0]}`, measurements: [], rows: [], left: [] }
}

async function peersFor(chosen) {
  const needs = chosen.flatMap(({ contests }) => contests.flatMap(({ measurements, prepare = [] }) => [...measurements, ...prepare].flatMap((one) => one.needs ?? [])))
  return needs.length === 0 ? new Map() : await installPeers(say)
}

/** One file for each benchmark, and one page. A full run and a quick one do not overwrite each other. */
function save(all) {
  mkdirSync(RESULTS, { recursive: true })
  for (const result of all) writeFileSync(join(RESULTS, `${part}-${result.benchmark}.json`), `${JSON.stringify(result, null, 1)}\n`)
  const page = join(RESULTS, `${part === 'full' && positionals.length > 0 ? positionals.join('-') : part}.html`)
  writeFileSync(page, drawReport(all))
  say(`\nPlots, for a browser: ${page}`)
}

/** For those who read a log of CI. Never a failure: what is measured beside other work is no proof. */
function warn(all) {
  for (const row of all.flatMap(({ contests }) => contests.flatMap(({ rows }) => rows))) {
    if (row.isReached === false) say(`warning: ${row.name}: ${row.ratio.toFixed(2)} ×, to reach ${row.atLeast === undefined ? `at most ${row.atMost}` : `at least ${row.atLeast}`} ×`)
  }
}
