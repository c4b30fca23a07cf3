/** A directory to try things out in, which goes with all that is in it. */

import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Makes one with a name of its own (mode 0700) below `parent`, which must exist. Returns its path, without links. */
export function makeScratchDirectory(parent: string): string {
  return mkdtempSync(join(realpathSync(parent), '.ringwal-bench-'))
}

/** Removes one that {@link makeScratchDirectory} made. Fine when it is gone. */
export function removeScratchDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 })
}
