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

import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync, closeSync, constants, fstatSync, ftruncateSync, lstatSync, openSync, readFileSync, readdirSync,
  realpathSync, renameSync, unlinkSync, writeFileSync, writeSync,
} from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { WalError } from '../errors.js'

/** A directory that is held. */
export interface DirectoryLock {
  /** Gives the directory free, at once; can be repeated, never rejects. The owner's last act on the directory. */
  release(): Promise<void>
}

/** How long to try. */
export interface DirectoryLockOptions {
  /** How long to wait for another owner to go, in milliseconds: 0 asks once, `Infinity` waits as long as it takes. */
  readonly waitMs: number
  /** Ends the waiting: the promise rejects with its reason. */
  readonly signal?: AbortSignal
}

const SOCKET_NAME = /^lock-[0-9a-f]{32}-([1-9][0-9]{0,9})$/
const TEMPORARY_NAME = /^lock-[0-9a-f]{32}\.tmp$/
/** A plain file with the owner's pid, where the lock itself cannot tell it. On macOS and BSD also what is locked. */
const NOTE_NAME = 'lock'
const CANDIDATE_MODE = 0o600
/** The x bit means nothing on a socket; here it marks the owner's. */
const OWNER_MODE = 0o700
const OWNER_BIT = 0o100
/** `sun_path` on Linux, without its final zero. */
const MAX_ADDRESS_BYTES = 107
/** O_EXLOCK of macOS and all BSDs, which Node passes on but does not name: open and flock in one. */
const O_EXLOCK = 0x20
/** What bind says in a file system that cannot hold sockets. */
const NO_SOCKETS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL'])
/** A connect that failed here, before it could tell anything of the other side. */
const OWN_FAULT = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS'])
/** What the code of a failed connect tells. A reset: it connected, and now it is closing; the next look will know. */
const ANSWERS: Record<string, Answer> = { EAGAIN: 'alive', ECONNRESET: 'alive', ECONNREFUSED: 'refused', ENOENT: 'gone' }
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

/** One caller's attempts to get one directory. */
interface Contest {
  /** Tries once; if the directory cannot be had now, tells who is in the way. */
  attempt(): Promise<DirectoryLock | Rival>
  /** Leaves nothing behind but the lock, if it was won. */
  end(): void
}

interface Rival {
  readonly pid?: number
  /** False for one that has yet to win or withdraw. */
  readonly owns: boolean
  /** Why it could not be asked, if so. */
  readonly cause?: Error
}

function heldLock(free: () => void): DirectoryLock {
  let held = true
  return {
    async release() {
      if (held) free()
      held = false
    },
  }
}

function openContest(directory: string): Contest {
  switch (process.platform) {
    case 'linux': case 'android':
      return new SocketContest(directory)
    case 'win32':
      return { attempt: async () => holdAddress(directory, pipeName(directory), () => {}), end() {} }
    case 'darwin': case 'freebsd': case 'openbsd': case 'netbsd':
      return { attempt: async () => holdFile(directory), end() {} }
    default:
      throw ioError(directory, new Error(`no safe way is known on ${process.platform}`))
  }
}

interface Standing { readonly name: string, readonly server: Server }

