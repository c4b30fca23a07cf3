/** Bugs that random programs must find out: the library does not do what the README says, and says nothing. */

import type { SeededBug } from './seeded-bug.js'

const caughtBy = 'model'

/** All of them. */
export const BUGS: readonly SeededBug[] = [
  {
    name: 'a reading gives more entries than its limit', caughtBy,
    patches: [{ file: 'log/reader.js', from: 'batch.length <= left ? batch : batch.slice(0, left)', to: 'batch' }],
  },
  {
    name: 'a reading from a time on begins one entry too late', caughtBy,
    patches: [{ file: 'log/reader.js', from: 'frameMs(block.view, at) < fromTimestamp', to: 'frameMs(block.view, at) <= fromTimestamp' }],
  },
  {
    name: 'a file that has been freed under a reader counts as damaged', caughtBy,
    patches: [{ file: 'log/reader.js', from: 'if (this.#catalog.isGone(this.#segment))', to: 'if (false)' }],
  },
  {
    name: 'the end of a process does not wait for what was appended', caughtBy,
    patches: [{ file: 'log/exit-hook.js', within: 'onExit', from: 'target.endWithProcess();', to: ';' }],
  },
  {
    name: 'an append in an exit listener is not synced', caughtBy,
    patches: [{ file: 'log/open-log.js', within: 'endWithProcess', from: 'this.#producer.beginExit(EXIT_TIMEOUT_MS);', to: '' }],
  },
  {
    name: 'get gives the next entry when the one that was asked for is gone', caughtBy,
    patches: [{ file: 'log/open-log.js', from: 'entry.sequence === sequence ? entry : undefined', to: 'entry' }],
  },
  {
    name: 'a commit of what was delivered before a seek undoes the seek', caughtBy,
    patches: [{ file: 'ring/cursors.js', from: '((high ^ bits) & ~CURSOR_HIGH_MASK) === 0 && sequenceOf(low, high) < sequence', to: 'sequenceOf(low, high) < sequence' }],
  },
  {
    name: 'a group is appended entry by entry', caughtBy,
    patches: [{
      file: 'log/log-producer.js', from: 'return this.#accept(this.#staging.stageGroup(entries));',
      to: 'this.#staging.stageGroup(entries); const [first] = entries.map((entry) => this.#accept(this.#staging.stage(entry))); return first;',
    }],
  },
  {
    name: 'times fall along the sequence', caughtBy,
    patches: [{ file: 'log/entry.js', from: 'return frameMs(this.#block.view, this.#offset);', to: 'return frameMs(this.#block.view, this.#offset) - 1000 * (this.sequence % 2);' }],
  },
  {
    name: 'a receipt tells another time than the entry has', caughtBy,
    patches: [{ file: 'log/log-producer.js', from: 'timestamp: msFromTicks(absoluteTicks(ticks, this.#tickBase))', to: 'timestamp: msFromTicks(absoluteTicks(ticks, this.#tickBase)) + 1' }],
  },
  {
    name: 'a checkpoint frees a segment whose last entries no consumer has committed', caughtBy,
    patches: [{ file: 'writer/retention.js', from: 'segment.lastSequence <= committed', to: 'segment.lastSequence <= committed + 2' }],
  },
  {
    name: 'a checkpoint frees no segment', caughtBy,
    patches: [{ file: 'writer/retention.js', from: 'segment.lastSequence <= committed', to: 'false' }],
  },
  {
    name: 'what was dropped is not counted', caughtBy,
    patches: [{ file: 'log/log-producer.js', from: 'countDropped(this.ring, stretch.count);', to: '' }],
  },
  {
    name: 'a line that waits in a destination\'s memory is counted as dropped', caughtBy,
    patches: [{ file: 'log/log-producer.js', from: 'this.#settings.whenFull === \'block\' || this.#isExiting', to: 'this.#settings.whenFull !== \'throw\' || this.#isExiting' }],
  },
  {
    name: 'text is decoded as if each byte were a character', caughtBy,
    patches: [{ file: 'log/entry.js', from: 'this.#block.text(start, ', to: 'this.#block.bytes.toString(\'latin1\', start, ' }],
  },
  {
    name: 'a message that waits for room is not copied', caughtBy,
    patches: [{
      file: 'log/log-message.js', from: 'new Uint8Array(value.#buffer.buffer, value.#buffer.byteOffset, value.#length)', to: 'value.#buffer.subarray(0, value.#length)',
    }],
  },
  {
    name: 'a flush does not wait', caughtBy,
    patches: [{ file: 'log/log-producer.js', from: 'await this.waiters.untilQueueEmpty(signal);', to: 'return;' }],
  },
  {
    name: 'an entry that is finished commits those before it that are not', caughtBy,
    patches: [{ file: 'queue/delivery.js', from: 'if (isFirst)\n            this.#port.finished((this.oldest?.firstSequence ?? this.#lastStarted + 1) - 1);', to: 'this.#port.finished(parcel.lastSequence);' }],
  },
  {
    name: 'what failed for good is committed without a dead letter', caughtBy,
    patches: [{ file: 'queue/log-consumer.js', from: 'await this.#port.deadLetters.bury(deadLetter, this.name, parcel, error, attempts);', to: '' }],
  },
]
