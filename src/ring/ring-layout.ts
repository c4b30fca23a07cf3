/**
 * The shared memory of one log, and the protocol on it.
 *
 * One shared memory with *control* (words below, *records* of threads, *cursors* of consumers), *scratch* (of each thread), *slots* (two words a sequence in flight)
 * and *bytes* (the ring: frames as on disk, packed); and the *arena*, a buffer of its own, for entries too large for the ring.
 * All words are 32 bits. A word that `Atomics` touches is never touched plainly while shared.
 *
 * ## Positions
 *
 * A *position* counts ring bytes modulo 2^31; the offset is position modulo the ring's size, which is a power of two
 * of at most 2^30, so that differences below the ring's size survive the wrap. A stretch never wraps: one that does
 * not fit before the ring's end starts at the next lap ({@link placeStretch}).
 *
 * ## Steps of a producer
 *
 * 1. [enter]   its record's phase becomes odd: from here on it may owe something. A plain write: the compare-and-set of [claim]
 *              makes it visible to whoever sees the claim.
 * 2. [arena]   a large stretch takes the arena: compare-and-set of its owner from 0 to record + 1.
 * 3. [claim]   read the claim word (sequence low 32 bits; ended flag and position in the high word); read what was released
 *              (always anew: a value from an earlier attempt may be from before a wrap of the counters); raise the
 *              time floor; compare-and-set the claim word. On failure all of it again. The reads are plain: an old or a torn
 *              claim word fails the compare-and-set, and an old released position only makes the ring look fuller than it is.
 *              *Full* and *ended* are said after atomic loads, and only of a claim word that has not moved meanwhile.
 *              Then plain writes: the slot's start, and the count of a group in the next slot.
 * 4. [fill]    plain writes: the frames. The checksum of a single short entry is left to the writer while that one keeps up
 *              ({@link UNSEALED_BACKLOG}): it has time then, and the producer's thread has not.
 * 5. [publish] store the first slot's mark: kind and length. Pairs with [drain].
 * 6. [wake]    only if the writer says that it sleeps, and for this very sequence; or much of the ring waits ({@link WAKE_BACKLOG}). Pairs with [sleep].
 * 7. [leave]   the phase becomes even.
 *
 * The time floor makes timestamps ascend with the sequence: who claims n + 1 has loaded a claim word that the
 * claimer of n set, and that one raised the floor before.
 *
 * ## Steps of the writer
 *
 * 1. [drain]   load marks from the head on, until a zero. Each start must be where the positions say. Checksums that were left
 *              to the writer are computed here.
 * 2. write the ranges (not here).
 * 3. [clear]   store 0 into the drained slots. Before [release]: else a new producer's mark would be wiped.
 * 4. [release] store released sequence and position; signal the room event. Pairs with [claim].
 * 5. sync (not here), then [acknowledge]: store the durable sequence, signal the durable event.
 * 6. [sleep]   store the head it waits for, store asleep = 1, look again at the head's mark and at the commands, then wait
 *              with a time limit: a producer may die between [publish] and [wake].
 *
 * ## Cursors
 *
 * 1. [commit]  compare-and-set of a cursor's place, only upwards and only in its epoch; then, unless it is 1 already, store
 *              cursors-changed = 1 and wake the writer. The load of that word comes after the compare-and-set: who finds it 1
 *              leaves the new place to the writer's next look, which takes the 0 there first. Pairs with [collect].
 * 2. [collect] the writer exchanges cursors-changed for 0, then loads the places; they go into the next trailer.
 * 3. after the sync of that trailer it stores the places as durable and signals the durable event.
 *
 * ## A producer that dies
 *
 * It may stop between any two steps. See dead-producers.ts; the ways out: phase odd and thread proved dead → what it
 * claimed and did not publish is aborted, the arena that it took is freed, its record is freed, all by the writer alone.
 */

import { CRC_TABLE } from '../format/crc32.js'
import { MAX_CURSORS } from '../format/trailer-layout.js'
import { EVENT_EPOCH } from '../sync/event-count.js'

/** Words per cache line. Words that different threads write stand in different lines. */
const LINE = 16

