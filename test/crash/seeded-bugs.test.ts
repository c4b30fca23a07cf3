import { describe, expect, it } from 'vitest'
import { below, runSeed, seededRandom } from '../model/random.js'
import { withPatchedCode } from './code-under-test.js'
import { newTally, runCase } from './crash-case.js'
import { Violation } from './log-image.js'
import { SEEDED_BUGS } from './seeded-bugs.js'

const MAX_CASES = 1000
/** The same cases each time, unless SEED asks for others: how soon a bug shows, and as what, depends on them. */
const seed = process.env['SEED'] === undefined ? 5 : runSeed()
console.log(`seeded bugs: SEED=${seed}`)

describe('the crash states show that', () => {
  it.each(SEEDED_BUGS)('$name', ({ name, patches, shows }) => {
    const random = seededRandom(seed)
    const tally = newTally()
    const violation = withPatchedCode(patches, (code) => {
      while (tally.cases < MAX_CASES) {
        try {
          runCase(code, below(random, 2 ** 31), tally)
        } catch (error) {
          return error
        }
      }
      return undefined
    })
    expect(violation).toBeInstanceOf(Violation)
    expect((violation as Violation).message).toMatch(shows)
    expect((violation as Violation).message).not.toMatch(/TypeError|ReferenceError/)
    console.log(`${name}: case ${tally.cases}, point ${tally.points}, ${(violation as Violation).message.split('\n')[0]!.slice(0, 150)}`)
  }, 120_000)
})
