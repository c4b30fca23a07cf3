/** What appending to a log looks like from one thread. */

import type { RingHandle } from '../ring/ring.js'
import type { Destination, DestinationOptions } from './destination.js'
import type { EntryData } from './staging.js'

/** What `append` does when the ring is full. */
export type WhenFull = 'throw' | 'drop' | 'block'

/** What a producer needs to know of its log, as plain data. */
export interface ProducerSettings {
  readonly id: string
  readonly maxEntryBytes: number
  readonly whenFull: WhenFull
  readonly blockTimeoutMs: number
  /** Whether the writer is told that somebody waits for durability. (That somebody flushes it always is.) */
  readonly syncsOnWait: boolean
}

/** What crosses to another thread. Opaque to users. */
export interface LogHandle {
  readonly ring: RingHandle
  readonly settings: ProducerSettings
}

/** Ends the waiting of a call early; never the entry. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
}

/** Bounds a blocking call. */
export interface FlushSyncOptions {
  /** Milliseconds, 0 to Infinity. Default 10,000. */
  readonly timeoutMs?: number
}

/** How `flushSync` ended: all durable, time over (the entries are still on their way), or the log has failed. */
export type FlushOutcome = 'durable' | 'timeout' | 'failed'

/** A durable entry's place. */
export interface Receipt {
  readonly sequence: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
}

/** Appending to a log, on any thread. */
export interface Producer {
  /**
   * Takes one entry, text or bytes, and returns its sequence at once. The bytes are copied; the caller's are its own again.
   * Accepted, not yet durable: see {@link durable}. Never blocks unless `whenFull` is `'block'`.
   *
   * When the ring is full: throws `ERR_WAL_FULL`, returns 0 (`'drop'`, counted in `stats().dropped`), or blocks the thread for
   * at most `blockTimeoutMs`. Throws `TypeError` or `RangeError` on what is not an entry or larger than `maxEntryBytes`,
   * `ERR_WAL_CLOSED` after `close()`, `ERR_WAL_FAILED` with the cause once the log has failed.
   */
  append(data: EntryData): number
  /**
   * Takes several entries as one group and returns the first one's sequence; the others follow it. After a crash all of them
   * are there, or none. At most half of `ringSlots` entries, and `maxEntryBytes` (or a quarter of the ring, if that is more)
   * in all. Otherwise as {@link append}.
   */
  appendGroup(entries: readonly EntryData[]): number
  /**
   * Takes one entry, waiting for room in the ring if need be, and resolves when it is durable: it survives power loss from
   * then on. The bytes are copied before the call returns. Later appends of this producer do not overtake it.
   * Rejects with `ERR_WAL_FAILED` when the log fails; whether the entry survived is then unknown until the log is opened again.
   */
  write(data: EntryData, options?: WaitOptions): Promise<Receipt>
  /**
   * Resolves when the entry with that sequence, and every one before it, is durable: synced to the disk. Keeps the process
   * alive while it waits. Rejects with `ERR_WAL_FAILED` and the cause when the log fails, with `RangeError` on a sequence that
   * was never given out, with the signal's reason when aborted.
   */
  durable(sequence: number, options?: WaitOptions): Promise<void>
  /** Resolves when the ring has room for an entry of `bytes`: back-pressure without a sync. Another thread may take that room first. */
  ready(bytes: number, options?: WaitOptions): Promise<void>
  /** Resolves when everything accepted so far, on any thread, is durable. Rejects like {@link durable}. */
  flush(options?: WaitOptions): Promise<void>
  /** Blocks the thread until everything handed over so far is durable, also what this producer's `write`s have in line for room. */
  flushSync(options?: FlushSyncOptions): FlushOutcome
  /** A destination for pino, or any stream of lines. See {@link Destination}. */
  destination(options?: DestinationOptions): Destination
  /** Lets go of the log on this thread, when what waits for room has been accepted. What was appended stays. Twice is fine. */
  close(): Promise<void>
  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}
