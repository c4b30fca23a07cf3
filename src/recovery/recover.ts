/**
 * Opening a directory for writing: facts, verdicts, and then what the verdicts ask for. All of it can be interrupted
 * anywhere and done again. The caller holds the directory's lock.
 */

import { join } from 'node:path'
import { isDiskFull, type Disk, type DiskFile } from '../disk/disk.js'
import { invariant, WalError } from '../errors.js'
import { spareName, type SegmentName } from '../format/segment-name.js'
import type { Cursor } from '../format/trailer-layout.js'
import { writeFinalHeader, writeIndex, type SegmentContent } from '../segment/seal.js'
import { gatherFacts, isTailStale, isUnfinishedSeal } from './facts.js'
import { salvageDirectory, type LostSequences, type SalvageReport } from './salvage.js'
import { judge, type Damage, type Judgement, type Verdict } from './verdict.js'

const COPY_BYTES = 1 << 20

/** What opening found and did. */
export interface RecoveryReport {
  /** Segment files that the log now consists of. */
  readonly segments: number
  /** Entries in them. */
  readonly entries: number
  /** Bytes of those files. */
  readonly bytes: number
  /** The last sequence of the log, aborted ones included; 0 when it is empty. */
  readonly lastSequence: number
  /** Whether the last run ended with `close()`. */
  readonly cleanClose: boolean
  /** What was cut off unfinished writes. */
  readonly cuts: readonly RecoveryCut[]
  /** With `onCorrupt: 'salvage'`: the entries that were given up to damage, and where copies of the damaged files are. */
  readonly lost: readonly LostSequences[]
  readonly salvaged: readonly string[]
  /** Milliseconds that all of it took. */
  readonly durationMs: number
}

/** Bytes behind the last sound batch of an unclean stop. */
export interface RecoveryCut {
  readonly file: string
  /** Where the sound part ends. */
  readonly offset: number
  /** Bytes that were cut. With `'zeros'` and `'stale'`, and nothing that may have been acknowledged, they were allocated ahead, and no batch was begun there. */
  readonly bytes: number
  /** What stood there: `'zeros'`, `'stale'` (left by a segment that had this file before), or the fault of the first frame. */
  readonly reason: string
  /**
   * The damage is confined to the very last batch, and no later mark tells whether its sync had returned:
   * a batch that was acknowledged and then damaged on disk looks the same as one that was never finished.
   */
  readonly mayHaveBeenAcknowledged: boolean
}

/** One segment that the log goes on with, sealed. */
export interface RecoveredSegment {
  readonly name: SegmentName
  readonly path: string
  readonly firstSequence: number
  readonly lastSequence: number
  readonly bytes: number
  /** Written by this project: its file may be used again. */
  readonly isOwn: boolean
}

/** The state that writing goes on from. */
export interface Recovered {
  readonly report: RecoveryReport
  /** All segments, oldest first. */
  readonly segments: readonly RecoveredSegment[]
  readonly nextSequence: number
  readonly lastTicks: bigint
  readonly cursors: readonly Cursor[]
  /** UUID of the newest segment, zeros when there is none. */
  readonly previousUuid: Uint8Array
  /** Creation time of the newest segment in ms since 1970; the next one's must be later. */
  readonly lastCreatedMs: number
}

/**
 * Recovers the directory. Blocks. When acknowledged data is damaged: throws `ERR_WAL_CORRUPT`, having changed nothing; or with `salvages` gives up
 * what cannot be read, and goes on. With `mayStayOpen` a segment that there is no room to seal is left open, for the next time.
 */
