/** Bugs for `fuzzing`: what hostile bytes may say is believed before it is checked. */

import type { SeededBug } from './seeded-bug.js'

const caughtBy = 'fuzzing'

/** All of them. */
export const BUGS: readonly SeededBug[] = [
  {
    name: "a frame's length is trusted before it is compared with what is left", caughtBy,
    patches: [{ file: 'format/frame-layout.js', from: 'dataBytes < 0 || dataBytes > MAX_FRAME_DATA_BYTES || dataBytes > left - FRAME_OVERHEAD', to: 'dataBytes < 0' },
      { file: 'segment/frame-window.js', from: 'Math.min(left, Math.max(this.#chunkBytes, frameBytes))', to: 'Math.max(this.#chunkBytes, frameBytes)' }],
  },
  {
    name: "a frame's length may be negative", caughtBy,
    patches: [{ file: 'format/frame-layout.js', from: 'dataBytes < 0 || dataBytes > MAX', to: 'dataBytes > MAX' }],
  },
  {
    name: 'an index may be larger than its file', caughtBy,
    patches: [{ file: 'segment/sealed-index.js', from: 'size < MIN_INDEX_FRAME_BYTES || size > fileBytes - SEGMENT_HEADER_BYTES', to: 'size < MIN_INDEX_FRAME_BYTES' }],
  },
  {
    name: 'an index may count more entries than it has', caughtBy,
    patches: [{ file: 'format/index-layout.js', from: 'if (FRAME_OVERHEAD + ENTRIES + count * ENTRY_BYTES + FOOTER_BYTES !== size)', to: 'if (false)' }],
  },
  {
    name: "a cursor's name may be longer than its trailer", caughtBy,
    patches: [{ file: 'format/trailer-layout.js', from: 'nameBytes > MAX_CURSOR_NAME_BYTES || to - at < CURSOR_OVERHEAD + nameBytes', to: 'nameBytes > 65535' }],
  },
  {
    name: 'a name of a consumer may be no UTF-8', caughtBy,
    patches: [{ file: 'format/trailer-layout.js', from: 'if (!isUtf8(name))', to: 'if (false)' }],
  },
  {
    name: 'a description of a dead letter may reach beyond its entry', caughtBy,
    patches: [{ file: 'queue/dead-letter-layout.js', from: 'if (length > bytes.length - DESCRIPTION)', to: 'if (false)' }],
  },
  {
    name: 'a dead letter whose description is no JSON is an error', caughtBy,
    patches: [{ file: 'queue/dead-letter-layout.js', from: 'return undefined; // Any bytes may stand there.', to: "throw new Error('no JSON');" }],
  },
  {
    name: 'an entry that tells of a file may say null', caughtBy,
    patches: [{ file: 'log/entry-file.js', from: '} = info ?? {};', to: '} = info;' }],
  },
  {
    name: 'numbers beyond 2^53 are rounded', caughtBy,
    patches: [{ file: 'format/integers.js', from: 'high > 0x1fffff ? Number.NaN :', to: '' }],
  },
  {
    name: 'a header may end before it begins', caughtBy,
    patches: [{ file: 'format/segment-layout.js', from: 'header.firstSequence >= 1 && header.lastSequence >= header.firstSequence - 1', to: 'true' }],
  },
]
