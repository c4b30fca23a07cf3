/** Whether a claim would find room right now, without making it. */

import { readHead } from './claim.js'
import type { Ring } from './ring.js'
import { placeStretch, positionDistance, WORD } from './ring-layout.js'

/** Whether a stretch of one entry and `bytes` would be accepted at this moment, or the log has ended and nobody need wait. */
export function hasRoom(ring: Ring, bytes: number): boolean {
  const { atomics, words, ringBytes } = ring
  if (atomics.load(words, WORD.claim + 1) < 0) return true
  const isLarge = bytes > ring.maxStretchBytes
  if (isLarge && atomics.load(words, WORD.arenaOwner) !== 0) return false
  const head = readHead(ring)
  const end = placeStretch(head.position, isLarge ? 0 : bytes, ringBytes) + (isLarge ? 0 : bytes)
  const isRoomy = positionDistance(end, atomics.load(words, WORD.releasedPosition)) <= ringBytes
  return isRoomy && ((head.low + 1 - atomics.load(words, WORD.releasedSequence)) >>> 0) <= ring.slotMask + 1
}
