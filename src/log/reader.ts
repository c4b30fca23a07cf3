/**
 * Reading entries in order, from the files alone, beside whoever writes them.
 *
 * What may be seen is the {@link Horizon}'s to say. In the writing process it is the durable sequence in shared memory.
 * Elsewhere it is what the files prove: entries are held back until a trailer's durable mark, the seal or a next segment
 * covers them.
 */

import type { DiskFile } from '../disk/disk.js'
import { asIoError, WalError } from '../errors.js'
import { controlKind, decodeRange } from '../format/control-layout.js'
import { frameMs, frameSequence, frameTicks, type FrameFault } from '../format/frame-layout.js'
import { msFromTicks } from '../format/ticks.js'
import { decodeTrailer } from '../format/trailer-layout.js'
import type { Catalog, CatalogEntry } from '../segment/catalog.js'
import { soundAfter } from '../recovery/sound-frames.js'
import { checkAsync, FrameWindow } from '../segment/frame-window.js'
import { ReadAhead } from '../segment/read-ahead.js'
import { searchBehind } from '../segment/scan.js'
import { LogEntry } from './entry.js'
import type { Horizon, ReadPlan } from './read-plan.js'
import { isBehindOlder, sequenceBehindOlder } from './sequence-at.js'

type Ending = FrameFault | 'index' | 'control' | 'order' | 'beyond'

/** How often a place in a live tail that cannot be read is looked at again before it counts as the end, or as damage. */
const LOOKS = 5
const LOOK_AGAIN_MS = 10

/** Reads batches of entries until the plan is done. Holds at most one block in memory, plus what is not yet visible. */
export async function* readEntryBatches(catalog: Catalog, horizon: Horizon, plan: ReadPlan): AsyncGenerator<LogEntry[], void, undefined> {
  const reader = new LogReader(catalog, horizon, plan)
  let left = plan.limit
  try {
    while (left > 0) {
      plan.signal?.throwIfAborted()
      const batch = await reader.next()
      if (batch === undefined) return
      if (batch.length === 0) continue
      const wanted = batch.length <= left ? batch : batch.slice(0, left)
      left -= wanted.length
      yield wanted
    }
  } catch (error) {
    throw plan.signal?.aborted === true ? plan.signal.reason : asIoError(error, `cannot read the log in ${catalog.directory}`, catalog.directory)
  } finally {
    reader.close()
  }
}

class LogReader {
  readonly #catalog: Catalog
  readonly #horizon: Horizon
  readonly #plan: ReadPlan
  #segment: CatalogEntry | undefined
  #file: DiskFile | undefined
  #window = new FrameWindow(0, 0)
  #ahead: ReadAhead | undefined
  /** The sequence to be read next. */
  #next: number
  /** The first sequence that is wanted: reading begins at an indexed frame before it. */
  #wanted: number
  /** The last sequence of the segment, once it is sealed. */
  #last = Infinity
  /** Whether all from the next sequence on is counted on: what has been removed of it is an error, and not where to begin. */
  #isStrict: boolean
  /** Read, but not yet known durable. Filled by index: `push` is a call, of 4 ns (Node 20, 2026). */
  #held: LogEntry[] = []
  /** What the files prove to be durable. */
  #proved = 0
  #looks = 0

  constructor(catalog: Catalog, horizon: Horizon, plan: ReadPlan) {
    this.#catalog = catalog
    this.#horizon = horizon
    this.#plan = plan
    this.#next = this.#wanted = plan.fromSequence
    this.#isStrict = plan.strict
  }

