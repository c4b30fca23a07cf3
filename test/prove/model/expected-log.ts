/** A log as the README promises it, in plain memory: what was accepted, what may be gone, where consumers stand. */

import type { LogEntry, SegmentInfo } from '../../../dist/src/index.js'

/** An entry as it was appended. */
export interface ExpectedEntry {
  /** Its bytes; undefined of an uploaded file, whose entry is the log's own. */
  readonly bytes: Buffer | undefined
  readonly file?: { readonly content: Buffer; readonly metadata: unknown }
  /** The group that it belongs to, if any. */
  readonly group?: { readonly first: number; readonly count: number }
  /** As it was first read, or told by a receipt. */
  timestamp?: number
}

/** A consumer as its user knows it. */
export interface ExpectedConsumer {
  committed: number
  /** Where it may stand after a crash: all that was set since a commit was last reported durable. Undefined: it may be unknown then. */
  candidates: (number | undefined)[]
  /** What must be in its dead-letter log, since its commit was reported durable. */
  readonly dead: Set<number>
}

/** What is not as it was promised. */
export function promise(holds: boolean, what: () => string): asserts holds {
  if (!holds) throw new Error(what())
}

/** The log of one program. Sequence n is `entries[n - 1]`. */
export class ExpectedLog {
  readonly entries: ExpectedEntry[] = []
  /** Up to here all was reported durable. */
  acknowledged = 0
  /** Up to here retention was ever free to remove. */
  mayGo = 0
  dropped = 0
  /** Entries since the log was opened. */
  sinceOpen = 0
  readonly consumers = new Map<string, ExpectedConsumer>()
  keepsConsumed = false
  /** Makes each entry one of its kind. */
  made = 0

  get last(): number {
    return this.entries.length
  }

  /** Takes what was accepted as `first`. */
  accept(first: number, entries: readonly ExpectedEntry[]): void {
    promise(first === this.last + 1, () => `append returned sequence ${first}, ${this.last + 1} comes next`)
    const group = entries.length > 1 ? { group: { first, count: entries.length } } : {}
    for (const entry of entries) this.entries.push({ ...entry, ...group })
    this.sinceOpen += entries.length
  }

  /** Takes entries that several producers appended at the same time: each one's in its order, none missing. */
  acceptMixed(streams: readonly (readonly { readonly sequence: number; readonly entry: ExpectedEntry }[])[]): void {
    for (const stream of streams) {
      stream.forEach(({ sequence }, index) => promise(index === 0 || sequence > stream[index - 1]!.sequence, () => `one producer got ${stream[index - 1]!.sequence}, then ${sequence}`))
    }
    for (const { sequence, entry } of streams.flat().toSorted((one, other) => one.sequence - other.sequence)) this.accept(sequence, [entry])
  }

  acknowledge(sequence: number): void {
    this.acknowledged = Math.max(this.acknowledged, sequence)
  }

  /** To be called whenever cursors have moved, or consumers come or gone: what they let go. */
  noteFreed(): void {
    if (this.keepsConsumed || this.consumers.size === 0) return
    this.mayGo = Math.max(this.mayGo, Math.min(...[...this.consumers.values()].map(({ committed }) => committed)))
  }

  /** Where a consumer stands from now on. */
  setCursor(name: string, committed: number): void {
    const consumer = this.consumers.get(name)
    if (consumer === undefined) this.consumers.set(name, { committed, candidates: [undefined, committed], dead: new Set() })
    else {
      consumer.committed = committed
      consumer.candidates.push(committed)
    }
    this.noteFreed()
  }

  /** Where all consumers stand is on disk. */
  cursorsDurable(): void {
    for (const consumer of this.consumers.values()) consumer.candidates = [consumer.committed]
  }

