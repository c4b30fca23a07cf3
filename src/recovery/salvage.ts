/**
 * Salvage: making a damaged directory valid again, keeping a copy of all that is dropped. One segment a time, the oldest first, is
 * rebuilt, made anew where it is missing, or taken out where another has its sequences; then the directory is judged again.
 */

import { join } from 'node:path'
import type { Disk } from '../disk/disk.js'
import { invariant } from '../errors.js'
import { segmentNameOf, type SegmentName } from '../format/segment-name.js'
import { gatherFacts, type SegmentFacts } from './facts.js'
import { keepCopy, rebuildSegment, type RebuildPlan } from './rebuild.js'
import { firstSequenceOf, judge, lastTicksOf, type CorruptVerdict, type Damage, type Judgement } from './verdict.js'

/** Sequences that a salvage has given up. */
export interface LostSequences {
  readonly firstSequence: number
  readonly lastSequence: number
  /** The segment's file, and what was wrong with it. */
  readonly file: string
  readonly reason: string
}

/** What a salvage has done. */
export interface SalvageReport {
  readonly lost: readonly LostSequences[]
  /** Paths of the copies of damaged files. */
  readonly copies: readonly string[]
}

/**
 * Makes the directory valid, so far as opening looks. The caller holds its lock, and has seen that every segment is of a version that is known.
 * Blocks.
 */
export function salvageDirectory(disk: Disk, directory: string): SalvageReport {
  const lost: LostSequences[] = []
  const copies: string[] = []
  let judgement = judge(gatherFacts(disk, directory))
  // Each round mends one segment for good; a missing one may show only when the one before it is mended.
  for (let left = 2 * judgement.verdicts.length + 8; judgement.damages.length > 0; left--) {
    invariant(left > 0, 'a salvage comes to an end')
    const index = judgement.verdicts.findIndex((verdict) => verdict.kind === 'corrupt')
    const { facts, damage } = judgement.verdicts[index] as CorruptVerdict
    const step = planStep(judgement, index, damage)
    if (step === 'remove') {
      copies.push(keepCopy(disk, directory, facts.name.name))
      disk.remove(facts.path)
      disk.syncDirectory(directory)
    } else {
      const rebuilt = rebuildSegment(disk, directory, step)
      const file = join(directory, step.name.name)
      lost.push(...rebuilt.lost.map(({ first, last }) => ({ firstSequence: first, lastSequence: last, file, reason: damage.reason })))
      if (rebuilt.copy !== undefined) copies.push(rebuilt.copy)
    }
    judgement = judge(gatherFacts(disk, directory))
  }
  return { lost, copies }
}

/** What is to be done about one corrupt segment, all before it being sound. */
function planStep(judgement: Judgement, index: number, damage: Damage): RebuildPlan | 'remove' {
  const { facts } = judgement.verdicts[index]!
  const before = judgement.verdicts.slice(0, index).findLast((verdict) => verdict.kind === 'keep' || verdict.kind === 'seal')
  const known = firstSequenceOf(facts)
  const first = before === undefined ? known ?? damage.firstSequence : before.lastSequence + 1
  const lastTicks = before === undefined ? 0n : lastTicksOf(before.facts)
  const previousUuid = before?.facts.name.uuid ?? new Uint8Array(16)
  const common = { previousUuid, lastTicks, cursors: judgement.cursors }
  const named = before === undefined ? undefined : missingBefore(facts, before.facts.name)
  // Not in any test: it is there, and its sequences stand elsewhere.
  const missing = judgement.verdicts.some((verdict) => verdict.facts.name.name === named?.name) ? undefined : named
  if (missing !== undefined && known !== undefined && known >= first) return { ...common, name: missing, first, last: known - 1, exists: false }
  const following = judgement.verdicts.slice(index + 1).map((verdict) => firstSequenceOf(verdict.facts)).find((sequence) => sequence !== undefined)
  const last = following === undefined ? Math.max(judgement.lastSequence, lastOf(facts)) : following - 1
  // Another segment has all of its sequences. If it is needed as a link to the next one, it will be missing, and is made anew.
  if (last < first) return 'remove'
  return { ...common, name: facts.name, first, last, exists: true }
}

/**
 * The segment that this one names as the one before it, if that is another one than `before`. By its name it must stand between the two: made anew it
 * would else be somewhere else, and be missing still.
 */
function missingBefore(facts: SegmentFacts, before: SegmentName): SegmentName | undefined {
  const previous = facts.scan?.previousUuid ?? facts.sealed?.previousUuid
  const named = previous === undefined ? undefined : segmentNameOf(previous)
  return named !== undefined && before.name < named.name && named.name < facts.name.name ? named : undefined
}

function lastOf({ header, scan, foreign }: SegmentFacts): number {
  return Math.max(foreign?.lastSequence ?? 0, scan?.lastSequence ?? 0, typeof header !== 'string' && header.sealed ? header.lastSequence : 0)
}
