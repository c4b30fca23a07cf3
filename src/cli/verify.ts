/** `ringwal verify DIR`: every byte, and an exit status that tells. */

import { SingleBar } from 'cli-progress'
import { verifyLog, type VerifyReport } from '../recovery/verify.js'
import { STATUS } from './command-error.js'
import { findSegments } from './directory.js'
import { orNull } from './inspect.js'
import type { Output } from './output.js'
import { formatBytes, formatCount, formatRange, renderTable, type Column } from './table.js'

/** Exit statuses for what was found. */
export const STATUS_OF = { sound: STATUS.done, torn: STATUS.torn, corrupt: STATUS.corrupt } as const
/** Below this it is over before a bar could be read. */
const BAR_FROM_BYTES = 128 * 1024 * 1024
const MIB = 1024 * 1024

/** Checks, writes what was found, and returns 0, 1 or 2. */
export async function verify(
  directory: string, options: { readonly json?: boolean }, output: Output, terminal: NodeJS.WriteStream, warn: (message: string) => void,
): Promise<number> {
  const path = findSegments(directory, warn)
  const bar = terminal.isTTY ? createBar(terminal) : undefined
  const report = await verifyLog(path, bar === undefined ? {} : { onProgress: bar.update }).finally(() => bar?.stop())
  await output.write(options.json === true ? `${JSON.stringify(report, orNull)}\n` : render(report))
  return STATUS_OF[report.status]
}

function createBar(stream: NodeJS.WriteStream): { update: (done: number, total: number) => void; stop: () => void } {
  const bar = new SingleBar({ stream, clearOnComplete: true, format: 'verify [{bar}] {percentage}% of {total} MiB, {eta_formatted} left' })
  let isStarted = false
  return {
    update(done, total) {
      if (!isStarted && total >= BAR_FROM_BYTES) bar.start(Math.round(total / MIB), 0)
      isStarted ||= total >= BAR_FROM_BYTES
      if (isStarted) bar.update(Math.round(done / MIB))
    },
    stop() {
      if (isStarted) bar.stop()
    },
  }
}

const PLACE: readonly Column[] = [{ title: 'FILE' }, { title: 'OFFSET', isNumber: true }]

function render(report: VerifyReport): string {
  const parts = []
  if (report.damages.length > 0) {
    parts.push(renderTable(
      [...PLACE, { title: 'DAMAGED SEQUENCES' }, { title: 'WHAT' }],
      report.damages.map(({ file, offset, firstSequence, lastSequence, reason }) => [file, offset, formatRange(firstSequence, lastSequence, 'none'), reason]),
    ))
  }
  if (report.repairs.length > 0) {
    parts.push(renderTable(
      [...PLACE, { title: 'BYTES', isNumber: true }, { title: 'AFTER SEQUENCE', isNumber: true }, { title: 'OPENING WOULD' }],
      report.repairs.map((repair) => [repair.file, repair.offset, repair.bytes, repair.afterSequence, REPAIR[repair.kind](repair.reason)]),
    ))
  }
  if (report.repairs.some((repair) => repair.mayHaveBeenAcknowledged)) {
    parts.push('A batch that was never finished looks the same as the very last batch damaged after it was acknowledged; nothing here tells which it was.')
  }
  const sums = [
    formatCount(report.segments.length, 'segment'), formatCount(report.entries, 'entry', 'entries'), `last sequence ${report.lastSequence}`,
    formatBytes(report.bytes), `${(report.durationMs / 1000).toFixed(2)} s`,
  ]
  parts.push(`${report.directory}: ${report.status}${report.isLive ? ', being written' : ''} (${sums.join(', ')})`)
  return `${parts.join('\n\n')}\n`
}

const REPAIR = {
  cut: (reason: string) => `cut an unfinished write (${reason})`,
  remove: (reason: string) => `remove the file (${reason})`,
  header: (reason: string) => `write the header again (${reason})`,
} as const
