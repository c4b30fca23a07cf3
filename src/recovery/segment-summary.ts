/** A segment in a few numbers, for lists and tables. */

import { msFromTicks } from '../format/ticks.js'
import type { SegmentFacts } from './facts.js'

/** One segment, as its file tells. Times are milliseconds since 1970; `undefined` where there is nothing to tell. */
export interface SegmentSummary {
  readonly file: string
  /** `'sealed'`, `'open'` (the tail, or left so by an unclean stop), `'foreign'` (not written by this package) or `'unreadable'`. */
  readonly state: 'sealed' | 'open' | 'foreign' | 'unreadable'
  readonly firstSequence: number | undefined
  /** `firstSequence - 1` when there is no entry yet. */
  readonly lastSequence: number | undefined
  readonly entries: number | undefined
  /** Size of the file, preallocated space included. */
  readonly bytes: number
  readonly firstTimestamp: number | undefined
  readonly lastTimestamp: number | undefined
}

/** The numbers of one segment. */
export function summarize({ path, fileBytes, header, scan, foreign }: SegmentFacts): SegmentSummary {
  if (typeof header !== 'string' && (header.sealed || foreign !== undefined)) {
    const { firstSequence } = header
    const { lastSequence, entryCount, firstTicks, lastTicks } = foreign ?? header
    return { file: path, state: foreign === undefined ? 'sealed' : 'foreign', firstSequence, lastSequence, entries: entryCount, bytes: fileBytes, ...times(entryCount, firstTicks, lastTicks) }
  }
  if (scan?.lastSequence !== undefined) {
    const { firstSequence, lastSequence, entryCount, firstTicks, lastTicks } = scan
    return { file: path, state: 'open', firstSequence, lastSequence, entries: entryCount, bytes: fileBytes, ...times(entryCount, firstTicks, lastTicks) }
  }
  const nothing = { firstSequence: undefined, lastSequence: undefined, entries: undefined }
  return { file: path, state: 'unreadable', ...nothing, bytes: fileBytes, ...times(0, 0n, 0n) }
}

function times(entries: number, firstTicks: bigint, lastTicks: bigint): Pick<SegmentSummary, 'firstTimestamp' | 'lastTimestamp'> {
  if (entries === 0) return { firstTimestamp: undefined, lastTimestamp: undefined }
  return { firstTimestamp: msFromTicks(firstTicks), lastTimestamp: msFromTicks(lastTicks) }
}
