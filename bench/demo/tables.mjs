/** What the demo found, as tables. */

import Table from 'cli-table3'
import { count, ms } from './numbers.mjs'

/** Without colours, and without a line between rows. */
const PLAIN = { style: { head: [], border: [], compact: true } }
const LATENCY_PERCENTILES = [50, 90, 99, 99.9, 100]
const LOOP_PERCENTILES = [50, 99, 100]

const name = (percentile) => (percentile === 100 ? 'max' : `p${percentile}`)

/** @param {[name: string, expected: unknown, got: unknown][]} checks */
export function checkTable(checks) {
  const table = new Table({ ...PLAIN, head: ['check', 'expected', 'found', ''] })
  for (const [what, expected, got] of checks) table.push([what, String(expected), String(got), expected === got ? 'ok' : 'FAILED'])
  return table.toString()
}

/** @param {{ baseline: import('./server-run.mjs').ServerRun, killed: ServerRun, second: ServerRun }} runs */
export function figureTable({ baseline, killed, second }) {
  const runs = [baseline, killed, second]
  const stats = (pick) => runs.map(({ lastState }) => (lastState.stats === undefined ? '' : pick(lastState.stats)))
  const latency = (percentile) => runs.map((run) => (run === baseline ? '' : ms(run.latency.getValueAtPercentile(percentile) / 1000)))
  const loopDelay = (percentile) => runs.map(({ lastState }) => ms(lastState.loopDelay.find((point) => point.percentile === percentile).ms))

  const table = new Table({ ...PLAIN, head: ['', 'nothing logged', 'until SIGKILL', 'after restart'], colAligns: ['left', 'right', 'right', 'right'] })
  table.push(
    ['requests answered / s', ...runs.map((run) => count(run.answered / run.seconds))],
    ['entries made durable / s', ...runs.map((run) => (run === baseline ? '' : count(run.receipts.length / run.seconds)))],
    ...LATENCY_PERCENTILES.map((percentile) => [`append to durable, ${name(percentile)}`, ...latency(percentile)]),
    ...LOOP_PERCENTILES.map((percentile) => [`event loop delay, ${name(percentile)}`, ...loopDelay(percentile)]),
    ['batches', ...stats(({ batches }) => count(batches))],
    ['entries in a batch, mean', ...stats(({ entries, batches }) => (entries / batches).toFixed(1))],
    ['bytes', ...stats(({ bytes }) => count(bytes))],
    ['syncs', ...stats(({ syncs }) => count(syncs))],
    ['sync, mean', ...stats(({ syncMs, syncs }) => ms(syncMs / syncs))],
  )
  return table.toString()
}
