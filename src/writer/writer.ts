/**
 * The writer: one thread that drains the ring, writes batches, syncs, acknowledges. A synchronous loop; it never
 * returns to its event loop before the log ends.
 *
 * Group commit needs no timer: while one sync runs, the next batch gathers in the ring. A batch is written only after
 * the sync of the one before has returned.
 */

import type { Disk } from '../disk/disk.js'
import { encodeRange, RANGE_FRAME_BYTES } from '../format/control-layout.js'
import { INDEX_INTERVAL_BYTES } from '../format/index-layout.js'
import { relativeTicks, tickBase } from '../format/ticks.js'
import type { Recovered } from '../recovery/recover.js'
import { readHead } from '../ring/claim.js'
import { pendingTicket, raiseSyncTarget, serve } from '../ring/commands.js'
import { DeadProducers } from '../ring/dead-producers.js'
import {
  abortedBatch, acknowledge, countBatch, drain, extentBytes, isPublished, release, type DrainedBatch, type DrainPoint, type Extent,
} from '../ring/drain.js'
import { markClosed } from '../ring/life.js'
import type { DeathProof } from '../ring/records.js'
import type { Ring } from '../ring/ring.js'
import { COUNTER, sequenceReached, WORD } from '../ring/ring-layout.js'
import { sleepForCommand, sleepForSequence } from '../ring/wake.js'
import { signal } from '../sync/event-count.js'
import { BlobKeeper } from './blob-keeper.js'
import { Checkpointer } from './checkpointer.js'
import { CursorKeeper } from './cursor-keeper.js'
import { DiskSpace } from './disk-space.js'
import { Pace } from './pace.js'
import { SegmentStore } from './segment-store.js'
import { SizeLimit } from './size-limit.js'
import { TailKeeper } from './tail-keeper.js'
import type { WriterOptions } from './writer-options.js'

/** After this long without an entry a trailer without a batch says that the last one is durable. */
const SETTLE_AFTER_MS = 2
/** The longest sleep: a producer may have died between publish and wake. Also the pace of looking for dead threads. */
const MAX_SLEEP_MS = 250
/** The longest sleep while a claimed head is not published: its producer may be dead. */
const OWED_SLEEP_MS = 2

/** The writer of one log. Made and run on its own thread. */
export class Writer {
  readonly #ring: Ring
  readonly #options: WriterOptions
  readonly #dead: DeadProducers
  readonly #point: DrainPoint
  readonly #pace: Pace
  readonly #cursors: CursorKeeper
  readonly #store: SegmentStore
  readonly #tails: TailKeeper
  readonly #space: DiskSpace
  readonly #checkpointer: Checkpointer
  #durable: number
  #written: number
  /** Drained, but the disk had no room for it. */
  #pending: DrainedBatch | undefined
  /** Since when something is written and not synced. */
  #unsyncedSinceMs: number | undefined
  #lastActivityMs = 0
  #lastSweepMs = 0
  /** A roll that is on its way: for whom, and low 32 bits of the head when it was found to be wanted. */
  #rolling: { readonly ticket: number; readonly head: number } | undefined
  /** What was asked for or due was not done for want of room. */
  #isStuck = false
  #ended = false

  constructor(ring: Ring, disk: Disk, options: WriterOptions, recovered: Recovered, lastTicks: bigint, isDead: DeathProof) {
    const { directory, maxSegmentAgeMs, reserveBytes } = options
    const limit = new SizeLimit(disk, options, recovered.report.bytes)
    this.#ring = ring
    this.#options = options
    this.#dead = new DeadProducers(ring, isDead)
    this.#point = { sequence: recovered.nextSequence, position: 0 }
    this.#pace = new Pace(ring, options.lingerMs)
    this.#cursors = new CursorKeeper(ring, recovered.cursors)
    this.#store = new SegmentStore(disk, directory, recovered.segments, { spareBytes: () => limit.maxSegmentBytes, maxSegmentAgeMs })
    const blobKib = (): number => ring.atomics.load(ring.words, WORD.blobKib)
    this.#tails = new TailKeeper(disk, options, limit, recovered, lastTicks, this.#cursors, this.#store, blobKib)
    this.#space = new DiskSpace(ring, disk, directory, reserveBytes)
    this.#written = this.#durable = recovered.nextSequence - 1
    const blobs = new BlobKeeper(disk, directory, this.#written)
    this.#checkpointer = new Checkpointer(
      ring, options, limit, this.#store, this.#cursors, this.#space, blobs, () => this.#tails.tail?.firstSequence ?? this.#written + 1,
    )
    this.#space.look(() => this.#checkpointer.mayMakeRoom)
  }

