/**
 * The sealed segments of a log, as its writer has them: what there is, how old it is, and how the oldest go.
 *
 * **Age.** A clock that stood in 2036 once, or steps back, must neither delete everything nor keep everything for years. So the age
 * of a segment is counted, not read off a clock: while the log is open, by a monotonic clock; over the times before, by the steps
 * between the creation times in the segments' names, each of which counts as no more than a day (or `maxSegmentAgeMs`, if that is more).
 * A wrong clock then makes one step of a day, and time for which the log was closed counts as a day at most: entries are kept
 * longer, not shorter. Creation times follow the monotonic clock where the wall clock is behind.
 *
 * **Removal** is oldest first, one by one, each durable before the next: a gap between segments would be damage. It comes after the cursors
 * that allow it are durable in the tail, which is the caller's to see to.
 *
 * **Recycling.** A freed segment has its blocks already: writing into them costs half the sync and a fraction of the time. In this order,
 * any other shows old or new bytes in the wrong place after a power cut: rename to a spare name → sync the directory → zero the header → sync;
 * now it is in hand. The tail takes it over as segment/tail.ts says. Old frames that are left in it join no chain: trailers are bound to
 * UUID, offset and the checksum of the one before.
 */

import { join } from 'node:path'
import { isDiskFull, type Disk } from '../disk/disk.js'
import { isSpareName, spareName } from '../format/segment-name.js'
import { SEGMENT_HEADER_BYTES } from '../format/segment-layout.js'
import type { RecoveredSegment } from '../recovery/recover.js'
import type { TailSpare } from '../segment/tail.js'
import type { RetainedSegment } from './retention.js'

/** Freed segments that are kept in hand. */
const MAX_SPARES = 2
/** The least that a step between two segments may count for. */
const MIN_STEP_MS = 86_400_000
const NO_HEADER = new Uint8Array(SEGMENT_HEADER_BYTES)

interface StoredSegment extends RecoveredSegment {
  /** When it ended, in the store's own time. */
  readonly endedMs: number
}

/** The sealed segments. Every call blocks the writer's thread. */
export class SegmentStore {
  readonly #disk: Disk
  readonly #directory: string
  readonly #spareBytes: () => number
  #segments: StoredSegment[]
  #spares: TailSpare[] = []
  /** The store's time at opening. */
  readonly #zeroMs: number
  readonly #openedMs = performance.now()
  bytes: number

  /** Freed segments of about as many bytes as `spareBytes` tells are worth recycling. */
  constructor(disk: Disk, directory: string, recovered: readonly RecoveredSegment[], options: { readonly spareBytes: () => number; readonly maxSegmentAgeMs: number }) {
    this.#disk = disk
    this.#directory = directory
    this.#spareBytes = options.spareBytes
    const step = (later: number, earlier: number): number => Math.min(Math.max(0, later - earlier), Math.max(MIN_STEP_MS, Math.min(options.maxSegmentAgeMs, 1e12)))
    const segments: StoredSegment[] = []
    let atMs = 0
    for (const [index, segment] of recovered.entries()) {
      atMs += step(recovered[index + 1]?.name.createdMs ?? Date.now(), segment.name.createdMs)
      segments.push({ ...segment, endedMs: atMs })
    }
    this.#zeroMs = atMs
    this.#segments = segments
    this.bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
    this.#removeLeftovers()
  }

  /** Spares that a crash left behind. */
  #removeLeftovers(): void {
    const leftovers = this.#disk.list(this.#directory).filter(isSpareName)
    for (const name of leftovers) this.#disk.remove(join(this.#directory, name))
    if (leftovers.length > 0) this.#disk.syncDirectory(this.#directory)
  }

  get #nowMs(): number {
    return this.#zeroMs + performance.now() - this.#openedMs
  }

  /** The segments as the rule of retention sees them, oldest first. */
  *retained(): Generator<RetainedSegment, void, undefined> {
    const nowMs = this.#nowMs
    for (const { lastSequence, bytes, endedMs } of this.#segments) yield { lastSequence, bytes, ageMs: nowMs - endedMs }
  }

  /** How many there are. */
  get count(): number {
    return this.#segments.length
  }

  /** First sequence of the oldest segment; undefined when there is none. */
  get oldestFirst(): number | undefined {
    return this.#segments[0]?.firstSequence
  }

  /** Last sequence of the oldest segment; undefined when there is none. */
  get oldestLast(): number | undefined {
    return this.#segments[0]?.lastSequence
  }

  /** Takes note of a segment that has been sealed just now. */
  add(segment: RecoveredSegment): void {
    this.#segments.push({ ...segment, endedMs: this.#nowMs })
    this.bytes += segment.bytes
  }

  /** Removes the oldest segment; durable when it returns. With `mayRecycle` its blocks may be written to again. */
  removeOldest(mayRecycle: boolean): void {
    const segment = this.#segments[0]!
    const spareBytes = this.#spareBytes()
    const isWorthIt = segment.bytes >= spareBytes / 2 && segment.bytes <= 2 * spareBytes
    const spare = mayRecycle && isWorthIt && segment.isOwn && this.#spares.length < MAX_SPARES ? join(this.#directory, spareName(segment.name)) : undefined
    if (spare === undefined) this.#disk.remove(segment.path)
    else this.#disk.rename(segment.path, spare)
    this.#disk.syncDirectory(this.#directory)
    this.#segments.shift()
    this.bytes -= segment.bytes
    if (spare !== undefined) this.#prepare(spare, segment.bytes)
  }

  #prepare(path: string, bytes: number): void {
    this.#disk.unprotect(path)
    const file = this.#disk.open(path, 'write')
    this.#spares.push({ path, file, bytes })
    try {
      file.write([NO_HEADER], 0)
    } catch (error) {
      // Where even that takes room (copy on write), there is a better use for it.
      if (!isDiskFull(error)) throw error
      return void this.removeSpares()
    }
    file.sync()
  }

  /** Bytes of the spares. */
  get spareBytes(): number {
    return this.#spares.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** A spare, if there is one; the caller owns it now. */
  takeSpare(): TailSpare | undefined {
    return this.#spares.pop()
  }

  /** Lets go of the spares, when the log closes or their room is wanted. False: there was none. */
  removeSpares(): boolean {
    const spares = this.#spares.splice(0)
    for (const { path, file } of spares) {
      file.close()
      this.#disk.remove(path)
    }
    if (spares.length > 0) this.#disk.syncDirectory(this.#directory)
    return spares.length > 0
  }
}
