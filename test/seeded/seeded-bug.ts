/** A small broken variant of the library, which some harness must find out. */

import type { Patch } from '../crash/code-under-test.js'

export interface SeededBug {
  /** What is broken, as a sentence. */
  readonly name: string
  readonly patches: readonly Patch[]
  /** The harness that finds it. */
  readonly caughtBy: string
}
