/**
 * Entries between the call and the claim. Everything that can fail (types, sizes, encoding) happens here; after it
 * nothing of the caller's can run.
 */

import { outOfRange, wrongType } from '../errors.js'
import { FRAME_DATA, FRAME_OVERHEAD, sealFrame, writeFrameHeader } from '../format/frame-layout.js'
import type { Stretch } from '../ring/append.js'
import type { Claim } from '../ring/claim.js'
import { LogMessage } from './log-message.js'

/** What an entry may be given as. */
export type EntryData = string | ArrayBufferView | LogMessage

/** Limits of one append. */
export interface StagingLimits {
  readonly maxEntryBytes: number
  /** Bytes of all frames of a group. */
  readonly maxStretchBytes: number
  readonly maxGroupEntries: number
  /** The high word that ticks count from. */
  readonly tickBase: number
}

/** Strings are encoded here first when they are sure to fit: it takes less time than measuring them. */
const SCRATCH_BYTES = 64 * 1024
/** Below this, copying words beats making a view for `set`. */
const WORD_COPY_BYTES = 256
const encoder = new TextEncoder()
/** One a thread: a stretch is staged and appended without anything between. */
const scratch = new Uint8Array(SCRATCH_BYTES)
const scratchView = new DataView(scratch.buffer)

/** The staging area of one producer. Holds one stretch at a time. */
export class Staging implements Stretch {
  bytes = 0
  count = 0
  readonly #limits: StagingLimits
  /** For each entry: its bytes, or a string too long for the scratch. */
  readonly #sources: (Uint8Array | string)[] = []
  readonly #starts: number[] = []
  readonly #lengths: number[] = []
  #scratchUsed = 0

  constructor(limits: StagingLimits) {
    this.#limits = limits
  }

  /** Stages one entry. Throws `TypeError` or `RangeError`. */
  stage(data: EntryData): this {
    this.count = 0
    this.bytes = 0
    this.#scratchUsed = 0
    this.#add(data, 'data')
    return this
  }

  /** Stages a group. Throws `TypeError` or `RangeError`. */
  stageGroup(entries: readonly EntryData[]): this {
    const { maxGroupEntries, maxStretchBytes } = this.#limits
    if (!Array.isArray(entries)) throw wrongType('entries', 'an array of entries', entries)
    if (entries.length === 0 || entries.length > maxGroupEntries) {
      throw outOfRange('entries.length', `from 1 to ${maxGroupEntries} (half of ringSlots)`, entries.length)
    }
    this.count = 0
    this.bytes = 0
    this.#scratchUsed = 0
    const { length } = entries
    for (let index = 0; index < length; index++) this.#add(entries[index]!, `entries[${index}]`)
    if (length > 1 && this.bytes > maxStretchBytes) {
      throw outOfRange('entries', `at most ${maxStretchBytes} bytes in all, ${FRAME_OVERHEAD} for each entry included`, this.bytes)
    }
    return this
  }

  #add(data: EntryData, name: string): void {
    const index = this.count
    let source: Uint8Array | string
    let start = 0
    let length: number
    if (typeof data === 'string') {
      if (data.length * 3 <= SCRATCH_BYTES - this.#scratchUsed) {
        source = scratch
        start = this.#scratchUsed
        length = encoder.encodeInto(data, start === 0 ? scratch : scratch.subarray(start)).written
        this.#scratchUsed += length
      } else {
        source = data
        length = Buffer.byteLength(data)
      }
    } else {
      const view = data instanceof LogMessage ? data.bytes : data
      if (!ArrayBuffer.isView(view)) throw wrongType(name, 'a string, a Buffer, a TypedArray, a DataView or a LogMessage', data)
      // A view of our own: of fixed length, whatever the caller's class or buffer may do.
      source = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
      length = source.length
    }
    if (length > this.#limits.maxEntryBytes) throw outOfRange(name, `at most ${this.#limits.maxEntryBytes} bytes (maxEntryBytes)`, length)
    this.#sources[index] = source
    this.#starts[index] = start
    this.#lengths[index] = length
    this.count = index + 1
    this.bytes += FRAME_OVERHEAD + length
  }

  fill(target: Uint8Array, view: DataView, offset: number, claim: Claim): void {
    let at = offset
    for (let index = 0; index < this.count; index++) {
      const length = this.#lengths[index]!
      writeFrameHeader(view, at, length, claim.sequence + index, claim.ticks, this.#limits.tickBase)
      this.#copy(index, target, view, at + FRAME_DATA)
      sealFrame(target, view, at, length)
      at += FRAME_OVERHEAD + length
    }
  }

  #copy(index: number, target: Uint8Array, view: DataView, to: number): void {
    const source = this.#sources[index]!
    const length = this.#lengths[index]!
    if (source === scratch) {
      const start = this.#starts[index]!
      if (length > WORD_COPY_BYTES) target.set(source.subarray(start, start + length), to)
      else copyWords(scratchView, start, view, to, length)
    } else if (typeof source === 'string') {
      const written = (target as Buffer).write(source, to, length, 'utf8')
      if (written !== length) throw new RangeError(`text of ${length} bytes was encoded as ${written}`)
    } else {
      target.set(source, to)
    }
    // The caller's memory must not be kept alive by a staging area at rest.
    if (source !== scratch) this.#sources[index] = scratch
  }

  /** A copy that stays as it is when this one is used again. */
  snapshot(): Stretch {
    const copy = new Staging(this.#limits)
    for (let index = 0; index < this.count; index++) {
      const source = this.#sources[index]!
      const start = this.#starts[index]!
      copy.#add(typeof source === 'string' ? Buffer.from(source) : source.slice(start, start + this.#lengths[index]!), 'data')
    }
    return copy
  }
}

function copyWords(from: DataView, start: number, to: DataView, offset: number, length: number): void {
  let done = 0
  for (; done + 4 <= length; done += 4) to.setInt32(offset + done, from.getInt32(start + done, true), true)
  for (; done < length; done++) to.setUint8(offset + done, from.getUint8(start + done))
}
