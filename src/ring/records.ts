/**
 * One record for each attached thread: who it is, so that its death can be proved, and its phase, so that the writer
 * knows whether it may owe something. See ring-layout.ts for the words.
 */

import { WalError } from '../errors.js'
import type { Ring } from './ring.js'
import { MAX_RECORDS, RECORD, RECORD_BASE, RECORD_WORDS, WORD } from './ring-layout.js'

/** What tells a thread from every other thread that this process ever has. */
export interface ThreadIdentity {
  /** The kernel's thread id; elsewhere Node's `threadId` + 1. Never 0. */
  readonly thread: number
  /** Start time, as two words; 0 where only Node's thread id is known, which is never used twice. */
  readonly startLow: number
  readonly startHigh: number
}

/** Says whether a thread is certainly dead. False means alive *or unknown*: time proves nothing. */
export type DeathProof = (identity: ThreadIdentity) => boolean

/** A thread's own record, with its phase kept at hand. */
export interface ProducerRecord {
  readonly index: number
  readonly thread: number
  /** Its place in the shared memory, in bytes. */
  readonly address: number
  readonly phaseIndex: number
  readonly owedIndex: number
  readonly ticksIndex: number
  phase: number
  /** What the thread has claimed and not published yet. */
  readonly debt: Debt
}

/** A claimed stretch that is not published; `count` is 0 when there is none. */
export interface Debt {
  /** Index of its first slot in `slots`. */
  slot: number
  ringBytes: number
  count: number
  /** Whether the thread holds the arena for a stretch that is not published. */
  hasArena: boolean
}

/** In place of a thread's id while a record changes hands. */
const RESERVED = -1

function recordBase(index: number): number {
  return RECORD_BASE + index * RECORD_WORDS
}

/** Takes a record for the calling thread. Throws `ERR_WAL_TOO_MANY_PRODUCERS` when all belong to living threads. */
export function attachRecord(ring: Ring, identity: ThreadIdentity, isDead: DeathProof): ProducerRecord {
  const index = takeFreeRecord(ring) ?? (freeDeadRecords(ring, isDead) ? takeFreeRecord(ring) : undefined)
  if (index === undefined) {
    throw new WalError('ERR_WAL_TOO_MANY_PRODUCERS', `${MAX_RECORDS} threads are attached to this log already`)
  }
  const { atomics, words } = ring
  const base = recordBase(index)
  // The thread's id last: beside it the start time is always its own.
  atomics.store(words, base + RECORD.startLow, identity.startLow)
  atomics.store(words, base + RECORD.startHigh, identity.startHigh)
  raiseRecordLimit(ring, index + 1)
  atomics.store(words, base + RECORD.thread, identity.thread)
  // The phase goes on from where the last owner left it, so that "changed" always means "has moved on".
  const phaseIndex = base + RECORD.phase
  return {
    index, thread: identity.thread, address: base * 4, phaseIndex, owedIndex: base + RECORD.owed, ticksIndex: base + RECORD.ticks,
    phase: atomics.load(words, phaseIndex), debt: { slot: 0, ringBytes: 0, count: 0, hasArena: false },
  }
}

/** [attach] One compare-and-set reserves a free record for the caller. */
function takeFreeRecord(ring: Ring): number | undefined {
  const { atomics, words } = ring
  for (let index = 0; index < MAX_RECORDS; index++) {
    const at = recordBase(index) + RECORD.thread
    if (atomics.load(words, at) === 0 && atomics.compareExchange(words, at, 0, RESERVED) === 0) return index
  }
  return undefined
}

/**
 * Frees the records of dead threads that owe nothing; those with an odd phase are the writer's to settle. The phase is read after the
 * proof: before it the owner might still enter.
 */
function freeDeadRecords(ring: Ring, isDead: DeathProof): boolean {
  let freed = false
  for (let index = 0; index < MAX_RECORDS; index++) {
    const owner = readIdentity(ring, index)
    if (owner.thread <= 0 || !isProvedDead(ring, index, owner, isDead)) continue
    if (readPhase(ring, index) % 2 !== 0) continue
    if (freeRecord(ring, index, owner.thread)) freed = true
  }
  return freed
}

function raiseRecordLimit(ring: Ring, limit: number): void {
  const { atomics, words } = ring
  for (;;) {
    const current = atomics.load(words, WORD.recordLimit)
    if (current >= limit || atomics.compareExchange(words, WORD.recordLimit, current, limit) === current) return
  }
}

/**
 * Frees the record that `thread` holds, because it leaves owing nothing, or is proved dead and settled. False when it is not that
 * thread's any more: one that came later is never robbed.
 */
export function freeRecord(ring: Ring, index: number, thread: number): boolean {
  const { atomics, words } = ring
  const base = recordBase(index)
  if (atomics.compareExchange(words, base + RECORD.thread, thread, RESERVED) !== thread) return false
  const phase = atomics.load(words, base + RECORD.phase)
  if (phase % 2 !== 0) atomics.store(words, base + RECORD.phase, (phase + 1) | 0)
  atomics.store(words, base + RECORD.startLow, 0)
  atomics.store(words, base + RECORD.startHigh, 0)
  atomics.store(words, base + RECORD.thread, 0)
  return true
}

/** Who holds a record, as of one moment; thread 0 when it is free, negative while it changes hands. */
export function readIdentity(ring: Ring, index: number): ThreadIdentity {
  const { atomics, words } = ring
  const base = recordBase(index)
  const thread = atomics.load(words, base + RECORD.thread)
  const startLow = atomics.load(words, base + RECORD.startLow)
  const startHigh = atomics.load(words, base + RECORD.startHigh)
  return { thread: atomics.load(words, base + RECORD.thread) === thread ? thread : RESERVED, startLow, startHigh }
}

/** The phase of a record; odd while its owner may owe something. */
export function readPhase(ring: Ring, index: number): number {
  return ring.atomics.load(ring.words, recordBase(index) + RECORD.phase)
}

/** Notes that the thread's end was seen, for systems where the kernel cannot be asked. */
export function markDead(ring: Ring, thread: number): void {
  const { atomics, words } = ring
  const limit = atomics.load(words, WORD.recordLimit)
  for (let index = 0; index < limit; index++) {
    const base = recordBase(index)
    if (atomics.load(words, base + RECORD.thread) === thread) atomics.store(words, base + RECORD.dead, thread)
  }
}

/**
 * Whether the owner of a record is certainly dead. The answer is about the owner at the time of `phase` only if the
 * caller finds the same odd phase before reading `identity` and after this call: an owner leaves with an even one.
 */
export function isProvedDead(ring: Ring, index: number, identity: ThreadIdentity, isDead: DeathProof): boolean {
  return ring.atomics.load(ring.words, recordBase(index) + RECORD.dead) === identity.thread || isDead(identity)
}
