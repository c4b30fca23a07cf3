/** A consumer's cursor as one thread sees it. */

import { outOfRange, WalError } from '../errors.js'
import { abortSignal } from '../option-values.js'
import {
  addCursor, commitCursor, deliveredSequence, durableCursor, findCursor, holdCursor, isCurrent, listCursors, noteDelivered, readCursor, removeCursor,
  seekCursor, type CursorHold,
} from '../ring/cursors.js'
import { isServed, request } from '../ring/commands.js'
import { endError } from '../ring/life.js'
import type { Ring } from '../ring/ring.js'
import type { WaitOptions } from './producer.js'
import type { Waiters } from './waiters.js'

/** What a cursor needs of the producer on its thread. */
export interface CursorPort {
  readonly ring: Ring
  readonly waiters: Waiters
}

/** A cursor, held in one epoch: from when it was opened, or last sought, here. */
export class LogCursor {
  readonly name: string
  readonly #port: CursorPort
  #hold: CursorHold
  /** What is known to be delivered, at hand. */
  #delivered = 0

  constructor(port: CursorPort, name: string, hold: CursorHold) {
    this.#port = port
    this.name = name
    this.#hold = hold
  }

  /** Plain data for {@link LogCursor} on another thread. A later seek here makes that one's commits void. */
  get hold(): CursorHold {
    return this.#hold
  }

  /** The same cursor for as long as it is not sought: after that, what is committed here comes to nothing. */
  inThisEpoch(): LogCursor {
    return new LogCursor(this.#port, this.name, this.#hold)
  }

  /** The last sequence that is committed, durable or not. */
  get committed(): number {
    return readCursor(this.#port.ring, this.#hold.base).sequence
  }

  /** The last sequence whose commit is on disk; 0 until the first commit, or seek, of this epoch is. */
  get durable(): number {
    return durableCursor(this.#port.ring, this.#hold) ?? 0
  }

  /** Whether it has been neither sought elsewhere nor removed. */
  get isCurrent(): boolean {
    return isCurrent(this.#port.ring, this.#hold)
  }

  /** Notes that entries up to `sequence` have been delivered, so that they may be committed. Of an epoch that has passed nothing is. */
  noteDelivered(sequence: number): void {
    if (!this.isCurrent) return
    noteDelivered(this.#port.ring, this.#hold.base, sequence)
    this.#delivered = sequence
  }

  /**
   * Says that the consumer is done with all entries up to `sequence`. Any thread; never blocks; durable with the writer's next sync.
   * False when it had said so already, or the cursor was sought since. Throws `RangeError` beyond what was delivered.
   */
  commit(sequence: number): boolean {
    if (!(sequence <= this.#delivered) || !Number.isSafeInteger(sequence) || sequence < 0) this.#checkDelivered(sequence)
    return commitCursor(this.#port.ring, this.#hold, sequence)
  }

  #checkDelivered(sequence: number): void {
    this.#delivered = deliveredSequence(this.#port.ring, this.#hold.base)
    // Of an epoch that has passed any commit is void, not wrong.
    const isSound = Number.isSafeInteger(sequence) && sequence >= 0
    if (!isSound || (sequence > this.#delivered && this.isCurrent)) {
      throw outOfRange('sequence', `an integer from 0 to ${this.#delivered}, the last sequence delivered to ${JSON.stringify(this.name)}`, sequence)
    }
  }

  /**
   * Sets the cursor so that the entry after `sequence` comes next; commits that are on their way come to nothing. Throws `ERR_WAL_CURSOR` when it
   * was removed: its place may be another's by now.
   */
  seek(sequence: number): void {
    if (!this.isCurrent) throw this.#gone()
    this.#hold = seekCursor(this.#port.ring, this.#hold.base, sequence)
    this.#delivered = sequence
  }

  /**
   * Resolves when a commit up to `sequence`, made on any thread, is on disk. Rejects with `ERR_WAL_FAILED` or `ERR_WAL_CLOSED` when the log
   * ends before, with the signal's reason when aborted, with `RangeError` on what is no sequence, `TypeError` on what is no signal.
   */
  async untilDurable(sequence: number, options?: WaitOptions): Promise<void> {
    const signal = abortSignal('options.signal', options?.signal)
    if (!Number.isSafeInteger(sequence) || sequence < 0) throw outOfRange('sequence', 'an integer from 0', sequence)
    signal?.throwIfAborted()
    const { ring, waiters } = this.#port
    const hold = this.#hold
    let isHurried = false
    const isReached = (): boolean => {
      if (!isCurrent(ring, hold) || (durableCursor(ring, hold) ?? -1) >= sequence) return true
      // Only what is committed already can be hurried; what is not may be when it is looked at again.
      if (!isHurried && readCursor(ring, hold.base).sequence >= sequence) {
        isHurried = true
        request(ring, 'cursors')
      }
      return false
    }
    if (!isReached()) await waiters.until(isReached, signal)
    if (!isCurrent(ring, hold)) throw this.#gone()
  }

  #gone(): WalError {
    return new WalError('ERR_WAL_CURSOR', `the cursor ${JSON.stringify(this.name)} was sought or removed meanwhile`)
  }
}

/** The cursors of a log, on the thread that opened it. */
export class LogCursors {
  readonly #port: CursorPort

  constructor(port: CursorPort) {
    this.#port = port
  }

  /** The cursor of that name; undefined when there is none. */
  find(name: string): LogCursor | undefined {
    const base = findCursor(this.#port.ring, name)
    return base === undefined ? undefined : new LogCursor(this.#port, name, holdCursor(this.#port.ring, base))
  }

  /** A new cursor after which the entry behind `sequence` comes next. Throws `ERR_WAL_TOO_MANY_CONSUMERS`, and when the log has ended. */
  add(name: string, sequence: number): LogCursor {
    assertOpen(this.#port.ring)
    return new LogCursor(this.#port, name, addCursor(this.#port.ring, name, sequence))
  }

  /** Where all of them stand. */
  list(): { readonly name: string; readonly committed: number }[] {
    return listCursors(this.#port.ring).map(({ name, sequence }) => ({ name, committed: sequence }))
  }

  /** Removes a cursor; resolves when it is gone from the disk. False when there is none. */
  async remove(name: string): Promise<boolean> {
    const { ring, waiters } = this.#port
    assertOpen(ring)
    const base = findCursor(ring, name)
    if (base === undefined) return false
    removeCursor(ring, base)
    const ticket = request(ring, 'cursors')
    await waiters.until(() => isServed(ring, 'cursors', ticket), undefined)
    return true
  }
}

function assertOpen(ring: Ring): void {
  const error = endError(ring)
  if (error !== undefined) throw error
}
