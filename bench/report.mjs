/** The results as one page that needs nothing but a browser: ratios, tables, plots. */

import { scaleLinear, scaleLog } from 'd3-scale'
import { drawChart } from './demo/chart.mjs'
import { describeOutcome, describeTarget, limitsOf, times } from './rows.mjs'
import { spread, median } from './statistics.mjs'
import { drawStrips } from './strips.mjs'

const COLOURS = ['#3458c9', '#c2570c', '#2c8a43', '#8b3fb0', '#b3261e', '#0b8a8f', '#8a6d00', '#5b6472']
const DARK_COLOURS = ['#7d9bff', '#ff9b57', '#62c97c', '#cf93ee', '#ff7b80', '#4fd0d6', '#dcb93c', '#a9b3c2']
const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1f2430, #e4e7ee); --soft: light-dark(#667085, #98a2b3); --grid: light-dark(#e6e8ee, #2e3340); }
body { max-width: 940px; margin: 2.5rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: light-dark(#fff, #16181d); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.25rem; margin: 3rem 0 0; border-top: 1px solid var(--grid); padding-top: 1rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 0; } p { margin: .2rem 0 .6rem; color: var(--soft); }
table { border-collapse: collapse; margin: .6rem 0; font-size: .85rem; } th { font-weight: 600; text-align: right; color: var(--soft); }
th, td { padding: .15rem .7rem .15rem 0; border-bottom: 1px solid var(--grid); text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } td + td { white-space: nowrap; } code { font-size: .9em; }
svg { width: 100%; height: auto; overflow: visible; font: 12px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--grid); } path { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; } circle, rect.median { fill: currentColor; }
text.name { fill: var(--ink); } .good { color: ${light(2)}; } .bad { color: ${light(4)}; font-weight: 600; }
${COLOURS.map((_, index) => `.s${index} { color: ${light(index)}; }`).join(' ')}
.legend span { margin-right: 1.3rem; font-size: .85rem; white-space: nowrap; }
.legend span::before { content: ''; display: inline-block; width: 1.2em; border-top: 3px solid; margin-right: .5em; vertical-align: middle; }
.scroll { overflow-x: auto; }
`
const PROMISES = {
  durable: 'durable: synced to the disk',
  written: 'written: handed to the operating system, lost with the power',
  buffered: 'buffered: in the memory of a process or on its way, lost with that too',
  none: 'nothing is kept',
}

function light(index) {
  return `light-dark(${COLOURS[index]}, ${DARK_COLOURS[index]})`
}

export function drawReport(results) {
  const [{ machine, part, rounds, scale }] = results
  const rows = results.flatMap(({ contests }) => contests.flatMap((contest) => contest.rows))
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>ringwal: benchmarks</title><style>${STYLE}</style>
<h1>ringwal: benchmarks (${part}${scale === 1 ? '' : `, scale ${scale}: a trial, no measurement`})</h1>
<p>${describeMachine(machine)}</p>
<p>All contenders of a table took turns, ${rounds} rounds, each measurement in a process of its own. Medians, with the least and the most in brackets or as dots;
a ratio is that of the medians, with the least and the most of the rounds, each against its neighbour in time. ${Object.values(PROMISES).join('; ')}.</p>
${drawRows(rows)}
${limitsOf(rows).map(({ name, limit }) => `<p><b>${escape(name)}</b>: ${escape(limit)}</p>`).join('\n')}
${results.map(drawBenchmark).join('\n')}
</html>
`
}

function describeMachine({ processor, cores, memoryGib, node, system, fileSystem, device, directory, freeGib, disk, loadAverage, date }) {
  return escape(`${processor}, ${cores} cores, ${memoryGib} GiB; Node ${node}, ${system}; ${fileSystem} on ${device} (${freeGib} GiB free), files in ${directory}. `
    + `Raw disk: write + fdatasync of 4 KiB ${disk.preallocatedSyncUs.toFixed(0)} µs into allocated blocks, ${disk.appendSyncUs.toFixed(0)} µs appended; `
    + `${disk.preallocatedMegabytes.toFixed(0)} MB/s in batches of 1 MiB. Load at the beginning ${loadAverage.join(', ')}. ${date.slice(0, 16).replace('T', ' ')} UTC.`)
}

function drawRows(rows) {
  if (rows.length === 0) return ''
  const body = rows.map((row) => `<tr><td>${escape(row.name)}</td><td>${times(row.ratio)}</td><td>${times(row.min)} to ${times(row.max)}</td>`
    + `<td>${describeTarget(row)}</td><td class="${row.isReached ? 'good' : 'bad'}">${describeOutcome(row)}</td></tr>`)
  return `<div class="scroll"><table><tr><th>ratio</th><th>of medians</th><th>round by round</th><th>to reach</th><th></th></tr>${body.join('\n')}</table></div>`
}

function drawBenchmark({ title, contests }) {
  return `<h2>${escape(title)}</h2>\n${contests.map(drawContest).join('\n')}`
}

function drawContest(contest) {
  const { title, note, rows, left, measurements } = contest
  return `<h3>${escape(title)}</h3>${note === undefined ? '' : `<p>${escape(note).replace(/`([^`]+)`/g, '<code>$1</code>')}</p>`}
