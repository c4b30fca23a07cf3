/** The parts of a build that the harnesses call themselves, loaded by Node as they are: what ships, or a copy with a seeded bug. */

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as Control from '../../dist/src/format/control-layout.js'
import type * as Frame from '../../dist/src/format/frame-layout.js'
import type * as Index from '../../dist/src/format/index-layout.js'
import type * as Segment from '../../dist/src/format/segment-layout.js'
import type * as SegmentName from '../../dist/src/format/segment-name.js'
import type * as Ticks from '../../dist/src/format/ticks.js'
import type * as Trailer from '../../dist/src/format/trailer-layout.js'
import type * as Uuid from '../../dist/src/format/uuid.js'
import type * as Public from '../../dist/src/index.js'
import type * as EntryFile from '../../dist/src/log/entry-file.js'
import type * as Reader from '../../dist/src/log/reader.js'
import type * as DeadLetter from '../../dist/src/queue/dead-letter-layout.js'
import type * as Facts from '../../dist/src/recovery/facts.js'
import type * as Recover from '../../dist/src/recovery/recover.js'
import type * as Repair from '../../dist/src/recovery/repair.js'
import type * as Verdict from '../../dist/src/recovery/verdict.js'
import type * as Verify from '../../dist/src/recovery/verify.js'
import type * as VerifySealed from '../../dist/src/recovery/verify-sealed.js'
import type * as BlobName from '../../dist/src/segment/blob-name.js'
import type * as Catalog from '../../dist/src/segment/catalog.js'
import type * as SealedIndex from '../../dist/src/segment/sealed-index.js'
import type * as Tail from '../../dist/src/segment/tail.js'

/** All that is called. */
export type Code = typeof Control & typeof Frame & typeof Index & typeof Segment & typeof SegmentName & typeof Ticks & typeof Trailer & typeof Uuid
  & typeof Public & typeof EntryFile & typeof Reader & typeof DeadLetter & typeof Facts & typeof Recover & typeof Repair & typeof Verdict
  & typeof Verify & typeof VerifySealed & typeof BlobName & typeof Catalog & typeof SealedIndex & typeof Tail

const MODULES = [
  'format/control-layout.js', 'format/frame-layout.js', 'format/index-layout.js', 'format/segment-layout.js', 'format/segment-name.js', 'format/ticks.js',
  'format/trailer-layout.js', 'format/uuid.js', 'index.js', 'log/entry-file.js', 'log/reader.js', 'queue/dead-letter-layout.js', 'recovery/facts.js',
  'recovery/recover.js', 'recovery/repair.js', 'recovery/verdict.js', 'recovery/verify.js', 'recovery/verify-sealed.js', 'segment/blob-name.js',
  'segment/catalog.js', 'segment/sealed-index.js', 'segment/tail.js',
]

/** Loads a build: a directory with `src/` in it. */
export async function loadCode(build: string): Promise<Code> {
  const loaded = await Promise.all(MODULES.map((path) => import(pathToFileURL(join(build, 'src', path)).href) as Promise<object>))
  return Object.assign({}, ...loaded) as Code
}
