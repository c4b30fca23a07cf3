/** Logs on disk as the writer leaves them, made with the writer's own segments but without its thread. */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { FRAME_OVERHEAD, sealFrame, writeFrameHeader } from '../../dist/src/format/frame-layout.js'
import { relativeTicks, tickBase, ticksFromMs } from '../../dist/src/format/ticks.js'
import { Tail } from '../../dist/src/segment/tail.js'

const FIRST_MS = Date.UTC(2026, 0, 1)

/** What to write. */
export interface LogPlan {
  /** For each segment the number of entries of each batch. */
  readonly segments: readonly (readonly number[])[]
  /** Whether the last segment is left open, as a crash leaves it. */
  readonly isOpen?: boolean
  /** Whether the open tail ends with the mark that its last batch is durable. */
  readonly isSettled?: boolean
  readonly dataBytes?: number
  readonly preallocateBytes?: number
}

/** The data of an entry: its sequence, filled up to `bytes`. */
export function dataOf(sequence: number, bytes: number): Buffer {
  return Buffer.from(`entry ${sequence} `.padEnd(bytes, '.'))
}

/** The frame of an entry. */
export function frameOf(sequence: number, data: Uint8Array, ms: number): Buffer {
  const frame = Buffer.alloc(FRAME_OVERHEAD + data.length)
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  const base = tickBase(ticksFromMs(ms))
  writeFrameHeader(view, 0, data.length, sequence, relativeTicks(ticksFromMs(ms), base), base)
  frame.set(data, 24)
  sealFrame(frame, view, 0, data.length)
  return frame
}

/** Writes the log and returns the last sequence. */
export function writeLog(directory: string, plan: LogPlan): number {
  const { segments, isOpen = false, isSettled = true, dataBytes = 40, preallocateBytes = 8192 } = plan
  let sequence = 0
  let previousUuid: Uint8Array = new Uint8Array(16)
  for (const [number, batches] of segments.entries()) {
    const tail = Tail.create(nodeDisk, {
      directory, createdMs: FIRST_MS + number * 1000, firstSequence: sequence + 1, previousUuid, cursors: [],
      lastTicks: ticksFromMs(FIRST_MS + sequence), preallocateBytes, maxBytes: 1 << 30,
    })
    for (const count of batches) {
      writeBatch(tail, sequence, count, dataBytes)
      sequence += count
    }
    previousUuid = tail.name.uuid
    if (!isOpen || number < segments.length - 1) tail.seal()
    else {
      if (isSettled) tail.mark(sequence, undefined)
      tail.abandon()
    }
  }
  return sequence
}

/** Each batch says that the one before it is durable, as the writer's do. */
function writeBatch(tail: Tail, before: number, count: number, dataBytes: number): void {
  const frames = Array.from({ length: count }, (_, index) => frameOf(before + 1 + index, dataOf(before + 1 + index, dataBytes), FIRST_MS + before + 1 + index))
  let batchOffset = 0
  const marks = frames.map((frame, index) => {
    const mark = { sequence: before + 1 + index, ticks: ticksFromMs(FIRST_MS + before + 1 + index), batchOffset }
    batchOffset += frame.length
    return mark
  })
  tail.write(frames, {
    bytes: batchOffset, firstSequence: before + 1, lastSequence: before + count, entryCount: count,
    firstTicks: marks[0]!.ticks, lastTicks: marks.at(-1)!.ticks, marks,
  }, before, undefined)
}

/** The segment files of a directory, in order. */
export function segmentFiles(directory: string): string[] {
  return readdirSync(directory).filter((name) => name.endsWith('.wal')).sort().map((name) => join(directory, name))
}

/** The byte offset of the frame with that sequence. */
export function offsetOfEntry(file: string, sequence: number): number {
  const bytes = readFileSync(file)
  for (let at = bytes.indexOf('MSG!'); at >= 0; at = bytes.indexOf('MSG!', at + 1)) {
    if (Number(bytes.readBigUInt64LE(at + 8)) === sequence) return at
  }
  throw new Error(`entry ${sequence} is not in ${file}`)
}

export function sizeOf(file: string): number {
  return statSync(file).size
}
