import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { below, runSeed, seededRandom } from '../model/random.js'
import { runChild, startChild } from '../support/child-process.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { expectAllDelivered, expectNoLeak, Notes } from './queue-oracle.js'

const CHILD = new URL('./fixtures/queue-child.mjs', import.meta.url)
const KILLS = 200
/** The longest that a child runs once its log is open, in ms. */
const LIFE_MS = 120

test('200 SIGKILLs while appending, uploading, delivering, committing and checkpointing: nothing is lost, nothing durably committed comes again, nothing leaks', { timeout: 300_000 }, async () => {
  const seed = runSeed()
  console.log(`queue kill: SEED=${seed}`)
  const random = seededRandom(seed)
  const root = temporaryDirectory()
  const directory = join(root, 'log')
  const notes = new Notes()
  for (let round = 0; round < KILLS; round++) {
    const file = join(root, `notes-${round}`)
    const child = startChild(CHILD, [directory, file, String(round), String(below(random, 2 ** 30)), 'work'])
    // The moment is the attack, so this is a wait for time. One kill in five may hit start or recovery.
    const isAtStart = below(random, 5) === 0
    if (!isAtStart) await child.untilOutput('open\n')
    await sleep(below(random, isAtStart ? 200 : LIFE_MS))
    child.process.kill('SIGKILL')
    const end = await child.end
    expect(end, end.errors).toMatchObject({ signal: 'SIGKILL', errors: '' })
    if (existsSync(file)) notes.take(readFileSync(file, 'utf8'), round)
    expect(notes.faults, `SEED=${seed}`).toEqual([])
  }
  const last = join(root, 'notes-last')
  const end = await runChild(CHILD, [directory, last, 'last', '1', 'drain'])
  expect(end, end.errors).toMatchObject({ code: 0, errors: '' })
  notes.take(readFileSync(last, 'utf8'), KILLS)
  expect(notes.faults, `SEED=${seed}`).toEqual([])
  expectAllDelivered(notes, `SEED=${seed}`)
  expect(notes.durable.size, 'the load was too light to show anything').toBeGreaterThan(20 * KILLS)
  expect(notes.files).toBeGreaterThan(KILLS / 2)
  await expectNoLeak(directory)
  console.log(`queue kill: ${KILLS} kills, ${notes.durable.size} entries acknowledged, ${notes.files} of them files; ${notes.twice} delivered more than once`)
})

test('a commit that is told durable before it is would be found out', { timeout: 120_000 }, async () => {
  const seed = runSeed()
  const random = seededRandom(seed)
  const root = temporaryDirectory()
  const notes = new Notes()
  for (let round = 0; round < 100 && notes.faults.length === 0; round++) {
    const file = join(root, `notes-${round}`)
    const child = startChild(CHILD, [join(root, 'log'), file, String(round), String(below(random, 2 ** 30)), 'premature'])
    await child.untilOutput('open\n')
    await sleep(below(random, LIFE_MS))
    child.process.kill('SIGKILL')
    await child.end
    if (existsSync(file)) notes.take(readFileSync(file, 'utf8'), round)
  }
  expect(notes.faults.some((fault) => fault.includes('again, though its commit was durable')), `SEED=${seed}`).toBe(true)
})
