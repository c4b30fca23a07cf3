/**
 * One case: a log lives through several runs on a disk in memory, and at its disk operations the power may go off.
 *
 * A *crash point* is one disk that may be found then. Each is recovered and compared with what was accepted and
 * acknowledged at that moment; and since a power cut may come while recovery is at work, or after it, such disks are
 * points of their own. Then the log goes on from one of them.
 */

import type { Recovered } from '../../dist/src/recovery/recover.js'
import { basename } from 'node:path'
import { MemoryDisk, PowerCut, systemError, type CrashOptions, type Operation } from '../model/memory-disk.js'
import { below, seededRandom, type Random } from '../model/random.js'
import { isDiskFull } from '../../dist/src/disk/disk.js'
import { Ballast } from './ballast.js'
import type { Code } from './code-under-test.js'
import { CursorHistory } from './cursor-history.js'
import { History, type Found } from './history.js'
import { readImage, Violation, type LogImage } from './log-image.js'
import { LogSession } from './log-session.js'
import { Removals } from './removals.js'
import { act, actOnCursors, appendSomething, chance, DIRECTORY, drawRules, drawSessionOptions, EntryMaker, passTime, pick } from './script.js'
import { Scene, type Story, type StoryRun } from './stories.js'
import { SimulatedTime } from './simulated-time.js'

/** What was seen. */
export interface Tally {
  cases: number
  /** Disks found after a crash, each checked. */
  points: number
  /** Of these, disks that differ from all others of their case. All of them are recovered, others only where it matters. */
  distinct: number
  /** Points within or after a recovery. */
  nested: number
  /** Failing operations that were injected. */
  faults: number
  /** Runs of a log, and how many of them began with what a crash had left. */
  sessions: number
  reopened: number
  entries: number
  commits: number
  seeks: number
  /** Requests that were served: to make cursors durable, to free segments. */
  cursorsServed: number
  checkpoints: number
  /** Segments removed, freed to be used again, and used again. */
  removed: number
  freed: number
  recycled: number
  /** Operations that were told of a full disk, disks that other programs filled, and what became of it: recoveries that had to wait, logs that failed at their end. */
  refusals: number
  filled: number
  fullRecoveries: number
  fullCloses: number
  /** Reserves made, and given up. */
  reserved: number
  reservesUsed: number
}

export function newTally(): Tally {
  return {
    cases: 0, points: 0, distinct: 0, nested: 0, faults: 0, sessions: 0, reopened: 0, entries: 0, commits: 0, seeks: 0, cursorsServed: 0, checkpoints: 0,
    removed: 0, freed: 0, recycled: 0, refusals: 0, filled: 0, fullRecoveries: 0, fullCloses: 0, reserved: 0, reservesUsed: 0,
  }
}

const START_MS = Date.UTC(2024, 1, 29, 23, 59, 58)
const MAX_DEPTH = 3
/** Of a hundred disk operations, so many are crash points; and of those within a recovery that is itself a test. */
const CRASH_PERCENT = 55
const NESTED_PERCENT = 6
/** Lines of the story that a failure tells. */
const TOLD_LINES = 60
/** Of a hundred crashes, so many are the process's alone: the page cache survives. */
const KILL_PERCENT = 8

/** Of a hundred disk operations, so many have a producer, or a consumer, do something meanwhile. */
const BUSY_PERCENT = 10
/** With a capacity: room for the reserve, and for what must be left beside it. */
const CAPACITY_BYTES = 320 * 1024
/** With less than this left a write may have been refused. */
const NEARLY_FULL_BYTES = 64 * 1024
/** Of a story, so many of the disks that may be found at an operation are looked at; all, if there are no more. */
const STORY_STATES = 5000
/** What may need room. */
const ROOMY = ['create', 'rename', 'write'] as const

/** What a run will meet: the power goes off, an operation fails, or some in a row find no room. */
interface Mishap { readonly kind: 'cut' | 'fault' | 'full'; readonly only: readonly Operation['kind'][] | undefined; left: number; times: number }

/** How many runs a random life has at most. */
const MAX_RUNS = 4

/** What a crash must leave: entries up to `last`, and no cursors from before that state. */
interface Floor { readonly last: number; readonly state: number }

/** What was found on a disk. */
interface Sight extends Found { readonly image: LogImage }

/**
 * Runs the case of this seed: a life drawn at random, or a story. Throws a {@link Violation} that names it, and tells what was done to the disk.
 */
