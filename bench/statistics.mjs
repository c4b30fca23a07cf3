/** Medians, spreads and ratios of what several rounds gave. */

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** @param {readonly number[]} values */
export function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/**
 * Of the medians; and the least and the most of the rounds, each against its own neighbour in time.
 *
 * @param {readonly number[]} values
 * @param {readonly number[]} others of the same rounds
 */
export function ratio(values, others) {
  const byRound = values.map((value, round) => value / others[round])
  return { ratio: median(values) / median(others), min: Math.min(...byRound), max: Math.max(...byRound), rounds: byRound }
}
