// Numbers from a seed, for scripts that run without a build: mulberry32 by Tommy Ettinger (public domain).

export function seededRandom(seed) {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** An integer from 0 to `limit` - 1. */
export function below(random, limit) {
  return Math.floor(random() * limit)
}
