/** One entry as it is read. */

import { decodeFileInfo, EntryFile } from './entry-file.js'
import { FRAME_DATA, FRAME_OVERHEAD, frameMs, frameTicks } from '../format/frame-layout.js'
import { Block } from '../segment/block.js'

/**
 * One entry of the log. It is the reader's to keep. Its bytes lie in the block that was read with it (some 256 KiB, or the entry
 * if that is larger), which stays in memory as long as any entry of it does: copy `data` to keep a few of many.
 */
export class LogEntry {
  /** Its number: from 1, ascending. */
  readonly sequence: number
  #block: Block
  #offset: number
  readonly #size: number
  readonly #directory: string
  #data: Buffer | undefined

  /** `block` holds a checked frame of `size` bytes at `offset`, of the log in `directory`. */
  constructor(sequence: number, block: Block, offset: number, size: number, directory: string) {
    this.sequence = sequence
    this.#block = block
    this.#offset = offset
    this.#size = size
    this.#directory = directory
  }

  /** Has the entries keep their own bytes, together, instead of the blocks that they were read in. What was taken of them before stays as it is. */
  static compact(entries: readonly LogEntry[]): void {
    const bytes = entries.reduce((sum, entry) => sum + entry.#size, 0)
    const block = new Block(Buffer.allocUnsafeSlow(bytes), bytes)
    let offset = 0
    for (const entry of entries) {
      entry.#block.bytes.copy(block.bytes, offset, entry.#offset, entry.#offset + entry.#size)
      entry.#block = block
      entry.#offset = offset
      entry.#data = undefined
      offset += entry.#size
    }
  }

  /** When it was appended, in whole milliseconds since 1970. Never falls along the sequence. */
  get timestamp(): number {
    return frameMs(this.#block.view, this.#offset)
  }

  /** When it was appended, in ticks of 100 ns since 0001-01-01T00:00:00Z. */
  get ticks(): bigint {
    return frameTicks(this.#block.view, this.#offset)
  }

  /** How many bytes it has. */
  get bytes(): number {
    return this.#size - FRAME_OVERHEAD
  }

  /** Its bytes. */
  get data(): Buffer {
    const start = this.#offset + FRAME_DATA
    this.#data ??= this.#block.bytes.subarray(start, start + this.#size - FRAME_OVERHEAD)
    return this.#data
  }

  /** The file that was uploaded with `appendFile`; undefined of any other entry. */
  get file(): EntryFile | undefined {
    const info = decodeFileInfo(this.data)
    return info && new EntryFile(info, this.#directory, this.sequence)
  }

  /** Its bytes as UTF-8 text. A short one may keep 32 KiB of its neighbours' text in memory, as a line of `node:readline` does. */
  text(): string {
    const start = this.#offset + FRAME_DATA
    return this.#block.text(start, start + this.#size - FRAME_OVERHEAD)
  }

  /** Its bytes as JSON. Throws what `JSON.parse` throws. */
  json(): unknown {
    return JSON.parse(this.text())
  }
}
