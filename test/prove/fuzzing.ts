/**
 * Coverage-guided fuzzing, in this process, of everything that reads what a disk may hold: frames, trailers, indexes, headers, dead letters, entries that
 * tell of files, names, and whole directories. Inputs are changed from valid ones; one that reaches code which none before has reached is kept and
 * changed further. Coverage is taken for many inputs together, and only where it has grown is it found out which one it was.
 *
 * Nothing but a documented answer or `WalError` comes out; what is accepted reads the same when written again; no more memory is asked for
 * at once than what is there and 64 MiB, and reading is linear in it: bytes are counted, not time. (No fuzzer on npm fits: those that are kept up need
 * a native addon, or make inputs for web interfaces.)
 */

import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { below, seededRandom, type Random } from '../model/random.js'
import { loadCode } from './code-of-build.js'
import { CoverageGuide } from './coverage-guide.js'
import { directoryTarget } from './fuzz-directory.js'
import { fuzzTargets, type FuzzTarget } from './fuzz-targets.js'
import type { Fault, ProveOptions, ProveResult } from './harness.js'

const EXECUTIONS = { quick: 5_000_000, long: 100_000_000 }
/** Of the executions, so many are whole directories. */
const DIRECTORIES = { quick: 4000, long: 1_000_000 }
/** Every target has a short turn, and a longer one, before any has its long one. */
const SHARES = [0.002, 0.02, 0.978]
/** Inputs between two looks at the coverage. */
const BATCH = { single: 8192, directory: 64 }
/** Inputs that are picked out of a batch, at most. */
const MAX_FINDS = 8
const MAX_CORPUS = 2000
const MAX_INPUT_BYTES = 256 * 1024
const MEMORY_BYTES = 64 * 1024 * 1024
const MAX_FAULTS = 20

/** See the contract of a harness. */
export async function run(options: ProveOptions): Promise<ProveResult> {
  const restoreTimers = skipWaits()
  const guide = new CoverageGuide(options.build)
  try {
    const code = await loadCode(options.build)
    const targets = [...fuzzTargets(code), directoryTarget(code, options.seed)]
    if (options.caseName !== undefined) return await runOne(targets, options.caseName)
    const fuzzer = new Fuzzer(options, guide)
    // What is found already is to be mended first.
    for (const share of SHARES) for (const target of targets) if (fuzzer.result().faults.length === 0) await fuzzer.fuzz(target, share)
    return fuzzer.result()
  } finally {
    guide.close()
    restoreTimers()
  }
}

/** A reader looks again at what a writer may be about to change. Nobody writes here, so that it need not wait in between. */
function skipWaits(): () => void {
  const { setTimeout: delay, setImmediate: turn } = timers
  const timeout = globalThis.setTimeout
  const atOnce = async (): Promise<undefined> => undefined
  Object.assign(timers, { setTimeout: atOnce, setImmediate: atOnce })
  syncBuiltinESMExports()
  globalThis.setTimeout = ((act: () => void) => queueMicrotask(act)) as typeof setTimeout
  return () => {
    Object.assign(timers, { setTimeout: delay, setImmediate: turn })
    syncBuiltinESMExports()
    globalThis.setTimeout = timeout
  }
}

/** One input by its case's name, which holds it. */
async function runOne(targets: readonly FuzzTarget[], caseName: string): Promise<ProveResult> {
  const [name, text] = caseName.split(':')
  const target = targets.find((each) => each.name === name)
  if (target === undefined || text === undefined) throw new Error(`no such case: ${caseName}`)
  const what = await outcomeOf(target, inflateRawSync(Buffer.from(text, 'base64url')))
  return { cases: 1, faults: what === undefined ? [] : [{ caseName, what }] }
}

async function outcomeOf(target: FuzzTarget, input: Buffer): Promise<string | undefined> {
  try {
    return await target.run(input)
  } catch (error) {
    return `an error that nobody expects: ${(error as Error).stack ?? String(error)}`
  }
}

class Fuzzer {
  readonly #options: ProveOptions
  readonly #guide: CoverageGuide
  readonly #random: Random
  readonly #faults: Fault[] = []
  readonly #told = new Set<string>()
  #cases = 0

  constructor(options: ProveOptions, guide: CoverageGuide) {
    this.#options = options
    this.#guide = guide
    this.#random = seededRandom(options.seed)
  }

