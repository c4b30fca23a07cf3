/**
 * The built code that a crash run drives: what ships, or a copy with a seeded bug.
 *
 * It is loaded by Node itself, not through the test runner, so that it is byte for byte what the package holds, at its own
 * speed, and so that each patched copy is a module graph of its own.
 */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type * as Errors from '../../dist/src/errors.js'
import type * as Ticks from '../../dist/src/format/ticks.js'
import type * as StagingModule from '../../dist/src/log/staging.js'
import type * as Recovery from '../../dist/src/recovery/recover.js'
import type * as Append from '../../dist/src/ring/append.js'
import type * as ClaimModule from '../../dist/src/ring/claim.js'
import type * as ClockModule from '../../dist/src/ring/clock.js'
import type * as FileUpload from '../../dist/src/log/file-upload.js'
import type * as Commands from '../../dist/src/ring/commands.js'
import type * as Cursors from '../../dist/src/ring/cursors.js'
import type * as Life from '../../dist/src/ring/life.js'
import type * as Layout from '../../dist/src/ring/ring-layout.js'
import type * as ReadFloor from '../../dist/src/ring/read-floor.js'
import type * as Records from '../../dist/src/ring/records.js'
import type * as RingModule from '../../dist/src/ring/ring.js'
import type * as BlobKeeperModule from '../../dist/src/writer/blob-keeper.js'
import type * as WriterModule from '../../dist/src/writer/writer.js'

/** All that a run calls. */
export type Code = typeof Errors & typeof Ticks & typeof StagingModule & typeof Recovery & typeof Append & typeof ClaimModule
  & typeof ClockModule & typeof Commands & typeof Cursors & typeof Life & typeof Layout & typeof Records & typeof RingModule & typeof WriterModule
  & typeof ReadFloor & typeof FileUpload & typeof BlobKeeperModule

const MODULES = [
  'errors.js', 'format/ticks.js', 'log/staging.js', 'recovery/recover.js', 'ring/append.js', 'ring/claim.js', 'ring/clock.js',
  'ring/commands.js', 'ring/cursors.js', 'ring/life.js', 'ring/ring-layout.js', 'ring/read-floor.js', 'ring/records.js', 'ring/ring.js',
  'writer/writer.js', 'log/file-upload.js', 'writer/blob-keeper.js',
]
const BUILT = fileURLToPath(new URL('../../dist/src', import.meta.url))

/** One change of the text of a built file. `from` stands there exactly once. */
export interface Patch {
  /** Path below `dist/src`. */
  readonly file: string
  readonly from: string
  readonly to: string
}

/** The code that ships. */
export function shippedCode(): Code {
  return load(BUILT)
}

/** Runs `use` with a copy of the code that has these patches. */
export function withPatchedCode<Value>(patches: readonly Patch[], use: (code: Code) => Value): Value {
  const root = mkdtempSync(join(tmpdir(), 'ringwal-seeded-'))
  try {
    cpSync(BUILT, root, { recursive: true })
    writeFileSync(join(root, 'package.json'), '{ "type": "module" }')
    for (const { file, from, to } of patches) {
      const path = join(root, file)
      const parts = readFileSync(path, 'utf8').split(from)
      if (parts.length !== 2) throw new Error(`${file} should hold this once, it does ${parts.length - 1} times: ${from}`)
      writeFileSync(path, parts.join(to))
    }
    return use(load(root))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function load(root: string): Code {
  const require = createRequire(import.meta.url)
  return Object.assign({}, ...MODULES.map((path) => require(join(root, path)) as object)) as Code
}
