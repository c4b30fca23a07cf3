/** `ringwal inspect DIR`: what a log's directory holds. */

import { basename } from 'node:path'
import { nodeDisk } from '../disk/node-disk.js'
import type { Cursor } from '../format/trailer-layout.js'
import { presentFacts } from '../recovery/look.js'
import { summarize, type SegmentSummary } from '../recovery/segment-summary.js'
import { judge } from '../recovery/verdict.js'
import { CommandError, inPlainWords, STATUS } from './command-error.js'
import { findSegments } from './directory.js'
import type { Output } from './output.js'
import { formatBytes, formatCount, formatRange, formatTime, printable, renderTable } from './table.js'

interface Inspection {
  readonly directory: string
  readonly segments: readonly SegmentSummary[]
  readonly cursors: readonly Cursor[]
  readonly totals: { readonly segments: number; readonly entries: number; readonly bytes: number; readonly firstSequence: number | null; readonly lastSequence: number | null }
}

/** Writes tables of segments, cursors and totals, or all as one JSON object. Reads headers, and all of what is not sealed. */
export async function inspect(directory: string, options: { readonly json?: boolean }, output: Output, warn: (message: string) => void): Promise<number> {
  const inspection = await gather(findSegments(directory, warn))
  await output.write(options.json === true ? `${JSON.stringify(inspection, orNull)}\n` : render(inspection))
  return STATUS.done
}

/** JSON knows no undefined, and a program should find every name. */
export function orNull(_name: string, value: unknown): unknown {
  return value === undefined ? null : value
}

async function gather(directory: string): Promise<Inspection> {
  const facts = await presentFacts(nodeDisk, directory).catch((error: NodeJS.ErrnoException) => {
    throw new CommandError(`cannot read ${error.path ?? directory}: ${inPlainWords(error)}`, undefined, error)
  })
  const { verdicts, cursors } = judge(facts)
  const segments = verdicts.map((verdict) => summarize(verdict.facts))
  const withEntries = segments.filter(({ firstSequence, lastSequence }) => firstSequence !== undefined && lastSequence! >= firstSequence)
  return {
    directory, segments, cursors,
    totals: {
      segments: segments.length,
      entries: segments.reduce((sum, { entries }) => sum + (entries ?? 0), 0),
      bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
      firstSequence: withEntries.at(0)?.firstSequence ?? null,
      lastSequence: withEntries.at(-1)?.lastSequence ?? null,
    },
  }
}

function render({ directory, segments, cursors, totals }: Inspection): string {
  const parts = []
  if (segments.length > 0) {
    parts.push(renderTable(
      [
        { title: 'SEGMENT' }, { title: 'STATE' }, { title: 'SEQUENCES' }, { title: 'ENTRIES', isNumber: true },
        { title: 'SIZE', isNumber: true }, { title: 'FIRST ENTRY' }, { title: 'LAST ENTRY' },
      ],
      segments.map((segment) => [
        basename(segment.file), segment.state, formatRange(segment.firstSequence, segment.lastSequence, '-'), segment.entries ?? '-',
        formatBytes(segment.bytes), formatTime(segment.firstTimestamp), formatTime(segment.lastTimestamp),
      ]),
    ))
  }
  if (cursors.length > 0) {
    parts.push(renderTable(
      [{ title: 'CONSUMER' }, { title: 'CURSOR', isNumber: true }, { title: 'BEHIND', isNumber: true }],
      cursors.map(({ name, sequence }) => [printable(name), sequence, Math.max(0, (totals.lastSequence ?? 0) - sequence)]),
    ))
  }
  const sequences = formatRange(totals.firstSequence ?? undefined, totals.lastSequence ?? undefined, 'no sequences')
  const sums = [formatCount(totals.segments, 'segment'), formatCount(totals.entries, 'entry', 'entries'), sequences, formatBytes(totals.bytes)]
  parts.push(`${directory}: ${sums.join(', ')}`)
  return `${parts.join('\n\n')}\n`
}
