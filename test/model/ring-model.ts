/**
 * Models of the ring: a few producers, one writer, a ring that is nearly too small, on the ring's own code as generators
 * (generators.ts). Each scenario lists its legal outcomes; explore.ts finds all that there are.
 *
 * An outcome is what the writer took, in order: `a1` for an entry, `a1+a2` for a group, `x` for an aborted sequence; then
 * what was not taken, as `b1:full` or `b1:refused`.
 */

import type * as ProgramModule from '../../dist/src/ring/append-program.js'
import type * as AppendModule from '../../dist/src/ring/append.js'
import type * as ClaimModule from '../../dist/src/ring/claim.js'
import type { DeadProducers } from '../../dist/src/ring/dead-producers.js'
import type * as DrainModule from '../../dist/src/ring/drain.js'
import type { DrainPoint, DrainedBatch } from '../../dist/src/ring/drain.js'
import type * as EventModule from '../../dist/src/sync/event-count.js'
import type * as LifeModule from '../../dist/src/ring/life.js'
import type * as RecordsModule from '../../dist/src/ring/records.js'
import type { ProducerRecord, ThreadIdentity } from '../../dist/src/ring/records.js'
import type * as WakeModule from '../../dist/src/ring/wake.js'
import { attachRecord } from '../../dist/src/ring/records.js'
import { initializeRing, ringOver, type Ring } from '../../dist/src/ring/ring.js'
import type { Definition } from '../../dist/src/sync/wasm-assembler.js'
import { CONTROL_BYTES, RECORD, RECORD_BASE, RECORD_WORDS, SCRATCH_OFFSET, SLOT_MARK, SLOT_WORDS, STATE, WORD } from '../../dist/src/ring/ring-layout.js'
import { checkFrame, frameSequence, frameTicks, FRAME_DATA, FRAME_OVERHEAD, sealFrame, writeFrameHeader } from '../../dist/src/format/frame-layout.js'
import { absoluteTicks } from '../../dist/src/format/ticks.js'
import type { Patch } from '../seeded/patch.js'
import { ModelMemory, note, type Ending, type Model, type ModelThread } from './explore.js'
import { runProgram } from './wasm-steps.js'
import { loadStepping, step, type Step, type Stepping, type Steps } from './generators.js'

const PROGRAM = 'ring/append-program.js'
const MODULES = [...['append', 'claim', 'dead-producers', 'drain', 'life', 'records', 'wake'].map((name) => `ring/${name}.js`), 'sync/event-count.js']

type SteppingModule<Module> = { [Name in keyof Module]: Stepping<Module[Name]> }
type SteppingDead = { [Name in 'owesHead' | 'inquire' | 'sweep']: Stepping<DeadProducers[Name]> }

/** The transformed ring code. What does not step is used from the built code itself. */
type Code =
  & Pick<SteppingModule<typeof AppendModule>, 'appendStretch'>
  & Pick<SteppingModule<typeof ClaimModule>, 'endClaims'>
  & Pick<SteppingModule<typeof DrainModule>, 'drain' | 'release' | 'acknowledge'>
  & Pick<typeof DrainModule, 'abortedBatch'>
  & Pick<SteppingModule<typeof LifeModule>, 'failLog' | 'markClosed'>
  & Pick<SteppingModule<typeof RecordsModule>, 'attachRecord' | 'freeRecord' | 'markDead'>
  & Pick<SteppingModule<typeof WakeModule>, 'wakeWriter'>
  & Pick<SteppingModule<typeof EventModule>, 'prepareWait'>
  & {
    sleepForSequence(ring: Ring, sequence: number, timeoutMs: number, hasWork: () => Steps<boolean>): Steps<void>
    DeadProducers: new (ring: Ring, isDead: (identity: ThreadIdentity) => Steps<boolean>) => SteppingDead
  }

const CLAIMED = 1
const FULL = 0
const TICK_BASE = 1
/** Of longer ones the arena is needed. */
const MAX_STRETCH_BYTES = 64
const ABORTED_BYTES = 40
const LIMITS = { bytes: 2 ** 20, entries: 1000, abortedBytes: ABORTED_BYTES, indexIntervalBytes: 2 ** 16 }

