/** The contest for a directory on Linux, by a socket of each candidate. directory-lock.ts has the proof. */

import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, constants, lstatSync, openSync, readdirSync, renameSync, unlinkSync } from 'node:fs'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { holdAbstract } from './held-name.js'
import { CANDIDATE_MODE, codeOf, heldLock, ignoreFailure, type Contest, type DirectoryLock, type Rival } from './lock-contest.js'
import { ask, createLockServer, listen } from './lock-server.js'

const SOCKET_NAME = /^lock-[0-9a-f]{32}-([1-9][0-9]{0,9})$/
const TEMPORARY_NAME = /^lock-[0-9a-f]{32}\.tmp$/
/** The x bit means nothing on a socket; here it marks the owner's. */
const OWNER_MODE = 0o700
const OWNER_BIT = 0o100
/** `sun_path` on Linux, without its final zero. */
const MAX_ADDRESS_BYTES = 107
/** What bind says in a file system that cannot hold sockets. */
const NO_SOCKETS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL'])

interface Standing { readonly name: string, readonly server: Server }

/** One caller's attempts, by sockets. */
export class SocketContest implements Contest {
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
