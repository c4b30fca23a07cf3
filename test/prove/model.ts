/**
 * Random programs of the whole public API, against a plain model in memory of what the README promises. A program that fails is made smaller by
 * fast-check, and printed.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Fault, ProveOptions, ProveResult } from './harness.js'
import { CONSUMER_COMMANDS } from './model/consumer-commands.js'
import { ExpectedLog, promise } from './model/expected-log.js'
import { checkAll, LOG_COMMANDS, SHAPE, type Command } from './model/log-commands.js'
import { loadBuild, World, type Build, type Shape } from './model/world.js'

const QUICK_MS = 60_000
const LONG_MS = 30 * 60_000
/** Programs drawn from one seed. */
const CHUNK = 5
const MAX_COMMANDS = 40
/** A program that takes longer hangs. */
const PROGRAM_MS = 60_000
/** How long a failing program is made smaller. */
const SHRINK_MS = 60_000

interface Program {
  readonly shape: Shape
  readonly keepConsumed: boolean
}

const PROGRAM = fc.record({ shape: SHAPE, keepConsumed: fc.boolean() })

/** A case's name: the chunk, fast-check's path in it, and which commands of the path's program are left. */
interface Case {
  readonly chunk: number
  readonly path: string
  readonly replayPath: string
}

/** Looks for faults. */
export async function run(options: ProveOptions): Promise<ProveResult> {
  const code = await loadBuild(options.build)
  const chosen = options.caseName === undefined ? undefined : parseCase(options.caseName)
  const endMs = performance.now() + (options.long ? LONG_MS : QUICK_MS)
  let cases = 0
  for (let chunk = chosen?.chunk ?? 0; chosen !== undefined || performance.now() < endMs; chunk++) {
    const { programs, fault } = await runChunk(options, code, chunk, chosen)
    cases += programs
    if (fault !== undefined || chosen !== undefined) return { cases, faults: fault === undefined ? [] : [fault] }
    if (chunk % 10 === 9) options.say(`${cases} programs`)
  }
  return { cases, faults: [] }
}

function parseCase(name: string): Case {
  const [chunk, path, ...replay] = name.split('/')
  return { chunk: Number(chunk), path: path!, replayPath: replay.join('/') }
}

async function runChunk(options: ProveOptions, code: Build, chunk: number, chosen: Case | undefined): Promise<{ programs: number; fault?: Fault }> {
  let firstFailureMs = Infinity
  let kept: string | undefined
  const commands = fc.commands([fc.oneof(...LOG_COMMANDS, ...CONSUMER_COMMANDS)], { maxCommands: MAX_COMMANDS, size: 'max', ...(chosen !== undefined && { replayPath: chosen.replayPath }) })
  const property = fc.asyncProperty(PROGRAM, commands, async (program, list) => {
    // What has been found is small enough, or will not become smaller in good time.
    if (performance.now() > firstFailureMs + SHRINK_MS) return
    const root = mkdtempSync(join(options.directory, 'program-'))
    try {
      await runProgram(options, code, root, program, list)
    } catch (error) {
      firstFailureMs = Math.min(firstFailureMs, performance.now())
      if (kept !== undefined) rmSync(kept, { recursive: true, force: true })
      kept = root
      throw error
    }
    rmSync(root, { recursive: true, force: true })
  })
  const outcome = await fc.check(property, {
    seed: options.seed + chunk, numRuns: CHUNK, timeout: PROGRAM_MS, endOnFailure: options.stopAtFirst, ...(chosen !== undefined && { path: chosen.path, endOnFailure: true }),
  })
  if (!outcome.failed) return { programs: outcome.numRuns }
  const [program, list] = outcome.counterexample!
  const replayPath = /replayPath="([^"]*)"/.exec(String(list))?.[1] ?? ''
  const what = outcome.errorInstance instanceof Error ? outcome.errorInstance.message : String(outcome.errorInstance)
  return { programs: outcome.numRuns, fault: { caseName: `${chunk}/${outcome.counterexamplePath}/${replayPath}`, what: `${what}\n  ${JSON.stringify(program)}\n  ${show(list)}\n  in ${kept}` } }
}

function show(list: Iterable<Command>): string {
  return [...list].map(String).join('\n  ')
}

async function runProgram(options: ProveOptions, code: Build, root: string, { shape, keepConsumed }: Program, list: Iterable<Command>): Promise<void> {
  const world = new World(code, options.build, root, { ...shape, retention: { keepConsumed } })
  const model = new ExpectedLog()
  model.keepsConsumed = keepConsumed
  await world.open()
  try {
    await fc.asyncModelRun(() => ({ model, real: world }), list as Iterable<fc.AsyncCommand<ExpectedLog, World>>)
    await checkAll(model, world)
  } finally {
    await world.endOutside()
    await world.close()
  }
  const { status } = await code.verifyLog(world.directory)
  promise(status === 'sound', () => `after the end verifyLog says ${status}`)
}
