/** Bugs that only show when a log runs for long: something is never given back. */

import type { SeededBug } from './seeded-bug.js'

const caughtBy = 'soak'

/** All of them. */
export const BUGS: readonly SeededBug[] = [
  {
    name: 'a reading does not close its file', caughtBy,
    patches: [{ file: 'log/reader.js', from: '(this.#ahead ?? this.#file)?.close();', to: '' }],
  },
  {
    name: 'what all consumers have committed is not freed', caughtBy,
    patches: [{ file: 'writer/retention.js', from: 'segment.lastSequence <= committed', to: 'false' }],
  },
  {
    name: 'a delivery remembers what it has finished', caughtBy,
    patches: [{
      file: 'queue/delivery.js', from: 'this.#unfinished.delete(parcel.firstSequence);',
      to: 'this.#unfinished.delete(parcel.firstSequence); (this.finishedSequences ??= []).push(parcel.entries.map(({ sequence }) => sequence));',
    }],
  },
  {
    name: 'batches that a consumer has finished stay in memory', caughtBy,
    patches: [{
      file: 'queue/delivery.js', from: 'this.#unfinished.delete(parcel.firstSequence);',
      to: 'this.#unfinished.delete(parcel.firstSequence); (this.finishedEntries ??= []).push(parcel.entries[0]);',
    }],
  },
  {
    name: 'a loop becomes slower the longer it runs', caughtBy,
    patches: [{
      file: 'log/log-producer.js', from: 'append(data) {', to: 'append(data) {\n        this.appended = (this.appended ?? 0) + 1; for (let spin = 0; spin < this.appended / 100; spin++) Math.sqrt(spin);',
    }],
  },
]
