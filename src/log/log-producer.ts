/** The producer: the part of a log that is the same on the thread that opened it and on every other. */

import { performance } from 'node:perf_hooks'
import { isThreadDead, ownIdentity } from '../disk/thread-identity.js'
import { outOfRange, WalError } from '../errors.js'
import { FRAME_OVERHEAD } from '../format/frame-layout.js'
import { absoluteTicks, msFromTicks } from '../format/ticks.js'
import { abortSignal } from '../option-values.js'
import { appendStretch, type Stretch } from '../ring/append.js'
import { CLAIM_FULL, CLAIM_REFUSED, CLAIMED, lastClaimed, lastDurable, type Claim } from '../ring/claim.js'
import { threadClock, type Clock } from '../ring/clock.js'
import { wantSync } from '../ring/commands.js'
import { countDropped } from '../ring/dropped.js'
import { endError } from '../ring/life.js'
import { attachRecord, freeRecord, type ProducerRecord } from '../ring/records.js'
import { hasNoSpace, hasRoom } from '../ring/room.js'
import { openRing, recordScratch, type Ring } from '../ring/ring.js'
import { SPACE, WORD } from '../ring/ring-layout.js'
import { wakeWriter } from '../ring/wake.js'
import { createDestination, type Destination, type DestinationOptions } from './destination.js'
import { Staging, type EntryData } from './staging.js'
import { failIfWriterDied, waitForRoom, waitUntilDurable } from './blocking-wait.js'
import { Waiters } from './waiters.js'
import type { FlushOutcome, FlushSyncOptions, LogHandle, Producer, ProducerSettings, Receipt, WaitOptions } from './producer.js'

const DEFAULT_FLUSH_TIMEOUT_MS = 10_000
/** How long each append after the time of the exit hook may still take. */
const MIN_EXIT_WAIT_MS = 50
/** While the ring stays full, how often to look whether the writer still lives. */
const WRITER_LOOK_MS = 100

/** A producer on the calling thread. */
export class LogProducer implements Producer {
  readonly ring: Ring
  readonly waiters: Waiters
  readonly #settings: ProducerSettings
  readonly #record: ProducerRecord
  readonly #clock: Clock
  readonly #staging: Staging
  readonly #claim: Claim = { sequence: 0, start: 0, ticks: 0, backlog: 0 }
  readonly #tickBase: number
  readonly #onClose: () => void
  #isClosed = false
  #isExiting = false
  #exitEndMs = 0
  #closing: Promise<void> | undefined
  #lastLookMs = 0

