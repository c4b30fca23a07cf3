/** The verdict table, enumerated: every combination of facts gets exactly the one verdict that the documented rows give it. */

import { expect, test } from 'vitest'
import type { HeaderFault, SegmentHeader } from '../../dist/src/format/segment-layout.js'
import { createSegmentName, type SegmentName } from '../../dist/src/format/segment-name.js'
import type { Cursor } from '../../dist/src/format/trailer-layout.js'
import { uuidToHex } from '../../dist/src/format/uuid.js'
import type { SegmentFacts } from '../../dist/src/recovery/facts.js'
import { firstSequenceOf, judge, type Verdict } from '../../dist/src/recovery/verdict.js'
import type { SegmentScan } from '../../dist/src/segment/scan.js'

const NAMES = [1, 2, 3, 4].map((ms) => createSegmentName(ms * 1000))
const OTHER_UUID = createSegmentName(99).uuid
const NO_UUID = new Uint8Array(16)
/** The segment in question holds entries 11 to 20 where its chain is whole. */
const FIRST = 11
const LAST = 20

function scan(overrides: Partial<SegmentScan> = {}): SegmentScan {
  return {
    endOffset: 1000, firstSequence: FIRST, lastSequence: LAST, previousUuid: NAMES[0]!.uuid, entryCount: 10, firstTicks: 1n, lastTicks: 2n, cursors: [],
    lastTrailerOffset: 900, cursorTrailerOffset: 128, index: [], aborted: [], gaps: [], durableSequence: 15, provedOffset: (proved) => proved, fault: 'zeros',
    faultOffset: 1000, strayProof: 0, hasStrayTrailer: false, isTailZero: true, beginsBatch: false, ...overrides,
  }
}

function segment(name: SegmentName, header: SegmentHeader | HeaderFault, overrides: Partial<SegmentFacts> = {}): SegmentFacts {
  return { name, path: `/log/${name.name}`, fileBytes: 5000, header, staleHeader: undefined, sealed: undefined, scan: undefined, foreign: undefined, ...overrides }
}

function openHeader(firstSequence: number): SegmentHeader {
  return { firstSequence, lastSequence: firstSequence - 1, firstTicks: 0n, lastTicks: 0n, entryCount: 0, bytes: 0, sealed: false }
}

function sealed(name: SegmentName, first: number, last: number, previousUuid: Uint8Array, overrides: Partial<SegmentFacts> = {}): SegmentFacts {
  const header = { firstSequence: first, lastSequence: last, firstTicks: 1n, lastTicks: 1n, entryCount: last - first + 1, bytes: 5000, sealed: true }
  return segment(name, header, { sealed: { index: { lastTrailerOffset: 128, cursorTrailerOffset: 128, entries: [] }, firstSequence: first, previousUuid, cursors: [] }, ...overrides })
}

const HEADERS = ['sound', 'short', 'magic', 'checksum', 'fields', 'version', 'other first'] as const
const CHAINS = ['none', 'empty', 'whole'] as const
const STRAYS = [0, 10, 20, 25] as const

interface OpenCase {
  readonly header: typeof HEADERS[number]
  readonly chain: typeof CHAINS[number]
  readonly strayProof: number
  readonly hasBefore: boolean
  readonly after: 'none' | 'next' | 'gapped'
  readonly namesBefore: boolean
}

function* openCases(): Generator<OpenCase> {
  for (const header of HEADERS) for (const chain of CHAINS) for (const strayProof of STRAYS) for (const hasBefore of [true, false])
    for (const after of ['none', 'next', 'gapped'] as const) for (const namesBefore of [true, false]) yield { header, chain, strayProof, hasBefore, after, namesBefore }
}

/** The facts of a case: an open segment, perhaps a sealed one of entries 1 to 10 before it, perhaps one behind it. */
function factsOf(given: OpenCase): SegmentFacts[] {
  const { chain, strayProof } = given
  const lastSequence = { none: undefined, empty: FIRST - 1, whole: LAST }[chain]
  const found = scan({
    firstSequence: chain === 'none' ? undefined : FIRST, lastSequence, strayProof, durableSequence: { none: 0, empty: 10, whole: 15 }[chain],
    previousUuid: chain === 'none' ? undefined : given.namesBefore ? NAMES[0]!.uuid : OTHER_UUID,
  })
  const header = given.header === 'sound' ? openHeader(FIRST) : given.header === 'other first' ? openHeader(FIRST + 1) : given.header
  const facts = [segment(NAMES[1]!, header, { scan: found })]
  if (given.hasBefore) facts.unshift(sealed(NAMES[0]!, 1, 10, NO_UUID))
  if (given.after !== 'none') facts.push(sealed(NAMES[2]!, given.after === 'next' ? LAST + 1 : LAST + 6, LAST + 10, NAMES[1]!.uuid))
  return facts
}

