/** The consumers of one run, as threads of the application have them: they note what the log tells them, and what they know it by. */

import type { CursorHold } from '../../dist/src/ring/cursors.js'
import type { Ring } from '../../dist/src/ring/ring.js'
import { below, type Random } from '../model/random.js'
import type { Code } from './code-under-test.js'
import type { CursorHistory } from './cursor-history.js'
import { Violation } from './log-image.js'

interface Consumer {
  hold: CursorHold
  epoch: number
  /** Holds of epochs that have passed. */
  readonly stale: CursorHold[]
  reported: number | undefined
}

/** Consumers, and requests to make their cursors durable. */
export class SessionConsumers {
  readonly #code: Code
  readonly #ring: Ring
  readonly #cursors: CursorHistory
  readonly #all = new Map<string, Consumer>()
  #tickets: { readonly ticket: number; readonly state: number }[] = []
  commits = 0
  seeks = 0
  served = 0

  constructor(code: Code, ring: Ring, cursors: CursorHistory) {
    this.#code = code
    this.#ring = ring
    this.#cursors = cursors
    for (const name of cursors.at(cursors.now).keys()) this.#hold(name, code.holdCursor(ring, code.findCursor(ring, name)!), [])
  }

  #hold(name: string, hold: CursorHold, stale: CursorHold[]): void {
    this.#all.set(name, { hold, epoch: this.#code.readCursor(this.#ring, hold.base).epoch, stale, reported: undefined })
  }

  /** Notes what the log says to be on disk at this moment. */
  look(): void {
    const served = this.#tickets.filter(({ ticket }) => this.#code.isServed(this.#ring, 'cursors', ticket))
    for (const { state } of served) this.#cursors.noteDurable(state)
    this.served += served.length
    if (served.length > 0) this.#tickets = this.#tickets.filter((waiting) => !served.includes(waiting))
    for (const [name, consumer] of this.#all) {
      const sequence = this.#code.durableCursor(this.#ring, consumer.hold)
      if (sequence === undefined || sequence === consumer.reported) continue
      consumer.reported = sequence
      this.#cursors.noteReported(name, { sequence, epoch: consumer.epoch })
    }
  }

  /** Delivers up to `durable` and commits up to `sequence`; a consumer that is not there yet begins before it. */
  commit(name: string, sequence: number, durable: number, random: Random): void {
    const code = this.#code
    const consumer = this.#all.get(name)
    if (consumer === undefined) return this.#add(name, below(random, sequence + 1))
    const { base } = consumer.hold
    code.noteDelivered(this.#ring, base, durable)
    const wanted = Math.min(sequence, code.deliveredSequence(this.#ring, base))
    const before = this.#cursors.at(this.#cursors.now).get(name)!.sequence
    const hasMoved = code.commitCursor(this.#ring, consumer.hold, wanted)
    if (hasMoved !== wanted > before) throw new Violation(`a commit of ${wanted} at ${before} says ${hasMoved}`)
    if (hasMoved) this.#cursors.note(name, { sequence: wanted, epoch: consumer.epoch })
    this.commits++
    for (const hold of consumer.stale) {
      if (code.commitCursor(this.#ring, hold, durable + 1)) throw new Violation('a commit of an epoch that has passed moves a cursor')
    }
  }

  #add(name: string, sequence: number): void {
    this.#hold(name, this.#code.addCursor(this.#ring, name, sequence), [])
    this.#cursors.note(name, { sequence, epoch: this.#all.get(name)!.epoch })
  }

  seek(name: string, sequence: number): void {
    const consumer = this.#all.get(name)
    if (consumer === undefined) return
    this.#hold(name, this.#code.seekCursor(this.#ring, consumer.hold.base, sequence), [...consumer.stale, consumer.hold])
    this.#cursors.note(name, { sequence, epoch: this.#all.get(name)!.epoch })
    this.seeks++
  }

  remove(name: string): void {
    const consumer = this.#all.get(name)
    if (consumer === undefined) return
    this.#code.removeCursor(this.#ring, consumer.hold.base)
    this.#all.delete(name)
    this.#cursors.note(name, undefined)
  }

  /** Asks for all cursors to be made durable as they stand now. */
  request(): void {
    this.#tickets.push({ ticket: this.#code.request(this.#ring, 'cursors'), state: this.#cursors.now })
  }
}
