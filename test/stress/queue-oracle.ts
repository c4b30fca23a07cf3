/** What must hold of the queue whatever was killed: by what the children noted, and by what is left on disk. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { below, type Random } from '../model/random.js'
import { runChild, startChild, type Child } from '../support/child-process.js'
import { load } from '../support/library.mjs'

const { openLog, verifyLog } = await load('index.js')
const CHILD = new URL('./fixtures/queue-child.mjs', import.meta.url)
const CONSUMERS = ['one', 'two']
/** The longest that a child lives whose log is not waited for, in ms. */
const START_MS = 200

/** One log and the children that work on it, round after round. */
export interface Scene {
  readonly directory: string
  /** Where the notes go: on a disk that keeps them. */
  readonly root: string
  /** What the children noted, and what is wrong: a kill cannot be repeated, so faults are collected. */
  readonly notes: Notes
  readonly random: Random
}

/** How rounds go. */
export interface Rounds {
  readonly count: number
  /** The longest that a child lives once its log is open, in ms. */
  readonly lifeMs: number
  /** With `'premature'` the children note what is not so yet. */
  readonly way?: 'work' | 'premature'
  /** Ends a child, and all else that is to end with it. */
  end(child: Child): Promise<void>
}

/** Lets children work on the log, and ends each of them, until a fault shows; then, if none did, sees to it that all has come and nothing is left. */
export async function liveThrough(scene: Scene, { count, lifeMs, way = 'work', end }: Rounds): Promise<void> {
  const { notes } = scene
  for (let round = 0; round < count && notes.faults.length === 0; round++) {
    try {
      await end(await workAWhile(scene, round, lifeMs, way))
    } catch (error) {
      notes.faults.push(`round ${round}: ${String(error)}`)
    }
    readNotes(scene, round)
  }
  if (notes.faults.length === 0) await checkGoodEnd(scene, count)
}

/** Ends a child by SIGKILL. */
export async function kill(child: Child): Promise<void> {
  child.process.kill('SIGKILL')
  const { signal, errors } = await child.end
  if (signal !== 'SIGKILL' || errors !== '') throw new Error(`a child ended by itself: ${errors}`)
}

/**
 * Starts a child and lets it work for a while, drawn at random: of five, one may not get beyond opening, and two have done enough to show
 * something, however slow the machine is. It lives when this resolves.
 */
async function workAWhile({ directory, root, random }: Scene, round: number, lifeMs: number, way: string): Promise<Child> {
  const child = startChild(CHILD, [directory, noteFile(root, round), String(round), String(below(random, 2 ** 30)), way])
  const phase = round % 5
  if (phase > 0) await child.untilOutput(phase < 3 ? 'busy\n' : 'open\n')
  // The moment is the attack, so this is a wait for time.
  await sleep(below(random, phase === 0 ? START_MS : lifeMs))
  return child
}

/** Takes the notes of a child that has ended. */
function readNotes({ root, notes }: Scene, round: number): void {
  const file = noteFile(root, round)
  if (existsSync(file)) notes.take(readFileSync(file, 'utf8'), round)
}

function noteFile(root: string, round: number): string {
  return join(root, `notes-${round}`)
}

/** A last child delivers the rest and closes the log: then all that was acknowledged has come, and nothing is left lying about. */
async function checkGoodEnd(scene: Scene, rounds: number): Promise<void> {
  const { directory, root, notes } = scene
  const { code, errors } = await runChild(CHILD, [directory, noteFile(root, rounds), 'last', '1', 'drain'])
  if (code !== 0 || errors !== '') notes.faults.push(`the last child ended with ${code}: ${errors}`)
  readNotes(scene, rounds)
  for (const [name, delivered] of notes.delivered) {
    const missing = [...notes.durable.keys()].filter((sequence) => !delivered.has(sequence))
    if (missing.length > 0) notes.faults.push(`acknowledged, and never delivered to ${name}: ${missing.slice(0, 20).join()}`)
  }
  notes.faults.push(...await leaksOf(directory))
}

/** What the children noted, over all rounds. */
export class Notes {
  /** Entries that were acknowledged, with what they are. */
  readonly durable = new Map<number, string>()
  readonly delivered = new Map(CONSUMERS.map((name) => [name, new Set<number>()]))
  readonly committed = new Map(CONSUMERS.map((name) => [name, 0]))
  readonly faults: string[] = []
  twice = 0
  files = 0

  /** A kill may cut the last line off where a page of the file ends. */
  take(text: string, round: number): void {
    for (const line of text.split('\n').slice(0, -1)) {
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
    if (known !== undefined && known !== content) this.faults.push(`round ${round}: ${sequence} came to ${name} as ${content}, it was ${known}`)
    const delivered = this.delivered.get(name)!
    if (delivered.has(sequence)) this.twice++
    delivered.add(sequence)
  }
}

/** All was consumed: no segment but the newest should be left, no blob, nothing half-made. */
async function leaksOf(directory: string): Promise<string[]> {
  const names = readdirSync(directory)
  const found: (readonly [what: string, is: unknown, wanted: unknown])[] = [
    ['files beside segments', names.filter((name) => !name.endsWith('.wal')).toSorted(), ['blobs', 'reserve']],
    ['blobs', readdirSync(join(directory, 'blobs')), ['incoming']],
    ['incoming', readdirSync(join(directory, 'blobs', 'incoming')), []],
    ['what verifyLog() says', (await verifyLog(directory)).status, 'sound'],
  ]
  const log = await openLog({ directory })
  found.push(['consumers', log.consumers(), CONSUMERS.map((name) => ({ name, committed: log.lastSequence, lag: 0 }))], ['a clean close', log.recovery.cleanClose, true])
  await log.close()
  const segments = names.filter((name) => name.endsWith('.wal'))
  if (segments.length > 2) found.push(['segments', segments, 'two at most'])
  return found.filter(([, is, wanted]) => !isDeepStrictEqual(is, wanted)).map(([what, is, wanted]) => `${what}: expected ${JSON.stringify(wanted)}, found ${JSON.stringify(is)}`)
}