/** The rows of the table in verdict.ts, read anew; the row about places goes before the others where a first trailer tells the place. */
function wanted(given: OpenCase): Verdict['kind'] {
  const { header, chain, strayProof, hasBefore, after } = given
  if (header === 'version') return 'corrupt'
  if (hasBefore && chain !== 'none' && !given.namesBefore) return 'corrupt'
  const proof = Math.max(strayProof, { none: 0, empty: 10, whole: 15 }[chain], { none: 0, next: LAST, gapped: LAST + 5 }[after])
  if (chain !== 'none') return proof <= (chain === 'whole' ? LAST : FIRST - 1) ? 'seal' : 'corrupt'
  const claimed = header === 'sound' ? FIRST : header === 'other first' ? FIRST + 1 : 1
  const before = hasBefore ? 10 : claimed - 1
  return after === 'none' && proof <= before && (hasBefore || before === 0) ? 'remove' : 'corrupt'
}

test('an open segment gets the verdict of its row, whatever its header, chain, proof and neighbours', () => {
  const wrong: string[] = []
  const seen = new Set<string>()
  let count = 0
  for (const given of openCases()) {
    const judgement = judge(factsOf(given))
    const mine = judgement.verdicts.filter((verdict) => verdict.facts.name === NAMES[1])
    seen.add(mine[0]!.kind)
    count++
    if (mine.length !== 1 || mine[0]!.kind !== wanted(given)) wrong.push(`${JSON.stringify(given)}: ${mine.map(({ kind }) => kind).join()}, not ${wanted(given)}`)
  }
  expect(wrong).toEqual([])
  expect(count).toBe(HEADERS.length * CHAINS.length * STRAYS.length * 2 * 3 * 2)
  expect([...seen].sort()).toEqual(['corrupt', 'remove', 'seal'])
})

test('every segment of every case gets exactly one verdict, and the order of the facts does not matter', () => {
  for (const given of openCases()) {
    const facts = factsOf(given)
    const forwards = judge(facts)
    expect(forwards.verdicts.map((verdict) => verdict.facts.name.name).sort()).toEqual(facts.map(({ name }) => name.name).sort())
    expect(judge(facts.toReversed())).toEqual(forwards)
    expect(forwards.damages.length).toBe(forwards.verdicts.filter(({ kind }) => kind === 'corrupt').length)
  }
})

test('a sealed segment is kept if size, index and first trailer are as they must be, else corrupt', () => {
  for (const size of [5000, 4999, 5001]) for (const hasIndex of [true, false]) for (const hasTrailer of [true, false]) {
    const facts = sealed(NAMES[0]!, 1, 10, NO_UUID, {
      fileBytes: size,
      sealed: { index: hasIndex ? { lastTrailerOffset: 128, cursorTrailerOffset: 128, entries: [] } : undefined, firstSequence: hasTrailer ? FIRST : undefined, previousUuid: hasTrailer ? NO_UUID : undefined, cursors: [] },
    })
    const { verdicts } = judge([facts])
    expect(verdicts.map(({ kind }) => kind), `${size} ${hasIndex} ${hasTrailer}`).toEqual([size === 5000 && hasIndex && hasTrailer ? 'keep' : 'corrupt'])
    if (verdicts[0]!.kind === 'corrupt') expect(verdicts[0]!.damage).toMatchObject({ file: facts.path, firstSequence: 1, lastSequence: 10 })
  }
})

test('a sealed segment whose newest cursors cannot be read is corrupt, unless a later one has newer ones', () => {
  const index = { lastTrailerOffset: 900, cursorTrailerOffset: 700, entries: [] }
  const blind = sealed(NAMES[0]!, 1, 10, NO_UUID, { sealed: { index, firstSequence: 1, previousUuid: NO_UUID, cursors: undefined } })
  expect(judge([blind]).damages).toMatchObject([{ file: blind.path, offset: 700, firstSequence: 1, lastSequence: 10 }])
  expect(judge([blind, sealed(NAMES[1]!, 11, 20, NAMES[0]!.uuid)]).damages).toEqual([])
})