  /** `onClose` is told at once when it closes. */
  constructor(handle: LogHandle, onClose: () => void) {
    this.ring = openRing(handle.ring)
    this.#settings = handle.settings
    this.#onClose = onClose
    this.#tickBase = this.ring.atomics.load(this.ring.words, WORD.tickBase)
    this.#record = attachRecord(this.ring, ownIdentity(), isThreadDead)
    this.#staging = new Staging(this.ring, {
      maxEntryBytes: handle.settings.maxEntryBytes,
      maxStretchBytes: Math.max(this.ring.maxStretchBytes, this.ring.arena.length),
      maxGroupEntries: (this.ring.slotMask + 1) / 2,
      tickBase: this.#tickBase,
    }, recordScratch(this.ring, this.#record.index))
    this.#clock = threadClock(this.ring)
    this.waiters = new Waiters(this.ring, (stretch, claim) => this.#tryAppend(stretch, claim), () => this.#refusal())
  }

  append(data: EntryData): number {
    this.#assertNotClosed()
    return this.#accept(this.#staging.stage(data))
  }

  appendGroup(entries: readonly EntryData[]): number {
    this.#assertNotClosed()
    return this.#accept(this.#staging.stageGroup(entries))
  }

  async write(data: EntryData, options?: WaitOptions): Promise<Receipt> {
    const signal = checkSignal(options)
    signal?.throwIfAborted()
    const receipt = await this.accept(data, signal)
    await this.#untilDurable(receipt.sequence, signal)
    return receipt
  }

  /** Takes one entry, waiting for room in the ring if need be; resolves when it is accepted. */
  async accept(data: EntryData, signal?: AbortSignal): Promise<Receipt> {
    this.#assertOpen()
    const staged = this.#staging.stage(data)
    const claim = this.#claim
    const isTaken = !this.waiters.hasQueue && this.#tryAppend(staged, claim) === CLAIMED
    const { sequence, ticks } = isTaken ? claim : await this.waiters.queueAppend(staged.snapshot(), signal)
    return { sequence, timestamp: msFromTicks(absoluteTicks(ticks, this.#tickBase)) }
  }

  /** Throws when the log has ended, or the disk has no room and nobody wants to wait for some. */
  assertRoom(): void {
    this.#assertOpen()
    if (hasNoSpace(this.ring) && this.#settings.whenFull !== 'block') throw this.#fullError('free some, or set retention.whenOver')
  }

  async durable(sequence: number, options?: WaitOptions): Promise<void> {
    const signal = checkSignal(options)
    if (!Number.isSafeInteger(sequence) || sequence < 0 || sequence > lastClaimed(this.ring)) {
      throw outOfRange('sequence', `an integer from 0 to ${lastClaimed(this.ring)}, the last sequence given out`, sequence)
    }
    signal?.throwIfAborted()
    await this.#untilDurable(sequence, signal)
  }

  async ready(bytes: number, options?: WaitOptions): Promise<void> {
    const signal = checkSignal(options)
    const { maxEntryBytes } = this.#settings
    if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > maxEntryBytes) {
      throw outOfRange('bytes', `an integer from 0 to ${maxEntryBytes} (maxEntryBytes)`, bytes)
    }
    signal?.throwIfAborted()
    this.#assertOpen()
    if (this.waiters.hasQueue || !hasRoom(this.ring, bytes + FRAME_OVERHEAD)) await this.waiters.queueRoom(bytes + FRAME_OVERHEAD, signal)
  }

  async flush(options?: WaitOptions): Promise<void> {
    const signal = checkSignal(options)
    signal?.throwIfAborted()
    await this.waiters.untilQueueEmpty(signal)
    const sequence = lastClaimed(this.ring)
    wantSync(this.ring, sequence)
    await this.waiters.untilDurable(sequence, signal)
  }

  flushSync(options: FlushSyncOptions = {}): FlushOutcome {
    const { timeoutMs = DEFAULT_FLUSH_TIMEOUT_MS } = options
    if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) throw outOfRange('timeoutMs', 'a number from 0 to Infinity', timeoutMs)
    const startMs = performance.now()
    if (!waitForRoom(this.ring, () => this.waiters.appendQueued(), timeoutMs)) return endError(this.ring) === undefined ? 'timeout' : 'failed'
    const sequence = lastClaimed(this.ring)
    wantSync(this.ring, sequence)
    return waitUntilDurable(this.ring, sequence, Math.max(0, timeoutMs - (performance.now() - startMs)))
  }

  destination(options?: DestinationOptions): Destination {
    return createDestination({
      tryLine: (line) => this.#tryLine(line),
      queueLine: (line) => this.waiters.queueAppend(this.#staging.stage(line).snapshot(), undefined),
      flush: () => this.flush(),
      flushSync: (bounds) => this.flushSync(bounds),
    }, options)
  }

  /** {@link append}, but a full ring is an answer, unless that blocks: a line that will wait in memory is not dropped, and not counted as such. */
  #tryLine(line: string | Uint8Array): boolean {
    if (this.#settings.whenFull === 'block' || this.#isExiting) return this.append(line) !== 0
    this.#assertNotClosed()
    return !this.waiters.hasQueue && this.#tryAppend(this.#staging.stage(line), this.#claim) === CLAIMED
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#onClose()
    await this.drainQueue()
    freeRecord(this.ring, this.#record.index, this.#record.thread)
  }

  /** Takes no more entries; resolves when those that wait for room have been accepted or refused: at once, if the disk has none. */
  async drainQueue(): Promise<void> {
    this.#isClosed = true
    // What becomes of each is told to whoever wrote it.
    await this.waiters.untilQueueEmpty(undefined).catch(() => undefined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** From now on every append is synced before it returns, all of them within `timeoutMs`: the process ends, and no later moment will come. */
  beginExit(timeoutMs: number): void {
    this.#isExiting = true
    this.#exitEndMs = performance.now() + timeoutMs
  }

  /** What is left of that time; a moment at least, so that a disk that was slow once is not given up. */
  get #exitLeftMs(): number {
    return Math.max(MIN_EXIT_WAIT_MS, this.#exitEndMs - performance.now())
  }

  #accept(stretch: Staging): number {
    const claim = this.#claim
    if (this.waiters.hasQueue || this.#tryAppend(stretch, claim) !== CLAIMED) {
      if (!this.#makeRoom(stretch, claim)) return 0
    }
    if (this.#isExiting) this.flushSync({ timeoutMs: this.#exitLeftMs })
    return claim.sequence
  }

  /** Tries once; throws when the log has ended. */
  #tryAppend(stretch: Stretch, claim: Claim): number {
    const isRefused = hasNoSpace(this.ring) && !this.#isExiting && endError(this.ring) === undefined
    const status = isRefused ? CLAIM_FULL : appendStretch(this.ring, this.#record, stretch, claim, this.#clock())
    if (status === CLAIMED) return status
    if (status === CLAIM_REFUSED) throw endError(this.ring) ?? new WalError('ERR_WAL_CLOSED', 'the log is closing')
    // A writer that lingers for more has enough; one that is dead will never make room. For room on the disk it looks by itself.
    if (!isRefused) wakeWriter(this.ring)
    const nowMs = performance.now()
    if (nowMs - this.#lastLookMs > WRITER_LOOK_MS) {
      this.#lastLookMs = nowMs
      failIfWriterDied(this.ring)
    }
    return status
  }

  /** The ring is full, or earlier writes of this producer wait for room: what `whenFull` says. True when it was appended after all. */
  #makeRoom(stretch: Staging, claim: Claim): boolean {
    const { whenFull, blockTimeoutMs } = this.#settings
    if (whenFull === 'drop' && !this.#isExiting) {
      countDropped(this.ring, stretch.count)
      return false
    }
    if (whenFull === 'throw' && !this.#isExiting) throw this.#fullError('await ready() or write(), or set whenFull')
    const tryAll = (): boolean => this.waiters.appendQueued() && this.#tryAppend(stretch, claim) === CLAIMED
    const timeoutMs = this.#isExiting ? Math.min(blockTimeoutMs, this.#exitLeftMs) : blockTimeoutMs
    if (!waitForRoom(this.ring, tryAll, timeoutMs)) throw this.#fullError(`not for ${Math.round(timeoutMs)} ms (blockTimeoutMs)`)
    return true
  }

  /** A log that closes does not wait for room on the disk: there may never be any. */
  #refusal(): WalError | undefined {
    return this.#isClosed && hasNoSpace(this.ring) && !this.#isExiting ? this.#fullError('the log is closing') : undefined
  }

  #fullError(advice: string): WalError {
    const { atomics, words } = this.ring
    const space = atomics.load(words, WORD.space)
    if (space === SPACE.diskFull) return new WalError('ERR_WAL_DISK_FULL', `the disk is full: ${advice}`)
    if (space === SPACE.overLimit) {
      return new WalError('ERR_WAL_DISK_FULL', `the log has reached retention.maxBytes, and a consumer has not committed the oldest entries: ${advice}`)
    }
    return new WalError('ERR_WAL_FULL', `the ring is full: ${advice}`)
  }

  async #untilDurable(sequence: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#settings.syncsOnWait && lastDurable(this.ring) < sequence) wantSync(this.ring, sequence)
    await this.waiters.untilDurable(sequence, signal)
  }

  /** Before anything is staged: what a closed producer staged with may be another thread's by now. */
  #assertNotClosed(): void {
    if (this.#isClosed) throw new WalError('ERR_WAL_CLOSED', 'the log is closed')
  }

  #assertOpen(): void {
    this.#assertNotClosed()
    const error = endError(this.ring)
    if (error !== undefined) throw error
  }
}

function checkSignal(options: WaitOptions | undefined): AbortSignal | undefined {
  return abortSignal('options.signal', options?.signal)
}
