/** Whether a claim would find room right now, without making it. */

import { CLAIM_FULL, CLAIMED, placeStatus } from './claim.js'
import type { Ring } from './ring.js'
import { WORD } from './ring-layout.js'

/** Whether a stretch of one entry and `bytes` would be accepted at this moment, or the log has ended and nobody need wait. */
export function hasRoom(ring: Ring, bytes: number): boolean {
  const isLarge = bytes > ring.maxStretchBytes
  const status = placeStatus(ring, isLarge ? 0 : bytes, 1)
  return status !== CLAIM_FULL && !(isLarge && status === CLAIMED && ring.atomics.load(ring.words, WORD.arenaOwner) !== 0)
}