/** Indices of the control words. */
export const WORD = {
  /** The claim word, 64 bits: next sequence (low 32 bits) | ended flag (bit 63) and position (31 bits). */
  claim: LINE,
  /** The time floor, 64 bits: relative ticks, see format/ticks.ts. */
  floor: 2 * LINE,
  /** Low 32 bits of the first sequence that is not released. */
  releasedSequence: 3 * LINE,
  releasedPosition: 3 * LINE + 1,
  /** Released sequence divided by 2^30: widens the low 32 bits of any sequence in use. */
  era: 3 * LINE + 2,
  /** Low 32 bits of the last durable sequence. */
  durableSequence: 4 * LINE,
  /** Event count: durable, failed or closed. */
  durableEvent: 4 * LINE + 1 + EVENT_EPOCH,
  /** Low 32 bits of the last sequence handed to the kernel. */
  writtenSequence: 4 * LINE + 3,
  /** Event count: room in the ring, arena free, failed or closed. */
  roomEvent: 5 * LINE + EVENT_EPOCH,
  /** 1 while the writer sleeps; it waits on this word. */
  asleep: 6 * LINE,
  /** Low 32 bits of the sequence that it sleeps for. */
  sleepSequence: 6 * LINE + 1,
  /** One of {@link STATE}. */
  state: 7 * LINE,
  /** Bytes of the failure record. */
  failureBytes: 7 * LINE + 1,
  /** The writer thread's identity: id, start time low and high. */
  writerThread: 7 * LINE + 2,
  writerStartLow: 7 * LINE + 3,
  writerStartHigh: 7 * LINE + 4,
  /** High word that relative ticks count from. */
  tickBase: 7 * LINE + 5,
  /** One of {@link SPACE}: whether the disk has room for more. */
  space: 7 * LINE + 6,
  /** 1: somebody waits for durability that would not come by itself, up to {@link syncTarget}. */
  syncWanted: 8 * LINE,
  /** Rolls asked for and done, counted. */
  rollWanted: 8 * LINE + 1,
  rollDone: 8 * LINE + 2,
  /** 1: drain, seal, end. */
  closeWanted: 8 * LINE + 3,
  /** 1: write the closing mark of the last batch now instead of when idle. */
  settleWanted: 8 * LINE + 4,
  /** Low 32 bits of the highest sequence that is waited for, see {@link syncWanted}, or is durable. */
  syncTarget: 8 * LINE + 5,
  /** How often cursors were asked to be made durable at once, and the last of these that was done. */
  cursorsWanted: 8 * LINE + 6,
  cursorsDone: 8 * LINE + 7,
  /** 1: a cursor has moved since the writer took them last. */
  cursorsChanged: 8 * LINE + 8,
  /** Record + 1 of the arena's owner; 0 when it is free. */
  arenaOwner: 9 * LINE,
  /** Checkpoints asked for and done, counted. */
  checkpointWanted: 8 * LINE + 9,
  checkpointDone: 8 * LINE + 10,
  /** KiB of files uploaded since the log was opened, modulo 2^32: a tail with many is sealed, so that they can go. */
  blobKib: 8 * LINE + 11,
  /** Bytes of the stretch in the arena; plain, published by the slot's mark. */
  arenaBytes: 9 * LINE + 1,
  /** Number of records ever in use: none beyond has to be looked at. */
  recordLimit: 10 * LINE,
  /** Number of cursors ever in use. */
  cursorLimit: 10 * LINE + 1,
  /** Entries dropped because the ring was full, 64 bits. */
  dropped: 11 * LINE,
  /** Clock: monotonic nanoseconds at opening, 64 bits; relative ticks at that moment, 64 bits. Plain, set before sharing. */
  clockZeroNs: 12 * LINE,
  clockZeroTicks: 12 * LINE + 2,
  /** Counters of the writer, float64 each, written by it alone and plainly: see {@link COUNTER}. */
  counters: 13 * LINE,
  /** The first sequence of the oldest segment that a reader of the log is in, 64 bits; 0: none. */
  readFloor: 15 * LINE,
} as const

/** The writer's counters, by index. */
export const COUNTER = {
  batches: 0, entries: 1, bytes: 2, syncs: 3, syncMs: 4, longestSyncMs: 5, aborted: 6, rolls: 7, sleeps: 8, largestBatchBytes: 9,
} as const
export const COUNTER_COUNT = 16
/** Where the failure record begins, in bytes, and how long it may be. */
export const FAILURE_OFFSET = 4096
export const FAILURE_MAX_BYTES = 4096

/** Life of a log as all threads see it. It only moves forward. */
export const STATE = { open: 0, failing: 1, failed: 2, closed: 3 } as const

/** Room on the disk as producers see it: there is some; the disk is full; the log is beyond its limit. */
export const SPACE = { ok: 0, diskFull: 1, overLimit: 2 } as const

/** The ended flag in the high claim word: its sign bit. */
export const CLAIM_ENDED = -0x80000000
/** Positions count modulo 2^31. */
export const POSITION_MASK = 0x7fffffff

/** The most threads attached at a time. */
export const MAX_RECORDS = 1024
/** One record a thread, a cache line each. */
export const RECORD_WORDS = LINE
export const RECORD_BASE = 16384 / 4
/**
 * Within a record: the thread's id (0: the record is free), its start time, its phase, a mark that its end was seen. And two words of the thread's own,
 * about its last short entry: where in the slots the mark is that it owes, or 0; and its relative ticks (64 bits).
 */
export const RECORD = { thread: 0, startLow: 1, startHigh: 2, phase: 3, dead: 4, owed: 5, ticks: 6 } as const

