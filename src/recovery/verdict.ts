/**
 * From facts to verdicts: a pure table. Each segment gets exactly one verdict.
 *
 * *Proof* is the highest sequence that is provably acknowledged: the durable mark of any trailer valid by itself, the
 * first sequence of the next segment less one, the last sequence of a sealed header. (A cursor, which stands in a trailer, proves no
 * more than the trailer's own segment does.) With E and L the end and last sequence of a segment's chain, and P the proof:
 *
 * | segment | facts | verdict |
 * | --- | --- | --- |
 * | foreign (frames, no trailers) | sealed, or frames to its end | keep |
 * | foreign | otherwise | corrupt |
 * | sealed | size, index, first trailer as they must be; and the trailer with the newest cursors, unless later segments have newer ones | keep |
 * | sealed | otherwise | corrupt |
 * | version unknown | — | corrupt |
 * | open | chain, P <= L | seal: rewrite from the proof to E, cut at E |
 * | open | chain, P > L | corrupt, L + 1 to P |
 * | open, newest | no chain, P no higher than the segment before, which is there unless this one begins with 1; no sealed header of its own | remove |
 * | open | no chain, otherwise | corrupt |
 * | any, after another | first is not the last of the one before + 1, or names another as previous | corrupt: missing or overlapping |
 *
 * A segment whose header is torn, or says another first sequence than its first trailer, is an open one, also when later ones
 * follow: the header tells nothing that the trailers do not. (A header that was never synced may have read as sound, from the
 * page cache, when the next segment was begun.)
 */

import type { SegmentHeader } from '../format/segment-layout.js'
import type { Cursor } from '../format/trailer-layout.js'
import { uuidToHex } from '../format/uuid.js'
import type { ForeignFacts, SegmentFacts } from './facts.js'

/** What is to be done with one segment. */
export type Verdict =
  | { readonly kind: 'keep'; readonly facts: SegmentFacts; readonly firstSequence: number; readonly lastSequence: number }
  | { readonly kind: 'seal'; readonly facts: SegmentFacts; readonly firstSequence: number; readonly lastSequence: number; readonly rewriteFrom: number }
  | { readonly kind: 'remove'; readonly facts: SegmentFacts }
  /** `isWhole`: all of the segment is in doubt, whose frames nobody has looked at. */
  | { readonly kind: 'corrupt'; readonly facts: SegmentFacts; readonly damage: Damage; readonly isWhole: boolean }

/** A segment with damage. */
export type CorruptVerdict = Extract<Verdict, { readonly kind: 'corrupt' }>

/** Provably acknowledged data that is not as it must be. */
export interface Damage {
  readonly reason: string
  readonly file: string
  readonly offset: number
  readonly firstSequence: number
  readonly lastSequence: number
}

/** The state of a whole directory. */
export interface Judgement {
  readonly verdicts: readonly Verdict[]
  /** The last sequence of the log; 0 when it is empty. */
  readonly lastSequence: number
  readonly lastTicks: bigint
  readonly cursors: readonly Cursor[]
  readonly damages: readonly Damage[]
}

/** Judges all segments of a directory. */
export function judge(unordered: readonly SegmentFacts[]): Judgement {
  const facts = inOrder(unordered)
  const proofs = proofsFromLater(facts)
  const newestCursors = facts.findLastIndex((segment) => cursorsOf(segment) !== undefined)
  const verdicts: Verdict[] = []
  let lastSequence = 0
  let lastTicks = 0n
  let cursors: readonly Cursor[] = []
  for (const [index, segment] of facts.entries()) {
    const proof = Math.max(segment.scan?.durableSequence ?? 0, segment.scan?.strayProof ?? 0, proofs[index]!)
    const before = index === 0 ? undefined : { facts: facts[index - 1]!, lastSequence }
    const verdict = judgeSegment(segment, { before, proof, isNewest: index === facts.length - 1, lacksCursors: index > newestCursors })
    verdicts.push(verdict)
    if (verdict.kind === 'corrupt') lastSequence = Math.max(lastSequence, verdict.damage.lastSequence)
    else if (verdict.kind !== 'remove') lastSequence = Math.max(lastSequence, verdict.lastSequence)
    const ticks = lastTicksOf(segment)
    if (ticks > lastTicks) lastTicks = ticks
    cursors = cursorsOf(segment) ?? cursors
  }
  const damages = verdicts.flatMap((verdict) => (verdict.kind === 'corrupt' ? [verdict.damage] : []))
  return { verdicts, lastSequence, lastTicks, cursors: cursors.map((cursor) => cutTo(cursor, lastSequence)), damages }
}

