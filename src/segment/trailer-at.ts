/** Reading one trailer where it should stand. */

import type { DiskFile } from '../disk/disk.js'
import { controlKind } from '../format/control-layout.js'
import { decodeTrailer, type Trailer } from '../format/trailer-layout.js'
import { checkBlocking, FRAME_READ_BYTES, FrameWindow } from './frame-window.js'

/** The trailer at `offset`, valid by itself; undefined when there is none. */
export function readTrailerAt(file: DiskFile, fileBytes: number, offset: number, uuid: Uint8Array): Trailer | undefined {
  const window = new FrameWindow(offset, fileBytes, FRAME_READ_BYTES)
  const size = checkBlocking(window, file)
  if (typeof size !== 'number' || controlKind(window.view, window.at, size) !== 'trailer') return undefined
  return decodeTrailer(window.bytes, window.view, window.at, size, offset, uuid)
}
