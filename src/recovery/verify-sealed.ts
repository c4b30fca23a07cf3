/**
 * Checking a sealed segment byte by byte. Opening trusts a sealed segment's size, index and first trailer; here its
 * chain of trailers is scanned as that of a tail is, and must end where the index says that the frames end.
 *
 * Where the chain breaks, the frames from there on are walked one by one, so that the report names the sequences that
 * are damaged and not all that follow.
 */

import type { Disk, DiskFile } from '../disk/disk.js'
import { controlKind } from '../format/control-layout.js'
import { FRAME_DATA, frameSequence, frameSize, frameTicks, type FrameFault } from '../format/frame-layout.js'
import { INDEX_FOOTER_BYTES, indexFrameBytes, type IndexEntry, type SparseIndex } from '../format/index-layout.js'
import { SEGMENT_HEADER_BYTES, type SegmentHeader } from '../format/segment-layout.js'
import { checkBlocking, FRAME_READ_BYTES, FrameWindow } from '../segment/frame-window.js'
import { scanSegment, type ScanProgress, type SegmentScan } from '../segment/scan.js'
import type { SegmentFacts } from './facts.js'
import { spanOfFrame } from './sound-frames.js'

/** One damaged place of a file. */
export interface Finding {
  readonly reason: string
  readonly offset: number
  /** The entries that are damaged or missing; both undefined when no entry is. */
  readonly firstSequence: number | undefined
  readonly lastSequence: number | undefined
}

/** More damaged places than this are summed up in the last one. */
const MAX_FINDINGS = 1000
const BLOCK_BYTES = 1024 * 1024

/** What is wrong with a sealed segment, inside which opening does not look. Blocks. */
export function findDamage(disk: Disk, facts: SegmentFacts, progress?: ScanProgress): Finding[] {
  const header = facts.header as SegmentHeader
  const file = disk.open(facts.path, 'read')
  try {
    if (facts.foreign !== undefined) {
      return walkFrames(file, facts, { offset: SEGMENT_HEADER_BYTES, next: header.firstSequence, end: facts.fileBytes, index: [] })
    }
    const scan = scanSegment(file, facts.name.uuid, facts.fileBytes, progress)
    const index = facts.sealed?.index
    const indexOffset = index === undefined ? undefined : facts.fileBytes - sizeOfIndex(file, facts.fileBytes)
    const isWhole = scan.fault === 'index' && scan.faultOffset === scan.endOffset && (indexOffset ?? scan.endOffset) === scan.endOffset
    if (isWhole) return compare(header, scan, index, (entries) => findMisplaced(file, entries, scan.endOffset))
    return findBreaks(file, facts, scan, indexOffset)
  } finally {
    file.close()
  }
}

function sizeOfIndex(file: DiskFile, fileBytes: number): number {
  const footer = Buffer.alloc(INDEX_FOOTER_BYTES)
  file.read(footer, fileBytes - footer.length)
  return indexFrameBytes(footer)
}

/** The chain is whole: header and index must say the same. */
function compare(
  header: SegmentHeader, scan: SegmentScan, index: SparseIndex | undefined, misplaced: (entries: readonly IndexEntry[]) => IndexEntry | undefined,
): Finding[] {
  const findings: Finding[] = []
  // Where there is not even a first trailer, nothing is there of what the header tells.
  const last = scan.lastSequence ?? header.firstSequence - 1
  const claims = [
    ['first sequence', header.firstSequence, scan.firstSequence], ['last sequence', header.lastSequence, scan.lastSequence],
    ['entry count', header.entryCount, scan.entryCount], ['first timestamp', header.firstTicks, scan.firstTicks],
    ['last timestamp', header.lastTicks, scan.lastTicks],
  ] as const
  for (const [what, claimed, found] of claims) {
    if (claimed === found) continue
    const isLoss = what === 'last sequence' && last < header.lastSequence
    const lost = isLoss ? { firstSequence: last + 1, lastSequence: header.lastSequence } : NO_ENTRY
    findings.push({ reason: `its header says ${what} ${claimed}, its frames say ${found}`, offset: 0, ...lost })
  }
  if (index === undefined) return findings
  if (index.lastTrailerOffset !== scan.lastTrailerOffset || index.cursorTrailerOffset !== scan.cursorTrailerOffset) {
    findings.push({ reason: 'its index names other trailers than are there', offset: scan.endOffset, ...NO_ENTRY })
  }
  const wrong = misplaced(index.entries)
  if (wrong !== undefined) {
    findings.push({ reason: `its index says that entry ${wrong.sequence} is at byte ${wrong.offset}`, offset: scan.endOffset, ...NO_ENTRY })
  }
  return findings
}

const NO_ENTRY = { firstSequence: undefined, lastSequence: undefined } as const

/** The first index entry that does not name a frame's start with its sequence and timestamp. Frames are known to be sound. */
function findMisplaced(file: DiskFile, entries: readonly IndexEntry[], endOffset: number): IndexEntry | undefined {
  const block = Buffer.allocUnsafeSlow(Math.max(FRAME_DATA, Math.min(BLOCK_BYTES, endOffset - SEGMENT_HEADER_BYTES)))
  const view = new DataView(block.buffer, block.byteOffset, block.length)
  let base = 0
  let held = 0
  let offset = SEGMENT_HEADER_BYTES
  for (const entry of entries) {
    for (;;) {
      if (offset + FRAME_DATA > endOffset) return entry
      if (offset + FRAME_DATA > base + held) {
        base = offset
        held = file.read(block.subarray(0, Math.min(block.length, endOffset - offset)), offset)
      }
      if (offset >= entry.offset) break
      const size = frameSize(view, offset - base, held, endOffset - offset)
      // The scan has found them sound a moment ago. A file that changes meanwhile must not lead astray.
      if (typeof size !== 'number') return entry
      offset += size
    }
    const at = offset - base
    if (offset !== entry.offset || frameSequence(view, at) !== entry.sequence || frameTicks(view, at) !== entry.ticks) return entry
  }
  return undefined
}