class SocketContest implements Contest {
  readonly #directory: string
  #directoryFd: number | undefined
  /** Our socket, while it stands under `name` and has neither won nor withdrawn. */
  #own: Standing | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  async attempt(): Promise<DirectoryLock | Rival> {
    if (this.#own === undefined) {
      // Looking first keeps those who wait out of each other's way.
      const [first] = await this.#rivals()
      if (first !== undefined) return first
      const missing = await this.#stand()
      if (missing === 'sockets') return holdAbstract(this.#directory)
      if (missing === 'name') return { owns: false }
    }
    const own = this.#own!
    const [first] = await this.#rivals()
    const answer = await ask(this.#address(own.name))
    if (answer instanceof Error) throw answer
    if (answer === 'alive' && first === undefined) return this.#win(own)
    if (answer !== 'alive' || first!.owns || first!.name < own.name) this.#withdraw()
    // A file system that makes sockets, but does not find them again.
    if (answer === 'refused') return holdAbstract(this.#directory)
    return first ?? { owns: false } // Nobody, but our name has been removed.
  }

  end(): void {
    this.#withdraw()
    if (this.#directoryFd !== undefined) closeSync(this.#directoryFd)
    this.#directoryFd = undefined
  }

  /** Listens, and only then appears under a name that others look for. Tells what was missing, if so. */
  async #stand(): Promise<'sockets' | 'name' | undefined> {
    // Named by time, so that who came first goes first; nothing but fairness hangs on the clock.
    const id = Date.now().toString(16).padStart(12, '0') + randomBytes(10).toString('hex')
    const temporary = `lock-${id}.tmp`
    const own = { name: `lock-${id}-${process.pid}`, server: createLockServer() }
    try {
      await listen(own.server, this.#address(temporary))
    } catch (error) {
      if (NO_SOCKETS.has(codeOf(error))) return 'sockets'
      throw error
    }
    try {
      chmodSync(this.#path(temporary), CANDIDATE_MODE)
      renameSync(this.#path(temporary), this.#path(own.name))
    } catch (error) {
      own.server.close()
      ignoreFailure(() => unlinkSync(this.#path(temporary)))
      if (codeOf(error) === 'ENOENT') return 'name' // A new owner has tidied up.
      throw error
    }
    this.#own = own
    return undefined
  }

  #win(own: Standing): DirectoryLock {
    chmodSync(this.#path(own.name), OWNER_MODE)
    // What died before it appeared goes. What has yet to appear finds that out, and stands again.
    for (const name of readdirSync(this.#directory)) {
      if (TEMPORARY_NAME.test(name) && this.#isSocket(name)) ignoreFailure(() => unlinkSync(this.#path(name)))
    }
    this.#own = undefined
    return heldLock(() => this.#takeDown(own))
  }

  #withdraw(): void {
    if (this.#own !== undefined) this.#takeDown(this.#own)
    this.#own = undefined
  }

  /** A name that cannot be unlinked is a dead one, once the socket is closed. */
  #takeDown(own: Standing): void {
    ignoreFailure(() => unlinkSync(this.#path(own.name)))
    own.server.close() // Closes the socket at once. (libuv also unlinks the temporary name, which is gone.)
  }

  /** All live names but our own: owners first, then by name. Removes the dead ones. */
  async #rivals(): Promise<(Rival & { name: string })[]> {
    const rivals = []
    for (const name of readdirSync(this.#directory)) {
      const match = SOCKET_NAME.exec(name)
      // What is no socket is not ours, and a link is not followed.
      if (match === null || name === this.#own?.name || !this.#isSocket(name)) continue
      const answer = await ask(this.#address(name))
      if (answer === 'refused') ignoreFailure(() => unlinkSync(this.#path(name)))
      if (answer === 'refused' || answer === 'gone') continue
      const mode = lstatSync(this.#path(name), { throwIfNoEntry: false })?.mode ?? 0
      const owns = answer !== 'alive' || (mode & OWNER_BIT) !== 0
      rivals.push({ name, pid: Number(match[1]), owns, ...(answer !== 'alive' && { cause: answer }) })
    }
    return rivals.sort((a, b) => Number(b.owns) - Number(a.owns) || (a.name < b.name ? -1 : 1))
  }

  #isSocket(name: string): boolean {
    return lstatSync(this.#path(name), { throwIfNoEntry: false })?.isSocket() ?? false
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }

  /** A path that fits a socket address, however long the directory's is. */
  #address(name: string): string {
    if (Buffer.byteLength(this.#path(name)) <= MAX_ADDRESS_BYTES) return this.#path(name)
    this.#directoryFd ??= openSync(this.#directory, constants.O_RDONLY | constants.O_DIRECTORY)
    return `/proc/self/fd/${this.#directoryFd}/${name}`
  }
}

/** An error is one that proves neither life nor death (no permission, say). */
type Answer = 'alive' | 'refused' | 'gone' | Error

function ask(address: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: address })
    socket.on('connect', () => {
      socket.destroy()
      resolve('alive')
    })
    socket.on('error', (error) => {
      const code = codeOf(error)
      if (OWN_FAULT.has(code)) reject(error)
      else resolve(ANSWERS[code] ?? error)
    })
  })
}

function createLockServer(): Server {
  return createServer((socket) => socket.on('error', () => {}).destroy()).unref()
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // Exclusive: in a cluster the primary would otherwise listen in this process's place, and share it.
    server.listen({ path, exclusive: true }, () => {
      server.off('error', reject).on('error', () => {}) // A failing accept takes nothing from the lock.
      resolve()
    })
  })
}

function holdAbstract(directory: string): Promise<DirectoryLock | Rival> {
  // Kept open: some of these file systems give a directory a new number when nobody uses it.
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  const { dev, ino } = fstatSync(fd, { bigint: true })
  return holdAddress(directory, `\0ringwal-${dev}-${ino}`, () => closeSync(fd))
}

function pipeName(directory: string): string {
  return `\\\\?\\pipe\\ringwal-${createHash('sha256').update(realpathSync.native(directory)).digest('hex')}`
}

/** A name outside the file system, which one server at a time can have. */
async function holdAddress(directory: string, address: string, free: () => void): Promise<DirectoryLock | Rival> {
  const note = join(directory, NOTE_NAME)
  const server = createLockServer()
  try {
    await listen(server, address)
  } catch (error) {
    free()
    if (['EADDRINUSE', 'EACCES'].includes(codeOf(error))) return notedOwner(note)
    throw error
  }
  ignoreFailure(() => writeFileSync(note, `${process.pid}\n`, { mode: CANDIDATE_MODE })) // Then others are not told who it is.
  return heldLock(() => {
    ignoreFailure(() => unlinkSync(note))
    server.close()
    free()
  })
}

/** The file stays when it is given free: to unlink it would let two lock two files of one name. */
function holdFile(directory: string): DirectoryLock | Rival {
  const { O_RDWR, O_CREAT, O_NONBLOCK, O_NOFOLLOW } = constants
  const note = join(directory, NOTE_NAME)
  try {
    const fd = openSync(note, O_RDWR | O_CREAT | O_NONBLOCK | O_NOFOLLOW | O_EXLOCK, CANDIDATE_MODE)
    ignoreFailure(() => { ftruncateSync(fd); writeSync(fd, `${process.pid}\n`) }) // As above.
    return heldLock(() => closeSync(fd))
  } catch (error) {
    if (['EAGAIN', 'EWOULDBLOCK'].includes(codeOf(error))) return notedOwner(note)
    throw error
  }
}

function notedOwner(note: string): Rival {
  let pid = 0
  ignoreFailure(() => { pid = Number(/^([1-9][0-9]{0,9})\n$/.exec(readFileSync(note, 'latin1'))?.[1] ?? 0) })
  return { owns: true, ...(pid > 0 && { pid }) }
}

function ignoreFailure(act: () => void): void {
  try {
    act()
  } catch { /* The caller can do without. */ }
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

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}
