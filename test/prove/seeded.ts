/** Shows that the harnesses see bugs: each seeded bug's copy of the build is given to the harness that has to find it. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Table from 'cli-table3'
import { copyPatched } from '../seeded/patch.js'
import type { SeededBug } from '../seeded/seeded-bug.js'
import { BUILD, forAll, runInChild } from './harness-process.js'
import { HARNESSES, type HarnessEntry } from './harnesses.js'
import type { Fault } from './harness.js'

const LISTS = new URL('../seeded/', import.meta.url)
/** A bug that is not caught by then is missed. */
const LIMIT_MS = 3 * 60_000
/** A change that makes code that cannot run shows nothing. */
const NONSENSE = /ReferenceError|SyntaxError|is not a function|is not iterable|is not a constructor|Cannot read properties/
const TOLD_CHARACTERS = 90

interface Row {
  readonly bug: SeededBug
  readonly verdict: string
  readonly isCaught: boolean
  readonly seconds: number
  readonly fault: string
}

/** Which bugs are looked for. */
interface Choice {
  /** Of these harnesses; of all, if there are none. */
  readonly names: readonly string[]
  /** Only those with it in their names. */
  readonly text: string
  readonly seed: number
}

/** Has the bugs looked for. False when one was missed, or there was none. */
export async function proveSeeded({ names, text, seed }: Choice): Promise<boolean> {
  const all = await seededBugs()
  const bugs = all.filter(({ name, caughtBy }) => (names.length === 0 || names.includes(caughtBy)) && name.includes(text))
  console.log(`${bugs.length} seeded bugs, seed ${seed}`)
  const entries = new Map(bugs.map((bug) => [bug, entryOf(bug)]))
  const rows = await forAll(bugs, (bug) => entries.get(bug)!, (bug) => lookFor(bug, seed))
  const table = new Table({ head: ['bug', 'harness', 'verdict', 'seconds', 'fault'], style: { head: [], border: [], compact: true } })
  for (const { bug, verdict, seconds, fault } of rows) table.push([bug.name, bug.caughtBy, verdict, seconds.toFixed(1), fault])
  const missed = rows.filter(({ isCaught }) => !isCaught).length
  console.log(`${String(table)}\n${rows.length} seeded bugs, ${rows.length - missed} caught, ${missed} missed; seed ${seed}`)
  return missed === 0 && rows.length > 0
}

/** All that are listed. */
export async function seededBugs(): Promise<SeededBug[]> {
  const files = readdirSync(LISTS).filter((name) => /^[a-z-]+\.ts$/.test(name)).sort()
  const lists = await Promise.all(files.map(async (name) => await import(new URL(name, LISTS).href) as { BUGS?: readonly SeededBug[] }))
  return lists.flatMap(({ BUGS }) => BUGS ?? [])
}

function entryOf({ name, caughtBy }: SeededBug): HarnessEntry {
  const entry = HARNESSES.find((harness) => harness.name === caughtBy)
  if (entry === undefined) throw new Error(`no harness "${caughtBy}", which is to find "${name}"`)
  return entry
}

async function lookFor(bug: SeededBug, seed: number): Promise<Row> {
  const root = mkdtempSync(join(tmpdir(), 'ringwal-seeded-'))
  const startMs = performance.now()
  try {
    const build = join(root, 'build')
    copyPatched(BUILD, build, bug.patches)
    const order = { name: bug.caughtBy, seed, long: false, stopAtFirst: true, caseName: bug.caseName, build, directory: root }
    const { result, isLate } = await runInChild(order, () => undefined, LIMIT_MS)
    const fault = result?.faults.find((found) => shows(bug, found)) ?? result?.faults[0]
    const what = fault?.what.split('\n')[0]!.slice(0, TOLD_CHARACTERS) ?? (isLate ? 'it does not end' : '')
    const isCaught = fault !== undefined && shows(bug, fault)
    const verdict = isCaught ? 'caught' : result?.skipped !== undefined ? `MISSED: ${result.skipped}` : result === undefined && !isLate ? 'MISSED: the harness failed' : 'MISSED'
    const seconds = (performance.now() - startMs) / 1000
    console.log(`${bug.caughtBy}: ${bug.name}: ${verdict} after ${seconds.toFixed(1)} s${what === '' ? '' : `: ${what}`}`)
    return { bug, verdict, isCaught, seconds, fault: what }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function shows({ shows: wanted }: SeededBug, { what }: Fault): boolean {
  return !NONSENSE.test(what) && (wanted?.test(what) ?? true)
}