/** The chain is broken: where, and what that costs. */
function findBreaks(file: DiskFile, facts: SegmentFacts, scan: SegmentScan, indexOffset: number | undefined): Finding[] {
  const header = facts.header as SegmentHeader
  const next = (scan.lastSequence ?? header.firstSequence - 1) + 1
  if (indexOffset === undefined && next > header.lastSequence) return [{ reason: 'its index is damaged', offset: scan.endOffset, ...NO_ENTRY }]
  const index = facts.sealed?.index?.entries ?? []
  const findings = walkFrames(file, facts, { offset: scan.endOffset, next, end: indexOffset ?? facts.fileBytes, index })
  if (findings.length > 0) return findings
  // Every frame is sound by itself, but they do not make a chain.
  const hasLoss = next <= header.lastSequence
  return [{
    reason: `a frame is not as it must be (${scan.fault})`, offset: scan.faultOffset,
    firstSequence: hasLoss ? next : undefined, lastSequence: hasLoss ? header.lastSequence : undefined,
  }]
}

interface Walk {
  readonly offset: number
  readonly next: number
  /** Where the frames must end. */
  readonly end: number
  readonly index: readonly IndexEntry[]
}

/** Walks frames one by one, past damage. Each damaged place is passed by its own length, else to the next indexed frame. */
function walkFrames(file: DiskFile, facts: SegmentFacts, walk: Walk): Finding[] {
  const { lastSequence } = facts.header as SegmentHeader
  const { end } = walk
  const findings: Finding[] = []
  let { offset, next } = walk
  let window = new FrameWindow(offset, facts.fileBytes, BLOCK_BYTES)
  while (offset < end) {
    const result = checkBlocking(window, file)
    const span = typeof result === 'number' ? spanOf(window, result, facts) : undefined
    if (typeof result === 'number' && span?.from === next) {
      window.advance(result)
      offset += result
      next = span.to
      continue
    }
    const isTooMany = findings.length + 1 >= MAX_FINDINGS
    const resume = isTooMany ? undefined : resumeBehind(file, facts, walk.index, offset, next)
    const lostLast = resume === undefined ? lastSequence : resume.sequence - 1
    const hasLoss = lostLast >= next
    findings.push({
      reason: isTooMany ? `${MAX_FINDINGS - 1} damaged places come before this one` : `a frame is damaged (${faultOf(result)})`, offset,
      firstSequence: hasLoss ? next : undefined, lastSequence: hasLoss ? lostLast : undefined,
    })
    if (resume === undefined) return findings
    ;({ offset, sequence: next } = resume)
    window = new FrameWindow(offset, facts.fileBytes)
  }
  if (next <= lastSequence) findings.push({ reason: 'its frames end too early', offset, firstSequence: next, lastSequence })
  return findings
}

function faultOf(result: number | FrameFault): string {
  return typeof result === 'number' ? 'sequence' : result
}

/** The sequences of the checked frame in the window; the index stands where the next one would. */
function spanOf(window: FrameWindow, size: number, { header, name }: SegmentFacts): { readonly from: number; readonly to: number } | undefined {
  const isIndex = frameSequence(window.view, window.at) === 0 && controlKind(window.view, window.at, size) === 'index'
  if (!isIndex) return spanOfFrame(window, size, name.uuid)
  const next = (header as SegmentHeader).lastSequence + 1
  return { from: next, to: next }
}

/** Where sound frames go on behind the damage at `offset`, and with which sequence: by the lengths that frames tell, else at the next indexed entry. */
function resumeBehind(
  file: DiskFile, facts: SegmentFacts, index: readonly IndexEntry[], offset: number, next: number,
): { offset: number; sequence: number } | undefined {
  const indexed = index.find((entry) => entry.offset > offset && entry.sequence >= next && isSoundEntry(file, facts, entry))
  const last = (facts.header as SegmentHeader).lastSequence
  // Going by lengths ends at the indexed entry at the latest, so that no byte is passed more than twice.
  const window = new FrameWindow(offset, facts.fileBytes)
  for (;;) {
    const found = checkBlocking(window, file)
    const span = typeof found === 'number' ? spanOf(window, found, facts) : undefined
    const isNext = window.offset > offset && span !== undefined && span.from >= next && span.from <= last + 1
    if (isNext) return { offset: window.offset, sequence: span.from }
    const size = found === 'checksum' ? claimedSize(window, facts.fileBytes) : found
    if (typeof size !== 'number' || window.offset + size >= (indexed?.offset ?? facts.fileBytes)) return indexed
    window.advance(size)
  }
}

/** The bytes that the frame in the window says it takes. */
function claimedSize({ view, at, offset }: FrameWindow, fileBytes: number): number | FrameFault {
  return frameSize(view, at, at + FRAME_DATA, fileBytes - offset)
}

function isSoundEntry(file: DiskFile, facts: SegmentFacts, entry: IndexEntry): boolean {
  const window = new FrameWindow(entry.offset, facts.fileBytes, FRAME_READ_BYTES)
  return typeof checkBlocking(window, file) === 'number' && frameSequence(window.view, window.at) === entry.sequence
}