test('a sealed header with nothing else of its segment counts as left by another one only where it begins before the end of the log', () => {
  const before = sealed(NAMES[0]!, 1, 10, NO_UUID)
  const bare = (first: number): SegmentFacts => {
    const staleHeader = { ...openHeader(first), lastSequence: first + 9, bytes: 4000, entryCount: 10, sealed: true }
    return { ...segment(NAMES[1]!, 'short', { scan: scan({ firstSequence: undefined, lastSequence: undefined, previousUuid: undefined, durableSequence: 0 }) }), header: 'stale', staleHeader }
  }
  expect(judge([before, bare(1)]).verdicts.map(({ kind }) => kind)).toEqual(['keep', 'remove'])
  expect(judge([before, bare(11)]).damages).toMatchObject([{ firstSequence: 11, lastSequence: 20 }])
  expect(judge([bare(11)]).damages).toMatchObject([{ firstSequence: 1, lastSequence: 20 }])
})

test('a foreign segment is kept, and the next one follows it without naming it', () => {
  const foreign = sealed(NAMES[0]!, 1, 10, NO_UUID, { foreign: { lastSequence: 10, firstTicks: 0n, lastTicks: 0n, entryCount: 10, faultOffset: undefined }, sealed: undefined })
  const { verdicts, lastSequence } = judge([foreign, segment(NAMES[1]!, openHeader(FIRST), { scan: scan({ previousUuid: OTHER_UUID }) })])
  expect(verdicts.map(({ kind }) => kind)).toEqual(['keep', 'seal'])
  expect(lastSequence).toBe(LAST)
})

test('a foreign segment is kept behind one of this project, which it does not name', () => {
  const foreign = { lastSequence: 15, firstTicks: 0n, lastTicks: 0n, entryCount: 5, faultOffset: undefined }
  expect(judge([before(), segment(NAMES[1]!, openHeader(11), { foreign })])).toMatchObject({ damages: [], lastSequence: 15, verdicts: [{ kind: 'keep' }, { kind: 'keep' }] })
})

test('a missing, an overlapping and a wrongly named neighbour are corrupt, with the sequences that are missing', () => {
  const before = sealed(NAMES[0]!, 1, 10, NO_UUID)
  const cases: [SegmentFacts, object][] = [
    [sealed(NAMES[1]!, 14, 20, NAMES[0]!.uuid), { firstSequence: 11, lastSequence: 13 }],
    [sealed(NAMES[1]!, 8, 20, NAMES[0]!.uuid), { firstSequence: 8 }],
    [sealed(NAMES[1]!, 11, 20, OTHER_UUID), { firstSequence: 11 }],
  ]
  for (const [facts, damage] of cases) {
    expect(judge([before, facts]).damages).toMatchObject([{ file: facts.path, ...damage }])
  }
  expect(judge([before, sealed(NAMES[1]!, 11, 20, NAMES[0]!.uuid)]).damages).toEqual([])
})

test('a first segment that begins behind 1 is no damage: what was before it may have been removed', () => {
  expect(judge([sealed(NAMES[0]!, 500, 510, OTHER_UUID)])).toMatchObject({ damages: [], lastSequence: 510 })
})

test('a later segment proves an older one up to where it begins itself, its cursors no further', () => {
  const later = sealed(NAMES[2]!, 21, 60, NAMES[1]!.uuid)
  const withCursor = { ...later, sealed: { ...later.sealed!, cursors: [{ name: 'c', sequence: 40, epoch: 0 }] } }
  const tail = (lastSequence: number): SegmentFacts => segment(NAMES[1]!, openHeader(FIRST), { scan: scan({ lastSequence }) })
  expect(judge([tail(20), withCursor]).verdicts.map(({ kind }) => kind)).toEqual(['seal', 'keep'])
  expect(judge([tail(18), withCursor]).damages[0]).toMatchObject({ reason: 'a frame is damaged (zeros)', firstSequence: 19, lastSequence: 20 })
})

test('a chain is rewritten from what is proved, and no damage is silently repaired', () => {
  const { verdicts } = judge([segment(NAMES[1]!, openHeader(1), { scan: scan({ firstSequence: 1, provedOffset: (proved) => proved * 7 }) })])
  expect(verdicts).toMatchObject([{ kind: 'seal', rewriteFrom: 15 * 7, firstSequence: 1, lastSequence: LAST }])
})

