/** What must hold of the queue whatever was killed: by what the children noted, and by what is left on disk. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { openLog, verifyLog } from '../../dist/src/index.js'

const CONSUMERS = ['one', 'two']

/** What the children noted, over all rounds. */
export class Notes {
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

/** Everything that was acknowledged came to every consumer. */
export function expectAllDelivered(notes: Notes, seed: string): void {
  for (const [name, delivered] of notes.delivered) {
    expect([...notes.durable.keys()].filter((sequence) => !delivered.has(sequence)), `${seed}: acknowledged, and never delivered to ${name}`).toEqual([])
  }
}

/** All was consumed: no segment but the newest is left, no blob, nothing half-made. */
export async function expectNoLeak(directory: string): Promise<void> {
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
