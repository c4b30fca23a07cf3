/** `ringwal repair DIR`: salvage by hand. */

import { repairLog, type RepairReport } from '../recovery/repair.js'
import { STATUS } from './command-error.js'
import { findLog } from './directory.js'
import { orNull } from './inspect.js'
import type { Output } from './output.js'
import { formatCount, formatRange, renderTable } from './table.js'
import { STATUS_OF } from './verify.js'

/** Repairs, or only tells what it would be about; returns 0 when the log is sound afterwards, else as `verify` does. */
export async function repair(directory: string, options: { readonly json?: boolean; readonly dryRun?: boolean }, output: Output): Promise<number> {
  const report = await repairLog(findLog(directory).path, { dryRun: options.dryRun ?? false })
  await output.write(options.json === true ? `${JSON.stringify(report, orNull)}\n` : render(report))
  return report.after.status === 'sound' ? STATUS.done : STATUS_OF[report.after.status]
}

function render({ before, after, lost, cuts, copies }: RepairReport): string {
  const parts = []
  if (before.damages.length > 0) {
    parts.push(renderTable(
      [{ title: 'FILE' }, { title: 'OFFSET', isNumber: true }, { title: 'DAMAGED SEQUENCES' }, { title: 'WHAT' }],
      before.damages.map(({ file, offset, firstSequence, lastSequence, reason }) => [file, offset, formatRange(firstSequence, lastSequence, 'none'), reason]),
    ))
  }
  if (lost.length > 0) parts.push(`Lost sequences: ${lost.map(({ firstSequence, lastSequence }) => formatRange(firstSequence, lastSequence, '-')).join(', ')}`)
  if (copies.length > 0) parts.push(`Copies of what was damaged:\n${copies.map((copy) => `  ${copy}`).join('\n')}`)
  if (cuts.length > 0) parts.push(`${formatCount(cuts.length, 'unfinished write')} cut off, as opening does`)
  parts.push(before.status === after.status ? `${after.directory}: ${after.status}` : `${after.directory}: was ${before.status}, is ${after.status}`)
  return `${parts.join('\n\n')}\n`
}
