/** The state of a log in shared memory: open, failed with a cause, closed. Any thread may read it; it only moves forward. */

import { fromErrorRecord, toErrorRecord, WalError, type ErrorRecord } from '../errors.js'
import { signal } from '../sync/event-count.js'
import { endClaims } from './claim.js'
import type { Ring } from './ring.js'
import { FAILURE_MAX_BYTES, STATE, WORD } from './ring-layout.js'
import { wakeWriter } from './wake.js'

/** The longest that is waited for the cause to be written down: it takes microseconds, unless that thread dies on the way. */
const CAUSE_MS = 100

/** Fails the log for good, unless it has ended already. The cause is readable on every thread; every waiter is woken. */
export function failLog(ring: Ring, cause: unknown): void {
  const { atomics, words } = ring
  if (atomics.compareExchange(words, WORD.state, STATE.open, STATE.failing) !== STATE.open) return
  const text = encodeFailure(toErrorRecord(cause))
  ring.failure.set(text)
  atomics.store(words, WORD.failureBytes, text.length)
  atomics.store(words, WORD.state, STATE.failed)
  atomics.notify(words, WORD.state)
  announceEnd(ring)
}

/** Marks the log as closed: all is durable, the tail is sealed. */
export function markClosed(ring: Ring): void {
  ring.atomics.compareExchange(ring.words, WORD.state, STATE.open, STATE.closed)
  announceEnd(ring)
}

function announceEnd(ring: Ring): void {
  endClaims(ring)
  signal(ring.atomics, ring.words, WORD.durableEvent)
  signal(ring.atomics, ring.words, WORD.roomEvent)
  wakeWriter(ring)
}

function encodeFailure(record: ErrorRecord): Uint8Array {
  const whole = Buffer.from(JSON.stringify(record))
  if (whole.length <= FAILURE_MAX_BYTES) return whole
  return Buffer.from(JSON.stringify({ name: record.name, message: record.message.slice(0, 512), details: {} }))
}

/** The error that ended the log, made anew for this thread; undefined while it is open. */
export function endError(ring: Ring): WalError | undefined {
  const { atomics, words } = ring
  // Whoever looks while the cause is being written down waits for it: every waiter is to get it.
  if (atomics.load(words, WORD.state) === STATE.failing) atomics.wait(words, WORD.state, STATE.failing, CAUSE_MS)
  const state = atomics.load(words, WORD.state)
  if (state === STATE.open) return undefined
  if (state === STATE.closed) return new WalError('ERR_WAL_CLOSED', 'the log is closed')
  const bytes = atomics.load(words, WORD.failureBytes)
  if (state === STATE.failing) return new WalError('ERR_WAL_FAILED', 'the log has failed')
  // A shared buffer cannot be decoded in place.
  const record = JSON.parse(Buffer.from(ring.failure.slice(0, bytes)).toString()) as ErrorRecord
  const cause = fromErrorRecord(record)
  return new WalError('ERR_WAL_FAILED', `the log has failed: ${cause.message}`, record.details, cause)
}

/** Whether the log takes no more entries: closing, closed or failed. */
export function isEnded(ring: Ring): boolean {
  return ring.atomics.load(ring.words, WORD.claim + 1) < 0
}
