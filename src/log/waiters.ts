/** Who waits on this thread without blocking it: for durability, for room, for something that the writer does, for the end. */

import type { Stretch } from '../ring/append.js'
import { CLAIMED, lastDurable, type Claim } from '../ring/claim.js'
import { endError } from '../ring/life.js'
import { hasRoom } from '../ring/room.js'
import type { Ring } from '../ring/ring.js'
import { WORD } from '../ring/ring-layout.js'
import { AsyncWaiter } from '../sync/async-waiter.js'
import { failIfWriterDied } from './blocking-wait.js'

/** A promise that somebody holds. `isDone` also after an abort. */
interface Pending<Value> {
  isDone: boolean
  readonly resolve: (value: Value) => void
  readonly reject: (error: unknown) => void
}

interface DurableWaiter extends Pending<void> {
  readonly sequence: number
}

/** In line for room: an entry that was handed over, or somebody who only asks. */
type QueueItem =
  | { readonly kind: 'append'; readonly stretch: Stretch; readonly pending: Pending<{ sequence: number; ticks: number }> }
  | { readonly kind: 'room'; readonly bytes: number; readonly pending: Pending<void> }

/** The waiters of one producer. */
export class Waiters {
  readonly #ring: Ring
  readonly #tryAppend: (stretch: Stretch, claim: Claim) => number
  readonly #refusal: () => Error | undefined
  readonly #durableEvent: AsyncWaiter
  readonly #roomEvent: AsyncWaiter
  /** By ascending sequence. */
  #durable: DurableWaiter[] = []
  #queue: QueueItem[] = []
  #others: { readonly isReached: () => boolean; readonly pending: Pending<void> }[] = []
  /** Aborted waits since they were last cleared away. */
  #aborted = 0
  readonly #claim: Claim = { sequence: 0, start: 0, ticks: 0, backlog: 0 }

  /** `refusal`: why nobody may wait for room any more, if so. */
  constructor(ring: Ring, tryAppend: (stretch: Stretch, claim: Claim) => number, refusal: () => Error | undefined) {
    this.#ring = ring
    this.#tryAppend = tryAppend
    this.#refusal = refusal
    const onTick = (): void => failIfWriterDied(ring)
    this.#durableEvent = new AsyncWaiter(ring.atomics, ring.words, WORD.durableEvent, () => this.#serveDurable(), onTick)
    this.#roomEvent = new AsyncWaiter(ring.atomics, ring.words, WORD.roomEvent, () => this.#serveRoom(), onTick)
  }

  /** Whether entries of this producer are in line for room: later ones must not overtake them. */
  get hasQueue(): boolean {
    return this.#queue.length > 0
  }

