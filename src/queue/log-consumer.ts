/** A consumer on the thread that opened the log. */

import { EventEmitter } from 'node:events'
import { WalError, wrongType } from '../errors.js'
import type { LogCursor } from '../log/cursor.js'
import type { LogEntry } from '../log/entry.js'
import type { Log } from '../log/log.js'
import type { WaitOptions } from '../log/producer.js'
import type { Consumer, ConsumerHandle, ConsumerProgress } from './consumer.js'
import { checkPlace, resolveRun, resolveRunBatches, type DeliveryContext, type ResolvedDelivery, type RunBatchesOptions, type RunOptions } from './consumer-options.js'
import type { DeadLetters } from './dead-letters.js'
import { Delivery, type Parcel } from './delivery.js'
import { EntrySource, type LostEntries } from './entry-source.js'
import { bytesBehind } from './lag.js'
import { cutParcels, singleParcels } from './parcels.js'

/** The longest time of a timer. */
const HOLD_MS = 2 ** 31 - 1

/** What a consumer needs of its log. */
export interface ConsumerPort {
  readonly log: Log
  readonly deadLetters: DeadLetters
  /** Whether damage is passed over. */
  readonly salvages: boolean
  /** Throws when the log is closed, or closes. */
  readonly assertOpen: () => void
  /** The sequence that comes next at a place. */
  readonly placeOf: (place: { readonly sequence: number } | { readonly timestamp: number }) => number
}

/** One reading from one place; a seek begins another. */
interface Turn {
  readonly cursor: LogCursor
  readonly source: EntrySource
  delivery: Delivery | undefined
  wasSought: boolean
}

type Parcels = (source: EntrySource) => AsyncGenerator<Parcel, void, undefined>
type Handle = (entries: readonly LogEntry[], context: DeliveryContext) => unknown

/** See {@link Consumer}. */
export class LogConsumer implements Consumer {
  readonly name: string
  readonly #port: ConsumerPort
  readonly #cursor: LogCursor
  readonly #events = new EventEmitter()
  #turn: Turn | undefined
  #isBusy = false
  /** Resolves when a run has ended. An iteration ends when its user looks again, which nobody may wait for. */
  #ended: Promise<void> = Promise.resolve()
  #isStopping = false
  /** By hand: the last entry handed out, and how far there is none behind it. */
  #handedOut = 0
  #passed = 0
  #deadLettered = 0
  #lost = 0
  /** How far it was when it was deleted: its place may be another's since. */
  #committedAtEnd: number | undefined

  constructor(port: ConsumerPort, cursor: LogCursor) {
    this.name = cursor.name
    this.#port = port
    this.#cursor = cursor
  }

  commit(sequence: number): boolean {
    // What was handed out before a seek is of the epoch before, whose commits are void, until something has been handed out since.
    const cursor = this.#turn?.wasSought === true ? this.#turn.cursor : this.#cursor
    // Sequences without an entry behind the last one go with it.
    return cursor.commit(sequence === this.#handedOut ? Math.max(sequence, this.#passed) : sequence)
  }

  committed(sequence: number, options?: WaitOptions): Promise<void> {
    return this.#cursor.untilDurable(sequence, options)
  }

  async run(handler: (entry: LogEntry, context: DeliveryContext) => unknown, options?: RunOptions): Promise<void> {
    if (typeof handler !== 'function') throw wrongType('handler', 'a function', handler)
    const resolved = resolveRun(options)
    await this.#deliver((entries, context) => handler(entries[0]!, context), singleParcels, resolved, resolved.concurrency)
  }

  async runBatches(handler: (entries: readonly LogEntry[], context: DeliveryContext) => unknown, options?: RunBatchesOptions): Promise<void> {
    if (typeof handler !== 'function') throw wrongType('handler', 'a function', handler)
    const resolved = resolveRunBatches(options)
    await this.#deliver(handler, (source) => cutParcels(source, resolved), resolved, 1)
  }

  async #deliver(handle: Handle, parcels: Parcels, options: ResolvedDelivery, concurrency: number): Promise<void> {
    const { signal } = options
    const onAbort = (): void => void this.stop()
    await this.#exclusively(async () => {
      if (signal?.aborted === true) return
      signal?.addEventListener('abort', onAbort)
      try {
        while (!this.#isStopping && await this.#deliverTurn(handle, parcels, options, concurrency));
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    })
  }

