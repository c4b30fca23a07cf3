/**
 * Delivering entries to a handler: several at a time, failed ones again later, and the cursor behind all that is finished.
 *
 * Only what is unfinished is kept, in order of sequence: the cursor stands before the first of it. An entry that waits to be tried
 * again takes no place of the running ones, but is bounded with all others like it, in number and in bytes, so that a handler that
 * always fails does not grow the heap: beyond that no new one is started.
 */

import { WalError } from '../errors.js'
import { LogEntry } from '../log/entry.js'
import type { DeliveryContext, ResolvedDelivery } from './consumer-options.js'

/** Entries (or batches) started and not finished, the waiting ones included. */
export const MAX_UNFINISHED = 1024
/** Entries, in batches or not, that wait to be tried again, and their bytes. What runs may come on top when it fails. */
export const MAX_WAITING_ENTRIES = 65_536
export const MAX_WAITING_BYTES = 32 * 2 ** 20

/** What is delivered at a time: an entry by itself, or a batch. */
export interface Parcel {
  readonly entries: readonly LogEntry[]
  readonly firstSequence: number
  readonly lastSequence: number
  /** Bytes of the entries. */
  readonly bytes: number
}

/** What a delivery needs. */
export interface DeliveryPort {
  /** Does the work. Throws or rejects when it failed. */
  readonly handle: (entries: readonly LogEntry[], context: DeliveryContext) => unknown
  /** All up to this sequence is finished. */
  readonly finished: (sequence: number) => void
  /** Told when nothing more will be started because something failed for good; {@link Delivery.end} throws it. */
  readonly failed: () => void
  /** Resolves when the parcel is durable among the dead letters; undefined where there are none. */
  readonly bury: ((parcel: Parcel, error: unknown, attempts: number) => Promise<void>) | undefined
}

/** One run of a handler over a stretch of the log. A seek begins a new one. */
export class Delivery {
  readonly #options: ResolvedDelivery
  readonly #concurrency: number
  readonly #port: DeliveryPort
  readonly #hurry = new AbortController()
  readonly #unfinished = new Map<number, Parcel>()
  readonly #timers = new Set<NodeJS.Timeout>()
  /** Ready to be tried again. */
  readonly #ready: { readonly parcel: Parcel; readonly attempt: number }[] = []
  #lastStarted: number
  #running = 0
  /** On their way to the dead letters. */
  #burying = 0
  #waitingEntries = 0
  #waitingBytes = 0
  #isServing = false
  #isEnded = false
  /** What still runs has had its time: nothing comes of it any more. */
  #isAbandoned = false
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined

  /** `lastSequence`: where the cursor stands. */
  constructor(lastSequence: number, concurrency: number, options: ResolvedDelivery, port: DeliveryPort) {
    this.#lastStarted = lastSequence
    this.#concurrency = concurrency
    this.#options = options
    this.#port = port
  }

  /** Parcels in a handler now, or on their way to the dead letters. */
  get running(): number {
    return this.#running + this.#burying
  }

  /** Parcels that wait to be tried again. */
  get retrying(): number {
    return this.#unfinished.size - this.running
  }

  /** The first parcel that is not finished. */
  get oldest(): Parcel | undefined {
    return this.#unfinished.values().next().value
  }

