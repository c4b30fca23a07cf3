/** A kiosk's clock over many days: the writer itself, on a disk in memory, in simulated time. */

import { expect, test } from 'vitest'
import { parseSegmentName } from '../../dist/src/format/segment-name.js'
import { shippedCode } from '../crash/code-under-test.js'
import { CursorHistory } from '../crash/cursor-history.js'
import { History } from '../crash/history.js'
import { LogSession, type SessionOptions } from '../crash/log-session.js'
import { SimulatedTime } from '../crash/simulated-time.js'
import { MemoryDisk } from '../model/memory-disk.js'
import { seededRandom } from '../model/random.js'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const TODAY = Date.UTC(2026, 10, 24)
const IN_2036 = Date.UTC(2036, 0, 1)
const OPTIONS: SessionOptions = {
  ringBytes: 4096,
  slots: 16,
  writer: {
    directory: '/log', maxSegmentBytes: 65_536, maxSegmentEntries: Number.MAX_SAFE_INTEGER, maxSegmentAgeMs: DAY_MS, durability: 'batch', lingerMs: 0,
    maxBatchBytes: 4096, preallocateBytes: 0, lockWaitMs: 0, salvages: false, reserveBytes: 0,
    retention: {
      maxBytes: 2 ** 40, maxAgeMs: 7 * DAY_MS, maxSegments: Number.MAX_SAFE_INTEGER, keepConsumed: false, whenOver: 'refuse', cleanupIntervalMs: HOUR_MS,
    },
  },
}

/** One log whose machine is switched on and off. */
class Kiosk {
  readonly time = new SimulatedTime(TODAY)
  readonly #disk = new MemoryDisk()
  readonly #code = shippedCode()
  readonly #history = new History()
  readonly #random = seededRandom(1)
  /** Days since the beginning, each by the name of the segment that was begun then. */
  readonly #born = new Map<string, number>()
  #today = 0

  constructor() {
    this.#disk.makeDirectory('/log')
  }

  get #names(): string[] {
    return this.#disk.list('/log').filter((name) => parseSegmentName(name) !== undefined)
  }

  /** The machine is on for `hours` of a day, an entry each half hour, and off for the rest of `days`. `wallMs`: somebody sets the clock first. */
  run(hours: number, days = 1, wallMs?: number): void {
    if (wallMs !== undefined) this.time.setWall(wallMs)
    this.time.during(() => {
      const recovered = this.#code.recover(this.#disk, '/log')
      const session = new LogSession(this.#code, this.#disk, OPTIONS, recovered, this.time, this.#history, new CursorHistory())
      for (let passed = 0; passed < hours; passed += 0.5) {
        expect(session.append([Buffer.from(`${passed} h`)], 'whole')).toBe(true)
        for (let step = 0; step < 5; step++) session.step()
        for (const name of this.#names) if (!this.#born.has(name)) this.#born.set(name, this.#today + Math.floor(passed / 24))
        this.time.advance(HOUR_MS / 2)
      }
      session.close(this.#random)
    })
    this.time.advance(days * DAY_MS - hours * HOUR_MS)
    this.#today += days
  }

  /** How many days ago the oldest segment was begun, in truth. */
  get oldestDays(): number {
    return this.#today - Math.min(...this.#names.map((name) => this.#born.get(name)!))
  }
}

test('with a clock that is right, a machine that is switched off each night keeps seven days and a bit', () => {
  const kiosk = new Kiosk()
  for (let day = 0; day < 30; day++) kiosk.run(12)
  expect(kiosk.oldestDays).toBeGreaterThanOrEqual(7)
  expect(kiosk.oldestDays).toBeLessThanOrEqual(9)
})

test('after a day in 2036 nothing is deleted early, and nothing is kept for years', () => {
  const kiosk = new Kiosk()
  for (let day = 0; day < 5; day++) kiosk.run(12)
  kiosk.run(12, 1, IN_2036)
  for (let day = 6; day < 9; day++) kiosk.run(12, 1, TODAY + day * DAY_MS)
  expect(kiosk.oldestDays).toBeGreaterThanOrEqual(7)
  // From now on time counts for as long as the machine is on: half of it.
  for (let day = 9; day < 60; day++) kiosk.run(12)
  expect(kiosk.oldestDays).toBeGreaterThanOrEqual(7)
  expect(kiosk.oldestDays).toBeLessThanOrEqual(17)
})

test('a clock that begins in 2000 at each start, until it is set, deletes nothing early', () => {
  const kiosk = new Kiosk()
  for (let day = 0; day < 30; day++) {
    for (let start = 0; start < 3; start++) kiosk.run(1, 0.125, Date.UTC(2000, 0, 1))
    kiosk.run(6, 0.625, TODAY + day * DAY_MS)
    if (day > 7) expect(kiosk.oldestDays).toBeGreaterThanOrEqual(7)
  }
  expect(kiosk.oldestDays).toBeLessThanOrEqual(12)
})

test('a clock that steps back by days makes nothing older or younger by more than that', () => {
  const kiosk = new Kiosk()
  for (let day = 0; day < 10; day++) kiosk.run(24)
  kiosk.run(24, 1, TODAY + 5 * DAY_MS)
  for (let day = 11; day < 30; day++) kiosk.run(24)
  expect(kiosk.oldestDays).toBeGreaterThanOrEqual(7)
  expect(kiosk.oldestDays).toBeLessThanOrEqual(14)
})

test('a month in which the log was closed counts for a day', () => {
  const kiosk = new Kiosk()
  for (let day = 0; day < 5; day++) kiosk.run(24)
  kiosk.run(24, 31)
  expect(kiosk.oldestDays).toBeGreaterThan(30)
  for (let day = 0; day < 9; day++) kiosk.run(24)
  expect(kiosk.oldestDays).toBeLessThanOrEqual(10)
})