/** One thing that a producer does. */
export type Action =
  /** `full`: what to do without room: wait for it, give up, or fail, since the model has room for all. */
  | { readonly append: string, readonly bytes?: number, readonly ticks?: number, readonly full?: 'wait' | 'drop', readonly throws?: boolean }
  /** Waits until all that it appended is durable, or the log has ended. */
  | 'durable'
  /** Goes on when all that it appended is released. */
  | 'released'
  | 'attach'
  | 'detach'
  /** Fails the log. */
  | 'fail'
  /** Notes that the first producer is dead, if it is. */
  | 'mark dead'
  /** Asks the writer to end. */
  | 'close'

/** A model: who does what, in which ring, and what may come of it. */
export interface Scenario {
  readonly producers: { readonly [name: string]: readonly Action[] }
  /** A producer that dies at some point, or never. */
  readonly victim?: string
  readonly legal: readonly string[]
  readonly ringBytes?: number
  /** The longest stretch through the ring. */
  readonly maxStretchBytes?: number
  readonly slots?: number
  /** First sequence and position. */
  readonly from?: readonly [sequence: number, position: number]
  readonly earlyTimeouts?: number
  readonly plainSteps?: boolean
  readonly reduced?: boolean
  /** The writer looks for dead threads after each fruitless drain, not only when all is quiet. */
  readonly eagerSweep?: boolean
  readonly entriesPerBatch?: number
  /** An entry that is in the ring when the model begins. */
  readonly before?: Extract<Action, { append: string }>
  /** Short entries are appended by the one operation that does it all (ring/append-program.ts). */
  readonly inOne?: boolean
  readonly patches?: readonly Patch[]
}

/** What a producer knows of an append. */
interface Appended {
  readonly label: string
  readonly status: 'claimed' | 'full' | 'refused' | 'threw' | 'unattached'
  readonly sequence: number
  readonly ticks: number
}

/** What the writer took. */
interface Taken {
  readonly label: string
  readonly sequence: number
  readonly ticks: string
}

/** What all threads of one model share. */
interface Stage {
  readonly code: Code
  readonly program: Definition | undefined
  readonly ring: Ring
  readonly scenario: Scenario
  readonly first: DrainPoint
  readonly isDead: (identity: ThreadIdentity) => Steps<boolean>
  /** Somebody may die or throw, and not wake the writer: its waits end by their time limit. */
  readonly isTimed: boolean
}

function wordName(index: number): string {
  for (const [name, at] of Object.entries(WORD)) if (at === index) return name
  if (index >= RECORD_BASE) {
    const field = Object.entries(RECORD).find(([, at]) => at === (index - RECORD_BASE) % RECORD_WORDS)?.[0]
    return `record[${Math.floor((index - RECORD_BASE) / RECORD_WORDS)}].${field ?? ''}`
  }
  return index === WORD.claim + 1 ? 'claim.high' : `${wordName(index - 1)}+1`
}

function identityOf(thread: number): ThreadIdentity {
  return { thread: 100 + thread, startLow: 7 + thread, startHigh: 1 }
}

/** As on Linux: who is not there or began at another time is dead; a thread without start time proves nothing. */
function* isDeadAmong(count: number, { thread, startLow, startHigh }: ThreadIdentity): Steps<boolean> {
  const dead = (yield step('deaths')) as number
  if (thread <= 0 || (startLow === 0 && startHigh === 0)) return false
  const index = thread - 100
  const own = identityOf(index)
  return index >= count || (dead & (1 << index)) !== 0 || own.startLow !== startLow || own.startHigh !== startHigh
}

async function loadProgram(build: string, slots: number, ringBytes: number, patches: readonly Patch[] = []): Promise<Definition> {
  const { appendProgram } = await loadStepping(build, [PROGRAM], patches.filter(({ file }) => file === PROGRAM)) as unknown as typeof ProgramModule
  return appendProgram(slots, ringBytes)
}

