/** The way of an entry from a producer's thread into the ring: steps [enter] to [leave] of ring-layout.ts. */

import { FRAME_OVERHEAD } from '../format/frame-layout.js'
import { CLAIM_FULL, CLAIMED, claimStretch, placeStatus, type Claim } from './claim.js'
import type { Debt, ProducerRecord } from './records.js'
import type { Ring } from './ring.js'
import { MARK, MARK_SHIFT, MAX_UNSEALED_BYTES, SLOT_MARK, UNSEALED_BACKLOG, WAKE_BACKLOG, WORD } from './ring-layout.js'
import { signal } from '../sync/event-count.js'
import { wakeForSequence } from './wake.js'

/**
 * Entries that are ready to be claimed for: types and sizes are checked, nothing of the user's can run any more.
 */
export interface Stretch {
  /** Bytes of all frames together. */
  readonly bytes: number
  /** Number of entries; more than one is a group. */
  readonly count: number
  /** Where the data of a single entry of at most `MAX_SHORT_BYTES` stands in the shared memory; 0 if it is another, or stands elsewhere. */
  readonly shortAddress: number
  /** Writes the frames from `offset` on; with their checksums if `sealed`. */
  fill(target: Uint8Array, view: DataView, offset: number, claim: Claim, sealed: boolean): void
}

/**
 * Appends a stretch: claims, fills, publishes, wakes. Returns {@link CLAIMED} (`claim` tells where), `CLAIM_FULL`
 * (no room, or the arena is taken; nothing was changed), or `CLAIM_REFUSED` (the log has ended). Never blocks.
 * What `fill` throws (on a full stack anything may) is thrown on, after the stretch was published as aborted: its sequences
 * stay, empty.
 */
export function appendStretch(ring: Ring, record: ProducerRecord, stretch: Stretch, claim: Claim, ticks: number): number {
  if (stretch.shortAddress !== 0 && appendShort(ring, record, stretch, claim, ticks)) return CLAIMED
  const { atomics, words, slots } = ring
  const { debt } = record
  // [enter] The writer waits for this record before it calls anything of its claims dead. Pairs with [note], by way of the claim word.
  words[record.phaseIndex] = (record.phase + 1) | 0
  record.phase = (record.phase + 2) | 0
  let isPublished = false
  try {
    const status = stretch.bytes <= ring.maxStretchBytes
      ? appendThroughRing(ring, record, stretch, claim, ticks)
      : appendThroughArena(ring, record, stretch, claim, ticks)
    // [leave] Nothing is owed any more.
    atomics.store(words, record.phaseIndex, record.phase)
    isPublished = true
    return status
  } finally {
    // What came here by a throw may have no stack left for a single call: plain stores, which cannot fail, and no wake-up; the
    // writer looks by itself now and then. The start is in its slot since the claim.
    if (!isPublished) {
      if (debt.hasArena) words[WORD.arenaOwner] = 0
      if (debt.count > 0) slots[debt.slot + SLOT_MARK] = ((debt.count > 1 ? MARK.abortedGroup : MARK.abortedEntry) << MARK_SHIFT) | debt.ringBytes
      debt.count = 0
      debt.hasArena = false
      words[record.phaseIndex] = record.phase
    }
  }
}

/** All of it in one operation (append-program.ts). False: there is no room, or the log has ended, or there is no WebAssembly. */
function appendShort(ring: Ring, record: ProducerRecord, { bytes, shortAddress }: Stretch, claim: Claim, ticks: number): boolean {
  const { operations, words } = ring
  if (operations === undefined) return false
  const { phase } = record
  record.phase = (phase + 2) | 0
  let isDone = false
  try {
    const sequence = operations.append(shortAddress, bytes - FRAME_OVERHEAD, ticks, record.address, phase)
    isDone = true
    if (sequence === 0) return false
    claim.sequence = sequence
    claim.ticks = words[record.ticksIndex + 1]! * 2 ** 32 + (words[record.ticksIndex]! >>> 0)
    return true
  } finally {
    // As below.
    if (!isDone) {
      const owed = words[record.owedIndex]!
      if (owed !== 0) ring.slots[owed] = (MARK.abortedEntry << MARK_SHIFT) | bytes
      words[record.owedIndex] = 0
      words[record.phaseIndex] = record.phase
    }
  }
}

function appendThroughRing(ring: Ring, record: ProducerRecord, stretch: Stretch, claim: Claim, ticks: number): number {
  const status = claimStretch(ring, claim, stretch.bytes, stretch.count, ticks, record.debt)
  if (status !== CLAIMED) return status
  const sealed = stretch.count > 1 || stretch.bytes > MAX_UNSEALED_BYTES || claim.backlog > ring.ringBytes * UNSEALED_BACKLOG
  stretch.fill(ring.bytes, ring.view, claim.start & (ring.ringBytes - 1), claim, sealed)
  publish(ring, record.debt, stretch.count > 1 ? MARK.group : sealed ? MARK.entry : MARK.unsealedEntry)
  wakeForSequence(ring, claim.sequence, claim.backlog > ring.ringBytes * WAKE_BACKLOG)
  return status
}

function appendThroughArena(ring: Ring, record: ProducerRecord, stretch: Stretch, claim: Claim, ticks: number): number {
  const { atomics, words } = ring
  // Before the arena is taken: given back for want of slots, it would wake who waits for it, for nothing.
  const place = placeStatus(ring, 0, stretch.count)
  if (place !== CLAIMED) return place
  // [arena] One stretch at a time. The writer frees it after the write; a dead owner's too.
  if (atomics.compareExchange(words, WORD.arenaOwner, 0, record.index + 1) !== 0) return CLAIM_FULL
  record.debt.hasArena = true
  const status = claimStretch(ring, claim, 0, stretch.count, ticks, record.debt)
  if (status !== CLAIMED) {
    atomics.store(words, WORD.arenaOwner, 0)
    record.debt.hasArena = false
    signal(atomics, words, WORD.roomEvent)
    return status
  }
  stretch.fill(ring.arena, ring.arenaView, 0, claim, true)
  words[WORD.arenaBytes] = stretch.bytes
  publish(ring, record.debt, stretch.count > 1 ? MARK.largeGroup : MARK.largeEntry)
  // The arena has one place, which others wait for.
  wakeForSequence(ring, claim.sequence, true)
  return status
}

function publish(ring: Ring, debt: Debt, kind: number): void {
  // [publish] The frames, and the start and count that the claim left in the slots, are plain writes; this makes them visible.
  // Pairs with [drain]. Without it the writer could hand half a frame to the disk.
  ring.atomics.store(ring.slots, debt.slot + SLOT_MARK, (kind << MARK_SHIFT) | debt.ringBytes)
  debt.count = 0
  debt.hasArena = false
}
