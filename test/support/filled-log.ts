/** Logs of tests that need one open, and something in it. */

import { unlinkSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { openLog, type Log, type LogOptions } from '../../dist/src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

/** A log with a small ring in a directory of its own; closed when the calling test is over. */
export async function open(options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ directory: temporaryDirectory(), ringBytes: 65_536, reserveBytes: 0, whenFull: 'block', ...options })
  onTestFinished(() => log.close())
  return log
}

/** Appends `count` entries, durably. Told what the number-th of them is, from 1. */
export async function fill(log: Log, count: number, entry: (number: number) => string | Buffer = (number) => `entry ${number}`): Promise<void> {
  for (let number = 1; number <= count; number++) log.append(entry(number))
  await log.flush()
}

/** Resolves when something has become true. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn()
}

/**
 * Appends to the third segment, and deletes all before that. Without a turn of the event loop: nobody who waits here wakes in between. Returns the last
 * sequence that has gone.
 */
export function loseAllButTail(log: Log): number {
  while (log.segments().length < 3) {
    log.append('more')
    log.flushSync()
  }
  const lost = log.segments().slice(0, -1)
  for (const { file } of lost) unlinkSync(file)
  return lost.at(-1)!.lastSequence
}
