/**
 * Checkpoints: freeing the segments that nobody needs, one a step, so that batches do not wait for it.
 *
 * Cursors first, then removal: the rule is asked again once the cursors that it goes by are durable.
 */

import { isDiskFull } from '../disk/disk.js'
import { pendingTicket, serve } from '../ring/commands.js'
import { readFloor } from '../ring/read-floor.js'
import type { Ring } from '../ring/ring.js'
import type { BlobKeeper } from './blob-keeper.js'
import type { CursorKeeper } from './cursor-keeper.js'
import { isOutOfFiles, RETRY_MS, type DiskSpace } from './disk-space.js'
import { planRetention, type RetainedSegment, type RetentionPlan } from './retention.js'
import type { SegmentStore } from './segment-store.js'
import type { SizeLimit } from './size-limit.js'
import type { WriterOptions } from './writer-options.js'

/** The checkpoints of one log. */
export class Checkpointer {
  readonly #ring: Ring
  readonly #options: WriterOptions
  readonly #limit: SizeLimit
  readonly #store: SegmentStore
  readonly #cursors: CursorKeeper
  readonly #space: DiskSpace
  readonly #blobs: BlobKeeper
  readonly #tailFirst: () => number
  /** The next one by itself. At opening at once: what a crash interrupted goes on. */
  #dueMs = 0
  /** Not before that: no file could be opened. */
  #retryMs = 0
  /** When it was looked last. With one that has gone, what it held up may go. */
  #consumers = 0

  /** `tailFirst`: the first sequence of the tail, or of the one that will come. */
  constructor(
    ring: Ring, options: WriterOptions, limit: SizeLimit, store: SegmentStore, cursors: CursorKeeper, space: DiskSpace, blobs: BlobKeeper,
    tailFirst: () => number,
  ) {
    this.#ring = ring
    this.#options = options
    this.#limit = limit
    this.#store = store
    this.#cursors = cursors
    this.#space = space
    this.#blobs = blobs
    this.#tailFirst = tailFirst
  }

  /** When the next one is due. */
  get dueMs(): number {
    return Math.max(this.#retryMs, this.#isOldestConsumed || this.#cursors.cursors.length < this.#consumers ? 0 : this.#dueMs)
  }

  /** Whether one is asked for that can be tried. */
  get isWanted(): boolean {
    return pendingTicket(this.#ring, 'checkpoint') !== undefined && performance.now() >= this.#retryMs
  }

  get #isOldestConsumed(): boolean {
    const { committed } = this.#cursors
    const { oldestLast } = this.#store
    // What is kept although it is consumed goes when it is what the limit waits for.
    return (!this.#options.retention.keepConsumed || this.#space.isOver) && committed !== undefined && oldestLast !== undefined && oldestLast <= committed
  }

  /** A segment was sealed: there is one more that may be too many. */
  noteRoll(): void {
    this.#dueMs = 0
  }

  /** Removes one segment, if one is to go; serves who asked when none is. `secure` makes the cursors durable. */
  step(nowMs: number, secure: () => void): void {
    const ticket = pendingTicket(this.#ring, 'checkpoint')
    if (nowMs < (ticket === undefined ? this.dueMs : this.#retryMs) || !this.#findBlobs()) return
    if (ticket !== undefined) this.#cursors.look()
    if (this.#removeOne(false, secure)) {
      // There may be more, and what is left has to be looked at again.
      this.#dueMs = 0
      return
    }
    const { cleanupIntervalMs } = this.#options.retention
    this.#dueMs = nowMs + (this.#space.isOver ? Math.min(cleanupIntervalMs, this.#limit.patienceMs) : cleanupIntervalMs)
    this.#consumers = this.#cursors.cursors.length
    if (ticket !== undefined) serve(this.#ring, 'checkpoint', ticket)
  }

  /** The disk is full: frees what is kept to be used again, or one segment, if one may go. */
  makeRoom(secure: () => void): boolean {
    if (this.#store.removeSpares()) return true
    try {
      return this.#findBlobs() && this.#removeOne(true, secure)
    } catch (error) {
      if (isDiskFull(error)) return false
      throw error
    }
  }

  /** Whether {@link makeRoom} would find something. */
  get mayMakeRoom(): boolean {
    return this.#plan(true).remove > 0
  }

  /** Before anything is removed. False: no file can be opened, so no directory can be synced either. */
  #findBlobs(): boolean {
    try {
      this.#blobs.refresh()
      return true
    } catch (error) {
      // Thrown only where calls are made to fail: `npm run prove -- system-calls` does so.
      if (!isOutOfFiles(error, this.#options.directory)) throw error
      this.#dueMs = this.#retryMs = performance.now() + RETRY_MS
      return false
    }
  }

  #removeOne(isDiskFull: boolean, secure: () => void): boolean {
    // What a crash left of segments that are gone, or what came to its place behind their removal.
    this.#removeBlobs()
    this.#limit.look(this.#bytes + this.#space.reservedBytes)
    if (this.#plan(isDiskFull).remove > 0) secure()
    const { remove, isOver } = this.#plan(isDiskFull)
    if (remove > 0) {
      this.#store.removeOldest(!isDiskFull && this.#isLeftByReaders && this.#hasRoomForSpare)
      // After their segment, which is gone for good, and before the next is looked at: they must not count against that.
      this.#removeBlobs()
    } else this.#space.noteOver(isOver && this.#options.retention.whenOver === 'refuse' && this.#cursors.committed !== undefined)
    return remove > 0
  }

  /** Removes the blobs whose segments are gone. */
  #removeBlobs(): void {
    this.#blobs.removeBelow(this.#store.oldestFirst ?? this.#tailFirst())
  }

  #plan(isDiskFull: boolean): RetentionPlan {
    const { retention } = this.#options
    const { maxBytes, maxSegmentBytes } = this.#limit
    const { count, bytes } = this.#store
    // The tail at its full size, and a spare, which the next tail is made of.
    const all = bytes + 2 * maxSegmentBytes + this.#blobs.bytesUpTo(Infinity)
    return planRetention({ segments: this.#retained(), count, bytes: all, committed: this.#cursors.committed, isDiskFull }, { ...retention, maxBytes })
  }

  /** The segments, each with the blobs of its entries. */
  *#retained(): Generator<RetainedSegment, void, undefined> {
    let blobBytes = 0
    for (const { lastSequence, bytes, ageMs } of this.#store.retained()) {
      const upTo = this.#blobs.bytesUpTo(lastSequence)
      yield { lastSequence, bytes: bytes + upTo - blobBytes, ageMs }
      blobBytes = upTo
    }
  }

  /** Whether the oldest segment may stay on the disk as a spare. */
  get #hasRoomForSpare(): boolean {
    const { maxBytes, maxSegmentBytes } = this.#limit
    return this.#bytes + maxSegmentBytes <= maxBytes
  }

  /** What the log takes but for its tail. */
  get #bytes(): number {
    return this.#store.bytes + this.#store.spareBytes + this.#blobs.bytesUpTo(Infinity)
  }

  /** Whether no reader of this log is in the oldest segment. */
  get #isLeftByReaders(): boolean {
    const floor = readFloor(this.#ring)
    return floor === 0 || floor > this.#store.oldestLast!
  }
}
