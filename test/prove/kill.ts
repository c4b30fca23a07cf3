/** SIGKILLs of a process under load: threads and a pool append, and what was acknowledged must be there each time. */

import { killAgainAndAgain } from '../stress/kill-rounds.js'
import type { ProveOptions, ProveResult } from './harness.js'

const QUICK_KILLS = 500
const LONG_KILLS = 10_000

/** Case `round N` is the rounds up to that one: one log lives through them all. */
export async function run({ seed, long, caseName, directory, say }: ProveOptions): Promise<ProveResult> {
  const kills = caseName === undefined ? (long ? LONG_KILLS : QUICK_KILLS) : Number(/^round (\d+)$/.exec(caseName)?.[1])
  const { oracle, ...counts } = await killAgainAndAgain({ root: directory, seed, kills, way: (round) => round % 2 === 0 ? 'threads' : 'pool', say })
  say(`${oracle.acknowledged} entries acknowledged, ${oracle.entries} found; ${JSON.stringify(counts)}`)
  const faults = oracle.faults.slice(0, 20)
  if (faults.length === 0 && oracle.acknowledged < 5 * kills) faults.push(`the load was too light to show anything: ${oracle.acknowledged} entries acknowledged`)
  return { cases: counts.kills, faults: faults.map((what) => ({ caseName: `round ${counts.kills}`, what })) }
}
