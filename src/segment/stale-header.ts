/** Headers that were left by a segment which had a file's blocks before: what to believe of a sealed one. */

import { frameSequence } from '../format/frame-layout.js'
import type { SegmentHeader } from '../format/segment-layout.js'
import type { FrameAt } from './trailer-at.js'

/**
 * Whether a sealed header is another segment's, of which a power cut has left it. A header names no UUID, trailers and index do: it is where the
 * first trailer begins with another sequence (`firstSequence`, undefined if there is none of this segment), or where nothing else in the file has its UUID
 * and not even the size fits. (A whole segment under another name has the size, and no trailer of its own: that is damage, not a torn start.)
 * Not for segments that were written elsewhere, which have no trailer.
 */
export function isHeaderStale(header: SegmentHeader, fileBytes: number, firstSequence: number | undefined, hasIndex: () => boolean): boolean {
  return firstSequence === undefined ? header.bytes !== fileBytes && !hasIndex() : firstSequence !== header.firstSequence
}

/** Whether a segment's first frame is an entry with the header's first sequence: there this project always has a trailer. */
export function isForeign(first: FrameAt | undefined, header: SegmentHeader): first is FrameAt {
  return first !== undefined && frameSequence(first.window.view, first.window.at) === header.firstSequence
}
