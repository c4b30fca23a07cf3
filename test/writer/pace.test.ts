/** How long the writer waits for more; that a batch does gather so is for linger.test.ts, in a writer's own thread. */

import { expect, test } from 'vitest'
import { Staging } from '../../dist/src/log/staging.js'
import { appendStretch } from '../../dist/src/ring/append.js'
import { attachRecord } from '../../dist/src/ring/records.js'
import { allocateRing, initializeRing, openRing, recordScratch, type Ring } from '../../dist/src/ring/ring.js'
import { Pace } from '../../dist/src/writer/pace.js'

const LINGER_MS = 50

/** A ring with so many entries, and the sleeps of its writer. */
function ringWith(entries: number): { readonly ring: Ring; readonly sleepsMs: number[] } {
  const sleepsMs: number[] = []
  const real = openRing(allocateRing(4096, 16, 1000))
  initializeRing(real, { nextSequence: 1, tickBase: 148_000_000, floorTicks: 7, clockZeroNs: 0n, clockZeroTicks: 0 })
  const record = attachRecord(real, { thread: 1, startLow: 2, startHigh: 3 }, () => false)
  const staging = new Staging(real, { maxEntryBytes: 1000, maxStretchBytes: 1000, maxGroupEntries: 8, tickBase: 148_000_000 }, recordScratch(real, record.index))
  for (let number = 1; number <= entries; number++) appendStretch(real, record, staging.stage(`entry ${number}`), { sequence: 0, start: 0, ticks: 0, backlog: 0 }, 1000)
  const wait: Ring['atomics']['wait'] = (_words, _index, _value, timeoutMs) => {
    sleepsMs.push(timeoutMs)
    return 'timed-out'
  }
  return { ring: { ...real, atomics: { ...real.atomics, wait } }, sleepsMs }
}

test.each([
  { what: 'a batch that has begun waits for more', entries: 1, lingerMs: LINGER_MS, hasCommand: false, sleepsMs: [LINGER_MS] },
  { what: 'not if something is asked for', entries: 1, lingerMs: LINGER_MS, hasCommand: true, sleepsMs: [] },
  { what: 'not before it has begun', entries: 0, lingerMs: LINGER_MS, hasCommand: false, sleepsMs: [] },
  { what: 'not without lingerMs', entries: 1, lingerMs: 0, hasCommand: false, sleepsMs: [] },
])('linger: $what', ({ entries, lingerMs, hasCommand, sleepsMs }) => {
  const { ring, sleepsMs: slept } = ringWith(entries)
  new Pace(ring, lingerMs).linger(1, () => hasCommand)
  expect(slept).toEqual(sleepsMs)
})
