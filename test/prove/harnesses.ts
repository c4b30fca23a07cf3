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
  { name: 'system-calls', about: 'each call that changes the directory fails, or is the place of a kill', alone: false, load: () => import('./system-calls.js') },
  { name: 'locks', about: 'one owner at a time, whoever is killed when, and never a lock-out that lasts', alone: false, load: () => import('./locks.js') },
]
