/** Lines out of chunks, as bytes: a character that two chunks share is never decoded, so never broken. */

import { CommandError } from './command-error.js'

const NEWLINE = 10

/** Splits at newlines, which are taken off. Holds at most one unfinished line. */
export class LineSplitter {
  readonly #maxLineBytes: number
  #held: Buffer[] = []
  #heldBytes = 0
  #count = 0

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes
  }

  /** The lines that end in this chunk. They share its memory. Throws on a line longer than `maxLineBytes`; see {@link rest}. */
  *split(chunk: Buffer): Generator<Buffer, void, undefined> {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#hold(chunk.subarray(start, end))
      start = end + 1
      yield this.#take()
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start))
  }

  /** The last line, if it had no newline. */
  rest(): Buffer | undefined {
    return this.#heldBytes === 0 ? undefined : this.#take()
  }

  #hold(part: Buffer): void {
    this.#heldBytes += part.length
    if (this.#heldBytes > this.#maxLineBytes) throw new CommandError(`line ${this.#count + 1} is longer than ${this.#maxLineBytes} bytes (--max-entry-bytes)`)
    this.#held.push(part)
  }

  #take(): Buffer {
    const line = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held, this.#heldBytes)
    this.#held = []
    this.#heldBytes = 0
    this.#count++
    return line
  }
}
