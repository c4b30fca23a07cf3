/** What threads ask of the writer, by words in shared memory: messages would wait for ever in a loop that never ends. */

import { signal } from '../sync/event-count.js'
import type { Ring } from './ring.js'
import { sequenceReached, WORD } from './ring-layout.js'
import { wakeWriter } from './wake.js'

/** Asks for a sync that covers `sequence`, at once: no batch gathers any longer. */
export function wantSync(ring: Ring, sequence: number): void {
  raiseSyncTarget(ring, sequence)
  ring.atomics.store(ring.words, WORD.syncWanted, 1)
  wakeWriter(ring)
}

/** Moves what is waited for up to `sequence`. The writer does so with all that is durable: from more than 2^31 behind, it would count as ahead. */
export function raiseSyncTarget(ring: Ring, sequence: number): void {
  const { atomics, words } = ring
  for (;;) {
    const current = atomics.load(words, WORD.syncTarget)
    if (sequenceReached(current, sequence | 0)) return
    if (atomics.compareExchange(words, WORD.syncTarget, current, sequence | 0) === current) return
  }
}

/** What the writer is asked for with a ticket: the word that counts requests, and the one that follows when they are done. */
const TICKETED = {
  roll: [WORD.rollWanted, WORD.rollDone],
  checkpoint: [WORD.checkpointWanted, WORD.checkpointDone],
  cursors: [WORD.cursorsWanted, WORD.cursorsDone],
} as const

/** `'roll'`: seal the tail. `'checkpoint'`: free the segments that may go. `'cursors'`: make all cursors durable as they stand now. */
export type Ticketed = keyof typeof TICKETED

/** Asks for it; returns the ticket for {@link isServed}. */
export function request(ring: Ring, what: Ticketed): number {
  const ticket = (ring.atomics.add(ring.words, TICKETED[what][0], 1) + 1) | 0
  wakeWriter(ring)
  return ticket
}

/** Whether what was asked for with that ticket is done. */
export function isServed(ring: Ring, what: Ticketed, ticket: number): boolean {
  return sequenceReached(ring.atomics.load(ring.words, TICKETED[what][1]), ticket)
}

/** The ticket of the last one who asked for it; undefined when all have been served. For the writer. */
export function pendingTicket(ring: Ring, what: Ticketed): number | undefined {
  const wanted = ring.atomics.load(ring.words, TICKETED[what][0])
  return wanted === ring.atomics.load(ring.words, TICKETED[what][1]) ? undefined : wanted
}

/** Tells that all up to that ticket are served. For the writer. */
export function serve(ring: Ring, what: Ticketed, ticket: number): void {
  ring.atomics.store(ring.words, TICKETED[what][1], ticket)
  signal(ring.atomics, ring.words, WORD.durableEvent)
}

/** Asks for the end: drain, seal, release the directory. Claims must have been ended before. */
export function wantClose(ring: Ring): void {
  ring.atomics.store(ring.words, WORD.closeWanted, 1)
  wakeWriter(ring)
}

/** Asks for the closing mark of the last batch now. */
export function wantSettle(ring: Ring): void {
  ring.atomics.store(ring.words, WORD.settleWanted, 1)
  wakeWriter(ring)
}

/** Whether the closing mark that was asked for is on disk. */
export function isSettled(ring: Ring): boolean {
  return ring.atomics.load(ring.words, WORD.settleWanted) === 0
}
