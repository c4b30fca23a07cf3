/**
 * Every call by which a log changes its directory fails once, in each way in which it can, and is once the place of a kill: just before it is
 * made, and just after it is done. A child does the work, strace takes hold of one of its threads and counts that thread's calls; then the
 * directory is opened as anybody would open it, and must hold what the child was told that it holds.
 */

import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import Table from 'cli-table3'
import type * as Library from '../../dist/src/index.js'
import type { Fault, ProveOptions, ProveResult } from './harness.js'
import { kindOf, legalOutcomes, nameOf, pointOf, pointsOf, samplePoints, SCENARIOS, type Outcome, type Point } from './system-call-points.js'
import { findFaults } from './system-calls-oracle.js'
import { brokenRules } from './system-call-rules.js'
import { runProgram, THREADS, tracerObstacle, type ProgramEnd, type Told, type TracedCall } from './traced-program.js'

/** At least so many; with the first and last ones of each kind they take about two and a half minutes of one core. */
const QUICK_POINTS = 300
/** Of the points, the part that a run may not come by: a call that comes of timing stands elsewhere, or not at all. */
const MISSED_SHARE = 0.1
/** After so many it is known that something is wrong. */
const MOST_FAULTS = 20
const FRAME = /MSG!([^]{12})/

/** What a kill left, for programs to begin with. */
interface Template {
  readonly directory: string
  readonly told: readonly Told[]
}

/** What has come of all points of one kind. */
type Tally = Map<string, Map<Outcome | 'not reached', number>>

export async function run(options: ProveOptions): Promise<ProveResult> {
  const obstacle = await tracerObstacle()
  if (obstacle !== undefined) return { cases: 0, faults: [], skipped: obstacle }
  const library = await import(pathToFileURL(join(options.build, 'src', 'index.js')).href) as typeof Library
  const template = await makeTemplate(options)
  const all = options.caseName === undefined ? await countPoints(options, template) : [pointOf(options.caseName)]
  const points = options.long ? all : samplePoints(all, QUICK_POINTS, options.seed)
  options.say(`${all.length} points, of which ${points.length} are tried`)
  const faults: Fault[] = []
  const tally: Tally = new Map()
  let tried = 0
  let missed = 0
  for (const [index, point] of points.entries()) {
    if (faults.length >= (options.stopAtFirst ? 1 : MOST_FAULTS)) break
    tried++
    const outcome = await tryPoint(library, options, template, point, index, faults)
    if (outcome === 'not reached') missed++
    count(tally, point.kind, outcome)
    if (index % 100 === 99) options.say(`${index + 1} of ${points.length} points, ${faults.length} faults`)
  }
  if (missed > tried * MISSED_SHARE) faults.push({ caseName: 'all', what: `${missed} of ${tried} points were not reached: too few to show anything` })
  options.say(String(tableOf(tally)))
  return { cases: tried - missed, faults }
}

async function makeTemplate({ build, directory }: ProveOptions): Promise<Template> {
  const path = join(directory, 'template', 'log')
  mkdirSync(join(directory, 'template'))
  const end = await runProgram({ build, directory: path, scenario: 'leave', threads: [] })
  if (end.signal !== 'SIGKILL' || end.isHung) throw new Error(`the template could not be made: ${end.errors} ${JSON.stringify(end.told.slice(-3))}`)
  return { directory: path, told: end.told }
}

/** Runs every program without a fault. */
async function countPoints({ build, directory }: ProveOptions, template: Template): Promise<Point[]> {
  const points: Point[] = []
  for (const scenario of SCENARIOS) {
    const root = join(directory, `count-${scenario}`)
    begin(scenario, root, template)
    const end = await runProgram({ build, directory: join(root, 'log'), scenario, threads: THREADS })
    const failed = end.told.find(({ kind }) => kind === 'failed')
    if (end.code !== 0 || failed !== undefined) throw new Error(`${scenario} fails without a fault: ${end.errors} ${JSON.stringify(failed)}`)
    points.push(...pointsOf(scenario, root, end.calls))
    rmSync(root, { recursive: true })
  }
  return points
}

/** A place for one run; of a program that begins from nothing not even the directory is there. */
function begin(scenario: string, root: string, template: Template): void {
  mkdirSync(root)
  // What a kill left has sockets in it, which Node does not copy.
  if (scenario === 'left') execFileSync('cp', ['-a', template.directory, join(root, 'log')])
}

async function tryPoint(
  library: typeof Library, { build, directory, say }: ProveOptions, template: Template, point: Point, index: number, faults: Fault[],
): Promise<Outcome | 'not reached'> {
  const root = join(directory, `p${index}`)
  begin(point.scenario, root, template)
  const log = join(root, 'log')
  const end = await runProgram({ build, directory: log, scenario: point.scenario, threads: [point.thread], injection: point })
  execFileSync('cp', ['-a', root, `${root}.found`])
  const outcome = outcomeOf(end, point)
  const wrong = outcome === 'not reached' ? [] : judge(end, point, outcome, root)
  wrong.push(...await findFaults(library, log, point.scenario === 'left' ? [...template.told, ...end.told] : end.told))
  rmSync(root, { recursive: true })
  if (wrong.length === 0) {
    rmSync(`${root}.found`, { recursive: true })
  } else {
    writeFileSync(join(`${root}.found`, 'run.json'), JSON.stringify({ ...end, calls: end.calls.get(point.thread) }, undefined, 1))
    const what = `${nameOf(point)}: ${wrong.join('; ')} (as it was found: ${root}.found)`
    say(what)
    faults.push({ caseName: nameOf(point), what })
  }
  return outcome
}