test('an empty directory is an empty log', () => {
  expect(judge([])).toEqual({ verdicts: [], lastSequence: 0, lastTicks: 0n, cursors: [], damages: [] })
})

/** An open segment of entries 11 to `lastSequence`, behind a sealed one of 1 to 10. */
function tail(lastSequence: number, overrides: Partial<SegmentScan> = {}): SegmentFacts {
  return segment(NAMES[1]!, openHeader(FIRST), { scan: scan({ lastSequence, durableSequence: Math.min(15, lastSequence), ...overrides }) })
}

/** A segment that was begun and never got its first trailer. */
function torn(name: SegmentName, overrides: Partial<SegmentScan> = {}): SegmentFacts {
  return segment(name, 'short', { scan: scan({ firstSequence: undefined, lastSequence: undefined, previousUuid: undefined, durableSequence: 0, fault: 'short', faultOffset: 128, ...overrides }) })
}

const before = (): SegmentFacts => sealed(NAMES[0]!, 1, 10, NO_UUID)
const kinds = (facts: readonly SegmentFacts[]): string[] => judge(facts).verdicts.map(({ kind }) => kind)
const cursor = (name: string, sequence: number): Cursor => ({ name, sequence, epoch: 3 })

test('what is damaged is told in words, with its place and its sequences', () => {
  const far = sealed(NAMES[2]!, 21, 30, NAMES[1]!.uuid)
  const index = { lastTrailerOffset: 900, cursorTrailerOffset: 700, entries: [] }
  const own = (overrides: Partial<NonNullable<SegmentFacts['sealed']>>): SegmentFacts => sealed(NAMES[0]!, 1, 10, NO_UUID, { sealed: { index, firstSequence: 1, previousUuid: NO_UUID, cursors: [], ...overrides } })
  const foreign = { lastSequence: 7, firstTicks: 0n, lastTicks: 0n, entryCount: 7, faultOffset: 612 }
  const cases: [SegmentFacts[], string, number, number, number][] = [
    [[segment(NAMES[0]!, 'version', { scan: scan() })], 'a version of the format that is not known here', 4, 0, 0],
    [[before(), tail(18), far], 'a frame is damaged (zeros)', 1000, 19, 20],
    [[before(), tail(18, { strayProof: 25, fault: 'checksum' })], 'a frame is damaged (checksum)', 1000, 19, 25],
    [[before(), torn(NAMES[1]!), far], 'its first frames are damaged (short)', 128, 11, 20],
    [[before(), torn(NAMES[1]!, { strayProof: 11 })], 'its first frames are damaged (short)', 128, 11, 11],
    [[before(), torn(NAMES[1]!), torn(NAMES[2]!)], 'its first frames are damaged (short)', 128, 11, 11],
    [[sealed(NAMES[0]!, 1, 10, NO_UUID, { fileBytes: 4711 })], 'its size is 4711 bytes, its header says 5000', 48, 1, 10],
    [[own({ index: undefined })], 'its index is damaged', 5000, 1, 10],
    [[sealed(NAMES[0]!, 1, 10, NO_UUID, { sealed: undefined })], 'its index is damaged', 5000, 1, 10],
    [[own({ previousUuid: undefined })], 'its first trailer is damaged', 128, 1, 10],
    [[own({ cursors: undefined })], 'its trailer with the cursors is damaged', 700, 1, 10],
    [[before(), sealed(NAMES[1]!, 14, 20, NAMES[0]!.uuid)], 'the segment before it is missing: it begins with 14', 8, 11, 13],
    [[before(), sealed(NAMES[1]!, 10, 20, NAMES[0]!.uuid)], 'it overlaps the segment before it: it begins with 10, that one ends with 10', 8, 10, 10],
    [[before(), sealed(NAMES[1]!, 11, 20, OTHER_UUID)], `it follows segment ${uuidToHex(OTHER_UUID)}, which is not there`, 128, 11, 11],
    [[segment(NAMES[0]!, openHeader(1), { foreign })], 'it was written elsewhere, and not all of it is frames', 612, 8, 8],
  ]
  for (const [facts, reason, offset, firstSequence, lastSequence] of cases) {
    const { damages, verdicts } = judge(facts)
    const file = verdicts.find(({ kind }) => kind === 'corrupt')?.facts.path
    expect(damages[0], reason).toEqual({ reason, file, offset, firstSequence, lastSequence })
  }
})