${left.map(({ name, why }) => `<p class="bad">Left out: ${escape(name)}: ${escape(why)}</p>`).join('')}
${measurements.length === 0 ? '' : `${[contest.plot].flat().map((plot) => drawPlot({ ...contest, plot })).join('\n')}\n${drawValues(contest)}`}
${drawRows(rows)}`
}

/** All numbers of all measurements: the one that is compared first. */
function drawValues({ metric, unit, measurements }) {
  const others = [...new Set(measurements.flatMap(({ values }) => Object.keys(values[0]).filter((key) => typeof values[0][key] === 'number')))].filter((key) => key !== metric)
  const promised = measurements.some(({ promise }) => promise !== undefined)
  const head = ['', ...(promised ? ['promise'] : []), `${metric}, ${unit}`, ...others].map((text) => `<th>${escape(text)}</th>`)
  const body = measurements.map(({ name, promise, values }) => {
    const { median: middle, min, max } = spread(values.map((value) => value[metric]))
    const show = (key) => (unit.startsWith('ns') && /^(p\d+|max|early|\w*(Ns|ns))$/.test(key) || key === metric && unit.startsWith('ns') ? FORMATS.ns : short)
    const cells = others.map((key) => (values[0][key] === undefined ? '' : show(key)(median(values.map((value) => value[key])))))
    const [shownMiddle, shownMin, shownMax] = [middle, min, max].map(show(metric))
    return `<tr>${[escape(name), ...(promised ? [promise ?? ''] : []), `${shownMiddle} (${shownMin} to ${shownMax})`, ...cells].map((text) => `<td>${text}</td>`).join('')}</tr>`
  })
  return `<div class="scroll"><table><tr>${head.join('')}</tr>${body.join('\n')}</table></div>`
}

/** Curves where the contest has a plot, else every round of every contender as a dot. */
function drawPlot(contest) {
  const { plot, metric, unit, measurements } = contest
  if (plot === undefined) return drawStrips({ label: unit, format: unit.startsWith('ns') ? FORMATS.ns : short, strips: measurements.map(({ name, values }) => ({ name, values: values.map((value) => value[metric]) })) })
  const series = plot.kind === undefined ? sweepSeries(contest) : pointSeries(contest)
  const points = series.flatMap((one) => one.points)
  if (points.length === 0) return ''
  const [x, y] = [plot.x, plot.y].map((axis, index) => makeAxis(axis, points.map((point) => point[index])))
  return drawChart({ x, y, series })
}

function sweepSeries({ plot, measurements, metric: compared }) {
  const metric = plot.metric ?? compared
  const names = [...new Set(measurements.map(({ series }) => series))]
  return names.map((name) => {
    const points = measurements.filter(({ series }) => series === name).map(({ x, values }) => [x, median(values.map((value) => value[metric]))])
    return { name, points, dots: points }
  })
}

/** Curves that a measurement brings: the median of all rounds, point by point. */
function pointSeries({ plot, measurements }) {
  const key = plot.points ?? 'points'
  return measurements.map(({ name, values }) => {
    const length = Math.min(...values.map((value) => value[key].length))
    return { name, points: Array.from({ length }, (_, index) => [values[0][key][index][0], median(values.map((value) => value[key][index][1]))]) }
  })
}

function makeAxis({ label, log = false, format, fromZero = false }, all) {
  const least = log ? Math.min(...all.filter((value) => value > 0)) : fromZero ? 0 : Math.min(...all)
  const most = Math.max(...all)
  const scale = (log ? scaleLog() : scaleLinear()).domain([least, most === least ? least * 1.1 + 1e-9 : most])
  // Powers of two have no nice decades.
  if (format !== 'bytes' && format !== 'percent') scale.nice()
  const ticks = format === 'bytes' || format === 'percent' ? steps(format, scale.domain()) : log ? scale.ticks().filter((tick) => Math.abs(Math.log10(tick) % 1) < 1e-9) : scale.ticks(6)
  return { scale, label, ticks: ticks.length > 1 ? ticks : scale.ticks(5), format: FORMATS[format] }
}

function steps(format, [least, most]) {
  const all = format === 'bytes' ? Array.from({ length: 20 }, (_, power) => 4 ** power) : [2, 10, 100, 1000, 10_000, 100_000, 1_000_000]
  return all.filter((step) => step >= least && step <= most)
}

const FORMATS = {
  count: (value) => short(value),
  ns: (value) => (value < 1000 ? `${short(value)} ns` : value < 1e6 ? `${short(value / 1000)} µs` : value < 1e9 ? `${short(value / 1e6)} ms` : `${short(value / 1e9)} s`),
  bytes: (value) => (value < 1024 ? `${value} B` : value < 2 ** 20 ? `${short(value / 1024)} KiB` : value < 2 ** 30 ? `${short(value / 2 ** 20)} MiB` : `${short(value / 2 ** 30)} GiB`),
  percent: (value) => `${Number((100 - 100 / value).toFixed(4))} %`,
}

function short(value) {
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3)))
}

function escape(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
