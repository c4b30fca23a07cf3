/** The oracle: what was accepted, in order, and what of it must, may and must not be there after a crash. */

import { Violation, type LogImage } from './log-image.js'

/** One sequence that was given out. */
export interface Accepted {
  /** Undefined: its producer failed or died, so it must be there as an aborted one, if at all. */
  readonly data: Buffer | undefined
  readonly ticks: bigint
  /** The last sequence of its group: it is there with all of them, or not. */
  readonly lastOfGroup: number
}

/** How much of a history was found. */
export interface Found {
  readonly last: number
  /** The entry at `last`: tells two histories apart that went different ways after a crash. */
  readonly lastEntry: Accepted | undefined
}

/** The entries of one log, in order of sequence. */
export class History {
  #accepted: Accepted[] = []

  get last(): number {
    return this.#accepted.length
  }

  at(sequence: number): Accepted | undefined {
    return this.#accepted[sequence - 1]
  }

  /** Notes a stretch that was claimed. */
  accept(sequence: number, datas: readonly (Buffer | undefined)[], ticks: bigint): void {
    if (sequence !== this.last + 1) throw new Violation(`sequence ${sequence} was given out, expected ${this.last + 1}`)
    const before = this.#accepted.findLast((accepted) => accepted.data !== undefined)
    if (before !== undefined && ticks < before.ticks) throw new Violation(`the timestamp of sequence ${sequence} is below the one before`)
    for (const data of datas) this.#accepted.push({ data, ticks, lastOfGroup: sequence + datas.length - 1 })
  }

  /** The log goes on after a crash that kept entries up to `last`. */
  truncate(last: number): void {
    this.#accepted = this.#accepted.slice(0, last)
  }

  /**
   * Checks what is there against what was accepted: acknowledged up to `floor`, so all of that; beyond it a prefix, groups
   * whole; nothing else, and each with its own bytes and timestamp.
   */
  check({ first, entries }: LogImage, floor: number): Found {
    const last = first - 1 + entries.length
    if (last < floor) throw new Violation(`lost: entries up to ${floor} were acknowledged, the log ends with ${last}`)
    if (last > this.last) throw new Violation(`foreign: ${this.last} entries were accepted, the log has ${last}`)
    for (const [index, { data, ticks }] of entries.entries()) {
      const sequence = first + index
      const wanted = this.at(sequence)!
      const isSame = data === undefined || wanted.data === undefined ? data === wanted.data : data.equals(wanted.data)
      if (!isSame) throw new Violation(`sequence ${sequence} should be ${show(wanted.data)}, it is ${show(data)}`)
      if (data !== undefined && ticks !== wanted.ticks) throw new Violation(`sequence ${sequence} has a timestamp that its producer was not told`)
    }
    const lastEntry = this.at(last)
    if (lastEntry !== undefined && lastEntry.lastOfGroup !== last) throw new Violation(`half a group: it ends with ${lastEntry.lastOfGroup}, the log with ${last}`)
    return { last, lastEntry }
  }
}

function show(data: Buffer | undefined): string {
  return data === undefined ? 'aborted' : `${data.length} bytes ${JSON.stringify(data.toString('latin1', 0, 40))}`
}
