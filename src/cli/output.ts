/** Writing to stdout: with back-pressure, and until nobody reads any more. */

import { CommandError } from './command-error.js'

const CLOSED = new Set(['EPIPE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'])

/** One stream of output. A reader that goes away (`| head`) is no error: there is just nothing more to be written. */
export class Output {
  readonly #stream: NodeJS.WritableStream
  #isClosed = false

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream
    // What a write failed with comes to its callback; without a listener it would also end the process.
    stream.on('error', () => undefined)
  }

  /** Resolves when the stream has taken the bytes: true, or false when nobody reads any more. */
  async write(data: string | Uint8Array): Promise<boolean> {
    if (this.#isClosed) return false
    if (data.length === 0) return true
    const error = await new Promise<Error | null | undefined>((resolve) => this.#stream.write(data, resolve))
    if (error === null || error === undefined) return true
    if (!CLOSED.has((error as NodeJS.ErrnoException).code ?? '')) throw new CommandError(`cannot write: ${error.message}`, undefined, error)
    this.#isClosed = true
    return false
  }

  async line(text: string): Promise<boolean> {
    return await this.write(`${text}\n`)
  }
}