export function runCase(code: Code, seed: number, tally: Tally, story?: Story): void {
  const run = new CrashCase(code, seed, tally, story)
  try {
    run.time.during(() => run.live())
  } catch (error) {
    const message = error instanceof Violation ? error.message : String(error)
    throw new Violation(`case ${story?.name ?? seed}: ${message}\n${run.story()}`, { cause: error })
  }
}

class CrashCase {
  readonly time = new SimulatedTime(START_MS)
  readonly #code: Code
  readonly #tally: Tally
  readonly #plot: Story | undefined
  readonly #random: Random
  /** What is looked at is drawn apart from what is done. */
  readonly #looking: Random
  readonly #rules: CrashOptions
  readonly #history = new History()
  readonly #cursors = new CursorHistory()
  readonly #maker: EntryMaker
  readonly #removals = new Removals()
  readonly #seen = new Map<number, Sight>()
  readonly #counted = new Set<number>()
  readonly #images = new Map<number, LogImage>()
  readonly #sectorBytes: number
  #ballast: Ballast
  #disk: MemoryDisk
  #session: LogSession | undefined
  #sessions = 0
  /** What the log itself says to be safe. */
  #floor = 0
  #mishap: Mishap | undefined
  #doing = 'nothing'
  #isRefused = false
  readonly #told: string[] = []

