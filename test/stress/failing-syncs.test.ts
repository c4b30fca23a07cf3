import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runSeed, seededRandom } from '../model/random.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { thinDiskObstacle } from '../support/thin-disk.js'
import { failSync } from './failing-syncs.js'

const CYCLES = 4
const obstacle = thinDiskObstacle()
if (obstacle !== undefined) console.log(`failing syncs: skipped, no disk can be made here whose syncs fail: ${obstacle}`)

test.skipIf(obstacle !== undefined)('a failed sync ends the log, and what opening finds is on the disk for good, also what only the page cache had', { timeout: 120_000 }, async () => {
  const seed = runSeed()
  console.log(`failing syncs: SEED=${seed}`)
  const root = temporaryDirectory()
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const directory = join(root, String(cycle))
    mkdirSync(directory)
    expect(await failSync(directory, seededRandom(seed + cycle)), `SEED=${seed}, cycle ${cycle}`).toEqual([])
  }
})
