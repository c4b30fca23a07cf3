/**
 * The writer: one thread that drains the ring, writes batches, syncs, acknowledges. A synchronous loop; it never
 * returns to its event loop before the log ends.
 *
 * Group commit needs no timer: while one sync runs, the next batch gathers in the ring. A batch is written only after
 * the sync of the one before has returned.
 */

import type { Disk } from '../disk/disk.js'
import { encodeRange, RANGE_FRAME_BYTES } from '../format/control-layout.js'
import { INDEX_INTERVAL_BYTES, largestIndexBytes } from '../format/index-layout.js'
import { relativeTicks, tickBase } from '../format/ticks.js'
import { TRAILER_BYTES } from '../format/trailer-layout.js'
import type { Recovered } from '../recovery/recover.js'
import { readHead } from '../ring/claim.js'
import { DeadProducers } from '../ring/dead-producers.js'
import {
  abortedBatch, acknowledge, drain, extentBytes, isPublished, release, type DrainedBatch, type DrainPoint, type Extent,
} from '../ring/drain.js'
import { markClosed } from '../ring/life.js'
import type { DeathProof } from '../ring/records.js'
import type { Ring } from '../ring/ring.js'
import { COUNTER, sequenceReached, WORD } from '../ring/ring-layout.js'
import { sleepForSequence } from '../ring/wake.js'
import { EMPTY_SEGMENT_BYTES, Tail } from '../segment/tail.js'
import { signal } from '../sync/event-count.js'
import { CursorKeeper } from './cursor-keeper.js'
import type { WriterOptions } from './writer-options.js'

/** How often the head is looked at before sleeping: some 10 µs, less than a futex sleep and wake-up take. */
const SPINS = 200
/** After this long without an entry, a trailer without a batch says that the last batch is durable. */
const SETTLE_AFTER_MS = 2
/** The longest sleep: a producer may have died between publish and wake. Also the pace of looking for dead threads. */
const MAX_SLEEP_MS = 250
/** The longest sleep while a claimed head is not published: its producer may be dead. */
const OWED_SLEEP_MS = 2

/** The writer of one log. Made and run on its own thread. */
export class Writer {
  readonly #ring: Ring
  readonly #disk: Disk
  readonly #options: WriterOptions
  readonly #dead: DeadProducers
  readonly #point: DrainPoint
  readonly #keeper: CursorKeeper
  #tail: Tail | undefined
  #previousUuid: Uint8Array
  #lastCreatedMs: number
  #lastTicks: bigint
  #durable: number
  #written: number
  /** Since when something written has not been synced. */
  #unsyncedSinceMs: number | undefined
  #tailBornMs = 0
  #lastActivityMs = 0
  #lastSweepMs = 0
  /** Low 32 bits of the head when a roll was found to be wanted. */
  #rollHead: number | undefined
  #ended = false

  constructor(ring: Ring, disk: Disk, options: WriterOptions, recovered: Recovered, lastTicks: bigint, isDead: DeathProof) {
    this.#ring = ring
    this.#disk = disk
    this.#options = options
    this.#dead = new DeadProducers(ring, isDead)
    this.#point = { sequence: recovered.nextSequence, position: 0 }
    this.#keeper = new CursorKeeper(ring, recovered.cursors)
    this.#previousUuid = recovered.previousUuid
    this.#lastCreatedMs = recovered.lastCreatedMs
    this.#lastTicks = lastTicks
    this.#written = this.#durable = recovered.nextSequence - 1
  }

