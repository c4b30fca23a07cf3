/** Another thread may commit at any moment; here it does while the writer lies down, with the real writer on a disk in memory. */

import { expect, test } from 'vitest'
import { recover } from '../../dist/src/recovery/recover.js'
import { endClaims } from '../../dist/src/ring/claim.js'
import { startClock } from '../../dist/src/ring/clock.js'
import { wantClose } from '../../dist/src/ring/commands.js'
import { addCursor, commitCursor, durableCursor } from '../../dist/src/ring/cursors.js'
import { allocateRing, initializeRing, openRing } from '../../dist/src/ring/ring.js'
import { WORD } from '../../dist/src/ring/ring-layout.js'
import { Writer } from '../../dist/src/writer/writer.js'
import type { WriterOptions } from '../../dist/src/writer/writer-options.js'
import { MemoryDisk } from '../model/memory-disk.js'

const COMMIT_INTERVAL_MS = 10
const OPTIONS: WriterOptions = {
  directory: '/log', maxSegmentBytes: 65_536, maxSegmentEntries: Number.MAX_SAFE_INTEGER, maxSegmentAgeMs: Infinity, durability: 'batch', lingerMs: 0,
  maxBatchBytes: 4096, preallocateBytes: 0, lockWaitMs: 0, salvages: false, reserveBytes: 0,
  retention: {
    maxBytes: 2 ** 40, maxAgeMs: Infinity, maxSegments: Number.MAX_SAFE_INTEGER, keepConsumed: false, whenOver: 'refuse', cleanupIntervalMs: Infinity,
  },
}

test('a commit that comes when the writer has reckoned how long to sleep is written when it is due', () => {
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  const real = openRing(allocateRing(4096, 16, 1000))
  initializeRing(real, { nextSequence: 1, ...startClock(0n) })
  const sleeps: { readonly isCommitted: boolean; readonly timeoutMs: number }[] = []
  let isCommitted = false
  const isDurable = (): boolean => durableCursor(real, hold) === 1
  const ring = {
    ...real,
    atomics: {
      ...real.atomics,
      store(words: Int32Array, index: number, value: number): void {
        if (index === WORD.asleep && value === 1 && !isCommitted && durableCursor(real, hold) === 0) isCommitted = commitCursor(real, hold, 1)
        real.atomics.store(words, index, value)
      },
      wait(_words: Int32Array, _index: number, _value: number, timeoutMs: number): 'timed-out' {
        sleeps.push({ isCommitted: isCommitted && !isDurable(), timeoutMs })
        if (isDurable()) {
          endClaims(real)
          wantClose(real)
        }
        return 'timed-out'
      },
    },
  }
  const writer = new Writer(ring, disk, OPTIONS, recover(disk, '/log'), 0n, () => false)
  const hold = addCursor(real, 'reader', 0)
  writer.run()
  expect(isCommitted).toBe(true)
  expect(isDurable()).toBe(true)
  expect(sleeps.filter(({ isCommitted: wasCommitted, timeoutMs }) => wasCommitted && timeoutMs > COMMIT_INTERVAL_MS)).toEqual([])
})