export function recover(disk: Disk, directory: string, salvages = false, mayStayOpen = false): Recovered {
  const startMs = performance.now()
  let judgement = judge(gatherFacts(disk, directory))
  let salvage: SalvageReport = { lost: [], copies: [] }
  if (judgement.damages.length > 0) {
    if (!salvages) throw corruptError(judgement.damages)
    // Before anything is changed: what a newer version wrote is not damage, whatever else is.
    const unknown = judgement.verdicts.flatMap((verdict) => verdict.kind === 'corrupt' && verdict.facts.header === 'version' ? [verdict.damage] : [])
    if (unknown.length > 0) throw corruptError(unknown)
    salvage = salvageDirectory(disk, directory)
    judgement = judge(gatherFacts(disk, directory))
  }
  const isChanged = judgement.verdicts.some((verdict) => verdict.kind !== 'keep')
  for (const verdict of judgement.verdicts) if (verdict.kind === 'remove') disk.remove(verdict.facts.path)
  // Before anything is sealed: the crash may have come before a tail's name was durable, and of a sealed segment nobody doubts it again. And always:
  // what was removed before a kill, and found gone now, must not come back with a power cut.
  disk.syncDirectory(directory)
  const cuts: RecoveryCut[] = []
  const segments: RecoveredSegment[] = []
  let entries = 0
  for (const verdict of judgement.verdicts) {
    if (verdict.kind === 'remove') {
      noteCut(cuts, verdict.facts.path, 0, verdict.facts.fileBytes, 'no valid header or first trailer', verdict.facts.scan!.hasStrayTrailer)
    } else if (verdict.kind === 'seal') {
      segments.push(segmentOf(verdict, rewriteAndSeal(disk, directory, verdict, cuts, mayStayOpen)))
      entries += verdict.facts.scan!.entryCount
    } else if (verdict.kind === 'keep') {
      segments.push(segmentOf(verdict, verdict.facts.fileBytes))
      if (typeof verdict.facts.header !== 'string') entries += (verdict.facts.foreign ?? verdict.facts.header).entryCount
    }
  }
  return describe(judgement, segments, {
    entries, cuts, lost: salvage.lost, salvaged: salvage.copies, cleanClose: !isChanged && salvage.copies.length === 0 && salvage.lost.length === 0,
    durationMs: performance.now() - startMs,
  })
}

type SealVerdict = Extract<Verdict, { kind: 'seal' }>

function segmentOf({ facts: { name, path, foreign }, firstSequence, lastSequence }: Extract<Verdict, { kind: 'keep' | 'seal' }>, bytes: number): RecoveredSegment {
  return { name, path, firstSequence, lastSequence, bytes, isOwn: foreign === undefined }
}

function describe(
  judgement: Judgement, segments: readonly RecoveredSegment[], found: Pick<RecoveryReport, 'entries' | 'cuts' | 'lost' | 'salvaged' | 'cleanClose' | 'durationMs'>,
): Recovered {
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  return {
    report: { segments: segments.length, bytes, lastSequence: judgement.lastSequence, ...found },
    segments,
    nextSequence: judgement.lastSequence + 1,
    lastTicks: judgement.lastTicks,
    cursors: judgement.cursors,
    previousUuid: segments.at(-1)?.name.uuid ?? new Uint8Array(16),
    lastCreatedMs: Math.max(0, ...judgement.verdicts.map((verdict) => verdict.facts.name.createdMs)),
  }
}

/**
 * What is in doubt is written again, from the proof to the chain's end: after a failed sync the page cache shows bytes as intact that the disk
 * never got, and the next sync says that all is well. And it is written into a new file. Over the same blocks it would not help: ext4 keeps
 * blocks whose first write has failed as unwritten ones, so that what is written over them later, and synced without an error, reads as zeros
 * once the page cache is gone.
 *
 * 1. Copy the chain to a spare name, sync it. 2. Rename it over the old file, sync the directory. 3. Cut, sync, seal: not before 2, since of a
 * sealed segment nobody doubts again that its name is durable.
 *
 * Without room for a copy it is written again where it is: better than not at all.
 */
