import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runSeed, seededRandom } from '../model/random.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { thinDiskObstacle } from '../support/thin-disk.js'
import { failSync } from './failing-syncs.js'

const CYCLES = 4

test('a failed sync ends the log, and what opening finds is on the disk for good, also what only the page cache had', { timeout: 120_000 }, async ({ skip }) => {
  const obstacle = thinDiskObstacle()
  skip(obstacle !== undefined, `no disk can be made here whose syncs fail: ${obstacle}`)
  const seed = runSeed()
  console.log(`failing syncs: SEED=${seed}`)
  const root = temporaryDirectory()
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const directory = join(root, String(cycle))
    mkdirSync(directory)
    expect(await failSync(directory, seededRandom(seed + cycle)), `SEED=${seed}, cycle ${cycle}`).toEqual([])
  }
})
