/**
 * The consumers' cursors in shared memory: [commit] and [collect] of ring-layout.ts.
 *
 * Cursors are added, sought and removed on the thread that opened the log alone; committed on any; collected by the writer.
 */

import { WalError } from '../errors.js'
import { MAX_CURSORS, type Cursor } from '../format/trailer-layout.js'
import { readPair, setPair } from './pair.js'
import type { Ring } from './ring.js'
import {
  CURSOR, CURSOR_BASE, CURSOR_EPOCH_SHIFT, CURSOR_HIGH_MASK, CURSOR_STATE, CURSOR_WORDS, WORD,
} from './ring-layout.js'
import { wakeWriter } from './wake.js'

/** A hold on one cursor, in the epoch in which it was taken. Plain data: may be sent to other threads. */
export interface CursorHold {
  /** Index of the cursor's first word. */
  readonly base: number
  /** The low bits of the epoch, where they stand in the high word of a place. */
  readonly epochBits: number
}

/** Where a cursor was when the writer took it. */
export interface CollectedCursor extends Cursor {
  readonly base: number
}

const TWO_32 = 2 ** 32
/** The bits of the epoch that a place has room for. */
const EPOCH_LOW_MASK = 2 ** (32 - CURSOR_EPOCH_SHIFT) - 1

/** Sets the cursors that a log begins with, all of them durable. Before the ring is shared. */
export function initializeCursors(ring: Ring, cursors: readonly Cursor[]): void {
  for (const cursor of cursors) markDurable(ring, { ...cursor, base: insert(ring, cursor) })
}

/**
 * Adds a cursor at `sequence`. It counts for the writer at once, and is durable with the next trailer. Throws
 * `ERR_WAL_TOO_MANY_CONSUMERS` when all 4,096 are taken.
 */
export function addCursor(ring: Ring, name: string, sequence: number): CursorHold {
  const base = insert(ring, { name, sequence, epoch: undefined })
  announce(ring)
  return holdCursor(ring, base)
}

/** Without an epoch it goes on from that of the last cursor that was kept there, so that nothing meant for that one fits. */
function insert(ring: Ring, { name, sequence, epoch: given }: Omit<Cursor, 'epoch'> & { epoch: number | undefined }): number {
  const { atomics, words } = ring
  const limit = atomics.load(words, WORD.cursorLimit)
  let index = 0
  while (index < limit && isUsed(ring, baseOf(index))) index++
  if (index === MAX_CURSORS) throw new WalError('ERR_WAL_TOO_MANY_CONSUMERS', `the log has ${MAX_CURSORS} consumers already`)
  const base = baseOf(index)
  const epoch = given ?? (atomics.load(words, base + CURSOR.epoch) + 1) >>> 0
  // The epoch first: who finds the one of before behind what it has read, has read nothing of this cursor ({@link takeCursor}).
  atomics.store(words, base + CURSOR.epoch, epoch | 0)
  setName(ring, base, name)
  setPair(ring, base + CURSOR.place, sequence | 0, highWord(sequence, epoch))
  setPair(ring, base + CURSOR.delivered, sequence | 0, Math.floor(sequence / TWO_32))
  setPair(ring, base + CURSOR.durable, 0, 0)
  // The state last: who finds it set finds the rest.
  atomics.store(words, base + CURSOR.state, CURSOR_STATE.used)
  if (index === limit) atomics.store(words, WORD.cursorLimit, index + 1)
  return base
}

/** Removes a cursor. It is gone from the disk with the next trailer; holds on it are void. */
export function removeCursor(ring: Ring, base: number): void {
  const { atomics, words } = ring
  // Nobody's commit fits an epoch that has passed.
  seekCursor(ring, base, readCursor(ring, base).sequence)
  atomics.store(words, base + CURSOR.state, CURSOR_STATE.free)
  announce(ring)
}

/** Where the cursor of that name is kept; undefined when there is none. */
export function findCursor(ring: Ring, name: string): number | undefined {
  return usedBases(ring).find((base) => nameOf(ring, base) === name)
}

/** A hold on a cursor in its present epoch. */
export function holdCursor(ring: Ring, base: number): CursorHold {
  return { base, epochBits: epochBits(ring.atomics.load(ring.words, base + CURSOR.epoch)) }
}

/**
 * [commit] Moves a cursor up to `sequence`, on any thread; never blocks. False when it stands there or beyond already, or was sought or
 * removed since the hold was taken. The caller has checked `sequence` against {@link deliveredSequence}.
 */
export function commitCursor(ring: Ring, { base, epochBits: bits }: CursorHold, sequence: number): boolean {
  const { atomics, words } = ring
  const place = base + CURSOR.place
  const low = sequence | 0
  const high = bits | Math.floor(sequence / TWO_32)
  for (;;) {
    // Plain reads: the compare-and-set says whether they held. A "no" is said of an atomic look only.
    const lowNow = words[place]!
    const highNow = words[place + 1]!
    if (!isBelow(lowNow, highNow, bits, sequence)) {
      const now = readPair(ring, place)
      if (!isBelow(now.low, now.high, bits, sequence)) return false
      continue
    }
    if (atomics.compareExchange64(place, lowNow, highNow, low, high)) break
  }
  if (atomics.load(words, WORD.cursorsChanged) === 0) announce(ring)
  return true
}

function isBelow(low: number, high: number, bits: number, sequence: number): boolean {
  return ((high ^ bits) & ~CURSOR_HIGH_MASK) === 0 && sequenceOf(low, high) < sequence
}

