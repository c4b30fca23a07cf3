/** A growable, reusable buffer to build one entry in. */

import { outOfRange, wrongType } from '../errors.js'

const FIRST_BYTES = 256

/**
 * A growable, reusable buffer to build one entry in, without garbage on the way.
 * Belongs to one thread. `append` copies it, so it may be reset and used again at once.
 *
 * ```ts
 * const message = new LogMessage()
 * message.json({ level: 'info' }); log.append(message); message.reset()
 * ```
 */
export class LogMessage {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #length = 0

  /**
   * The bytes of what is really a message, whatever a subclass or a proxy may say; undefined of anything else. Runs no code of the caller's.
   * No Buffer: the `slice` of one would not copy.
   */
  static bytesOf(value: object): Uint8Array | undefined {
    return #buffer in value ? new Uint8Array(value.#buffer.buffer, value.#buffer.byteOffset, value.#length) : undefined
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length
  }

  /** What was written so far: a view that is valid until the next call that writes. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** At least `bytes` of free space behind what was written; fill it and call {@link advance}. Valid until the next call that writes. */
  getSpan(bytes: number): Buffer {
    if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > 2 ** 30) throw outOfRange('bytes', 'an integer from 0 to 2^30', bytes)
    this.#reserve(bytes)
    return this.#buffer.subarray(this.#length)
  }

  /** Counts `bytes` of the last {@link getSpan} as written. */
  advance(bytes: number): void {
    const free = this.#buffer.length - this.#length
    if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > free) throw outOfRange('bytes', `an integer from 0 to ${free}`, bytes)
    this.#length += bytes
  }

  /** Writes text (UTF-8) or bytes. */
  write(data: string | Uint8Array): this {
    if (typeof data === 'string') {
      // At most three bytes for each UTF-16 unit.
      this.#reserve(data.length <= 1024 ? data.length * 3 : Buffer.byteLength(data))
      this.#length += this.#buffer.write(data, this.#length)
    } else if (data instanceof Uint8Array) {
      this.#reserve(data.length)
      this.#buffer.set(data, this.#length)
      this.#length += data.length
    } else {
      throw wrongType('data', 'a string or a Uint8Array', data)
    }
    return this
  }

  /** Writes a value as JSON. Throws what `JSON.stringify` throws, having written nothing. */
  json(value: unknown): this {
    const text = JSON.stringify(value) as string | undefined
    if (text === undefined) throw wrongType('value', 'something that JSON can express', value)
    return this.write(text)
  }

  /** Forgets what was written; keeps the memory. */
  reset(): this {
    this.#length = 0
    return this
  }

  #reserve(bytes: number): void {
    const wanted = this.#length + bytes
    if (wanted <= this.#buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#buffer.length))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}