/** The model of a scenario, over the code of a build. */
export async function ringModel(build: string, scenario: Scenario): Promise<Model> {
  const code = await loadStepping(build, MODULES, scenario.patches?.filter(({ file }) => file !== PROGRAM)) as unknown as Code
  const { ringBytes = 1024, slots = 8, from: [sequence, position] = [1, 0] } = scenario
  const control = new ArrayBuffer(CONTROL_BYTES)
  const memory: ModelMemory = new ModelMemory(new Int32Array(control), wordName)
  const opened = ringOver(memory, control, new ArrayBuffer(slots * SLOT_WORDS * 4), new ArrayBuffer(ringBytes), new ArrayBuffer(512))
  const ring: Ring = { ...opened, maxStretchBytes: scenario.maxStretchBytes ?? MAX_STRETCH_BYTES }
  memory.share(ring.words, wordName)
  memory.share(ring.slots, (index) => `slot[${index >> 1}].${index % SLOT_WORDS === SLOT_MARK ? 'mark' : 'start'}`)
  memory.share(ring.bytes, (index) => `ring[${index}]`)
  memory.share(ring.arena, (index) => `arena[${index}]`)
  memory.share(ring.failure, (index) => `failure[${index}]`)
  initializeRing(ring, { nextSequence: sequence, tickBase: TICK_BASE, floorTicks: 0, clockZeroNs: 0n, clockZeroTicks: 0 })
  memory.store(ring.words, WORD.claim + 1, position)
  memory.store(ring.words, WORD.releasedPosition, position)
  const names = Object.keys(scenario.producers)
  const isTimed = scenario.victim !== undefined || Object.values(scenario.producers).flat().some((action) => typeof action === 'object' && action.throws === true)
  const program = scenario.inOne === true ? await loadProgram(build, slots, ringBytes, scenario.patches) : undefined
  const stage: Stage = { code, program, ring, scenario, first: { sequence, position }, isDead: (identity) => isDeadAmong(names.length, identity), isTimed }
  const threads: ModelThread[] = names.map((name, index) => {
    const actions = scenario.producers[name]!
    const record = actions[0] === 'attach' || actions[0] === 'mark dead' ? undefined : attachRecord(ring, identityOf(index), () => false)
    return { name, mayDie: name === scenario.victim, start: () => producer(stage, index, actions, structuredClone(record)) }
  })
  threads.push({ name: 'W', start: () => writer(stage) })
  if (scenario.before !== undefined) {
    const appending = append(stage, attachRecord(ring, identityOf(names.length), () => false), scenario.before)
    for (let next = appending.next(); next.done !== true;) next = appending.next(memory.run(next.value))
  }
  return {
    memory, threads, timeouts: isTimed, earlyTimeouts: scenario.earlyTimeouts ?? 0, plainSteps: scenario.plainSteps ?? false, reduced: scenario.reduced ?? true,
    judge: (endings) => judge(stage, endings),
  }
}

function* producer(stage: Stage, index: number, actions: readonly Action[], attached: ProducerRecord | undefined): Steps<readonly Appended[]> {
  const { code, ring } = stage
  const { words } = ring
  const done: Appended[] = []
  let record = attached
  for (const [at, action] of actions.entries()) {
    yield note(JSON.stringify({ at, record, done }), at)
    if (action === 'attach') {
      try {
        record = yield* code.attachRecord(ring, identityOf(index), stage.isDead as never)
      } catch (error) {
        if ((error as { code?: string }).code !== 'ERR_WAL_TOO_MANY_PRODUCERS') throw error
        return [{ label: Object.keys(stage.scenario.producers)[index]!, status: 'unattached', sequence: 0, ticks: 0 }]
      }
    } else if (action === 'detach') yield* code.freeRecord(ring, record!.index, record!.thread)
    else if (action === 'fail') yield* code.failLog(ring, new Error('seeded'))
    else if (action === 'durable') yield* waitDurable(stage, done.at(-1)!.sequence)
    else if (action === 'released') yield step('until', words, WORD.releasedSequence, (done.at(-1)!.sequence + done.at(-1)!.label.split('+').length) | 0)
    else if (action === 'mark dead') {
      if ((yield step('deaths')) !== 0) yield* code.markDead(ring, 100)
    } else if (action === 'close') {
      yield* code.endClaims(ring)
      yield step('store', words, WORD.closeWanted, 1)
      yield* code.wakeWriter(ring)
    } else done.push(yield* append(stage, record!, action))
  }
  return done
}

