/** How much a consumer has before it. */

/** The sequences and the size of one segment. */
export interface SizedSegment {
  readonly firstSequence?: number | undefined
  readonly lastSequence?: number | undefined
  readonly bytes: number
}

/** About how many bytes lie behind `committed`: whole segments, and of the one that it is in as much as of its sequences. */
export function bytesBehind(segments: readonly SizedSegment[], committed: number): number {
  return Math.round(segments.reduce((sum, { firstSequence = 1, lastSequence = 0, bytes }) => {
    const count = lastSequence - firstSequence + 1
    const behind = Math.min(count, Math.max(0, lastSequence - committed))
    return count <= 0 ? sum : sum + (bytes * behind) / count
  }, 0))
}
