/** Salvage by hand: of all that `verify` finds, also inside sealed segments, where opening does not look. */

import { acquireDirectoryLock } from '../disk/directory-lock.js'
import type { Disk } from '../disk/disk.js'
import { nodeDisk } from '../disk/node-disk.js'
import { asIoError, wrongType } from '../errors.js'
import { directoryPath } from '../option-values.js'
import { gatherFacts } from './facts.js'
import { rebuildSegment } from './rebuild.js'
import { recover, type RecoveryCut } from './recover.js'
import type { LostSequences } from './salvage.js'
import { judge, lastTicksOf } from './verdict.js'
import { verifyDirectory, type VerifyReport } from './verify.js'
import { findDamage } from './verify-sealed.js'

/** Options of {@link repairLog}. */
export interface RepairOptions {
  /** Only look. Default false. */
  readonly dryRun?: boolean
}

/** What was found, and what has been done about it. */
export interface RepairReport {
  readonly before: VerifyReport
  /** What is there now; the same as `before` after a dry run. */
  readonly after: VerifyReport
  /** The entries that were given up. */
  readonly lost: readonly LostSequences[]
  /** What was cut off unfinished writes. */
  readonly cuts: readonly RecoveryCut[]
  /** Paths of the copies of damaged files. */
  readonly copies: readonly string[]
}

/**
 * Repairs a log that no writer has open: cuts unfinished writes as opening does, rebuilds every damaged segment from what is sound in it, and accounts
 * for what is lost, so that no number is given out twice. Damaged files are copied to `salvage/` in the log's directory first. Can be
 * interrupted anywhere and done again; all of it is durable when it resolves. Blocks the thread while it works on a segment.
 *
 * Rejects with `ERR_WAL_LOCKED` while a writer has the log open, `ERR_WAL_CORRUPT` when a segment is of a version that is not known here,
 * `ERR_WAL_IO` when the operating system refuses, `TypeError` on wrong arguments.
 */
export async function repairLog(directory: string, { dryRun = false }: RepairOptions = {}): Promise<RepairReport> {
  const path = directoryPath('directory', directory)
  if (typeof dryRun !== 'boolean') throw wrongType('options.dryRun', 'a boolean', dryRun)
  try {
    // Also where nothing is to be made: a directory that is not there is no log.
    nodeDisk.list(path)
    const lock = await acquireDirectoryLock(path, { waitMs: 0 })
    try {
      return await repairDirectory(nodeDisk, path, dryRun)
    } finally {
      await lock.release()
    }
  } catch (error) {
    throw asIoError(error, `cannot repair the log in ${path}`, path)
  }
}

/** {@link repairLog} on any disk, the lock being held. */
export async function repairDirectory(disk: Disk, directory: string, dryRun: boolean): Promise<RepairReport> {
  const before = await verifyDirectory(disk, directory)
  if (dryRun || before.status === 'sound') return { before, after: before, lost: [], cuts: [], copies: [] }
  const { report } = recover(disk, directory, true)
  const lost = [...report.lost]
  const copies = [...report.salvaged]
  for (const { path, name, found } of damagedInside(disk, directory)) {
    const { verdicts, cursors } = judge(gatherFacts(disk, directory))
    const index = verdicts.findIndex((verdict) => verdict.facts.name.name === name.name)
    const verdict = verdicts[index]!
    // Not so in any test: recovery has left nothing else, and what was rebuilt since keeps its sequences. A guard, no more.
    if (verdict.kind !== 'keep') continue
    const previous = verdicts[index - 1]?.facts
    // A sealed segment of this project is not kept without an index and a first trailer.
    const { previousUuid, cursors: own } = verdict.facts.sealed!
    const rebuilt = rebuildSegment(disk, directory, {
      name, first: verdict.firstSequence, last: verdict.lastSequence, exists: true,
      previousUuid: previous?.name.uuid ?? previousUuid!,
      lastTicks: previous === undefined ? 0n : lastTicksOf(previous),
      cursors: own ?? cursors,
    })
    lost.push(...rebuilt.lost.map(({ first, last }) => ({ firstSequence: first, lastSequence: last, file: path, reason: found })))
    if (rebuilt.copy !== undefined) copies.push(rebuilt.copy)
  }
  return { before, after: await verifyDirectory(disk, directory), lost, cuts: report.cuts, copies }
}

function damagedInside(disk: Disk, directory: string): { name: ReturnType<typeof gatherFacts>[number]['name']; path: string; found: string }[] {
  return gatherFacts(disk, directory).flatMap((facts) => {
    if (facts.sealed === undefined) return []
    const [first] = findDamage(disk, facts, () => undefined)
    return first === undefined ? [] : [{ name: facts.name, path: facts.path, found: first.reason }]
  })
}
