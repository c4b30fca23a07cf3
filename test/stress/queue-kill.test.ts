import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openLog, verifyLog } from '../../dist/src/index.js'
import { below, runSeed, seededRandom } from '../model/random.js'
import { runChild, startChild } from '../support/child-process.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

const CHILD = new URL('./fixtures/queue-child.mjs', import.meta.url)
const KILLS = 200
/** The longest that a child runs once its log is open, in ms. */
const LIFE_MS = 120
const CONSUMERS = ['one', 'two']

/** What the children noted, over all rounds. */
class Notes {
  /** Entries that were acknowledged, with what they are. */
  readonly durable = new Map<number, string>()
  readonly delivered = new Map(CONSUMERS.map((name) => [name, new Set<number>()]))
  readonly committed = new Map(CONSUMERS.map((name) => [name, 0]))
  readonly faults: string[] = []
  twice = 0
  files = 0

  take(text: string, round: number): void {
    for (const line of text.split('\n')) {
      const [what, ...rest] = line.split(' ')
      if (what === 'durable') this.#takeDurable(Number(rest[0]), rest.slice(1).join(' '), round)
      else if (what === 'committed') this.committed.set(rest[0]!, Math.max(this.committed.get(rest[0]!)!, Number(rest[1])))
      else if (what === 'delivered') this.#takeDelivered(rest[0]!, Number(rest[1]), rest.slice(2).join(' '), round)
    }
  }

  #takeDurable(sequence: number, content: string, round: number): void {
    const known = this.durable.get(sequence)
    if (known !== undefined && known !== content) this.faults.push(`round ${round}: sequence ${sequence} was acknowledged twice`)
    this.durable.set(sequence, content)
    if (/ [0-9a-f]{64}$/.test(content)) this.files++
  }

  #takeDelivered(name: string, sequence: number, content: string, round: number): void {
    if (sequence <= this.committed.get(name)!) this.faults.push(`round ${round}: ${sequence} came to ${name} again, though its commit was durable`)
    const known = this.durable.get(sequence)
    if (known !== undefined && known !== content) this.faults.push(`round ${round}: ${sequence} came to ${name} as something else`)
    const delivered = this.delivered.get(name)!
    if (delivered.has(sequence)) this.twice++
    delivered.add(sequence)
  }
}

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
  for (const [name, delivered] of notes.delivered) {
    expect([...notes.durable.keys()].filter((sequence) => !delivered.has(sequence)), `SEED=${seed}: acknowledged, and never delivered to ${name}`).toEqual([])
  }
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

/** All was consumed: no segment but the newest is left, no blob, nothing half-made. */
async function expectNoLeak(directory: string): Promise<void> {
  const names = readdirSync(directory)
  expect(names.filter((name) => name.endsWith('.wal')).length).toBeLessThanOrEqual(2)
  expect(names.filter((name) => !name.endsWith('.wal')).toSorted()).toEqual(['blobs', 'reserve'])
  expect(readdirSync(join(directory, 'blobs'))).toEqual(['incoming'])
  expect(readdirSync(join(directory, 'blobs', 'incoming'))).toEqual([])
  expect((await verifyLog(directory)).status).toBe('sound')
  const log = await openLog({ directory })
  expect(log.consumers()).toEqual(CONSUMERS.map((name) => ({ name, committed: log.lastSequence, lag: 0 })))
  expect(log.recovery.cleanClose).toBe(true)
  await log.close()
}
