/** Bugs of the writer, of recovery and of uploads that show in what a crash leaves. */

import type { SeededBug } from './seeded-bug.js'

/** Where a bug may show in many ways. */
const BROKEN = /lost: |cursor lost|is removed|a timestamp that falls|foreign: |recovery refuses|should be|half a group|header says|no frame|no index|wrong checksum|a trailer|sequence \d+, expected|outside of a batch|ring protocol violated/

const LOG_BUGS: readonly Omit<SeededBug, 'caughtBy'>[] = [
  {
    name: 'batches are acknowledged before they are synced',
    patches: [{ file: 'writer/writer.js', from: 'this.#tails.tail?.sync();', to: 'this.#noteSynced(this.#written); this.#tails.tail?.sync();' }],
    shows: BROKEN,
  },
  {
    name: 'a checkpoint goes by the cursors that were written last',
    patches: [{ file: 'writer/checkpointer.js', from: 'this.#cursors.look();', to: '' }],
    shows: /a checkpoint left/,
  },
  {
    name: 'batches are not synced',
    patches: [{ file: 'writer/writer.js', from: 'this.#tails.tail?.sync();', to: '' }],
    shows: BROKEN,
  },
  {
    name: 'the directory is not synced after a segment was created',
    patches: [{ file: 'segment/tail.js', from: 'tail.#file.sync();\n            disk.syncDirectory(start.directory);', to: 'tail.#file.sync();' }],
    shows: BROKEN,
  },
  {
    name: 'a failed sync is tried again',
    patches: [{ file: 'writer/writer.js', from: 'this.#tails.tail?.sync();', to: 'try { this.#tails.tail?.sync(); } catch { this.#tails.tail?.sync(); }' }],
    shows: BROKEN,
  },
  {
    name: 'a trailer tells of its own batch as durable',
    patches: [{ file: 'writer/writer.js', from: 'this.#bytesOf(extent)), batch, this.#durable, cursors)', to: 'this.#bytesOf(extent)), batch, batch.lastSequence, cursors)' }],
    shows: BROKEN,
  },
  {
    name: 'ring space is given back before it is written',
    patches: [{
      file: 'writer/writer.js', from: 'tail.write(batch.extents.map', to: 'release(this.#ring, batch, this.#point); tail.write(batch.extents.map',
    }],
    shows: BROKEN,
  },
  {
    name: 'a producer that failed to fill its entry is waited for',
    patches: [{ file: 'ring/append.js', within: 'appendStretch', from: 'finally {', to: 'catch (error) { throw error; } if (false) {' }],
    shows: /ring protocol violated|close does not come to an end/,
  },
  {
    name: 'a sealed header is written before its index is synced',
    patches: [{ file: 'segment/seal.js', from: 'file.truncate(bytes);\n    file.sync();', to: 'file.truncate(bytes);' }],
    shows: BROKEN,
  },
  {
    name: 'the torn tail is not cut',
    patches: [
      { file: 'recovery/recover.js', from: 'copyBytes(source, copy, 0, scan.endOffset);', to: 'copyBytes(source, copy, 0, source.size());' },
      { file: 'recovery/recover.js', from: 'file.truncate(scan.endOffset);', to: '' },
      { file: 'segment/seal.js', from: 'file.truncate(bytes);', to: '' },
    ],
    shows: BROKEN,
  },
  {
    name: 'recovery does not write again what a failed sync may have left out',
    patches: [
      { file: 'recovery/recover.js', from: 'rewriteFrom < scan.endOffset && renewFile', to: 'false && renewFile' },
      { file: 'recovery/recover.js', from: 'copyBytes(file, file, rewriteFrom, scan.endOffset);', to: ';' },
    ],
    shows: BROKEN,
  },
  {
    name: 'recovery takes a trailer without a batch for proved by the sequence before it',
    patches: [{
      file: 'segment/scan.js', from: 'endOffset: this.#batches.length === 0 ? SEGMENT_HEADER_BYTES : this.endOffset });', to: 'endOffset: this.endOffset });',
    }],
    shows: BROKEN,
  },
  {
    name: 'recovery does not sync what it has cut and sealed',
    patches: [
      { file: 'recovery/recover.js', from: 'copy.sync();', to: '' },
      { file: 'recovery/recover.js', from: 'file.truncate(scan.endOffset);\n        file.sync();', to: 'file.truncate(scan.endOffset);' },
      { file: 'segment/seal.js', from: 'file.truncate(bytes);\n    file.sync();', to: 'file.truncate(bytes);' },
    ],
    shows: BROKEN,
  },
  {
    name: 'the directory is not synced after a torn segment was removed',
    patches: [{ file: 'recovery/recover.js', from: 'disk.syncDirectory(directory);\n    const cuts', to: 'const cuts' }],
    shows: BROKEN,
  },
  {
    name: 'the directory is not synced after a recovered segment has taken its place',
    patches: [{ file: 'recovery/recover.js', from: 'disk.rename(spare, path);\n        disk.syncDirectory(directory);', to: 'disk.rename(spare, path);' }],
    shows: BROKEN,
  },
  {
    name: 'frames count without the trailer of their batch',
    patches: [{
      file: 'segment/scan.js',
      from: 'open.nextSequence++;',
      to: `open.nextSequence++;
        this.endOffset = offset + arguments[3];
        this.#trailer = { ...this.#trailer, lastSequence: sequence };
        this.#sealed = { ...this.#sealed, entryCount: open.entryCount, firstTicks: open.firstTicks, lastTicks: ticks };`,
    }, {
      file: 'segment/scan.js', from: 'this.#takeEntry(sequence, ticks, window.offset);', to: 'this.#takeEntry(sequence, ticks, window.offset, size);',
    }, {
      file: 'segment/scan.js',
      from: 'trailer.batchStart === this.endOffset && trailer.firstSequence === previous.lastSequence + 1',
      to: 'true',
    }],
    shows: BROKEN,
  },
  {
    name: 'checksums are not looked at',
    patches: [{ file: 'format/frame-layout.js', from: 'return crc32(bytes, view, offset, checksumAt) === view.getUint32(checksumAt, true) ? size : \'checksum\';', to: 'return size;' }],
    shows: BROKEN,
  },
  {
    name: 'a sequence is used again',
    patches: [{ file: 'recovery/recover.js', from: 'nextSequence: judgement.lastSequence + 1', to: 'nextSequence: Math.max(1, judgement.lastSequence)' }],
    shows: /the next sequence would be/,
  },
  {
    name: 'timestamps begin anew with the clock',
    patches: [{ file: 'ring/clock.js', from: 'Math.max(0, relativeTicks(lastTicks, base))', to: '0' }],
    shows: /timestamp/,
  },
  {
    name: 'a segment is wanted to hold all that a much later one proves',
    patches: [{ file: 'recovery/verdict.js', from: 'nextFirst = firstSequenceOf(segment) ?? nextFirst;', to: 'nextFirst = Math.max(nextFirst, firstSequenceOf(segment) ?? 0);' }],
    shows: BROKEN,
  },
  {
    name: 'the header of a removed segment counts for the file that got its blocks',
    patches: [{
      file: 'recovery/verdict.js',
      from: "typeof header !== 'string' && (header.sealed || foreign !== undefined) ? header.firstSequence : scan?.firstSequence",
      to: "typeof header === 'string' ? scan?.firstSequence : header.firstSequence",
    }],
    shows: BROKEN,
  },
  {
    name: 'a torn first segment is taken for damage',
    patches: [{ file: 'recovery/verdict.js', from: 'if (around.isNewest && nothingBeforeIsLost', to: 'if (false && nothingBeforeIsLost' }],
    shows: BROKEN,
  },
  {
    name: 'a segment is removed before the cursors that let it go are durable',
    patches: [{ file: 'writer/checkpointer.js', from: 'secure();', to: ';' }],
    shows: /is gone, up to|is removed|cursor lost|lost: /,
  },
  {
    name: 'the newest segment is removed first',
    patches: [
      { file: 'writer/segment-store.js', from: 'const segment = this.#segments[0];', to: 'const segment = this.#segments.at(-1);' },
      { file: 'writer/segment-store.js', from: 'this.#segments.shift();', to: 'this.#segments.pop();' },
    ],
    shows: BROKEN,
  },
  {
    name: 'a segment goes that a consumer has not committed',
    patches: [{ file: 'writer/retention.js', from: 'committed !== undefined && segment.lastSequence <= committed', to: 'committed !== undefined' }],
    shows: /which nothing allows|is gone, up to/,
  },
  {
    name: 'the header of a freed segment is left in it',
    patches: [{ file: 'writer/segment-store.js', from: 'file.write([NO_HEADER], 0);', to: '' }],
    shows: BROKEN,
  },
  {
    name: 'cursors are told durable before the sync',
    patches: [{ file: 'writer/cursor-keeper.js', from: 'this.#taken = undefined;\n    }', to: 'this.#taken = undefined;\n        this.noteSynced();\n    }' }],
    shows: /cursor lost|is gone, up to|which nothing allows/,
  },
  {
    name: 'a new segment begins without the cursors',
    patches: [{ file: 'writer/tail-keeper.js', from: 'cursors: this.#cursors.cursors,', to: 'cursors: [],' }],
    shows: /cursor lost|is gone, up to|which nothing allows/,
  },
  {
    name: 'a batch that finds no room is dropped',
    patches: [{ file: 'writer/writer.js', from: '? undefined : batch', to: '? undefined : undefined' }],
    shows: /lost: |recovery refuses|does not go on|ring protocol violated|closed with|close does not come to an end|no frame|sequence \d+, expected/,
  },
  {
    name: 'cursors that found no room are forgotten',
    patches: [{ file: 'writer/cursor-keeper.js', from: 'if (collected === undefined)\n            return;', to: 'if (collected === undefined)\n            return void (this.#taken = undefined);' }],
    shows: /cursor lost|is gone, up to|which nothing allows/,
  },
  {
    name: 'a seek leaves the epoch as it was',
    patches: [{ file: 'ring/cursors.js', from: 'const epoch = (atomics.load(words, base + CURSOR.epoch) + 1) >>> 0;\n    atomics.store', to: 'const epoch = atomics.load(words, base + CURSOR.epoch) >>> 0;\n    atomics.store' }],
    shows: /an epoch that has passed|cursor lost/,
  },
  {
    name: 'a commit goes backwards',
    patches: [{ file: 'ring/cursors.js', from: 'sequenceOf(low, high) < sequence', to: 'sequenceOf(low, high) !== sequence' }],
    shows: /a commit of/,
  },
  {
    name: 'the zeros over the header of a freed segment are not synced',
    patches: [{ file: 'writer/segment-store.js', from: 'file.sync();', to: '' }],
    shows: BROKEN,
  },
  {
    name: 'the directory is not synced after a freed segment was renamed to be used again',
    patches: [{ file: 'segment/tail.js', from: 'tail.#file.sync();\n            disk.syncDirectory(start.directory);', to: 'tail.#file.sync();\n            if (spare === undefined) disk.syncDirectory(start.directory);' }],
    shows: BROKEN,
  },
  {
    name: 'the directory is not synced after a segment was freed',
    patches: [{ file: 'writer/segment-store.js', from: 'this.#disk.syncDirectory(this.#directory);\n        this.#segments.shift();', to: 'if (spare === undefined) this.#disk.syncDirectory(this.#directory);\n        this.#segments.shift();' }],
    shows: BROKEN,
  },
  {
    name: 'two segments go with one sync of the directory',
    patches: [{ file: 'writer/segment-store.js', from: 'this.#disk.syncDirectory(this.#directory);\n        this.#segments.shift();', to: 'if (this.#segments.length % 2 === 0) this.#disk.syncDirectory(this.#directory);\n        this.#segments.shift();' }],
    shows: BROKEN,
  },
  {
    name: 'the last segment goes',
    patches: [{ file: 'writer/writer.js', from: 'if (this.#store.count < 2)', to: 'if (false)' }],
    shows: BROKEN,
  },
  {
    name: 'a request for durable cursors is served before they are written',
    patches: [{ file: 'writer/writer.js', from: "        this.#writeCursors();\n        if (this.#unsyncedSinceMs !== undefined && (wanted", to: "        if (wanted !== undefined) serve(this.#ring, 'cursors', wanted);\n        this.#writeCursors();\n        if (this.#unsyncedSinceMs !== undefined && (wanted" }],
    shows: /cursor lost|is gone, up to/,
  },
  {
    name: 'a cursor stays beyond the end that a crash left',
    patches: [{ file: 'recovery/verdict.js', from: 'cursors.map((cursor) => cutTo(cursor, lastSequence))', to: 'cursors' }],
    shows: /the cursor of .* stands at/,
  },
  {
    name: 'what consumers have committed is not kept where it should be',
    patches: [{ file: 'writer/retention.js', from: '!options.keepConsumed || isBeyond', to: 'true' }],
    shows: /which nothing allows/,
  },
  {
    name: 'the oldest is pushed out where appends should be refused',
    patches: [{ file: 'writer/retention.js', from: ": isOver && options.whenOver === 'drop-oldest'", to: ': isOver' }],
    shows: /which nothing allows/,
  },
  {
    name: 'a reserve of other options stays',
    patches: [{ file: 'writer/disk-space.js', from: 'if (reserveBytes === 0)\n            removeReserve(disk, directory);', to: '' }],
    shows: /left over: reserve/,
  },
  {
    name: 'a spare that could not be made the tail stays',
    patches: [{ file: 'segment/tail.js', from: 'tail.#file.close();\n            disk.remove(path);', to: 'tail.#file.close();\n            if (spare === undefined) disk.remove(path);' }],
    shows: BROKEN,
  },
  {
    name: 'spares are left lying about at the end',
    patches: [{ file: 'writer/writer.js', from: '#end() {\n        this.#store.removeSpares();', to: '#end() {' }],
    shows: /left over: /,
  },
  {
    name: 'a full disk ends the log',
    patches: [{ file: 'writer/disk-space.js', from: 'if (!isDiskFull(error))\n                    throw error;', to: 'throw error;' }],
    shows: /the log fails while/,
  },
  {
    name: 'what found no room is not tried again',
    patches: [{ file: 'writer/writer.js', from: 'this.#space.isWaiting && !this.#isClosing ? undefined', to: '!this.#isClosing ? undefined' }],
    shows: /does not go on/,
  },
  {
    name: 'a log that closes on a full disk says that all is well',
    patches: [{ file: 'writer/writer.js', from: 'if (!isAllDurable || !this.#cursors.isDurable)\n            throw error;', to: '' }],
    shows: /closed with|cursor lost|the log fails while closing|the log ended with ERR_WAL_CLOSED/,
  },
]

