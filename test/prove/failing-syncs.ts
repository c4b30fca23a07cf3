/** Syncs that fail, on a real disk that has less room than it says. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../model/random.js'
import { failSync } from '../stress/failing-syncs.js'
import { thinDiskObstacle } from '../support/thin-disk.js'
import type { Fault, ProveOptions, ProveResult } from './harness.js'
import { within } from './time-limit.js'

const QUICK_CYCLES = 20
const LONG_CYCLES = 500
/** Far more than a cycle takes. */
const LIMIT_MS = 120_000

/** A case is a cycle, `cycle N`: a disk and a log of its own. */
export async function run({ seed, long, caseName, stopAtFirst, directory, say }: ProveOptions): Promise<ProveResult> {
  const obstacle = thinDiskObstacle()
  if (obstacle !== undefined) return { cases: 0, faults: [], skipped: `no disk can be made here whose syncs fail: ${obstacle}` }
  say('control: a sync fails, its repetition says that all is well; what was synced before is there')
  const names = caseName === undefined ? Array.from({ length: long ? LONG_CYCLES : QUICK_CYCLES }, (_, cycle) => `cycle ${cycle}`) : [caseName]
  const faults: Fault[] = []
  let cases = 0
  for (const name of names) {
    const root = join(directory, name)
    mkdirSync(root)
    cases++
    const found = await within(LIMIT_MS, failSync(root, seededRandom(seed + Number(name.split(' ')[1])))).catch((error: unknown) => [String(error)])
    faults.push(...found.slice(0, 5).map((what) => ({ caseName: name, what })))
    if (faults.length > 0 && (stopAtFirst || faults.length > 20)) break
  }
  say(`${cases} syncs failed`)
  return { cases, faults }
}
