/** What the writer takes out of the ring, here without a thread of its own. */

import { expect, test } from 'vitest'
import { FRAME_OVERHEAD, checkFrame } from '../../dist/src/format/frame-layout.js'
import { Staging } from '../../dist/src/log/staging.js'
import { appendStretch } from '../../dist/src/ring/append.js'
import { drain, extentBytes } from '../../dist/src/ring/drain.js'
import { attachRecord } from '../../dist/src/ring/records.js'
import { allocateRing, initializeRing, openRing, recordScratch, type Ring } from '../../dist/src/ring/ring.js'

const LIMITS = { bytes: 4096, entries: 100, abortedBytes: 48, indexIntervalBytes: 1000 }

/** A ring with one short entry, appended and drained with WebAssembly or without. */
function drained(isInOne: boolean): { readonly ring: Ring; readonly frame: Buffer } {
  const open = openRing(allocateRing(4096, 16, 4096))
  const ring: Ring = isInOne ? open : { ...open, operations: undefined }
  initializeRing(ring, { nextSequence: 1, tickBase: 148_000_000, floorTicks: 7, clockZeroNs: 0n, clockZeroTicks: 0 })
  const record = attachRecord(ring, { thread: 1, startLow: 2, startHigh: 3 }, () => false)
  const staging = new Staging(ring, { maxEntryBytes: 4096, maxStretchBytes: 1024, maxGroupEntries: 8, tickBase: 148_000_000 }, recordScratch(ring, record.index))
  expect(appendStretch(ring, record, staging.stage('short'), { sequence: 0, start: 0, ticks: 0, backlog: 0 }, 1000)).toBe(1)
  const batch = drain(ring, { sequence: 1, position: 0 }, LIMITS)!
  expect(batch).toMatchObject({ firstSequence: 1, lastSequence: 1, entryCount: 1, bytes: FRAME_OVERHEAD + 5 })
  return { ring, frame: Buffer.from(extentBytes(ring, batch.extents[0]!)) }
}

test('an entry that its producer left without a checksum has one when it is drained, with WebAssembly and without: the same bytes', () => {
  const [inOne, apart] = [drained(true).frame, drained(false).frame]
  for (const frame of [inOne, apart]) expect(checkFrame(frame, new DataView(frame.buffer, frame.byteOffset), 0, frame.length, frame.length)).toBe(frame.length)
  expect(apart.toString('hex')).toBe(inOne.toString('hex'))
})
