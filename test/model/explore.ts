/**
 * The explorer: runs the threads of a model in every order of their steps.
 *
 * A thread is a generator of {@link Step}s (generators.ts) that touches shared memory through them alone, so what it
 * does is a function of the results it was given. Each thread is therefore kept as a tree of histories: a node is
 * "after these results, this step is next". A state is the shared memory and one node per thread. The search is depth
 * first, undoes memory by a journal, and does not enter a state twice; states are told apart by 64 bits of hash
 * (with 10^6 states, the chance that any two are confused is about 3 in 10^8).
 *
 * Reduction: a step on words that no other thread will disturb from here on commutes with all that others may do, so it
 * is run at once. What a thread may still do is found out: for each word, how far the thread was when it last used or
 * changed it in any run so far, "how far" being the number of stores that it has made. Random runs give a first guess;
 * when the search sees a later use, it begins anew with that known, so the last search has seen none.
 *
 * A thread that waits is blocked until it is notified; time does not pass. In models with time-outs a wait may end by
 * itself when nothing else can move, and `earlyTimeouts` times at any moment.
 */

import type { AtomicsSeam } from '../../dist/src/sync/atomics-seam.js'
import type { Step, Steps } from './generators.js'
import { below, seededRandom, type Random } from './random.js'

const MAX_STEPS = 1_000
const PROBES = 500
/** Generators that are kept waiting at their node; beyond that, they are run again from their thread's start. */
const MAX_LIVE = 2_000
const THREAD_CELLS = 2 ** 28

interface Region {
  readonly base: number
  readonly words: Int32Array
  readonly name: (index: number) => string
}

/** Shared memory with a journal, a hash of its contents, and the operations of `Atomics` on it. */
export class ModelMemory implements AtomicsSeam {
  readonly #regions = new Map<object, Region>()
  readonly #journal: { readonly words: Int32Array; readonly index: number; readonly value: number }[] = []
  readonly #control: Int32Array
  /** Number of words that are shared. */
  size = 0
  hash = 0
  hash2 = 0

  constructor(control: Int32Array, name: (index: number) => string) {
    this.#control = control
    this.share(control, name)
  }

  /**
   * Makes a view known; what is written through it can be undone. `name` is that of an element. A view of memory that is
   * shared already has the same cells: two steps on one word must be seen to be on one word.
   */
  share(view: Int32Array | Uint8Array, name: (index: number) => string): void {
    const words = view instanceof Int32Array ? view : new Int32Array(view.buffer, view.byteOffset, view.length / 4)
    const known = [...this.#regions.values()].find((region) => region.words.buffer === words.buffer)
    if (known !== undefined && words.byteOffset + words.byteLength > known.words.byteOffset + known.words.byteLength) throw new Error('a view beyond the shared memory')
    const base = known === undefined ? this.size : known.base + (words.byteOffset - known.words.byteOffset) / 4
    this.#regions.set(view, { base, words, name })
    if (known === undefined) this.size += words.length
  }

  /** The number of a word among all that are shared. */
  cell(view: unknown, index: unknown): number {
    return this.#region(view).base + (index as number)
  }

  nameOf(view: unknown, index: unknown): string {
    return this.#region(view).name(index as number)
  }

  #region(view: unknown): Region {
    const region = this.#regions.get(view as object)
    if (region === undefined) throw new Error('a step on memory that the model does not share')
    return region
  }

  mark(): number {
    return this.#journal.length
  }

  /** Takes back everything since `mark`, when the hashes were these. */
  undo(mark: number, hash: number, hash2: number): void {
    while (this.#journal.length > mark) {
      const { words, index, value } = this.#journal.pop()!
      words[index] = value
    }
    this.hash = hash
    this.hash2 = hash2
  }

  /** The hash goes on as if cell `cell` changed its value. */
  mix(cell: number, before: number, after: number): void {
    this.hash ^= scramble(cell, before, 0x2c1b3c6d) ^ scramble(cell, after, 0x2c1b3c6d)
    this.hash2 ^= scramble(cell, before, 0x297a2d39) ^ scramble(cell, after, 0x297a2d39)
  }

  put(words: Int32Array, index: number, value: number): void {
    const before = words[index]!
    words[index] = value
    this.#changed(this.#region(words).base, words, index, before)
  }

