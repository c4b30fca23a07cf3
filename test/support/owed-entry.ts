/** An entry that was claimed by a living thread and is not published: the writer has to wait for it. */

import type { Log } from '../../dist/src/index.js'
import { isThreadDead, ownIdentity } from '../../dist/src/disk/thread-identity.js'
import { claimStretch, type Claim } from '../../dist/src/ring/claim.js'
import { attachRecord, freeRecord, type ThreadIdentity } from '../../dist/src/ring/records.js'
import { openRing } from '../../dist/src/ring/ring.js'
import { MARK, MARK_SHIFT, SLOT_MARK, SLOT_START, SLOT_WORDS } from '../../dist/src/ring/ring-layout.js'

const BYTES = 28

/** What is owed, and the way to pay. */
export interface OwedEntry {
  readonly sequence: number
  publishAborted(): void
}

/** Claims the next sequence for a producer of its own, of this thread or of `owner`. */
export function oweEntry(log: Log, owner: ThreadIdentity = ownIdentity()): OwedEntry {
  const ring = openRing(log.handle().ring)
  const { atomics, words, slots, slotMask } = ring
  const record = attachRecord(ring, owner, isThreadDead)
  atomics.store(words, record.phaseIndex, record.phase | 1)
  const claim: Claim = { sequence: 0, start: 0, ticks: 0, backlog: 0 }
  if (claimStretch(ring, claim, BYTES, 1, 0, record.debt) !== 1) throw new Error('there was no room for a claim')
  const publishAborted = (): void => {
    const slot = (claim.sequence & slotMask) * SLOT_WORDS
    slots[slot + SLOT_START] = claim.start
    atomics.store(slots, slot + SLOT_MARK, (MARK.abortedEntry << MARK_SHIFT) | BYTES)
    freeRecord(ring, record.index, record.thread)
  }
  return { sequence: claim.sequence, publishAborted }
}
