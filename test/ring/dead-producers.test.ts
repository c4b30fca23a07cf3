/** What dead producers leave in the ring, step by step; every order of the steps is explored in test/model. */

import { beforeEach, describe, expect, test } from 'vitest'
import { claimStretch } from '../../dist/src/ring/claim.js'
import { DeadProducers } from '../../dist/src/ring/dead-producers.js'
import { attachRecord, freeRecord, readIdentity, type ProducerRecord, type ThreadIdentity } from '../../dist/src/ring/records.js'
import { allocateRing, initializeRing, openRing, type Ring } from '../../dist/src/ring/ring.js'
import { MARK, MARK_SHIFT, SLOT_MARK, WORD } from '../../dist/src/ring/ring-layout.js'

const BYTES = 32
const HEAD = { sequence: 1, position: 0 }

let ring: Ring
let dead: Set<number>
let producers: DeadProducers

beforeEach(() => {
  ring = openRing(allocateRing(4096, 16, 1000))
  initializeRing(ring, { nextSequence: 1, tickBase: 1, floorTicks: 0, clockZeroNs: 0n, clockZeroTicks: 0 })
  dead = new Set()
  producers = new DeadProducers(ring, ({ thread }: ThreadIdentity) => dead.has(thread))
})

function attach(thread: number): ProducerRecord {
  return attachRecord(ring, { thread, startLow: thread, startHigh: 0 }, () => false)
}

/** [enter] and [claim]. */
function claim(record: ProducerRecord): void {
  ring.atomics.store(ring.words, record.phaseIndex, record.phase | 1)
  expect(claimStretch(ring, { sequence: 0, start: 0, ticks: 0, backlog: 0 }, BYTES, 1, 0, record.debt)).toBe(1)
}

/** [publish] and [leave]. */
function publish(record: ProducerRecord): void {
  ring.atomics.store(ring.slots, record.debt.slot + SLOT_MARK, (MARK.entry << MARK_SHIFT) | BYTES)
  record.phase += 2
  ring.atomics.store(ring.words, record.phaseIndex, record.phase)
}

describe('what is not published is the dead\'s', () => {
  test('only when its owner is proved dead, however long that takes', () => {
    const [owner, other] = [attach(1), attach(2)]
    claim(owner)
    claim(other)
    dead.add(2)
    for (let look = 0; look < 3; look++) expect(producers.inquire(HEAD)).toBeUndefined()
    dead.add(1)
    expect(producers.inquire(HEAD)).toEqual({ last: 2, position: 2 * BYTES })
  })

  test('up to what a living producer has published', () => {
    const [first, second, living] = [attach(1), attach(2), attach(3)]
    for (const record of [first, second, living]) claim(record)
    publish(living)
    dead.add(1).add(2)
    expect(producers.owesHead(HEAD)).toBe(true)
    expect(producers.inquire(HEAD)).toEqual({ last: 2, position: 2 * BYTES })
  })

  test('also when others who owed something have paid meanwhile', () => {
    const [owner, slow] = [attach(1), attach(2)]
    claim(owner)
    claim(slow)
    dead.add(1)
    expect(producers.inquire(HEAD)).toBeUndefined()
    publish(slow)
    expect(producers.inquire(HEAD)).toEqual({ last: 1, position: BYTES })
  })

  test('and not what its owner has published in the moment in which it was found dead', () => {
    const owner = attach(1)
    claim(owner)
    const late = new DeadProducers(ring, () => {
      publish(owner)
      return true
    })
    expect(late.inquire(HEAD)).toBeUndefined()
    late.sweep({ sequence: 2, position: BYTES })
    expect(readIdentity(ring, owner.index).thread).toBe(1)
  })

  test('else, where nobody owes anything, the protocol is broken, and that is said', () => {
    const owner = attach(1)
    claim(owner)
    ring.atomics.store(ring.words, owner.phaseIndex, 2)
    expect(() => producers.inquire(HEAD)).toThrow(expect.objectContaining({ code: 'ERR_WAL_PROTOCOL', firstSequence: 1 }))
  })
})

test('the record and the arena of a dead thread are freed once all is drained that was claimed when it was found dead', () => {
  const [owner, other] = [attach(1), attach(2)]
  claim(owner)
  publish(owner)
  // It has entered again, taken the arena, and died before its next claim.
  ring.atomics.store(ring.words, owner.phaseIndex, owner.phase | 1)
  ring.atomics.store(ring.words, WORD.arenaOwner, owner.index + 1)
  claim(other)
  publish(other)
  dead.add(1)
  // Two looks: who has only entered and is seen at it twice may be asked about.
  for (let sweep = 0; sweep < 2; sweep++) producers.sweep(HEAD)
  expect(readIdentity(ring, owner.index).thread).toBe(1)
  producers.sweep({ sequence: 3, position: 2 * BYTES })
  expect([readIdentity(ring, owner.index).thread, ring.atomics.load(ring.words, WORD.arenaOwner)]).toEqual([0, 0])
  expect(readIdentity(ring, other.index).thread).toBe(2)
  expect(freeRecord(ring, owner.index, 1)).toBe(false)
})