  #changed(base: number, words: Int32Array, index: number, before: number): void {
    const after = words[index]!
    if (after === before) return
    this.#journal.push({ words, index, value: before })
    this.mix(base + index, before, after)
  }

  load = (words: Int32Array, index: number): number => words[index]!
  store = (words: Int32Array, index: number, value: number): number => {
    this.put(words, index, value)
    return value
  }

  clear = (words: Int32Array, from: number, to: number): void => words.subarray(from, to).forEach((_, index) => this.put(words, from + index, 0))
  add = (words: Int32Array, index: number, value: number): number => this.exchange(words, index, words[index]! + value)

  exchange = (words: Int32Array, index: number, value: number): number => {
    const before = words[index]!
    this.put(words, index, value)
    return before
  }

  compareExchange = (words: Int32Array, index: number, expected: number, replacement: number): number => {
    const before = words[index]!
    if (before === expected) this.put(words, index, replacement)
    return before
  }

  wait = (): never => {
    throw new Error('a wait outside of the explorer')
  }

  notify = (): number => 0

  compareExchange64 = (index: number, expectedLow: number, expectedHigh: number, low: number, high: number): boolean => {
    if (this.#control[index] !== (expectedLow | 0) || this.#control[index + 1] !== (expectedHigh | 0)) return false
    this.put(this.#control, index, low)
    this.put(this.#control, index + 1, high)
    return true
  }

  load64 = (index: number): bigint => (BigInt(this.#control[index + 1]!) << 32n) | BigInt(this.#control[index]! >>> 0)

  /** As WebAssembly has it: what stood there before. */
  exchangeIf64 = (index: number, expected: bigint, value: bigint): bigint => {
    const before = this.load64(index)
    if (before === expected) {
      this.put(this.#control, index, Number(BigInt.asIntN(32, value)))
      this.put(this.#control, index + 1, Number(BigInt.asIntN(32, value >> 32n)))
    }
    return before
  }

  raise64 = (index: number, value: number): number => {
    const before = this.#control[index + 1]! * 2 ** 32 + (this.#control[index]! >>> 0)
    if (before >= value) return before
    this.put(this.#control, index, value | 0)
    this.put(this.#control, index + 1, Math.floor(value / 2 ** 32))
    return value
  }

  /** Runs a step that every thread may ask for; the explorer's own are not among them. */
  run({ name, args }: Step): unknown {
    const [target, ...rest] = args as [never, never, never, never, never]
    switch (name) {
      case 'bytes-set': return this.#setBytes(target, rest[0], 0)
      case 'bytes-write': return this.#setBytes(target, rest[1], rest[0])
      case 'bytes-slice':
      case 'bytes-read': return Uint8Array.prototype.slice.call(target, rest[0], rest[1])
      case 'call': return (target as (...args: unknown[]) => unknown)(...rest)
      case 'call-writing': return this.#writeBytes(rest[0], () => (target as (...args: unknown[]) => unknown)(...rest))
      default: return (this[name as 'load'] as (...args: unknown[]) => unknown)(...args)
    }
  }

  #setBytes(target: Uint8Array, bytes: Uint8Array, offset: number): void {
    this.#writeBytes(target, () => target.set(bytes, offset))
  }

  #writeBytes(target: Uint8Array, write: () => unknown): void {
    const { base, words } = this.#region(target)
    const before = words.slice()
    write()
    for (const [index, value] of before.entries()) this.#changed(base, words, index, value)
  }

  /** The words that a step touches; undefined for bytes, notifications, and the explorer's own steps. */
  cellsOf({ name, args }: Step): readonly number[] | undefined {
    if (['compareExchange64', 'raise64', 'load64', 'exchangeIf64'].includes(name)) {
      const low = this.cell(this.#control, args[0])
      return [low, low + 1]
    }
    if (name === 'clear') return Array.from({ length: (args[2] as number) - (args[1] as number) }, (_, index) => this.cell(args[0], args[1]) + index)
    return ['load', 'store', 'add', 'exchange', 'compareExchange', 'wait', 'until'].includes(name) ? [this.cell(args[0], args[1])] : undefined
  }
}

function scramble(cell: number, value: number, seed: number): number {
  let mixed = Math.imul(cell ^ seed, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 15) ^ value, 0xc2b2ae35)
  mixed = Math.imul(mixed ^ (mixed >>> 13) ^ cell, 0x27d4eb2f)
  return mixed ^ (mixed >>> 16)
}

/** A thread of a model. `start` begins it anew, with all local state of its own. */
export interface ModelThread {
  readonly name: string
  readonly mayDie?: boolean
  start(): Steps<unknown>
}

/** How a thread stands at the end of a run. `note` is its last {@link note}, `value` what it returned. */
export interface Ending {
  readonly name: string
  readonly state: 'done' | 'blocked' | 'dead'
  readonly note: string
  readonly value: unknown
}

/** What is explored. */
export interface Model {
  readonly memory: ModelMemory
  readonly threads: readonly ModelThread[]
  /** Waits with a finite limit may end by it. */
  readonly timeouts: boolean
  readonly earlyTimeouts: number
  /** Plain accesses are steps of their own, instead of one with the atomic step before them. */
  readonly plainSteps: boolean
  /** False: steps that commute with all else are explored in every order too. */
  readonly reduced: boolean
  /** Names the outcome of a finished run; throws what is wrong with it. */
  judge(endings: readonly Ending[]): string
}

/** What a search found. */
export interface Report {
  /** Distinct states at which the threads' order was decided. */
  states: number
  /** Steps taken. */
  steps: number
  /** Runs to an end, or to a state already searched. */
  executions: number
  /** Orders that these stand for: paths from the start to an end. Steps that commute with all else have one order. */
  interleavings: number
  /** Distinct states in which runs end. */
  ends: number
  readonly outcomes: Map<string, number>
}

/** A run that went wrong, with the schedule that leads to it (see {@link replay}). */
export class ModelFailure extends Error {
  constructor(what: string, readonly schedule: string, trace: string) {
    super(`${what}\nschedule: ${schedule}\n${trace}`)
    this.name = 'ModelFailure'
  }
}

/**
 * All of a thread's local state, as text: histories with equal notes are one from there on. Also shown in endings.
 * `progress` never falls; `loops`: the thread may come back to this place with the same progress.
 */
export function note(state: string, progress: number, loops = false): Step {
  return { name: 'note', args: [state, progress, loops], plain: true }
}

/** Stages are counted by stores within one {@link note}'s progress, up to this many. */
const STAGES = 1000

interface Node {
  readonly id: number
  readonly parent: Node | undefined
  readonly result: unknown
  readonly note: string
  readonly step: Step | undefined
  readonly cells: readonly number[] | undefined
  /** How far the thread is: its progress, times {@link STAGES}, and its stores since. Never falls. */
  readonly stage: number
  readonly loops: boolean
  readonly value: unknown
  readonly error: unknown
  readonly children: Map<unknown, Node>
  live: Steps<unknown> | undefined
}

/** The histories of one thread. */
class History {
  readonly #nodes: Node[] = []
  readonly #notes = new Map<string, Node>()
  readonly #alive: Node[] = []
  readonly root: Node

  constructor(readonly thread: ModelThread, readonly memory: ModelMemory) {
    this.root = this.#advance(thread.start(), undefined, undefined)
  }

  /** The node after `node` when its step had this result. */
  next(node: Node, result: unknown): Node {
    const key = typeof result === 'object' && result !== null ? String(result) : result
    const known = node.children.get(key)
    if (known !== undefined) return known
    const running = node.live ?? this.#rerun(node)
    node.live = undefined
    const made = this.#advance(running, node, result)
    node.children.set(key, made)
    return made
  }

  #rerun(node: Node): Steps<unknown> {
    const results: unknown[] = []
    for (let at = node; at.parent !== undefined; at = at.parent) results.push(at.result)
    const running = this.thread.start()
    let next = running.next()
    const passNotes = (): void => {
      while (next.value !== undefined && (next.value as Step).name === 'note') next = running.next()
    }
    passNotes()
    while (results.length > 0) {
      next = running.next(results.pop())
      passNotes()
    }
    return running
  }

  #advance(running: Steps<unknown>, parent: Node | undefined, result: unknown): Node {
    let text: string | undefined
    let loops = parent?.loops ?? false
    let stage = parent === undefined ? 0 : parent.stage + (!loops && isStore(parent.step!, result) ? 1 : 0)
    try {
      let next = running.next(result)
      while (next.done !== true && next.value.name === 'note') {
        const progress = next.value.args[1] as number
        ;[text, loops, stage] = [String(next.value.args[0]), next.value.args[2] === true, progress * STAGES]
        const known = this.#notes.get(text)
        if (known !== undefined) return known
        next = running.next()
      }
      const made = this.#add({ parent, result, stage, loops, ...(next.done === true ? { value: next.value } : { step: next.value }) }, text)
      if (text !== undefined) this.#notes.set(text, made)
      made.live = running
      this.#alive.push(made)
      if (this.#alive.length > MAX_LIVE) this.#alive.shift()!.live = undefined
      return made
    } catch (error) {
      return this.#add({ parent, result, stage, loops, error }, text)
    }
  }

  #add(known: Pick<Node, 'parent' | 'result' | 'stage' | 'loops'> & Partial<Node>, text: string | undefined): Node {
    const cells = known.step === undefined ? undefined : this.memory.cellsOf(known.step)
    const made: Node = {
      step: undefined, value: undefined, error: undefined, live: undefined, ...known,
      id: this.#nodes.length + 1, note: text ?? known.parent?.note ?? '', cells, children: new Map(),
    }
    this.#nodes.push(made)
    return made
  }
}

function isStore({ name, args }: Step, result: unknown): boolean {
  return name === 'store' || name === 'clear' || name === 'bytes-write' || (name === 'compareExchange64' && result === true) || (name === 'exchangeIf64' && result === args[1])
}

/** Hashes of states, and for each the interleavings below it. Open addressing; grows. */
class StateTable {
  #keys = new Uint32Array(2 << 12)
  #counts = new Float64Array(1 << 12)
  size = 0

  /** Where the state stands; negative (less 1) where it is to be put. */
  find(hash: number, hash2: number): number {
    const mask = this.#counts.length - 1
    const low = hash >>> 0
    const high = (hash2 >>> 0) || 1
    for (let at = low & mask; ; at = (at + 1) & mask) {
      const stored = this.#keys[2 * at + 1]!
      if (stored === 0) return -1 - at
      if (stored === high && this.#keys[2 * at] === low) return at
    }
  }

  count(at: number): number {
    return this.#counts[at]!
  }

  set(hash: number, hash2: number, count: number): void {
    const found = this.find(hash, hash2)
    const at = found < 0 ? -1 - found : found
    if (found < 0) {
      this.size++
      this.#keys[2 * at] = hash
      this.#keys[2 * at + 1] = (hash2 >>> 0) || 1
    }
    this.#counts[at] = count
    if (this.size * 2 > this.#counts.length) this.#grow()
  }

  #grow(): void {
    const [keys, counts] = [this.#keys, this.#counts]
    this.#keys = new Uint32Array(keys.length * 2)
    this.#counts = new Float64Array(counts.length * 2)
    this.size = 0
    for (const [at, count] of counts.entries()) if (keys[2 * at + 1] !== 0) this.set(keys[2 * at]!, keys[2 * at + 1]!, count)
  }
}

/** What the scheduler may do next with a thread. */
type Move = 'step' | 'die' | 'time-out'
/** How moves are written in a schedule, after the thread's name. */
const SIGNS = { 'step': '', 'die': '!', 'time-out': '?' } as const

const NEVER = 2 ** 31 - 1
const RUNNING = 0
const DEAD = -1

/** One state of a model, and the way to the next ones. */
class Machine {
  readonly #memory: ModelMemory
  readonly #origin: readonly [number, number, number]
  nodes: Node[]
  /** Running, dead, or 1 + the word that the thread waits on. */
  status: number[]
  earlyLeft: number
  /** For each thread, the latest stage at which it used a word, or changed it. */
  readonly #lastUse: readonly Int32Array[]
  readonly #lastChange: readonly Int32Array[]
  /** For each thread and word, the earliest stage at which a step was run at once since no use (or change) was known. */
  readonly #trustedUse: readonly Int32Array[]
  readonly #trustedChange: readonly Int32Array[]
  /** How often that trust turned out to be wrong. */
  surprises = 0
  path: { readonly move: Move, readonly thread: number }[] = []

  constructor(readonly model: Model, readonly histories: readonly History[]) {
    this.#memory = model.memory
    this.#origin = [model.memory.mark(), model.memory.hash, model.memory.hash2]
    this.nodes = histories.map(({ root }) => root)
    this.status = histories.map(() => RUNNING)
    this.earlyLeft = model.earlyTimeouts
    const perWord = (value: number): Int32Array[] => histories.map(() => new Int32Array(model.memory.size).fill(value))
    ;[this.#lastUse, this.#lastChange, this.#trustedUse, this.#trustedChange] = [perWord(-1), perWord(-1), perWord(NEVER), perWord(NEVER)]
  }

  reset(): void {
    this.#memory.undo(...this.#origin)
    this.nodes = this.histories.map(({ root }) => root)
    this.status = this.histories.map(() => RUNNING)
    this.earlyLeft = this.model.earlyTimeouts
    this.path = []
  }

  isRunning(thread: number): boolean {
    const { step } = this.nodes[thread]!
    return this.status[thread] === RUNNING && step !== undefined && (step.name !== 'until' || isReached(step))
  }

  /** A thread whose next step is one with the step before; -1 if there is none. */
  gluedThread(): number {
    if (this.model.plainSteps) return -1
    return this.nodes.findIndex(({ step }, thread) => step?.plain === true && this.isRunning(thread))
  }

  /** A thread whose next step commutes with everything that others may do; -1 if there is none. */
  eagerThread(): number {
    const glued = this.gluedThread()
    if (glued >= 0 || !this.model.reduced) return glued
    for (let thread = 0; thread < this.nodes.length; thread++) {
      if (this.isRunning(thread) && this.#commutes(thread)) return thread
    }
    return -1
  }

  #commutes(thread: number): boolean {
    const { step, cells } = this.nodes[thread]!
    if (cells === undefined || step!.name === 'wait' || step!.name === 'until') return false
    const isLoad = step!.name === 'load'
    const disturbing = isLoad ? this.#lastChange : this.#lastUse
    for (let other = 0; other < this.nodes.length; other++) {
      if (other === thread || this.status[other] === DEAD || this.nodes[other]!.step === undefined) continue
      for (const cell of cells) {
        if (disturbing[other]![cell]! >= this.nodes[other]!.stage) return false
      }
    }
    this.#trust(isLoad ? this.#trustedChange : this.#trustedUse, thread, cells)
    return true
  }

  #trust(trusted: readonly Int32Array[], thread: number, cells: readonly number[]): void {
    for (let other = 0; other < this.nodes.length; other++) {
      if (other === thread || this.status[other] === DEAD || this.nodes[other]!.step === undefined) continue
      const { stage } = this.nodes[other]!
      for (const cell of cells) if (trusted[other]![cell]! > stage) trusted[other]![cell] = stage
    }
  }

  moves(): { readonly move: Move, readonly thread: number }[] {
    const found: { readonly move: Move, readonly thread: number }[] = []
    for (let thread = 0; thread < this.nodes.length; thread++) if (this.isRunning(thread)) found.push({ move: 'step', thread })
    const quiet = found.length === 0
    const someoneDied = this.status.includes(DEAD)
    for (let thread = 0; thread < this.nodes.length; thread++) {
      const status = this.status[thread]!
      const { step } = this.nodes[thread]!
      if (status > 0 && this.model.timeouts && Number.isFinite(step!.args[3]) && (quiet || this.earlyLeft > 0)) found.push({ move: 'time-out', thread })
      if (this.model.threads[thread]!.mayDie === true && !someoneDied && step !== undefined) found.push({ move: 'die', thread })
    }
    return found
  }

  /** Makes a move; returns what a step resulted in. Throws what the thread throws. */
  make(move: Move, thread: number): unknown {
    this.path.push({ move, thread })
    if (move === 'die') return this.#die(thread)
    if (move === 'step') return this.#makeStep(thread)
    if (this.moves().some((other) => other.move === 'step')) this.#useEarly()
    this.#setStatus(thread, RUNNING)
    return this.#advance(thread, 'timed-out')
  }

  /** What the dead have read matters to nobody: they are all alike. */
  #die(thread: number): void {
    this.#setStatus(thread, DEAD)
    const { root } = this.histories[thread]!
    this.#memory.mix(THREAD_CELLS + thread, this.nodes[thread]!.id, root.id)
    this.nodes[thread] = root
  }

  #useEarly(): void {
    this.#memory.mix(THREAD_CELLS + 64, this.earlyLeft, this.earlyLeft - 1)
    this.earlyLeft--
  }

  #setStatus(thread: number, status: number): void {
    this.#memory.mix(THREAD_CELLS + 32 + thread, this.status[thread]!, status)
    this.status[thread] = status
  }

  #advance(thread: number, result: unknown): unknown {
    const before = this.nodes[thread]!
    const after = this.histories[thread]!.next(before, result)
    this.nodes[thread] = after
    this.#memory.mix(THREAD_CELLS + thread, before.id, after.id)
    if (after.error !== undefined) throw after.error
    return result
  }

  #makeStep(thread: number): unknown {
    const { step, cells, stage } = this.nodes[thread]!
    const { name, args } = step!
    if (cells !== undefined) this.#noteUse(this.#lastUse[thread]!, this.#trustedUse[thread]!, cells, stage)
    if (name === 'wait') return this.#wait(thread, args)
    if (name === 'notify') return this.#advance(thread, this.#notify(args))
    if (name === 'until') return this.#advance(thread, undefined)
    if (name === 'deaths') return this.#advance(thread, this.status.reduce((mask, status, index) => mask | (status === DEAD ? 1 << index : 0), 0))
    if (name === 'quiet') return this.#advance(thread, this.nodes.every((_, other) => other === thread || !this.isRunning(other)))
    const mark = this.#memory.mark()
    const result = this.#memory.run(step!)
    if (cells !== undefined && name !== 'load' && this.#memory.mark() > mark) this.#noteUse(this.#lastChange[thread]!, this.#trustedChange[thread]!, cells, stage)
    return this.#advance(thread, result)
  }

  #noteUse(last: Int32Array, trusted: Int32Array, cells: readonly number[], stage: number): void {
    for (const cell of cells) {
      if (last[cell]! >= stage) continue
      last[cell] = stage
      if (trusted[cell]! <= stage) this.surprises++
    }
  }

  #wait(thread: number, args: readonly unknown[]): unknown {
    const [words, index, value] = args as [Int32Array, number, number]
    if (words[index] !== value) return this.#advance(thread, 'not-equal')
    this.#setStatus(thread, 1 + this.#memory.cell(words, index))
    return 'blocked'
  }

  #notify(args: readonly unknown[]): number {
    const [words, index, count = Infinity] = args as [Int32Array, number, number?]
    const waiting = this.status.flatMap((status, thread) => status === 1 + this.#memory.cell(words, index) ? [thread] : [])
    if (waiting.length > count) throw new Error('the explorer does not choose between waiters')
    for (const thread of waiting) {
      this.#setStatus(thread, RUNNING)
      this.#advance(thread, 'ok')
    }
    return waiting.length
  }

  endings(): Ending[] {
    return this.nodes.map(({ step, note, value }, thread) => {
      const state = this.status[thread] === DEAD ? 'dead' : step === undefined ? 'done' : 'blocked'
      return { name: this.model.threads[thread]!.name, state, note, value }
    })
  }
}

