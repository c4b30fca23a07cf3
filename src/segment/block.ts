/** Bytes of a file that were read together, shared by all entries in them. */

/** Text is made of so many bytes at once, and handed out in slices: 17 ns for 100 bytes, where a call into the decoder takes 70. Larger strings are slow to make. */
const PAGE_BITS = 15
const PAGE_BYTES = 2 ** PAGE_BITS
/** Longer ones are decoded on their own: the call counts for less, and fewer lie within one page. */
const MAX_SLICE_BYTES = 1024

/** The bytes of a block, and text of them. They are written once: what is handed out stays as it is. */
export class Block {
  readonly bytes: Buffer
  readonly view: DataView
  /** How many have been read as yet. */
  filledBytes: number
  #page = ''
  #pageNumber = -1
  #askedNumber = -1

  constructor(bytes: Buffer, filledBytes: number) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.filledBytes = filledBytes
  }

  /** The bytes from `start` to `end`, which have been read, as UTF-8 text. */
  text(start: number, end: number): string {
    const number = start >>> PAGE_BITS
    if (end - start > MAX_SLICE_BYTES || (end - 1) >>> PAGE_BITS !== number || !this.#isAscii(start, end)) return this.bytes.toString('utf8', start, end)
    const pageStart = number << PAGE_BITS
    if (number !== this.#pageNumber || end - pageStart > this.#page.length) {
      // Of one entry alone the rest of its page would be made for nothing.
      if (number !== this.#askedNumber) {
        this.#askedNumber = number
        return this.bytes.toString('latin1', start, end)
      }
      this.#page = this.bytes.toString('latin1', pageStart, Math.min(pageStart + PAGE_BYTES, this.filledBytes))
      this.#pageNumber = number
    }
    return this.#page.slice(start - pageStart, end - pageStart)
  }

  #isAscii(start: number, end: number): boolean {
    const { view } = this
    let bits = 0
    let at = start
    for (; end - at >= 16; at += 16) {
      bits |= view.getInt32(at, true) | view.getInt32(at + 4, true) | view.getInt32(at + 8, true) | view.getInt32(at + 12, true)
    }
    for (; end - at >= 4; at += 4) bits |= view.getInt32(at, true)
    for (; at < end; at++) bits |= view.getInt8(at)
    return (bits & 0x80808080) === 0
  }
}
