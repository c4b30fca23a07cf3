/** Finding the first entry at or after a time, by headers, sparse indexes, and a scan of what lies between two indexed frames. */

import type { DiskFile } from '../disk/disk.js'
import { frameMs, frameSequence } from '../format/frame-layout.js'
import { SEGMENT_HEADER_BYTES } from '../format/segment-layout.js'
import { msFromTicks } from '../format/ticks.js'
import type { Catalog, CatalogEntry } from '../segment/catalog.js'
import { checkBlocking, FrameWindow } from '../segment/frame-window.js'
import { readFrameAt } from '../segment/trailer-at.js'

/**
 * The sequence of the first entry, up to `lastSequence`, that was appended at or after `ms` (since 1970); `lastSequence` + 1 when there is none.
 * Blocks for a few small reads. Damage in the way ends the search where it is: whoever reads from there is told of it.
 */
export function sequenceAt(catalog: Catalog, ms: number, lastSequence: number): number {
  for (const segment of catalog.list()) {
    const { header } = segment
    if (header.sealed && (header.entryCount === 0 || msFromTicks(header.lastTicks) < ms)) continue
    const file = catalog.open(segment)
    if (file === undefined) continue
    try {
      const start = catalog.startPoint(segment, file, ({ ticks }) => msFromTicks(ticks) < ms)
      const window = new FrameWindow(start.offset, file.size())
      let last = start.sequence - 1
      for (let size = checkBlocking(window, file); typeof size === 'number'; size = checkBlocking(window, file)) {
        const sequence = frameSequence(window.view, window.at)
        if (sequence > lastSequence) return lastSequence + 1
        if (sequence > 0 && frameMs(window.view, window.at) >= ms) return sequence
        if (sequence > 0) last = sequence
        window.advance(size)
      }
      if (header.sealed) return last + 1
    } finally {
      file.close()
    }
  }
  return lastSequence + 1
}

/** The sequence behind the segments of which the headers say that all is older than `ms`; 0 when there are none. */
export function sequenceBehindOlder(segments: readonly CatalogEntry[], ms: number): number {
  const newest = segments.findLast(({ header }) => header.sealed && header.entryCount > 0 && msFromTicks(header.lastTicks) < ms)
  return newest === undefined ? 0 : newest.header.lastSequence + 1
}

/** Whether all that came before a segment is older than `ms`, if that is given. Its first frame tells: a trailer has the time of what was there before. */
export function isBehindOlder(file: DiskFile, ms: number | undefined): boolean {
  if (ms === undefined) return false
  const first = readFrameAt(file, file.size(), SEGMENT_HEADER_BYTES)
  return first !== undefined && frameMs(first.window.view, first.window.at) < ms
}