  /** Runs until the log is closed. Throws what ends it otherwise: the caller fails the log with it. */
  run(): void {
    try {
      while (!this.#ended) {
        if (this.#pending === undefined) this.#pace.gather(this.#point.sequence, () => this.#hasCommand())
        if (!this.step()) this.#rest()
      }
    } finally {
      if (!this.#ended) this.#tails.tail?.abandon()
    }
  }

  /** Writes one batch if there is one, obeys, does what is due; never sleeps but for `lingerMs`. False: there was nothing to write, and the log is open. */
  step(): boolean {
    if (this.#pending === undefined) this.#pace.linger(this.#point.sequence, () => this.#hasCommand())
    const batch = this.#nextBatch()
    if (batch !== undefined) this.#pending = this.#withRoom(() => this.#commit(batch)) ? undefined : batch
    const nowMs = performance.now()
    if (batch !== undefined) {
      this.#lastActivityMs = nowMs
      this.#pace.noteBatch(nowMs)
    }
    if (!this.#isStuck || !this.#space.isWaiting || this.#isClosing) this.#isStuck = !this.#withRoom(() => this.#obey(nowMs))
    return this.#ended || (!this.#isStuck && batch !== undefined && this.#pending === undefined)
  }

  #nextBatch(): DrainedBatch | undefined {
    if (this.#pending !== undefined) return this.#space.isWaiting && !this.#isClosing ? undefined : this.#pending
    const { bytes, entries } = this.#tails.limits
    const limits = {
      bytes: Math.min(this.#options.maxBatchBytes, bytes), entries, abortedBytes: RANGE_FRAME_BYTES, indexIntervalBytes: INDEX_INTERVAL_BYTES,
    }
    return drain(this.#ring, this.#point, limits) ?? this.#drainDead()
  }

  /** Does what needs room on the disk; frees what may go for it. False: there is none, and it is to be tried again. */
  #withRoom(work: () => void): boolean {
    const error = this.#space.attempt(work, () => this.#checkpointer.makeRoom(() => this.#secureCursors()))
    if (error !== undefined && this.#isClosing) this.#closeWithoutRoom(error)
    return error === undefined
  }

  /** There will be no later moment. With all durable only the seal is missing, which opening makes up for; else the log fails. */
  #closeWithoutRoom(error: unknown): void {
    const isAllDurable = this.#durable + 1 === this.#point.sequence && sequenceReached(this.#point.sequence, readHead(this.#ring).low)
    if (!isAllDurable || !this.#cursors.isDurable) throw error
    this.#tails.tail?.leave()
    this.#end()
  }

  get #isClosing(): boolean {
    return this.#ring.atomics.load(this.#ring.words, WORD.closeWanted) !== 0
  }

  /** What dead producers hold of the head, once proved. */
  #drainDead(): DrainedBatch | undefined {
    if (!this.#dead.owesHead(this.#point)) return undefined
    const range = this.#dead.inquire(this.#point)
    return range === undefined ? undefined : abortedBatch(this.#point, range.last, range.position, RANGE_FRAME_BYTES)
  }

  /** write → release → sync → acknowledge. */
  #commit(batch: DrainedBatch): void {
    if (this.#tails.isTooSmallFor(batch)) this.#seal()
    // Not only with a new tail: one that was created for cursors alone has no reserve yet. One that was just given up for this very batch stays so.
    if (!this.#tails.hasEntries && !this.#space.isWaiting) this.#space.reserve(() => this.#checkpointer.mayMakeRoom)
    const tail = this.#tails.ensure(batch.firstSequence)
    // Taken when it is certain which segment they go to: a seal tells that all before are durable.
    const cursors = this.#cursors.take()
    tail.write(batch.extents.map((extent) => this.#bytesOf(extent)), batch, this.#durable, cursors)
    this.#cursors.noteWritten()
    this.#tails.lastTicks = tail.lastTicks
    this.#unsyncedSinceMs ??= performance.now()
    this.#written = batch.lastSequence
    release(this.#ring, batch, this.#point)
    countBatch(this.#ring, batch)
    if (this.#options.durability === 'batch') this.#sync()
  }

  #bytesOf(extent: Extent): Uint8Array {
    if (extent.source !== 'aborted') return extentBytes(this.#ring, extent)
    const { lastTicks } = this.#tails
    const ticks = extent.ticks > lastTicks ? extent.ticks : lastTicks
    const base = tickBase(ticks)
    return encodeRange('aborted', extent.firstSequence, extent.lastSequence, relativeTicks(ticks, base), base)
  }

  /** Seals the tail: all in it is durable afterwards. */
  #seal(): void {
    const { lastSequence } = this.#tails.tail!
    this.#tails.seal()
    this.#ring.counters[COUNTER.rolls]!++
    this.#checkpointer.noteRoll()
    this.#noteSynced(lastSequence)
  }

  #sync(): void {
    const startMs = performance.now()
    this.#tails.tail?.sync()
    const { counters } = this.#ring
    const tookMs = performance.now() - startMs
    counters[COUNTER.syncs]!++
    counters[COUNTER.syncMs]! += tookMs
    counters[COUNTER.longestSyncMs] = Math.max(counters[COUNTER.longestSyncMs]!, tookMs)
    this.#noteSynced(this.#written)
  }

  #noteSynced(sequence: number): void {
    this.#unsyncedSinceMs = undefined
    this.#cursors.noteSynced()
    if (sequence <= this.#durable) return
    this.#durable = sequence
    raiseSyncTarget(this.#ring, sequence)
    acknowledge(this.#ring, sequence)
  }

  /** Commits with nothing to append get a trailer of their own, now and then. */
  #persistCursors(nowMs: number): void {
    const wanted = pendingTicket(this.#ring, 'cursors')
    // A batch that is there already will carry them; but one that waits for room may for long, and they find some sooner.
    const isCarried = this.#pending === undefined && isPublished(this.#ring, this.#point.sequence)
    if (nowMs < this.#cursors.dueMs || (wanted === undefined && isCarried)) return
    this.#writeCursors()
    if (this.#unsyncedSinceMs !== undefined && (wanted !== undefined || this.#options.durability === 'batch')) this.#sync()
    if (wanted !== undefined) serve(this.#ring, 'cursors', wanted)
  }

  #writeCursors(): void {
    if (this.#tails.isFull) this.#seal()
    const cursors = this.#cursors.take()
    if (cursors === undefined) return
    const { tail } = this.#tails
    if (tail === undefined) return void this.#tails.ensure(this.#written + 1)
    tail.mark(this.#durable, cursors)
    this.#cursors.noteWritten()
    this.#unsyncedSinceMs ??= performance.now()
  }

  /** Before anything is removed: a segment that stays has a synced trailer with all cursors, else a torn tail could lose them, and the sequences. */
  #secureCursors(): void {
    this.#writeCursors()
    if (this.#store.count < 2) this.#tails.ensure(this.#written + 1)
    if (!this.#cursors.isDurable) this.#sync()
  }

  #hasCommand(): boolean {
    const { atomics, words } = this.#ring
    return this.#isClosing || atomics.load(words, WORD.syncWanted) !== 0 || atomics.load(words, WORD.settleWanted) !== 0
      || pendingTicket(this.#ring, 'roll') !== undefined || this.#checkpointer.isWanted
      || this.#cursors.dueMs <= performance.now()
  }

  /** Does what was asked for, and what is due. */
  #obey(nowMs: number): void {
    const { atomics, words } = this.#ring
    if (atomics.exchange(words, WORD.syncWanted, 0) !== 0) {
      this.#pace.noteWaiter(nowMs)
      // The flag before the target: who raises the target after this was read sets the flag again.
      if (!sequenceReached(this.#written, atomics.load(words, WORD.syncTarget))) atomics.store(words, WORD.syncWanted, 1)
      if (this.#written > this.#durable) this.#sync()
    }
    // First what takes the least room: on a full disk it may be all that there is.
    this.#persistCursors(nowMs)
    const rollTicket = pendingTicket(this.#ring, 'roll')
    if (rollTicket !== undefined) this.#roll(rollTicket)
    if (this.#tails.isHeavy) this.#seal()
    if (this.#isClosing && this.#pending === undefined && sequenceReached(this.#point.sequence, readHead(this.#ring).low)) return this.#close()
    this.#checkpointer.step(nowMs, () => this.#secureCursors())
    if (this.#tails.tail !== undefined && this.#tailDueMs() <= nowMs) this.#doWhatIsDue(nowMs)
    if (this.#pending === undefined && this.#space.dueMs <= nowMs) this.#space.reserve(() => this.#checkpointer.mayMakeRoom)
    if (nowMs - this.#lastSweepMs >= MAX_SLEEP_MS) {
      this.#lastSweepMs = nowMs
      this.#dead.sweep(this.#point)
    }
  }

  /** Seals the tail once everything that was claimed before the request is in it. Who asks meanwhile may have claimed more: the next roll is for them. */
  #roll(lastTicket: number): void {
    this.#rolling ??= { ticket: lastTicket, head: readHead(this.#ring).low }
    const { ticket, head } = this.#rolling
    if (this.#pending !== undefined || !sequenceReached(this.#point.sequence, head)) return
    if (this.#tails.hasEntries) this.#seal()
    this.#rolling = undefined
    serve(this.#ring, 'roll', ticket)
  }

  #close(): void {
    this.#writeCursors()
    if (this.#written > this.#durable) this.#sync()
    if (this.#tails.tail !== undefined) this.#seal()
    this.#end()
  }

  #end(): void {
    this.#store.removeSpares()
    this.#ended = true
    markClosed(this.#ring)
  }

  /** When something has to be done for which nobody will wake the writer. */
  #nextDueMs(): number {
    // 0: to try has taken longer than the wait between two tries. Not in any test.
    if (this.#isStuck) return this.#space.isWaiting ? this.#space.dueMs : 0
    const spaceMs = this.#pending === undefined ? this.#space.dueMs : Math.max(this.#space.dueMs, performance.now() + 1)
    return Math.min(this.#cursors.dueMs, this.#tailDueMs(), this.#checkpointer.dueMs, spaceMs)
  }

  #tailDueMs(): number {
    const { durability } = this.#options
    const syncMs = typeof durability === 'object' && this.#unsyncedSinceMs !== undefined ? this.#unsyncedSinceMs + durability.intervalMs : Infinity
    return Math.min(this.#tails.agedMs, syncMs, this.#isUnsettled ? this.#lastActivityMs + SETTLE_AFTER_MS : Infinity)
  }

  /** All is durable, but the file does not say so yet: after a crash its last batch would be in doubt. */
  get #isUnsettled(): boolean {
    const { tail } = this.#tails
    return tail !== undefined && !tail.isSealing && this.#written === this.#durable && tail.durableMark < this.#durable
  }

  #doWhatIsDue(nowMs: number): void {
    const { durability } = this.#options
    if (nowMs >= this.#tails.agedMs) return this.#seal()
    if (typeof durability === 'object' && this.#unsyncedSinceMs !== undefined && nowMs >= this.#unsyncedSinceMs + durability.intervalMs) this.#sync()
    if (this.#isUnsettled && nowMs >= this.#lastActivityMs + SETTLE_AFTER_MS) this.#settle()
  }

  #settle(): void {
    this.#tails.tail!.mark(this.#durable, undefined)
    this.#sync()
  }

  /** Nothing to drain: spin briefly, then sleep until woken or until something is due. */
  #rest(): void {
    const { sequence } = this.#point
    if (this.#pending === undefined && this.#pace.lookOut(sequence)) return
    this.#settleIfWanted()
    if (!this.#space.isFull) this.#tails.tail?.allocateAhead()
    this.#ring.counters[COUNTER.sleeps]!++
    const isOwed = this.#dead.owesHead(this.#point)
    // Behind a full disk or an owed head a command may have to wait for it: that must not turn into spinning.
    const isHeldUp = isOwed || this.#space.isFull
    const mostMs = this.#pending === undefined && isOwed ? OWED_SLEEP_MS : MAX_SLEEP_MS
    const dueMs = this.#nextDueMs()
    const timeoutMs = Math.min(mostMs, Math.max(0, dueMs - performance.now()))
    // A commit that came meanwhile woke nobody, and may be due before: then it is to be reckoned anew.
    const hasWork = (): boolean => !isHeldUp && (this.#hasCommand() || this.#cursors.dueMs < dueMs)
    if (this.#pending === undefined) sleepForSequence(this.#ring, sequence, timeoutMs, hasWork)
    else sleepForCommand(this.#ring, sequence, timeoutMs, hasWork)
  }

  /** At a process's end the closing mark is not left to an idle moment that will not come. */
  #settleIfWanted(): void {
    const { atomics, words } = this.#ring
    if (atomics.load(words, WORD.settleWanted) === 0 || this.#written !== this.#durable) return
    // Where it is settled already: settle.test.ts, in the writer's thread.
    if (this.#isUnsettled) this.#withRoom(() => this.#settle())
    atomics.store(words, WORD.settleWanted, 0)
    signal(atomics, words, WORD.durableEvent)
  }
}
