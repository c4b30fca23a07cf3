/**
 * Crash states: what a power cut, a kill or a failed operation may leave at any disk operation, recovered and compared with what was promised
 * (test/crash). A state counts if its disk differs from all others that its case has met, and is recovered; the same disk met again is not counted.
 */

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { codeOf } from '../crash/code-under-test.js'
import { newTally } from '../crash/crash-case.js'
import { newUploadTally } from '../crash/upload-case.js'
import { whenOver } from '../support/leftovers.js'
import { runNamedCase, runPart, type PartOrder, type PartResult } from './crash-part.js'
import type { Fault, ProveOptions, ProveResult } from './harness.js'

const QUICK_STATES = 2_000_000
const LONG_STATES = 50_000_000
const PARTS = 2
const MOST_FAULTS = 5
const PART = fileURLToPath(new URL('./crash-part.ts', import.meta.url))

/** See {@link runNamedCase} for the names of cases. */
export async function run({ seed, long, caseName, build, stopAtFirst, say }: ProveOptions): Promise<ProveResult> {
  if (caseName !== undefined) return await runOne(build, caseName)
  const parts = stopAtFirst ? 1 : PARTS
  const order = { build, seed, parts, states: (long ? LONG_STATES : QUICK_STATES) / parts, mostFaults: stopAtFirst ? 1 : MOST_FAULTS }
  const results = await Promise.all(Array.from({ length: parts }, (_, part) => parts === 1 ? runPart({ ...order, part }) : forkPart({ ...order, part })))
  const tally = sum(results.map((result) => result.tally))
  const uploads = sum(results.map((result) => result.uploads))
  const faults = results.flatMap((result) => result.faults)
  say(`logs: ${JSON.stringify(tally)}`)
  say(`uploads: ${JSON.stringify(uploads)}`)
  if (faults.length === 0) faults.push(...unseen({ ...uploads, ...tally }))
  return { cases: tally['distinct']! + uploads['distinct']!, faults }
}

async function runOne(build: string, caseName: string): Promise<ProveResult> {
  const tally = newTally()
  const uploads = newUploadTally()
  try {
    await runNamedCase(codeOf(build), caseName, tally, uploads)
  } catch (error) {
    return { cases: 1, faults: [{ caseName, what: String(error) }] }
  }
  return { cases: tally.distinct + uploads.distinct, faults: [] }
}

async function forkPart(order: PartOrder): Promise<PartResult> {
  const child = fork(PART, [JSON.stringify(order)])
  whenOver(() => child.kill())
  return await new Promise((resolve, reject) => {
    child.once('message', (result) => resolve(result as PartResult))
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`a part of the crash states ended with ${code}, and no result`)))
  })
}

function sum(tallies: readonly object[]): { readonly [name: string]: number } {
  const total: { [name: string]: number } = {}
  for (const tally of tallies) for (const [name, count] of Object.entries(tally)) total[name] = (total[name] ?? 0) + (count as number)
  return total
}

/** What has never happened was not shown either. */
function unseen(tally: { readonly [name: string]: number }): Fault[] {
  return Object.entries(tally).filter(([, count]) => count === 0).map(([name]) => ({ caseName: 'all', what: `no ${name} in all these cases` }))
}
