/**
 * Rebuilding one segment from what is sound in its file, if there is one: the same name and UUID, so that the chain of segments holds; the entries
 * that are there; `GAP!` frames for the sequences that are lost, so that no number is ever given out twice. In this order, so that it can be
 * interrupted anywhere and done again: copy the damaged file → sync the copy and its name → write the new one under a spare name, sync it, seal
 * it → rename it over the old name → sync the directory.
 */

import { join } from 'node:path'
import type { Disk, DiskFile } from '../disk/disk.js'
import { invariant } from '../errors.js'
import { encodeRange } from '../format/control-layout.js'
import { INDEX_INTERVAL_BYTES } from '../format/index-layout.js'
import { spareName, type SegmentName } from '../format/segment-name.js'
import { relativeTicks, tickBase } from '../format/ticks.js'
import type { Cursor } from '../format/trailer-layout.js'
import { Tail, type TailBatch } from '../segment/tail.js'
import { walkSound, type SoundPiece } from './sound-frames.js'

/** Where copies of damaged files are kept, below the log's directory. */
export const SALVAGE = 'salvage'
const BATCH_BYTES = 256 * 1024
const COPY_BYTES = 1024 * 1024

/** What a segment must become. */
export interface RebuildPlan {
  readonly name: SegmentName
  /** Its sequences, `last` = `first` - 1: none. */
  readonly first: number
  readonly last: number
  readonly previousUuid: Uint8Array
  /** The last timestamp before it. */
  readonly lastTicks: bigint
  /** Of the consumers, as far as nothing newer is found in the file. */
  readonly cursors: readonly Cursor[]
  /** Whether there is a file to take entries from. */
  readonly exists: boolean
}

/** Sequences without their entries. */
export interface LostRange {
  readonly first: number
  readonly last: number
}

/** What became of a segment. */
export interface Rebuilt {
  readonly lost: readonly LostRange[]
  /** Path of the copy of what was there; undefined when there was nothing. */
  readonly copy: string | undefined
}

/** Rebuilds a segment of the log in `directory`, whose lock the caller holds. Blocks. */
export function rebuildSegment(disk: Disk, directory: string, plan: RebuildPlan): Rebuilt {
  const path = join(directory, plan.name.name)
  invariant(plan.exists || !disk.list(directory).includes(plan.name.name), 'what is made anew is not there')
  const copy = plan.exists ? keepCopy(disk, directory, plan.name.name) : undefined
  const spare = join(directory, spareName(plan.name))
  if (disk.list(directory).includes(spareName(plan.name))) disk.remove(spare)
  const source = plan.exists ? disk.open(path, 'read') : undefined
  try {
    const lost = write(disk, spare, directory, plan, source)
    disk.rename(spare, path)
    disk.syncDirectory(directory)
    return { lost, copy }
  } finally {
    source?.close()
  }
}

/** Copies a file of the log to where damaged ones are kept; durable when it returns. */
export function keepCopy(disk: Disk, directory: string, name: string): string {
  const folder = join(directory, SALVAGE)
  disk.makeDirectory(folder)
  const taken = new Set(disk.list(folder))
  let number = 1
  while (taken.has(`${name}.${number}`)) number++
  const path = join(folder, `${name}.${number}`)
  const from = disk.open(join(directory, name), 'read')
  try {
    const to = disk.create(path)
    try {
      const block = Buffer.allocUnsafeSlow(COPY_BYTES)
      for (let at = 0, count = from.read(block, 0); count > 0; count = from.read(block, at)) {
        to.write([block.subarray(0, count)], at)
        at += count
      }
      to.sync()
    } finally {
      to.close()
    }
  } finally {
    from.close()
  }
  disk.syncDirectory(folder)
  return path
}

function write(disk: Disk, path: string, directory: string, plan: RebuildPlan, source: DiskFile | undefined): LostRange[] {
  const { name, first, previousUuid, lastTicks, cursors } = plan
  const tail = Tail.rebuild(disk, path, name, {
    directory, createdMs: name.createdMs, firstSequence: first, previousUuid, cursors, lastTicks, preallocateBytes: 0, maxBytes: 0,
  })
  try {
    const lost = fill(tail, plan, source)
    tail.sync()
    tail.seal()
    return lost
  } catch (error) {
    tail.abandon()
    throw error
  }
}

/** Writes what is sound, and what stands for the rest. */
function fill(tail: Tail, { name, first, last, lastTicks }: RebuildPlan, source: DiskFile | undefined): LostRange[] {
  const lost: LostRange[] = []
  const builder = new BatchBuilder(tail, first, lastTicks)
  const miss = (upTo: number): void => {
    if (upTo < builder.next) return
    lost.push({ first: builder.next, last: upTo })
    builder.add({ kind: 'gap', first: builder.next, last: upTo })
  }
  let newest: readonly Cursor[] | undefined
  if (source !== undefined) {
    for (const piece of walkSound({ file: source, fileBytes: source.size(), uuid: name.uuid }, first, last)) {
      if (piece.kind === 'cursors') {
        newest = piece.cursors
        continue
      }
      // What precedes all that was known before cannot follow it.
      if (piece.kind === 'entry' && piece.ticks < lastTicks) continue
      miss(piece.first - 1)
      builder.add(piece)
    }
  }
  miss(last)
  builder.flush()
  if (newest !== undefined) tail.mark(tail.durableMark, newest)
  return lost
}

type Held = Exclude<SoundPiece, { readonly kind: 'cursors' }>

/** Gathers pieces into batches of the new segment. */
class BatchBuilder {
  readonly #tail: Tail
  #pieces: Held[] = []
  #bytes = 0
  #lastTicks: bigint
  next: number

  constructor(tail: Tail, next: number, lastTicks: bigint) {
    this.#tail = tail
    this.next = next
    this.#lastTicks = lastTicks
  }

  add(piece: Held): void {
    this.#pieces.push(piece)
    this.#bytes += piece.kind === 'entry' ? piece.frame.length : 0
    this.next = piece.last + 1
    if (this.#bytes >= BATCH_BYTES) this.flush()
  }

  flush(): void {
    if (this.#pieces.length === 0) return
    const buffers: Uint8Array[] = []
    const marks: { sequence: number; ticks: bigint; batchOffset: number }[] = []
    let bytes = 0
    for (const piece of this.#pieces) {
      if (piece.kind === 'entry') {
        this.#lastTicks = piece.ticks
        if (marks.length === 0 || bytes - marks.at(-1)!.batchOffset >= INDEX_INTERVAL_BYTES) marks.push({ sequence: piece.first, ticks: piece.ticks, batchOffset: bytes })
      }
      const base = tickBase(this.#lastTicks)
      const buffer = piece.kind === 'entry' ? piece.frame : encodeRange(piece.kind, piece.first, piece.last, relativeTicks(this.#lastTicks, base), base)
      buffers.push(buffer)
      bytes += buffer.length
    }
    const entries = this.#pieces.filter((piece) => piece.kind === 'entry')
    const batch: TailBatch = {
      bytes, marks, firstSequence: this.#pieces[0]!.first, lastSequence: this.#pieces.at(-1)!.last, entryCount: entries.length,
      firstTicks: entries.at(0)?.ticks ?? 0n, lastTicks: entries.at(-1)?.ticks ?? 0n,
    }
    this.#tail.write(buffers, batch, this.#tail.lastSequence, undefined)
    this.#pieces = []
    this.#bytes = 0
  }
}
