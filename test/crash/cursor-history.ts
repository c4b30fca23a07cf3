/**
 * The oracle for cursors: every state that each was brought to, in order, and the last one that was said to be durable. After a crash a
 * cursor may be found in that state or a later one, and in no other.
 */

import type { Cursor } from '../../dist/src/format/trailer-layout.js'
import { Violation } from './log-image.js'

/** Undefined: there is no such cursor. */
interface State {
  readonly sequence: number | undefined
  readonly epochBits: number
}

interface Track {
  states: State[]
  /** Index of the last state that is known to be on disk. */
  durable: number
}

/** The cursors of one log. */
export class CursorHistory {
  readonly #tracks = new Map<string, Track>()

  /** Notes that a cursor was added, moved, sought or removed. */
  note(name: string, sequence: number | undefined, epochBits: number): void {
    this.#track(name).states.push({ sequence, epochBits })
  }

  #track(name: string): Track {
    let track = this.#tracks.get(name)
    if (track === undefined) this.#tracks.set(name, track = { states: [{ sequence: undefined, epochBits: 0 }], durable: 0 })
    return track
  }

  /** The log says that this place, or a later one of the same epoch, is on disk. */
  noteDurable(name: string, sequence: number, epochBits: number): void {
    const track = this.#track(name)
    const index = track.states.findLastIndex((state) => state.sequence === sequence && state.epochBits === epochBits)
    if (index < 0) throw new Violation(`the cursor of ${name} is said to be durable at ${sequence}, where it never was`)
    track.durable = Math.max(track.durable, index)
  }

  /** A mark for {@link noteAllDurable}: all that was noted until now. */
  mark(): ReadonlyMap<string, number> {
    return new Map([...this.#tracks].map(([name, { states }]) => [name, states.length - 1]))
  }

  /** All that was noted before the mark is on disk. */
  noteAllDurable(mark: ReadonlyMap<string, number>): void {
    for (const [name, index] of mark) this.#track(name).durable = Math.max(this.#track(name).durable, index)
  }

  /** Checks what a crash left. */
  check(found: readonly Cursor[]): void {
    for (const { name } of found) if (!this.#tracks.has(name)) throw new Violation(`foreign: a cursor of ${name}`)
    for (const [name, { states, durable }] of this.#tracks) {
      const sequence = found.find((cursor) => cursor.name === name)?.sequence
      if (states.some((state, index) => index >= durable && state.sequence === sequence)) continue
      const allowed = states.slice(durable).map((state) => state.sequence ?? 'none').join(', ')
      throw new Violation(`cursor lost or foreign: ${name} stands at ${sequence ?? 'none'}, it should be one of ${allowed}`)
    }
  }

  /** The log goes on from what was found. */
  restart(found: readonly Cursor[]): void {
    this.#tracks.clear()
    for (const { name, sequence, epoch } of found) this.#tracks.set(name, { states: [{ sequence, epochBits: epoch << 21 }], durable: 0 })
  }
}
