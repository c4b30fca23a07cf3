/** What a reading goes by: how far it may, where it begins, and how much is wanted. */

/** How far may be read, and how to wait for more. */
export interface Horizon {
  /** The last sequence that may be seen; undefined when only the files tell. */
  readonly visible: () => number | undefined
  /** Whether entries that are written but not known durable may be seen; only where `visible` is undefined. */
  readonly includeWritten: boolean
  /** Told before a segment is opened, of the lowest sequence that may be read there; and with undefined when it has been left. */
  readonly entered?: (sequence: number | undefined) => void
  /** Resolves when there may be more than `sequence`; false when there never will be. */
  readonly untilMore: (sequence: number, signal: AbortSignal | undefined) => Promise<boolean>
}

/** Where to read, and how much. All validated. */
export interface ReadPlan {
  readonly fromSequence: number
  /** Milliseconds since 1970, or undefined. */
  readonly fromTimestamp: number | undefined
  /** Whether what has been removed before the reading begins is an error. */
  readonly strict: boolean
  readonly limit: number
  readonly follow: boolean
  readonly signal: AbortSignal | undefined
  /** Told of the last sequence that was handed out, or is no entry, before a wait for more. */
  readonly onCaughtUp: ((sequence: number) => void) | undefined
  /** Told of sequences that a salvage has given up, when they are passed over. */
  readonly onGap: ((firstSequence: number, lastSequence: number) => void) | undefined
}