  /** Runs until the log is closed. Throws what ends it otherwise: the caller fails the log with it. */
  run(): void {
    try {
      while (!this.#ended) if (!this.step()) this.#rest()
    } finally {
      if (!this.#ended) this.#tail?.abandon()
    }
  }

  /** Writes one batch if there is one, obeys, does what is due; never sleeps but for `lingerMs`. False: there was nothing to write, and the log is open. */
  step(): boolean {
    this.#linger()
    const batch = drain(this.#ring, this.#point, this.#drainLimits()) ?? this.#drainDead()
    if (batch !== undefined) this.#commit(batch)
    const nowMs = performance.now()
    if (batch !== undefined) this.#lastActivityMs = nowMs
    this.#obey(nowMs)
    return batch !== undefined || this.#ended
  }

  /** With `lingerMs`, a batch that has begun waits that long for more, unless it is to be flushed. */
  #linger(): void {
    const { lingerMs } = this.#options
    if (lingerMs === 0 || !isPublished(this.#ring, this.#point.sequence) || this.#hasCommand()) return
    // Nobody will publish the sequence before the head again, so only a command or a full ring ends this early.
    sleepForSequence(this.#ring, this.#point.sequence - 1, lingerMs, () => this.#hasCommand())
  }

  #drainLimits(): Parameters<typeof drain>[2] {
    const { maxBatchBytes, maxSegmentEntries } = this.#options
    const tail = this.#tail
    // A tail without room is sealed before the batch, which then has a new one to itself.
    const isFull = tail === undefined || this.#roomIn(tail.endOffset) <= 0 || this.#entriesLeft(tail) <= 0
    return {
      bytes: Math.min(maxBatchBytes, this.#roomIn(isFull ? EMPTY_SEGMENT_BYTES + this.#keeper.bytes : tail.endOffset)),
      entries: isFull ? maxSegmentEntries : this.#entriesLeft(tail),
      abortedBytes: RANGE_FRAME_BYTES,
      indexIntervalBytes: INDEX_INTERVAL_BYTES,
    }
  }

  /** Bytes of frames that a segment takes behind `endOffset`: less the batch's trailer, a closing mark, and the index at the end. */
  #roomIn(endOffset: number): number {
    const { maxSegmentBytes } = this.#options
    return maxSegmentBytes - endOffset - this.#keeper.bytes - 2 * TRAILER_BYTES - largestIndexBytes(maxSegmentBytes)
  }

  #entriesLeft(tail: Tail): number {
    return this.#options.maxSegmentEntries - (tail.lastSequence - tail.firstSequence + 1)
  }

  /** What dead producers hold of the head, once that is proved. */
  #drainDead(): DrainedBatch | undefined {
    if (!this.#dead.owesHead(this.#point)) return undefined
    const range = this.#dead.inquire(this.#point)
    return range === undefined ? undefined : abortedBatch(this.#point, range.last, range.position, RANGE_FRAME_BYTES)
  }

  /** write → release → sync → acknowledge. */
  #commit(batch: DrainedBatch): void {
    const tail = this.#tailFor(batch)
    // Taken when it is certain which segment they go to: a seal tells that all taken before are durable.
    const cursors = this.#keeper.take()
    tail.write({ ...batch, buffers: batch.extents.map((extent) => this.#bytesOf(extent)) }, this.#durable, cursors)
    this.#lastTicks = tail.lastTicks
    this.#unsyncedSinceMs ??= performance.now()
    this.#written = batch.lastSequence
    release(this.#ring, batch, this.#point)
    this.#count(batch)
    if (this.#options.durability === 'batch') this.#sync()
  }

  #bytesOf(extent: Extent): Uint8Array {
    if (extent.source !== 'aborted') return extentBytes(this.#ring, extent)
    const ticks = extent.ticks > this.#lastTicks ? extent.ticks : this.#lastTicks
    const base = tickBase(ticks)
    return encodeRange('aborted', extent.firstSequence, extent.lastSequence, relativeTicks(ticks, base), base)
  }

  /** The tail that the batch goes to: a new one where it does not fit, or where there is none. */
  #tailFor(batch: DrainedBatch): Tail {
    const tail = this.#tail
    if (tail !== undefined && this.#hasEntries()) {
      const isTooLong = batch.bytes > this.#roomIn(tail.endOffset)
      const isTooMany = batch.lastSequence - batch.firstSequence + 1 > this.#entriesLeft(tail)
      if (isTooLong || isTooMany) this.#seal(tail)
    }
    this.#tail ??= this.#createTail(batch.firstSequence)
    return this.#tail
  }

  #createTail(firstSequence: number): Tail {
    const createdMs = Math.max(Date.now(), this.#lastCreatedMs + 1)
    this.#lastCreatedMs = createdMs
    this.#tailBornMs = performance.now()
    const tail = Tail.create(this.#disk, {
      directory: this.#options.directory,
      createdMs,
      firstSequence,
      previousUuid: this.#previousUuid,
      cursors: this.#keeper.cursors,
      lastTicks: this.#lastTicks,
      preallocateBytes: this.#options.preallocateBytes,
      maxBytes: this.#options.maxSegmentBytes,
    })
    // Its first trailer carries all cursors, and is durable.
    this.#keeper.noteSynced()
    return tail
  }

  /** Seals the tail: all in it is durable afterwards. The next entry begins a new one. */
  #seal(tail: Tail): void {
    tail.seal()
    this.#previousUuid = tail.name.uuid
    this.#tail = undefined
    this.#ring.counters[COUNTER.rolls]!++
    this.#noteSynced(tail.lastSequence)
  }

  #sync(): void {
    const startMs = performance.now()
    this.#tail?.sync()
    const { counters } = this.#ring
    const tookMs = performance.now() - startMs
    counters[COUNTER.syncs]!++
    counters[COUNTER.syncMs]! += tookMs
    counters[COUNTER.longestSyncMs] = Math.max(counters[COUNTER.longestSyncMs]!, tookMs)
    this.#noteSynced(this.#written)
  }

  #noteSynced(sequence: number): void {
    this.#unsyncedSinceMs = undefined
    this.#keeper.noteSynced()
    if (sequence <= this.#durable) return
    this.#durable = sequence
    acknowledge(this.#ring, sequence)
  }

  /** Commits with nothing to append beside them get a trailer of their own, now and then. */
  #persistCursors(nowMs: number): void {
    if (nowMs < this.#keeper.dueMs) return
    const { wanted } = this.#keeper
    this.#writeCursors()
    if (this.#unsyncedSinceMs !== undefined && (wanted !== undefined || this.#options.durability === 'batch')) this.#sync()
    if (wanted !== undefined) this.#keeper.serve(wanted)
  }

  #writeCursors(): void {
    if (this.#tail !== undefined && this.#roomIn(this.#tail.endOffset) <= 0) this.#seal(this.#tail)
    const cursors = this.#keeper.take()
    if (cursors === undefined) return
    if (this.#tail === undefined) {
      this.#tail = this.#createTail(this.#written + 1)
    } else {
      this.#tail.mark(this.#durable, cursors)
      this.#unsyncedSinceMs ??= performance.now()
    }
  }

  #hasCommand(): boolean {
    const { atomics, words } = this.#ring
    return atomics.load(words, WORD.syncWanted) !== 0 || atomics.load(words, WORD.closeWanted) !== 0
      || atomics.load(words, WORD.settleWanted) !== 0 || atomics.load(words, WORD.rollWanted) !== atomics.load(words, WORD.rollDone)
      || this.#keeper.dueMs <= performance.now()
  }

  /** Does what was asked for, and what is due. */
  #obey(nowMs: number): void {
    const { atomics, words } = this.#ring
    if (atomics.exchange(words, WORD.syncWanted, 0) !== 0) {
      // The flag before the target: who raises the target after this was read sets the flag again.
      if (!sequenceReached(this.#written, atomics.load(words, WORD.syncTarget))) atomics.store(words, WORD.syncWanted, 1)
      if (this.#written > this.#durable) this.#sync()
    }
    const rollWanted = atomics.load(words, WORD.rollWanted)
    if (rollWanted !== atomics.load(words, WORD.rollDone)) this.#roll(rollWanted)
    this.#persistCursors(nowMs)
    if (atomics.load(words, WORD.closeWanted) !== 0 && sequenceReached(this.#point.sequence, readHead(this.#ring).low)) return this.#close()
    if (this.#tail !== undefined && this.#nextDueMs() <= nowMs) this.#doWhatIsDue(nowMs)
    if (nowMs - this.#lastSweepMs >= MAX_SLEEP_MS) {
      this.#lastSweepMs = nowMs
      this.#dead.sweep(this.#point)
    }
  }

  /** Seals the tail once everything that was claimed before the request is in it. */
  #roll(ticket: number): void {
    const { atomics, words } = this.#ring
    this.#rollHead ??= readHead(this.#ring).low
    if (!sequenceReached(this.#point.sequence, this.#rollHead)) return
    if (this.#hasEntries()) this.#seal(this.#tail!)
    this.#rollHead = undefined
    atomics.store(words, WORD.rollDone, ticket)
    signal(atomics, words, WORD.durableEvent)
  }

  #hasEntries(): boolean {
    return this.#tail !== undefined && this.#tail.lastSequence >= this.#tail.firstSequence
  }

  #close(): void {
    this.#writeCursors()
    if (this.#written > this.#durable) this.#sync()
    if (this.#tail !== undefined) this.#seal(this.#tail)
    this.#ended = true
    markClosed(this.#ring)
  }

  /** When something has to be done for which nobody will wake the writer. */
  #nextDueMs(): number {
    const { durability, maxSegmentAgeMs } = this.#options
    const tail = this.#tail
    const cursorsMs = this.#keeper.dueMs
    if (tail === undefined) return cursorsMs
    let dueMs = Math.min(cursorsMs, this.#hasEntries() ? this.#tailBornMs + maxSegmentAgeMs : Infinity)
    if (typeof durability === 'object' && this.#unsyncedSinceMs !== undefined) dueMs = Math.min(dueMs, this.#unsyncedSinceMs + durability.intervalMs)
    if (this.#isUnsettled(tail)) dueMs = Math.min(dueMs, this.#lastActivityMs + SETTLE_AFTER_MS)
    return dueMs
  }

  /** All is durable, but the file does not say so yet: after a crash its last batch would be in doubt. */
  #isUnsettled(tail: Tail): boolean {
    return this.#written === this.#durable && tail.durableMark < this.#durable
  }

  #doWhatIsDue(nowMs: number): void {
    const tail = this.#tail!
    const { durability, maxSegmentAgeMs } = this.#options
    if (this.#hasEntries() && nowMs >= this.#tailBornMs + maxSegmentAgeMs) return this.#seal(tail)
    if (typeof durability === 'object' && this.#unsyncedSinceMs !== undefined && nowMs >= this.#unsyncedSinceMs + durability.intervalMs) this.#sync()
    if (this.#isUnsettled(tail) && nowMs >= this.#lastActivityMs + SETTLE_AFTER_MS) this.#settle(tail)
  }

  #settle(tail: Tail): void {
    tail.mark(this.#durable, undefined)
    this.#sync()
  }

  /** Nothing to drain: spin briefly, then sleep until woken or until something is due. */
  #rest(): void {
    const { sequence } = this.#point
    for (let spin = 0; spin < SPINS; spin++) if (isPublished(this.#ring, sequence)) return
    this.#settleIfWanted()
    this.#tail?.allocateAhead()
    const isOwed = this.#dead.owesHead(this.#point)
    const timeoutMs = Math.min(isOwed ? OWED_SLEEP_MS : MAX_SLEEP_MS, Math.max(0, this.#nextDueMs() - performance.now()))
    this.#ring.counters[COUNTER.sleeps]!++
    // Behind an owed head a command may have to wait for it: that must not turn into spinning.
    sleepForSequence(this.#ring, sequence, timeoutMs, () => !isOwed && this.#hasCommand())
  }

  /** At a process's end the closing mark is not left to an idle moment that will not come. */
  #settleIfWanted(): void {
    const { atomics, words } = this.#ring
    if (atomics.load(words, WORD.settleWanted) === 0 || this.#written !== this.#durable) return
    if (this.#tail !== undefined && this.#isUnsettled(this.#tail)) this.#settle(this.#tail)
    atomics.store(words, WORD.settleWanted, 0)
    signal(atomics, words, WORD.durableEvent)
  }

  #count(batch: DrainedBatch): void {
    const { counters } = this.#ring
    counters[COUNTER.batches]!++
    counters[COUNTER.entries]! += batch.entryCount
    counters[COUNTER.bytes]! += batch.bytes
    counters[COUNTER.largestBatchBytes] = Math.max(counters[COUNTER.largestBatchBytes]!, batch.bytes)
    for (const extent of batch.extents) {
      if (extent.source === 'aborted') counters[COUNTER.aborted]! += extent.lastSequence - extent.firstSequence + 1
    }
  }
}
