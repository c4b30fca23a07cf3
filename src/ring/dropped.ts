/** The count of entries that were dropped because the ring was full, over all threads: 64 bits in two words. */

import type { Ring } from './ring.js'
import { WORD } from './ring-layout.js'

/** Counts `count` more. Any thread; does not block. */
export function countDropped(ring: Ring, count: number): void {
  const { atomics, words } = ring
  for (;;) {
    // A pair torn by another thread fails the compare-and-set: the count only grows.
    const low = atomics.load(words, WORD.dropped)
    const high = atomics.load(words, WORD.dropped + 1)
    const sum = join(low, high) + count
    if (atomics.compareExchange64(WORD.dropped, low, high, sum | 0, Math.floor(sum / 2 ** 32))) return
  }
}

/** How many there are. */
export function droppedCount(ring: Ring): number {
  const { atomics, words } = ring
  for (;;) {
    const high = atomics.load(words, WORD.dropped + 1)
    const low = atomics.load(words, WORD.dropped)
    if (atomics.load(words, WORD.dropped + 1) === high) return join(low, high)
  }
}

function join(low: number, high: number): number {
  return high * 2 ** 32 + (low >>> 0)
}
