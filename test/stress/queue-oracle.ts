/** What must hold of the queue whatever was killed: by what the children noted, and by what is left on disk. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { openLog, verifyLog } from '../../dist/src/index.js'
import { below, type Random } from '../model/random.js'
import { runChild, startChild, type Child } from '../support/child-process.js'

const CHILD = new URL('./fixtures/queue-child.mjs', import.meta.url)
const CONSUMERS = ['one', 'two']
/** The longest that a child lives whose log is not waited for, in ms. */
const START_MS = 200

/** One log and the children that work on it, round after round. */
export interface Scene {
  readonly directory: string
  /** Where the notes go: on a disk that keeps them. */
  readonly root: string
  readonly notes: Notes
  readonly random: Random
  /** Told with every failure. */
  readonly seed: string
}

/**
 * Starts a child and lets it work for a while, drawn at random: of five, one may not get beyond opening, and two have done enough to show
 * something, however slow the machine is. It lives when this resolves.
 */
export async function workAWhile({ directory, root, random }: Scene, round: number, lifeMs: number, way = 'work'): Promise<Child> {
  const child = startChild(CHILD, [directory, noteFile(root, round), String(round), String(below(random, 2 ** 30)), way])
  const phase = round % 5
  if (phase > 0) await child.untilOutput(phase < 3 ? 'busy\n' : 'open\n')
  // The moment is the attack, so this is a wait for time.
  await sleep(below(random, phase === 0 ? START_MS : lifeMs))
  return child
}

/** Takes the notes of a child that has ended. */
export function readNotes({ root, notes }: Scene, round: number): void {
  const file = noteFile(root, round)
  if (existsSync(file)) notes.take(readFileSync(file, 'utf8'), round)
}

/** {@link readNotes}; no fault may show. */
export function takeNotes(scene: Scene, round: number): void {
  readNotes(scene, round)
  expect(scene.notes.faults, scene.seed).toEqual([])
}

function noteFile(root: string, round: number): string {
  return join(root, `notes-${round}`)
}

/** A last child delivers the rest and closes the log: then all that was acknowledged has come, and nothing is left lying about. */
export async function expectGoodEnd(scene: Scene, rounds: number): Promise<void> {
  const { directory, root, notes, seed } = scene
  const end = await runChild(CHILD, [directory, noteFile(root, rounds), 'last', '1', 'drain'])
  expect(end, end.errors).toMatchObject({ code: 0, errors: '' })
  takeNotes(scene, rounds)
  expectAllDelivered(notes, seed)
  await expectNoLeak(directory)
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

/** Everything that was acknowledged came to every consumer. */
function expectAllDelivered(notes: Notes, seed: string): void {
  for (const [name, delivered] of notes.delivered) {
    expect([...notes.durable.keys()].filter((sequence) => !delivered.has(sequence)), `${seed}: acknowledged, and never delivered to ${name}`).toEqual([])
  }
}

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
