/** Bugs that real ends of processes and disks must show: SIGKILL, power cuts, failing syncs, full disks. */

import type { SeededBug } from './seeded-bug.js'

type Bug = Omit<SeededBug, 'caughtBy'>

const WRITER = 'writer/writer.js'
const SYNC = 'this.#tails.tail?.sync();'
const WRITE = 'tail.write(batch.extents.map'

const KILL_BUGS: readonly Bug[] = [
  { name: 'kill: acknowledged before it is written', patches: [{ file: WRITER, from: WRITE, to: `this.#noteSynced(batch.lastSequence); tail.sync(); ${WRITE}` }] },
  {
    name: 'kill: the newest segment is taken for one that was never finished',
    patches: [{ file: 'recovery/verdict.js', from: 'if (scan.lastSequence === undefined) {', to: "if (around.isNewest) return { kind: 'remove', facts: segment };\n    if (scan.lastSequence === undefined) {" }],
  },
  {
    name: 'kill: the torn tail is not cut',
    patches: [
      { file: 'recovery/recover.js', from: 'copyBytes(source, copy, 0, scan.endOffset);', to: 'copyBytes(source, copy, 0, source.size());' },
      { file: 'recovery/recover.js', from: 'file.truncate(scan.endOffset);', to: '' },
      { file: 'segment/seal.js', from: 'file.truncate(bytes);', to: '' },
    ],
  },
  { name: 'kill: a sequence is used again', patches: [{ file: 'recovery/recover.js', from: 'nextSequence: judgement.lastSequence + 1', to: 'nextSequence: Math.max(1, judgement.lastSequence)' }] },
  {
    name: 'kill: batches are written without their trailers',
    patches: [{ file: 'segment/tail.js', from: 'this.#file.write([...buffers, trailer], this.#end);', to: 'this.#file.write(batch.entryCount > 0 ? [...buffers, new Uint8Array(trailer.length)] : [trailer], this.#end);' }],
  },
]

const QUEUE_BUGS: readonly Bug[] = [
  { name: 'queue: a new segment begins without the cursors', patches: [{ file: 'writer/tail-keeper.js', from: 'cursors: this.#cursors.cursors,', to: 'cursors: [],' }] },
  { name: 'queue: a segment goes that a consumer has not committed', patches: [{ file: 'writer/retention.js', from: 'committed !== undefined && segment.lastSequence <= committed', to: 'committed !== undefined' }] },
  { name: 'queue: spares are left lying about at the end', patches: [{ file: WRITER, from: '#end() {\n        this.#store.removeSpares();', to: '#end() {' }] },
  { name: 'queue: unfinished uploads stay', patches: [{ file: 'log/file-upload.js', from: 'else if (isPartName(name))', to: 'else if (false)' }] },
  { name: 'queue: uploaded files of entries that are gone stay', patches: [{ file: 'writer/blob-keeper.js', from: 'sequence < firstSequence', to: 'false' }] },
]

const POWER_BUGS: readonly Bug[] = [
  { name: 'power: batches are not synced', patches: [{ file: WRITER, from: SYNC, to: '' }] },
  {
    // The disk of the harness syncs within microseconds, in which a cut hardly ever falls: here it takes as long as others do.
    name: 'power: batches are acknowledged before they are synced',
    patches: [{ file: WRITER, from: SYNC, to: `this.#noteSynced(this.#written); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3); ${SYNC}` }],
  },
  { name: 'power: every other batch is synced', patches: [{ file: WRITER, from: SYNC, to: `if (this.#written % 2 === 0) ${SYNC}` }] },
  { name: 'power: uploaded files are not synced', patches: [{ file: 'log/file-upload.js', from: 'await onDisk(path, () => file.syncAsync());', to: '' }] },
]

const FAILING_SYNC_BUGS: readonly Bug[] = [
  { name: 'failing sync: it is tried again', patches: [{ file: WRITER, from: SYNC, to: `try { ${SYNC} } catch { ${SYNC} }` }] },
  { name: 'failing sync: it is passed over', patches: [{ file: WRITER, from: SYNC, to: `try { ${SYNC} } catch { ; }` }] },
  { name: 'failing sync: it is taken for a full disk', patches: [{ file: 'disk/disk.js', from: " && !syscall.includes('sync')", to: '' }] },
  {
    name: 'failing sync: recovery writes what it may have left out again over the same blocks',
    patches: [{ file: 'recovery/recover.js', from: 'rewriteFrom < scan.endOffset && renewFile', to: 'false && renewFile' }],
  },
  { name: 'failing sync: what was written is acknowledged when the log fails', patches: [{ file: WRITER, from: 'this.#tails.tail?.abandon();', to: 'acknowledge(this.#ring, this.#written);' }] },
]

const FULL_DISK_BUGS: readonly Bug[] = [
  { name: 'full disk: it ends the log', patches: [{ file: 'writer/disk-space.js', from: 'if (!isDiskFull(error))\n                    throw error;', to: 'throw error;' }] },
  { name: 'full disk: the reserve is not given up', patches: [{ file: 'writer/disk-space.js', from: 'if (hadReserve)\n', to: 'if (false)\n' }] },
  { name: 'full disk: there is no reserve behind a cursor that came first', patches: [{ file: WRITER, from: '!this.#tails.hasEntries && !this.#space.isWaiting', to: 'this.#tails.tail === undefined' }] },
  { name: 'full disk: a batch that finds no room is dropped', patches: [{ file: WRITER, from: '? undefined : batch', to: '? undefined : undefined' }] },
  { name: 'full disk: what found no room is not tried again', patches: [{ file: WRITER, from: 'this.#space.isWaiting && !this.#isClosing ? undefined', to: '!this.#isClosing ? undefined' }] },
  { name: 'full disk: a short write counts as a whole one', patches: [{ file: 'disk/node-disk.js', from: 'pending = pending.slice(done);', to: 'pending = [];' }, { file: 'disk/node-disk.js', from: 'if (written > 0)\n', to: 'if (false)\n' }] },
  { name: 'full disk: it stays full for ever', patches: [{ file: 'writer/disk-space.js', from: 'this.#isFull = !this.#isReserved && !mayFree();', to: 'this.#isFull ||= !this.#isReserved && !mayFree();' }] },
]

const LISTS: { readonly [harness: string]: readonly Bug[] } = {
  'kill': KILL_BUGS, 'queue-kill': QUEUE_BUGS, 'power-cuts': POWER_BUGS, 'failing-syncs': FAILING_SYNC_BUGS, 'full-disk': FULL_DISK_BUGS,
}

/** All of them. */
export const BUGS: readonly SeededBug[] = Object.entries(LISTS).flatMap(([caughtBy, bugs]) => bugs.map((bug) => ({ ...bug, caughtBy })))
