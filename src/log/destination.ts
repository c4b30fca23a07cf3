/** A destination for pino and the like: lines in, entries out. */

import { EventEmitter } from 'node:events'
import { outOfRange } from '../errors.js'
import type { FlushOutcome, FlushSyncOptions } from './producer.js'

/** Options of a destination. */
export interface DestinationOptions {
  /** Bytes of lines that may wait in this thread's memory while the ring is full, 0 to 2^31 - 1. Default 4 MiB. */
  readonly maxOverflowBytes?: number
}

/**
 * A writable for log lines. `write` never throws and never blocks (unless the log's `whenFull` is `'block'`): when the ring is full, lines wait in
 * an overflow buffer, in order; when that is full too, or the log has ended, they are dropped and counted.
 *
 * Events: `drop` (number of lines dropped since the last one, at most once a turn of the event loop), `drain` (the overflow
 * buffer is empty again), `error` (the log has failed; only if somebody listens), `finish` and `close` after `end`.
 */
export interface Destination {
  /** Takes one line; one trailing newline is taken off. False when it had to wait or was dropped. */
  write(line: string | Uint8Array): boolean
  /** Calls back when everything written so far is durable, or with the error. */
  flush(callback?: (error?: Error | null) => void): void
  /** Blocks until everything written so far is durable. */
  flushSync(options?: FlushSyncOptions): FlushOutcome
  /** Ends the destination, not the log: flushes, then emits `finish` and `close`. */
  end(line?: string | Uint8Array): void
  /** Lines dropped so far. */
  readonly dropped: number
  readonly destroyed: boolean
  readonly writable: boolean
  on(event: string, listener: (...args: never[]) => void): this
  once(event: string, listener: (...args: never[]) => void): this
  off(event: string, listener: (...args: never[]) => void): this
  removeListener(event: string, listener: (...args: never[]) => void): this
  emit(event: string, ...args: unknown[]): boolean
}

/** What a destination needs of its producer. */
export interface LineSink {
  /** Appends now if nothing is in line and there is room. False: full. Throws when the log has ended or the line is too large. */
  tryLine(line: string | Uint8Array): boolean
  /** Stages a line and puts it in line for room. */
  queueLine(line: string | Uint8Array): Promise<unknown>
  flush(): Promise<void>
  flushSync(options?: FlushSyncOptions): FlushOutcome
}

const DEFAULT_OVERFLOW_BYTES = 4 * 1024 * 1024
const NEWLINE = 10

/** A destination that appends through `sink`. */
export function createDestination(sink: LineSink, options: DestinationOptions = {}): Destination {
  const { maxOverflowBytes = DEFAULT_OVERFLOW_BYTES } = options
  if (!Number.isInteger(maxOverflowBytes) || maxOverflowBytes < 0 || maxOverflowBytes >= 2 ** 31) {
    throw outOfRange('options.maxOverflowBytes', 'an integer from 0 to 2^31 - 1', maxOverflowBytes)
  }
  return new LineDestination(sink, maxOverflowBytes)
}

class LineDestination implements Destination {
  readonly #sink: LineSink
  readonly #maxOverflowBytes: number
  readonly #events = new EventEmitter()
  #overflowBytes = 0
  #dropped = 0
  #untold = 0
  #isEnded = false

  constructor(sink: LineSink, maxOverflowBytes: number) {
    this.#sink = sink
    this.#maxOverflowBytes = maxOverflowBytes
  }

  get dropped(): number {
    return this.#dropped
  }

  get destroyed(): boolean {
    return this.#isEnded
  }

  get writable(): boolean {
    return !this.#isEnded
  }

  write(line: string | Uint8Array): boolean {
    if (this.#isEnded) return this.#drop()
    try {
      const entry = withoutNewline(line)
      return this.#sink.tryLine(entry) || this.#overflow(entry)
    } catch (error) {
      return this.#drop(error as Error)
    }
  }

  /** Lines wait in order; each is a copy. */
  #overflow(entry: string | Uint8Array): boolean {
    const bytes = Buffer.byteLength(entry)
    if (this.#overflowBytes + bytes > this.#maxOverflowBytes) return this.#drop()
    this.#overflowBytes += bytes
    const done = (): void => {
      this.#overflowBytes -= bytes
      if (this.#overflowBytes === 0) this.#events.emit('drain')
    }
    this.#sink.queueLine(entry).then(done, (error: Error) => {
      this.#drop(error)
      done()
    })
    return false
  }

  #drop(error?: Error): false {
    this.#dropped++
    if (error !== undefined && this.#events.listenerCount('error') > 0) queueMicrotask(() => this.#events.emit('error', error))
    if (this.#untold++ === 0) {
      setImmediate(() => {
        const count = this.#untold
        this.#untold = 0
        this.#events.emit('drop', count)
      }).unref()
    }
    return false
  }

  flush(callback?: (error?: Error | null) => void): void {
    this.#sink.flush().then(() => callback?.(null), (error: Error) => callback?.(error))
  }

  flushSync(options?: FlushSyncOptions): FlushOutcome {
    return this.#sink.flushSync(options)
  }

  end(line?: string | Uint8Array): void {
    if (line !== undefined) this.write(line)
    if (this.#isEnded) return
    this.#isEnded = true
    this.flush((error) => {
      if (error && this.#events.listenerCount('error') > 0) this.#events.emit('error', error)
      this.#events.emit('finish')
      this.#events.emit('close')
    })
  }

  on(event: string, listener: (...args: never[]) => void): this {
    this.#events.on(event, listener as (...args: unknown[]) => void)
    return this
  }

  once(event: string, listener: (...args: never[]) => void): this {
    this.#events.once(event, listener as (...args: unknown[]) => void)
    return this
  }

  off(event: string, listener: (...args: never[]) => void): this {
    this.#events.off(event, listener as (...args: unknown[]) => void)
    return this
  }

  removeListener(event: string, listener: (...args: never[]) => void): this {
    return this.off(event, listener)
  }

  emit(event: string, ...args: unknown[]): boolean {
    return this.#events.emit(event, ...args)
  }
}

function withoutNewline(line: string | Uint8Array): string | Uint8Array {
  if (typeof line === 'string') return line.endsWith('\n') ? line.slice(0, -1) : line
  return line[line.length - 1] === NEWLINE ? line.subarray(0, -1) : line
}