  get #hasPlace(): boolean {
    return this.#running < this.#concurrency && this.#unfinished.size < Math.max(MAX_UNFINISHED, this.#concurrency)
      && this.#waitingEntries < MAX_WAITING_ENTRIES && this.#waitingBytes < MAX_WAITING_BYTES
  }

  /** Whether a parcel can be started without waiting. */
  get isOpen(): boolean {
    return this.#hasPlace && this.#ready.length === 0 && !this.#isEnded
  }

  /** Resolves when {@link isOpen}, or the delivery has ended. Throws what made it fail. */
  async untilOpen(): Promise<void> {
    while (!this.isOpen && !this.#isEnded) await new Promise<void>((resolve) => (this.#wake = resolve))
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Starts a parcel. Its sequences are above those of all before. */
  start(parcel: Parcel): void {
    this.#unfinished.set(parcel.firstSequence, parcel)
    this.#lastStarted = parcel.lastSequence
    this.#attempt(parcel, 1)
  }

  /** Sequences up to this one hold no entry that was not started. */
  pass(sequence: number): void {
    if (sequence <= this.#lastStarted) return
    this.#lastStarted = sequence
    if (this.#unfinished.size === 0) this.#port.finished(sequence)
  }

  #attempt(parcel: Parcel, attempt: number): void {
    this.#running++
    let result: unknown
    let isPromise: boolean
    try {
      result = this.#port.handle(parcel.entries, { attempt, signal: this.#hurry.signal })
      isPromise = typeof (result as PromiseLike<unknown> | undefined)?.then === 'function'
    } catch (error) {
      return this.#failed(parcel, attempt, error)
    }
    if (isPromise) void this.#settle(parcel, attempt, result)
    else this.#done(parcel)
  }

  /** Whatever has a `then` may throw there, or call back more than once: `await` sees to it. */
  async #settle(parcel: Parcel, attempt: number, result: unknown): Promise<void> {
    try {
      await result
    } catch (error) {
      return this.#failed(parcel, attempt, error)
    }
    this.#done(parcel)
  }

  #done(parcel: Parcel): void {
    if (this.#isAbandoned) return
    this.#running--
    this.#finish(parcel)
    this.#next()
  }

  #finish(parcel: Parcel): void {
    const isFirst = this.oldest === parcel
    this.#unfinished.delete(parcel.firstSequence)
    if (isFirst) this.#port.finished((this.oldest?.firstSequence ?? this.#lastStarted + 1) - 1)
  }

  #failed(parcel: Parcel, attempt: number, error: unknown): void {
    if (this.#isAbandoned) return
    this.#running--
    try {
      const told = this.#options.onError?.(error, { entries: parcel.entries, attempt })
      // Nothing waits for it: who awaits stop() there would wait for itself.
      Promise.resolve(told).catch((cause: unknown) => this.#fail(cause))
    } catch (cause) {
      return this.#fail(cause)
    }
    if (attempt < this.#options.maxAttempts) this.#later(parcel, attempt)
    else void this.#giveUp(parcel, attempt, error)
    this.#next()
  }

  #later(parcel: Parcel, attempt: number): void {
    if (this.#isEnded) return
    // It may wait for long: with its own bytes, not with the whole block that it was read in.
    LogEntry.compact(parcel.entries)
    this.#waitingEntries += parcel.entries.length
    this.#waitingBytes += parcel.bytes
    const { initialDelayMs, maxDelayMs, factor, jitter } = this.#options
    const delayMs = Math.min(maxDelayMs, initialDelayMs * factor ** (attempt - 1)) * (jitter ? 0.5 + Math.random() / 2 : 1)
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#ready.push({ parcel, attempt: attempt + 1 })
      this.#next()
    }, delayMs)
    this.#timers.add(timer)
  }

  async #giveUp(parcel: Parcel, attempts: number, error: unknown): Promise<void> {
    const { firstSequence, lastSequence } = parcel
    if (this.#port.bury === undefined) {
      const what = firstSequence === lastSequence ? `entry ${firstSequence}` : `entries ${firstSequence} to ${lastSequence}`
      return this.#fail(new WalError('ERR_WAL_HANDLER', `${what} failed ${attempts} times, and there is no dead-letter log`, { firstSequence, lastSequence }, error))
    }
    this.#burying++
    try {
      await this.#port.bury(parcel, error, attempts)
      if (!this.#isAbandoned) this.#finish(parcel)
    } catch (cause) {
      this.#fail(cause)
    }
    this.#burying--
    this.#next()
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.interrupt()
    this.#port.failed()
  }

  /** A place is free, or something is ready: first what was ready before. */
  #next(): void {
    // A handler that returns at once comes by here before the loop is done.
    if (this.#isServing) return
    this.#isServing = true
    while (!this.#isEnded && this.#ready.length > 0 && this.#running < this.#concurrency) {
      const { parcel, attempt } = this.#ready.shift()!
      this.#waitingEntries -= parcel.entries.length
      this.#waitingBytes -= parcel.bytes
      this.#attempt(parcel, attempt)
    }
    this.#isServing = false
    this.#wake?.()
    this.#wake = undefined
  }

  /** Starts nothing more. What runs goes on; who waits in {@link untilOpen} is let go. */
  interrupt(): void {
    this.#isEnded = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    this.#wake?.()
    this.#wake = undefined
  }

  /** Starts nothing more; what runs is told by its signal, and what becomes of it counts no more. */
  abandon(): void {
    this.#isAbandoned = true
    this.interrupt()
    this.#hurry.abort()
  }

  /**
   * Starts nothing more; resolves when all that runs is done, or `timeoutMs` is over: then the signal of the handlers is aborted, and
   * what becomes of them counts no more, so that one which returns because it was aborted commits nothing. Throws what made the delivery fail.
   */
  async end(timeoutMs: number): Promise<void> {
    this.interrupt()
    const endMs = performance.now() + timeoutMs
    while (this.running > 0 && !this.#isAbandoned) {
      const leftMs = endMs - performance.now()
      if (leftMs <= 0) break
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        if (leftMs !== Infinity) timer = setTimeout(resolve, Math.min(leftMs, 2 ** 31 - 1))
      })
      clearTimeout(timer)
    }
    this.abandon()
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