  /** Compares an entry with what was appended as its sequence, and its time with its neighbours'. */
  checkEntry(entry: LogEntry): void {
    const { sequence, timestamp } = entry
    const expected = this.entries[sequence - 1]
    promise(expected !== undefined, () => `entry ${sequence} was read, and never accepted; the last one is ${this.last}`)
    const { bytes, file } = expected
    if (bytes !== undefined) {
      promise(entry.data.equals(bytes), () => `entry ${sequence} has the bytes ${show(entry.data)}, not ${show(bytes)}`)
      promise(entry.bytes === bytes.length, () => `entry ${sequence} says that it has ${entry.bytes} bytes, not ${bytes.length}`)
      promise(entry.text() === bytes.toString(), () => `the text of entry ${sequence} is ${JSON.stringify(entry.text())}, not ${JSON.stringify(bytes.toString())}`)
    }
    promise((entry.file === undefined) === (file === undefined), () => `entry ${sequence} ${file === undefined ? 'is no' : 'is a'} file`)
    const ticksMs = Number((entry.ticks - 621_355_968_000_000_000n) / 10_000n)
    promise(ticksMs === timestamp, () => `entry ${sequence} has the time ${timestamp} in ms, and ${ticksMs} in ticks`)
    promise(expected.timestamp === undefined || expected.timestamp === timestamp, () => `the time of entry ${sequence} was ${expected.timestamp}, and is ${timestamp}`)
    expected.timestamp = timestamp
    const before = this.entries[sequence - 2]?.timestamp ?? -Infinity
    const after = this.entries[sequence]?.timestamp ?? Infinity
    promise(before <= timestamp && timestamp <= after, () => `times fall: ${before}, ${timestamp} of entry ${sequence}, ${after}`)
  }

  /** Compares entries that were read with those from `first` on: no gap, and none of them more than once. */
  checkRun(entries: readonly LogEntry[], first: number): void {
    entries.forEach((entry, index) => {
      promise(entry.sequence === first + index, () => `entry ${first + index} was to be read, ${entry.sequence} came`)
      this.checkEntry(entry)
    })
  }

  /** After a crash the log ends at `last`. */
  recover(last: number, found: readonly { readonly name: string; readonly committed: number }[]): void {
    promise(last >= this.acknowledged, () => `after a crash the log ends at ${last}, though ${this.acknowledged} was acknowledged`)
    promise(last <= this.last, () => `after a crash the log ends at ${last}, though only ${this.last} were accepted`)
    const group = this.entries[last - 1]?.group
    promise(group === undefined || last === group.first + group.count - 1, () => `after a crash the log ends at ${last}, within the group of ${group?.count} from ${group?.first} on`)
    this.entries.length = last
    this.acknowledged = last
    this.reopened()
    for (const [name, { candidates }] of this.consumers) {
      const committed = found.find((consumer) => consumer.name === name)?.committed
      promise(candidates.includes(committed), () => `after a crash the consumer ${name} stands at ${committed}, which is none of ${candidates.join(', ')}`)
      if (committed === undefined) this.consumers.delete(name)
      else Object.assign(this.consumers.get(name)!, { committed, candidates: [committed] })
    }
    this.noteFreed()
  }

  /** What counts from opening. */
  reopened(): void {
    this.dropped = 0
    this.sinceOpen = 0
  }

  /** The segments: in order, without gaps, with nothing removed that was still wanted. Returns the first sequence that is left. */
  checkSegments(segments: readonly SegmentInfo[]): number {
    segments.forEach(({ firstSequence, lastSequence, sealed, entries, firstTimestamp, lastTimestamp }, index) => {
      const before = segments[index - 1]
      promise(before === undefined || firstSequence === before.lastSequence + 1, () => `a segment ends at ${before?.lastSequence}, the next begins at ${firstSequence}`)
      promise(sealed || index === segments.length - 1, () => `the segment from ${firstSequence} on is not the last, and not sealed`)
      promise(!sealed || entries === lastSequence - firstSequence + 1, () => `the segment ${firstSequence} to ${lastSequence} says that it has ${entries} entries`)
      promise((firstTimestamp ?? 0) <= (lastTimestamp ?? 0), () => `the segment from ${firstSequence} on begins after it ends`)
    })
    const first = segments[0]?.firstSequence ?? 1
    promise(first - 1 <= this.mayGo, () => `entries up to ${first - 1} are gone, though only those up to ${this.mayGo} were let go`)
    return first
  }
}

/** Bytes, for a message. */
export function show(bytes: Buffer): string {
  return bytes.length <= 40 ? JSON.stringify(bytes.toString('latin1')) : `${JSON.stringify(bytes.toString('latin1', 0, 30))}… (${bytes.length})`
}
