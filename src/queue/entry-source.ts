/** The entries of a consumer, in order, from its cursor on: read a block ahead, and past what is lost. */

import { WalError } from '../errors.js'
import type { LogEntry } from '../log/entry.js'
import type { Log } from '../log/log.js'

/** Entries that a consumer will never get. */
export interface LostEntries {
  readonly firstSequence: number
  readonly lastSequence: number
  /** `ERR_WAL_TRIMMED`: pushed out by retention. `ERR_WAL_CORRUPT`: damaged, or given up by a salvage before. */
  readonly cause: WalError
}

/** What becomes of the entries beside being delivered. */
export interface SourceEvents {
  /** Told of what is passed over. */
  readonly lost: (lost: LostEntries) => void
  /** Everything up to this sequence has been handed out, or is no entry. */
  readonly caughtUp: (sequence: number) => void
}

/** A reading that follows the log. Its blocks of 256 KiB bound what is in memory. */
export class EntrySource {
  readonly #log: Log
  readonly #events: SourceEvents
  /** Damage is passed over, not thrown. */
  readonly #salvages: boolean
  readonly #end = new AbortController()
  #batches: AsyncGenerator<LogEntry[], void, undefined>
  #pending: Promise<LogEntry[] | undefined> | undefined
  /** How far there is no entry that was not handed out, and whether that may be told now. */
  #caughtUp = 0
  #isHolding = false

  /** Begins with the entry `fromSequence`. */
  constructor(log: Log, fromSequence: number, salvages: boolean, events: SourceEvents) {
    this.#log = log
    this.#salvages = salvages
    this.#events = events
    this.#batches = this.#read(fromSequence)
  }

  #read(fromSequence: number): AsyncGenerator<LogEntry[], void, undefined> {
    return this.#log.readBatches({
      // Somebody counts on all of them.
      fromSequence, strict: true, follow: true, signal: this.#end.signal,
      onCaughtUp: (sequence) => this.#noteCaughtUp(sequence),
      onGap: (firstSequence, lastSequence) => {
        const range = { firstSequence, lastSequence }
        this.#events.lost({ ...range, cause: new WalError('ERR_WAL_CORRUPT', `entries ${firstSequence} to ${lastSequence} were damaged, and given up by a salvage`, range) })
      },
    })
  }

  #noteCaughtUp(sequence: number): void {
    this.#caughtUp = sequence
    // Who still holds entries would commit them by this, before they are delivered.
    if (!this.#isHolding) this.#events.caughtUp(sequence)
  }

  /**
   * The next entries, at least one; undefined when the source or the log was closed. With a time limit, an empty array when it is over; it is for
   * who holds entries already: `caughtUp` is not told before the next call without one.
   */
  async next(timeoutMs = Infinity): Promise<readonly LogEntry[] | undefined> {
    const wasHolding = this.#isHolding
    this.#isHolding = timeoutMs !== Infinity
    if (wasHolding && !this.#isHolding) this.#events.caughtUp(this.#caughtUp)
    this.#pending ??= this.#pull()
    const pulled = timeoutMs === Infinity ? await this.#pending : await withinTime(this.#pending, timeoutMs)
    if (pulled === TIME_OVER) return []
    this.#pending = undefined
    return pulled
  }

  async #pull(): Promise<LogEntry[] | undefined> {
    for (;;) {
      try {
        const { value } = await this.#batches.next()
        return value ?? undefined
      } catch (error) {
        if (this.#end.signal.aborted) return undefined
        this.#passOver(error)
      }
    }
  }

  /** Goes on behind what cannot be read, if that may be; else throws. */
  #passOver(error: unknown): void {
    const { code, firstSequence, lastSequence } = error as WalError
    const isPassable = code === 'ERR_WAL_TRIMMED' || (code === 'ERR_WAL_CORRUPT' && this.#salvages)
    if (!isPassable || firstSequence === undefined || lastSequence === undefined) throw error
    this.#events.lost({ firstSequence, lastSequence, cause: error as WalError })
    this.#batches = this.#read(lastSequence + 1)
  }

  /** Ends the reading; what waits for entries gets none. Resolves when its file is closed, and its segment may be freed. Twice is fine. */
  async close(): Promise<void> {
    this.#end.abort()
    // What was being read when it ended is nobody's. A reading that is not waiting but between two blocks ends by this alone.
    await this.#pending?.catch(() => undefined)
    await this.#batches.return().catch(() => undefined)
  }
}

const TIME_OVER = Symbol('time over')

async function withinTime<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value | typeof TIME_OVER> {
  let timer: NodeJS.Timeout | undefined
  const timeOver = new Promise<typeof TIME_OVER>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, TIME_OVER)
  })
  return await Promise.race([promise, timeOver]).finally(() => clearTimeout(timer))
}
