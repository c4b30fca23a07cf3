/** Opening a log: the writer thread, and what the opening thread sees of it. */

import { randomUUID } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { nodeDisk } from '../disk/node-disk.js'
import { asIoError, fromErrorRecord, outOfRange, WalError } from '../errors.js'
import { msFromTicks } from '../format/ticks.js'
import { timestampMs } from '../option-values.js'
import type { RecoveryReport } from '../recovery/recover.js'
import { endClaims, lastClaimed, lastDurable, lastWritten } from '../ring/claim.js'
import { isServed, request, wantClose, wantSettle, type Ticketed } from '../ring/commands.js'
import { droppedCount } from '../ring/dropped.js'
import { endError, failLog } from '../ring/life.js'
import { setReadFloor } from '../ring/read-floor.js'
import { markDead } from '../ring/records.js'
import { allocateRing, type Ring } from '../ring/ring.js'
import { COUNTER, SPACE, WORD } from '../ring/ring-layout.js'
import { Catalog } from '../segment/catalog.js'
import type { WriterReply, WriterStart } from '../writer/run-writer.js'
import { failIfWriterDied, waitUntilServed, waitUntilSettled } from './blocking-wait.js'
import { LogCursors } from './cursor.js'
import type { LogEntry } from './entry.js'
import { guardExit, unguardExit } from './exit-hook.js'
import { settleUploads, uploadFile, type AppendFileOptions, type FileReceipt, type FileSource } from './file-upload.js'
import { resolveOptions, type LogOptions, type ResolvedOptions } from './options.js'
import type { Log, LogStats, SegmentInfo } from './log.js'
import { LogProducer } from './log-producer.js'
import type { FlushOutcome, LogHandle } from './producer.js'
import { oneByOne } from './read-log.js'
import { resolveReadOptions, type ReadOptions } from './read-options.js'
import type { Horizon } from './read-plan.js'
import { readEntryBatches } from './reader.js'
import { sequenceAt } from './sequence-at.js'

/** {@link SPACE} in words. */
const SPACE_NAMES: Readonly<Record<number, LogStats['space']>> = { [SPACE.ok]: 'ok', [SPACE.diskFull]: 'disk-full', [SPACE.overLimit]: 'over-limit' }
/** How long the exit hook may take, in ms. */
const EXIT_TIMEOUT_MS = 10_000

/**
 * Opens the log in a directory, making it if need be: starts the writer thread, takes the lock, recovers. Does not block.
 *
 * Throws `TypeError` or `RangeError` on wrong options, before anything is made on disk. Rejects with `ERR_WAL_LOCKED` when another
 * process (or this one) has it open, `ERR_WAL_CORRUPT` when acknowledged data is damaged, `ERR_WAL_IO` when the operating system
 * refuses. One process may have several logs open, each in its own directory.
 */
export async function openLog(options: LogOptions): Promise<Log> {
  const resolved = resolveOptions(options)
  const handle = allocateRing(resolved.ringBytes, resolved.ringSlots, resolved.maxEntryBytes)
  const start: WriterStart = { handle, options: writerOptions(resolved) }
  const worker = new Worker(resolved.workerUrl ?? new URL('../../workers/writer.js', import.meta.url), {
    workerData: start, name: 'ringwal-writer', execArgv: [], env: {}, stdin: false,
  })
  const reply = await firstReply(worker)
  if (reply.kind === 'refused') {
    await ended(worker)
    throw fromErrorRecord(reply.error)
  }
  worker.unref()
  const log = new OpenLog(resolved, worker, reply.recovery, {
    ring: handle,
    settings: {
      id: randomUUID(),
      maxEntryBytes: resolved.maxEntryBytes,
      whenFull: resolved.whenFull,
      blockTimeoutMs: resolved.blockTimeoutMs,
      syncsOnWait: typeof resolved.durability === 'string',
    },
  })
  try {
    await log.settleUploads()
  } catch (error) {
    await log.close()
    throw error
  }
  return log
}

function writerOptions(options: ResolvedOptions): WriterStart['options'] {
  const { directory, maxSegmentBytes, maxSegmentEntries, maxSegmentAgeMs, durability, lingerMs, maxBatchBytes, preallocateBytes } = options
  const { lockWaitMs, reserveBytes, retention, onCorrupt } = options
  return {
    directory, maxSegmentBytes, maxSegmentEntries, maxSegmentAgeMs, durability, lingerMs, maxBatchBytes, preallocateBytes, lockWaitMs, reserveBytes, retention,
    salvages: onCorrupt === 'salvage',
  }
}

async function firstReply(worker: Worker): Promise<WriterReply> {
  return await new Promise<WriterReply>((resolve, reject) => {
    const died = (cause: unknown): void => reject(new WalError('ERR_WAL_FAILED', 'the writer thread could not start', {}, cause))
    worker.once('message', resolve)
    worker.once('error', died)
    worker.once('exit', (code) => died(new Error(`it ended with exit code ${code}`)))
  })
}