test('of two segments that were never begun only the newest is removed, and proves nothing of the one before', () => {
  const first = segment(NAMES[0]!, openHeader(1), { scan: scan({ firstSequence: 1, lastSequence: 1, durableSequence: 0, previousUuid: NO_UUID }) })
  expect(kinds([first, torn(NAMES[1]!)])).toEqual(['seal', 'remove'])
  expect(kinds([before(), torn(NAMES[1]!), torn(NAMES[2]!)])).toEqual(['keep', 'corrupt', 'remove'])
  expect(kinds([before(), tail(18, { strayProof: 25 }), torn(NAMES[2]!)])).toEqual(['keep', 'corrupt', 'remove'])
})

test('the last sequence of a log is that of its last segment, damaged or not; one that is removed has none', () => {
  expect(judge([before(), tail(LAST)]).lastSequence).toBe(LAST)
  expect(judge([before(), tail(18, { strayProof: 25 })]).lastSequence).toBe(25)
  expect(judge([before(), torn(NAMES[1]!)]).lastSequence).toBe(10)
})

test('the last time of a log is the latest that any of its segments tells, by its frames rather than by its header', () => {
  const timed = (facts: SegmentFacts, lastTicks: bigint): SegmentFacts => ({ ...facts, header: { ...(facts.header as SegmentHeader), lastTicks } })
  expect(judge([timed(before(), 500n), tail(LAST, { lastTicks: 900n })]).lastTicks).toBe(900n)
  expect(judge([timed(before(), 500n), tail(LAST, { lastTicks: 300n })]).lastTicks).toBe(500n)
  const foreign = { lastSequence: 10, firstTicks: 1n, lastTicks: 700n, entryCount: 10, faultOffset: undefined }
  expect(judge([timed(sealed(NAMES[0]!, 1, 10, NO_UUID, { foreign, sealed: undefined }), 500n)]).lastTicks).toBe(700n)
})

test('the cursors are those of the newest segment that has them, and none is beyond the end of the log', () => {
  const withCursors = { ...before(), sealed: { ...before().sealed!, cursors: [cursor('old', 4)] } }
  const newest = [cursor('far', 25), cursor('at the end', LAST), cursor('behind', 3)]
  const cut = [cursor('far', LAST), cursor('at the end', LAST), cursor('behind', 3)]
  expect(judge([withCursors, tail(LAST, { cursors: newest })]).cursors).toEqual(cut)
  expect(judge([withCursors, torn(NAMES[1]!, { cursors: newest })]).cursors).toEqual([cursor('old', 4)])
  expect(judge([withCursors]).cursors).toEqual([cursor('old', 4)])
})

test('segments stand in the order of their first sequences where all tell it, whatever their names; else in that of their names', () => {
  const [first, second] = [sealed(NAMES[2]!, 1, 10, NO_UUID), sealed(NAMES[1]!, 11, 20, NAMES[2]!.uuid)]
  for (const facts of [[first, second], [second, first]]) {
    const { verdicts, damages } = judge(facts)
    expect([verdicts.map((verdict) => verdict.facts.name), damages]).toEqual([[NAMES[2], NAMES[1]], []])
    expect(judge([...facts, torn(NAMES[3]!)]).verdicts.map((verdict) => verdict.facts.name)).toEqual([NAMES[1], NAMES[2], NAMES[3]])
  }
})

test('a sealed header alone is not believed where it begins with or before the last entry of the segment before it', () => {
  const bare = (first: number): SegmentFacts => {
    const staleHeader = { ...openHeader(first), lastSequence: first + 9, bytes: 4000, entryCount: 10, sealed: true }
    return { ...torn(NAMES[1]!), header: 'stale', staleHeader }
  }
  for (const first of [5, 10]) expect(kinds([before(), bare(first)]), `${first}`).toEqual(['keep', 'remove'])
  for (const first of [11, 12]) expect(judge([before(), bare(first)]).damages, `${first}`).toMatchObject([{ firstSequence: 11, lastSequence: first + 9 }])
})

test('an open file from elsewhere tells its first sequence by its header', () => {
  const foreign = { lastSequence: 3, firstTicks: 0n, lastTicks: 0n, entryCount: 3, faultOffset: undefined }
  expect(judge([segment(NAMES[0]!, openHeader(1), { foreign })]).verdicts).toMatchObject([{ kind: 'keep', firstSequence: 1, lastSequence: 3 }])
  expect(firstSequenceOf(segment(NAMES[0]!, 'magic'))).toBeUndefined()
})
