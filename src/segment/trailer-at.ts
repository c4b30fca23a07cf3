/** Reading one frame, or one trailer, where it should stand. */

import type { DiskFile } from '../disk/disk.js'
import { controlKind } from '../format/control-layout.js'
import { decodeTrailer, type Trailer } from '../format/trailer-layout.js'
import { checkBlocking, FRAME_READ_BYTES, FrameWindow } from './frame-window.js'

/** A valid frame of `size` bytes, at the window's `at`. */
export interface FrameAt {
  readonly window: FrameWindow
  readonly size: number
}

/** The frame at `offset`; undefined when there is no valid one. */
export function readFrameAt(file: DiskFile, fileBytes: number, offset: number): FrameAt | undefined {
  const window = new FrameWindow(offset, fileBytes, FRAME_READ_BYTES)
  const size = checkBlocking(window, file)
  return typeof size === 'number' ? { window, size } : undefined
}

/** The trailer that the frame is, valid by itself; undefined when it is none of this segment. */
export function trailerIn(frame: FrameAt | undefined, uuid: Uint8Array): Trailer | undefined {
  if (frame === undefined) return undefined
  const { window: { bytes, view, at, offset }, size } = frame
  return controlKind(view, at, size) === 'trailer' ? decodeTrailer(bytes, view, at, size, offset, uuid) : undefined
}

/** The trailer at `offset`, valid by itself; undefined when there is none. */
export function readTrailerAt(file: DiskFile, fileBytes: number, offset: number, uuid: Uint8Array): Trailer | undefined {
  return trailerIn(readFrameAt(file, fileBytes, offset), uuid)
}
