/** Segments as an unclean stop leaves them: made with the library's own tail, and never closed. */

import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { FRAME_OVERHEAD, sealFrame, writeFrameHeader } from '../../dist/src/format/frame-layout.js'
import { absoluteTicks } from '../../dist/src/format/ticks.js'
import type { Cursor } from '../../dist/src/format/trailer-layout.js'
import { readLog } from '../../dist/src/index.js'
import { Tail, type TailBatch } from '../../dist/src/segment/tail.js'

const TICK_BASE = 148_849_000
const FIRST_MS = 1_700_000_000_000
/** Letters of each entry. */
const ENTRY_LETTERS = 60

/** One segment that was made. */
export interface MadeSegment {
  readonly path: string
  readonly uuid: Uint8Array
  readonly firstSequence: number
  readonly lastSequence: number
  /** File offset behind the first trailer, then behind each batch. */
  readonly ends: readonly number[]
}

/** What to make. */
export interface SegmentPlan {
  /** Entries of each batch. */
  readonly batches: readonly number[]
  /** Whether the trailers say that the batches before are durable; false: no mark at all, as under `'manual'`. Default true. */
  readonly marks?: boolean
  /** Whether a last trailer says that all is durable. Default false. */
  readonly settle?: boolean
  readonly seal?: boolean
  /** Carried by the last batch's trailer. */
  readonly cursors?: readonly Cursor[]
  readonly preallocateBytes?: number
  /** The segment before, if it is not the last one made. */
  readonly previous?: MadeSegment
}

/** Makes segments in one directory, one after the other. */
export class SegmentMaker {
  readonly directory: string
  readonly made: MadeSegment[] = []

  constructor(directory: string) {
    this.directory = directory
  }

  make(plan: SegmentPlan): MadeSegment {
    const previous = plan.previous ?? this.made.at(-1)
    const firstSequence = (previous?.lastSequence ?? 0) + 1
    const tail = Tail.create(nodeDisk, {
      directory: this.directory, createdMs: FIRST_MS + this.made.length, firstSequence, previousUuid: previous?.uuid ?? new Uint8Array(16), cursors: [],
      lastTicks: absoluteTicks(firstSequence, TICK_BASE), preallocateBytes: plan.preallocateBytes ?? 0, maxBytes: 1 << 20,
    })
    const ends = [tail.endOffset]
    let last = firstSequence - 1
    for (const [number, count] of plan.batches.entries()) {
      const cursors = number === plan.batches.length - 1 ? plan.cursors : undefined
      tail.write(...batchOf(last + 1, count), plan.marks === false ? firstSequence - 1 : last, cursors)
      last += count
      ends.push(tail.endOffset)
    }
    if (plan.settle === true) tail.mark(last, undefined)
    if (plan.settle === true) ends.push(tail.endOffset)
    if (plan.seal === true) tail.seal()
    else tail.abandon()
    const segment = { path: join(this.directory, tail.name.name), uuid: tail.name.uuid, firstSequence, lastSequence: last, ends }
    this.made.push(segment)
    return segment
  }
}

/** The text of an entry. */
export function textOf(sequence: number): string {
  return `entry ${sequence} `.padEnd(ENTRY_LETTERS, '·')
}

function batchOf(first: number, count: number): [Uint8Array[], TailBatch] {
  const frames = Array.from({ length: count }, (_, index) => frameOf(first + index))
  return [frames, {
    bytes: frames.reduce((sum, frame) => sum + frame.length, 0), firstSequence: first, lastSequence: first + count - 1, entryCount: count,
    firstTicks: absoluteTicks(first, TICK_BASE), lastTicks: absoluteTicks(first + count - 1, TICK_BASE),
    marks: [{ sequence: first, ticks: absoluteTicks(first, TICK_BASE), batchOffset: 0 }],
  }]
}

/** The bytes of an entry's frame. */
export function frameOf(sequence: number): Uint8Array {
  const data = Buffer.from(textOf(sequence))
  const bytes = new Uint8Array(FRAME_OVERHEAD + data.length)
  const view = new DataView(bytes.buffer)
  writeFrameHeader(view, 0, data.length, sequence, sequence, TICK_BASE)
  bytes.set(data, 24)
  sealFrame(bytes, view, 0, data.length)
  return bytes
}

/** Changes a file's bytes in place, whatever its mode. */
export function damage(path: string, change: (bytes: Buffer) => Buffer | void): void {
  const bytes = readFileSync(path)
  chmodSync(path, 0o600)
  writeFileSync(path, change(bytes) ?? bytes)
}

/** Changes one bit. */
export function flip(path: string, offset: number): void {
  damage(path, (bytes) => {
    bytes[offset]! ^= 0x10
  })
}

/** Every file of a directory and its bytes: to see that nothing was changed. */
export function imageOf(directory: string): Record<string, string> {
  return Object.fromEntries(readdirSync(directory).sort().map((name) => [name, readFileSync(join(directory, name), 'hex')]))
}

/** The sequences that reading gives, each entry's text compared. */
export async function readSequences(directory: string): Promise<number[]> {
  const sequences: number[] = []
  for await (const entry of readLog(directory)) {
    if (entry.text() !== textOf(entry.sequence)) throw new Error(`entry ${entry.sequence} reads ${entry.text()}`)
    sequences.push(entry.sequence)
  }
  return sequences
}

/** 1 to `last`. */
export function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1)
}
