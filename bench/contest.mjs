/**
 * Side by side: every contender once in each round, A B A B, each measurement in a process and a directory of its own, so that what else the
 * machine does meets all of them.
 */

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ratio } from './statistics.mjs'

const MEASURE = fileURLToPath(new URL('./measure.mjs', import.meta.url))
const LONGEST_MS = 30 * 60_000
const run = promisify(execFile)

/**
 * @typedef {object} Measurement
 * @property {string} name
 * @property {'durable' | 'written' | 'buffered' | 'none'} [promise] what a contender has done when it says that it is done
 * @property {string} call the function of the benchmark's file that measures: it gets the settings, `directory` (its own, empty) and `shared`
 *   (the contest's), and returns numbers by name, and curves as `points`
 * @property {object | ((round: Record<string, any>) => object)} settings or from what the ones before gave in this round
 * @property {string[]} [needs] peers
 * @property {string} [series] of the contest's plot
 * @property {number} [x]
 *
 * @typedef {object} Row a ratio
 * @property {string} name
 * @property {string | [measurement: string, metric: string]} of
 * @property {string | [measurement: string, metric: string]} against
 * @property {number} [atLeast] to reach
 * @property {number} [atMost]
 * @property {string} [limit] what profiles have shown to stand in the way, told where it is not reached
 *
 * @typedef {object} Contest
 * @property {string} title
 * @property {string} [note] how it is measured
 * @property {('ci' | 'quick')[]} in the runs that it is part of, beside the full one
 * @property {string} metric that is compared
 * @property {string} unit of it
 * @property {number} [rounds] where not as many as asked for
 * @property {{ call: string, settings: object, needs?: string[] }[]} [prepare] once, in the shared directory
 * @property {Measurement[]} measurements
 * @property {Row[]} [rows]
 * @property {object | object[]} [plot] see report.mjs
 */

/**
 * @param {Contest} contest
 * @param {object} context
 * @param {string} context.file of the benchmark, as a URL
 * @param {number} context.rounds
 * @param {string} context.root where directories are made
 * @param {Map<string, string>} context.missing peers that could not be had, and why
 * @param {(text: string) => void} context.say
 */
export async function runContest(contest, { file, rounds, root, missing, say }) {
  const lacks = (needs = []) => needs.find((peer) => missing.has(peer))
  const measurements = contest.measurements.filter(({ needs }) => lacks(needs) === undefined).map((measurement) => ({ ...measurement, values: [] }))
  const left = contest.measurements.filter(({ needs }) => lacks(needs) !== undefined)
  const count = contest.rounds ?? rounds
  const shared = mkdtempSync(join(root, 'shared-'))
  try {
    for (const { call, settings, needs } of contest.prepare ?? []) {
      if (lacks(needs) === undefined) await measure(file, call, { ...settings, directory: shared, shared })
    }
    for (let round = 1; round <= count; round++) {
      const soFar = {}
      for (const { name, call, settings, values } of measurements) {
        const chosen = typeof settings === 'function' ? settings(soFar) : settings
        values.push(soFar[name] = await measureAlone(file, call, chosen, { root, shared }))
      }
      say(`  ${contest.title}, round ${round} of ${count}: ${describeRound(contest, measurements)}`)
    }
  } finally {
    rmSync(shared, { recursive: true, force: true, maxRetries: 3 })
  }
  const { title, note, metric, unit, plot } = contest
  return {
    title, note, metric, unit, plot,
    measurements: measurements.map(({ name, promise, series, x, values }) => ({ name, promise, series, x, values })),
    rows: (contest.rows ?? []).flatMap((row) => judge(row, metric, measurements)),
    left: left.map(({ name, needs }) => ({ name, why: missing.get(lacks(needs)) })),
  }
}

/** In a directory of its own. */
async function measureAlone(file, call, settings, { root, shared }) {
  const directory = mkdtempSync(join(root, 'measure-'))
  try {
    return await measure(file, call, { ...settings, directory, shared })
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

/** In a process of its own. What it says on stderr is said. */
export async function measure(file, call, settings) {
  const { stdout, stderr } = await run(process.execPath, ['--expose-gc', MEASURE, file, call, JSON.stringify(settings)], { timeout: LONGEST_MS, maxBuffer: 2 ** 28 })
  if (stderr !== '') process.stderr.write(stderr)
  return JSON.parse(stdout.trimEnd().split('\n').at(-1))
}

/** No row where one of both could not be measured. */
function judge({ name, of, against, atLeast, atMost, limit }, metric, measurements) {
  const [values, others] = [of, against].map((side) => {
    const [contender, its] = typeof side === 'string' ? [side, metric] : side
    return measurements.find((measurement) => measurement.name === contender)?.values.map((value) => value[its])
  })
  if (values === undefined || others === undefined) return []
  const found = ratio(values, others)
  const isReached = (atLeast === undefined || found.ratio >= atLeast) && (atMost === undefined || found.ratio <= atMost)
  return [{ name, ...found, atLeast, atMost, limit, isReached: atLeast === undefined && atMost === undefined ? undefined : isReached }]
}

function describeRound({ metric, unit }, measurements) {
  const shown = measurements.slice(0, 6).map(({ name, values }) => `${name} ${Number(values.at(-1)[metric]?.toPrecision(4))}`)
  return `${shown.join(' · ')}${measurements.length > shown.length ? ' · …' : ''} ${unit}`
}
