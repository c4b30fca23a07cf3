/**
 * Speed, first look: one producer, lines of 104 bytes, durable. Side by side in one run:
 *
 * - ringwal: `append`, then `durable` of the last one
 * - lmdb: batched `put`s, then `flushed`, so that they are as durable
 * - pino: a transport thread that writes to a file and never syncs, until all lines are in the file
 *
 *     npm run bench:first-look
 *
 * Each measurement has a process of its own, and a store that has taken as many lines before. The contenders take turns, so that what else the machine
 * does meets all of them. LINES and ROUNDS may be set in the environment.
 */

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import Table from 'cli-table3'
import { LINE_BYTES } from './lines.mjs'

const LINES = Number(process.env.LINES ?? 500_000)
const ROUNDS = Number(process.env.ROUNDS ?? 5)

const MEASURE = fileURLToPath(new URL('./measure-append.mjs', import.meta.url))

/** `target`: how many times as fast ringwal means to be. */
const contenders = [
  { name: 'ringwal', module: './ringwal.mjs' },
  { name: 'lmdb, batched puts', module: './peers/lmdb.mjs', target: 3 },
  { name: 'pino transport, no sync', module: './peers/pino-transport.mjs', target: 1.5 },
].map((contender) => ({ ...contender, rates: [] }))

const run = promisify(execFile)

for (let round = 1; round <= ROUNDS; round++) {
  for (const contender of contenders) contender.rates.push(await measure(contender))
  console.log(`round ${round} of ${ROUNDS}: ${contenders.map(({ name, rates }) => `${name} ${millions(rates.at(-1))}`).join(' · ')}`)
}

const [ringwal] = contenders
const table = new Table({
  head: [`${LINES.toLocaleString('en-US')} lines of ${LINE_BYTES} bytes`, 'median lines/s', 'min to max', 'MB/s', 'ringwal is faster by', 'target'],
  colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
  style: { head: [], border: [], compact: true },
})
for (const contender of contenders) {
  const middle = median(contender.rates)
  table.push([
    contender.name,
    millions(middle),
    `${millions(Math.min(...contender.rates))} to ${millions(Math.max(...contender.rates))}`,
    ((middle * LINE_BYTES) / 1e6).toFixed(0),
    contender === ringwal ? '' : describeRatio(contender),
    contender.target === undefined ? '' : `${contender.target} x`,
  ])
}
console.log(`\nNode ${process.version}, ${process.platform} ${process.arch}, files in ${tmpdir()}\n${table}`)

/** Lines per second. */
async function measure({ module }) {
  const directory = mkdtempSync(join(tmpdir(), 'ringwal-bench-'))
  try {
    const { stdout } = await run(process.execPath, [MEASURE, module, directory, String(LINES)])
    return LINES / (Number(stdout) / 1000)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Of the medians; and of the rounds, each against its own neighbour. */
function describeRatio({ rates }) {
  const byRound = rates.map((rate, round) => ringwal.rates[round] / rate)
  const [low, high] = [Math.min(...byRound), Math.max(...byRound)]
  return `${(median(ringwal.rates) / median(rates)).toFixed(2)} x (${low.toFixed(2)} to ${high.toFixed(2)})`
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function millions(rate) {
  return `${(rate / 1e6).toFixed(2)} M/s`
}