/** Whether a word has come to the value that `until` waits for. */
function isReached({ args }: Step): boolean {
  const [words, index, value] = args as [Int32Array, number, number]
  return ((words[index]! - value) | 0) >= 0
}

/** The search begins anew: a thread used a word later than was known. */
const AGAIN = Symbol('again')

/** Explores a model. Throws {@link ModelFailure} for the first run that goes wrong. */
export function explore(model: Model): Report {
  const machine = new Machine(model, model.threads.map((thread) => new History(thread, model.memory)))
  const random = seededRandom(1)
  try {
    for (;;) {
      for (let run = 0; run < PROBES; run++) {
        machine.reset()
        probe(machine, random)
      }
      machine.reset()
      const report = search(machine)
      if (report !== AGAIN) return report
    }
  } catch (error) {
    const schedule = writeSchedule(machine)
    throw new ModelFailure(error instanceof Error ? error.message : String(error), schedule, trace(machine, schedule))
  } finally {
    machine.reset()
  }
}

/** One random run, to see which words are shared. */
function probe(machine: Machine, random: Random): void {
  const persistence = random()
  while (machine.path.length < MAX_STEPS) {
    const glued = machine.gluedThread()
    const moves = glued >= 0 ? [{ move: 'step', thread: glued } as const] : machine.moves()
    if (moves.length === 0) return
    const again = moves.find(({ move, thread }) => move === 'step' && thread === machine.path.at(-1)?.thread)
    const { move, thread } = again !== undefined && random() < persistence ? again : moves[below(random, moves.length)]!
    machine.make(move, thread)
  }
}

