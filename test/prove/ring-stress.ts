/**
 * Real threads on real rings: they append entries of any size, groups too, attach and detach, and are terminated at any moment. Legal is only
 * what {@link BurstThreads.findFaults} lists, and files that verifyLog() finds sound.
 */

import { join } from 'node:path'
import type { LogOptions } from '../../dist/src/index.js'
import { pick } from '../crash/script.js'
import { seededRandom, type Random } from '../model/random.js'
import { terminateThreads } from '../stress/terminations.js'
import { load } from '../support/library.mjs'
import type { Fault, ProveOptions, ProveResult } from './harness.js'
import { within } from './time-limit.js'

const { openLog, verifyLog } = await load('index.js')
const QUICK_ROUNDS = 20
const LONG_ROUNDS = 1000
const KILLS_PER_ROUND = 50
/** Far more than a round takes: what takes longer hangs. */
const LIMIT_MS = 60_000

/** A case is a round, `round N`: a log of its own. A case is counted for each termination. */
export async function run({ seed, long, caseName, stopAtFirst, directory, say }: ProveOptions): Promise<ProveResult> {
  const faults: Fault[] = []
  const rounds = Array.from({ length: long ? LONG_ROUNDS : QUICK_ROUNDS }, (_, round) => `round ${round}`)
  const chosen = caseName === undefined ? rounds : [caseName]
  let [entries, aborted] = [0, 0]
  for (const name of chosen) {
    const random = seededRandom(seed + Number(name.split(' ')[1]))
    const options = drawOptions(random, join(directory, name))
    try {
      const outcome = await within(LIMIT_MS, liveRound(options, random))
      entries += outcome.entries
      aborted += outcome.aborted
      faults.push(...outcome.faults.slice(0, 5).map((what) => ({ caseName: name, what })))
    } catch (error) {
      faults.push({ caseName: name, what: `${String(error)}; options ${JSON.stringify(options)}` })
    }
    if (faults.length > 0 && (stopAtFirst || faults.length > 10)) break
  }
  say(`${chosen.length * KILLS_PER_ROUND} threads terminated, ${entries} entries, ${aborted} aborted`)
  return { cases: chosen.length * KILLS_PER_ROUND, faults }
}

function drawOptions(random: Random, directory: string): LogOptions {
  return {
    directory,
    ringBytes: pick(random, [4096, 16 * 1024, 64 * 1024, 256 * 1024]),
    ringSlots: pick(random, [16, 64, 1024]),
    maxEntryBytes: 1 << 20,
    maxSegmentBytes: pick(random, [64 * 1024, 1 << 20, 64 << 20]),
    maxBatchBytes: pick(random, [4096, 64 * 1024]),
    reserveBytes: 0,
    whenFull: 'block',
    blockTimeoutMs: 30_000,
  }
}

async function liveRound(options: LogOptions, random: Random): Promise<{ faults: string[]; entries: number; aborted: number }> {
  const log = await openLog(options)
  const { faults, ...counts } = await terminateThreads(log, random, KILLS_PER_ROUND)
  await log.close()
  const { status, damages } = await verifyLog(options.directory)
  return { ...counts, faults: status === 'sound' ? [...faults] : [...faults, `verifyLog() says ${status}: ${JSON.stringify(damages)}`] }
}
