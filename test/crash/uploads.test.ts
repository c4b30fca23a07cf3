/** Uploads wherever an operation fails or the power is cut. `npm run prove` runs more of them, and shows that it would see it if their order were another. */

import { expect, test } from 'vitest'
import { runSeed } from '../model/random.js'
import { shippedCode } from './code-under-test.js'
import { newUploadTally, runUploadCase } from './upload-case.js'

const CASES = 1500

test('an entry that is there has its file, whole, and no other file is left', { timeout: 240_000 }, async () => {
  const seed = runSeed()
  console.log(`uploads: SEED=${seed}`)
  const code = shippedCode()
  const tally = newUploadTally()
  for (let index = 0; index < CASES; index++) await runUploadCase(code, seed + index, tally)
  console.log(`uploads: ${JSON.stringify(tally)}`)
  for (const count of Object.values(tally)) expect(count).toBeGreaterThan(100)
})
