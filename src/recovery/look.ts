/**
 * Looking at a directory beside a writer. The files are not read in one instant: a scan may reach the tail's end, and find
 * behind it what was written after that. So a doubt counts only if a second look has it too:
 *
 * 1. What the first look has seen proved was in the files, with all before it, before the second look began.
 * 2. If the second look's chain of trailers reaches that far, it was only late: nothing is damaged up to there.
 * 3. If it does not, it never will: damage, whoever writes.
 */

import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import type { Disk } from '../disk/disk.js'
import { parseSegmentName } from '../format/segment-name.js'
import type { ScanProgress } from '../segment/scan.js'
import { isTailStale, isUnfinishedSeal, readFacts, type SegmentFacts } from './facts.js'
import { judge, type Judgement, type Verdict } from './verdict.js'

/** A place that is not as acknowledged data must be. */
export interface VerifyDamage {
  readonly reason: string
  readonly file: string
  readonly offset: number
  /** The entries damaged or missing; both undefined when no entry itself is. */
  readonly firstSequence: number | undefined
  readonly lastSequence: number | undefined
}

/** What opening the log would repair, losing nothing that is provably acknowledged. */
export interface VerifyRepair {
  /** `'cut'`: bytes behind the last sound batch go. `'remove'`: a file that was never finished goes. `'header'`: it is written anew. */
  readonly kind: 'cut' | 'remove' | 'header'
  readonly reason: string
  readonly file: string
  readonly offset: number
  readonly bytes: number
  /** The last sound entry before that place. */
  readonly afterSequence: number
  /** The damage is confined to the last batch, and nothing later tells whether that had been acknowledged. */
  readonly mayHaveBeenAcknowledged: boolean
}

const LOOKS = 5
const LOOK_AGAIN_MS = 20

/** A doubt about one file, as one look had it. */
export interface Doubt {
  readonly file: string
  readonly damage: VerifyDamage | undefined
  readonly repair: VerifyRepair | undefined
}

/** What the looks came to. */
export interface Look {
  readonly judgement: Judgement
  readonly doubts: readonly Doubt[]
  readonly isLive: boolean
}

/** Looks until two looks in a row have the same doubts, if any. What a later look has not found again was a writer at work. */
export async function lookUntilSure(disk: Disk, directory: string, progress: ScanProgress, signal: AbortSignal | undefined): Promise<Look> {
  let before: readonly Doubt[] = []
  let isLive = false
  for (let look = 1; ; look++) {
    const judgement = judge(await presentFacts(disk, directory, look === 1 ? progress : undefined, signal))
    const doubts = doubtsOf(disk, judgement)
    const sure = doubts.filter((doubt) => before.some((earlier) => isSame(earlier, doubt)))
    isLive ||= before.some((earlier) => !doubts.some((doubt) => isSame(earlier, doubt)))
    if (sure.length === doubts.length || look === LOOKS) return { judgement, doubts: sure, isLive: isLive || sure.length < doubts.length }
    before = doubts
    await delay(LOOK_AGAIN_MS)
  }
}

function isSame(a: Doubt, b: Doubt): boolean {
  if (a.file !== b.file) return false
  if (a.damage !== undefined && b.damage !== undefined) {
    // The chain still does not reach what was proved before. Of a segment without entries the last one is one below the first.
    return b.damage.firstSequence! <= lastOf(a.damage) && a.damage.firstSequence! <= lastOf(b.damage)
  }
  return a.repair !== undefined && b.repair !== undefined && a.repair.kind === b.repair.kind && a.repair.offset === b.repair.offset
}

function lastOf({ firstSequence, lastSequence }: VerifyDamage): number {
  return Math.max(firstSequence!, lastSequence!)
}

/** The facts of all segments of a directory; files that are removed meanwhile are passed over. */
export async function presentFacts(disk: Disk, directory: string, progress?: ScanProgress, signal?: AbortSignal): Promise<SegmentFacts[]> {
  const facts: SegmentFacts[] = []
  for (const name of disk.list(directory).map(parseSegmentName)) {
    if (name === undefined) continue
    signal?.throwIfAborted()
    const found = ifPresent(() => readFacts(disk, directory, name, progress))
    if (found !== undefined) facts.push(found)
    await nextTurn()
  }
  return facts
}

/** What `read` returns; undefined when its file is gone. */
export function ifPresent<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function doubtsOf(disk: Disk, judgement: Judgement): Doubt[] {
  return judgement.verdicts.flatMap((verdict): Doubt[] => {
    const file = verdict.facts.path
    if (verdict.kind === 'corrupt') return [{ file, damage: verdict.damage, repair: undefined }]
    return repairsOf(disk, verdict).map((repair) => ({ file, damage: undefined, repair }))
  })
}

function repairsOf(disk: Disk, verdict: Exclude<Verdict, { kind: 'corrupt' }>): VerifyRepair[] {
  if (verdict.kind === 'keep') return []
  const { path: file, fileBytes, header } = verdict.facts
  const scan = verdict.facts.scan!
  if (verdict.kind === 'remove') {
    const reason = 'no valid header or first trailer'
    return [{ kind: 'remove', reason, file, offset: 0, bytes: fileBytes, afterSequence: 0, mayHaveBeenAcknowledged: scan.hasStrayTrailer }]
  }
  const repairs: VerifyRepair[] = []
  const afterSequence = verdict.lastSequence
  if (typeof header === 'string') {
    const reason = `its header is damaged (${header})`
    repairs.push({ kind: 'header', reason, file, offset: 0, bytes: 0, afterSequence, mayHaveBeenAcknowledged: false })
  }
  const { endOffset, isTailZero, fault } = scan
  if (!isTailZero && !isTailStale(verdict.facts) && !(ifPresent(() => isUnfinishedSeal(disk, verdict.facts)) ?? true)) {
    const bytes = fileBytes - endOffset
    repairs.push({ kind: 'cut', reason: fault, file, offset: endOffset, bytes, afterSequence, mayHaveBeenAcknowledged: true })
  }
  return repairs
}
