import { describe, expect, test } from 'vitest'
import { attachRecord, freeRecord, isProvedDead, markDead, readIdentity, readPhase, type ProducerRecord, type ThreadIdentity } from '../../dist/src/ring/records.js'
import { allocateRing, openRing, type Ring } from '../../dist/src/ring/ring.js'
import { MAX_RECORDS } from '../../dist/src/ring/ring-layout.js'

const alive = (): boolean => false

function identityOf(thread: number): ThreadIdentity {
  return { thread, startLow: thread * 3, startHigh: 0 }
}

function attachAll(ring: Ring): ProducerRecord[] {
  return Array.from({ length: MAX_RECORDS }, (_, index) => attachRecord(ring, identityOf(index + 1), alive))
}

describe('when all records are taken', () => {
  test('by living threads, one more is refused', () => {
    const ring = openRing(allocateRing(4096, 16, 1000))
    attachAll(ring)
    expect(() => attachRecord(ring, identityOf(5000), alive)).toThrow(expect.objectContaining({ code: 'ERR_WAL_TOO_MANY_PRODUCERS' }))
  })

  test('one more gets that of a dead thread, but never that of one which may owe something', () => {
    const ring = openRing(allocateRing(4096, 16, 1000))
    const records = attachAll(ring)
    const [owing, dead] = [records[10]!, records[20]!]
    ring.atomics.store(ring.words, owing.phaseIndex, owing.phase | 1)
    const isDead = ({ thread }: ThreadIdentity): boolean => thread === owing.thread || thread === dead.thread
    expect(attachRecord(ring, identityOf(5000), isDead).index).toBe(dead.index)
    expect(readIdentity(ring, dead.index)).toEqual(identityOf(5000))
    expect(readIdentity(ring, owing.index)).toEqual(identityOf(owing.thread))
    expect(() => attachRecord(ring, identityOf(5001), isDead)).toThrow(expect.objectContaining({ code: 'ERR_WAL_TOO_MANY_PRODUCERS' }))
  })

  test('one that has left makes room', () => {
    const ring = openRing(allocateRing(4096, 16, 1000))
    const left = attachAll(ring)[7]!
    expect(freeRecord(ring, left.index, left.thread)).toBe(true)
    expect(attachRecord(ring, identityOf(5000), alive).index).toBe(left.index)
  })
})

test('a record is freed for the thread that holds it alone, with a phase that owes nothing', () => {
  const ring = openRing(allocateRing(4096, 16, 1000))
  const record = attachRecord(ring, identityOf(7), alive)
  ring.atomics.store(ring.words, record.phaseIndex, 5)
  expect(freeRecord(ring, record.index, 8)).toBe(false)
  expect(readIdentity(ring, record.index).thread).toBe(7)
  expect(freeRecord(ring, record.index, 7)).toBe(true)
  expect(readIdentity(ring, record.index).thread).toBe(0)
  expect(readPhase(ring, record.index)).toBe(6)
})

test('a thread whose end was seen is dead without asking the kernel, and nobody else is', () => {
  const ring = openRing(allocateRing(4096, 16, 1000))
  const [first, second] = [7, 8].map((thread) => attachRecord(ring, identityOf(thread), alive)) as [ProducerRecord, ProducerRecord]
  markDead(ring, 8)
  expect(isProvedDead(ring, first.index, identityOf(7), alive)).toBe(false)
  expect(isProvedDead(ring, second.index, identityOf(8), alive)).toBe(true)
  // Who comes after it in its record is another one.
  freeRecord(ring, second.index, 8)
  expect(attachRecord(ring, identityOf(9), alive).index).toBe(second.index)
  expect(isProvedDead(ring, second.index, identityOf(9), alive)).toBe(false)
})

test('an identity that is read while its record changes hands is nobody\'s', () => {
  const ring = openRing(allocateRing(4096, 16, 1000))
  const record = attachRecord(ring, identityOf(7), alive)
  let reads = 0
  const load = (words: Int32Array, index: number): number => {
    const value = ring.atomics.load(words, index)
    // Between the thread's id and its start time the thread leaves, and another comes.
    if (++reads === 1) {
      freeRecord(ring, record.index, 7)
      attachRecord(ring, identityOf(9), alive)
    }
    return value
  }
  expect(readIdentity({ ...ring, atomics: { ...ring.atomics, load } }, record.index).thread).toBeLessThan(0)
  expect(readIdentity(ring, record.index)).toEqual(identityOf(9))
})
