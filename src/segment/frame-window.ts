/**
 * A window over the frames of a file: finds and checks one frame after the other in whatever part of the file is in
 * memory, and says what must be read next. Reading itself, blocking or not, is the caller's.
 *
 * Buffers are never reused, so that what was handed out stays as it is.
 */

import type { DiskFile } from '../disk/disk.js'
import { checkFrame, FRAME_LENGTH, FRAME_OVERHEAD, type FrameFault } from '../format/frame-layout.js'

/** Bytes read at a time. */
export const WINDOW_BYTES = 256 * 1024

/** The window. `bytes`, `view` and `at` describe the frame that the last successful {@link FrameWindow.check} found. */
export class FrameWindow {
  bytes: Buffer = Buffer.alloc(0)
  view: DataView = new DataView(new ArrayBuffer(0))
  /** Index in `bytes` of the frame in question. */
  at = 0
  /** Bytes of the file; frames beyond are not looked for. */
  fileBytes: number
  /** Index in `bytes` where what was read ends. */
  #end = 0
  /** File offset of `bytes[0]`. */
  #base: number
  readonly #chunkBytes: number

  constructor(offset: number, fileBytes: number, chunkBytes = WINDOW_BYTES) {
    this.#base = offset
    this.fileBytes = fileBytes
    this.#chunkBytes = chunkBytes
  }

  /** File offset of the frame in question. */
  get offset(): number {
    return this.#base + this.at
  }

  /** The size of the checked frame at {@link at}, the fault there, or `'more'`: read, see {@link room}. */
  check(): number | FrameFault | 'more' {
    const left = this.fileBytes - this.offset
    const result = checkFrame(this.bytes, this.view, this.at, this.#end, left)
    return result === 'short' && this.#end - this.at < left ? 'more' : result
  }

  /** Moves behind a frame of `size` bytes. */
  advance(size: number): void {
    this.at += size
  }

  /** The buffer to be filled from {@link readOffset} on, as far as the file reaches. */
  room(): Uint8Array {
    const held = this.#end - this.at
    const left = this.fileBytes - this.offset
    // Checked against what is left by checkFrame before; a frame larger than a chunk is read in one piece.
    const frameBytes = held >= 8 ? FRAME_OVERHEAD + this.view.getInt32(this.at + FRAME_LENGTH, true) : 0
    const wanted = Math.min(left, Math.max(this.#chunkBytes, frameBytes))
    if (this.bytes.length - this.at < wanted) {
      const next = Buffer.allocUnsafeSlow(wanted)
      this.bytes.copy(next, 0, this.at, this.#end)
      this.#base += this.at
      this.at = 0
      this.#end = held
      this.bytes = next
      this.view = new DataView(next.buffer, next.byteOffset, next.byteLength)
    }
    return this.bytes.subarray(this.#end, Math.min(this.bytes.length, this.at + left))
  }

  get readOffset(): number {
    return this.#base + this.#end
  }

  /** `count` bytes were read into {@link room}. */
  filled(count: number): void {
    this.#end += count
  }

  /** Forgets what was read behind the frame in question, to look again at what may have been written since. */
  forget(): void {
    this.#base += this.at
    this.at = 0
    this.#end = 0
    this.bytes = Buffer.alloc(0)
    this.view = new DataView(new ArrayBuffer(0))
  }
}

/** {@link FrameWindow.check}, reading as needed and blocking the thread. */
export function checkBlocking(window: FrameWindow, file: DiskFile): number | FrameFault {
  for (;;) {
    const result = window.check()
    if (result !== 'more') return result
    const count = file.read(window.room(), window.readOffset)
    if (count === 0) return 'short'
    window.filled(count)
  }
}

/** {@link FrameWindow.check}, reading as needed without blocking. */
export async function checkAsync(window: FrameWindow, file: DiskFile): Promise<number | FrameFault> {
  for (;;) {
    const result = window.check()
    if (result !== 'more') return result
    const count = await file.readAsync(window.room(), window.readOffset)
    if (count === 0) return 'short'
    window.filled(count)
  }
}