async function ended(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return
  await new Promise<void>((resolve) => worker.once('exit', () => resolve()))
}

class OpenLog implements Log {
  readonly directory: string
  readonly recovery: RecoveryReport
  readonly cursors: LogCursors
  readonly #producer: LogProducer
  readonly #ring: Ring
  readonly #handle: LogHandle
  readonly #worker: Worker
  readonly #catalog: Catalog
  readonly #workerEnd: Promise<void>
  /** Where each reading is: the first sequence of its segment. */
  readonly #readFloors = new Map<symbol, number>()
  /** Uploads that have no place yet, and what ends them. */
  readonly #uploads = new Set<Promise<FileReceipt>>()
  readonly #closed = new AbortController()
  #closing: Promise<void> | undefined
  #exitOutcome: FlushOutcome | undefined

  constructor(options: ResolvedOptions, worker: Worker, recovery: RecoveryReport, handle: LogHandle) {
    this.directory = options.directory
    this.recovery = Object.freeze(recovery)
    this.#handle = Object.freeze(handle)
    this.#producer = new LogProducer(handle, () => undefined)
    this.#ring = this.#producer.ring
    this.cursors = new LogCursors(this.#producer)
    this.#worker = worker
    this.#catalog = new Catalog(nodeDisk, options.directory)
    this.#workerEnd = this.#superviseWorker(worker)
    watchThreads(this.#ring)
    guardExit(this)
  }

  /** Whatever ends the writer thread before its time fails the log, with the cause, on every thread. */
  #superviseWorker(worker: Worker): Promise<void> {
    worker.removeAllListeners('exit')
    worker.removeAllListeners('error')
    worker.on('error', (cause) => failLog(this.#ring, new WalError('ERR_WAL_FAILED', `the writer thread has died: ${cause.message}`, {}, cause)))
    return new Promise((resolve) => {
      worker.once('exit', (code) => {
        failLog(this.#ring, new WalError('ERR_WAL_FAILED', `the writer thread has ended with exit code ${code}`))
        resolve()
      })
    })
  }

  get lastSequence(): number {
    return lastClaimed(this.#ring)
  }

  get durableSequence(): number {
    return lastDurable(this.#ring)
  }

  append: Log['append'] = (data) => this.#producer.append(data)
  appendGroup: Log['appendGroup'] = (entries) => this.#producer.appendGroup(entries)
  write: Log['write'] = (data, options) => this.#producer.write(data, options)
  durable: Log['durable'] = (sequence, options) => this.#producer.durable(sequence, options)
  ready: Log['ready'] = (bytes, options) => this.#producer.ready(bytes, options)
  flush: Log['flush'] = (options) => this.#producer.flush(options)
  flushSync: Log['flushSync'] = (options) => this.#producer.flushSync(options)
  destination: Log['destination'] = (options) => this.#producer.destination(options)

  read(options?: ReadOptions): AsyncGenerator<LogEntry, void, undefined> {
    return oneByOne(this.readBatches(options), options?.signal)
  }

  readBatches(options?: ReadOptions): AsyncGenerator<LogEntry[], void, undefined> {
    return readEntryBatches(this.#catalog, this.#horizon(), resolveReadOptions(options))
  }

  async get(sequence: number): Promise<LogEntry | undefined> {
    if (!Number.isSafeInteger(sequence) || sequence < 1) throw outOfRange('sequence', 'an integer from 1', sequence)
    for await (const entry of this.read({ fromSequence: sequence, limit: 1 })) return entry.sequence === sequence ? entry : undefined
    return undefined
  }

  #horizon(): Horizon {
    const floors = this.#readFloors
    const reading = Symbol('reading')
    return {
      entered: (sequence) => {
        if (sequence === undefined) floors.delete(reading)
        else floors.set(reading, sequence)
        setReadFloor(this.#ring, floors.size === 0 ? 0 : Math.min(...floors.values()))
      },
      visible: () => lastDurable(this.#ring),
      includeWritten: false,
      untilMore: async (sequence, signal) => {
        try {
          await this.#producer.waiters.untilDurable(sequence + 1, signal)
        } catch (error) {
          // Whatever the signal's reason is, the end of a log or nothing at all: it is no end of this one.
          signal?.throwIfAborted()
          if ((error as WalError).code === 'ERR_WAL_CLOSED') return false
          throw error
        }
        return true
      },
    }
  }

  sequenceAt(timestamp: number | Date): number {
    const ms = timestampMs('timestamp', timestamp)
    return this.#look(() => sequenceAt(this.#catalog, ms, lastDurable(this.#ring)))
  }

  /** What is asked of the files at once, on the calling thread. */
  #look<Value>(look: () => Value): Value {
    try {
      return look()
    } catch (error) {
      throw asIoError(error, `cannot read the log in ${this.directory}`, this.directory)
    }
  }

  segments(): SegmentInfo[] {
    return this.#look(() => this.#catalog.list()).map(({ path, header, fileBytes }, index, all) => ({
      file: path,
      firstSequence: header.firstSequence,
      lastSequence: header.sealed ? header.lastSequence : (all[index + 1]?.header.firstSequence ?? this.durableSequence + 1) - 1,
      firstTimestamp: header.sealed && header.entryCount > 0 ? msFromTicks(header.firstTicks) : undefined,
      lastTimestamp: header.sealed && header.entryCount > 0 ? msFromTicks(header.lastTicks) : undefined,
      entries: header.sealed ? header.entryCount : undefined,
      bytes: fileBytes,
      sealed: header.sealed,
    }))
  }

  async appendFile(source: FileSource, options?: AppendFileOptions): Promise<FileReceipt> {
    const upload = uploadFile(nodeDisk, {
      directory: this.directory,
      maxEntryBytes: this.#handle.settings.maxEntryBytes,
      lastSequence: () => this.lastSequence,
      assertRoom: () => this.#producer.assertRoom(),
      accept: (data) => this.#producer.accept(data),
      closing: this.#closed.signal,
      placed: (bytes) => void this.#ring.atomics.add(this.#ring.words, WORD.blobKib, Math.ceil(bytes / 1024) | 0),
    }, source, options)
    this.#uploads.add(upload)
    const receipt = await upload.finally(() => this.#uploads.delete(upload))
    await this.#producer.durable(receipt.sequence, options?.signal === undefined ? {} : { signal: options.signal })
    return receipt
  }

  /** What a crash left of uploads. Before anybody reads. */
  async settleUploads(): Promise<void> {
    await settleUploads(nodeDisk, this.directory, (fromSequence) => this.readBatches({ fromSequence }))
  }

  async roll(): Promise<void> {
    await this.#untilServed('roll')
  }

  async checkpoint(): Promise<void> {
    await this.#untilServed('checkpoint')
  }

  async #untilServed(what: Ticketed): Promise<void> {
    const error = endError(this.#ring)
    if (error !== undefined) throw error
    const ticket = request(this.#ring, what)
    await this.#producer.waiters.until(() => isServed(this.#ring, what, ticket), undefined)
  }

  stats(): LogStats {
    const { counters } = this.#ring
    const written = lastWritten(this.#ring)
    return {
      batches: counters[COUNTER.batches]!,
      entries: counters[COUNTER.entries]!,
      bytes: counters[COUNTER.bytes]!,
      largestBatchBytes: counters[COUNTER.largestBatchBytes]!,
      syncs: counters[COUNTER.syncs]!,
      syncMs: counters[COUNTER.syncMs]!,
      longestSyncMs: counters[COUNTER.longestSyncMs]!,
      aborted: counters[COUNTER.aborted]!,
      dropped: droppedCount(this.#ring),
      rolls: counters[COUNTER.rolls]!,
      writerSleeps: counters[COUNTER.sleeps]!,
      unwritten: Math.max(0, this.lastSequence - written),
      unsynced: Math.max(0, written - this.durableSequence),
      space: SPACE_NAMES[this.#ring.atomics.load(this.#ring.words, WORD.space)]!,
      exitOutcome: this.#exitOutcome,
    }
  }

  handle(): LogHandle {
    return this.#handle
  }

  /**
   * Takes no more entries, ends the uploads that are still being written, makes durable what was accepted, seals the tail, ends the writer
   * thread, frees the directory. Twice is fine. Writes that wait for room on a full disk are refused. Rejects with `ERR_WAL_FAILED` when the
   * log failed before or meanwhile.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#closed.abort(new WalError('ERR_WAL_CLOSED', 'the log was closed'))
    await this.#producer.drainQueue()
    await Promise.allSettled(this.#uploads)
    endClaims(this.#ring)
    wantClose(this.#ring)
    this.#worker.ref()
    await this.#producer.waiters.untilEnded()
    // A writer that has failed ends by itself as well: the lock is free when its thread is gone.
    await this.#workerEnd
    await this.#producer.close()
    unguardExit(this)
    const error = endError(this.#ring)
    if (error?.code === 'ERR_WAL_FAILED') throw error
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  endWithProcess(): FlushOutcome {
    this.#producer.beginExit(EXIT_TIMEOUT_MS)
    failIfWriterDied(this.#ring)
    const ticket = request(this.#ring, 'cursors')
    this.#exitOutcome = this.#producer.flushSync({ timeoutMs: EXIT_TIMEOUT_MS })
    if (this.#exitOutcome === 'durable' && endError(this.#ring) === undefined) {
      waitUntilServed(this.#ring, 'cursors', ticket, EXIT_TIMEOUT_MS)
      wantSettle(this.#ring)
      waitUntilSettled(this.#ring, EXIT_TIMEOUT_MS)
    }
    return this.#exitOutcome
  }
}

/** Where the kernel cannot be asked, the end of a worker is noted by the thread that started it. */
function watchThreads(ring: Ring): void {
  if (process.platform === 'linux') return
  process.on('worker', (worker: Worker) => {
    const thread = worker.threadId + 1
    worker.once('exit', () => markDead(ring, thread))
  })
}
