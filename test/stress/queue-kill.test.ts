import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runSeed, seededRandom } from '../model/random.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { kill, liveThrough, Notes, type Scene } from './queue-oracle.js'

const KILLS = 200
/** The longest that a child runs once its log is open, in ms. */
const LIFE_MS = 120

function makeScene(): Scene {
  const seed = runSeed()
  console.log(`queue kill: SEED=${seed}`)
  const root = temporaryDirectory()
  return { directory: join(root, 'log'), root, notes: new Notes(), random: seededRandom(seed) }
}

test('200 SIGKILLs while appending, uploading, delivering, committing and checkpointing: nothing is lost, nothing durably committed comes again, nothing leaks', { timeout: 300_000 }, async () => {
  const scene = makeScene()
  await liveThrough(scene, { count: KILLS, lifeMs: LIFE_MS, end: kill })
  const { notes } = scene
  expect(notes.faults).toEqual([])
  expect(notes.durable.size, 'the load was too light to show anything').toBeGreaterThan(20 * KILLS)
  expect(notes.files).toBeGreaterThan(KILLS / 2)
  console.log(`queue kill: ${KILLS} kills, ${notes.durable.size} entries acknowledged, ${notes.files} of them files; ${notes.twice} delivered more than once`)
})

test('a commit that is told durable before it is would be found out', { timeout: 120_000 }, async () => {
  const scene = makeScene()
  await liveThrough(scene, { count: 100, lifeMs: LIFE_MS, way: 'premature', end: kill })
  expect(scene.notes.faults.some((fault) => fault.includes('again, though its commit was durable'))).toBe(true)
})
