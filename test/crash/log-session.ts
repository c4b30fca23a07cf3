/**
 * One run of a log, from open to its end, in a single thread: the writer's own steps, and producers that append between
 * them, and in the middle of them too, as threads would.
 */

import type { Disk } from '../../dist/src/disk/disk.js'
import type { Recovered } from '../../dist/src/recovery/recover.js'
import type { Stretch } from '../../dist/src/ring/append.js'
import type { Ring } from '../../dist/src/ring/ring.js'
import type { WriterOptions } from '../../dist/src/writer/writer-options.js'
import { below, type Random } from '../model/random.js'
import type { Code } from './code-under-test.js'
import type { CursorHistory } from './cursor-history.js'
import type { History } from './history.js'
import { Violation } from './log-image.js'
import { sealedSegments } from './removals.js'
import { SessionConsumers } from './session-consumers.js'
import type { SimulatedTime } from './simulated-time.js'

/** How a log is set up. Smaller than the library's own limits allow, so that little has to be written to meet every edge. */
export interface SessionOptions {
  readonly writer: WriterOptions
  readonly ringBytes: number
  readonly slots: number
}

/** What becomes of an append: whole, its filling throws, or its thread dies before publishing. */
export type Fate = 'whole' | 'throws' | 'dies'

const MAX_ENTRY_BYTES = 3000
const TICKS_PER_MS = 10_000
const MAX_CLOSING_STEPS = 1000
const SEEDED = new Error('the filling of an entry failed')

/** A run. */
export class LogSession {
  readonly #code: Code
  readonly #ring: Ring
  readonly #time: SimulatedTime
  readonly #history: History
  readonly #writer
  readonly #record
  readonly #staging
  readonly #claim = { sequence: 0, start: 0, ticks: 0, backlog: 0 }
  readonly #tickBase: number
  readonly #zeroTicks: number
  readonly #dead = new Set<number>()
  readonly consumers: SessionConsumers
  readonly options: WriterOptions
  readonly #disk: Disk
  readonly #cursors: CursorHistory
  /** Checkpoints that were asked for, each with the state of the cursors then; and how many were done. */
  #checkpoints: { readonly ticket: number; readonly state: number }[] = []
  checkpointsServed = 0

  constructor(
    code: Code, disk: Disk, options: SessionOptions, recovered: Recovered, time: SimulatedTime, history: History, cursors: CursorHistory,
  ) {
    this.#code = code
    this.#disk = disk
    this.#cursors = cursors
    this.options = options.writer
    this.#time = time
    this.#history = history
    this.#ring = blankRing(code, options)
    const clock = code.startClock(recovered.lastTicks)
    code.initializeRing(this.#ring, { nextSequence: recovered.nextSequence, ...clock })
    this.#tickBase = clock.tickBase
    this.#zeroTicks = clock.clockZeroTicks - time.monotonicMs * TICKS_PER_MS
    this.#record = code.attachRecord(this.#ring, { thread: 1, startLow: 1, startHigh: 1 }, () => false)
    this.#staging = new code.Staging(this.#ring, {
      maxEntryBytes: MAX_ENTRY_BYTES,
      maxStretchBytes: Math.max(this.#ring.maxStretchBytes, this.#ring.arena.length),
      maxGroupEntries: options.slots / 2,
      tickBase: this.#tickBase,
    }, code.recordScratch(this.#ring, this.#record.index))
    const lastTicks = code.absoluteTicks(clock.floorTicks, clock.tickBase)
    this.#writer = new code.Writer(this.#ring, disk, options.writer, recovered, lastTicks, ({ thread }) => this.#dead.has(thread))
    this.consumers = new SessionConsumers(code, this.#ring, cursors)
  }

  /** Whether producers are told that the disk is full. */
  get isDiskFull(): boolean {
    return this.#ring.atomics.load(this.#ring.words, this.#code.WORD.space) === this.#code.SPACE.diskFull
  }

  /** A reader of the log enters the segment of that sequence; 0: it leaves. */
  read(sequence: number): void {
    this.#code.setReadFloor(this.#ring, sequence)
  }

  checkpoint(): void {
    this.#checkpoints.push({ ticket: this.#code.request(this.#ring, 'checkpoint'), state: this.#cursors.now })
  }

  /** The last sequence that is acknowledged at this moment, as every thread can see it. */
  get durable(): number {
    return this.#code.lastDurable(this.#ring)
  }

  /** The last sequence that was given out. */
  get claimed(): number {
    return this.#code.lastClaimed(this.#ring)
  }

  /** The longest stretch that goes through the ring; beyond it an append takes the arena. */
  get maxStretchBytes(): number {
    return this.#ring.maxStretchBytes
  }

  /** Appends an entry, or several as a group. False: refused, the ring being full. */
  append(datas: readonly Buffer[], fate: Fate): boolean {
    const staged = datas.length === 1 ? this.#staging.stage(datas[0]!) : this.#staging.stageGroup(datas)
    const claim = this.#claim
    const isAccepted = fate === 'dies' ? this.#claimAndDie(staged) : this.#appendStretch(staged, fate)
    if (!isAccepted) return false
    const ticks = this.#code.absoluteTicks(claim.ticks, this.#tickBase)
    this.#history.accept(claim.sequence, fate === 'whole' ? datas : datas.map(() => undefined), ticks)
    return true
  }

  get #nowTicks(): number {
    return this.#zeroTicks + this.#time.monotonicMs * TICKS_PER_MS
  }

  #appendStretch(staged: Stretch, fate: Fate): boolean {
    const fill: Stretch['fill'] = fate === 'whole' ? (...args) => staged.fill(...args) : () => { throw SEEDED }
    const stretch = { bytes: staged.bytes, count: staged.count, shortAddress: fate === 'whole' ? staged.shortAddress : 0, fill }
    try {
      return this.#code.appendStretch(this.#ring, this.#record, stretch, this.#claim, this.#nowTicks) === this.#code.CLAIMED
    } catch (error) {
      if (error !== SEEDED) throw error
      return true
    }
  }

  /** A thread attaches, claims, and is no more. */
  #claimAndDie(stretch: Stretch): boolean {
    const { atomics, words } = this.#ring
    const thread = 2 + this.#dead.size
    const record = this.#code.attachRecord(this.#ring, { thread, startLow: 1, startHigh: 1 }, () => false)
    atomics.store(words, record.phaseIndex, record.phase | 1)
    const isClaimed = this.#code.claimStretch(this.#ring, this.#claim, Math.min(stretch.bytes, this.maxStretchBytes), stretch.count, this.#nowTicks, record.debt) === this.#code.CLAIMED
    if (isClaimed) this.#dead.add(thread)
    else this.#code.freeRecord(this.#ring, record.index, record.thread)
    return isClaimed
  }

