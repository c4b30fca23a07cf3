/**
 * Checking a log's directory without opening the log: every byte of every segment, by the very facts and verdicts that
 * opening goes by, so that both always agree. Nothing is changed, no lock is taken; a writer may be at work.
 */

import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Disk } from '../disk/disk.js'
import { nodeDisk } from '../disk/node-disk.js'
import { asIoError } from '../errors.js'
import { parseSegmentName } from '../format/segment-name.js'
import { abortSignal, directoryPath, optionalFunction } from '../option-values.js'
import type { ScanProgress } from '../segment/scan.js'
import { ifPresent, lookUntilSure, type VerifyDamage, type VerifyRepair } from './look.js'
import { summarize, type SegmentSummary } from './segment-summary.js'
import type { Verdict } from './verdict.js'
import { findDamage } from './verify-sealed.js'

/** Options of {@link verifyLog}. */
export interface VerifyOptions {
  /** Called now and then, with bytes checked so far and bytes in all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void
  /** Ends the work between two segments, with the signal's reason. */
  readonly signal?: AbortSignal
}

/** `'sound'`: every byte is as it must be. `'torn'`: opening would repair an unfinished write. `'corrupt'`: acknowledged data is damaged or missing. */
export type VerifyStatus = 'sound' | 'torn' | 'corrupt'

/** One segment after checking. */
export interface VerifiedSegment extends SegmentSummary {
  readonly status: VerifyStatus
}

/** What {@link verifyLog} found. */
export interface VerifyReport {
  readonly status: VerifyStatus
  readonly directory: string
  readonly segments: readonly VerifiedSegment[]
  readonly damages: readonly VerifyDamage[]
  readonly repairs: readonly VerifyRepair[]
  /** The last sequence that the log is known to have reached; 0 when it is empty. */
  readonly lastSequence: number
  readonly entries: number
  readonly bytes: number
  /** A writer was seen at work: what stands behind the last finished batch is its next one. */
  readonly isLive: boolean
  readonly durationMs: number
}

/**
 * Checks every byte of a log's directory: headers, every frame's checksum, the chains of trailers, that indexes point at
 * the right frames, that sequences go on across segments. Changes nothing, takes no lock, and may run beside a writer.
 * What it tells of an unfinished tail is what opening the log would do.
 *
 * Blocks the thread while it scans a segment (some 100 ms for 64 MiB); memory is a block of 1 MiB, or the largest entry.
 * Rejects with `ERR_WAL_IO` when the directory or a file cannot be read, with `TypeError` on wrong arguments, with the
 * signal's reason when aborted.
 */
export async function verifyLog(directory: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const path = directoryPath('directory', directory)
  optionalFunction('options.onProgress', options.onProgress)
  const signal = abortSignal('options.signal', options.signal)
  try {
    return await verifyDirectory(nodeDisk, path, options)
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : asIoError(error, `cannot read the log in ${path}`, path)
  }
}

/** {@link verifyLog} on any disk. */
export async function verifyDirectory(disk: Disk, directory: string, { onProgress, signal }: VerifyOptions = {}): Promise<VerifyReport> {
  const startMs = performance.now()
  const progress = createProgress(disk, directory, onProgress)
  const { judgement, doubts, isLive } = await lookUntilSure(disk, directory, progress.add, signal)
  const damages: VerifyDamage[] = []
  const repairs = doubts.flatMap((doubt) => (doubt.repair === undefined ? [] : [doubt.repair]))
  const segments: VerifiedSegment[] = []
  for (const verdict of judgement.verdicts) {
    signal?.throwIfAborted()
    const { facts } = verdict
    const found = await checkKept(disk, directory, verdict, progress.add)
    if (found === undefined) continue // Removed meanwhile.
    const own = doubts.filter((doubt) => doubt.file === facts.path)
    const judged = own.flatMap((doubt) => (doubt.damage === undefined ? [] : [doubt.damage]))
    const damage = moreExact(verdict, judged, found)
    damages.push(...damage)
    segments.push({ ...summarize(facts), status: damage.length > 0 ? 'corrupt' : own.length > 0 ? 'torn' : 'sound' })
  }
  progress.finish()
  return {
    status: damages.length > 0 ? 'corrupt' : repairs.length > 0 ? 'torn' : 'sound',
    directory, segments, damages, repairs,
    lastSequence: judgement.lastSequence,
    entries: segments.reduce((sum, segment) => sum + (segment.entries ?? 0), 0),
    bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
    isLive,
    durationMs: performance.now() - startMs,
  }
}

/** What is wrong inside a sealed segment, which opening does not read; undefined when its file has been removed. */
async function checkKept(disk: Disk, directory: string, { facts }: Verdict, progress: ScanProgress): Promise<VerifyDamage[] | undefined> {
  const { header, path, name } = facts
  if (typeof header === 'string' || !header.sealed) return []
  await nextTurn()
  const findings = ifPresent(() => findDamage(disk, facts, progress))
  // A file that is used again is renamed before it is written to: what was found may be of another segment.
  if (findings !== undefined && findings.length > 0 && !disk.list(directory).includes(name.name)) return undefined
  return findings?.map((finding) => ({ ...finding, file: path }))
}

/** Of a sealed segment opening can only say that all of it is in doubt; its frames tell what is really damaged. */
function moreExact(verdict: Verdict, judged: readonly VerifyDamage[], found: readonly VerifyDamage[]): readonly VerifyDamage[] {
  if (verdict.kind !== 'corrupt' || !verdict.isWhole) return [...judged, ...found]
  return found.length > 0 ? found : judged.map((damage) => ({ ...damage, firstSequence: undefined, lastSequence: undefined }))
}

interface Progress {
  readonly add: ScanProgress
  readonly finish: () => void
}

function createProgress(disk: Disk, directory: string, onProgress: VerifyOptions['onProgress']): Progress {
  if (onProgress === undefined) return { add: () => undefined, finish: () => undefined }
  const names = disk.list(directory).filter((name) => parseSegmentName(name) !== undefined)
  const total = names.reduce((sum, name) => sum + (ifPresent(() => sizeOf(disk, join(directory, name))) ?? 0), 0)
  let done = 0
  return {
    add(bytes) {
      done = Math.min(total, done + bytes)
      onProgress(done, total)
    },
    finish: () => onProgress(total, total),
  }
}

function sizeOf(disk: Disk, path: string): number {
  const file = disk.open(path, 'read')
  try {
    return file.size()
  } finally {
    file.close()
  }
}