function* append({ code, program, ring: shared }: Stage, record: ProducerRecord, action: Extract<Action, { append: string }>): Steps<Appended> {
  const { append: label, bytes = 32, ticks = 10, full, throws = false } = action
  const claim = { sequence: 0, start: 0, ticks: 0, backlog: 0 }
  const count = label.split('+').length
  const isShort = program !== undefined && count === 1 && bytes <= shared.maxStretchBytes
  const data = Buffer.concat([Buffer.from(label)], bytes - FRAME_OVERHEAD)
  const operations = isShort ? { append: (...parameters: number[]) => runProgram(program, shared, data, parameters, throws ? SEEDED : undefined) } as never : undefined
  const ring: Ring = { ...shared, operations }
  const stretch = { bytes, count, shortAddress: isShort ? SCRATCH_OFFSET : 0, fill: fillWith(label, bytes, throws) as never }
  const made = (status: Appended['status']): Appended => ({ label, status, sequence: claim.sequence, ticks: claim.ticks })
  const attempt = function* (): Steps<Appended | undefined> {
    try {
      const status = yield* code.appendStretch(ring, record, stretch, claim, ticks)
      return status === FULL ? undefined : made(status === CLAIMED ? 'claimed' : 'refused')
    } catch (error) {
      if (error !== SEEDED) throw error
      return made('threw')
    }
  }
  for (;;) {
    const first = yield* attempt()
    if (first !== undefined) return first
    if (full === 'drop') return made('full')
    if (full !== 'wait') throw new Error(`${label} found the ring full, which it never was`)
    const epoch = yield* code.prepareWait(ring.atomics, ring.words, WORD.roomEvent)
    const second = yield* attempt()
    if (second !== undefined) return second
    yield step('wait', ring.words, WORD.roomEvent, epoch, Infinity)
  }
}

const SEEDED = new Error('the fill failed')

/** Fills with frames of equal size, one a label, in two steps. */
function fillWith(label: string, bytes: number, throws: boolean) {
  return function* (target: Uint8Array, _view: DataView, offset: number, claim: { sequence: number, ticks: number }, sealed: boolean): Steps<void> {
    const labels = label.split('+')
    const size = bytes / labels.length
    const frames = Buffer.alloc(bytes)
    const view = new DataView(frames.buffer, frames.byteOffset, bytes)
    for (const [index, name] of labels.entries()) {
      writeFrameHeader(view, index * size, size - FRAME_OVERHEAD, claim.sequence + index, claim.ticks, TICK_BASE)
      frames.write(name, index * size + FRAME_DATA)
      if (sealed) sealFrame(frames, view, index * size, size - FRAME_OVERHEAD)
    }
    yield step('bytes-write', target, offset, frames.subarray(0, bytes / 2))
    if (throws) throw SEEDED
    yield step('bytes-write', target, offset + bytes / 2, frames.subarray(bytes / 2))
  }
}

function* waitDurable({ code, ring }: Stage, sequence: number): Steps<void> {
  const { words } = ring
  for (;;) {
    const epoch = yield* code.prepareWait(ring.atomics, words, WORD.durableEvent)
    const durable = (yield step('load', words, WORD.durableSequence)) as number
    if (((durable - sequence) | 0) >= 0) return
    if ((yield step('load', words, WORD.state)) !== STATE.open) return
    yield step('wait', words, WORD.durableEvent, epoch, Infinity)
  }
}

/** Fruitless rounds, with nothing else moving, after which the writer must have settled every death. */
const QUIET_ROUNDS = 4

