import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runSeed, seededRandom } from '../model/random.js'
import { SmallDisk, smallDiskObstacle } from '../support/small-disk.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { expectGoodEnd, Notes, takeNotes, workAWhile, type Scene } from './queue-oracle.js'

const CUTS = 25
const LIFE_MS = 250
const obstacle = smallDiskObstacle()
if (obstacle !== undefined) console.log(`power cut: skipped, no disk can be made here whose power can be cut: ${obstacle}`)

describe.skipIf(obstacle !== undefined)('with a real file system whose power is cut', { timeout: 180_000 }, () => {
  test('what was never synced is gone: the cut is one', () => {
    const disk = new SmallDisk(64)
    writeFileSync(join(disk.path, 'synced'), 'x'.repeat(10_000), { flush: true })
    writeFileSync(join(disk.path, 'not synced'), 'x'.repeat(10_000))
    disk.cutPower()
    disk.restart()
    const file = join(disk.path, 'not synced')
    expect(existsSync(file) && readFileSync(file, 'utf8') === 'x'.repeat(10_000)).toBe(false)
  })

  test('entries, files and commits that were acknowledged are there, and nothing leaks', async () => {
    const seed = runSeed()
    console.log(`power cut: SEED=${seed}`)
    const disk = new SmallDisk(256)
    const notes = new Notes()
    const scene: Scene = { directory: join(disk.path, 'log'), root: temporaryDirectory(), notes, random: seededRandom(seed), seed: `SEED=${seed}` }
    for (let round = 0; round < CUTS; round++) {
      const child = await workAWhile(scene, round, LIFE_MS)
      disk.cutPower()
      child.process.kill('SIGKILL')
      await child.end
      disk.restart()
      takeNotes(scene, round)
    }
    await expectGoodEnd(scene, CUTS)
    expect(notes.durable.size, 'the load was too light to show anything').toBeGreaterThan(10 * CUTS)
    console.log(`power cut: ${CUTS} cuts, ${notes.durable.size} entries acknowledged, ${notes.files} of them files; ${notes.twice} delivered more than once`)
  })
})
