import { describe, expect, it } from 'vitest'
import { below, runSeed, seededRandom } from '../model/random.js'
import { shippedCode } from './code-under-test.js'
import { newTally, runCase } from './crash-case.js'

const WANTED_POINTS = Number(process.env['POINTS'] ?? 100_000)
const seed = runSeed()

describe('after a crash at any disk operation', () => {
  it('recovery finds every acknowledged entry and a prefix of the others, and nothing else', () => {
    const code = shippedCode()
    const tally = newTally()
    const startMs = performance.now()
    const only = process.env['CASE']
    const random = seededRandom(seed)
    console.log(`crash states: SEED=${seed}${only === undefined ? '' : ` CASE=${only}`}`)
    if (only !== undefined) return runCase(code, Number(only), tally)
    while (tally.points < WANTED_POINTS) runCase(code, below(random, 2 ** 31), tally)
    console.log(`crash states: ${JSON.stringify(tally)} in ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
    expect(tally.nested).toBeGreaterThan(WANTED_POINTS / 20)
    expect(Object.entries(tally).filter(([, count]) => count < WANTED_POINTS / 10_000)).toEqual([])
  }, 600_000)
})
