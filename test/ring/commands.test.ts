/** What the writer is asked for. */

import { expect, test } from 'vitest'
import { raiseSyncTarget, wantSync } from '../../dist/src/ring/commands.js'
import { allocateRing, initializeRing, openRing } from '../../dist/src/ring/ring.js'
import { WORD } from '../../dist/src/ring/ring-layout.js'
import { open, until } from '../support/filled-log.js'

test('a sync is asked for up to the right sequence, however many entries nobody has waited for', () => {
  const ring = openRing(allocateRing(4096, 16, 1000))
  initializeRing(ring, { nextSequence: 1, tickBase: 1, floorTicks: 0, clockZeroNs: 0n, clockZeroTicks: 0 })
  const target = (): number => ring.atomics.load(ring.words, WORD.syncTarget)
  for (let durable = 0; durable < 2 ** 34; durable += 2 ** 30) {
    raiseSyncTarget(ring, durable)
    wantSync(ring, durable + 7)
    wantSync(ring, durable + 5)
    expect(target()).toBe((durable + 7) | 0)
    raiseSyncTarget(ring, durable + 6)
    expect(target()).toBe((durable + 7) | 0)
  }
})

test('the writer tells up to where all is durable, also when nobody waits', async () => {
  const log = await open()
  const ring = openRing(log.handle().ring)
  for (let number = 1; number <= 10; number++) log.append(`${number}`)
  await until(() => log.durableSequence === 10)
  expect(ring.atomics.load(ring.words, WORD.syncTarget)).toBe(10)
})
