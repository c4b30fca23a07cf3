/** The real file system, by `node:fs`. */

import {
  closeSync, constants, fchmodSync, fdatasync, fdatasyncSync, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync, read,
  readSync, readdirSync, renameSync, statfsSync, statSync, unlinkSync, write, writevSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { Disk, DiskFile } from './disk.js'

const NOFOLLOW = constants.O_NOFOLLOW ?? 0
const NONBLOCK = constants.O_NONBLOCK ?? 0
/** IOV_MAX on Linux and macOS. */
const MAX_VECTORS = 1024

/** The disk of this machine. */
export const nodeDisk: Disk = {
  makeDirectory(path) {
    const missing: string[] = []
    let found = path
    for (; !isDirectory(found); found = dirname(found)) {
      missing.push(found)
      if (dirname(found) === found) break
    }
    // Whoever made it may have been killed before its name was durable.
    syncIfPossible(dirname(found))
    for (const at of missing.reverse()) {
      makeOne(at)
      syncDirectory(dirname(at))
    }
  },
  list: (path) => readdirSync(path),
  create: (path) => new NodeFile(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NOFOLLOW),
  // O_NONBLOCK: opening a planted FIFO must fail the check below, not hang.
  open: (path, access) => new NodeFile(path, (access === 'read' ? constants.O_RDONLY : constants.O_RDWR) | NOFOLLOW | NONBLOCK),
  rename: (from, to) => renameSync(from, to),
  unprotect(path) {
    const fd = openSync(path, constants.O_RDONLY | NOFOLLOW | NONBLOCK)
    try {
      fchmodSync(fd, 0o600)
    } finally {
      closeSync(fd)
    }
  },
  space(path) {
    const { bavail, blocks, bsize } = statfsSync(path)
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  },
  remove: (path) => unlinkSync(path),
  syncDirectory,
}

/** One that somebody else has made meanwhile is fine. (Node's own recursive way tells of most failures as ENOENT.) */
function makeOne(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isDirectory(path)) throw error
  }
}

function isDirectory(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return false
  if (stat.isDirectory()) return true
  throw Object.assign(new Error(`ENOTDIR: not a directory, '${path}'`), { code: 'ENOTDIR', syscall: 'mkdir', path })
}

function syncDirectory(path: string): void {
  if (process.platform === 'win32') return // no such operation there; NTFS journals names by itself
  const fd = openSync(path, constants.O_RDONLY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** For a directory that may be somebody else's, not to be opened by this process, or in a file system that syncs none. */
function syncIfPossible(path: string): void {
  try {
    syncDirectory(path)
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EINVAL'].includes((error as NodeJS.ErrnoException).code!)) throw error
  }
}

function noProgress(path: string): Error {
  return Object.assign(new Error(`EIO: write made no progress, '${path}'`), { code: 'EIO', syscall: 'write', path })
}

class NodeFile implements DiskFile {
  readonly path: string
  readonly #fd: number

  constructor(path: string, flags: number) {
    this.path = path
    this.#fd = openSync(path, flags, 0o600)
    if (!fstatSync(this.#fd).isFile()) {
      closeSync(this.#fd)
      throw Object.assign(new Error(`EINVAL: not a regular file, open '${path}'`), { code: 'EINVAL', syscall: 'open', path })
    }
  }

  write(buffers: readonly Uint8Array[], offset: number): void {
    let pending = buffers.filter((buffer) => buffer.length > 0)
    let at = offset
    while (pending.length > 0) {
      const part = pending.length > MAX_VECTORS ? pending.slice(0, MAX_VECTORS) : pending
      let written = writevSync(this.#fd, part, at)
      if (written === 0) throw noProgress(this.path)
      at += written
      let done = 0
      while (done < pending.length && written >= pending[done]!.length) written -= pending[done++]!.length
      pending = pending.slice(done)
      if (written > 0) pending[0] = pending[0]!.subarray(written)
    }
  }

  read(buffer: Uint8Array, offset: number): number {
    let done = 0
    while (done < buffer.length) {
      const count = readSync(this.#fd, buffer, done, buffer.length - done, offset + done)
      if (count === 0) break
      done += count
    }
    return done
  }

  async readAsync(buffer: Uint8Array, offset: number): Promise<number> {
    let done = 0
    while (done < buffer.length) {
      const count = await new Promise<number>((resolve, reject) => {
        read(this.#fd, buffer, done, buffer.length - done, offset + done, (error, bytes) => error ? reject(error) : resolve(bytes))
      })
      if (count === 0) break
      done += count
    }
    return done
  }

  async writeAsync(buffer: NodeJS.ArrayBufferView, offset: number): Promise<void> {
    for (let done = 0; done < buffer.byteLength;) {
      const count = await new Promise<number>((resolve, reject) => {
        write(this.#fd, buffer, done, buffer.byteLength - done, offset + done, (error, bytes) => error ? reject(error) : resolve(bytes))
      })
      if (count === 0) throw noProgress(this.path)
      done += count
    }
  }

  async syncAsync(): Promise<void> {
    await new Promise<void>((resolve, reject) => fdatasync(this.#fd, (error) => error ? reject(error) : resolve()))
  }

  sync(): void { fdatasyncSync(this.#fd) }
  truncate(bytes: number): void { ftruncateSync(this.#fd, bytes) }
  size(): number { return fstatSync(this.#fd).size }
  protect(): void { fchmodSync(this.#fd, 0o400) }
  close(): void { closeSync(this.#fd) }
}