  result(): ProveResult {
    return { cases: this.#cases, faults: this.#faults }
  }

  async fuzz(target: FuzzTarget, share: number): Promise<void> {
    const { long } = this.#options
    const isDirectory = target.name === 'directory'
    const directories = long ? DIRECTORIES.long : DIRECTORIES.quick
    const all = long ? EXECUTIONS.long : EXECUTIONS.quick
    const count = Math.ceil(share * (isDirectory ? directories : (all - directories) * target.percent / 100))
    const startMs = performance.now()
    const corpus = [...target.seeds]
    await this.#runBatch(target, corpus)
    this.#guide.look(true)
    const before = memory()
    for (let done = 0; done < count && this.#faults.length === 0;) {
      const batch = Array.from({ length: Math.min(count - done, isDirectory ? BATCH.directory : BATCH.single) }, () => this.#mutated(target, corpus))
      await this.#runBatch(target, batch)
      done += batch.length
      this.#cases += batch.length
      await this.#keepNew(target, batch, corpus)
      if (done >= count && memory() - before > MEMORY_BYTES) this.#note(target, batch[0]!, `memory has grown from ${before} to ${memory()} bytes`)
    }
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
    this.#options.say(`${target.name}: ${count} executions in ${seconds} s, ${corpus.length} inputs kept, ${this.#guide.reached} characters of code reached`)
    for (const [what, times] of target.told ?? []) this.#options.say(`${target.name}: ${times} ${what}, those while looking for what reached new code included`)
  }

  #mutated(target: FuzzTarget, corpus: readonly Buffer[]): Buffer {
    const random = this.#random
    const pick = (): Buffer => corpus[below(random, corpus.length)]!
    const input = target.mutate(Buffer.from(pick()), random, pick())
    return input.length > MAX_INPUT_BYTES ? input.subarray(0, MAX_INPUT_BYTES) : input
  }

  async #runBatch(target: FuzzTarget, batch: readonly Buffer[]): Promise<void> {
    for (const input of batch) {
      const largest = watchAllocations()
      let what: string | undefined
      try {
        const result = target.run(input)
        what = result instanceof Promise ? await result : result
      } catch (error) {
        what = `an error that nobody expects: ${(error as Error).stack ?? String(error)}`
      }
      if (largest() > input.length + MEMORY_BYTES) what ??= `${largest()} bytes are allocated at once, for ${input.length}`
      if (what !== undefined) this.#note(target, input, what)
    }
  }

  /** Picks the inputs out of the batch that reach something new, by halves. */
  async #keepNew(target: FuzzTarget, batch: readonly Buffer[], corpus: Buffer[]): Promise<void> {
    if (!this.#guide.look(false)) return
    let rest = batch
    for (let finds = 0; finds < MAX_FINDS && rest.length > 0; finds++) {
      let from = 0
      let to = rest.length
      if (finds > 0 && !(await this.#reachesNew(target, rest))) return
      while (to - from > 1) {
        const middle = (from + to) >> 1
        if (await this.#reachesNew(target, rest.slice(from, middle))) to = middle
        else from = middle
      }
      this.#guide.skip()
      await this.#runBatch(target, rest.slice(from, to))
      // What only several together reach, such as a function that is compiled anew, is nobody's.
      if (this.#guide.look(true) && corpus.length < MAX_CORPUS) corpus.push(Buffer.from(rest[from]!))
      rest = rest.slice(to)
    }
  }

  async #reachesNew(target: FuzzTarget, inputs: readonly Buffer[]): Promise<boolean> {
    this.#guide.skip()
    await this.#runBatch(target, inputs)
    return this.#guide.look(false)
  }

  /** Each kind of fault once. */
  #note(target: FuzzTarget, input: Buffer, what: string): void {
    const kind = `${target.name} ${what.replaceAll(/\d+/g, '#').slice(0, 120)}`
    if (this.#told.has(kind) || this.#faults.length >= MAX_FAULTS) return
    this.#told.add(kind)
    this.#faults.push({ caseName: `${target.name}:${deflateRawSync(input).toString('base64url')}`, what: `${target.name}: ${what}` })
  }
}

/** What is in use, garbage not counted. */
function memory(): number {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const WAYS = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const
let largestBytes = 0
for (const way of WAYS) {
  const original = Buffer[way].bind(Buffer)
  Buffer[way] = ((bytes: number, ...rest: never[]) => {
    if (bytes > largestBytes) largestBytes = bytes
    return original(bytes, ...rest)
  }) as typeof Buffer.alloc
}

/** From now on: what is allocated at most at once, by any of Buffer's ways. */
function watchAllocations(): () => number {
  largestBytes = 0
  return () => largestBytes
}
