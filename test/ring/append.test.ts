/** An append that cannot go through, at the moments that no caller can bring about; every order of the steps is explored in test/model. */

import { beforeEach, describe, expect, test } from 'vitest'
import { Staging } from '../../dist/src/log/staging.js'
import { appendStretch } from '../../dist/src/ring/append.js'
import { CLAIM_FULL, CLAIM_REFUSED, CLAIMED, claimStretch, endClaims } from '../../dist/src/ring/claim.js'
import { drain, type DrainedBatch } from '../../dist/src/ring/drain.js'
import { attachRecord, readPhase, type ProducerRecord } from '../../dist/src/ring/records.js'
import { allocateRing, initializeRing, openRing, recordScratch, type Ring } from '../../dist/src/ring/ring.js'
import { SLOT_MARK, WORD } from '../../dist/src/ring/ring-layout.js'

const LIMITS = { bytes: 4096, entries: 100, abortedBytes: 48, indexIntervalBytes: 1000 }
const FULL_STACK = new RangeError('Maximum call stack size exceeded')

let ring: Ring
let record: ProducerRecord
let staging: Staging

beforeEach(() => {
  ring = openRing(allocateRing(4096, 16, 4096))
  initializeRing(ring, { nextSequence: 1, tickBase: 148_000_000, floorTicks: 7, clockZeroNs: 0n, clockZeroTicks: 0 })
  record = attachRecord(ring, { thread: 1, startLow: 2, startHigh: 3 }, () => false)
  staging = new Staging(ring, { maxEntryBytes: 4096, maxStretchBytes: 4096, maxGroupEntries: 8, tickBase: 148_000_000 }, recordScratch(ring, record.index))
})

const blankClaim = (): { sequence: number; start: number; ticks: number; backlog: number } => ({ sequence: 0, start: 0, ticks: 0, backlog: 0 })
const append = (data: string, over = ring): number => appendStretch(over, record, staging.stage(data), blankClaim(), 1000)
const drained = (): DrainedBatch | undefined => drain(ring, { sequence: 1, position: 0 }, LIMITS)

describe('a stack that is found too full within the one operation', () => {
  /** The ring, with an operation that throws; `before` does what it has done by then. */
  const throwing = (before: () => void): Ring => ({ ...ring, operations: { ...ring.operations!, append: () => {
    before()
    throw FULL_STACK
  } } })

  test('before the claim: nothing has happened', () => {
    expect(() => append('short', throwing(() => undefined))).toThrow(FULL_STACK)
    expect([drained(), readPhase(ring, record.index) % 2]).toEqual([undefined, 0])
    expect(append('next')).toBe(1)
    expect(drained()).toMatchObject({ firstSequence: 1, lastSequence: 1, entryCount: 1 })
  })

  test('after the claim: its sequence is aborted, and the next entry has the next one', () => {
    const claims = throwing(() => {
      const debt = { slot: 0, ringBytes: 0, count: 0, hasArena: false }
      claimStretch(ring, blankClaim(), 28 + 5, 1, 1000, debt)
      ring.words[record.owedIndex] = debt.slot + SLOT_MARK
    })
    expect(() => append('short', claims)).toThrow(FULL_STACK)
    expect([readPhase(ring, record.index) % 2, ring.words[record.owedIndex]]).toEqual([0, 0])
    expect(append('next')).toBe(1)
    const batch = drained()!
    expect(batch).toMatchObject({ firstSequence: 1, lastSequence: 2, entryCount: 1 })
    expect(batch.extents.map(({ source }) => source)).toEqual(['aborted', 'ring'])
  })
})

test('an entry of more than a quarter of the ring goes through the arena, also where it is short enough for the one operation', () => {
  for (const length of [996, 997]) expect(append('x'.repeat(length))).toBe(CLAIMED)
  expect(drained()!.extents.map(({ source, bytes }) => [source, bytes])).toEqual([['ring', 1024], ['arena', 1025]])
})

test('a large entry that finds the log closed when it has the arena gives the arena back', () => {
  const compareExchange: Ring['atomics']['compareExchange'] = (words, index, expected, value) => {
    const before = ring.atomics.compareExchange(words, index, expected, value)
    if (index === WORD.arenaOwner && before === 0) endClaims(ring)
    return before
  }
  expect(append('x'.repeat(2000), { ...ring, atomics: { ...ring.atomics, compareExchange } })).toBe(CLAIM_REFUSED)
  expect([ring.atomics.load(ring.words, WORD.arenaOwner), record.debt.hasArena, readPhase(ring, record.index) % 2]).toEqual([0, false, 0])
})

describe('a filling that throws', () => {
  test.each([['an entry', 1, 10], ['a group', 3, 10], ['a large entry', 1, 2000]])('leaves an aborted one, and gives the arena back: %s', (_what, count, bytes) => {
    const datas = Array.from({ length: count }, () => 'x'.repeat(bytes))
    const staged = count === 1 ? staging.stage(datas[0]!) : staging.stageGroup(datas)
    const failing = { bytes: staged.bytes, count, shortAddress: 0, fill: () => { throw FULL_STACK } }
    expect(() => appendStretch(ring, record, failing, blankClaim(), 1000)).toThrow(FULL_STACK)
    expect([ring.atomics.load(ring.words, WORD.arenaOwner), readPhase(ring, record.index) % 2]).toEqual([0, 0])
    expect(append('next')).toBe(1)
    expect(drained()).toMatchObject({ firstSequence: 1, lastSequence: count + 1, entryCount: 1, extents: [{ source: 'aborted', firstSequence: 1, lastSequence: count }, {}] })
  })
})

test('a large entry is refused while another one is in the arena, or no slot is free; nothing is changed by that', () => {
  const large = 'x'.repeat(2000)
  expect(append(large)).toBe(1)
  const claimed = ring.atomics.load(ring.words, WORD.claim)
  expect(append(large)).toBe(CLAIM_FULL)
  while (append('x') === 1);
  ring.atomics.store(ring.words, WORD.arenaOwner, 0)
  expect(append(large)).toBe(CLAIM_FULL)
  expect([claimed, ring.atomics.load(ring.words, WORD.claim), ring.atomics.load(ring.words, WORD.arenaOwner)]).toEqual([2, 17, 0])
})
