import fc from 'fast-check'
import { expect, test } from 'vitest'
import { absoluteTicks, msFromTicks, msFromTickWords, relativeTicks, setTicks, tickBase, ticksFromMs } from '../../dist/src/format/ticks.js'
import { runSeed } from '../model/random.js'

/** UTC times and their `DateTime.Ticks` in .NET. */
const KNOWN: readonly (readonly [string, bigint])[] = [
  ['0001-01-01T00:00:00.000Z', 0n],
  ['0001-01-01T00:00:00.001Z', 10_000n],
  ['1601-01-01T00:00:00.000Z', 504_911_232_000_000_000n], // the epoch of Windows' FILETIME
  ['1970-01-01T00:00:00.000Z', 621_355_968_000_000_000n], // DateTime.UnixEpoch
  ['2000-01-01T00:00:00.000Z', 630_822_816_000_000_000n],
  ['2038-01-19T03:14:07.000Z', 642_830_804_470_000_000n],
  ['9999-12-31T23:59:59.999Z', 3_155_378_975_999_990_000n], // DateTime.MaxValue, to the millisecond
]

test('ticks are those of .NET: 100 ns since the year 1', () => {
  for (const [time, ticks] of KNOWN) {
    expect(msFromTicks(ticks), time).toBe(Date.parse(time))
    // A clock is only ever read in our time: a product beyond 2^57 would lose ticks.
    if (time >= '1600' && time < '2400') expect(ticksFromMs(Date.parse(time)), time).toBe(ticks)
  }
})

test('milliseconds are cut down, also before 1970', () => {
  expect(msFromTicks(621_355_968_000_009_999n)).toBe(0)
  expect(msFromTicks(621_355_968_000_010_000n)).toBe(1)
  expect(msFromTicks(621_355_967_999_999_999n)).toBe(-1)
})

test('fractions of a millisecond are kept as ticks', () => {
  expect(ticksFromMs(0.1234)).toBe(621_355_968_000_001_234n)
})

test('a relative tick, written as two words, reads as the absolute one', () => {
  const seed = runSeed()
  console.log(`ticks SEED=${seed}`)
  const view = new DataView(new ArrayBuffer(8))
  const anyTime = fc.bigInt(0n, 3_155_378_975_999_999_999n)
  fc.assert(fc.property(anyTime, fc.maxSafeNat(), (opened, later) => {
    const base = tickBase(opened)
    const ticks = opened + BigInt(later) - (opened & 0xffffffffn)
    const relative = relativeTicks(ticks, base)
    expect(absoluteTicks(relative, base)).toBe(ticks)
    setTicks(view, 0, relative, base)
    expect(view.getBigInt64(0, true)).toBe(ticks)
    expect(msFromTickWords(view.getUint32(4, true), view.getUint32(0, true))).toBe(msFromTicks(ticks))
  }), { seed, numRuns: 2000 })
})

test('milliseconds of every time from 1970 to 2248 are exact', () => {
  const seed = runSeed()
  console.log(`ticks SEED=${seed}`)
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 43 }), fc.nat(9999), (ms, rest) => {
    expect(msFromTicks(ticksFromMs(ms) + BigInt(rest))).toBe(ms)
  }), { seed, numRuns: 2000 })
})
