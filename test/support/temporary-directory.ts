/** Directories of a test, removed when the test is over. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A new directory; gone after the calling test. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'ringwal-test-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}
