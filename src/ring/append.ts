/** The way of an entry from a producer's thread into the ring: steps [enter] to [leave] of ring-layout.ts. */

import { CLAIM_FULL, CLAIMED, claimStretch, type Claim } from './claim.js'
import type { ProducerRecord } from './records.js'
import type { Ring } from './ring.js'
import { MARK, MARK_SHIFT, SLOT_MARK, SLOT_START, SLOT_WORDS, WORD } from './ring-layout.js'
import { wakeForSequence } from './wake.js'

/**
 * Entries that are ready to be claimed for: types and sizes are checked, nothing of the user's can run any more.
 */
export interface Stretch {
  /** Bytes of all frames together. */
  readonly bytes: number
  /** Number of entries; more than one is a group. */
  readonly count: number
  /** Writes the finished frames, checksums included, from `offset` on. */
  fill(target: Uint8Array, view: DataView, offset: number, claim: Claim): void
}

/**
 * Appends a stretch: claims, fills, publishes, wakes. Returns {@link CLAIMED} (`claim` tells where), `CLAIM_FULL`
 * (no room, or the arena is taken; nothing was changed), or `CLAIM_REFUSED` (the log has ended). Never blocks.
 * What `fill` throws is thrown on, after the stretch was published as aborted: its sequences stay, empty.
 */
export function appendStretch(ring: Ring, record: ProducerRecord, stretch: Stretch, claim: Claim, ticks: number): number {
  const { atomics, words } = ring
  const phase = record.phase | 1
  // [enter] The writer waits for this record before it calls anything of its claims dead. Pairs with [note].
  atomics.store(words, record.phaseIndex, phase)
  record.phase = (phase + 1) | 0
  try {
    return stretch.bytes <= ring.maxStretchBytes
      ? appendThroughRing(ring, stretch, claim, ticks)
      : appendThroughArena(ring, record, stretch, claim, ticks)
  } finally {
    // [leave] Nothing is owed any more, also when `fill` has thrown: the writer would wait for this record before it could
    // call another one dead.
    atomics.store(words, record.phaseIndex, record.phase)
  }
}

function appendThroughRing(ring: Ring, stretch: Stretch, claim: Claim, ticks: number): number {
  const status = claimStretch(ring, claim, stretch.bytes, stretch.count, ticks)
  if (status !== CLAIMED) return status
  try {
    stretch.fill(ring.bytes, ring.view, claim.start & (ring.ringBytes - 1), claim)
  } catch (error) {
    publish(ring, claim, stretch, MARK.abortedEntry, stretch.bytes)
    throw error
  }
  publish(ring, claim, stretch, MARK.entry, stretch.bytes)
  return status
}

function appendThroughArena(ring: Ring, record: ProducerRecord, stretch: Stretch, claim: Claim, ticks: number): number {
  const { atomics, words } = ring
  // [arena] One stretch at a time. The writer frees it after the write; a dead owner's too.
  if (atomics.compareExchange(words, WORD.arenaOwner, 0, record.index + 1) !== 0) return CLAIM_FULL
  const status = claimStretch(ring, claim, 0, stretch.count, ticks)
  if (status !== CLAIMED) {
    atomics.store(words, WORD.arenaOwner, 0)
    return status
  }
  try {
    stretch.fill(ring.arena, ring.arenaView, 0, claim)
    words[WORD.arenaBytes] = stretch.bytes
  } catch (error) {
    atomics.store(words, WORD.arenaOwner, 0)
    publish(ring, claim, stretch, MARK.abortedEntry, 0)
    throw error
  }
  publish(ring, claim, stretch, MARK.largeEntry, 0)
  return status
}

/** `kind` is that of a single entry; a group's is the one above it. */
function publish(ring: Ring, claim: Claim, stretch: Stretch, kind: number, ringBytes: number): void {
  const { atomics, slots, slotMask } = ring
  const slot = (claim.sequence & slotMask) * SLOT_WORDS
  slots[slot + SLOT_START] = claim.start
  const isGroup = stretch.count > 1
  if (isGroup) slots[((claim.sequence + 1) & slotMask) * SLOT_WORDS + SLOT_START] = stretch.count
  // [publish] The frames and the start above are plain writes; this makes them visible. Pairs with [drain].
  // Without it the writer could hand half a frame to the disk.
  atomics.store(slots, slot + SLOT_MARK, ((isGroup ? kind + 1 : kind) << MARK_SHIFT) | ringBytes)
  wakeForSequence(ring, claim.sequence)
}