/** Sets a cursor anywhere, in a new epoch: commits that are on their way come to nothing. Returns the hold in that epoch. */
export function seekCursor(ring: Ring, base: number, sequence: number): CursorHold {
  const { atomics, words } = ring
  const epoch = (atomics.load(words, base + CURSOR.epoch) + 1) >>> 0
  atomics.store(words, base + CURSOR.epoch, epoch | 0)
  setPair(ring, base + CURSOR.place, sequence | 0, highWord(sequence, epoch))
  setPair(ring, base + CURSOR.delivered, sequence | 0, Math.floor(sequence / TWO_32))
  announce(ring)
  return holdCursor(ring, base)
}

/** Notes that entries up to `sequence` have been delivered. */
export function noteDelivered(ring: Ring, base: number, sequence: number): void {
  ring.atomics.raise64(base + CURSOR.delivered, sequence)
}

/** The last sequence that was delivered since the cursor was set: no commit may go beyond. */
export function deliveredSequence(ring: Ring, base: number): number {
  const { low, high } = readPair(ring, base + CURSOR.delivered)
  return high * TWO_32 + (low >>> 0)
}

/** Where a cursor stands. */
export function readCursor(ring: Ring, base: number): Cursor {
  const { low, high } = readPair(ring, base + CURSOR.place)
  // While it is being sought the epoch is one ahead of the place.
  const epoch = ring.atomics.load(ring.words, base + CURSOR.epoch)
  const ahead = (epoch - (high >>> CURSOR_EPOCH_SHIFT)) & EPOCH_LOW_MASK
  return { name: nameOf(ring, base), sequence: sequenceOf(low, high), epoch: (epoch - ahead) >>> 0 }
}

/** The committed sequence that is on disk; undefined while it is one of another epoch than the hold's. */
export function durableCursor(ring: Ring, { base, epochBits: bits }: CursorHold): number | undefined {
  const { low, high } = readPair(ring, base + CURSOR.durable)
  return ((high ^ bits) & ~CURSOR_HIGH_MASK) === 0 ? sequenceOf(low, high) : undefined
}

/** Whether the hold's epoch is still the cursor's. */
export function isCurrent(ring: Ring, { base, epochBits: bits }: CursorHold): boolean {
  return isUsed(ring, base) && epochBits(ring.atomics.load(ring.words, base + CURSOR.epoch)) === bits
}

/** All cursors as they stand now. */
export function listCursors(ring: Ring): CollectedCursor[] {
  return usedBases(ring).map((base) => takeCursor(ring, base)).filter((cursor) => cursor !== undefined)
}

/**
 * A cursor as of one moment; undefined when it has been removed. Another one may be kept there meanwhile: its name must not be taken with the place of the
 * one before.
 */
function takeCursor(ring: Ring, base: number): CollectedCursor | undefined {
  const { atomics, words } = ring
  for (;;) {
    const epoch = atomics.load(words, base + CURSOR.epoch)
    // Removed since it was listed: the interleavings have it, which run the code by steps, and no other test.
    if (!isUsed(ring, base)) return undefined
    const cursor = readCursor(ring, base)
    if (atomics.load(words, base + CURSOR.epoch) === epoch) return { ...cursor, base }
  }
}

/** [collect] The cursors for the next trailer; undefined when none has moved since the last time. For the writer. */
export function collectCursors(ring: Ring): CollectedCursor[] | undefined {
  return ring.atomics.exchange(ring.words, WORD.cursorsChanged, 0) === 0 ? undefined : listCursors(ring)
}

/** Tells that a trailer with this cursor is durable. For the writer; it signals when all are told. */
export function markDurable(ring: Ring, { base, sequence, epoch }: CollectedCursor): void {
  setPair(ring, base + CURSOR.durable, sequence | 0, highWord(sequence, epoch))
}

function announce(ring: Ring): void {
  ring.atomics.store(ring.words, WORD.cursorsChanged, 1)
  wakeWriter(ring)
}

function baseOf(index: number): number {
  return CURSOR_BASE + index * CURSOR_WORDS
}

function usedBases(ring: Ring): number[] {
  const bases: number[] = []
  const limit = ring.atomics.load(ring.words, WORD.cursorLimit)
  for (let index = 0; index < limit; index++) if (isUsed(ring, baseOf(index))) bases.push(baseOf(index))
  return bases
}

function isUsed(ring: Ring, base: number): boolean {
  return ring.atomics.load(ring.words, base + CURSOR.state) === CURSOR_STATE.used
}

/** Word by word: each is a step where every interleaving is run. */
function setName({ words }: Ring, base: number, name: string): void {
  const bytes = Buffer.from(name)
  const padded = new Int32Array(Math.ceil(bytes.length / 4))
  Buffer.from(padded.buffer).set(bytes)
  words[base + CURSOR.nameBytes] = bytes.length
  for (let index = 0; index < padded.length; index++) words[base + CURSOR.name + index] = padded[index]!
}

function nameOf({ words }: Ring, base: number): string {
  const length = words[base + CURSOR.nameBytes]!
  const padded = new Int32Array(Math.ceil(length / 4))
  for (let index = 0; index < padded.length; index++) padded[index] = words[base + CURSOR.name + index]!
  return Buffer.from(padded.buffer, 0, length).toString()
}

function epochBits(epoch: number): number {
  return epoch << CURSOR_EPOCH_SHIFT
}

function highWord(sequence: number, epoch: number): number {
  return epochBits(epoch) | Math.floor(sequence / TWO_32)
}

function sequenceOf(low: number, high: number): number {
  return (high & CURSOR_HIGH_MASK) * TWO_32 + (low >>> 0)
}
