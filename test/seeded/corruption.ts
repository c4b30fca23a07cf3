/** Bugs for `corruption`: damage that is believed, passed over or blamed on something else. */

import type { SeededBug } from './seeded-bug.js'

const caughtBy = 'corruption'

/** All of them. */
export const BUGS: readonly SeededBug[] = [
  {
    name: 'the checksum of a frame is not looked at', caughtBy,
    patches: [{ file: 'format/frame-layout.js', from: "=== view.getUint32(checksumAt, true) ? size : 'checksum'", to: "=== view.getUint32(checksumAt, true) ? size : size" }],
  },
  {
    name: 'the checksum of a header is not looked at', caughtBy,
    patches: [{ file: 'format/segment-layout.js', from: 'if (crc32(bytes, view, 0, CHECKSUM) !== view.getUint32(CHECKSUM, true))', to: 'if (false)' }],
  },
  {
    name: 'the durable marks of trailers behind damage prove nothing', caughtBy,
    patches: [{ file: 'recovery/verdict.js', from: 'segment.scan?.strayProof ?? 0', to: '0' }],
  },
  {
    name: 'a later segment does not prove the one before it', caughtBy,
    patches: [{ file: 'recovery/verdict.js', from: 'const proof = nextFirst - 1;', to: 'const proof = 0;' }],
  },
  {
    name: 'the index of a sealed segment is not looked at', caughtBy,
    patches: [
      { file: 'recovery/verdict.js', from: 'if (segment.sealed?.index === undefined)', to: 'if (false)' },
      { file: 'recovery/verdict.js', from: 'segment.sealed.index.cursorTrailerOffset', to: '(segment.sealed.index?.cursorTrailerOffset ?? 0)' },
    ],
  },
  {
    name: 'the size of a sealed segment is not looked at', caughtBy,
    patches: [{ file: 'recovery/verdict.js', from: 'if (segment.fileBytes !== header.bytes)', to: 'if (false)' }],
  },
  {
    name: 'a proved entry is cut with the torn tail', caughtBy,
    patches: [{ file: 'recovery/verdict.js', from: 'if (around.proof > scan.lastSequence)', to: 'if (around.proof > scan.lastSequence + 1)' }],
  },
  {
    name: 'a segment that is missing is passed over', caughtBy,
    patches: [{ file: 'recovery/verdict.js', within: 'checkPlace', from: 'if (first > lastSequence + 1)', to: 'if (false)' }],
  },
  {
    name: 'of two segments with the same sequences the later one counts', caughtBy,
    patches: [{ file: 'recovery/verdict.js', within: 'checkPlace', from: 'if (first <= lastSequence)', to: 'if (false)' }],
  },
  {
    name: 'a reader passes over an entry that is damaged', caughtBy,
    patches: [{ file: 'log/reader.js', from: 'if (lastLost >= Math.max(this.#next, this.#wanted))', to: 'if (lastLost > Math.max(this.#next, this.#wanted))' }],
  },
  {
    name: 'a reader goes by the length that a damaged frame says it has', caughtBy,
    patches: [{ file: 'recovery/sound-frames.js', from: 'if (isNext && way.leadsOn && !way.hasDamage)', to: 'if (place.sequence <= to)' }],
  },
  {
    name: 'a sealed header that goes on behind the segment before counts as stale', caughtBy,
    patches: [{ file: 'recovery/verdict.js', from: 'staleHeader !== undefined && staleHeader.firstSequence > lastBefore', to: 'false' }],
  },
  {
    name: 'older cursors do where the newest are damaged', caughtBy,
    patches: [{ file: 'recovery/verdict.js', from: 'if (lacksCursors)', to: 'if (false)' }],
  },
  {
    name: 'nobody is told that what was cut may have been acknowledged', caughtBy,
    patches: [{ file: 'recovery/recover.js', from: "isUnused ? 'stale' : scan.fault, !isUnused)", to: "isUnused ? 'stale' : scan.fault, false)" }],
  },
  {
    name: 'frames behind a damaged length are not looked for', caughtBy,
    patches: [{ file: 'recovery/sound-frames.js', from: "if (joins === undefined && known === 'none')", to: 'if (true)' }],
  },
  {
    name: 'verify believes a sealed segment', caughtBy,
    patches: [{ file: 'recovery/verify-sealed.js', within: 'findDamage', from: 'const header = facts.header;', to: 'return [];' }],
  },
  {
    name: 'a salvage does not tell what it gave up', caughtBy,
    patches: [{ file: 'recovery/salvage.js', from: /lost\.push\(\.\.\.rebuilt\.lost[^;]*;/, to: '' }],
  },
  {
    name: 'a salvage does not tell of its copy', caughtBy,
    patches: [{ file: 'recovery/salvage.js', from: 'copies.push(rebuilt.copy);', to: ';' }],
  },
  {
    name: 'a salvage leaves no record of what it gave up', caughtBy,
    patches: [{ file: 'recovery/rebuild.js', from: "builder.add({ kind: 'gap', first: builder.next, last: upTo });", to: ';' }],
  },
]
