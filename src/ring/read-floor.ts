/** The oldest segment that a reader of the log is in, for the writer, which leaves that one's blocks alone. */

import { readPair, setPair } from './pair.js'
import type { Ring } from './ring.js'
import { WORD } from './ring-layout.js'

const TWO_32 = 2 ** 32

/** Sets the first sequence of that segment; 0: no reader is in any. On the thread that opened the log. */
export function setReadFloor(ring: Ring, sequence: number): void {
  setPair(ring, WORD.readFloor, sequence | 0, Math.floor(sequence / TWO_32))
}

/** The first sequence of that segment; 0 when there is none. */
export function readFloor(ring: Ring): number {
  const { low, high } = readPair(ring, WORD.readFloor)
  return high * TWO_32 + (low >>> 0)
}