function* writer(stage: Stage): Steps<void> {
  const { code, ring, scenario, isTimed } = stage
  const { words } = ring
  const point = { ...stage.first }
  const taken: Taken[] = []
  const dead = new code.DeadProducers(ring, stage.isDead)
  const limits = { ...LIMITS, entries: scenario.entriesPerBatch ?? LIMITS.entries }
  const hasCommand = function* (): Steps<boolean> {
    return (yield step('load', words, WORD.state)) !== STATE.open || (yield step('load', words, WORD.closeWanted)) !== 0
  }
  let quiet = 0
  const noteAt = (place: string): Step => {
    const state = JSON.stringify({ place, point, taken, quiet, dead }, (key, value: unknown) => key === '$ring' ? undefined : value)
    return note(state, (point.sequence - stage.first.sequence) * 2 * QUIET_ROUNDS + quiet, true)
  }
  for (;;) {
    yield noteAt('begin')
    if ((yield step('load', words, WORD.state)) !== STATE.open) return
    const closing = (yield step('load', words, WORD.closeWanted)) !== 0
    const batch = yield* code.drain(ring, point, limits)
    if (batch !== undefined) {
      yield* take(stage, batch, point, taken)
      quiet = 0
      continue
    }
    const owes = (closing || isTimed) && (yield* dead.owesHead(point))
    if (closing && !owes) return yield* code.markClosed(ring)
    if (isTimed) {
      yield noteAt(`owes ${owes}`)
      const range = owes ? yield* dead.inquire(point) : undefined
      if (range !== undefined) {
        yield* checkUnpublished(ring, point.sequence, range.last)
        yield* take(stage, code.abortedBatch(point, range.last, range.position, ABORTED_BYTES), point, taken)
        quiet = 0
        continue
      }
      yield noteAt(`inquired ${owes}`)
      const isQuiet = (yield step('quiet')) as boolean
      if (isQuiet || scenario.eagerSweep === true) yield* dead.sweep(point)
      if (isQuiet && ++quiet > QUIET_ROUNDS) return
      yield noteAt(`swept ${owes}`)
    }
    // Behind an owed head a command may have to wait for it.
    yield* code.sleepForSequence(ring, point.sequence, 1000, function* () {
      return !owes && (yield* hasCommand())
    })
  }
}

function* checkUnpublished({ slots, slotMask }: Ring, first: number, last: number): Steps<void> {
  for (let sequence = first; sequence <= last; sequence++) {
    if ((yield step('load', slots, (sequence & slotMask) * SLOT_WORDS + SLOT_MARK)) !== 0) throw new Error(`aborted a published sequence ${sequence}`)
  }
}

/** What the disk would get is read between drain and release, as late as may be. */
function* take({ code, ring }: Stage, batch: DrainedBatch, point: Readonly<DrainPoint>, taken: Taken[]): Steps<void> {
  let sequence = batch.firstSequence
  for (const { source, offset, bytes, lastSequence } of batch.extents) {
    if (source === 'aborted') {
      for (; sequence <= lastSequence; sequence++) taken.push({ label: 'x', sequence, ticks: '' })
      continue
    }
    const read = (yield step('bytes-read', source === 'ring' ? ring.bytes : ring.arena, offset, offset + bytes)) as Uint8Array
    sequence = readFrames(read, sequence, lastSequence, taken)
  }
  if (sequence !== batch.lastSequence + 1 || sequence !== point.sequence) throw new Error(`the batch should end before ${point.sequence}, it ends before ${sequence}`)
  yield* code.release(ring, batch, point)
  yield* code.acknowledge(ring, batch.lastSequence)
}

function readFrames(read: Uint8Array, firstSequence: number, lastSequence: number, taken: Taken[]): number {
  const view = new DataView(read.buffer, read.byteOffset, read.length)
  let sequence = firstSequence
  for (let at = 0; at < read.length; sequence++) {
    const size = checkFrame(read, view, at, read.length, read.length - at)
    if (typeof size !== 'number') throw new Error(`the frame of sequence ${sequence} is not whole: ${size}`)
    if (frameSequence(view, at) !== sequence) throw new Error(`found sequence ${frameSequence(view, at)} in place of ${sequence}`)
    const ticks = frameTicks(view, at)
    const before = taken.findLast(({ label }) => label !== 'x')
    if (before !== undefined && BigInt(before.ticks) > ticks) throw new Error(`the timestamp of sequence ${sequence} is below the one before`)
    const data = Buffer.from(read.subarray(at + FRAME_DATA, at + size - 4)).toString('latin1')
    taken.push({ label: data.replace(/\0+$/, ''), sequence, ticks: String(ticks) })
    at += size
  }
  if (sequence !== lastSequence + 1) throw new Error(`the frames end before sequence ${sequence}, expected ${lastSequence + 1}`)
  return sequence
}

