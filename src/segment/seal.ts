/**
 * Sealing: a segment is finished and never written again. The same steps at a roll, at close and in recovery:
 *
 * 1. the frames up to the end are durable, or become so with 4;
 * 2. write the index frame behind them;
 * 3. truncate to its end: whatever was preallocated or torn goes;
 * 4. sync;
 * 5. write the final header with the read-only flag;
 * 6. sync; only now the segment counts as sealed;
 * 7. take the write permission away.
 *
 * A crash before 6 leaves an open segment, whose frames and trailers say all; recovery cuts the index off and seals again. From 5 on nothing
 * may be written behind the frames any more: the header, old or new, tells of what is there.
 */

import type { DiskFile } from '../disk/disk.js'
import { encodeIndex, type IndexEntry } from '../format/index-layout.js'
import { encodeSegmentHeader } from '../format/segment-layout.js'
import { relativeTicks, tickBase } from '../format/ticks.js'

/** What a segment holds, when its end is known. */
export interface SegmentContent {
  readonly uuid: Uint8Array
  readonly firstSequence: number
  readonly lastSequence: number
  readonly firstTicks: bigint
  readonly lastTicks: bigint
  readonly entryCount: number
  /** File offset where the frames end. */
  readonly endOffset: number
  readonly lastTrailerOffset: number
  readonly cursorTrailerOffset: number
  readonly index: readonly IndexEntry[]
}

/** Steps 1 to 4. Returns the segment's size. */
export function writeIndex(file: DiskFile, content: SegmentContent): number {
  const base = tickBase(content.lastTicks)
  const index = encodeIndex(content.uuid, { ...content, entries: content.index }, relativeTicks(content.lastTicks, base), base)
  const bytes = content.endOffset + index.length
  file.write([index], content.endOffset)
  file.truncate(bytes)
  file.sync()
  return bytes
}

/** Steps 5 to 7. The file stays open. */
export function writeFinalHeader(file: DiskFile, content: SegmentContent, bytes: number): void {
  file.write([encodeSegmentHeader({ ...content, bytes, sealed: true })], 0)
  file.sync()
  file.protect()
}
