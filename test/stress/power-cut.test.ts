import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runSeed, seededRandom } from '../model/random.js'
import { SmallDisk, smallDiskObstacle } from '../support/small-disk.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { cutAgainAndAgain, losesUnsynced } from './power-cuts.js'
import { Notes, type Scene } from './queue-oracle.js'

const CUTS = 25
const obstacle = smallDiskObstacle()
if (obstacle !== undefined) console.log(`power cut: skipped, no disk can be made here whose power can be cut: ${obstacle}`)

describe.skipIf(obstacle !== undefined)('with a real file system whose power is cut', { timeout: 180_000 }, () => {
  test('what was never synced is gone: the cut is one', () => {
    expect(losesUnsynced(new SmallDisk(64))).toBe(true)
  })

  test('entries, files and commits that were acknowledged are there, and nothing leaks', async () => {
    const seed = runSeed()
    console.log(`power cut: SEED=${seed}`)
    const disk = new SmallDisk(256)
    const scene: Scene = { directory: join(disk.path, 'log'), root: temporaryDirectory(), notes: new Notes(), random: seededRandom(seed) }
    await cutAgainAndAgain(disk, scene, CUTS)
    const { notes } = scene
    expect(notes.faults).toEqual([])
    expect(notes.durable.size, 'the load was too light to show anything').toBeGreaterThan(10 * CUTS)
    console.log(`power cut: ${CUTS} cuts, ${notes.durable.size} entries acknowledged, ${notes.files} of them files; ${notes.twice} delivered more than once`)
  })
})
