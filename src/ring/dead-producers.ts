/**
 * What dead producers leave behind, settled by the writer alone.
 *
 * A thread can be stopped between any two steps, also between its claim and its publish. Then the head stays unpublished
 * while claims lie beyond it. Time proves nothing: a paused thread will write again. So:
 *
 * 1. [note]   note the claim word, then the phase of every record. Whoever made a claim below the noted one and has not
 *             published it has an odd phase now, since [enter] comes before [claim] and [leave] after [publish].
 * 2. [prove]  wait until each odd phase has changed (its owner has published) or its owner is proved dead.
 * 3. [look]   what is still unpublished below the noted claim belongs to the dead.
 * 4. [abort]  it ends where the next published stretch starts, else at the noted claim.
 *
 * A record is freed, with the arena that its owner may hold, only once everything claimed before the proof is drained:
 * the dead may have claimed again after the note, and what it published into the arena must be written first.
 */

import { signal } from '../sync/event-count.js'
import { readHead, type Head } from './claim.js'
import { isPublished, violation, type DrainPoint } from './drain.js'
import { freeRecord, isProvedDead, readIdentity, readPhase, type DeathProof } from './records.js'
import type { Ring } from './ring.js'
import { sequenceReached, SLOT_START, SLOT_WORDS, WORD } from './ring-layout.js'

interface Suspect {
  readonly index: number
  readonly phase: number
}

/** Sequences to be aborted, from the head to `last`; the ring goes on at `position`. */
export interface AbortedRange {
  readonly last: number
  readonly position: number
}

/** The writer's knowledge of dead producers. */
export class DeadProducers {
  readonly #ring: Ring
  readonly #isDead: DeathProof
  #inquiry: { readonly sequence: number; readonly noted: Head; suspects: Suspect[] } | undefined
  #dead: { readonly index: number; readonly thread: number; readonly noted: Head }[] = []
  #lastSweep: Suspect[] = []

  constructor(ring: Ring, isDead: DeathProof) {
    this.#ring = ring
    this.#isDead = isDead
  }

  /** Whether claims lie at or beyond the head at `point`. */
  owesHead(point: Readonly<DrainPoint>): boolean {
    return !sequenceReached(point.sequence, readHead(this.#ring).low)
  }

  /** To be called now and again while the head at `point` is owed; returns what is proved to be the dead's. */
  inquire(point: Readonly<DrainPoint>): AbortedRange | undefined {
    if (this.#inquiry?.sequence !== point.sequence) this.#inquiry = this.#note(point.sequence)
    const inquiry = this.#inquiry
    inquiry.suspects = inquiry.suspects.filter((suspect) => this.#mayStillPublish(suspect))
    if (inquiry.suspects.length > 0 || isPublished(this.#ring, point.sequence)) return undefined
    this.#inquiry = undefined
    if (this.#dead.length === 0) throw violation(point.sequence, 'claimed, not published, and every producer is alive and owes nothing')
    return this.#findEnd(point.sequence, inquiry.noted)
  }

  #note(sequence: number): { sequence: number; noted: Head; suspects: Suspect[] } {
    const noted = readHead(this.#ring)
    return { sequence, noted, suspects: this.#oddPhases() }
  }

  #oddPhases(): Suspect[] {
    const suspects: Suspect[] = []
    const limit = this.#ring.atomics.load(this.#ring.words, WORD.recordLimit)
    for (let index = 0; index < limit; index++) {
      const phase = readPhase(this.#ring, index)
      if (phase % 2 !== 0) suspects.push({ index, phase })
    }
    return suspects
  }

  #mayStillPublish(suspect: Suspect): boolean {
    if (readPhase(this.#ring, suspect.index) !== suspect.phase) return false
    if (this.#dead.some((dead) => dead.index === suspect.index)) return false
    const identity = readIdentity(this.#ring, suspect.index)
    if (!isProvedDead(this.#ring, suspect.index, identity, this.#isDead)) return true
    if (readPhase(this.#ring, suspect.index) !== suspect.phase) return false
    this.#dead.push({ index: suspect.index, thread: identity.thread, noted: readHead(this.#ring) })
    return false
  }

  #findEnd(sequence: number, noted: Head): AbortedRange {
    const { slots, slotMask } = this.#ring
    let next = sequence
    while ((next | 0) !== noted.low && !isPublished(this.#ring, next)) next++
    const position = (next | 0) === noted.low ? noted.position : slots[(next & slotMask) * SLOT_WORDS + SLOT_START]!
    return { last: next - 1, position }
  }

  /**
   * To be called about every quarter of a second: finds threads that died owing nothing visible, and frees the records
   * and the arena of those whose claims are all drained.
   */
  sweep(point: Readonly<DrainPoint>): void {
    const odd = this.#oddPhases()
    const idle = odd.filter((now) => this.#lastSweep.some((before) => before.index === now.index && before.phase === now.phase))
    for (const suspect of idle) this.#mayStillPublish(suspect)
    this.#lastSweep = odd
    const { atomics, words } = this.#ring
    this.#dead = this.#dead.filter(({ index, thread, noted }) => {
      if (!sequenceReached(point.sequence, noted.low)) return true
      if (atomics.compareExchange(words, WORD.arenaOwner, index + 1, 0) === index + 1) signal(atomics, words, WORD.roomEvent)
      freeRecord(this.#ring, index, thread)
      return false
    })
  }
}
