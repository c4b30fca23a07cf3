/** [sleep] and [wake]: the writer sleeps for one sequence, and only who owes that one wakes it. */

import type { Ring } from './ring.js'
import { SLOT_MARK, SLOT_WORDS, WORD } from './ring-layout.js'

/**
 * [wake] After [publish] of the stretch that begins with `sequence`. A load when the writer is awake, a notify
 * when it sleeps for this very sequence, or lets a batch gather that has become large (`isMuch`). Behind a head that somebody else owes there is nothing
 * to wake for.
 */
export function wakeForSequence(ring: Ring, sequence: number, isMuch: boolean): void {
  const { atomics, words } = ring
  if (atomics.load(words, WORD.asleep) === 1 && (isMuch || atomics.load(words, WORD.sleepSequence) === (sequence | 0))) wakeWriter(ring)
}

/** Wakes the writer for a command that was stored before. */
export function wakeWriter(ring: Ring): void {
  const { atomics, words } = ring
  if (atomics.compareExchange(words, WORD.asleep, 1, 0) === 1) atomics.notify(words, WORD.asleep, 1)
}

/**
 * [sleep] Blocks the writer until somebody has a command for it, for at most `timeoutMs`; no entry wakes it: all that it would be woken for
 * by one comes after `sequence`.
 */
export function sleepForCommand(ring: Ring, sequence: number, timeoutMs: number, hasWork: () => boolean): void {
  const { atomics, words } = ring
  // Nobody will publish the sequence before the head again.
  atomics.store(words, WORD.sleepSequence, (sequence - 1) | 0)
  atomics.store(words, WORD.asleep, 1)
  if (!hasWork()) atomics.wait(words, WORD.asleep, 1, timeoutMs)
  atomics.store(words, WORD.asleep, 0)
}

/**
 * [sleep] Blocks the writer until somebody wakes it, for at most `timeoutMs`; returns at once when the head is
 * published or `hasWork` after the announcement. Pairs with [wake]: one of the two sees the other's store.
 */
export function sleepForSequence(ring: Ring, sequence: number, timeoutMs: number, hasWork: () => boolean): void {
  const { atomics, words, slots } = ring
  atomics.store(words, WORD.sleepSequence, sequence | 0)
  atomics.store(words, WORD.asleep, 1)
  const mark = atomics.load(slots, (sequence & ring.slotMask) * SLOT_WORDS + SLOT_MARK)
  if (mark === 0 && !hasWork()) atomics.wait(words, WORD.asleep, 1, timeoutMs)
  atomics.store(words, WORD.asleep, 0)
}
