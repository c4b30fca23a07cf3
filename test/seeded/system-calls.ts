/** Bugs that show when a system call fails, or is the last one. */

import type { SeededBug } from './seeded-bug.js'

const caughtBy = 'system-calls'

/** What the sweep over the system calls must find. */
export const BUGS: readonly SeededBug[] = [
  {
    name: 'a failed sync is tried again, and the second time believed',
    patches: [{ file: 'writer/writer.js', from: 'this.#tails.tail?.sync();', to: 'try { this.#tails.tail?.sync(); } catch { this.#tails.tail?.sync(); }' }],
    caughtBy,
  },
  {
    name: 'batches are acknowledged before their sync',
    patches: [{ file: 'writer/writer.js', from: 'this.#tails.tail?.sync();', to: 'this.#noteSynced(this.#written); this.#tails.tail?.sync();' }],
    caughtBy,
  },
  {
    name: 'a sync that failed for want of room counts as a full disk, and is tried again',
    patches: [{ file: 'disk/disk.js', from: " && !syscall.includes('sync')", to: '' }],
    caughtBy,
  },
  {
    name: 'a write that failed counts as done',
    patches: [{
      file: 'disk/node-disk.js', from: 'let written = writevSync(this.#fd, part, at);',
      to: 'let written; try { written = writevSync(this.#fd, part, at); } catch { written = part.reduce((sum, { length }) => sum + length, 0); }',
    }],
    caughtBy,
  },
  {
    name: 'after a failed write the next one begins behind it',
    patches: [{
      file: 'segment/tail.js', from: 'this.#file.write([...buffers, trailer], this.#end);',
      to: 'try { this.#file.write([...buffers, trailer], this.#end); } catch (error) { this.#end = end; throw error; }',
    }],
    caughtBy,
  },
  {
    name: 'a commit is reported durable before it is written',
    patches: [{ file: 'writer/writer.js', from: 'tail.mark(this.#durable, cursors);', to: 'this.#cursors.noteWritten(); this.#cursors.noteSynced(); tail.mark(this.#durable, cursors);' }],
    caughtBy,
  },
  {
    name: 'the error of an upload\'s sync is swallowed',
    patches: [{ file: 'log/file-upload.js', from: 'await onDisk(path, () => file.syncAsync());', to: 'await onDisk(path, () => file.syncAsync()).catch(() => undefined);' }],
    caughtBy,
  },
  {
    name: 'an upload that has its entry and not its place does not get it at opening',
    patches: [{ file: 'log/file-upload.js', from: 'disk.rename(join(incoming, found.name), join(blobs, blobName(sequence)));', to: '' }],
    caughtBy,
  },
  {
    name: 'half uploads stay',
    patches: [{ file: 'log/file-upload.js', from: 'else if (isPartName(name))\n            disk.remove(join(incoming, name));', to: '' }],
    caughtBy,
  },
  {
    name: 'spares that a kill left stay',
    patches: [{ file: 'writer/segment-store.js', from: 'this.#disk.list(this.#directory).filter(isSpareName)', to: '[]' }],
    caughtBy,
  },
  {
    name: 'a log that has failed does not say why',
    patches: [{ file: 'writer/run-writer.js', from: 'failLog(ring, error);', to: '' }],
    caughtBy,
  },
  {
    name: 'what the log makes may be read by others',
    patches: [{ file: 'disk/node-disk.js', from: 'this.#fd = openSync(path, flags, 0o600);', to: 'this.#fd = openSync(path, flags, 0o644);' }],
    caughtBy,
  },
  {
    name: 'directories of the log may be entered by others',
    patches: [{ file: 'disk/node-disk.js', from: 'mkdirSync(path, { mode: 0o700 });', to: 'mkdirSync(path);' }],
    caughtBy,
  },
  {
    name: 'links are followed',
    patches: [{ file: 'disk/node-disk.js', from: 'const NOFOLLOW = constants.O_NOFOLLOW ?? 0;', to: 'const NOFOLLOW = 0;' }],
    caughtBy,
  },
  {
    name: 'a file that is there already is taken for a new one',
    patches: [{ file: 'disk/node-disk.js', from: 'constants.O_CREAT | constants.O_EXCL', to: 'constants.O_CREAT' }],
    caughtBy,
  },
  {
    name: 'the name of a new directory is not synced',
    patches: [{ file: 'disk/node-disk.js', from: 'syncDirectory(dirname(at));', to: '' }],
    caughtBy,
  },
]
