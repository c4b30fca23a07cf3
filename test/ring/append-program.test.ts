/** The one operation against the same in JavaScript: of random appends each leaves the same shared memory, byte for byte; and so do its steps. */

import { expect, test } from 'vitest'
import { appendStretch } from '../../dist/src/ring/append.js'
import { appendProgram, MAX_SHORT_BYTES } from '../../dist/src/ring/append-program.js'
import { readHead } from '../../dist/src/ring/claim.js'
import { attachRecord, type ProducerRecord } from '../../dist/src/ring/records.js'
import { allocateRing, initializeRing, openRing, recordScratch, ringOver, type Ring } from '../../dist/src/ring/ring.js'
import { CONTROL_BYTES, MARK, MARK_SHIFT, RECORD, RECORD_BASE, SCRATCH_OFFSET, SLOT_MARK, SLOT_WORDS, WORD } from '../../dist/src/ring/ring-layout.js'
import { Staging } from '../../dist/src/log/staging.js'
import { ModelMemory } from '../model/explore.js'
import { below, runSeed, seededRandom } from '../model/random.js'
import { runProgram } from '../model/wasm-steps.js'

const RING_BYTES = 8192
const SLOTS = 16
const TICK_BASE = 148_000_000
const APPENDS = 1000

interface Way {
  readonly ring: Ring
  readonly record: ProducerRecord
  /** The sequence, or 0. */
  append(text: string, ticks: number): number
}

function begin(ring: Ring): ProducerRecord {
  initializeRing(ring, { nextSequence: 2 ** 32 - 500, tickBase: TICK_BASE, floorTicks: 7, clockZeroNs: 0n, clockZeroTicks: 0 })
  ring.words[WORD.claim + 1] = ring.words[WORD.releasedPosition] = 2 ** 31 - 10_000
  return attachRecord(ring, { thread: 1, startLow: 2, startHigh: 3 }, () => false)
}

function staged(ring: Ring, isInOne: boolean): Way {
  const own: Ring = isInOne ? ring : { ...ring, operations: undefined }
  const record = begin(own)
  const limits = { maxEntryBytes: 4096, maxStretchBytes: 1024, maxGroupEntries: 8, tickBase: TICK_BASE }
  const staging = new Staging(own, limits, recordScratch(ring, record.index))
  const claim = { sequence: 0, start: 0, ticks: 0, backlog: 0 }
  return { ring: own, record, append: (text, ticks) => appendStretch(own, record, staging.stage(text), claim, ticks) === 1 ? claim.sequence : 0 }
}

function stepped(): Way {
  const control = new ArrayBuffer(CONTROL_BYTES)
  const memory = new ModelMemory(new Int32Array(control), String)
  const ring = ringOver(memory, control, new ArrayBuffer(SLOTS * SLOT_WORDS * 4), new ArrayBuffer(RING_BYTES), new ArrayBuffer(0))
  for (const view of [ring.words, ring.slots, ring.bytes]) memory.share(view, String)
  const record = begin(ring)
  const append = (text: string, ticks: number): number => {
    const data = Buffer.from(text)
    const steps = runProgram(appendProgram(SLOTS, RING_BYTES), ring, data, [SCRATCH_OFFSET, data.length, ticks, record.address, record.phase])
    let next = steps.next()
    while (next.done !== true) next = steps.next(memory.run(next.value))
    record.phase = (record.phase + 2) | 0
    return Number(next.value)
  }
  return { ring, record, append }
}

/** All that the writer would have taken is given back. */
function releaseAll({ ring: { words, slots } }: Way): void {
  words[WORD.releasedSequence] = words[WORD.claim]!
  words[WORD.releasedPosition] = words[WORD.claim + 1]!
  for (let slot = SLOT_MARK; slot < slots.length; slot += SLOT_WORDS) slots[slot] = 0
}

function textOf({ ring: { words, slots, bytes } }: Way): string {
  const control = Array.from(words.subarray(0, RECORD_BASE + RECORD.ticks))
  return JSON.stringify([control, Array.from(slots), Buffer.from(bytes).toString('hex')])
}

test('in one operation, in JavaScript, and step by step: the same memory', () => {
  const seed = runSeed()
  console.log(`append program: SEED=${seed}`)
  const random = seededRandom(seed)
  const ways = [staged(openRing(allocateRing(RING_BYTES, SLOTS, 4096)), true), staged(openRing(allocateRing(RING_BYTES, SLOTS, 4096)), false), stepped()] as const
  const kinds = new Map<number, number>()
  for (let count = 0; count < APPENDS; count++) {
    const text = 'é'.repeat(below(random, 1 + below(random, MAX_SHORT_BYTES / 2)))
    const ticks = 1000 + below(random, 2 ** 40)
    const sequences = ways.map((way) => way.append(text, ticks))
    expect(sequences, `SEED=${seed}, append ${count}`).toEqual(sequences.map(() => sequences[0]))
    if (sequences[0] === 0) {
      // A refused attempt counts as one in the phase of the record; two ways make one more in JavaScript.
      for (const { ring: { words }, record } of ways) words[record.phaseIndex] = record.phase = 0
    }
    const { slots, slotMask } = ways[0].ring
    const kind = sequences[0] === 0 ? 0 : slots[(sequences[0]! & slotMask) * SLOT_WORDS + SLOT_MARK]! >>> MARK_SHIFT
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
    const texts = ways.map(textOf)
    expect(texts[1] === texts[0] && texts[2] === texts[0], `SEED=${seed}, append ${count} of ${text.length} letters`).toBe(true)
    if (sequences[0] === 0 || below(random, 10) === 0) for (const way of ways) releaseAll(way)
  }
  expect(readHead(ways[0].ring).position, 'positions have wrapped').toBeLessThan(2 ** 31 - 10_000)
  for (const kind of [0, MARK.entry, MARK.unsealedEntry]) expect(kinds.get(kind)).toBeGreaterThan(10)
})
