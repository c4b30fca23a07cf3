/** What threads ask of the writer, by words in shared memory: messages would wait for ever in a loop that never ends. */

import type { Ring } from './ring.js'
import { sequenceReached, WORD } from './ring-layout.js'
import { wakeWriter } from './wake.js'

/** Asks for a sync that covers `sequence`. Without effect on a log that syncs every batch anyway. */
export function wantSync(ring: Ring, sequence: number): void {
  const { atomics, words } = ring
  for (;;) {
    const current = atomics.load(words, WORD.syncTarget)
    if (sequenceReached(current, sequence | 0)) break
    if (atomics.compareExchange(words, WORD.syncTarget, current, sequence | 0) === current) break
  }
  atomics.store(words, WORD.syncWanted, 1)
  wakeWriter(ring)
}

/** Asks for the tail to be sealed; returns the ticket for {@link isRolled}. */
export function wantRoll(ring: Ring): number {
  const ticket = (ring.atomics.add(ring.words, WORD.rollWanted, 1) + 1) | 0
  wakeWriter(ring)
  return ticket
}

/** Whether the roll with that ticket is done. */
export function isRolled(ring: Ring, ticket: number): boolean {
  return sequenceReached(ring.atomics.load(ring.words, WORD.rollDone), ticket)
}

/** Asks for the segments to be freed that may go; returns the ticket for {@link isCheckpointed}. */
export function wantCheckpoint(ring: Ring): number {
  const ticket = (ring.atomics.add(ring.words, WORD.checkpointWanted, 1) + 1) | 0
  wakeWriter(ring)
  return ticket
}

/** Whether the checkpoint with that ticket is done. */
export function isCheckpointed(ring: Ring, ticket: number): boolean {
  return sequenceReached(ring.atomics.load(ring.words, WORD.checkpointDone), ticket)
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