function search(machine: Machine): Report | typeof AGAIN {
  const { model, path } = machine
  const { memory } = model
  const table = new StateTable()
  const report: Report = { states: 0, steps: 0, executions: 0, interleavings: 0, ends: 0, outcomes: new Map() }
  const known = machine.surprises

  const take = (move: Move, thread: number): number => {
    const [mark, hash, hash2, nodes, status, early] = [memory.mark(), memory.hash, memory.hash2, machine.nodes.slice(), machine.status.slice(), machine.earlyLeft]
    machine.make(move, thread)
    report.steps++
    const below = visit()
    memory.undo(mark, hash, hash2)
    machine.nodes = nodes
    machine.status = status
    machine.earlyLeft = early
    path.pop()
    return below
  }

  const visit = (): number => {
    if (path.length > MAX_STEPS) throw new Error('the run does not end')
    const eager = machine.eagerThread()
    if (eager >= 0) return take('step', eager)
    const { hash, hash2 } = memory
    const found = table.find(hash, hash2)
    if (found >= 0) {
      report.executions++
      return table.count(found)
    }
    table.set(hash, hash2, 0)
    const moves = machine.moves()
    let total = 0
    if (moves.every(({ move }) => move === 'die')) {
      const outcome = model.judge(machine.endings())
      report.outcomes.set(outcome, (report.outcomes.get(outcome) ?? 0) + 1)
      report.executions++
      report.ends++
      total = 1
    }
    for (const { move, thread } of moves) total += take(move, thread)
    table.set(hash, hash2, total)
    return total
  }

  report.interleavings = visit()
  report.states = table.size
  return machine.surprises > known ? AGAIN : report
}

