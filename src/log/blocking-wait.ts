/** Waits that block the calling thread, bounded, and never longer than the writer lives. */

import { performance } from 'node:perf_hooks'
import { isThreadDead } from '../disk/thread-identity.js'
import { WalError } from '../errors.js'
import { lastDurable } from '../ring/claim.js'
import { isServed, isSettled, type Ticketed } from '../ring/commands.js'
import { endError, failLog } from '../ring/life.js'
import type { Ring } from '../ring/ring.js'
import { STATE, WORD } from '../ring/ring-layout.js'
import { EVENT_EPOCH, prepareWait } from '../sync/event-count.js'
import type { FlushOutcome } from './producer.js'

/** The longest single wait: then the writer's life is looked at. */
const SLICE_MS = 100

/** Fails the log when its writer thread is proved dead. What the writer acknowledged before stands. */
export function failIfWriterDied(ring: Ring): void {
  const { atomics, words } = ring
  if (atomics.load(words, WORD.state) !== STATE.open) return
  const identity = {
    thread: atomics.load(words, WORD.writerThread),
    startLow: atomics.load(words, WORD.writerStartLow),
    startHigh: atomics.load(words, WORD.writerStartHigh),
  }
  if (!isThreadDead(identity) || atomics.load(words, WORD.state) !== STATE.open) return
  failLog(ring, new WalError('ERR_WAL_FAILED', 'the writer thread has died'))
}

/** Blocks until `sequence` is durable. */
export function waitUntilDurable(ring: Ring, sequence: number, timeoutMs: number): FlushOutcome {
  const isDurable = waitFor(ring, WORD.durableEvent, () => lastDurable(ring) >= sequence, timeoutMs)
  if (isDurable) return 'durable'
  return endError(ring) === undefined ? 'timeout' : 'failed'
}

/** Blocks until `attempt` succeeds; false when the time is over. What `attempt` throws ends it. */
export function waitForRoom(ring: Ring, attempt: () => boolean, timeoutMs: number): boolean {
  return waitFor(ring, WORD.roomEvent, attempt, timeoutMs)
}

/** Blocks until the last batch's closing mark is on disk. */
export function waitUntilSettled(ring: Ring, timeoutMs: number): boolean {
  return waitFor(ring, WORD.durableEvent, () => isSettled(ring), timeoutMs)
}

/** Blocks until what was asked for with a ticket is done. */
export function waitUntilServed(ring: Ring, what: Ticketed, ticket: number, timeoutMs: number): boolean {
  return waitFor(ring, WORD.durableEvent, () => isServed(ring, what, ticket), timeoutMs)
}

/** Register, look again, wait: until `reached`, the end of the log, or of the time. */
function waitFor(ring: Ring, event: number, reached: () => boolean, timeoutMs: number): boolean {
  const { atomics, words } = ring
  const endMs = performance.now() + timeoutMs
  for (;;) {
    const epoch = prepareWait(atomics, words, event)
    if (reached()) return true
    const leftMs = endMs - performance.now()
    // Once more: the log may have ended since, and what it made durable before stays so.
    if (leftMs <= 0 || endError(ring) !== undefined) return reached()
    atomics.wait(words, event + EVENT_EPOCH, epoch, Math.min(SLICE_MS, leftMs))
    failIfWriterDied(ring)
  }
}
