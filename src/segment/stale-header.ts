/** Headers that were left by a segment which had a file's blocks before: what to believe of a sealed one. */

import type { DiskFile } from '../disk/disk.js'
import { frameSequence } from '../format/frame-layout.js'
import { SEGMENT_HEADER_BYTES, type SegmentHeader } from '../format/segment-layout.js'
import { checkBlocking, FRAME_READ_BYTES, FrameWindow } from './frame-window.js'

/**
 * Whether a sealed header is another segment's, of which a power cut has left it. A header names no UUID, trailers and index do: it is where the
 * first trailer begins with another sequence (`firstSequence`, undefined if there is none of this segment), or where nothing else in the file has its UUID
 * and not even the size fits. (A whole segment under another name has the size, and no trailer of its own: that is damage, not a torn start.)
 * Not for segments that were written elsewhere, which have no trailer.
 */
export function isHeaderStale(header: SegmentHeader, fileBytes: number, firstSequence: number | undefined, hasIndex: () => boolean): boolean {
  return firstSequence === undefined ? header.bytes !== fileBytes && !hasIndex() : firstSequence !== header.firstSequence
}

/** A window on the segment's first frame, if that is an entry with the header's first sequence: there this project always has a trailer. */
export function firstForeignFrame(file: DiskFile, fileBytes: number, header: SegmentHeader): FrameWindow | undefined {
  const window = new FrameWindow(SEGMENT_HEADER_BYTES, fileBytes, FRAME_READ_BYTES)
  const isFrame = typeof checkBlocking(window, file) === 'number'
  return isFrame && frameSequence(window.view, window.at) === header.firstSequence ? window : undefined
}
