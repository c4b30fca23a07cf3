/**
 * An event count: waiters sleep until something that they wait for may have happened, and the one who makes it
 * happen pays for a wake-up only when somebody sleeps.
 *
 * Two words: an epoch that grows with every event, and a flag that a waiter raises. The rule for waiters:
 *
 * 1. `prepare` — read the epoch, then raise the flag;
 * 2. look again at what is waited for (reached, never equal);
 * 3. only then wait for the epoch to move, and always with a time limit: who should wake may die.
 *
 * `signal` takes the flag down first and moves the epoch then. A waiter that raises the flag too late for this signal finds the
 * new state at step 2; one that raised it before is notified, or finds the epoch moved. (The other way round, a waiter that read the
 * new epoch could have its flag taken down by the signal that it came too late for, and the next one would not wake it.) A waiter's
 * death leaves nothing behind but one needless wake-up.
 */

import type { AtomicsSeam } from './atomics-seam.js'

/** The words of one event count: index of the epoch, then of the flag. */
export const EVENT_EPOCH = 0
export const EVENT_WAITERS = 1

/** [event-prepare] Reads the epoch and announces a waiter. Pairs with [event-signal]. */
export function prepareWait(atomics: AtomicsSeam, words: Int32Array, base: number): number {
  const epoch = atomics.load(words, base + EVENT_EPOCH)
  atomics.store(words, base + EVENT_WAITERS, 1)
  return epoch
}

/** [event-signal] Tells all waiters that the state has changed; the change itself was stored before. */
export function signal(atomics: AtomicsSeam, words: Int32Array, base: number): void {
  const waiters = atomics.exchange(words, base + EVENT_WAITERS, 0)
  atomics.add(words, base + EVENT_EPOCH, 1)
  if (waiters !== 0) atomics.notify(words, base + EVENT_EPOCH)
}
