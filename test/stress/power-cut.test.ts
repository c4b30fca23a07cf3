import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { below, runSeed, seededRandom } from '../model/random.js'
import { runChild, startChild } from '../support/child-process.js'
import { SmallDisk, smallDiskObstacle } from '../support/small-disk.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { expectAllDelivered, expectNoLeak, Notes } from './queue-oracle.js'

const CHILD = new URL('./fixtures/queue-child.mjs', import.meta.url)
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
    const random = seededRandom(seed)
    const disk = new SmallDisk(256)
    const directory = join(disk.path, 'log')
    // On another disk, which keeps its power.
    const root = temporaryDirectory()
    const notes = new Notes()
    for (let round = 0; round < CUTS; round++) {
      const file = join(root, `notes-${round}`)
      const child = startChild(CHILD, [directory, file, String(round), String(below(random, 2 ** 30)), 'work'])
      const isAtStart = below(random, 5) === 0
      if (!isAtStart) await child.untilOutput('open\n')
      // The moment is the attack, so this is a wait for time.
      await sleep(below(random, LIFE_MS))
      disk.cutPower()
      child.process.kill('SIGKILL')
      await child.end
      disk.restart()
      if (existsSync(file)) notes.take(readFileSync(file, 'utf8'), round)
      expect(notes.faults, `SEED=${seed}`).toEqual([])
    }
    const last = join(root, 'notes-last')
    const end = await runChild(CHILD, [directory, last, 'last', '1', 'drain'])
    expect(end, end.errors).toMatchObject({ code: 0, errors: '' })
    notes.take(readFileSync(last, 'utf8'), CUTS)
    expect(notes.faults, `SEED=${seed}`).toEqual([])
    expectAllDelivered(notes, `SEED=${seed}`)
    expect(notes.durable.size, 'the load was too light to show anything').toBeGreaterThan(10 * CUTS)
    await expectNoLeak(directory)
    console.log(`power cut: ${CUTS} cuts, ${notes.durable.size} entries acknowledged, ${notes.files} of them files; ${notes.twice} delivered more than once`)
  })
})
