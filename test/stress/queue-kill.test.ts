import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runSeed, seededRandom } from '../model/random.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { expectGoodEnd, Notes, readNotes, takeNotes, workAWhile, type Scene } from './queue-oracle.js'

const KILLS = 200
/** The longest that a child runs once its log is open, in ms. */
const LIFE_MS = 120

function makeScene(): Scene {
  const seed = runSeed()
  console.log(`queue kill: SEED=${seed}`)
  const root = temporaryDirectory()
  return { directory: join(root, 'log'), root, notes: new Notes(), random: seededRandom(seed), seed: `SEED=${seed}` }
}

test('200 SIGKILLs while appending, uploading, delivering, committing and checkpointing: nothing is lost, nothing durably committed comes again, nothing leaks', { timeout: 300_000 }, async () => {
  const scene = makeScene()
  for (let round = 0; round < KILLS; round++) {
    const child = await workAWhile(scene, round, LIFE_MS)
    child.process.kill('SIGKILL')
    const end = await child.end
    expect(end, end.errors).toMatchObject({ signal: 'SIGKILL', errors: '' })
    takeNotes(scene, round)
  }
  await expectGoodEnd(scene, KILLS)
  const { notes } = scene
  expect(notes.durable.size, 'the load was too light to show anything').toBeGreaterThan(20 * KILLS)
  expect(notes.files).toBeGreaterThan(KILLS / 2)
  console.log(`queue kill: ${KILLS} kills, ${notes.durable.size} entries acknowledged, ${notes.files} of them files; ${notes.twice} delivered more than once`)
})

test('a commit that is told durable before it is would be found out', { timeout: 120_000 }, async () => {
  const scene = makeScene()
  const { notes } = scene
  for (let round = 0; round < 100 && notes.faults.length === 0; round++) {
    const child = await workAWhile(scene, round, LIFE_MS, 'premature')
    child.process.kill('SIGKILL')
    await child.end
    readNotes(scene, round)
  }
  expect(notes.faults.some((fault) => fault.includes('again, though its commit was durable')), scene.seed).toBe(true)
})
