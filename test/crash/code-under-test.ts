/**
 * The built code that a crash run drives: what ships, or a copy with a seeded bug.
 *
 * It is loaded by Node itself, not through the test runner, so that it is byte for byte what the package holds, at its own speed.
 */

import { createRequire } from 'node:module'
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
const BUILT = fileURLToPath(new URL('../../dist', import.meta.url))

/** The code of a build: a directory with `src/` in it. */
export function codeOf(build: string): Code {
  const require = createRequire(import.meta.url)
  return Object.assign({}, ...MODULES.map((path) => require(join(build, 'src', path)) as object)) as Code
}

/** The code that ships. */
export function shippedCode(): Code {
  return codeOf(BUILT)
}