/** The moves so far, as text: `A*3 W B! W?` is three steps of A, one of W, B's death, and a time-out of W's wait. */
function writeSchedule({ path, model }: Machine): string {
  const runs: { readonly word: string, times: number }[] = []
  for (const { move, thread } of path) {
    const word = `${model.threads[thread]!.name}${SIGNS[move]}`
    const last = runs.at(-1)
    if (last?.word === word) last.times++
    else runs.push({ word, times: 1 })
  }
  return runs.map(({ word, times }) => times > 1 ? `${word}*${times}` : word).join(' ')
}

/** Runs one schedule and tells each move: what a {@link ModelFailure} prints. */
export function replay(model: Model, schedule: string): string {
  const machine = new Machine(model, model.threads.map((thread) => new History(thread, model.memory)))
  try {
    return trace(machine, schedule)
  } finally {
    machine.reset()
  }
}

function trace(machine: Machine, schedule: string): string {
  machine.reset()
  const { model } = machine
  const lines: string[] = []
  for (const word of schedule.split(' ').filter((text) => text !== '')) {
    const [, name, sign, times] = /^(\w+)([!?]?)(?:\*(\d+))?$/.exec(word)!
    const thread = model.threads.findIndex((candidate) => candidate.name === name)
    const move = sign === '!' ? 'die' : sign === '?' ? 'time-out' : 'step'
    for (let time = 0; time < Number(times ?? 1); time++) lines.push(tell(machine, move, thread))
  }
  return lines.join('\n')
}

function tell(machine: Machine, move: Move, thread: number): string {
  const { name } = machine.model.threads[thread]!
  const { step } = machine.nodes[thread]!
  let ended = ''
  try {
    const result = machine.make(move, thread)
    ended = result instanceof Uint8Array ? `${result.length} bytes` : String(result)
  } catch (error) {
    ended = `throws ${String(error)}`
  }
  if (move !== 'step') return `  ${name} ${move === 'die' ? 'dies' : 'times out'}`
  return `  ${name} ${describe(machine.model.memory, step!)} -> ${ended}`
}

function describe(memory: ModelMemory, { name, args, plain }: Step): string {
  const label = plain ? `plain ${name}` : name
  if (name === 'compareExchange64') return `${label} claim (${args.slice(1).join(', ')})`
  if (name === 'raise64') return `${label} floor ${String(args[1])}`
  if (args[0] instanceof Int32Array) return `${label} ${memory.nameOf(args[0], args[1])} ${args.slice(2).join(', ')}`
  if (args[0] instanceof Uint8Array) return `${label} at ${memory.nameOf(args[0], typeof args[1] === 'number' ? args[1] : 0)}`
  return label
}
