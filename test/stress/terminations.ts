/** Threads that are terminated in the middle of what they do, while others go on. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../dist/src/index.js'
import { below, type Random } from '../model/random.js'
import { BurstThreads } from './burst-threads.js'

const AT_ONCE = 3
const SURVIVORS = 2
/** The longest entry: larger than the rings. */
const LARGEST_BYTES = 300_000
/** The longest that a thread takes from its start to its first entry, on a machine that does nothing else. */
const START_MS = 80

/** What came of it. */
export interface TerminationOutcome {
  readonly faults: readonly string[]
  readonly entries: number
  readonly aborted: number
}

/**
 * Starts and terminates so many threads, three at a time: four of five once they have had an entry accepted, the others anywhere between their
 * start and that. The survivors must go on, and all that was accepted must be there. The log is not closed.
 */
export async function terminateThreads(log: Log, random: Random, kills: number): Promise<TerminationOutcome> {
  const threads = new BurstThreads(log, kills + SURVIVORS)
  const draw = (): number => below(random, 2 ** 31)
  const survivors = Array.from({ length: SURVIVORS }, () => threads.start({ way: 'mixed', bytes: 2000, pause: 2, seed: draw() }))
  const plans = Array.from({ length: kills }, () => ({ seed: draw(), isEarly: below(random, 5) === 0, at: random() }))
  const killNext = async (): Promise<void> => {
    for (let plan = plans.pop(); plan !== undefined; plan = plans.pop()) {
      const { worker, ...victim } = threads.start({ way: 'mixed', bytes: LARGEST_BYTES, seed: plan.seed })
      // The moment is the attack, so these are waits for time.
      if (plan.isEarly) await sleep(plan.at * START_MS)
      else {
        await threads.untilFirst({ worker, ...victim })
        spin(plan.at * 500)
      }
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, killNext))
  const still = survivors.filter((survivor) => !threads.waitForMore(survivor, 50))
  await threads.stop()
  const flushed = log.flushSync({ timeoutMs: 30_000 })
  if (flushed !== 'durable') return { faults: [`the log cannot be flushed: ${flushed}`], entries: 0, aborted: 0 }
  const { faults, ...counts } = await threads.findFaults()
  return { ...counts, faults: [...still.map(({ name }) => `${name}, which nobody terminated, stands still`), ...faults] }
}

/** Waits for less than any timer can. */
function spin(microseconds: number): void {
  const endMs = performance.now() + microseconds / 1000
  while (performance.now() < endMs);
}