function rewriteAndSeal(disk: Disk, directory: string, verdict: SealVerdict, cuts: RecoveryCut[], mayStayOpen: boolean): number {
  const { facts, rewriteFrom } = verdict
  const scan = facts.scan!
  const cutBytes = facts.fileBytes - scan.endOffset
  if (cutBytes > 0 && !isUnfinishedSeal(disk, facts)) {
    const isUnused = scan.isTailZero || isTailStale(facts)
    noteCut(cuts, facts.path, scan.endOffset, cutBytes, scan.isTailZero ? 'zeros' : isUnused ? 'stale' : scan.fault, !isUnused)
  }
  const isRenewed = rewriteFrom < scan.endOffset && renewFile(disk, directory, verdict)
  // One that was sealed, and whose header has been damaged since, may not be written to.
  if (!isRenewed) disk.unprotect(facts.path)
  const file = disk.open(facts.path, 'write')
  try {
    if (!isRenewed) copyBytes(file, file, rewriteFrom, scan.endOffset)
    file.truncate(scan.endOffset)
    file.sync()
    return seal(file, contentOf(verdict), mayStayOpen)
  } finally {
    file.close()
  }
}

/** Steps 1 and 2. False: there is no room for a copy. */
function renewFile(disk: Disk, directory: string, { facts: { path, name, scan } }: SealVerdict): boolean {
  const spare = join(directory, spareName(name))
  if (disk.list(directory).includes(spareName(name))) disk.remove(spare)
  const source = disk.open(path, 'read')
  try {
    const copy = disk.create(spare)
    try {
      copyBytes(source, copy, 0, scan!.endOffset)
      copy.sync()
    } finally {
      copy.close()
    }
    disk.rename(spare, path)
    disk.syncDirectory(directory)
  } catch (error) {
    if (!isDiskFull(error)) throw error
    if (disk.list(directory).includes(spareName(name))) disk.remove(spare)
    return false
  } finally {
    source.close()
  }
  return true
}

function copyBytes(from: DiskFile, to: DiskFile, start: number, end: number): void {
  const block = Buffer.allocUnsafeSlow(Math.max(1, Math.min(COPY_BYTES, end - start)))
  for (let offset = start; offset < end;) {
    const count = from.read(block.subarray(0, Math.min(block.length, end - offset)), offset)
    invariant(count > 0, `${from.path} still reaches to byte ${end}`)
    to.write([block.subarray(0, count)], offset)
    offset += count
  }
}

function contentOf({ facts: { name, scan }, firstSequence, lastSequence }: SealVerdict): SegmentContent {
  const { firstTicks, lastTicks, entryCount, endOffset, lastTrailerOffset, cursorTrailerOffset, index } = scan!
  return { uuid: name.uuid, firstSequence, lastSequence, firstTicks, lastTicks, entryCount, endOffset, lastTrailerOffset, cursorTrailerOffset, index }
}

function seal(file: DiskFile, content: SegmentContent, mayStayOpen: boolean): number {
  let bytes = content.endOffset
  try {
    bytes = writeIndex(file, content)
    writeFinalHeader(file, content, bytes)
  } catch (error) {
    if (!mayStayOpen || !isDiskFull(error)) throw error
    file.truncate(bytes)
    file.sync()
  }
  return bytes
}

function noteCut(cuts: RecoveryCut[], file: string, offset: number, bytes: number, reason: string, mayHaveBeenAcknowledged: boolean): void {
  cuts.push({ file, offset, bytes, reason, mayHaveBeenAcknowledged })
}

function corruptError(damages: readonly Damage[]): WalError {
  const first = damages[0]!
  const more = damages.length > 1 ? `; and ${damages.length - 1} more` : ''
  return new WalError(
    'ERR_WAL_CORRUPT',
    `acknowledged entries ${first.firstSequence} to ${first.lastSequence} are damaged or missing: ${first.reason}, at byte ${first.offset} of ${first.file}${more}`,
    { file: first.file, offset: first.offset, firstSequence: first.firstSequence, lastSequence: first.lastSequence },
  )
}
