/**
 * Control frames: frames with sequence 0 whose data begins with four letters. This file holds what they share
 * and the two short ones; the batch trailer and the sparse index have files of their own.
 *
 * ```
 *  'ABT!'  sequences that a dead or failing producer held; they carry no entry
 *  'GAP!'  sequences that were lost and are accounted for by a salvage
 *  0–3 letters   4–11 first sequence, u64   12–19 last sequence, u64
 * ```
 *
 * Valid iff (1) the frame is valid and its sequence is 0; (2) the data is 20 bytes; (3) 1 <= first <= last.
 */

import { FRAME_DATA, FRAME_OVERHEAD, sealFrame, writeFrameHeader } from './frame-layout.js'
import { getUint64, setUint64 } from './integers.js'

/** The four letters, read as little-endian u32. */
export const CONTROL_KIND = {
  trailer: 0x21544d43, // CMT!
  aborted: 0x21544241, // ABT!
  gap: 0x21504147, // GAP!
  index: 0x21584449, // IDX!
} as const

/** The kinds of control frames. */
export type ControlKind = keyof typeof CONTROL_KIND

const KIND_BY_LETTERS = new Map<number, ControlKind>(Object.entries(CONTROL_KIND).map(([kind, letters]) => [letters, kind as ControlKind]))

const RANGE_FIRST = 4
const RANGE_LAST = 12
const RANGE_BYTES = 20

/** The bytes of an `ABT!` or `GAP!` frame. */
export const RANGE_FRAME_BYTES = FRAME_OVERHEAD + RANGE_BYTES

/** The kind of the control frame at `offset` with `size` bytes, or undefined when its letters are not known. */
export function controlKind(view: DataView, offset: number, size: number): ControlKind | undefined {
  if (size < FRAME_OVERHEAD + 4) return undefined
  return KIND_BY_LETTERS.get(view.getUint32(offset + FRAME_DATA, true))
}

/** A finished control frame around `dataBytes` of data, which `fill` writes from the given offset on. */
export function encodeControlFrame(
  kind: ControlKind, dataBytes: number, relativeTicks: number, tickBase: number, fill: (bytes: Uint8Array, view: DataView, offset: number) => void,
): Uint8Array {
  const bytes = new Uint8Array(FRAME_OVERHEAD + dataBytes)
  const view = new DataView(bytes.buffer)
  writeFrameHeader(view, 0, dataBytes, 0, relativeTicks, tickBase)
  view.setUint32(FRAME_DATA, CONTROL_KIND[kind], true)
  fill(bytes, view, FRAME_DATA)
  sealFrame(bytes, view, 0, dataBytes)
  return bytes
}

/** An `ABT!` or `GAP!` frame for the sequences first to last. */
export function encodeRange(kind: 'aborted' | 'gap', first: number, last: number, relativeTicks: number, tickBase: number): Uint8Array {
  return encodeControlFrame(kind, RANGE_BYTES, relativeTicks, tickBase, (_bytes, view, at) => {
    setUint64(view, at + RANGE_FIRST, first)
    setUint64(view, at + RANGE_LAST, last)
  })
}

/** First and last sequence of a checked `ABT!` or `GAP!` frame, or undefined when they are not sound. */
export function decodeRange(view: DataView, offset: number, size: number): { readonly first: number; readonly last: number } | undefined {
  if (size !== RANGE_FRAME_BYTES) return undefined
  const first = getUint64(view, offset + FRAME_DATA + RANGE_FIRST)
  const last = getUint64(view, offset + FRAME_DATA + RANGE_LAST)
  return first >= 1 && last >= first ? { first, last } : undefined
}
