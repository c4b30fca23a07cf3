import { expect, test } from 'vitest'
import { runSeed } from '../model/random.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { killAgainAndAgain } from './kill-rounds.js'

const KILLS = 100

test('100 SIGKILLs at random moments under load lose nothing that was acknowledged, double nothing, reorder nothing', { timeout: 180_000 }, async () => {
  const seed = runSeed()
  console.log(`kill: SEED=${seed}`)
  const { oracle, ...counts } = await killAgainAndAgain({ root: temporaryDirectory(), seed, kills: KILLS, way: () => 'threads' })
  expect(oracle.faults).toEqual([])
  expect(oracle.acknowledged, 'the load was too light to show anything').toBeGreaterThan(5 * KILLS)
  console.log(`kill: ${oracle.acknowledged} entries acknowledged, ${oracle.entries} found`, counts)
})

test('a log that acknowledged before its sync would be found out', { timeout: 120_000 }, async () => {
  const seed = runSeed()
  console.log(`kill, too early: SEED=${seed}`)
  const { oracle } = await killAgainAndAgain({ root: temporaryDirectory(), seed, kills: 300, way: () => 'premature' })
  // Where the next child has healed the log before anybody looked, the sequence is another entry's by now.
  expect(oracle.faults.join('\n')).toMatch(/was acknowledged and is lost|was acknowledged twice|not the entry that was acknowledged/)
})
