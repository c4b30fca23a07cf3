/** Uploads wherever an operation fails or the power is cut; and that the test would see it if their order were another. */

import { expect, test } from 'vitest'
import { runSeed } from '../model/random.js'
import { shippedCode, withPatchedCode, type Code, type Patch } from './code-under-test.js'
import { runUploadCase, type UploadTally } from './upload-case.js'

const CASES = 1500
const UPLOAD = 'log/file-upload.js'

async function runCases(code: Code, seed: number, tally: UploadTally): Promise<void> {
  for (let index = 0; index < CASES; index++) await runUploadCase(code, seed + index, tally)
}

test('an entry that is there has its file, whole, and no other file is left', { timeout: 240_000 }, async () => {
  const seed = runSeed()
  console.log(`uploads: SEED=${seed}`)
  const tally: UploadTally = { points: 0, acknowledged: 0, faults: 0, cuts: 0 }
  await runCases(shippedCode(), seed, tally)
  console.log(`uploads: ${JSON.stringify(tally)}`)
  for (const count of Object.values(tally)) expect(count).toBeGreaterThan(100)
})

const BUGS: readonly (readonly [name: string, patch: Patch, shows: RegExp])[] = [
  ['the file is not synced', { file: UPLOAD, from: 'await file.syncAsync();', to: '' }, /is not whole/],
  ['its name is not synced before its entry is appended', { file: UPLOAD, from: 'ready = name;\n        disk.syncDirectory(incoming);', to: 'ready = name;' }, /has no file/],
  ['a file that failed after its entry was accepted is removed', { file: UPLOAD, from: 'if (!isAccepted && !isInLine)', to: 'if (true)' }, /has no file/],
  ['what waits for its place at opening is thrown away', { file: UPLOAD, from: 'if (ready !== undefined)', to: 'if (false)' }, /has no file|left in incoming/],
  ['unfinished files stay', { file: UPLOAD, from: 'else if (isPartName(name))', to: 'else if (false)' }, /left in incoming/],
  ['files beyond the end of the log stay', { file: 'writer/blob-keeper.js', from: 'sequence > lastSequence', to: 'false' }, /without an entry|is not whole/],
  ['files below the beginning of the log stay', { file: 'writer/blob-keeper.js', from: 'sequence < firstSequence', to: 'false' }, /without an entry/],
]

test.each(BUGS)('it would be found out if %s', { timeout: 120_000 }, async (_, patch, shows) => {
  const seed = runSeed()
  const found = withPatchedCode([patch], async (code) => await runCases(code, seed, { points: 0, acknowledged: 0, faults: 0, cuts: 0 }))
  await expect(found, `SEED=${seed}`).rejects.toThrow(shows)
})