  /** Delivers from the cursor on; true when a seek ended it. */
  async #deliverTurn(handle: Handle, parcels: Parcels, options: ResolvedDelivery, concurrency: number): Promise<boolean> {
    const turn = this.#beginTurn((sequence) => delivery.pass(sequence))
    const { cursor, source } = turn
    const { deadLetter, stopTimeoutMs } = options
    const delivery = new Delivery(cursor.committed, concurrency, options, {
      handle,
      finished: (sequence) => void cursor.commit(sequence),
      failed: () => void source.close(),
      bury: deadLetter === undefined ? undefined : async (parcel, error, attempts) => {
        await this.#port.deadLetters.bury(deadLetter, this.name, parcel, error, attempts)
        this.#deadLettered += parcel.entries.length
      },
    })
    turn.delivery = delivery
    try {
      for await (const parcel of parcels(source)) {
        if (!delivery.isOpen) await delivery.untilOpen()
        if (this.#isStopping || turn.wasSought) break
        cursor.noteDelivered(parcel.lastSequence)
        delivery.start(parcel)
      }
    } finally {
      await source.close()
      await delivery.end(stopTimeoutMs)
    }
    return turn.wasSought
  }

  async* [Symbol.asyncIterator](): AsyncGenerator<LogEntry, void, undefined> {
    this.#begin()
    try {
      while (!this.#isStopping) {
        const turn = this.#beginTurn((sequence) => {
          this.#passed = sequence
          if (turn.cursor.committed >= this.#handedOut) turn.cursor.commit(sequence)
        })
        for await (const { entries: [entry], lastSequence } of singleParcels(turn.source)) {
          if (turn.wasSought || this.#isStopping) break
          turn.cursor.noteDelivered(lastSequence)
          this.#handedOut = lastSequence
          yield entry!
        }
        await turn.source.close()
        if (!turn.wasSought) return
      }
    } finally {
      await this.#turn?.source.close()
      this.#finish()
    }
  }

  #beginTurn(caughtUp: (sequence: number) => void): Turn {
    // Held in this epoch: what is done after a seek commits nothing.
    const cursor = this.#cursor.inThisEpoch()
    this.#handedOut = this.#passed = cursor.committed
    const source = new EntrySource(this.#port.log, cursor.committed + 1, this.#port.salvages, {
      lost: (lost) => {
        this.#lost += lost.lastSequence - lost.firstSequence + 1
        this.#events.emit('lost', lost)
      },
      caughtUp: (sequence) => {
        cursor.noteDelivered(sequence)
        caughtUp(sequence)
      },
    })
    const turn: Turn = { cursor, source, delivery: undefined, wasSought: false }
    this.#turn = turn
    return turn
  }

  async #exclusively(work: () => Promise<void>): Promise<void> {
    this.#begin()
    let end!: () => void
    this.#ended = new Promise<void>((resolve) => (end = resolve))
    // What a handler waits for may not hold the process.
    const hold = setInterval(() => undefined, HOLD_MS)
    try {
      await work()
    } finally {
      clearInterval(hold)
      this.#finish()
      end()
    }
  }

  #begin(): void {
    if (this.#isBusy) throw new WalError('ERR_WAL_BUSY', `the consumer ${JSON.stringify(this.name)} runs already`)
    this.#port.assertOpen()
    if (!this.#cursor.isCurrent) throw new WalError('ERR_WAL_CURSOR', `the consumer ${JSON.stringify(this.name)} has been deleted`)
    this.#isBusy = true
    this.#isStopping = false
  }

  #finish(): void {
    this.#turn = undefined
    this.#isBusy = false
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    void this.#turn?.source.close()
    this.#turn?.delivery?.interrupt()
    await this.#ended
  }

  /** Right before it is deleted: how far it is now is what it tells from then on. */
  retire(): void {
    this.#committedAtEnd ??= this.#cursor.committed
  }

  seek(place: { readonly sequence: number } | { readonly timestamp: number | Date }): void {
    this.#cursor.seek(this.#port.placeOf(checkPlace('place', place)) - 1)
    if (this.#turn === undefined) return
    this.#turn.wasSought = true
    void this.#turn.source.close()
    this.#turn.delivery?.abandon()
  }

  get progress(): ConsumerProgress {
    const { log } = this.#port
    const head = log.lastSequence
    const committed = this.#committedAtEnd ?? this.#cursor.committed
    const delivery = this.#turn?.delivery
    const oldest = delivery?.oldest?.entries[0]
    return {
      head, committed, lag: Math.max(0, head - committed), lagBytes: bytesBehind(log.segments(), committed),
      oldestUncommittedAgeMs: oldest === undefined ? undefined : Math.max(0, Date.now() - oldest.timestamp),
      inFlight: delivery?.running ?? 0, retrying: delivery?.retrying ?? 0, deadLettered: this.#deadLettered, lost: this.#lost,
    }
  }

  handle(): ConsumerHandle {
    return { log: this.#port.log.handle(), name: this.name, hold: this.#cursor.hold }
  }

  on(event: 'lost', listener: (lost: LostEntries) => void): this {
    this.#events.on(event, listener)
    return this
  }

  off(event: 'lost', listener: (lost: LostEntries) => void): this {
    this.#events.off(event, listener)
    return this
  }
}
