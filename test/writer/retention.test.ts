import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { planRetention, type RetentionOptions, type RetentionState } from '../../dist/src/writer/retention.js'
import { SegmentStore } from '../../dist/src/writer/segment-store.js'
import { createSegmentName } from '../../dist/src/format/segment-name.js'
import { MemoryDisk } from '../model/memory-disk.js'
import { runSeed } from '../model/random.js'

const DAY_MS = 86_400_000
const DEFAULTS = {
  maxBytes: 1000, maxAgeMs: 7 * DAY_MS, maxSegments: Number.MAX_SAFE_INTEGER, keepConsumed: false, whenOver: 'refuse', cleanupIntervalMs: 3_600_000,
} as const satisfies RetentionOptions

/** Five segments of 10 entries and 100 bytes, 5 to 1 days old, and 100 bytes beside them. */
function state(overrides: Partial<RetentionState> = {}): RetentionState {
  const segments = [1, 2, 3, 4, 5].map((number) => ({ lastSequence: number * 10, bytes: 100, ageMs: (6 - number) * DAY_MS }))
  return { segments, count: 5, bytes: 600, committed: undefined, isDiskFull: false, ...overrides }
}

describe('which segments go', () => {
  test.each<[string, Partial<RetentionState>, Partial<typeof DEFAULTS | RetentionOptions>, { remove: number; isOver: boolean }]>([
    ['without consumers: none within the limits', {}, {}, { remove: 0, isOver: false }],
    ['without consumers: what is too old', {}, { maxAgeMs: 3.5 * DAY_MS }, { remove: 2, isOver: false }],
    ['without consumers: what is one too many', {}, { maxSegments: 3 }, { remove: 2, isOver: false }],
    ['without consumers: what is beyond the bytes', {}, { maxBytes: 350 }, { remove: 3, isOver: false }],
    ['without consumers: all, and still beyond', { bytes: 1400 }, { maxBytes: 800 }, { remove: 5, isOver: true }],
    ['without consumers, a full disk takes nothing by itself', { isDiskFull: true }, {}, { remove: 0, isOver: false }],
    ['without consumers, a full disk takes one, if the oldest may be dropped', { isDiskFull: true }, { whenOver: 'drop-oldest' }, { remove: 1, isOver: false }],
    ['consumed ones at once', { committed: 25 }, {}, { remove: 2, isOver: false }],
    ['consumed ones stay if kept, within the limits', { committed: 50 }, { keepConsumed: true }, { remove: 0, isOver: false }],
    ['consumed ones that are kept go by age', { committed: 50 }, { keepConsumed: true, maxAgeMs: 3.5 * DAY_MS }, { remove: 2, isOver: false }],
    ['consumed ones that are kept go on a full disk', { committed: 50, isDiskFull: true }, { keepConsumed: true }, { remove: 1, isOver: false }],
    ['what is not consumed stays, however old', { committed: 5 }, { maxAgeMs: 1, maxSegments: 1 }, { remove: 0, isOver: false }],
    ['what is not consumed stays beyond the bytes, and that is told', { committed: 15 }, { maxBytes: 350 }, { remove: 1, isOver: true }],
    ['what is not consumed goes beyond the bytes, if it may be dropped', { committed: 15 }, { maxBytes: 350, whenOver: 'drop-oldest' }, { remove: 3, isOver: false }],
  ])('%s', (_what, changes, options, plan) => {
    expect(planRetention(state(changes), { ...DEFAULTS, ...options } as typeof DEFAULTS)).toEqual(plan)
  })

  test('nothing that is not consumed is ever taken unless it may be dropped, and the newest limits hold where they can', () => {
    const seed = runSeed()
    fc.assert(fc.property(
      fc.array(fc.record({ bytes: fc.nat(1000), ageMs: fc.nat(20) }), { maxLength: 12 }),
      fc.record({ maxBytes: fc.nat(4000), maxAgeMs: fc.nat(20), maxSegments: fc.integer({ min: 1, max: 12 }), keepConsumed: fc.boolean() }),
      fc.nat(2000), fc.nat(130), fc.boolean(),
      (segments, limits, otherBytes, committed, isDiskFull) => {
        const numbered = segments.map((segment, index) => ({ ...segment, lastSequence: (index + 1) * 10 }))
        const bytes = segments.reduce((sum, segment) => sum + segment.bytes, otherBytes)
        const { remove, isOver } = planRetention(
          { segments: numbered, count: numbered.length, bytes, committed, isDiskFull }, { ...DEFAULTS, ...limits, whenOver: 'refuse' },
        )
        expect(numbered.slice(0, remove).every(({ lastSequence }) => lastSequence <= committed)).toBe(true)
        const left = numbered.slice(remove).reduce((sum, { bytes }) => sum + bytes, otherBytes)
        expect(isOver).toBe(left > limits.maxBytes)
        const next = numbered[remove]
        if (isOver && next !== undefined) expect(next.lastSequence).toBeGreaterThan(committed)
      },
    ), { seed, numRuns: 2000 })
  })
})

describe('the age of a segment', () => {
  const NOW = Date.UTC(2026, 10, 24)

  function storeOf(createdDaysAgo: readonly number[]): SegmentStore {
    vi.useFakeTimers({ now: NOW, toFake: ['Date', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const disk = new MemoryDisk()
    disk.makeDirectory('/log')
    const segments = createdDaysAgo.map((days, index) => {
      const name = createSegmentName(Math.round(NOW - days * DAY_MS))
      return { name, path: `/log/${name.name}`, firstSequence: index * 10 + 1, lastSequence: index * 10 + 10, bytes: 100, isOwn: true }
    })
    return new SegmentStore(disk, '/log', segments, { spareBytes: () => 100, maxSegmentAgeMs: DAY_MS })
  }

  const agesInDays = (store: SegmentStore): number[] => Array.from(store.retained(), ({ ageMs }) => Math.round((ageMs / DAY_MS) * 10) / 10)

  test('is the time since the next one was created', () => {
    expect(agesInDays(storeOf([3.5, 2.5, 1.5, 0.5]))).toEqual([2.5, 1.5, 0.5, 0])
  })

  test('goes on by the monotonic clock while the log is open, wherever the wall clock stands', () => {
    const store = storeOf([1, 0.5])
    vi.advanceTimersByTime(6 * DAY_MS)
    vi.setSystemTime(Date.UTC(1999, 0, 1))
    expect(agesInDays(store)).toEqual([6.5, 6])
    vi.setSystemTime(Date.UTC(2036, 0, 1))
    expect(agesInDays(store)).toEqual([6.5, 6])
  })

  test('a clock that once stood in 2036 makes one step of a day, and keeps nothing for ever', () => {
    const ahead = -10 * 365
    const store = storeOf([2, 1, ahead, ahead - 1 / DAY_MS, ahead - 2 / DAY_MS])
    expect(agesInDays(store)).toEqual([1, 0, 0, 0, 0])
    vi.advanceTimersByTime(7 * DAY_MS)
    expect(agesInDays(store).every((days) => days >= 7)).toBe(true)
  })

  test('a month in which the log was closed, or one that a jump of the clock made up, counts as a day', () => {
    expect(agesInDays(storeOf([40, 39, 30]))).toEqual([2, 1, 0])
  })
})
