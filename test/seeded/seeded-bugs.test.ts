/** The seeded bugs that `npm run prove -- --seeded` has the harnesses find: that each still is a change of the code. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { HARNESSES } from '../prove/harnesses.js'
import { seededBugs } from '../prove/seeded.js'
import { applyPatch } from './patch.js'

const BUILT = new URL('../../dist/src/', import.meta.url)

test('every seeded bug can be made, and names a harness that is to find it', async () => {
  const bugs = await seededBugs()
  expect(bugs.length).toBeGreaterThan(100)
  for (const { name, patches, caughtBy } of bugs) {
    expect(HARNESSES.map((harness) => harness.name), name).toContain(caughtBy)
    for (const patch of patches) {
      const text = readFileSync(fileURLToPath(new URL(patch.file, BUILT)), 'utf8')
      expect(applyPatch(text, patch), name).not.toBe(text)
    }
  }
  expect(new Set(bugs.map(({ name }) => name)).size).toBe(bugs.length)
})
