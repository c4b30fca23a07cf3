/**
 * Room on the disk: a reserve for the day that it is full, and what producers are told.
 *
 * The reserve is a file of real zeros. When a write finds no space, it is given up, so that what has been accepted, commits and
 * the end of the log still find room; producers are refused until it stands again. On copy-on-write file systems, and against
 * other programs that take the room first, this cannot be promised: what was accepted then waits in the ring.
 */

import { join } from 'node:path'
import { isDiskFull, type Disk, type DiskFile } from '../disk/disk.js'
import type { Ring } from '../ring/ring.js'
import { SPACE, WORD } from '../ring/ring-layout.js'
import { signal } from '../sync/event-count.js'

const RESERVE_NAME = 'reserve'
const ZEROS = new Uint8Array(256 * 1024)
/** What must be left beside the reserve before it is made again: else it would only make the disk full. */
const SLACK_BYTES = 256 * 1024
/** How often a full disk is tried again, and what no file could be opened for. */
export const RETRY_MS = 100

/** The room that one log has. */
export class DiskSpace {
  readonly #ring: Ring
  readonly #disk: Disk
  readonly #directory: string
  readonly #reserveBytes: number
  #isReserved: boolean
  #retryAtMs = 0
  #isFull = false
  #isOver = false

  constructor(ring: Ring, disk: Disk, directory: string, reserveBytes: number) {
    this.#ring = ring
    this.#disk = disk
    this.#directory = directory
    this.#reserveBytes = reserveBytes
    // Made under other options: nothing would ask for it, or about it.
    if (reserveBytes === 0) removeReserve(disk, directory)
    this.#isReserved = (reserveSize(disk, directory) ?? 0) === reserveBytes
  }

  /** Bytes of the reserve as it stands. */
  get reservedBytes(): number {
    return this.#isReserved ? this.#reserveBytes : 0
  }

  /** Whether the disk was found full, and is not known to have room again. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Whether the log was found to take more than its limit, and nothing may go. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Whether the disk was found full a moment ago: too early for another try. */
  get isWaiting(): boolean {
    return performance.now() < this.#retryAtMs && this.#isFull
  }

  /** When the disk is worth another try; Infinity while it is not full. */
  get dueMs(): number {
    return this.#isFull ? this.#retryAtMs : Infinity
  }

  /**
   * Does what needs room. Where there is none: `free` makes some, else the reserve is given up, and it is tried again, as long as that
   * helps. Then the error, if there is one; nothing has been done that would have to be undone. Where no file can be opened it is put off
   * in the same way, but nothing is given up for it.
   */
  attempt(work: () => void, free: () => boolean): unknown {
    try {
      return this.#repeat(work, free)
    } catch (error) {
      if (!isOutOfFiles(error, this.#directory)) throw error
      this.#noteFull()
      return error
    }
  }

  #repeat(work: () => void, free: () => boolean): unknown {
    for (;;) {
      try {
        work()
        return undefined
      } catch (error) {
        if (!isDiskFull(error)) throw error
        if (!free() && !this.#enterFull()) return error
      }
    }
  }

  /** True when the reserve has been given up: what was in want of room is worth repeating at once. */
  #enterFull(): boolean {
    this.#noteFull()
    const hadReserve = this.#isReserved && this.#reserveBytes > 0
    if (hadReserve) removeReserve(this.#disk, this.#directory)
    this.#isReserved = this.#reserveBytes === 0
    return hadReserve
  }

  #noteFull(): void {
    this.#isFull = true
    this.#retryAtMs = performance.now() + RETRY_MS
    this.#tell()
  }

  /** At opening, when nothing is written yet: without room for the reserve the disk counts as full, unless `mayFree` as below. */
  look(mayFree: () => boolean): void {
    this.#isFull = !this.#isReserved && !this.#hasRoomForReserve && !mayFree()
    this.#tell()
  }

  /**
   * Makes the reserve if need be. Without room for it the disk counts as full, unless something that is there `mayFree` room when it is
   * needed: that is as good as a reserve.
   */
  reserve(mayFree: () => boolean): void {
    this.#retryAtMs = performance.now() + RETRY_MS
    this.#isReserved ||= this.#makeReserve()
    this.#isFull = !this.#isReserved && !mayFree()
    this.#tell()
  }

  get #hasRoomForReserve(): boolean {
    const haveBytes = reserveSize(this.#disk, this.#directory) ?? 0
    return this.#disk.space(this.#directory).freeBytes + haveBytes >= this.#reserveBytes + SLACK_BYTES
  }

  #makeReserve(): boolean {
    if (!this.#hasRoomForReserve) return false
    removeReserve(this.#disk, this.#directory)
    const file = this.#disk.create(join(this.#directory, RESERVE_NAME))
    try {
      for (let at = 0; at < this.#reserveBytes; at += ZEROS.length) file.write([ZEROS.subarray(0, this.#reserveBytes - at)], at)
      file.sync()
    } catch (error) {
      removeReserve(this.#disk, this.#directory)
      // No file of that size may be made here (EFBIG): then there is none.
      if ((error as NodeJS.ErrnoException).code === 'EFBIG') return true
      if (!isDiskFull(error)) throw error
      return false
    } finally {
      file.close()
    }
    this.#disk.syncDirectory(this.#directory)
    return true
  }

  /** The log takes more than its limit, and nothing may go. */
  noteOver(isOver: boolean): void {
    this.#isOver = isOver
    this.#tell()
  }

  #tell(): void {
    const { atomics, words } = this.#ring
    const state = this.#isFull ? SPACE.diskFull : this.#isOver ? SPACE.overLimit : SPACE.ok
    if (atomics.exchange(words, WORD.space, state) !== state && state === SPACE.ok) signal(atomics, words, WORD.roomEvent)
  }
}

/**
 * Whether this process, or the system, has too many files open for one more. Who only wanted to look or to begin can do so later; a sync of the
 * log's directory that says so has failed, and what it should have made durable may be lost.
 */
export function isOutOfFiles(error: unknown, directory: string): boolean {
  const { code, syscall, path } = error as NodeJS.ErrnoException
  return (code === 'EMFILE' || code === 'ENFILE') && !(syscall === 'open' && path === directory)
}

/** Gives the reserve up, for recovery on a full disk. True when there was one. */
export function removeReserve(disk: Disk, directory: string): boolean {
  if (reserveSize(disk, directory) === undefined) return false
  disk.remove(join(directory, RESERVE_NAME))
  disk.syncDirectory(directory)
  return true
}

function reserveSize(disk: Disk, directory: string): number | undefined {
  if (!disk.list(directory).includes(RESERVE_NAME)) return undefined
  const file: DiskFile = disk.open(join(directory, RESERVE_NAME), 'read')
  try {
    return file.size()
  } finally {
    file.close()
  }
}