/** Checks the end of a run and names its outcome. */
function judge(stage: Stage, endings: readonly Ending[]): string {
  const { ring, scenario } = stage
  const { words } = ring
  const writerEnding = endings.find(({ name }) => name === 'W')!
  const { taken, point } = JSON.parse(writerEnding.note) as { taken: Taken[], point: DrainPoint }
  const others: string[] = []
  const failed = words[WORD.state] === STATE.failed
  if (words[WORD.closeWanted] !== 0 && words[WORD.state] !== STATE.closed) throw new Error('lost wake-up: the writer sleeps through a command')
  if (!failed && words[WORD.claim] !== (point.sequence | 0)) throw new Error(`lost wake-up, or never settled: claims go to ${words[WORD.claim]!}, the writer stands at ${point.sequence}`)
  if (!failed && words[WORD.durableSequence] !== ((point.sequence - 1) | 0)) throw new Error('not all is durable')
  for (const { name, state, value } of endings) {
    if (name === 'W' || state === 'dead') continue
    if (state === 'blocked') throw new Error(`${name} waits for ever`)
    for (const appended of value as Appended[]) others.push(...checkAppended(appended, taken, words[WORD.state]!))
  }
  if (words[WORD.state] === STATE.open) checkSettled(stage, endings)
  return [labelsOf(taken, scenario), ...others].join(' ').trim()
}

function checkAppended({ label, status, sequence, ticks }: Appended, taken: readonly Taken[], state: number): string[] {
  // What throws within the one operation does not know its sequence.
  if (status === 'full' || status === 'refused' || status === 'unattached' || (status === 'threw' && sequence === 0)) {
    if (taken.some((one) => one.label === label.split('+')[0])) throw new Error(`${label} was ${status}, and is there`)
    return status === 'threw' ? [] : [`${label}:${status}`]
  }
  for (const [index, name] of label.split('+').entries()) {
    const found = taken.find((one) => one.sequence === sequence + index)
    if (found === undefined && state === STATE.failed) return [`${label}:failed`]
    const wanted = status === 'threw' ? 'x' : name
    if (found?.label !== wanted) throw new Error(`sequence ${sequence + index} should be ${wanted}, it is ${found?.label ?? 'nowhere'}`)
    if (status !== 'threw' && found.ticks !== String(absoluteTicks(ticks, TICK_BASE))) throw new Error(`${name} has a timestamp that it was not told`)
  }
  return []
}

/** Nothing that a dead thread held is held any more, and nothing of the living is gone. */
function checkSettled({ ring: { words }, scenario }: Stage, endings: readonly Ending[]): void {
  for (const [index, { name, state, value }] of endings.entries()) {
    const held = Array.from({ length: words[WORD.recordLimit]! }, (_, at) => words.subarray(RECORD_BASE + at * RECORD_WORDS))
      .filter((record) => record[RECORD.thread] === 100 + index)
    const { producers } = scenario
    const actions = producers[name] ?? []
    const attaches = actions.length > 0 && actions[0] !== 'mark dead' && actions[0] !== 'close' && actions[0] !== 'fail'
    if (state === 'done' && attaches && !actions.includes('detach') && !(value as Appended[]).some(({ status }) => status === 'unattached') && held.length === 0) throw new Error(`${name} has lost its record`)
    if (held.length > 1) throw new Error(`${name} has two records`)
    if (state === 'dead' && held.some((record) => record[RECORD.phase]! % 2 !== 0)) throw new Error(`the record of ${name}, who is dead, is not freed`)
  }
  const owner = words[WORD.arenaOwner]! - 1
  if (owner >= 0) throw new Error(`the arena is held by record ${owner}`)
}

/** Groups in one piece, or the run is wrong. */
function labelsOf(taken: readonly Taken[], { producers }: Scenario): string {
  const groups = Object.values(producers).flat().flatMap((action) => typeof action === 'object' && action.append.includes('+') ? [action.append] : [])
  let text = taken.map(({ label }) => label).join(' ')
  for (const group of groups) text = text.replace(group.replaceAll('+', ' '), group)
  for (const group of groups) for (const part of group.split('+')) if (text.split(' ').includes(part)) throw new Error(`half of the group ${group} is there: ${text}`)
  return text
}