/** A cursor that was sought to the log's end may have outlived entries there that nobody had acknowledged: their sequences will be used again. */
function cutTo(cursor: Cursor, lastSequence: number): Cursor {
  return cursor.sequence > lastSequence ? { ...cursor, sequence: lastSequence } : cursor
}

/** By first sequence where every segment tells it, else by name: both are the order of creation. */
function inOrder(facts: readonly SegmentFacts[]): SegmentFacts[] {
  const byName = facts.toSorted((a, b) => (a.name.name < b.name.name ? -1 : 1))
  if (facts.some((segment) => firstSequenceOf(segment) === undefined)) return byName
  return byName.sort((a, b) => firstSequenceOf(a)! - firstSequenceOf(b)!)
}

/**
 * For each segment the highest sequence of its own that later ones prove to have been acknowledged. The next one proves all
 * up to its beginning, and nothing beyond it: what comes after is in that one. (Older segments may be found open, sound in all
 * but the sealed header: the sync of a seal failed, the process died, the next one saw the header in the page cache and went on,
 * and then the power was cut.)
 */
function proofsFromLater(facts: readonly SegmentFacts[]): number[] {
  let nextFirst = 1
  return facts.toReversed().map((segment) => {
    const proof = nextFirst - 1
    nextFirst = firstSequenceOf(segment) ?? nextFirst
    return proof
  }).reverse()
}

/** The cursors in the newest trailer of a segment that has them. */
function cursorsOf(segment: SegmentFacts): readonly Cursor[] | undefined {
  if (segment.sealed !== undefined) return segment.sealed.cursors
  return segment.scan?.lastSequence === undefined ? undefined : segment.scan.cursors
}

/**
 * Of an open segment only its own first trailer tells: a header names no UUID, so the blocks of a new file may show that of a
 * segment which was removed from them.
 */
export function firstSequenceOf({ header, foreign, scan }: SegmentFacts): number | undefined {
  return typeof header !== 'string' && (header.sealed || foreign !== undefined) ? header.firstSequence : scan?.firstSequence
}

/** The last timestamp of a segment. What was not scanned has a header that tells it. */
export function lastTicksOf({ header, foreign, scan }: SegmentFacts): bigint {
  return foreign?.lastTicks ?? scan?.lastTicks ?? (header as SegmentHeader).lastTicks
}

interface Surroundings {
  readonly before: { readonly facts: SegmentFacts; readonly lastSequence: number } | undefined
  /** What is proved about this segment and all before it. */
  readonly proof: number
  readonly isNewest: boolean
  /** Neither in it nor in a later one cursors can be read. */
  readonly lacksCursors: boolean
}

