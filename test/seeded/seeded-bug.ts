/** A small broken variant of the library, which some harness must find out. */

import type { Patch } from './patch.js'

/** One bug. The lists of them are the other files of this directory, each as `BUGS`. */
export interface SeededBug {
  /** What is broken, as a sentence. */
  readonly name: string
  readonly patches: readonly Patch[]
  /** The harness that finds it. */
  readonly caughtBy: string
  /** The case that shows it, where the harness would be long in coming to it. */
  readonly caseName?: string
  /** What the fault may say, where it might be another one than the bug's. */
  readonly shows?: RegExp
}
