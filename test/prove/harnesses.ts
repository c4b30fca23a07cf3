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
  {
    name: 'corruption', about: 'no bit flip, cut or garbled sector is accepted in silence, none loses what is proved', alone: false,
    load: () => import('./corruption.js'),
  },
  {
    name: 'fuzzing', about: 'no input makes a reader fail, read without end or take too much memory', alone: false,
    load: () => import('./fuzzing.js'),
  },
]
