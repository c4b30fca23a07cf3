import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openLog } from '../../dist/src/index.js'
import { below, runSeed, seededRandom } from '../model/random.js'
import { startChild } from '../support/child-process.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { KillOracle } from './kill-oracle.js'

const CHILD = new URL('./fixtures/kill-child.mjs', import.meta.url)
const KILLS = 100
/** The longest that a child runs once its log is open, in ms. */
const LIFE_MS = 200

test('100 SIGKILLs at random moments under load lose nothing that was acknowledged, double nothing, reorder nothing', { timeout: 180_000 }, async () => {
  const seed = runSeed()
  console.log(`kill: SEED=${seed}`)
  const random = seededRandom(seed)
  const root = temporaryDirectory()
  const directory = join(root, 'log')
  const oracle = new KillOracle()
  const outcomes = { atStart: 0, healedByChild: 0, cuts: 0 }
  for (let round = 0; round < KILLS; round++) {
    const acknowledgements = join(root, `acknowledged-${round}`)
    const child = startChild(CHILD, [directory, acknowledgements, String(round), String(below(random, 2 ** 30))])
    // The moment is the attack, so this is a wait for time. One kill in five may hit start or recovery.
    const isAtStart = below(random, 5) === 0
    if (!isAtStart) await child.untilOutput('open\n')
    await sleep(below(random, isAtStart ? 250 : LIFE_MS))
    child.process.kill('SIGKILL')
    const end = await child.end
    expect(end, end.errors).toMatchObject({ signal: 'SIGKILL', errors: '' })
    if (existsSync(acknowledgements)) oracle.expect(readFileSync(acknowledgements, 'utf8'))
    if (isAtStart) outcomes.atStart++
    // One time in three nobody looks, and the next child heals it.
    if (below(random, 3) === 0 && round < KILLS - 1) {
      outcomes.healedByChild++
      continue
    }
    const log = await openLog({ directory })
    outcomes.cuts += log.recovery.cuts.length
    await oracle.check(log)
    await log.close()
    expect(oracle.faults, `SEED=${seed}, round ${round}`).toEqual([])
  }
  const log = await openLog({ directory })
  await oracle.checkWhole(log)
  await log.close()
  expect(oracle.faults, `SEED=${seed}`).toEqual([])
  expect(oracle.acknowledged, 'the load was too light to show anything').toBeGreaterThan(5 * KILLS)
  console.log(`kill: ${KILLS} kills, ${oracle.acknowledged} entries acknowledged, ${oracle.entries} found`, outcomes)
})

test('a log that acknowledged before its sync would be found out', { timeout: 120_000 }, async () => {
  const seed = runSeed()
  const random = seededRandom(seed)
  for (let round = 0; round < 40; round++) {
    const root = temporaryDirectory()
    const acknowledgements = join(root, 'acknowledged')
    const child = startChild(CHILD, [join(root, 'log'), acknowledgements, '0', String(below(random, 2 ** 30)), 'premature'])
    await child.untilOutput('open\n')
    await sleep(below(random, LIFE_MS))
    child.process.kill('SIGKILL')
    await child.end
    const oracle = new KillOracle()
    if (existsSync(acknowledgements)) oracle.expect(readFileSync(acknowledgements, 'utf8'))
    const log = await openLog({ directory: join(root, 'log') })
    await oracle.check(log)
    await log.close()
    if (oracle.faults.some((fault) => fault.includes('is lost'))) return
  }
  expect.unreachable(`SEED=${seed}: 40 kills of a log that acknowledges too early, and nothing was missed`)
})
