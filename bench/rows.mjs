/** The ratios of a run, as a table for a terminal. */

import Table from 'cli-table3'

/** @param {{ contests: { rows: object[] }[] }[]} results */
export function renderRows(results) {
  const table = new Table({
    head: ['', 'ratio', 'round by round', 'to reach', ''],
    colAligns: ['left', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  })
  for (const row of results.flatMap(({ contests }) => contests.flatMap(({ rows }) => rows))) {
    table.push([row.name, times(row.ratio), `${times(row.min)} to ${times(row.max)}`, describeTarget(row), describeOutcome(row)])
  }
  return [table.toString(), ...limitsOf(results.flatMap(({ contests }) => contests.flatMap(({ rows }) => rows))).map(({ name, limit }) => `\n${name}: ${limit}`)].join('\n')
}

/** Of those that were not reached and whose limit is known. */
export function limitsOf(rows) {
  return rows.filter(({ isReached, limit }) => isReached === false && limit !== undefined)
}

export function times(ratio) {
  return `${ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(2)} ×`
}

export function describeTarget({ atLeast, atMost }) {
  return atLeast !== undefined ? `≥ ${atLeast} ×` : atMost !== undefined ? `≤ ${atMost} ×` : ''
}

export function describeOutcome({ isReached }) {
  return isReached === undefined ? '' : isReached ? 'reached' : 'NOT REACHED'
}
