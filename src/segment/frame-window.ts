/**
 * A window over the frames of a file: finds and checks one frame after the other in whatever part of the file is in
 * memory, and says what must be read next. Reading itself, blocking or not, is the caller's.
 *
 * Buffers are never reused, so that what was handed out stays as it is.
 */

import type { DiskFile } from '../disk/disk.js'
import { checkFrame, FRAME_LENGTH, FRAME_OVERHEAD, soundRun, type FrameFault } from '../format/frame-layout.js'
import { Block } from './block.js'
import type { ReadAhead } from './read-ahead.js'

/** Bytes read at a time. */
export const WINDOW_BYTES = 256 * 1024
/** Bytes read where one frame is wanted, most often a short one. */
export const FRAME_READ_BYTES = 1024

/** The window. `block` and `at` tell of the frame that the last successful {@link FrameWindow.check} found. */
export class FrameWindow {
  block = new Block(Buffer.alloc(0), 0)
  /** Index in the block of the frame in question. */
  at = 0
  /** Bytes of the file; frames beyond are not looked for. */
  fileBytes: number
  /** Index in the block up to which frames were found to be valid together. */
  #soundTo = 0
  #isRunChecked = true
  /** File offset of the block. */
  #base: number
  readonly #chunkBytes: number

  constructor(offset: number, fileBytes: number, chunkBytes = WINDOW_BYTES) {
    this.#base = offset
    this.fileBytes = fileBytes
    this.#chunkBytes = chunkBytes
  }

  get bytes(): Buffer {
    return this.block.bytes
  }

  get view(): DataView {
    return this.block.view
  }

  /** File offset of the frame in question. */
  get offset(): number {
    return this.#base + this.at
  }

  /** The size of the checked frame at {@link at}, the fault there, or `'more'`: read, see {@link room}. */
  check(): number | FrameFault | 'more' {
    const { block, at } = this
    if (!this.#isRunChecked) {
      this.#isRunChecked = true
      this.#soundTo = at + soundRun(block.bytes, block.view, at, block.filledBytes)
    }
    if (at < this.#soundTo) return FRAME_OVERHEAD + block.view.getInt32(at + FRAME_LENGTH, true)
    const left = this.fileBytes - this.offset
    const result = checkFrame(block.bytes, block.view, at, block.filledBytes, left)
    return result === 'short' && block.filledBytes - at < left ? 'more' : result
  }

  /** Moves behind a frame of `size` bytes. */
  advance(size: number): void {
    this.at += size
  }

  /** The buffer to be filled from {@link readOffset} on, as far as the file reaches. */
  room(): Uint8Array {
    const { block, at } = this
    const held = block.filledBytes - at
    const left = this.fileBytes - this.offset
    // Checked against what is left by checkFrame before; a frame larger than a chunk is read in one piece.
    const frameBytes = held >= 8 ? FRAME_OVERHEAD + block.view.getInt32(at + FRAME_LENGTH, true) : 0
    const wanted = Math.min(left, Math.max(this.#chunkBytes, frameBytes))
    if (block.bytes.length - at < wanted) {
      const next = Buffer.allocUnsafe(wanted)
      block.bytes.copy(next, 0, at, block.filledBytes)
      this.#take(new Block(next, held))
    }
    return this.bytes.subarray(this.block.filledBytes, Math.min(this.bytes.length, this.at + left))
  }

  get readOffset(): number {
    return this.#base + this.block.filledBytes
  }

  /** `count` bytes were read into {@link room}. */
  filled(count: number): void {
    this.block.filledBytes += count
    // Of one frame alone the others' checksums are of no interest.
    this.#isRunChecked = this.#chunkBytes <= FRAME_READ_BYTES
  }

  /** Goes on with a block in which `count` bytes were read from {@link readOffset} on, with room for what is held before them. False if that is too little. */
  adopt(bytes: Buffer, room: number, count: number): boolean {
    const { block, at } = this
    const held = block.filledBytes - at
    if (held > room) return false
    const next = bytes.subarray(room - held)
    block.bytes.copy(next, 0, at, block.filledBytes)
    this.#take(new Block(next, held))
    this.filled(count)
    return true
  }

  /** Forgets what was read behind the frame in question, to look again at what may have been written since. */
  forget(): void {
    this.#take(new Block(Buffer.alloc(0), 0))
  }

  /** Goes on with a block that begins with the frame in question. */
  #take(block: Block): void {
    this.#base += this.at
    this.at = 0
    this.#soundTo = 0
    this.block = block
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

/** {@link FrameWindow.check}, reading as needed without blocking; `ahead` of what is needed, if given. */
export async function checkAsync(window: FrameWindow, file: DiskFile, ahead?: ReadAhead): Promise<number | FrameFault> {
  for (;;) {
    const result = window.check()
    if (result !== 'more') return result
    if (ahead === undefined || !(await ahead.fill(window))) {
      const count = await file.readAsync(window.room(), window.readOffset)
      if (count === 0) return 'short'
      window.filled(count)
    }
    ahead?.next(window)
  }
}
