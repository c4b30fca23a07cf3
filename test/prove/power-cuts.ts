/** Power cuts of a real file system (a loop-mounted ext4, its journal dropped) under a process that appends, uploads, delivers, commits and checkpoints. */

import { join } from 'node:path'
import { mkdirSync } from 'node:fs'
import { seededRandom } from '../model/random.js'
import { cutAgainAndAgain, losesUnsynced } from '../stress/power-cuts.js'
import { Notes, type Scene } from '../stress/queue-oracle.js'
import { SmallDisk, smallDiskObstacle } from '../support/small-disk.js'
import type { ProveOptions, ProveResult } from './harness.js'
import { queueFaults } from './queue-kill.js'

const QUICK_CUTS = 150
const LONG_CUTS = 2000
/** A seeded bug should not need more. */
const SEEDED_CUTS = 150

/** There is one case: one log lives through all cuts. A control comes first: a cut that takes nothing would show nothing. */
export async function run({ seed, long, stopAtFirst, directory, say }: ProveOptions): Promise<ProveResult> {
  const obstacle = smallDiskObstacle()
  if (obstacle !== undefined) return { cases: 0, faults: [], skipped: `no disk can be made here whose power can be cut: ${obstacle}` }
  if (!losesUnsynced(new SmallDisk(64))) return { cases: 0, faults: [{ caseName: 'control', what: 'a power cut keeps what was never synced, or loses what was' }] }
  say('control: what was never synced is gone, what was synced is there')
  const cuts = long ? LONG_CUTS : stopAtFirst ? SEEDED_CUTS : QUICK_CUTS
  mkdirSync(join(directory, 'disk'))
  const disk = new SmallDisk(256, join(directory, 'disk'))
  const notes = new Notes()
  const scene: Scene = { directory: join(disk.path, 'log'), root: directory, notes, random: seededRandom(seed) }
  await cutAgainAndAgain(disk, scene, cuts)
  return { cases: cuts, faults: queueFaults(notes, 10 * cuts, say) }
}