const UPLOAD = 'log/file-upload.js'

const UPLOAD_BUGS: readonly Omit<SeededBug, 'caughtBy'>[] = [
  { name: 'an uploaded file is not synced', patches: [{ file: UPLOAD, from: 'await onDisk(path, () => file.syncAsync());', to: '' }], shows: /is not whole/ },
  {
    name: 'the name of an uploaded file is not synced before its entry is appended',
    patches: [{ file: UPLOAD, from: 'ready = name;\n            disk.syncDirectory(incoming);', to: 'ready = name;' }],
    shows: /has no file/,
  },
  {
    name: 'an uploaded file that failed after its entry was accepted is removed',
    patches: [{ file: UPLOAD, from: 'if (!isAccepted && !isInLine)', to: 'if (true)' }],
    shows: /has no file/,
  },
  {
    name: 'uploaded files that wait for their place at opening are thrown away',
    patches: [{ file: UPLOAD, from: 'if (ready !== undefined)', to: 'if (false)' }],
    shows: /has no file|left in incoming/,
  },
  {
    name: 'unfinished uploads stay',
    patches: [{ file: UPLOAD, from: 'else if (isPartName(name))', to: 'else if (false)' }],
    shows: /left in incoming/,
  },
  {
    name: 'uploaded files beyond the end of the log stay',
    patches: [{ file: 'writer/blob-keeper.js', from: 'sequence > lastSequence', to: 'false' }],
    shows: /without an entry|is not whole/,
  },
  {
    name: 'uploaded files below the beginning of the log stay',
    patches: [{ file: 'writer/blob-keeper.js', from: 'sequence < firstSequence', to: 'false' }],
    shows: /without an entry/,
  },
]

/** All of them. */
export const BUGS: readonly SeededBug[] = [...LOG_BUGS, ...UPLOAD_BUGS].map((bug) => ({ ...bug, caughtBy: 'crash-states' }))
