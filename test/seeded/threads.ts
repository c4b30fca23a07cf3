/** Bugs of the ring that real threads must show, without a model of it. */

import type { SeededBug } from './seeded-bug.js'

const BUGS_OF_THREADS: readonly Omit<SeededBug, 'caughtBy'>[] = [
  {
    name: 'threads: what the dead owe is waited for',
    patches: [{ file: 'ring/dead-producers.js', within: 'inquire', from: 'inquiry.suspects.length > 0 || ', to: 'true || ' }],
  },
  {
    name: 'threads: what is owed is aborted without waiting for the living',
    patches: [{ file: 'ring/dead-producers.js', within: 'inquire', from: 'inquiry.suspects.length > 0 || ', to: '' }],
  },
  {
    name: 'threads: published before it is filled',
    patches: [{ file: 'ring/append.js', within: 'appendThroughRing', from: /(stretch\.fill\(ring\.bytes[^;]*;)([^]*?)(publish\(ring[^;]*MARK\.entry\b[^;]*;)/, to: '$3 $1 $2' }],
  },
  {
    name: 'threads: ring space is given back before it is written',
    patches: [{ file: 'writer/writer.js', from: 'tail.write(batch.extents.map', to: 'release(this.#ring, batch, this.#point); tail.write(batch.extents.map' }],
  },
  {
    name: 'threads: bytes in the ring are not counted',
    patches: [{ file: 'ring/claim.js', within: 'claimStretch', from: 'backlog > ringBytes || ', to: '' }],
  },
  {
    name: 'threads: the arena is taken by two',
    patches: [{
      file: 'ring/append.js', within: 'appendThroughArena', from: 'atomics.compareExchange(words, WORD.arenaOwner, 0, record.index + 1) !== 0', to: 'false',
    }],
  },
]

/** All of them. */
export const BUGS: readonly SeededBug[] = BUGS_OF_THREADS.map((bug) => ({ ...bug, caughtBy: 'ring-stress' }))
