/**
 * Every interleaving of the ring's own code in small models (ring-model.ts): no outcome but the legal ones, and each of those. `npm run prove`
 * explores them too, the ones that take minutes with `--long`, and shows that seeded bugs are found by them.
 */

import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { BUGS } from '../seeded/interleavings.js'
import { explore, ModelFailure, replay, type Model } from './explore.js'
import { exploreLegal, tellReport } from './legal-outcomes.js'
import { ringModel } from './ring-model.js'
import { RING_MODELS } from './ring-scenarios.js'

const BUILT = fileURLToPath(new URL('../../dist', import.meta.url))
const LIMIT = { timeout: 180_000 }

describe('every interleaving is right', () => {
  test.each(Object.entries(RING_MODELS))('%s', LIMIT, async (name, scenario) => {
    console.log(`${name}: ${tellReport(exploreLegal(await ringModel(BUILT, scenario), scenario.legal))}`)
  })
})

/** Only the orders of steps that commute are left out: every end is still reached. */
test.each(['one entry each', 'no slot, the entry dropped', 'two large entries, one waits', 'failure beside a claim and a wait'])('the reduction loses no end: %s', LIMIT, async (name) => {
  const reduced = explore(await ringModel(BUILT, RING_MODELS[name]!))
  const whole = explore(await ringModel(BUILT, { ...RING_MODELS[name]!, reduced: false }))
  console.log(`${name}, not reduced: ${tellReport(whole)}`)
  expect([...reduced.outcomes].sort()).toEqual([...whole.outcomes].sort())
  expect(reduced.ends).toBe(whole.ends)
})

/** The failure that exploring a model must end in. */
function explorationFailure(model: Model): ModelFailure {
  try {
    explore(model)
  } catch (error) {
    if (error instanceof ModelFailure) return error
    throw error
  }
  throw new Error('nothing was found')
}

test('a schedule that was printed can be run again', async () => {
  const { patches, shows } = BUGS.find(({ name }) => name === 'ring: no wake')!
  const scenario = { ...RING_MODELS['one entry each']!, patches }
  const { message, schedule } = explorationFailure(await ringModel(BUILT, scenario))
  expect(message).toMatch(shows!)
  expect(message).toContain(replay(await ringModel(BUILT, scenario), schedule))
})
