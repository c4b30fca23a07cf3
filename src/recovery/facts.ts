/** The facts that recovery judges: what each segment file says of itself. Nothing is changed here. */

import { join } from 'node:path'
import type { Disk, DiskFile } from '../disk/disk.js'
import { frameSequence, frameTicks } from '../format/frame-layout.js'
import type { SparseIndex } from '../format/index-layout.js'
import { parseSegmentName, type SegmentName } from '../format/segment-name.js'
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, type HeaderFault, type SegmentHeader } from '../format/segment-layout.js'
import type { Cursor } from '../format/trailer-layout.js'
import { checkBlocking, FrameWindow } from '../segment/frame-window.js'
import { scanSegment, searchBehind, type ScanProgress, type SegmentScan } from '../segment/scan.js'
import { readIndex } from '../segment/sealed-index.js'
import { isForeign, isHeaderStale } from '../segment/stale-header.js'
import { readFrameAt, readTrailerAt, trailerIn, type FrameAt } from '../segment/trailer-at.js'

/** What one segment file says. */
export interface SegmentFacts {
  readonly name: SegmentName
  readonly path: string
  readonly fileBytes: number
  readonly header: SegmentHeader | HeaderFault | 'stale'
  /** With a stale header: what it says. */
  readonly staleHeader: SegmentHeader | undefined
  /** Of a sealed segment: its index, its first trailer, and the last trailer that carries cursors. */
  readonly sealed: SealedFacts | undefined
  /** Of any other: what a scan of all its bytes found. */
  readonly scan: SegmentScan | undefined
  /** It has frames but no trailer, so it was not written by this project: what its frames say. Read, never changed. */
  readonly foreign: ForeignFacts | undefined
}

/** What the frames of a segment without trailers say; of a sealed one, its header. */
export interface ForeignFacts {
  readonly lastSequence: number
  readonly firstTicks: bigint
  readonly lastTicks: bigint
  readonly entryCount: number
  /** File offset of the first byte that belongs to no valid frame; undefined when there is none. */
  readonly faultOffset: number | undefined
}

/** What a sealed segment says of itself without being scanned. */
export interface SealedFacts {
  readonly index: SparseIndex | undefined
  /** Of the first trailer, as {@link previousUuid}: undefined when there is none of this segment. */
  readonly firstSequence: number | undefined
  readonly previousUuid: Uint8Array | undefined
  readonly cursors: readonly Cursor[] | undefined
}

/** Whether what stands behind the last batch is what an earlier segment left in the same file, and nothing of a next batch. */
export function isTailStale({ header, scan }: SegmentFacts): boolean {
  return typeof header !== 'string' && header.recycled === true && scan?.beginsBatch === false && !scan.hasStrayTrailer
}

/**
 * Whether an index stands behind the last batch and nothing more, but for what an earlier segment has left in the same file: the crash came between
 * it and the final header. Blocks.
 */
export function isUnfinishedSeal(disk: Disk, { path, name, fileBytes, header, scan }: SegmentFacts): boolean {
  if (scan?.fault !== 'index' || scan.faultOffset !== scan.endOffset) return false
  if (typeof header !== 'string' && header.recycled === true && !scan.hasStrayTrailer) return true
  const file = disk.open(path, 'read')
  try {
    const size = checkBlocking(new FrameWindow(scan.endOffset, fileBytes), file)
    return typeof size === 'number' && searchBehind(file, name.uuid, scan.endOffset + size, fileBytes).isZero
  } finally {
    file.close()
  }
}

/** Reads the facts of all segments in a directory. Blocks; linear in the bytes that are not sealed. */
export function gatherFacts(disk: Disk, directory: string, progress?: ScanProgress): SegmentFacts[] {
  const names = disk.list(directory).map(parseSegmentName).filter((name) => name !== undefined)
  return names.map((name) => readFacts(disk, directory, name, progress))
}

/** Reads the facts of one segment. */
export function readFacts(disk: Disk, directory: string, name: SegmentName, progress?: ScanProgress): SegmentFacts {
  const path = join(directory, name.name)
  const file = disk.open(path, 'read')
  try {
    const fileBytes = file.size()
    const start = Buffer.alloc(SEGMENT_HEADER_BYTES)
    const header = decodeSegmentHeader(start.subarray(0, file.read(start, 0)))
    const first = typeof header === 'string' ? undefined : readFrameAt(file, fileBytes, SEGMENT_HEADER_BYTES)
    const foreign = typeof header !== 'string' && isForeign(first, header) ? readForeign(file, fileBytes, header, first) : undefined
    const sealed = typeof header !== 'string' && header.sealed && foreign === undefined ? readSealed(file, fileBytes, name.uuid, first) : undefined
    const isStale = sealed !== undefined && typeof header !== 'string'
      && isHeaderStale(header, fileBytes, sealed.firstSequence, () => sealed.index !== undefined)
    const isRead = foreign !== undefined || (sealed !== undefined && !isStale)
    return {
      name, path, fileBytes, foreign,
      header: isStale ? 'stale' : header,
      staleHeader: isStale ? header : undefined,
      sealed: isStale ? undefined : sealed,
      scan: isRead ? undefined : scanSegment(file, name.uuid, fileBytes, progress),
    }
  } finally {
    file.close()
  }
}

function readForeign(file: DiskFile, fileBytes: number, header: SegmentHeader, { window }: FrameAt): ForeignFacts {
  if (header.sealed) return { ...header, faultOffset: undefined }
  const firstTicks = frameTicks(window.view, window.at)
  let lastTicks = firstTicks
  let next = header.firstSequence
  for (let size = checkBlocking(window, file); typeof size === 'number'; size = checkBlocking(window, file)) {
    if (frameSequence(window.view, window.at) !== next) break
    lastTicks = frameTicks(window.view, window.at)
    next++
    window.advance(size)
  }
  const faultOffset = window.offset < fileBytes ? window.offset : undefined
  return { lastSequence: next - 1, firstTicks, lastTicks, entryCount: next - header.firstSequence, faultOffset }
}

function readSealed(file: DiskFile, fileBytes: number, uuid: Uint8Array, frame: FrameAt | undefined): SealedFacts {
  const index = readIndex(file, fileBytes, uuid)
  const first = trailerIn(frame, uuid)
  const last = index?.cursorTrailerOffset === SEGMENT_HEADER_BYTES ? first : index && readTrailerAt(file, fileBytes, index.cursorTrailerOffset, uuid)
  return { index, firstSequence: first?.firstSequence, previousUuid: first?.previousUuid, cursors: last?.cursors }
}
