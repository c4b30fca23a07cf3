/** The writer's side of the ring: [drain], [clear], [release], [acknowledge] of ring-layout.ts. */

import { WalError } from '../errors.js'
import { FRAME_CHECKSUM_BYTES, FRAME_OVERHEAD, frameTicks, sealFrame } from '../format/frame-layout.js'
import { signal } from '../sync/event-count.js'
import type { Ring } from './ring.js'
import {
  COUNTER, MARK, MARK_BYTES_MASK, MARK_SHIFT, placeStretch, POSITION_MASK, sequenceEra, SLOT_MARK, SLOT_START, SLOT_WORDS, WORD,
} from './ring-layout.js'

/** Where the writer stands: the next sequence to drain, and where in the ring it must start. */
export interface DrainPoint {
  sequence: number
  position: number
}

/** One run of bytes to be written: of the ring, of the arena, or a placeholder for aborted sequences. */
export interface Extent {
  readonly source: 'ring' | 'arena' | 'aborted'
  readonly offset: number
  bytes: number
  readonly firstSequence: number
  lastSequence: number
  /** For `aborted`: the timestamp of the frame before it in this batch, 0 when there is none. */
  readonly ticks: bigint
}

/** A frame to be indexed: `batchOffset` counts from the first extent's first byte. */
export interface IndexMark {
  readonly sequence: number
  readonly ticks: bigint
  readonly batchOffset: number
}

/** What one drain found: whole stretches, in order of sequence. */
export interface DrainedBatch {
  readonly extents: Extent[]
  readonly marks: IndexMark[]
  firstSequence: number
  lastSequence: number
  bytes: number
  entryCount: number
  firstTicks: bigint
  lastTicks: bigint
}

/** What {@link drain} may take. A single stretch beyond it is taken alone. */
export interface DrainLimits {
  readonly bytes: number
  readonly entries: number
  /** The bytes that a placeholder for aborted sequences will take. */
  readonly abortedBytes: number
  /** Distance of indexed frames, in bytes. */
  readonly indexIntervalBytes: number
}

/** [drain] Takes published stretches from `point` on, which moves; undefined when the head is not published. */
export function drain(ring: Ring, point: DrainPoint, limits: DrainLimits): DrainedBatch | undefined {
  const { atomics, slots, slotMask, ringBytes } = ring
  let batch: DrainedBatch | undefined
  let nextMark = 0
  let lastFrame = -1
  let lastIsLarge = false
  for (;;) {
    const slot = (point.sequence & slotMask) * SLOT_WORDS
    const mark = atomics.load(slots, slot + SLOT_MARK)
    // A lap of the slots later this is the batch's own first mark, which is cleared only after the write.
    if (mark === 0 || (batch !== undefined && point.sequence - batch.firstSequence > slotMask)) break
    const kind = mark >>> MARK_SHIFT
    const ringLength = mark & MARK_BYTES_MASK
    const start = slots[slot + SLOT_START]!
    const expected = placeStretch(point.position, ringLength, ringBytes) & POSITION_MASK
    if (start !== expected) throw violation(point.sequence, `its stretch starts at ${start}, expected ${expected}`)
    const isGroup = kind % 2 === 0
    const count = isGroup ? slots[((point.sequence + 1) & slotMask) * SLOT_WORDS + SLOT_START]! : 1
    const isLarge = kind === MARK.largeEntry || kind === MARK.largeGroup
    const isAborted = kind === MARK.abortedEntry || kind === MARK.abortedGroup
    const bytes = isAborted ? limits.abortedBytes : isLarge ? ring.words[WORD.arenaBytes]! : ringLength
    if (batch !== undefined && (batch.bytes + bytes > limits.bytes || batch.entryCount + count > limits.entries)) break
    batch ??= emptyBatch(point.sequence)
    const last = point.sequence + count - 1
    if (isAborted) {
      const ticks = lastFrame < 0 ? 0n : frameTicks(lastIsLarge ? ring.arenaView : ring.view, lastFrame)
      addExtent(batch, 'aborted', 0, bytes, point.sequence, last, ticks)
    } else {
      const offset = isLarge ? 0 : start & (ringBytes - 1)
      if (kind === MARK.unsealedEntry) seal(ring, offset, ringLength)
      if (batch.bytes >= nextMark || batch.entryCount === 0) {
        const ticks = frameTicks(isLarge ? ring.arenaView : ring.view, offset)
        if (batch.entryCount === 0) batch.firstTicks = ticks
        batch.marks.push({ sequence: point.sequence, ticks, batchOffset: batch.bytes })
        nextMark = batch.bytes + limits.indexIntervalBytes
      }
      addExtent(batch, isLarge ? 'arena' : 'ring', offset, bytes, point.sequence, last)
      batch.entryCount += count
      lastFrame = offset
      lastIsLarge = isLarge
    }
    point.sequence = last + 1
    point.position = (start + ringLength) & POSITION_MASK
  }
  if (batch !== undefined && lastFrame >= 0) batch.lastTicks = frameTicks(lastIsLarge ? ring.arenaView : ring.view, lastFrame)
  return batch
}

