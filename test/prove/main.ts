/**
 * Runs the harnesses that look for faults: `npm run prove -- [NAME ...] [--long] [--seed N] [--case NAME]`.
 *
 * The last lines are a table: harness, cases, seconds, faults found, seed; the same stands in artifacts/prove/results.json. Exits with 1 if anything was
 * found, or a harness failed. What a fault left on disk stays, and the command that shows it again is printed.
 *
 * With `--seeded` each harness is given copies of the library with a bug in it (test/seeded), and must find it: the table tells which did. With
 * `--bug TEXT` only those bugs are tried whose names hold the text.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { BUILD, forAll, runInChild } from './harness-process.js'
import { HARNESSES, type HarnessEntry } from './harnesses.js'
import type { ProveResult } from './harness.js'
import { proveSeeded } from './seeded.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    long: { type: 'boolean', default: false }, seeded: { type: 'boolean', default: false }, seed: { type: 'string' }, case: { type: 'string' },
    bug: { type: 'string' },
  },
})

/** Far more than any takes at its quick size: what takes longer hangs. */
const QUICK_LIMIT_MS = 10 * 60_000
const RESULTS = fileURLToPath(new URL('../../artifacts/prove/results.json', import.meta.url))

interface Row {
  readonly entry: HarnessEntry
  readonly seconds: number
  /** Undefined: the harness itself failed. */
  readonly result: ProveResult | undefined
}

const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
const chosen = choose(positionals)
if (!Number.isSafeInteger(seed)) fail(`--seed: expected an integer, got ${values.seed}`)
if (values.case !== undefined && (chosen.length !== 1 || values.seeded)) fail('--case needs the name of one harness, and none of its seeded bugs')
if (values.bug !== undefined && !values.seeded) fail('--bug goes with --seeded')
process.exitCode = await (values.seeded ? proveSeeded({ names: positionals, text: values.bug ?? '', seed }) : prove()) ? 0 : 1

async function prove(): Promise<boolean> {
  const rows = await forAll(chosen, (entry) => entry, runOne)
  report(rows)
  return rows.every(({ result }) => result?.faults.length === 0)
}

function choose(names: readonly string[]): readonly HarnessEntry[] {
  const unknown = names.find((name) => !HARNESSES.some((entry) => entry.name === name))
  if (unknown !== undefined) fail(`no harness "${unknown}"; there are: ${HARNESSES.map(({ name }) => name).join(', ')}`)
  return names.length === 0 ? HARNESSES : HARNESSES.filter(({ name }) => names.includes(name))
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}

async function runOne(entry: HarnessEntry): Promise<Row> {
  const directory = mkdtempSync(join(tmpdir(), `ringwal-prove-${entry.name}-`))
  const order = { name: entry.name, seed, long: values.long, stopAtFirst: false, caseName: values.case, build: BUILD, directory }
  const startMs = performance.now()
  console.log(`${entry.name}: begins, seed ${seed}`)
  const { result, isLate } = await runInChild(order, (line) => console.log(`${entry.name}: ${line}`), values.long ? undefined : QUICK_LIMIT_MS)
  const seconds = (performance.now() - startMs) / 1000
  if (result?.faults.length === 0) {
    rmSync(directory, { recursive: true, force: true })
  } else {
    console.log(`${entry.name}: ${result !== undefined ? `${result.faults.length} faults` : isLate ? 'it does not end' : 'the harness failed'}; what it wrote is in ${directory}`)
    for (const { caseName, what } of result?.faults.slice(0, 10) ?? []) {
      console.log(`${entry.name}: ${what}\n  again: ${again(entry, caseName)}`)
    }
  }
  return { entry, seconds, result }
}

function again({ name }: HarnessEntry, caseName: string): string {
  return `npm run prove -- ${name} --seed ${seed} --case '${caseName}'${values.long ? ' --long' : ''}`
}

function report(all: readonly Row[]): void {
  const table = new Table({ head: ['harness', 'shows', 'cases', 'seconds', 'faults', 'seed'], style: { head: [], border: [], compact: true } })
  for (const { entry, seconds, result } of all) {
    const cases = result === undefined ? '' : result.skipped ?? result.cases.toLocaleString('en-US')
    table.push([entry.name, entry.about, cases, seconds.toFixed(1), result === undefined ? 'harness failed' : result.faults.length, seed])
  }
  const results = all.map(({ entry, seconds, result }) => {
    const [first] = result?.faults ?? []
    return {
      name: entry.name, seed, seconds, cases: result?.cases, faults: result?.faults.length, skipped: result?.skipped,
      ...(first !== undefined && { first: first.what, again: again(entry, first.caseName) }),
    }
  })
  mkdirSync(dirname(RESULTS), { recursive: true })
  writeFileSync(RESULTS, JSON.stringify(results, undefined, 1))
  console.log(String(table))
}
