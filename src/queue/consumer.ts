/** What a consumer looks like to its user. */

import type { LogEntry } from '../log/entry.js'
import type { CursorHold } from '../ring/cursors.js'
import type { LogHandle, WaitOptions } from '../log/producer.js'
import type { DeliveryContext, RunBatchesOptions, RunOptions } from './consumer-options.js'
import type { LostEntries } from './entry-source.js'

/** How far a consumer is. */
export interface ConsumerProgress {
  /** The last sequence of the log, and the last one that the consumer has committed. */
  readonly head: number
  readonly committed: number
  /** Sequences in between; and about how many bytes they take: of the segment in which the consumer stands, as many of its bytes as of its sequences. */
  readonly lag: number
  readonly lagBytes: number
  /** How long the oldest entry that was started and is not committed has been in the log; undefined when none is. */
  readonly oldestUncommittedAgeMs: number | undefined
  /** Entries (or batches) in a handler or on their way to the dead letters, and those that wait to be tried again. */
  readonly inFlight: number
  readonly retrying: number
  /** Since the log was opened: entries that went to the dead letters, and that were lost to damage or to retention. */
  readonly deadLettered: number
  readonly lost: number
}

/** Committing for a consumer, on any thread. */
export interface Committer {
  readonly name: string
  /**
   * Says that all entries up to `sequence` are done with: they are not delivered again, also after a crash, once this is durable. Never blocks;
   * durable with the log's next sync, many commits together. False when that had been said already, or the consumer was sought since.
   * Throws `RangeError` beyond what was delivered.
   */
  commit(sequence: number): boolean
  /**
   * Resolves when a commit up to `sequence` is on disk. Rejects with `ERR_WAL_CURSOR` when the consumer is sought or deleted meanwhile, with
   * `ERR_WAL_FAILED` or `ERR_WAL_CLOSED` when the log ends before, with the signal's reason when aborted.
   */
  committed(sequence: number, options?: WaitOptions): Promise<void>
}

/** What crosses to another thread. Opaque to users. */
export interface ConsumerHandle {
  readonly log: LogHandle
  readonly name: string
  readonly hold: CursorHold
}

/**
 * A named reader of the log that remembers how far it is. Entries are delivered at least once, in order; after a crash from the first on that
 * is not durably committed. One `run`, `runBatches` or iteration at a time.
 */
export interface Consumer extends Committer, AsyncIterable<LogEntry> {
  /**
   * Calls `handler` for each entry, those to come included, until {@link stop}, the signal, or the log's close; then resolves. An entry is
   * committed when its handler has returned or resolved, and all before it are done. One that throws or rejects is tried again, later, without
   * holding up others: of which at most 1,024 are started and not finished (or `concurrency`, if that is more), and at most 65,536 entries in
   * batches, or 32 MiB, wait to be tried again; then nothing new is started. Holds the process while it runs.
   *
   * Rejects with `ERR_WAL_HANDLER` when an entry failed for good and there is no dead-letter log; with `ERR_WAL_CORRUPT` and the sequences
   * at damage, unless the log was opened with `onCorrupt: 'salvage'`; with `ERR_WAL_BUSY` when the consumer runs already; with what made
   * the log, or the dead-letter log, fail.
   */
  run(handler: (entry: LogEntry, context: DeliveryContext) => unknown, options?: RunOptions): Promise<void>
  /** {@link run}, with many entries at a time, one batch after the other. A batch fails as a whole. */
  runBatches(handler: (entries: readonly LogEntry[], context: DeliveryContext) => unknown, options?: RunBatchesOptions): Promise<void>
  /**
   * Stops a run; resolves when it has ended: what is in flight gets `stopTimeoutMs` to finish, and is committed if it does; whatever it does
   * later counts no more. Not to be awaited in a handler, which would wait for itself.
   */
  stop(): Promise<void>
  /** Goes on from another place, forwards or backwards; durable with the next commit. What is in flight is not committed. */
  seek(place: { readonly sequence: number } | { readonly timestamp: number | Date }): void
  readonly progress: ConsumerProgress
  /** For `attachConsumer` on another thread. A later seek makes it void. */
  handle(): ConsumerHandle
  /** `lost`: entries that will not be delivered, since retention or damage took them. */
  on(event: 'lost', listener: (lost: LostEntries) => void): this
  off(event: 'lost', listener: (lost: LostEntries) => void): this
}
