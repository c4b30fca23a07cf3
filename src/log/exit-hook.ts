/**
 * The end of a thread: one `exit` listener for all logs that it has open.
 *
 * The hook drains and syncs each log, bounded in time; the outcome stands in `stats().exitOutcome`. Listeners that run after it may still
 * append: from then on every append is synced before it returns.
 */

import type { FlushOutcome } from './producer.js'

/** What the hook does with one log. */
export interface ExitTarget {
  /** Drains and syncs, blocking; never throws. */
  endWithProcess(): FlushOutcome
}

const targets = new Set<ExitTarget>()

function onExit(): void {
  for (const target of targets) target.endWithProcess()
}

/** Includes a log in the hook. */
export function guardExit(target: ExitTarget): void {
  if (targets.size === 0) process.on('exit', onExit)
  targets.add(target)
}

/** Takes a closed log out. */
export function unguardExit(target: ExitTarget): void {
  targets.delete(target)
  if (targets.size === 0) process.off('exit', onExit)
}
