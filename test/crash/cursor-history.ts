/**
 * The oracle for cursors: every state that they were in together, in order, and the last one that was said to be on disk. A trailer carries all
 * cursors as they stood at one moment, so a crash leaves one of these states, and none before the last durable one.
 */

import type { Cursor } from '../../dist/src/format/trailer-layout.js'
import { Violation } from './log-image.js'

/** Where one cursor stands. */
export interface Place {
  readonly sequence: number
  readonly epoch: number
}

/** All cursors of one moment, by name. */
export type Cursors = ReadonlyMap<string, Place>

interface State {
  readonly cursors: Cursors
  readonly text: string
  /** The highest sequence in it. */
  readonly most: number
}

/** The cursors of one log. States are named by their index. */
export class CursorHistory {
  #states: State[] = [stateOf(new Map())]
  /** The last state that is known to be on disk, or one before which all others are. */
  #durable = 0

  /** The present state. */
  get now(): number {
    return this.#states.length - 1
  }

  /** The state that nothing found may be before. */
  get durable(): number {
    return this.#durable
  }

  at(state: number): Cursors {
    return this.#states[state]!.cursors
  }

  /** Notes that a cursor was added, moved or sought; undefined: removed. */
  note(name: string, place: Place | undefined): void {
    const cursors = new Map(this.at(this.now))
    if (place === undefined) cursors.delete(name)
    else cursors.set(name, place)
    this.#states.push(stateOf(cursors))
  }

  /** The log says that a cursor is on disk at this place. */
  noteReported(name: string, { sequence, epoch }: Place): void {
    const state = this.#states.findIndex(({ cursors }) => {
      const place = cursors.get(name)
      return place !== undefined && place.sequence === sequence && place.epoch === epoch
    })
    if (state < 0) throw new Violation(`the cursor of ${name} is said to be durable at ${sequence}, where it never was`)
    this.noteDurable(state)
  }

  /** That state, or a later one, is on disk. */
  noteDurable(state: number): void {
    this.#durable = Math.max(this.#durable, state)
  }

  /**
   * Which state a crash left of a log that ends with `last`: the latest that it may be, and none before `from`. A cursor that was set to the end,
   * beyond entries that are lost, comes back to what is the end now.
   */
  find(found: readonly Cursor[], last: number, from: number): number {
    const { text } = stateOf(new Map(found.map((cursor) => [cursor.name, cursor])), last)
    const textOf = ({ cursors, text: whole, most }: State): string => most > last ? stateOf(cursors, last).text : whole
    for (let state = this.now; state >= from; state--) if (textOf(this.#states[state]!) === text) return state
    const wanted = [...new Set(this.#states.slice(from).map((state) => `[${textOf(state)}]`))].join(' or ')
    throw new Violation(`cursor lost or foreign: found [${text}], it should be ${wanted}`)
  }

  /** The log goes on from what was found. */
  restart(found: readonly Cursor[]): void {
    this.#states = [stateOf(new Map(found.map(({ name, sequence, epoch }) => [name, { sequence, epoch }])))]
    this.#durable = 0
  }
}

function stateOf(cursors: Cursors, last = Infinity): State {
  const texts = [...cursors].map(([name, { sequence, epoch }]) => `${name} ${Math.min(sequence, last)}/${epoch}`)
  return { cursors, text: texts.sort().join(', '), most: Math.max(0, ...[...cursors.values()].map(({ sequence }) => sequence)) }
}
