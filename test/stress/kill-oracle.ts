/** What must be in a log after kills: every acknowledged entry, each producer's entries in order and once, whole groups. */

import { crc32 } from 'node:zlib'
import type { Log } from '../../dist/src/index.js'

interface Made {
  readonly who: string
  readonly counter: number
  readonly groupFirst: number
  readonly groupSize: number
}

function parse(text: string): Made {
  const [who, counter, groupFirst, groupSize] = text.split(' ', 4)
  return { who: who!, counter: Number(counter), groupFirst: Number(groupFirst), groupSize: Number(groupSize) }
}

/** Follows one directory through all rounds. Collects what is wrong instead of throwing: a kill cannot be repeated. */
export class KillOracle {
  readonly faults: string[] = []
  acknowledged = 0
  entries = 0
  readonly #awaited = new Map<number, number>()
  readonly #nextOf = new Map<string, number>()
  readonly #digests: number[] = []
  #last = 0

  /** Notes what a round acknowledged: lines of sequence and digest. */
  expect(lines: string): void {
    for (const line of lines.split('\n').slice(0, -1)) {
      const [sequence, digest] = line.split(' ').map(Number)
      if (this.#awaited.has(sequence!)) this.faults.push(`sequence ${sequence} was acknowledged twice`)
      this.#awaited.set(sequence!, digest!)
      this.acknowledged++
    }
  }

  /** Looks at what has come since the last call. `aborted` sequences may be without an entry. */
  async check(log: Log): Promise<void> {
    const first = this.#last + 1
    const texts: string[] = []
    for await (const entry of log.read({ fromSequence: first })) {
      if (entry.sequence !== this.#last + 1) this.faults.push(`sequence ${this.#last + 1} is followed by ${entry.sequence}`)
      this.#last = entry.sequence
      texts.push(entry.text())
    }
    if (this.#last !== log.lastSequence) this.faults.push(`the log says that it ends at ${log.lastSequence}, its entries at ${this.#last}`)
    texts.forEach((text, index) => this.#checkEntry(text, first + index))
    this.#checkGroups(texts.map(parse))
    for (const sequence of this.#awaited.keys()) this.faults.push(`sequence ${sequence} was acknowledged and is lost`)
    this.#awaited.clear()
    this.entries = this.#last
  }

  #checkEntry(text: string, sequence: number): void {
    const { who, counter } = parse(text)
    const next = this.#nextOf.get(who) ?? 0
    if (counter !== next) this.faults.push(`sequence ${sequence}: ${who} has ${counter} where ${next} comes next`)
    this.#nextOf.set(who, counter + 1)
    const digest = crc32(text)
    const awaited = this.#awaited.get(sequence)
    if (awaited !== undefined && awaited !== digest) this.faults.push(`sequence ${sequence}: not the entry that was acknowledged`)
    this.#awaited.delete(sequence)
    this.#digests[sequence] = digest
  }

  #checkGroups(made: readonly Made[]): void {
    for (let index = 0; index < made.length;) {
      const { who, counter, groupFirst, groupSize } = made[index]!
      const group = made.slice(index, index + groupSize)
      const isWhole = counter === groupFirst && group.length === groupSize
        && group.every((member, at) => member.who === who && member.counter === groupFirst + at)
      if (!isWhole) this.faults.push(`the group of ${groupSize} that begins with ${who} ${groupFirst} is not whole`)
      index += Math.max(1, groupSize)
    }
  }

  /** Whether the whole log still is what was seen of it round by round. */
  async checkWhole(log: Log): Promise<void> {
    let sequence = 0
    for await (const entry of log.read()) {
      sequence++
      if (entry.sequence !== sequence || crc32(entry.data) !== this.#digests[sequence]) this.faults.push(`sequence ${entry.sequence} has changed since it was first read`)
    }
    if (sequence !== this.#last) this.faults.push(`${this.#last} entries were read, ${sequence} are left`)
  }
}
