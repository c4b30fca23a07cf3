/** The harnesses, in the order in which they run. */

import type { Harness } from './harness.js'

/** How a harness is found and run. */
export interface HarnessEntry {
  readonly name: string
  /** What it shows, for the table. */
  readonly about: string
  /** Needs the machine to itself; others run two at a time. */
  readonly alone: boolean
  load(): Promise<Harness>
}

/** All of them. */
export const HARNESSES: readonly HarnessEntry[] = [
  { name: 'crash-states', about: 'any disk that a crash may leave is recovered rightly', alone: true, load: () => import('./crash-states.js') },
  { name: 'interleavings', about: 'any order of steps on shared memory ends well', alone: false, load: () => import('./interleavings.js') },
  { name: 'ring-stress', about: 'threads that are terminated anywhere stop nobody', alone: false, load: () => import('./ring-stress.js') },
  { name: 'kill', about: 'SIGKILL loses nothing that was acknowledged', alone: false, load: () => import('./kill.js') },
  { name: 'queue-kill', about: 'SIGKILL loses no file and no durable commit', alone: false, load: () => import('./queue-kill.js') },
  { name: 'power-cuts', about: 'nor does a power cut of a real file system', alone: false, load: () => import('./power-cuts.js') },
  { name: 'failing-syncs', about: 'a failed sync is final, and loses nothing', alone: false, load: () => import('./failing-syncs.js') },
  { name: 'full-disk', about: 'on a full disk nothing that was accepted is lost', alone: false, load: () => import('./full-disk.js') },
  { name: 'system-calls', about: 'each call that changes the directory fails, or is the place of a kill', alone: false, load: () => import('./system-calls.js') },
  { name: 'locks', about: 'one owner at a time, whoever is killed when, and never a lock-out that lasts', alone: false, load: () => import('./locks.js') },
  { name: 'model', about: 'random programs of the whole API against a model in memory', alone: false, load: () => import('./model.js') },
  { name: 'soak', about: 'a minute of full load: nothing grows, nothing slows down', alone: true, load: () => import('./soak.js') },
  {
    name: 'corruption', about: 'no bit flip, cut or garbled sector is accepted in silence, none loses what is proved', alone: false,
    load: () => import('./corruption.js'),
  },
  {
    name: 'fuzzing', about: 'no input makes a reader fail, read without end or take too much memory', alone: false,
    load: () => import('./fuzzing.js'),
  },
]
