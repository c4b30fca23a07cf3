/** Whether a claim would find room right now, without making it. */

import { CLAIM_FULL, CLAIMED, placeStatus } from './claim.js'
import type { Ring } from './ring.js'
import { SPACE, WORD } from './ring-layout.js'

/** Whether a stretch of one entry and `bytes` would be accepted at this moment, or the log has ended and nobody need wait. */
export function hasRoom(ring: Ring, bytes: number): boolean {
  if (hasNoSpace(ring) && ring.atomics.load(ring.words, WORD.claim + 1) >= 0) return false
  const isLarge = bytes > ring.maxStretchBytes
  const status = placeStatus(ring, isLarge ? 0 : bytes, 1)
  return status !== CLAIM_FULL && !(isLarge && status === CLAIMED && ring.atomics.load(ring.words, WORD.arenaOwner) !== 0)
}

/** Whether the writer has said that the disk has no room for more. */
export function hasNoSpace({ words }: Ring): boolean {
  // A plain read, on every append: it is not to hold up anything, and what slips through finds the reserve.
  return words[WORD.space] !== SPACE.ok
}
