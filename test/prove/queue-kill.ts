/** SIGKILLs of a process that appends, uploads, delivers, commits and checkpoints. */

import { join } from 'node:path'
import { seededRandom } from '../model/random.js'
import { kill, liveThrough, Notes, type Scene } from '../stress/queue-oracle.js'
import type { ProveOptions, ProveResult } from './harness.js'

const QUICK_KILLS = 200
const LONG_KILLS = 5000
/** Leaks show at the end: a seeded one need not wait that long. */
const SEEDED_KILLS = 30
/** The longest that a child runs once its log is open, in ms. */
const LIFE_MS = 120

/** There is one case: one log lives through all kills. */
export async function run({ seed, long, stopAtFirst, directory, say }: ProveOptions): Promise<ProveResult> {
  const kills = long ? LONG_KILLS : stopAtFirst ? SEEDED_KILLS : QUICK_KILLS
  const notes = new Notes()
  const scene: Scene = { directory: join(directory, 'log'), root: directory, notes, random: seededRandom(seed) }
  await liveThrough(scene, { count: kills, lifeMs: LIFE_MS, end: kill })
  return { cases: kills, faults: queueFaults(notes, 20 * kills, say) }
}

/** The faults that the children's notes show, after so many kills or cuts that so many entries at least should have been acknowledged. */
export function queueFaults(notes: Notes, leastEntries: number, say: ProveOptions['say']): ProveResult['faults'] {
  say(`${notes.durable.size} entries acknowledged, ${notes.files} of them files; ${notes.twice} delivered more than once`)
  const faults = notes.faults.slice(0, 20)
  if (faults.length === 0 && notes.durable.size < leastEntries) faults.push(`the load was too light to show anything: ${notes.durable.size} entries acknowledged`)
  return faults.map((what) => ({ caseName: 'all', what }))
}