  /** Resolves when `sequence` is durable. */
  async untilDurable(sequence: number, signal: AbortSignal | undefined): Promise<void> {
    if (lastDurable(this.#ring) >= sequence) return
    await this.#wait<void>(signal, this.#durableEvent, (pending) => {
      const waiter = Object.assign(pending, { sequence })
      let at = this.#durable.length
      while (at > 0 && this.#durable[at - 1]!.sequence > sequence) at--
      this.#durable.splice(at, 0, waiter)
    })
  }

  /** Resolves when `isReached`, which only what signals the durable event may change. Rejects when the log ends before. */
  async until(isReached: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    await this.#wait<void>(signal, this.#durableEvent, (pending) => this.#others.push({ isReached, pending }))
  }

  /** Resolves when the log has ended, well or not. */
  async untilEnded(): Promise<void> {
    await this.until(() => endError(this.#ring) !== undefined, undefined)
  }

  /** Puts an entry in line; resolves when it is accepted. An abort ends the waiting; the entry stays in line. */
  async queueAppend(stretch: Stretch, signal: AbortSignal | undefined): Promise<{ sequence: number; ticks: number }> {
    return await this.#wait<{ sequence: number; ticks: number }>(signal, this.#roomEvent, (pending) => this.#queue.push({ kind: 'append', stretch, pending }))
  }

  /** Resolves when the line before is served and there is room for `bytes`. */
  async queueRoom(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#wait<void>(signal, this.#roomEvent, (pending) => this.#queue.push({ kind: 'room', bytes, pending }))
  }

  /** Resolves when everything in line now has been accepted. */
  async untilQueueEmpty(signal: AbortSignal | undefined): Promise<void> {
    if (this.#queue.length > 0) await this.queueRoom(0, signal)
  }

  /** Serves the line as far as there is room, on behalf of a blocking append; whether it is empty. */
  appendQueued(): boolean {
    this.#serveRoom()
    return this.#queue.length === 0
  }

  async #wait<Value>(signal: AbortSignal | undefined, event: AsyncWaiter, register: (pending: Pending<Value>) => void): Promise<Value> {
    return await new Promise<Value>((resolve, reject) => {
      const pending: Pending<Value> = {
        isDone: false,
        resolve: (value) => finish(() => resolve(value)),
        reject: (error) => finish(() => reject(error)),
      }
      const onAbort = (): void => {
        pending.reject(signal!.reason)
        this.#noteAbort()
        event.update()
      }
      const finish = (settle: () => void): void => {
        if (pending.isDone) return
        pending.isDone = true
        signal?.removeEventListener('abort', onAbort)
        settle()
      }
      signal?.addEventListener('abort', onAbort)
      register(pending)
      if (signal?.aborted) onAbort()
      else event.update()
    })
  }

  /** Nothing else may come for long that would clear aborted waits away. They go when they are half of all, so that many at once cost little. */
  #noteAbort(): void {
    if (++this.#aborted * 2 < this.#durable.length + this.#queue.length) return
    this.#aborted = 0
    this.#durable = this.#durable.filter((waiter) => !waiter.isDone)
    // Entries stay in line.
    this.#queue = this.#queue.filter((item) => item.kind === 'append' || !item.pending.isDone)
  }

  #serveDurable(): boolean {
    // What is durable stays durable when the log has ended: the end is read first, the sequence after it.
    const error = endError(this.#ring)
    const durable = lastDurable(this.#ring)
    let served = 0
    while (served < this.#durable.length && (this.#durable[served]!.isDone || this.#durable[served]!.sequence <= durable)) {
      this.#durable[served]!.resolve()
      served++
    }
    if (served > 0) this.#durable = this.#durable.slice(served)
    if (error !== undefined) for (const waiter of this.#durable.splice(0)) waiter.reject(error)
    this.#others = this.#others.filter(({ isReached, pending }) => {
      if (isReached()) pending.resolve()
      else if (error !== undefined) pending.reject(error)
      return !pending.isDone
    })
    return this.#others.length > 0 || this.#durable.some((waiter) => !waiter.isDone)
  }

  #serveRoom(): boolean {
    try {
      let served = 0
      while (served < this.#queue.length && this.#serveItem(this.#queue[served]!)) served++
      if (served > 0) this.#queue = this.#queue.slice(served)
      const refusal = this.#queue.length > 0 ? this.#refusal() : undefined
      if (refusal !== undefined) throw refusal
    } catch (error) {
      for (const item of this.#queue.splice(0)) item.pending.reject(error)
    }
    return this.#queue.length > 0
  }

  /** Whether the item is done with. Throws when the log has ended. */
  #serveItem(item: QueueItem): boolean {
    if (item.kind === 'append') {
      if (this.#tryAppend(item.stretch, this.#claim) !== CLAIMED) return false
      item.pending.resolve({ sequence: this.#claim.sequence, ticks: this.#claim.ticks })
      return true
    }
    const error = endError(this.#ring)
    if (error !== undefined) throw error
    if (item.pending.isDone) return true
    if (item.bytes > 0 && !hasRoom(this.#ring, item.bytes)) return false
    item.pending.resolve()
    return true
  }
}

