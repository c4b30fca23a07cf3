/**
 * Who a thread is, and the proof that it is dead.
 *
 * On Linux the kernel tells: `/proc/thread-self` names the thread, and the entry vanishes within milliseconds of its
 * end, by whatever cause, also while Node's main thread is busy. The start time tells a reused thread id apart.
 * Elsewhere only the end of a worker that some thread listens to can be seen: nothing here proves a death.
 */

import { readFileSync, readlinkSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import type { ThreadIdentity } from '../ring/records.js'

const START_TIME_FIELD = 22

/** The identity of the calling thread. */
export function ownIdentity(): ThreadIdentity {
  if (process.platform === 'linux') {
    try {
      const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
      const start = startTime(thread)
      if (thread > 0 && start !== undefined) return { thread, ...start }
    } catch {
      // No /proc here: like any other system.
    }
  }
  return { thread: threadId + 1, startLow: 0, startHigh: 0 }
}

/** Whether the kernel says that a thread of this process has ended. False: it lives, or nobody can tell. */
export function isThreadDead(identity: ThreadIdentity): boolean {
  if (process.platform !== 'linux' || identity.thread <= 0) return false
  if (identity.startLow === 0 && identity.startHigh === 0) return false
  let start
  try {
    start = startTime(identity.thread)
  } catch {
    return false // no file descriptor left, say: proves nothing
  }
  return start === undefined || start.startLow !== identity.startLow || start.startHigh !== identity.startHigh
}

/** The start time of a thread of this process in clock ticks since boot; undefined when there is no such thread. */
function startTime(thread: number): { startLow: number; startHigh: number } | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/self/task/${thread}/stat`, 'latin1')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
  // The second field is the thread's name in parentheses, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[START_TIME_FIELD - 3])
  return { startLow: (ticks % 2 ** 31) | 0, startHigh: Math.floor(ticks / 2 ** 31) + 1 }
}
