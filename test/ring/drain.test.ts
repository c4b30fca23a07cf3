/** What the writer takes out of the ring, here without a thread of its own. */

import { expect, test } from 'vitest'
import { FRAME_OVERHEAD, checkFrame } from '../../dist/src/format/frame-layout.js'
import { absoluteTicks } from '../../dist/src/format/ticks.js'
import { Staging } from '../../dist/src/log/staging.js'
import { appendStretch } from '../../dist/src/ring/append.js'
import { drain, extentBytes } from '../../dist/src/ring/drain.js'
import { attachRecord } from '../../dist/src/ring/records.js'
import { allocateRing, initializeRing, openRing, recordScratch, type Ring } from '../../dist/src/ring/ring.js'

const LIMITS = { bytes: 4096, entries: 100, abortedBytes: 48, indexIntervalBytes: 1000 }

interface Producer {
  readonly ring: Ring
  append(data: string, ticks: number, isWhole?: boolean): void
}

/** A producer that has WebAssembly or not. */
function produce(isInOne: boolean): Producer {
  const open = openRing(allocateRing(4096, 16, 4096))
  const ring: Ring = isInOne ? open : { ...open, operations: undefined }
  initializeRing(ring, { nextSequence: 1, tickBase: 148_000_000, floorTicks: 7, clockZeroNs: 0n, clockZeroTicks: 0 })
  const record = attachRecord(ring, { thread: 1, startLow: 2, startHigh: 3 }, () => false)
  const staging = new Staging(ring, { maxEntryBytes: 4096, maxStretchBytes: 1024, maxGroupEntries: 8, tickBase: 148_000_000 }, recordScratch(ring, record.index))
  const claim = { sequence: 0, start: 0, ticks: 0, backlog: 0 }
  const append = (data: string, ticks: number, isWhole = true): void => {
    const { bytes, count, shortAddress, fill } = staging.stage(data)
    const stretch = isWhole ? { bytes, count, shortAddress, fill: fill.bind(staging) } : { bytes, count, shortAddress: 0, fill: () => { throw new Error('not whole') } }
    try {
      expect(appendStretch(ring, record, stretch, claim, ticks)).toBe(1)
    } catch (error) {
      expect(error).toMatchObject({ message: 'not whole' })
    }
  }
  return { ring, append }
}

/** A short entry, appended and drained. */
function drained(isInOne: boolean): Buffer {
  const { ring, append } = produce(isInOne)
  append('short', 1000)
  const batch = drain(ring, { sequence: 1, position: 0 }, LIMITS)!
  expect(batch).toMatchObject({ firstSequence: 1, lastSequence: 1, entryCount: 1, bytes: FRAME_OVERHEAD + 5 })
  return Buffer.from(extentBytes(ring, batch.extents[0]!))
}

test('an entry that its producer left without a checksum has one when it is drained, with WebAssembly and without: the same bytes', () => {
  const [inOne, apart] = [drained(true), drained(false)]
  for (const frame of [inOne, apart]) expect(checkFrame(frame, new DataView(frame.buffer, frame.byteOffset), 0, frame.length, frame.length)).toBe(frame.length)
  expect(apart.toString('hex')).toBe(inOne.toString('hex'))
})

test('aborted sequences beside each other are one placeholder, with the time of the entry before them, be that large or small', () => {
  for (const data of ['small', 'large'.repeat(400)]) {
    const { ring, append } = produce(true)
    append('never', 1000, false)
    append(data, 2000)
    for (const ticks of [3000, 4000]) append('never', ticks, false)
    append('last', 5000)
    const { extents, firstTicks, lastTicks, ...batch } = drain(ring, { sequence: 1, position: 0 }, LIMITS)!
    expect(batch).toMatchObject({ firstSequence: 1, lastSequence: 5, entryCount: 2 })
    const found = extents.map(({ source, firstSequence, lastSequence, ticks }) => [source === 'aborted', firstSequence, lastSequence, ticks])
    expect(found).toEqual([[true, 1, 1, 0n], [false, 2, 2, 0n], [true, 3, 4, absoluteTicks(2000, 148_000_000)], [false, 5, 5, 0n]])
    expect([firstTicks, lastTicks]).toEqual([2000, 5000].map((ticks) => absoluteTicks(ticks, 148_000_000)))
  }
})