  constructor(code: Code, seed: number, tally: Tally, story: Story | undefined) {
    this.#code = code
    this.#tally = tally
    this.#plot = story
    this.#random = seededRandom(seed)
    this.#looking = seededRandom(~seed)
    this.#rules = story?.rules ?? drawRules(this.#random)
    this.#maker = new EntryMaker(this.#random)
    this.#sectorBytes = story?.sectorBytes ?? pick(this.#random, [128, 512, 512, 4096])
    const isLimited = story === undefined && chance(this.#random, 50)
    this.#disk = new MemoryDisk({ sectorBytes: this.#sectorBytes, capacityBytes: isLimited ? CAPACITY_BYTES : Infinity })
    this.#disk.makeDirectory(DIRECTORY)
    this.#ballast = new Ballast(this.#disk, this.#sectorBytes)
    this.#ballast.create()
  }

  live(): void {
    this.#tally.cases++
    const runs = this.#plot?.runs ?? Array.from({ length: 1 + below(this.#random, MAX_RUNS) }, () => undefined)
    for (const run of runs) {
      this.#mishap = run === undefined ? this.#drawMishap() : failingSync(run)
      this.#runOnce(run)
      this.#countRun()
      this.#session = undefined
      passTime(this.time, this.#random)
    }
    this.#tally.entries += this.#history.last
  }

  #countRun(): void {
    const session = this.#session
    if (session === undefined) return
    const { commits, seeks, served } = session.consumers
    this.#tally.commits += commits
    this.#tally.seeks += seeks
    this.#tally.cursorsServed += served
    this.#tally.checkpoints += session.checkpointsServed
    this.#tally.filled += this.#ballast.fills
  }

  /** What was done to the disk, for who looks into a failure. */
  story(): string {
    return [`run ${this.#sessions}, ${this.#doing}; rules ${JSON.stringify(this.#rules)}`, ...this.#told.slice(-TOLD_LINES)].join('\n')
  }

  #tell(line: string): void {
    this.#told.push(line)
  }

  #drawMishap(): Mishap | undefined {
    const draw = below(this.#random, 100)
    if (draw < 35) return { kind: 'cut', only: undefined, left: below(this.#random, 50), times: 1 }
    if (draw < 50) return { kind: 'fault', only: ['sync'], left: below(this.#random, 12), times: 1 }
    if (draw < 60) return { kind: 'fault', only: undefined, left: below(this.#random, 40), times: 1 }
    if (draw < 80) return { kind: 'full', only: ROOMY, left: below(this.#random, 25), times: 1 + below(this.#random, 12) }
    return undefined
  }

  /** From open to the run's end, which leaves the disk for the next. */
  #runOnce(run: StoryRun | undefined): void {
    try {
      this.#watch()
      this.#open()
      this.#doing = 'working'
      if (run === undefined) this.#act()
      else run.act(new Scene(this.#session!, this.time, this.#random))
      if (run?.end === 'close' || (run === undefined && chance(this.#random, 60))) this.#close()
      else this.#disk = this.#lose(this.#disk)
    } catch (error) {
      this.#disk.onOperation = undefined
      this.#tell(`${String(error)}`)
      if (error instanceof PowerCut) this.#disk = this.#disk.crash(this.#random, this.#rulesNow())
      else if (typeof (error as NodeJS.ErrnoException).syscall !== 'string') throw error
      else if (this.#mustLive(error)) throw new Violation(`the log fails while ${this.#doing}: ${String(error)}`, { cause: error })
      else this.#afterFault(error)
    }
  }

  #act(): void {
    for (let left = 5 + below(this.#random, 45); left > 0; left--) {
      this.#isRefused = false
      act(this.#session!, this.#disk, this.#ballast, this.#maker, this.time, this.#random)
    }
  }

  /** What the disk has done only ends a log when it is for good. */
  #mustLive(error: unknown): boolean {
    return isDiskFull(error) ? this.#doing !== 'closing' : (error as NodeJS.ErrnoException).code !== 'EIO'
  }

  #lose(disk: MemoryDisk): MemoryDisk {
    disk.onOperation = undefined
    const isKill = chance(this.#random, 25)
    this.#tell(isKill ? 'killed' : 'power cut')
    return isKill ? disk.clone() : disk.crash(this.#random, this.#rulesNow())
  }

  /** While recovery rewrites, only what the powersafe assumption allows. */
  #rulesNow(): CrashOptions {
    return this.#rules.garbage === 'written' && (this.#sessions > 1 || this.#session === undefined) ? { ...this.#rules, garbage: 'fresh' } : this.#rules
  }

  #floorNow(): Floor {
    this.#floor = Math.max(this.#floor, this.#session?.durable ?? 0)
    this.#session?.consumers.look()
    return { last: this.#floor, state: this.#cursors.durable }
  }

  /** Looks at crash points, lets producers append while the writer is busy, and brings the mishap about. */
  #watch(): void {
    const disk = this.#disk
    disk.onOperation = (operation) => {
      const floor = this.#floorNow()
      this.#tell(`${describe(operation)}; accepted ${this.#history.last}, durable ${floor.last}, cursors ${floor.state} of ${this.#cursors.now}`)
      this.#noteMove(disk, operation)
      if (this.#plot !== undefined) this.#crashInAllWays(disk, floor)
      else if (chance(this.#looking, CRASH_PERCENT)) this.#crash(disk, floor)
      if (this.#session !== undefined && this.#plot === undefined) this.#actMeanwhile(this.#session, disk)
      this.time.advance(this.#random() / 4)
      this.#meetMishap(operation)
    }
  }

  #actMeanwhile(session: LogSession, disk: MemoryDisk): void {
    if (chance(this.#random, BUSY_PERCENT)) appendSomething(session, disk, this.#maker, this.#random)
    if (chance(this.#random, BUSY_PERCENT)) actOnCursors(session, this.#random)
  }

  /** Whether something has just been refused for want of room, or may have been. */
  get #isFull(): boolean {
    return this.#isRefused || this.#session!.isDiskFull || this.#disk.space().freeBytes < NEARLY_FULL_BYTES
  }

  /** Names that come and go: what is removed must be allowed to. */
  #noteMove(disk: MemoryDisk, { kind, path, to }: Operation): void {
    const session = this.#session
    if (kind === 'create' && path.endsWith('reserve')) this.#tally.reserved++
    if (kind === 'remove' && path.endsWith('reserve')) this.#tally.reservesUsed++
    if (kind === 'rename' && to!.endsWith('.wal')) this.#tally.recycled++
    if (session === undefined || !path.endsWith('.wal') || (kind !== 'remove' && kind !== 'rename')) return
    const isSegment = this.#removals.note(disk, DIRECTORY, basename(path), session.options, this.#cursors, this.#isFull)
    if (isSegment) this.#tally[kind === 'remove' ? 'removed' : 'freed']++
  }

  #meetMishap(operation: Operation): void {
    const mishap = this.#mishap
    if (mishap === undefined || (mishap.only?.includes(operation.kind) === false) || mishap.left-- > 0) return
    if (--mishap.times === 0) this.#mishap = undefined
    const writtenBytes = below(this.#random, (operation.bytes ?? 0) + (mishap.kind === 'full' ? 0 : 1))
    if (mishap.kind === 'cut') throw new PowerCut(writtenBytes)
    this.#tally[mishap.kind === 'full' ? 'refusals' : 'faults']++
    this.#isRefused ||= mishap.kind === 'full'
    throw Object.assign(systemError(mishap.kind === 'full' ? 'ENOSPC' : 'EIO', operation.kind, operation.path), { writtenBytes })
  }

  #open(): void {
    this.#sessions++
    this.#tally.sessions++
    if (this.#history.last > 0) this.#tally.reopened++
    this.#doing = 'opening'
    this.#ballast = new Ballast(this.#disk, this.#sectorBytes)
    if (chance(this.#random, 15)) this.#ballast.fill(below(this.#random, 2))
    const recovered = this.#recover(this.#disk)
    const found = this.#compare(this.#disk, recovered, this.#floorNow())
    this.#tell(`recovered ${found.image.first} to ${found.last}`)
    this.#history.truncate(found.last)
    this.#floor = found.last
    this.#cursors.restart(recovered.cursors)
    this.#removals.restart(found.image.first)
    const options = this.#plot?.options ?? drawSessionOptions(this.#random)
    this.#tell(JSON.stringify(options.writer))
    this.#session = new LogSession(this.#code, this.#disk, options, recovered, this.time, this.#history, this.#cursors)
    this.#checkNames(options.writer.reserveBytes)
  }

  #close(): void {
    const session = this.#session!
    if (chance(this.#random, 60)) {
      this.#doing = 'catching up'
      this.#ballast.empty()
      if (this.#mishap?.kind === 'full') this.#mishap = undefined
      session.catchUp()
    }
    this.#doing = 'closing'
    const committed = this.#cursors.now
    const { refusals } = this.#tally
    session.close(this.#random)
    const floor = this.#floorNow()
    if (floor.last !== this.#history.last) throw new Violation(`closed with ${floor.last} durable, ${this.#history.last} accepted`)
    this.#doing = 'closed'
    this.#disk.onOperation = undefined
    this.#cursors.noteDurable(committed)
    this.#crash(this.#disk, this.#floorNow())
    this.#checkNames(session.options.reserveBytes)
    const before = this.#disk.operations.length
    const recovered = this.#recover(this.#disk)
    // Without room for the seal, opening makes up for it.
    const isClean = !changesSince(this.#disk, before) && recovered.report.cleanClose
    if (!isClean && this.#tally.refusals === refusals && !this.#isFull) throw new Violation('opening after close() finds something to do')
    if (chance(this.#random, 50)) this.#disk = this.#lose(this.#disk)
  }

  /** Nothing is left lying about: there are segments, and the reserve if there is to be one. */
  #checkNames(reserveBytes: number): void {
    const left = this.#disk.list(DIRECTORY).filter((name) => !name.endsWith('.wal') && !(reserveBytes > 0 && name === 'reserve'))
    if (left.length > 0) throw new Violation(`left over: ${left.join(', ')}`)
  }

  /** An operation has failed: the log is failed, and what was acknowledged before is all that is promised. */
  #afterFault(error: unknown): void {
    const floor = this.#floorNow()
    if (this.#doing === 'closing' && isDiskFull(error)) this.#tally.fullCloses++
    this.#doing = 'after a failed operation'
    this.#session?.fail(error)
    if (this.#floorNow().last !== floor.last) throw new Violation('acknowledged after the failure')
    for (let times = 0; times < 4; times++) {
      this.#crash(this.#disk, floor)
      this.#look(this.#disk.clone(), floor, 1, undefined)
    }
    this.#disk = this.#lose(this.#disk)
  }

  /** Some disks that may be found if all ended here. */
  #crash(disk: MemoryDisk, floor: Floor): void {
    for (let left = 1 + below(this.#looking, 3); left > 0; left--) {
      if (chance(this.#looking, KILL_PERCENT)) this.#look(disk.clone(), floor, 1, undefined)
      else this.#lookOnce(disk.crash(this.#looking, this.#rulesNow()), floor, 1)
    }
  }

  /** Every disk that may be found if all ended here, or as many as are looked at. */
  #crashInAllWays(disk: MemoryDisk, floor: Floor): void {
    this.#look(disk.clone(), floor, 1, undefined)
    for (const state of disk.crashStates({ ...this.#rulesNow(), maxStates: STORY_STATES, seed: disk.operations.length })) this.#lookOnce(state, floor, 1)
  }

  /** The same disk recovers to the same log: only what must be there may have changed since it was seen. */
  #lookOnce(state: MemoryDisk, floor: Floor, depth: number): void {
    const fingerprint = state.fingerprint()
    const known = this.#seen.get(fingerprint)
    if (known === undefined || known.last < floor.last || this.#history.at(known.last) !== known.lastEntry) return this.#look(state, floor, depth, fingerprint)
    this.#count(depth, false)
    this.#removals.check(known.image, this.#cursors.find(known.image.cursors, known.last, floor.state))
  }

  #count(depth: number, isDistinct: boolean): void {
    this.#tally.points++
    if (isDistinct) this.#tally.distinct++
    if (depth > 1) this.#tally.nested++
  }

  /** Recovers a disk and compares; crashes within, and after. */
  #look(state: MemoryDisk, floor: Floor, depth: number, fingerprint: number | undefined): void {
    const { size } = this.#counted
    this.#count(depth, this.#counted.add(fingerprint ?? state.fingerprint()).size > size)
    const rules = { ...this.#rules, garbage: this.#rules.garbage === 'none' ? 'none' : 'fresh' } as const
    const within: MemoryDisk[] = []
    const isDeep = depth < MAX_DEPTH && (fingerprint === undefined || chance(this.#looking, 40))
    if (isDeep) {
      state.onOperation = () => {
        if (chance(this.#looking, NESTED_PERCENT)) within.push(state.crash(this.#looking, rules))
      }
    }
    const recovered = this.#recover(state)
    state.onOperation = undefined
    const found = this.#compare(state, recovered, floor)
    if (fingerprint !== undefined) this.#seen.set(fingerprint, found)
    if (!isDeep) return
    for (const disk of within) this.#lookOnce(disk, floor, depth + 1)
    this.#lookOnce(state.crash(this.#looking, rules), { last: found.last, state: this.#cursors.find(recovered.cursors, found.last, floor.state) }, depth + 1)
    if (chance(this.#looking, 20)) this.#recoverAgain(state, recovered)
  }

  #recoverAgain(state: MemoryDisk, first: Recovered): void {
    const before = state.operations.length
    const second = this.#recover(state)
    if (changesSince(state, before)) throw new Violation('a second recovery changes what the first one left')
    if (second.nextSequence !== first.nextSequence || second.lastTicks < first.lastTicks) throw new Violation('a second recovery finds something else')
  }

  /** Where there is no room for the index of a torn tail, somebody makes some, and recovery is done again. */
  #recover(disk: MemoryDisk): Recovered {
    for (;;) {
      try {
        return this.#code.recover(disk, DIRECTORY)
      } catch (error) {
        if (error instanceof PowerCut) throw error
        if (typeof (error as NodeJS.ErrnoException).syscall !== 'string') throw new Violation(`recovery refuses: ${(error as Error).message}`, { cause: error })
        if (!isDiskFull(error)) throw error
        this.#tally.fullRecoveries++
        new Ballast(disk, this.#sectorBytes).empty()
      }
    }
  }

  /** Many disks recover to the same one. */
  #imageOf(disk: MemoryDisk): LogImage {
    const fingerprint = disk.fingerprint()
    const image = this.#images.get(fingerprint) ?? readImage(disk, DIRECTORY)
    this.#images.set(fingerprint, image)
    return image
  }

  #compare(disk: MemoryDisk, { nextSequence, lastTicks, report, cursors }: Recovered, floor: Floor): Sight {
    const image = this.#imageOf(disk)
    const found = this.#history.check(image, floor.last)
    const state = this.#cursors.find(image.cursors, found.last, floor.state)
    this.#removals.check(image, state)
    this.#cursors.find(cursors, found.last, state)
    const beyond = cursors.find(({ sequence }) => sequence > found.last)
    if (beyond !== undefined) throw new Violation(`the cursor of ${beyond.name} stands at ${beyond.sequence}, the log ends with ${found.last}`)
    if (nextSequence !== found.last + 1) throw new Violation(`the log ends with ${found.last}, the next sequence would be ${nextSequence}`)
    if (report.lastSequence !== found.last) throw new Violation(`the log ends with ${found.last}, the report says ${report.lastSequence}`)
    const lastOnDisk = image.entries.at(-1)?.ticks ?? 0n
    if (lastTicks < lastOnDisk) throw new Violation('the next timestamp may be below the last one on disk')
    return { ...found, image }
  }
}

function failingSync({ failsAtSync }: StoryRun): Mishap | undefined {
  return failsAtSync === undefined ? undefined : { kind: 'fault', only: ['sync'], left: failsAtSync - 1, times: 1 }
}

function describe({ kind, path, offset, bytes }: Operation): string {
  const where = offset === undefined ? (bytes === undefined ? '' : ` to ${bytes}`) : ` ${offset} to ${offset + bytes!}`
  return `${kind} ${path.slice(-12)}${where}`
}

/** Whether a disk was changed since it had seen so many operations; its names are synced at every opening. */
function changesSince(disk: MemoryDisk, before: number): boolean {
  return disk.operations.slice(before).some(({ kind }) => kind !== 'syncDirectory')
}