  close(): void {
    ;(this.#ahead ?? this.#file)?.close()
    this.#ahead = undefined
    this.#file = undefined
    this.#horizon.entered?.(undefined)
  }

  /** The next entries; an empty array when it is worth asking again; undefined at the end. */
  async next(): Promise<LogEntry[] | undefined> {
    const visible = this.#horizon.visible()
    if (visible !== undefined && this.#next > visible) return await this.#atEnd()
    // A segment that was sealed meanwhile makes visible what was held back of it, and no next one need ever come.
    if (this.#file === undefined && !this.#openSegment()) return this.#held.length > 0 ? this.#takeVisible() : await this.#withoutSegment(visible)
    const ending = await this.#readBlock(visible)
    const entries = this.#takeVisible()
    if (ending !== undefined) {
      const more = await this.#atEnding(ending, visible, entries.length > 0)
      if (more === undefined && entries.length === 0) return undefined
    }
    return entries
  }

  /** Finds and opens the segment with the next sequence. False when there is none. */
  #openSegment(): boolean {
    const { fromTimestamp } = this.#plan
    const segments = this.#catalog.list()
    if (fromTimestamp !== undefined) this.#next = Math.max(this.#next, sequenceBehindOlder(segments, fromTimestamp))
    const isDone = ({ header }: CatalogEntry, index: number): boolean => (header.sealed && header.lastSequence < this.#next)
      || (segments[index + 1] !== undefined && segments[index + 1]!.header.firstSequence <= this.#next)
    const segment = segments.find((candidate, index) => !isDone(candidate, index))
    if (segment === undefined) return false
    this.#horizon.entered?.(segment.header.firstSequence)
    const file = this.#catalog.open(segment)
    if (file === undefined) return this.#openSegment()
    this.#file = file
    if (segment.header.firstSequence > this.#next) this.#passRemoved(segment, file)
    this.#isStrict = true
    this.#segment = segment
    this.#ahead = segment.header.sealed ? new ReadAhead(file) : undefined
    this.#last = segment.header.sealed ? segment.header.lastSequence : Infinity
    this.#wanted = Math.max(this.#wanted, this.#next)
    const start = this.#catalog.startPoint(segment, file, (indexed) => indexed.sequence <= this.#next
      || (fromTimestamp !== undefined && msFromTicks(indexed.ticks) < fromTimestamp))
    this.#next = start.sequence
    this.#proved = Math.max(this.#proved, segment.header.firstSequence - 1, segment.header.sealed ? segment.header.lastSequence : 0)
    this.#window = new FrameWindow(start.offset, file.size())
    return true
  }

  /** Goes on with a segment before which there is nothing any more, if nothing of that is missed. */
  #passRemoved(segment: CatalogEntry, file: DiskFile): void {
    const { firstSequence } = segment.header
    if (firstSequence > this.#wanted) {
      this.#assertNoneUnreadable(segment)
      if (this.#isStrict && !isBehindOlder(file, this.#plan.fromTimestamp)) throw this.#trimmed()
    }
    this.#next = firstSequence
  }

  #assertNoneUnreadable(next: CatalogEntry): void {
    const file = this.#catalog.findUnreadable(next)
    if (file === undefined) return
    const lastSequence = next.header.firstSequence - 1
    throw new WalError('ERR_WAL_CORRUPT', `entry ${this.#next} cannot be read: header and first trailer of ${file} are damaged`, {
      file, offset: 0, firstSequence: this.#next, lastSequence,
    })
  }

  /** Takes what is in memory, with one read at most; tells why it stopped, if not for more to read. */
  async #readBlock(visible: number | undefined): Promise<Ending | undefined> {
    const before = this.#window.offset
    const ending = this.#takeFrames(await checkAsync(this.#window, this.#file!, this.#ahead), visible)
    // Looks are counted at one place: a reader that is always a little behind takes one at many.
    if (this.#window.offset > before) this.#looks = 0
    return ending
  }

  #takeFrames(first: number | FrameFault, visible: number | undefined): Ending | undefined {
    const window = this.#window
    let result: number | FrameFault | 'more' = first
    for (; typeof result === 'number'; result = window.check()) {
      if (visible !== undefined && this.#next > visible) return 'beyond'
      const ending = frameSequence(window.view, window.at) === 0 ? this.#takeControl(result) : this.#takeEntry(result)
      if (ending !== undefined) return ending
      window.advance(result)
    }
    return result === 'more' ? undefined : result
  }

  #takeEntry(size: number): Ending | undefined {
    const { block, at } = this.#window
    const sequence = frameSequence(block.view, at)
    if (sequence !== this.#next || sequence > this.#last) return 'order'
    this.#next = sequence + 1
    if (this.#last === Infinity) this.#catalog.note(this.#segment!, { sequence, ticks: frameTicks(block.view, at), offset: this.#window.offset })
    const { fromTimestamp } = this.#plan
    if (sequence < this.#wanted || (fromTimestamp !== undefined && frameMs(block.view, at) < fromTimestamp)) return undefined
    this.#held[this.#held.length] = new LogEntry(sequence, block, at, size, this.#catalog.directory)
    return undefined
  }

  #takeControl(size: number): Ending | undefined {
    const { bytes, view, at, offset } = this.#window
    const kind = controlKind(view, at, size)
    if (kind === 'index') return 'index'
    if (kind === undefined) return 'control'
    if (kind === 'trailer') {
      const trailer = decodeTrailer(bytes, view, at, size, offset, this.#segment!.name.uuid)
      if (trailer === undefined) return 'control'
      this.#proved = Math.max(this.#proved, this.#horizon.includeWritten ? trailer.lastSequence : trailer.durableSequence)
      return undefined
    }
    const range = decodeRange(view, at, size)
    if (range === undefined || range.first !== this.#next) return 'order'
    this.#next = range.last + 1
    if (kind === 'gap' && range.last >= this.#wanted) this.#plan.onGap?.(Math.max(range.first, this.#wanted), range.last)
    return undefined
  }

  #takeVisible(): LogEntry[] {
    const visible = this.#horizon.visible() ?? this.#proved
    const held = this.#held
    if (held.length === 0 || held[0]!.sequence > visible) return []
    if (held.at(-1)!.sequence <= visible) {
      this.#held = []
      return held
    }
    const count = held.findIndex((entry) => entry.sequence > visible)
    this.#held = held.slice(count)
    return held.slice(0, count)
  }

  /** The frames ended here. Undefined when this is the end of the reading. */
  async #atEnding(ending: Ending, visible: number | undefined, hasEntries: boolean): Promise<true | undefined> {
    if (ending === 'beyond') return true
    const wasSealed = this.#segment!.header.sealed
    this.#segment = this.#catalog.refresh(this.#segment!, this.#file!)
    const { sealed: isSealed, lastSequence } = this.#segment.header
    if (isSealed) this.#last = lastSequence
    if (isSealed && this.#next > lastSequence) {
      this.#leaveSegment(lastSequence)
      return true
    }
    // What is in memory may have been read before it was sealed.
    if (isSealed && !wasSealed) this.#look()
    // What is sound before the damage is handed out first.
    if (hasEntries) return true
    if (wasSealed) return this.#passDamage(ending)
    // An open segment: what cannot be read may be written just now, or have been sealed a moment ago.
    const isStillBehind = visible !== undefined && this.#next <= visible
    if (this.#looks++ < LOOKS && (isStillBehind || (ending !== 'zeros' && ending !== 'short') || isSealed)) {
      await new Promise((resolve) => setTimeout(resolve, this.#looks === 1 ? 0 : LOOK_AGAIN_MS))
      this.#look()
      return true
    }
    const segments = this.#catalog.list()
    const own = segments.findIndex(({ name }) => name.name === this.#segment!.name.name)
    if (!isSealed && segments[own]?.header.sealed === true) {
      this.#takeSealed(segments[own])
      return true
    }
    const next = this.#nextSegment(segments, own)
    if (next !== undefined) {
      this.#leaveSegment(next.header.firstSequence - 1)
      return true
    }
    if (isSealed || isStillBehind) throw this.#corrupt(ending)
    // Zeros at the end of a tail that is followed are what they seem; anything else is held against later marks.
    if (!this.#plan.follow || (ending !== 'zeros' && ending !== 'short')) {
      const behind = searchBehind(this.#file!, this.#segment.name.uuid, this.#window.offset, this.#file!.size())
      if (behind.strayProof >= this.#next) throw this.#corrupt(ending)
    }
    return (await this.#atEnd()) === undefined ? undefined : true
  }

  /**
   * A segment that begins where this one ends proves that it has ended, though nobody sealed it. The next one in order: of two that say they begin with
   * the same sequence the other one would lead back here, without end.
   */
  #nextSegment(segments: readonly CatalogEntry[], own: number): CatalogEntry | undefined {
    const next = own < 0 ? segments.find(({ header }) => header.firstSequence >= this.#next) : segments[own + 1]
    if (next !== undefined && next.header.firstSequence > Math.max(this.#next, this.#wanted)) throw this.#corrupt('short', next.header.firstSequence - 1)
    return next
  }

  /**
   * Under its name the segment is sealed. If it is not in the file that is open, a recovery has written it anew in another one, and cut there what had
   * no proof: what is not yet handed out is read from that.
   */
  #takeSealed({ header }: CatalogEntry): void {
    if (this.#catalog.refresh(this.#segment!, this.#file!).header.sealed) return
    this.#next = this.#held[0]?.sequence ?? this.#next
    this.#held = []
    this.#leaveSegment(header.lastSequence)
  }

  /**
   * The segment ended with `lastSequence`. What was read behind that is nobody's: a recovery may have cut it from the file since, and given its sequences
   * to other entries.
   */
  #leaveSegment(lastSequence: number): void {
    this.close()
    this.#segment = undefined
    this.#looks = 0
    this.#proved = Math.max(this.#proved, lastSequence)
    if (this.#next <= lastSequence + 1) return
    this.#next = lastSequence + 1
    this.#held = this.#held.filter(({ sequence }) => sequence <= lastSequence)
  }

  /** Forgets what was read behind the last good frame and takes the file's size anew. */
  #look(): void {
    this.#window.forget()
    this.#window.fileBytes = this.#file!.size()
  }

  async #withoutSegment(visible: number | undefined): Promise<LogEntry[] | undefined> {
    if (visible !== undefined && this.#next <= visible && this.#looks++ < LOOKS) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
      return []
    }
    if (visible !== undefined && this.#next <= visible) throw this.#trimmed()
    return await this.#atEnd()
  }

  /** Nothing more for now: the end, or a wait. */
  async #atEnd(): Promise<LogEntry[] | undefined> {
    if (!this.#plan.follow) return undefined
    // What comes from now on is waited for.
    this.#isStrict = true
    const last = (this.#horizon.visible() === undefined ? this.#held.at(0)?.sequence ?? this.#next : this.#next) - 1
    this.#plan.onCaughtUp?.(last)
    if (!(await this.#horizon.untilMore(last, this.#plan.signal))) return undefined
    this.#looks = 0
    if (this.#file !== undefined) this.#look()
    return []
  }

  #trimmed(): WalError {
    const last = (this.#catalog.list().find(({ header }) => header.firstSequence > this.#next)?.header.firstSequence ?? (this.#horizon.visible() ?? this.#next) + 1) - 1
    // From the first that was wanted and not handed out: what was held back has gone with the rest.
    const firstSequence = this.#held[0]?.sequence ?? Math.max(this.#next, this.#wanted)
    return new WalError('ERR_WAL_TRIMMED', `entries ${firstSequence} to ${last} have been removed from the log`, { firstSequence, lastSequence: last })
  }

  /** Damage in a sealed segment: passed over if only what is not wanted was there; else thrown, with the sequences that cannot be read. */
  #passDamage(ending: Ending): true {
    const { name, header } = this.#segment!
    const file = this.#file!
    const offset = this.#window.offset
    const resume = soundAfter({ file, fileBytes: file.size(), uuid: name.uuid }, offset, this.#next, header.lastSequence)
    const lastLost = resume === undefined ? header.lastSequence : resume.sequence - 1
    // Nothing is lost where only a control frame is damaged; that is for `verify` to tell.
    if (lastLost >= Math.max(this.#next, this.#wanted)) throw this.#corrupt(ending, lastLost)
    this.#next = lastLost + 1
    if (resume === undefined) this.#leaveSegment(lastLost)
    else this.#window = new FrameWindow(resume.offset, file.size())
    return true
  }

  #corrupt(ending: Ending, lastSequence = this.#segment!.header.sealed ? this.#segment!.header.lastSequence : this.#next): WalError {
    // A file without its name may hold another segment by now.
    if (this.#catalog.isGone(this.#segment!)) return this.#trimmed()
    const { path } = this.#segment!
    const offset = this.#window.offset
    return new WalError('ERR_WAL_CORRUPT', `entry ${this.#next} cannot be read (${ending}), at byte ${offset} of ${path}`, {
      file: path, offset, firstSequence: Math.max(this.#next, this.#wanted), lastSequence: Math.max(this.#next, lastSequence),
    })
  }
}
