/** Two words that are read and set as one: 64 bits without a bigint. The first has an even index. */

import type { Ring } from './ring.js'

/** Both words as of one moment. */
export function readPair({ atomics, words }: Ring, index: number): { low: number; high: number } {
  for (;;) {
    const low = atomics.load(words, index)
    const high = atomics.load(words, index + 1)
    if (atomics.load(words, index) === low && atomics.load(words, index + 1) === high) return { low, high }
  }
}

/** Both words at once, whoever else moves them. */
export function setPair(ring: Ring, index: number, low: number, high: number): void {
  const { atomics } = ring
  for (;;) {
    const now = readPair(ring, index)
    if (atomics.compareExchange64(index, now.low, now.high, low, high)) return
  }
}
