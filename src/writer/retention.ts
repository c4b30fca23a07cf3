/** Which segments may go: a pure rule from what there is to how many of the oldest are removed. */

/** What is kept, and what happens where that is not enough. All validated by the caller. */
export interface RetentionOptions {
  /** Bytes that the log may take on disk, blobs included; undefined: half of what the file system has for it. */
  readonly maxBytes: number | undefined
  readonly maxAgeMs: number
  readonly maxSegments: number
  readonly keepConsumed: boolean
  readonly whenOver: 'refuse' | 'drop-oldest'
  readonly cleanupIntervalMs: number
}

/** One sealed segment, as the rule sees it. */
export interface RetainedSegment {
  readonly lastSequence: number
  /** With the blobs of its entries. */
  readonly bytes: number
  /** Since its last entry, by the writer's own count of time: see segment-store.ts. */
  readonly ageMs: number
}

/** What there is. */
export interface RetentionState {
  /** Sealed segments, oldest first. Taken one by one until one stays: there may be thousands, and this is asked at every roll. */
  readonly segments: Iterable<RetainedSegment>
  /** How many they are. */
  readonly count: number
  /** Bytes that they take, and that all else takes or may take: the tail at its full size, and its blobs. */
  readonly bytes: number
  /** The lowest sequence that some consumer has committed; undefined without consumers. */
  readonly committed: number | undefined
  /** The disk is full: room has to be made whatever the limit says. */
  readonly isDiskFull: boolean
}

/** What is to be done. */
export interface RetentionPlan {
  /** How many of the oldest segments go. */
  readonly remove: number
  /** What is left is still beyond the limit. */
  readonly isOver: boolean
}

/**
 * The rule, segment by segment from the oldest on, until one stays:
 *
 * | segment | goes when |
 * | --- | --- |
 * | every consumer has committed it | at once; with `keepConsumed` as if there were no consumers, or when the disk is full |
 * | no consumers | it is too old, one too many, or bytes are over the limit; or the disk is full, and `whenOver` is `'drop-oldest'` |
 * | some consumer has not committed it | bytes are over the limit, or the disk is full, and `whenOver` is `'drop-oldest'` |
 */
export function planRetention(state: RetentionState, options: RetentionOptions & { readonly maxBytes: number }): RetentionPlan {
  const { segments, count, committed } = state
  let { bytes } = state
  let remove = 0
  // One segment at a time is pushed out for a full disk: what it frees is tried first.
  let isPressed = state.isDiskFull
  for (const segment of segments) {
    const isConsumed = committed !== undefined && segment.lastSequence <= committed
    const isOver = bytes > options.maxBytes || (isPressed && (isConsumed || options.whenOver === 'drop-oldest'))
    const isBeyond = isOver || segment.ageMs > options.maxAgeMs || count - remove > options.maxSegments
    const mayGo = isConsumed ? !options.keepConsumed || isBeyond
      : committed === undefined ? isBeyond
        : isOver && options.whenOver === 'drop-oldest'
    if (!mayGo) break
    bytes -= segment.bytes
    isPressed = false
    remove++
  }
  return { remove, isOver: bytes > options.maxBytes }
}