  step(): boolean {
    const hasWritten = this.#writer.step()
    const waiting = this.#checkpoints.filter(({ ticket }) => !this.#code.isServed(this.#ring, 'checkpoint', ticket))
    const served = this.#checkpoints.filter((checkpoint) => !waiting.includes(checkpoint))
    this.checkpointsServed += served.length
    this.#checkpoints = waiting
    for (const { state } of served) this.#mustHaveFreed(state)
    return hasWritten
  }

  /** What all consumers had committed when a checkpoint was asked for, and have since, is gone when it is served. */
  #mustHaveFreed(state: number): void {
    if (this.options.retention.keepConsumed) return
    const states = Array.from({ length: this.#cursors.now + 1 - state }, (_, index) => this.#cursors.at(state + index))
    if (states.some(({ size }) => size === 0)) return
    const least = Math.min(...states.flatMap((cursors) => [...cursors.values()].map(({ sequence }) => sequence)))
    const [oldest] = sealedSegments(this.#disk, this.options.directory)
    // The only one may be the tail, with a seal that found no room for its end.
    const isTail = this.#disk.list(this.options.directory).filter((name) => name.endsWith('.wal')).length === 1
    if (!isTail && oldest !== undefined && oldest.lastSequence <= least) throw new Violation(`a checkpoint left ${oldest.name}, up to ${oldest.lastSequence}, though all is committed up to ${least}`)
  }

  roll(): void {
    this.#code.request(this.#ring, 'roll')
  }

  /** Asks for everything accepted so far to become durable. */
  flush(): void {
    this.#code.wantSync(this.#ring, this.#code.lastClaimed(this.#ring))
  }

  /** With room on the disk all that was accepted comes to be durable, without another word. */
  catchUp(): void {
    const { last } = this.#history
    this.flush()
    for (let steps = 0; this.durable < last; steps++) {
      if (steps > MAX_CLOSING_STEPS) throw new Violation('there is room again, and the log does not go on')
      this.#time.advance(20)
      this.step()
    }
  }

  /** Ends claims and lets the writer finish. */
  close(random: Random): void {
    this.#code.endClaims(this.#ring)
    this.#code.wantClose(this.#ring)
    const { closed } = this.#code.STATE
    for (let steps = 0; this.#ring.atomics.load(this.#ring.words, this.#code.WORD.state) !== closed; steps++) {
      if (steps > MAX_CLOSING_STEPS) throw new Violation('close does not come to an end')
      if (below(random, 4) === 0) this.#time.advance(1)
      this.#writer.step()
    }
    this.mustRefuse('ERR_WAL_CLOSED')
  }

  /** Ends the log as its writer thread does when a step has thrown. */
  fail(cause: unknown): void {
    this.#code.failLog(this.#ring, cause)
    this.mustRefuse('ERR_WAL_FAILED')
  }

  /** Checks that the log takes nothing any more, and says why. */
  mustRefuse(code: string): void {
    const status = this.#code.appendStretch(this.#ring, this.#record, this.#staging.stage('late'), this.#claim, this.#nowTicks)
    if (status !== this.#code.CLAIM_REFUSED) throw new Violation(`an append after the end: expected ${this.#code.CLAIM_REFUSED}, got ${status}`)
    const error = this.#code.endError(this.#ring)
    if (error?.code !== code) throw new Violation(`the log ended with ${error?.code}, expected ${code}`)
  }
}

const rings = new WeakMap<Code, Map<string, Ring>>()

/** Shared memory is used again: a WebAssembly memory for each run would use up the address space. */
function blankRing(code: Code, { ringBytes, slots }: SessionOptions): Ring {
  const known = rings.get(code) ?? new Map<string, Ring>()
  rings.set(code, known)
  const name = `${ringBytes} ${slots}`
  let ring = known.get(name)
  if (ring === undefined) known.set(name, ring = code.openRing(code.allocateRing(ringBytes, slots, MAX_ENTRY_BYTES)))
  ring.words.fill(0)
  ring.slots.fill(0)
  return ring
}
