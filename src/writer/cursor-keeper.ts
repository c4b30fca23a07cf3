/** What the writer knows of the consumers' cursors: which ones the next trailer must carry, and which are on disk. */

import { cursorBytes, type Cursor } from '../format/trailer-layout.js'
import { pendingTicket } from '../ring/commands.js'
import { collectCursors, initializeCursors, listCursors, markDurable, type CollectedCursor } from '../ring/cursors.js'
import type { Ring } from '../ring/ring.js'
import { WORD } from '../ring/ring-layout.js'
import { signal } from '../sync/event-count.js'

/** The shortest time between two trailers that carry nothing but commits, unless somebody waits for one. */
const COMMIT_INTERVAL_MS = 10

/** The cursors as the writer has them. */
export class CursorKeeper {
  readonly #ring: Ring
  #taken: readonly CollectedCursor[] | undefined
  #unsynced: readonly CollectedCursor[] | undefined
  #takenMs = -Infinity
  /** As they were when looked at last. */
  cursors: readonly CollectedCursor[]
  /** The bytes that they add to a trailer. */
  bytes = 0
  /** The lowest sequence that some consumer has committed; undefined without consumers. */
  committed: number | undefined

  constructor(ring: Ring, recovered: readonly Cursor[]) {
    this.#ring = ring
    initializeCursors(ring, recovered)
    this.cursors = listCursors(ring)
    this.#sumUp()
  }

  /** [collect] The cursors that the next trailer must carry; undefined when none has moved. Once it is written: {@link noteWritten}. */
  take(): readonly CollectedCursor[] | undefined {
    this.look()
    if (this.#taken !== undefined) this.#takenMs = performance.now()
    return this.#taken
  }

  /** Has {@link committed} tell what is committed at this moment; the next trailer is no later for it. */
  look(): void {
    const collected = collectCursors(this.#ring)
    if (collected === undefined) return
    this.cursors = this.#taken = collected
    this.#sumUp()
  }

  #sumUp(): void {
    this.bytes = cursorBytes(this.cursors)
    this.committed = this.cursors.length === 0 ? undefined : this.cursors.reduce((least, { sequence }) => Math.min(least, sequence), Infinity)
  }

  /** What was taken stands in a trailer. */
  noteWritten(): void {
    this.#unsynced = this.#taken ?? this.#unsynced
    this.#taken = undefined
  }

  /** Whether nothing has moved that is not on disk. */
  get isDurable(): boolean {
    return this.#taken === undefined && this.#unsynced === undefined && this.#ring.atomics.load(this.#ring.words, WORD.cursorsChanged) === 0
  }

  /** When commits with nothing to append beside them must be written. */
  get dueMs(): number {
    if (pendingTicket(this.#ring, 'cursors') !== undefined) return -Infinity
    const { atomics, words } = this.#ring
    return atomics.load(words, WORD.cursorsChanged) === 0 && this.#taken === undefined ? Infinity : this.#takenMs + COMMIT_INTERVAL_MS
  }

  /** A trailer with {@link cursors} has been synced. */
  noteSynced(): void {
    if (this.#unsynced === undefined) return
    for (const cursor of this.#unsynced) markDurable(this.#ring, cursor)
    this.#unsynced = undefined
    signal(this.#ring.atomics, this.#ring.words, WORD.durableEvent)
  }
}
