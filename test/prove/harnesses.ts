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
  { name: 'model', about: 'random programs of the whole API against a model in memory', alone: false, load: () => import('./model.js') },
  { name: 'soak', about: 'a minute of full load: nothing grows, nothing slows down', alone: true, load: () => import('./soak.js') },
]
