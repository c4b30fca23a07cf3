/** The tail and what becomes of it: created with the first batch that needs one, sealed when it is full, then handed to the store. */

import { join } from 'node:path'
import type { Disk } from '../disk/disk.js'
import { largestIndexBytes } from '../format/index-layout.js'
import { msFromTicks } from '../format/ticks.js'
import { TRAILER_BYTES } from '../format/trailer-layout.js'
import type { Recovered } from '../recovery/recover.js'
import { EMPTY_SEGMENT_BYTES, Tail } from '../segment/tail.js'
import type { CursorKeeper } from './cursor-keeper.js'
import type { SegmentStore } from './segment-store.js'
import type { SizeLimit } from './size-limit.js'
import type { WriterOptions } from './writer-options.js'

/** What a batch needs of a segment. */
export interface Need {
  readonly bytes: number
  readonly firstSequence: number
  readonly lastSequence: number
}

/** The tail of one log. */
export class TailKeeper {
  readonly #disk: Disk
  readonly #options: WriterOptions
  readonly #limit: SizeLimit
  readonly #cursors: CursorKeeper
  readonly #store: SegmentStore
  readonly #blobKib: () => number
  #bornBlobKib = 0
  /** What the limit gave the tail when it was begun: so far it is filled with zeros ahead, also where a later one may be larger. */
  #tailBytes = 0
  #previousUuid: Uint8Array
  #lastCreatedMs: number
  /** By the monotonic clock: when the tail was created, or else the log was opened. */
  #bornMs = performance.now()
  tail: Tail | undefined
  lastTicks: bigint

  /** `blobKib`: KiB uploaded so far, modulo 2^32. */
  constructor(
    disk: Disk, options: WriterOptions, limit: SizeLimit, recovered: Recovered, lastTicks: bigint, cursors: CursorKeeper, store: SegmentStore,
    blobKib: () => number,
  ) {
    this.#disk = disk
    this.#options = options
    this.#limit = limit
    this.#cursors = cursors
    this.#store = store
    this.#blobKib = blobKib
    this.#previousUuid = recovered.previousUuid
    this.#lastCreatedMs = recovered.lastCreatedMs
    this.lastTicks = lastTicks
  }

  /** Whether the tail holds anything that a roll would be for. */
  get hasEntries(): boolean {
    return this.tail !== undefined && this.tail.lastSequence >= this.tail.firstSequence
  }

  /** When the tail is old enough to be sealed. */
  get agedMs(): number {
    return this.hasEntries ? this.#bornMs + this.#options.maxSegmentAgeMs : Infinity
  }

  /** What the next batch may take: of the tail, or of a new one where that has no room left. */
  get limits(): { readonly bytes: number; readonly entries: number } {
    const { tail } = this
    const isFull = tail === undefined || this.isFull || this.#entriesLeft(tail) <= 0
    return {
      bytes: isFull ? this.#roomIn(EMPTY_SEGMENT_BYTES + this.#cursors.bytes, this.#limit.maxSegmentBytes) : this.#roomIn(tail.endOffset),
      entries: isFull ? this.#options.maxSegmentEntries : this.#entriesLeft(tail),
    }
  }

  /** Bytes of frames that a segment takes behind `endOffset`: less the batch's trailer, a closing mark, and the index at the end. */
  #roomIn(endOffset: number, segmentBytes = this.#tailBytes): number {
    return segmentBytes - endOffset - this.#cursors.bytes - 2 * TRAILER_BYTES - largestIndexBytes(segmentBytes)
  }

  #entriesLeft(tail: Tail): number {
    return this.#options.maxSegmentEntries - (tail.lastSequence - tail.firstSequence + 1)
  }

  /** Whether the batch does not fit into the tail with what is there. */
  isTooSmallFor(need: Need): boolean {
    const { tail } = this
    if (tail?.isSealing) return true
    if (tail === undefined || !this.hasEntries) return false
    return need.bytes > this.#roomIn(tail.endOffset) || need.lastSequence - need.firstSequence + 1 > this.#entriesLeft(tail)
  }

  /** Whether as many bytes were uploaded beside the tail as a segment holds: the sooner it is sealed, the sooner they can go. */
  get isHeavy(): boolean {
    const uploaded = ((this.#blobKib() - this.#bornBlobKib) >>> 0) * 1024
    return this.hasEntries && uploaded >= this.#tailBytes
  }

  /** Whether not even a trailer fits any more. */
  get isFull(): boolean {
    return this.tail !== undefined && (this.tail.isSealing || this.#roomIn(this.tail.endOffset) <= 0)
  }

  /** The tail; a new one, with all cursors in its first trailer and durable, where there is none. */
  ensure(firstSequence: number): Tail {
    this.tail ??= this.#create(firstSequence)
    return this.tail
  }

  #create(firstSequence: number): Tail {
    const nowMs = performance.now()
    // A clock that is behind is led by the time that passes while the log is open, before also, as timestamps tell: names tell the age of segments.
    const sinceMs = Math.max(1, Math.floor(nowMs - this.#bornMs))
    const createdMs = Math.max(Date.now(), this.#lastCreatedMs + sinceMs, msFromTicks(this.lastTicks))
    const { maxSegmentBytes } = this.#limit
    const tail = Tail.create(this.#disk, {
      directory: this.#options.directory,
      createdMs,
      firstSequence,
      previousUuid: this.#previousUuid,
      cursors: this.#cursors.cursors,
      lastTicks: this.lastTicks,
      preallocateBytes: this.#options.preallocateBytes,
      maxBytes: maxSegmentBytes,
    }, this.#store.takeSpare())
    this.#lastCreatedMs = createdMs
    this.#bornMs = nowMs
    this.#tailBytes = maxSegmentBytes
    this.#bornBlobKib = this.#blobKib()
    this.#cursors.noteWritten()
    this.#cursors.noteSynced()
    return tail
  }

  /** Seals the tail: all in it is durable when it returns. The next batch begins a new one. */
  seal(): void {
    const tail = this.tail!
    const bytes = tail.seal()
    this.#previousUuid = tail.name.uuid
    const { name, firstSequence, lastSequence } = tail
    this.#store.add({ name, path: join(this.#options.directory, name.name), firstSequence, lastSequence, bytes, isOwn: true })
    this.tail = undefined
  }
}
