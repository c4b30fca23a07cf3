/**
 * A part of the crash states, in a process of its own: `crash-part.ts ORDER`, where ORDER is JSON. Its result goes to the process that started it.
 *
 * A case is a story, a random life of a log, or of uploads: `story NAME`, `random SEED`, `upload SEED`.
 */

import { fileURLToPath } from 'node:url'
import { runCase, newTally, type Tally } from '../crash/crash-case.js'
import { codeOf, type Code } from '../crash/code-under-test.js'
import { STORIES } from '../crash/stories.js'
import { newUploadTally, runUploadCase, type UploadTally } from '../crash/upload-case.js'
import { below, seededRandom } from '../model/random.js'
import type { Fault } from './harness.js'

/** What a part does. */
export interface PartOrder {
  readonly build: string
  readonly seed: number
  readonly part: number
  readonly parts: number
  /** How many distinct states are wanted of it. */
  readonly states: number
  readonly mostFaults: number
}

/** What a part has seen. */
export interface PartResult {
  readonly tally: Tally
  readonly uploads: UploadTally
  readonly faults: readonly Fault[]
}

/** Of so many random cases one is of uploads. */
const UPLOAD_EVERY = 4

/** Runs stories, then random cases, until there are enough states or faults. */
export async function runPart({ build, seed, part, parts, states, mostFaults }: PartOrder): Promise<PartResult> {
  const code = codeOf(build)
  const tally = newTally()
  const uploads = newUploadTally()
  const faults: Fault[] = []
  const random = seededRandom(seed + part)
  const stories = STORIES.filter((_, index) => index % parts === part)
  for (let count = 0; tally.distinct + uploads.distinct < states && faults.length < mostFaults; count++) {
    const draw = below(random, 2 ** 31)
    const caseName = count < stories.length ? `story ${stories[count]!.name}` : `${count % UPLOAD_EVERY === 0 ? 'upload' : 'random'} ${draw}`
    try {
      await runNamedCase(code, caseName, tally, uploads)
    } catch (error) {
      faults.push({ caseName, what: error instanceof Error ? error.message : String(error) })
    }
  }
  return { tally, uploads, faults }
}

/** Runs one case. */
export async function runNamedCase(code: Code, caseName: string, tally: Tally, uploads: UploadTally): Promise<void> {
  const [, kind, name] = /^(\w+) (.*)$/s.exec(caseName) ?? []
  const story = STORIES.find((one) => kind === 'story' && one.name === name)
  if (kind === 'random') runCase(code, Number(name), tally)
  else if (kind === 'upload') await runUploadCase(code, Number(name), uploads)
  else if (story !== undefined) runCase(code, 1, tally, story)
  else throw new Error(`no case "${caseName}"`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.send!(await runPart(JSON.parse(process.argv[2]!) as PartOrder))
  process.disconnect()
}
