/**
 * The lock of a log directory: one owner at a time, over threads, processes, pid namespaces and
 * containers that share a volume, as long as one kernel serves them all. The kernel frees it when its
 * owner dies, by whatever means; neither time nor a pid is ever taken for a proof of death.
 *
 * Linux: each candidate listens on a Unix socket of its own in the directory. The kernel itself answers
 * a connect: it succeeds, or fails with EAGAIN on a full backlog, while the socket is open, even if its
 * thread never runs again; ECONNREFUSED means that it is closed. The socket is found by inode, so no
 * namespace stands between. No name is ever used twice, so a dead one can be unlinked at leisure.
 *
 * At most one owner:
 *
 * 1. A name appears, by rename, after its socket listens. It goes when its candidate withdraws or
 *    releases, or when somebody has had a refusal from it, which a listening socket never gives.
 * 2. A candidate lists the directory after its own name has appeared, and owns if no other name is live.
 * 3. Were A and B owners at a time, A's name having appeared first: B listed after its own appeared,
 *    so after A's did, and A's name was there and live, by (1). So B does not own, by (2).
 *
 * At least one, while candidates last: with no owner in sight the lowest name stays and all others
 * withdraw. The owner sets a mode bit on its socket, so that a later candidate with a lower name (the
 * clock was set back) knows an owner from a rival. The bit decides how long to wait, never who owns.
 *
 * macOS and BSD refuse a connect also when the backlog is full, so there a refusal proves nothing; but
 * their `open` can `flock` in the same call, which is all that is needed. Windows has the named pipe.
 */

import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { WalError } from '../errors.js'
import { holdFile, holdPipe } from './held-name.js'
import type { Contest, DirectoryLock, Rival } from './lock-contest.js'
import { SocketContest } from './socket-contest.js'

export type { DirectoryLock } from './lock-contest.js'

/** How long to try. */
export interface DirectoryLockOptions {
  /** How long to wait for another owner to go, in milliseconds: 0 asks once, `Infinity` waits as long as it takes. */
  readonly waitMs: number
  /** Ends the waiting: the promise rejects with its reason. */
  readonly signal?: AbortSignal
}

/** Candidates decide within milliseconds; one that takes longer has been stopped, and counts as an owner. */
const SETTLE_MS = 5_000
const RIVAL_PAUSE_MS = 4
const OWNER_PAUSE_MS = 100

/**
 * Locks a directory against every other caller, or throws.
 *
 * Can be called on any thread; blocks its event loop for a few file system calls at most. The lock does
 * not keep the process alive; it lasts until `release`, or until the calling thread or process ends. The
 * owner's event loop need not run. Nothing of it is durable, nor has to be.
 *
 * Not covered: directories shared between kernels (NFS, virtual machines), and a `lock-*` file that is
 * removed by hand under a running log. On Linux, in a file system that cannot hold sockets (vfat, some
 * FUSE), an abstract socket named by the directory's device and inode is the lock: it reaches no
 * further than one network namespace.
 *
 * @throws {@link WalError} `ERR_WAL_LOCKED` with the `owner`, where it is known, if another holds the
 * directory (or may hold it: then the `cause` says why it could not be asked); `ERR_WAL_IO` if the file
 * system refuses.
 */
export async function acquireDirectoryLock(directory: string, options: DirectoryLockOptions): Promise<DirectoryLock> {
  const { waitMs, signal } = options
  const path = resolve(directory)
  const contest = openContest(path)
  const started = performance.now()
  try {
    for (let pauseMs = RIVAL_PAUSE_MS; ; pauseMs *= 1.5) {
      signal?.throwIfAborted()
      const outcome = await contest.attempt().catch((error) => { throw ioError(path, error) })
      if ('release' in outcome) return outcome
      const leftMs = (outcome.owns ? waitMs : Math.max(waitMs, SETTLE_MS)) - (performance.now() - started)
      if (leftMs <= 0) throw lockedError(path, outcome)
      pauseMs = Math.min(pauseMs, outcome.owns ? OWNER_PAUSE_MS : RIVAL_PAUSE_MS)
      // An abort is dealt with at the top of the loop.
      await delay(Math.min(pauseMs * (0.5 + Math.random()), leftMs), undefined, signal && { signal }).catch(() => {})
    }
  } finally {
    contest.end()
  }
}

function openContest(directory: string): Contest {
  switch (process.platform) {
    case 'linux': case 'android':
      return new SocketContest(directory)
    case 'win32':
      return { attempt: async () => holdPipe(directory), end() {} }
    case 'darwin': case 'freebsd': case 'openbsd': case 'netbsd':
      return { attempt: async () => holdFile(directory), end() {} }
    default:
      throw ioError(directory, new Error(`no safe way is known on ${process.platform}`))
  }
}

function lockedError(directory: string, { pid, cause }: Rival): WalError {
  if (pid === undefined) return new WalError('ERR_WAL_LOCKED', `${directory} is locked`, { file: directory }, cause)
  const message = `${directory} is locked by process ${pid} (as numbered in its own pid namespace)`
  return new WalError('ERR_WAL_LOCKED', message, { file: directory, owner: { pid } }, cause)
}

function ioError(directory: string, error: unknown): WalError {
  const message = `cannot lock ${directory}: ${error instanceof Error ? error.message : String(error)}`
  return new WalError('ERR_WAL_IO', message, { file: directory }, error)
}
