/** [claim]: taking a place in the sequence and in the ring, in one compare-and-set. See ring-layout.ts for the protocol. */

import type { Debt } from './records.js'
import type { Ring } from './ring.js'
import { CLAIM_ENDED, placeStretch, POSITION_MASK, positionDistance, SLOT_START, SLOT_WORDS, WAKE_BACKLOG, widenSequence, WORD } from './ring-layout.js'

/** How a claim went. */
export const CLAIMED = 1
export const CLAIM_FULL = 0
export const CLAIM_REFUSED = -1

/** A granted claim. One object a thread, filled anew each time: no garbage on the way of an entry. */
export interface Claim {
  /** Full sequence of the first entry. */
  sequence: number
  /** Ring position of the stretch, 31 bits. */
  start: number
  /** Timestamp in relative ticks. */
  ticks: number
  /** Bytes of the ring that wait to be written, the claimed ones included. */
  backlog: number
}

/**
 * Claims `count` sequences and `bytes` ring bytes in one stretch, and notes in `debt` and in the slots what is owed. Never blocks.
 * `ticks` is the caller's clock, read at any time before; the claim's own is at least that and never below an earlier one.
 */
export function claimStretch(ring: Ring, claim: Claim, bytes: number, count: number, ticks: number, debt: Debt): number {
  const { atomics, words, ringBytes } = ring
  for (;;) {
    // Plain reads, which take a fifth of the time of atomic ones: the compare-and-set below says whether they held.
    const low = words[WORD.claim]!
    const high = words[WORD.claim + 1]!
    const releasedPosition = words[WORD.releasedPosition]!
    const releasedSequence = words[WORD.releasedSequence]!
    const start = placeStretch(high & POSITION_MASK, bytes, ringBytes)
    const end = start + bytes
    const backlog = positionDistance(end, releasedPosition)
    if (high < 0 || backlog > ringBytes || ((low + count - releasedSequence) >>> 0) > ring.slotMask + 1) {
      const status = placeStatus(ring, bytes, count)
      if (status !== CLAIMED) return status
      continue
    }
    // Before the compare-and-set, so that after it nothing is called that a full stack could stop: what is owed is noted for sure.
    const sequence = widenSequence(low, words[WORD.era]!)
    const floor = atomics.raise64(WORD.floor, ticks)
    if (atomics.compareExchange64(WORD.claim, low, high, (low + count) | 0, end & POSITION_MASK)) {
      claim.sequence = sequence
      claim.start = start & POSITION_MASK
      claim.ticks = floor
      claim.backlog = backlog
      debt.slot = (low & ring.slotMask) * SLOT_WORDS
      debt.ringBytes = bytes
      debt.count = count
      ring.slots[debt.slot + SLOT_START] = claim.start
      if (count > 1) ring.slots[((low + 1) & ring.slotMask) * SLOT_WORDS + SLOT_START] = count
      return CLAIMED
    }
  }
}

/** Whether a claim would find a place at this moment: {@link CLAIMED} if so, else what it would be told. */
export function placeStatus(ring: Ring, bytes: number, count: number): number {
  const { atomics, words, ringBytes } = ring
  for (;;) {
    const low = atomics.load(words, WORD.claim)
    const high = atomics.load(words, WORD.claim + 1)
    if (high < 0) return CLAIM_REFUSED
    const end = placeStretch(high, bytes, ringBytes) + bytes
    const hasBytes = positionDistance(end, atomics.load(words, WORD.releasedPosition)) <= ringBytes
    if (hasBytes && ((low + count - atomics.load(words, WORD.releasedSequence)) >>> 0) <= ring.slotMask + 1) return CLAIMED
    // Only true of a claim word that still stands; an old one against new released counters looks full as well.
    if (atomics.load(words, WORD.claim) === low && atomics.load(words, WORD.claim + 1) === high) return CLAIM_FULL
  }
}

/** Sets the ended flag: no claim succeeds from here on, and none slips in behind the final drain. */
export function endClaims(ring: Ring): void {
  const { atomics, words } = ring
  for (;;) {
    const low = atomics.load(words, WORD.claim)
    const high = atomics.load(words, WORD.claim + 1)
    if (high < 0 || atomics.compareExchange64(WORD.claim, low, high, low, high | CLAIM_ENDED)) return
  }
}

/** The claim word as it stood at one moment: low 32 bits of the next sequence, and the position. */
export interface Head {
  readonly low: number
  readonly position: number
}

/** Reads both halves of the claim word as of one moment. */
export function readHead(ring: Ring): Head {
  const { atomics, words } = ring
  for (;;) {
    const low = atomics.load(words, WORD.claim)
    const high = atomics.load(words, WORD.claim + 1)
    if (atomics.load(words, WORD.claim) === low) return { low, position: high & POSITION_MASK }
  }
}

/** Whether so much of the ring waits to be written that the writer is woken for it, see {@link WAKE_BACKLOG}. */
export function hasBacklog(ring: Ring): boolean {
  return positionDistance(readHead(ring).position, ring.atomics.load(ring.words, WORD.releasedPosition)) > ring.ringBytes * WAKE_BACKLOG
}

/** The last sequence that was claimed; 0 when there is none. */
export function lastClaimed(ring: Ring): number {
  const { atomics, words } = ring
  return widenSequence(atomics.load(words, WORD.claim), atomics.load(words, WORD.era)) - 1
}

/** The last sequence known durable; 0 when there is none. */
export function lastDurable(ring: Ring): number {
  const { atomics, words } = ring
  return widenSequence(atomics.load(words, WORD.durableSequence), atomics.load(words, WORD.era))
}

/** The last sequence that was handed to the kernel. */
export function lastWritten(ring: Ring): number {
  const { atomics, words } = ring
  return widenSequence(atomics.load(words, WORD.writtenSequence), atomics.load(words, WORD.era))
}
