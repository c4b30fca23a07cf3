import fc from 'fast-check'
import { expect, test } from 'vitest'
import { getUint64, setUint64 } from '../../dist/src/format/integers.js'
import { runSeed } from '../model/random.js'

const view = new DataView(new ArrayBuffer(16))

test('every safe integer comes back, and stands as a little-endian u64', () => {
  const seed = runSeed()
  console.log(`integers SEED=${seed}`)
  fc.assert(fc.property(fc.maxSafeNat(), fc.nat(8), (value, offset) => {
    setUint64(view, offset, value)
    expect(view.getBigUint64(offset, true)).toBe(BigInt(value))
    expect(getUint64(view, offset)).toBe(value)
  }), { seed, numRuns: 2000 })
})

test('the edges of the 32-bit words and of 2^53 come back', () => {
  for (const value of [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
    setUint64(view, 0, value)
    expect(getUint64(view, 0)).toBe(value)
  }
})

test('what no number can hold exactly reads as NaN, never as something near', () => {
  for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    view.setBigUint64(0, value, true)
    expect(getUint64(view, 0)).toBeNaN()
  }
})

test('nothing but a safe non-negative integer is ever written', () => {
  for (const value of [-1, 0.5, 2 ** 53, Number.NaN, Infinity, -Infinity]) {
    expect(() => setUint64(view, 0, value)).toThrow(expect.objectContaining({ code: 'ERR_WAL_INVARIANT' }))
  }
})
