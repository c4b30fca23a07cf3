/** When the next batch is begun: who waits gets it at once, what nobody waits for gathers. */

import { availableParallelism } from 'node:os'
import { hasBacklog } from '../ring/claim.js'
import { isPublished } from '../ring/drain.js'
import type { Ring } from '../ring/ring.js'
import { sleepForCommand } from '../ring/wake.js'

/** How often the head is looked at before sleeping: some 10 µs, less than a futex sleep and wake-up take. */
const SPINS = 200
/**
 * Behind a batch that somebody has waited for, the next one is looked out for so long: who writes and waits, again and again, comes back within some
 * 50 µs, and would else pay for a wake-up each time (median of 180 instead of 145 µs, where a bare write and sync takes 98; Node 20, 2 cores, 2026).
 * With one processor, on which no test is run, it would only keep away who is looked out for.
 */
const LOOKOUT_MS = availableParallelism() > 1 ? 0.1 : 0
/**
 * Batches that nobody waits for are at least so far apart, as long as the ring has room: each costs a sync, and with it processor time that those
 * who append may need. A server that logs each of 60,000 requests a second answered half as many as without logging when each batch was written at
 * once, and nine of ten with this.
 */
const PACE_MS = 5

/** The pace of one writer. */
export class Pace {
  readonly #ring: Ring
  readonly #lingerMs: number
  #batchMs = 0
  #waitedMs = 0

  constructor(ring: Ring, lingerMs: number) {
    this.#ring = ring
    this.#lingerMs = lingerMs
  }

  /** A batch is done. */
  noteBatch(nowMs: number): void {
    this.#batchMs = nowMs
  }

  /** Somebody waits for durability. */
  noteWaiter(nowMs: number): void {
    this.#waitedMs = nowMs
  }

  /** Behind a batch that nobody waited for: sleeps until the next one has gathered, or there is a command or much of the ring waits. No entry wakes it. */
  gather(sequence: number, hasCommand: () => boolean): void {
    const leftMs = this.#batchMs + PACE_MS - performance.now()
    if (leftMs <= 0 || (this.#waitedMs >= this.#batchMs && !isPublished(this.#ring, sequence))) return
    const hasWork = (): boolean => hasCommand() || hasBacklog(this.#ring)
    if (!hasWork()) sleepForCommand(this.#ring, sequence, leftMs, hasWork)
  }

  /** With `lingerMs`, a batch that has begun waits that long for more, unless it is to be flushed. */
  linger(sequence: number, hasCommand: () => boolean): void {
    if (this.#lingerMs === 0 || !isPublished(this.#ring, sequence) || hasCommand()) return
    sleepForCommand(this.#ring, sequence, this.#lingerMs, hasCommand)
  }

  /** Whether the sequence is published within a moment. */
  lookOut(sequence: number): boolean {
    const endMs = this.#waitedMs + LOOKOUT_MS
    do {
      for (let spin = 0; spin < SPINS; spin++) if (isPublished(this.#ring, sequence)) return true
    } while (performance.now() < endMs)
    return false
  }
}
