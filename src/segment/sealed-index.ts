/** Reading back the sparse index that sealing leaves at a segment's end. */

import type { DiskFile } from '../disk/disk.js'
import { controlKind } from '../format/control-layout.js'
import { checkFrame, FRAME_MAGIC, frameSequence } from '../format/frame-layout.js'
import { decodeIndex, INDEX_FOOTER_BYTES, indexFrameBytes, MIN_INDEX_FRAME_BYTES, type SparseIndex } from '../format/index-layout.js'
import { SEGMENT_HEADER_BYTES } from '../format/segment-layout.js'

/** The index that ends a sealed segment's file; undefined when there is no valid one. */
export function readIndex(file: DiskFile, fileBytes: number, uuid: Uint8Array): SparseIndex | undefined {
  const footer = Buffer.alloc(INDEX_FOOTER_BYTES)
  if (fileBytes < SEGMENT_HEADER_BYTES + MIN_INDEX_FRAME_BYTES || file.read(footer, fileBytes - footer.length) < footer.length) return undefined
  const size = indexFrameBytes(footer)
  if (size < MIN_INDEX_FRAME_BYTES || size > fileBytes - SEGMENT_HEADER_BYTES) return undefined
  const offset = fileBytes - size
  const magic = Buffer.alloc(4)
  file.read(magic, offset)
  if (magic.readUInt32LE(0) !== FRAME_MAGIC) return undefined
  const bytes = Buffer.allocUnsafeSlow(size)
  // Less only if the file was cut short since its footer was read; not in any test.
  if (file.read(bytes, offset) < size) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, size)
  if (checkFrame(bytes, view, 0, size, size) !== size || frameSequence(view, 0) !== 0 || controlKind(view, 0, size) !== 'index') return undefined
  return decodeIndex(bytes, view, 0, size, offset, uuid)
}