function judgeSegment(segment: SegmentFacts, around: Surroundings): Verdict {
  const { header } = segment
  if (header === 'version') return corrupt(segment, 'a version of the format that is not known here', 4, 0, 0)
  const first = firstSequenceOf(segment)
  if (first !== undefined) {
    const misplaced = checkPlace(segment, first, around)
    if (misplaced !== undefined) return misplaced
  }
  if (segment.foreign !== undefined) return judgeForeign(segment, segment.foreign, first!)
  if (typeof header !== 'string' && header.sealed) return judgeSealed(segment, header, around)
  const claimed = first ?? (typeof header === 'string' ? 1 : header.firstSequence)
  const lastBefore = around.before?.lastSequence ?? claimed - 1
  const scan = segment.scan!
  if (scan.lastSequence === undefined) {
    const nothingBeforeIsLost = around.before !== undefined || lastBefore === 0
    const proof = Math.max(around.proof, sealedEnd(segment, lastBefore))
    if (around.isNewest && nothingBeforeIsLost && proof <= lastBefore) return { kind: 'remove', facts: segment }
    return corrupt(segment, `its first frames are damaged (${scan.fault})`, scan.faultOffset, lastBefore + 1, Math.max(proof, lastBefore + 1))
  }
  if (around.proof > scan.lastSequence) {
    return corrupt(segment, `a frame is damaged (${scan.fault})`, scan.faultOffset, scan.lastSequence + 1, around.proof)
  }
  return {
    kind: 'seal', facts: segment, firstSequence: scan.firstSequence!, lastSequence: scan.lastSequence,
    rewriteFrom: scan.provedOffset(around.proof),
  }
}

/**
 * The last sequence of a sealed header that nothing else in the file goes with; 0 when it was left by a segment that had these blocks before. Such a
 * one was removed, so it was older than all that is there: what begins behind the segment before is this very segment, of which the rest is gone.
 */
function sealedEnd({ staleHeader }: SegmentFacts, lastBefore: number): number {
  return staleHeader !== undefined && staleHeader.firstSequence > lastBefore ? staleHeader.lastSequence : 0
}

function judgeForeign(segment: SegmentFacts, { lastSequence, faultOffset }: ForeignFacts, firstSequence: number): Verdict {
  if (faultOffset === undefined) return { kind: 'keep', facts: segment, firstSequence, lastSequence }
  return corrupt(segment, 'it was written elsewhere, and not all of it is frames', faultOffset, lastSequence + 1, lastSequence + 1)
}

function judgeSealed(segment: SegmentFacts, header: SegmentHeader, { lacksCursors }: Surroundings): Verdict {
  const { firstSequence: first, lastSequence: last } = header
  const whole = (reason: string, offset: number): Verdict => ({ ...corrupt(segment, reason, offset, first, last), isWhole: true })
  if (segment.fileBytes !== header.bytes) return whole(`its size is ${segment.fileBytes} bytes, its header says ${header.bytes}`, 48)
  if (segment.sealed?.index === undefined) return whole('its index is damaged', segment.fileBytes)
  if (segment.sealed.previousUuid === undefined) return whole('its first trailer is damaged', 128)
  if (lacksCursors) return whole('its trailer with the cursors is damaged', segment.sealed.index.cursorTrailerOffset)
  return { kind: 'keep', facts: segment, firstSequence: first, lastSequence: last }
}

/** A segment follows the one before it without a gap or an overlap, and names it. */
function checkPlace(segment: SegmentFacts, first: number, { before }: Surroundings): Verdict | undefined {
  if (before === undefined) return undefined
  const { lastSequence } = before
  if (first > lastSequence + 1) return corrupt(segment, `the segment before it is missing: it begins with ${first}`, 8, lastSequence + 1, first - 1)
  if (first <= lastSequence) return corrupt(segment, `it overlaps the segment before it: it begins with ${first}, that one ends with ${lastSequence}`, 8, first, lastSequence)
  const previous = segment.scan?.previousUuid ?? segment.sealed?.previousUuid
  if (previous === undefined || before.facts.foreign !== undefined || Buffer.compare(previous, before.facts.name.uuid) === 0) return undefined
  return corrupt(segment, `it follows segment ${uuidToHex(previous)}, which is not there`, 128, first, first)
}

function corrupt(facts: SegmentFacts, reason: string, offset: number, firstSequence: number, lastSequence: number): CorruptVerdict {
  return { kind: 'corrupt', facts, damage: { reason, file: facts.path, offset, firstSequence, lastSequence }, isWhole: false }
}
