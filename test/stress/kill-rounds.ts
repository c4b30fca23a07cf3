/** A process under load that is killed again and again, and what is left of its log each time. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { below, seededRandom } from '../model/random.js'
import { startChild } from '../support/child-process.js'
import { load } from '../support/library.mjs'
import { KillOracle } from './kill-oracle.js'

const { openLog } = await load('index.js')
const CHILD = new URL('./fixtures/kill-child.mjs', import.meta.url)
/** The longest that a child runs once its log is open, in ms. */
const LIFE_MS = 100
/** The longest that a child lives whose log is not waited for. */
const START_MS = 250

/** Who appends beside the child's main thread: two threads of its own, the threads of a pool; or two threads, and all acknowledge too early. */
export type KillWay = 'threads' | 'pool' | 'premature'

/** What is killed, and how often. */
export interface KillPlan {
  readonly root: string
  readonly seed: number
  readonly kills: number
  /** Who appends in a round. */
  way(round: number): KillWay
  /** Told now and then. */
  say?(line: string): void
}

/** What came of it. */
export interface KillOutcome {
  readonly oracle: KillOracle
  kills: number
  /** Kills that may have hit start or recovery. */
  atStart: number
  /** Rounds after which nobody looked, and the next child healed it. */
  healedByChild: number
  /** Torn tails that were cut when somebody looked. */
  cuts: number
}

/** Kills until something is wrong, or as often as is wanted. Rounds are a function of the seed but for the moment of each kill. */
export async function killAgainAndAgain({ root, seed, kills, way, say = () => undefined }: KillPlan): Promise<KillOutcome> {
  const random = seededRandom(seed)
  const directory = join(root, 'log')
  const outcome: KillOutcome = { oracle: new KillOracle(), kills: 0, atStart: 0, healedByChild: 0, cuts: 0 }
  const { oracle } = outcome
  const look = async (isLast: boolean): Promise<void> => {
    const log = await openLog({ directory })
    outcome.cuts += log.recovery.cuts.length
    await oracle.check(log)
    if (isLast) await oracle.checkWhole(log)
    await log.close()
  }
  for (let round = 0; round < kills && oracle.faults.length === 0; round++) {
    const acknowledgements = join(root, `acknowledged-${round}`)
    const child = startChild(CHILD, [directory, acknowledgements, String(round), String(below(random, 2 ** 30)), way(round)])
    // The moment is the attack, so this is a wait for time. One kill in five may hit start or recovery.
    const isAtStart = below(random, 5) === 0
    const lifeMs = below(random, isAtStart ? START_MS : LIFE_MS)
    const isOpen = isAtStart || await child.untilOutput('open\n').then(() => true, () => false)
    if (isOpen) await sleep(lifeMs)
    child.process.kill('SIGKILL')
    const { signal, errors } = await child.end
    if (signal !== 'SIGKILL' || errors !== '') oracle.faults.push(`round ${round}: the child ended by itself: ${errors}`)
    outcome.kills++
    if (isAtStart) outcome.atStart++
    if (existsSync(acknowledgements)) oracle.expect(readFileSync(acknowledgements, 'utf8'))
    // One time in three nobody looks, and the next child heals it.
    const isHealedByChild = below(random, 3) === 0 && round < kills - 1
    if (isHealedByChild) outcome.healedByChild++
    else await look(round === kills - 1).catch((error: unknown) => oracle.faults.push(`round ${round}: ${String(error)}`))
    if ((round + 1) % 100 === 0) say(`${round + 1} kills, ${oracle.acknowledged} entries acknowledged`)
  }
  return outcome
}