/** One cursor a consumer; see cursors.ts. */
export const CURSOR_BASE = RECORD_BASE + MAX_RECORDS * RECORD_WORDS
export const CURSOR_WORDS = 6 * LINE
/**
 * Within a cursor. What commits write and what the writer writes stand in different lines.
 *
 * - `state`: one of {@link CURSOR_STATE}; `nameBytes` and `name` (UTF-8, up to 255 bytes) are plain, set before it and after `epoch`;
 * - `place`, 64 bits: the committed sequence (low 53 bits) and the low 11 bits of the seek epoch, so that one compare-and-set
 *   moves a cursor only in the epoch that it was meant for;
 * - `delivered`, 64 bits: the last sequence that was delivered, which no commit goes beyond;
 * - `epoch`: how often the cursor was sought, 32 bits, and one more for each that took the place of another: who reads name and place looks at it
 *   before and after, so that they are of the same cursor;
 * - `durable`, 64 bits: the place that is on disk.
 */
export const CURSOR = { state: 0, nameBytes: 1, place: 2, delivered: 4, epoch: 6, durable: LINE, name: 2 * LINE } as const
export const CURSOR_STATE = { free: 0, used: 1 } as const
/** The high word of a place: 11 bits of the epoch, 21 bits of the sequence. */
export const CURSOR_EPOCH_SHIFT = 21
export const CURSOR_HIGH_MASK = 2 ** CURSOR_EPOCH_SHIFT - 1

/** Bytes of the control words. */
export const CONTROL_BYTES = (CURSOR_BASE + MAX_CURSORS * CURSOR_WORDS) * 4
/** Behind the control words: the CRC tables, then a scratch for each record, where its thread encodes text. */
export const CRC_TABLE_OFFSET = CONTROL_BYTES
export const SCRATCH_BYTES = 16384
export const SCRATCH_OFFSET = Math.ceil((CRC_TABLE_OFFSET + CRC_TABLE.byteLength) / 65536) * 65536
/** Behind the scratches: slots, then the ring. Both are multiples of 64 bytes. */
export const SLOTS_OFFSET = SCRATCH_OFFSET + MAX_RECORDS * SCRATCH_BYTES

/** A slot: the start position (in a group's second slot: its count), and the mark. */
export const SLOT_WORDS = 2
export const SLOT_START = 0
export const SLOT_MARK = 1

/**
 * What a mark says, in its upper three bits; 0 is "not published". The lower 29 bits are the stretch's bytes in the ring.
 * Of an unsealed entry the writer computes the checksum: see [fill].
 */
export const MARK = { entry: 1, group: 2, largeEntry: 3, largeGroup: 4, abortedEntry: 5, abortedGroup: 6, unsealedEntry: 7 } as const
export const MARK_SHIFT = 29
/**
 * A producer leaves the checksum to the writer while less than this part of the ring waits to be written. One producer at full rate
 * then appends in 170 instead of 220 ns; where the writer is what holds all up, it has the same work as before (Node 20, 2026).
 */
export const UNSEALED_BACKLOG = 1 / 8
/** A writer that lets a batch gather is woken when more than this part of the ring waits: with the usual ring 1 MiB, a batch that the caches hold. */
export const WAKE_BACKLOG = 1 / 16
/** Only of frames up to this size: a longer one's checksum takes less time in zlib than in WebAssembly (1,536 bytes: 370 and 350 ns; 2,048: 430 and 465). */
export const MAX_UNSEALED_BYTES = 1600
export const MARK_BYTES_MASK = 2 ** MARK_SHIFT - 1

/** Ring sizes that the fields above allow. */
export const MIN_RING_BYTES = 2 ** 12
export const MAX_RING_BYTES = 2 ** 30
export const MIN_SLOTS = 2 ** 4
export const MAX_SLOTS = 2 ** 24

/** Where a stretch of `bytes` starts that is claimed at `position`: there, or at the next lap. Not yet masked. */
export function placeStretch(position: number, bytes: number, ringBytes: number): number {
  const offset = position & (ringBytes - 1)
  return offset + bytes <= ringBytes ? position : position + (ringBytes - offset)
}

/** How far `later` is ahead of `earlier`, 0 to 2^31 - 1. */
export function positionDistance(later: number, earlier: number): number {
  return (later - earlier) & POSITION_MASK
}

/** Whether the low words say that `sequence` is at or beyond `target`; right while they are less than 2^31 apart. */
export function sequenceReached(sequence: number, target: number): boolean {
  return ((sequence - target) | 0) >= 0
}

/** The full sequence of its low 32 bits, by the era; right within 2^30 or so around it. */
export function widenSequence(low: number, era: number): number {
  return era * 2 ** 30 + ((low - (era << 30)) | 0)
}

/** The era of a sequence. */
export function sequenceEra(sequence: number): number {
  return Math.floor(sequence / 2 ** 30)
}
