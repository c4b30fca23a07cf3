/** Decisions for tests: drawn from a seed, so that a failing run can be run again, or all of them in turn. */

/** A source of numbers from 0 (included) to 1 (excluded). */
export type Random = () => number

/** Decides between `count` possibilities (1 or more): an index below `count`. */
export type Choose = (count: number) => number

/**
 * mulberry32 by Tommy Ettinger (public domain): 32 bits of state, one multiplication-heavy step a
 * draw. Good enough to choose test cases, and a whole run is named by one small number.
 */
export function seededRandom(seed: number): Random {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** An integer from 0 to `limit` - 1. */
export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit)
}

/** The seed of this run: the environment's `SEED`, else a new one. Whoever draws from it prints it. */
export function runSeed(): number {
  const given = process.env['SEED']
  return given === undefined ? Math.floor(Math.random() * 0x8000_0000) : Number(given) | 0
}

/** How likely a biased choice takes the last possibility, and how likely the first; else any. */
const BIASES = [[1, 0], [0, 1], [0.95, 0], [0, 0.95], [0.8, 0.1], [0.1, 0.8], [0.4, 0.4], [0, 0]] as const

/**
 * A chooser with a leaning, itself drawn. The possibilities of this model run from "nothing
 * survived" to "everything survived"; fair choices alone would hardly ever lose all of 40 sectors,
 * or none, or the last few, and those are the states in which recovery has most to decide.
 */
export function biasedChoice(random: Random): Choose {
  const inOrder = below(random, 4) === 0
  let untilStop = inOrder ? below(random, 1 << below(random, 8)) : 0
  const [last, first] = BIASES[below(random, BIASES.length)]!
  return (count) => {
    if (count === 1) return 0
    if (inOrder) return untilStop-- > 0 ? count - 1 : 0
    const draw = random()
    if (draw < last) return count - 1
    return draw < last + first ? 0 : below(random, count)
  }
}

/** Every sequence of choices in turn, as an odometer counts. */
export interface Odometer {
  readonly choose: Choose
  /** Starts the next sequence; false when all have been made. */
  advance(): boolean
}

/** An {@link Odometer} at its first sequence. What is decided between must follow from earlier choices alone. */
export function odometer(): Odometer {
  const digits: number[] = []
  const limits: number[] = []
  let place = 0
  return {
    choose(count) {
      if (place === digits.length) {
        digits.push(0)
        limits.push(count)
      }
      return digits[place++]!
    },
    advance() {
      place = 0
      while (digits.length > 0) {
        const digit = digits.pop()! + 1
        if (digit < limits.at(-1)!) {
          digits.push(digit)
          return true
        }
        limits.pop()
      }
      return false
    },
  }
}