/** The checksum of the frame of `bytes` at `offset` of the ring, which its producer left to be computed here. */
function seal(ring: Ring, offset: number, bytes: number): void {
  const { operations, bytesAddress } = ring
  if (operations === undefined) sealFrame(ring.bytes, ring.view, offset, bytes - FRAME_OVERHEAD)
  else operations.seal(bytesAddress + offset, bytesAddress + offset + bytes - FRAME_CHECKSUM_BYTES)
}

function emptyBatch(firstSequence: number): DrainedBatch {
  return { extents: [], marks: [], firstSequence, lastSequence: firstSequence - 1, bytes: 0, entryCount: 0, firstTicks: 0n, lastTicks: 0n }
}

function addExtent(
  batch: DrainedBatch, source: Extent['source'], offset: number, bytes: number, first: number, last: number, ticks = 0n,
): void {
  const previous = batch.extents.at(-1)
  if (previous !== undefined && previous.source === source && source === 'ring' && previous.offset + previous.bytes === offset) {
    previous.bytes += bytes
    previous.lastSequence = last
  } else if (previous !== undefined && previous.source === 'aborted' && source === 'aborted') {
    previous.lastSequence = last
    batch.lastSequence = last
    return
  } else {
    batch.extents.push({ source, offset, bytes, firstSequence: first, lastSequence: last, ticks })
  }
  batch.bytes += bytes
  batch.lastSequence = last
}

/** A batch that is nothing but a placeholder for the sequences up to `last`, which dead producers held; `point` moves behind them. */
export function abortedBatch(point: DrainPoint, last: number, position: number, bytes: number): DrainedBatch {
  const batch = emptyBatch(point.sequence)
  addExtent(batch, 'aborted', 0, bytes, point.sequence, last)
  point.sequence = last + 1
  point.position = position
  return batch
}

/** The bytes of an extent, as they stand in shared memory. */
export function extentBytes(ring: Ring, extent: Extent): Uint8Array {
  return (extent.source === 'arena' ? ring.arena : ring.bytes).subarray(extent.offset, extent.offset + extent.bytes)
}

/** [clear] and [release] Gives the ring space of a written batch back; `point` is where the drain stood after it. */
export function release(ring: Ring, batch: DrainedBatch, point: Readonly<DrainPoint>): void {
  const { atomics, words, slots, slotMask } = ring
  // [clear] before [release]: the other way round, the mark of a producer that reuses the slot would be wiped.
  const from = (batch.firstSequence & slotMask) * SLOT_WORDS
  const to = from + (batch.lastSequence - batch.firstSequence + 1) * SLOT_WORDS
  atomics.clear(slots, from, Math.min(to, slots.length))
  if (to > slots.length) atomics.clear(slots, 0, to - slots.length)
  if (batch.extents.some((extent) => extent.source === 'arena')) atomics.store(words, WORD.arenaOwner, 0)
  atomics.store(words, WORD.era, sequenceEra(point.sequence))
  atomics.store(words, WORD.writtenSequence, batch.lastSequence | 0)
  // [release] Pairs with [claim]. Earlier, and a producer would write over bytes that are not with the kernel yet.
  atomics.store(words, WORD.releasedPosition, point.position)
  atomics.store(words, WORD.releasedSequence, point.sequence | 0)
  signal(atomics, words, WORD.roomEvent)
}

/** Adds a written batch to the writer's counters. */
export function countBatch({ counters }: Ring, batch: DrainedBatch): void {
  counters[COUNTER.batches]!++
  counters[COUNTER.entries]! += batch.entryCount
  counters[COUNTER.bytes]! += batch.bytes
  counters[COUNTER.largestBatchBytes] = Math.max(counters[COUNTER.largestBatchBytes]!, batch.bytes)
  const aborted = batch.extents.filter((extent) => extent.source === 'aborted')
  counters[COUNTER.aborted]! += aborted.reduce((sum, { firstSequence, lastSequence }) => sum + lastSequence - firstSequence + 1, 0)
}

/** [acknowledge] Everything up to `sequence` is durable. After the sync that made it so, never before. */
export function acknowledge(ring: Ring, sequence: number): void {
  ring.atomics.store(ring.words, WORD.durableSequence, sequence | 0)
  signal(ring.atomics, ring.words, WORD.durableEvent)
}

/** Whether the sequence has been published. */
export function isPublished(ring: Ring, sequence: number): boolean {
  return ring.atomics.load(ring.slots, (sequence & ring.slotMask) * SLOT_WORDS + SLOT_MARK) !== 0
}

/** The error for a broken rule of the protocol. */
export function violation(sequence: number, what: string): WalError {
  return new WalError('ERR_WAL_PROTOCOL', `ring protocol violated at sequence ${sequence}: ${what}`, { firstSequence: sequence })
}