function hitOf(end: ProgramEnd, { thread, call, ordinal }: Point): TracedCall | undefined {
  return end.calls.get(thread)?.find((traced) => traced.name === call && traced.ordinal === ordinal)
}

function failuresOf(end: ProgramEnd): Extract<Told, { kind: 'failed' }>[] {
  return end.told.filter((item) => item.kind === 'failed')
}

function outcomeOf(end: ProgramEnd, point: Point): Outcome | 'not reached' {
  if (hitOf(end, point) === undefined) return 'not reached'
  if (end.signal === 'SIGKILL') return 'killed'
  const failures = failuresOf(end)
  if (failures.some(({ error }) => error.codes[0] === 'ERR_WAL_FAILED')) return 'failed for good'
  if (failures.length === 0) return 'went on'
  return failures[0]!.step === 'open' ? 'opening refused' : 'step refused'
}

/** What is wrong with how the program ended. */
function judge(end: ProgramEnd, point: Point, outcome: Outcome, root: string): string[] {
  const call = hitOf(end, point)!
  const wrong: string[] = []
  const legal = legalOutcomes(point, call, root)
  if (end.isHung) wrong.push('it hung')
  if (!legal.includes(outcome)) wrong.push(`it ${outcome} where ${legal.join(' or ')} is right, after ${kindOf(call, root)}`)
  if (end.errors !== '') wrong.push(`it said ${end.errors.slice(0, 500)}`)
  if (outcome !== 'killed' && (end.code !== 0 || end.told.at(-1)?.kind !== 'end')) wrong.push(`it ended with code ${end.code}, signal ${end.signal}`)
  wrong.push(...[...end.calls.values()].flatMap((calls) => brokenRules(calls, root)))
  const failures = failuresOf(end)
  const untyped = failures.find(({ error }) => !error.isWalError)
  if (untyped !== undefined) wrong.push(`${untyped.step} failed with something else than a WalError: ${untyped.error.message}`)
  const { fault } = point
  if (failures.length > 0 && 'error' in fault && !failures[0]!.error.codes.includes(fault.error)) wrong.push(`the error does not tell its cause: ${failures[0]!.error.codes.join()}`)
  if (outcome === 'failed for good') wrong.push(...afterFailure(end))
  else if (failures.length > 1) wrong.push(`${failures.map(({ step }) => step).join()} failed, of one fault`)
  // After a refused opening another thread writes, which nobody traces.
  if (failures[0]?.step !== 'open') wrong.push(...premature(end))
  return wrong
}

/** A log that has failed says so from then on, whatever it is asked. */
function afterFailure(end: ProgramEnd): string[] {
  const from = end.told.findIndex((item) => item.kind === 'failed' && item.error.codes[0] === 'ERR_WAL_FAILED')
  const committed = Math.max(0, ...end.told.slice(0, from).map((item) => (item.kind === 'committed' ? item.sequence : 0)))
  const later = end.told.slice(from).find((item) =>
    ['accepted', 'acknowledged', 'done'].includes(item.kind) || (item.kind === 'failed' && item.error.codes[0] !== 'ERR_WAL_FAILED')
    || (item.kind === 'committed' && item.sequence > committed))
  return later === undefined ? [] : [`after the log had failed: ${JSON.stringify(later)}`]
}

/** Whatever was acknowledged had been written, and then a sync of its file had succeeded. */
function premature(end: ProgramEnd): string[] {
  const unsynced = new Map<string, number>()
  for (const call of end.calls.get('writer') ?? []) {
    if (call.name === 'fdatasync' && !call.failed) unsynced.delete(call.path)
    const frame = call.name.startsWith('pwrite') && !call.failed ? FRAME.exec(call.text)?.[1] : undefined
    const sequence = frame === undefined ? 0 : Number(Buffer.from(frame, 'latin1').readBigUInt64LE(4))
    if (sequence > 0 && !unsynced.has(call.path)) unsynced.set(call.path, sequence)
  }
  const first = Math.min(...unsynced.values())
  const last = Math.max(0, ...end.told.map((item) => (item.kind === 'acknowledged' ? item.first + item.labels.length - 1 : 0)))
  return last >= first ? [`sequence ${last} was acknowledged, and nothing from ${first} on was synced`] : []
}

function count(tally: Tally, kind: string, outcome: Outcome | 'not reached'): void {
  const outcomes = tally.get(kind) ?? new Map<Outcome | 'not reached', number>()
  tally.set(kind, outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1))
}

function tableOf(tally: Tally): Table.Table {
  const table = new Table({ head: ['call', 'points', 'what came of it'], style: { head: [], border: [], compact: true } })
  for (const [kind, outcomes] of [...tally].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const points = [...outcomes.values()].reduce((sum, each) => sum + each, 0)
    table.push([kind, points, [...outcomes].toSorted().map(([outcome, times]) => `${times} ${outcome}`).join(', ')])
  }
  return table
}
