/** Reading a file's next block while the one before is handed out: in a sealed segment, whose bytes no longer change. */

import type { DiskFile } from '../disk/disk.js'
import { WINDOW_BYTES, type FrameWindow } from './frame-window.js'

/** Room before what is read, for the frame that the block before ends in. Memory only as far as it is used. */
const ROOM_BYTES = 64 * 1024

/** One block ahead of a window, from the third block on: who wants little does not cause more to be read. */
export class ReadAhead {
  readonly #file: DiskFile
  #reading: { readonly offset: number; readonly bytes: Buffer; readonly count: Promise<number> } | undefined
  #isSecond = false
  /** What was read could not be used: frames are too large for this. */
  #isVain = false

  constructor(file: DiskFile) {
    this.#file = file
  }

  /** The window's block was read: begins to read what is behind it, if there is more. */
  next(window: FrameWindow): void {
    const offset = window.readOffset
    const left = window.fileBytes - offset
    if (this.#isSecond && !this.#isVain && left > 0) {
      const bytes = Buffer.allocUnsafeSlow(ROOM_BYTES + Math.min(left, WINDOW_BYTES))
      const count = this.#file.readAsync(bytes.subarray(ROOM_BYTES), offset)
      // An error is for who waits for these bytes; maybe nobody does.
      count.catch(() => undefined)
      this.#reading = { offset, bytes, count }
    }
    this.#isSecond = true
  }

  /** Has the window go on with what was read; false if there is nothing that follows on it. */
  async fill(window: FrameWindow): Promise<boolean> {
    const reading = this.#reading
    if (reading === undefined) return false
    this.#reading = undefined
    const count = await reading.count
    this.#isVain = !(count > 0 && reading.offset === window.readOffset && window.adopt(reading.bytes, ROOM_BYTES, count))
    return !this.#isVain
  }

  /** Closes the file, once nothing is read from it: its number may be another file's a moment later. */
  close(): void {
    if (this.#reading === undefined) return this.#file.close()
    // Nobody is there any more to be told of an error; a file that was only read has nothing to lose.
    void this.#reading.count.catch(() => undefined).then(() => this.#file.close()).catch(() => undefined)
  }
}
