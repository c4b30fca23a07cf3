/** What a log that is open for writing looks like, on the thread that opened it. */

import type { RecoveryReport } from '../recovery/recover.js'
import type { LogCursors } from './cursor.js'
import type { LogEntry } from './entry.js'
import type { AppendFileOptions, FileReceipt, FileSource } from './file-upload.js'
import type { FlushOutcome, LogHandle, Producer } from './producer.js'
import type { ReadOptions } from './read-options.js'

/** One segment file. */
export interface SegmentInfo {
  /** Path of the file. */
  readonly file: string
  readonly firstSequence: number
  /** Last sequence; of the tail the last durable one. `firstSequence - 1`: none. */
  readonly lastSequence: number
  /** Milliseconds since 1970 of the first and last entry; undefined of the tail. */
  readonly firstTimestamp: number | undefined
  readonly lastTimestamp: number | undefined
  /** Entries; undefined of the tail. */
  readonly entries: number | undefined
  /** Size of the file, preallocated space included. */
  readonly bytes: number
  readonly sealed: boolean
}

/** Counters since the log was opened, and the state of the ring. */
export interface LogStats {
  /** Batches written, entries and frame bytes in them. */
  readonly batches: number
  readonly entries: number
  readonly bytes: number
  readonly largestBatchBytes: number
  /** Syncs of batches, their time in all and the longest one, in ms. */
  readonly syncs: number
  readonly syncMs: number
  readonly longestSyncMs: number
  /** Sequences that dead or failing producers left without an entry. */
  readonly aborted: number
  /** Entries dropped by `whenFull: 'drop'`, on all threads. */
  readonly dropped: number
  /** Segments sealed. */
  readonly rolls: number
  /** Times that the writer went to sleep. */
  readonly writerSleeps: number
  /** Accepted but not yet written, and written but not yet durable: entries. */
  readonly unwritten: number
  readonly unsynced: number
  /** Whether there is room on the disk: if not, appends are refused until there is. */
  readonly space: 'ok' | 'disk-full' | 'over-limit'
  /** How the exit hook ended; undefined before. */
  readonly exitOutcome: FlushOutcome | undefined
}

/** A log, as {@link openLog} opens it. */
export interface Log extends Producer {
  /** The last sequence given out (HEAD); 0 when there is none. Any thread's appends count. */
  readonly lastSequence: number
  /** The last sequence that survives power loss. */
  readonly durableSequence: number
  /** The log's directory. */
  readonly directory: string
  /** What opening found and did. */
  readonly recovery: RecoveryReport
  /** The consumers' cursors: what the queue is built on. */
  readonly cursors: LogCursors
  /** Entries in order, one at a time; never one that is not durable. Does not block; reads ahead one block of 256 KiB. */
  read(options?: ReadOptions): AsyncGenerator<LogEntry, void, undefined>
  /** {@link read}, many at a time: the fast way. */
  readBatches(options?: ReadOptions): AsyncGenerator<LogEntry[], void, undefined>
  /** The entry with that sequence, if it is durable; undefined when there is none, it was aborted, or has been removed. */
  get(sequence: number): Promise<LogEntry | undefined>
  /**
   * The sequence of the first durable entry that was appended at or after a time (milliseconds since 1970, or a Date); the next one of the log when
   * there is none. Blocks for a few small reads. Throws `ERR_WAL_IO` when they fail.
   */
  sequenceAt(timestamp: number | Date): number
  /** The segment files, in order. Blocks for a directory listing. Throws `ERR_WAL_IO` when it fails. */
  segments(): SegmentInfo[]
  /**
   * Uploads a file of any size into the log's directory, and appends one entry that tells of it: `entry.file`. Takes a path, a stream, or any iterable
   * of bytes and text; reads it with bounded memory, without blocking. Resolves when file and entry are durable: the entry exists only if
   * the file is complete. The file goes with its entry.
   *
   * Rejects with `TypeError` or `RangeError` on wrong arguments, before anything is made on disk; with what the source failed with; with
   * `ERR_WAL_IO` when the file cannot be read or written, `ERR_WAL_DISK_FULL` when there is no room, the signal's reason when aborted.
   */
  appendFile(source: FileSource, options?: AppendFileOptions): Promise<FileReceipt>
  /** Seals the tail; resolves when that is durable. The next entry begins a new segment. Without effect on an empty tail. */
  roll(): Promise<void>
  /**
   * Frees the segments that `retention` lets go, oldest first; resolves when it is done. The log does so by itself at every roll, with
   * every commit that frees one, and on an interval.
   */
  checkpoint(): Promise<void>
  stats(): LogStats
  /** What other threads need for `attachProducer`: opaque, and structured-cloneable as it is. */
  handle(): LogHandle
}
