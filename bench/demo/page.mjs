/** What the demo measured, as curves on one page that needs nothing but a browser. */

import { scaleLinear, scaleLog } from 'd3-scale'
import { drawChart } from './chart.mjs'
import { count, ms } from './numbers.mjs'

/** How its pages look. */
export const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1f2430, #e4e7ee); --soft: light-dark(#667085, #98a2b3); --grid: light-dark(#e6e8ee, #2e3340);
  --s0: light-dark(#3458c9, #7d9bff); --s1: light-dark(#c2570c, #ff9b57); --s2: light-dark(#2c8a43, #62c97c); --alarm: light-dark(#c4272f, #ff7b80); }
body { max-width: 880px; margin: 2.5rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: light-dark(#fff, #16181d); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 0; } p { margin: .2rem 0 .6rem; color: var(--soft); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--grid); } line.moment { stroke: var(--alarm); stroke-dasharray: 4 3; } text.moment { fill: var(--alarm); }
path { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; } circle { fill: currentColor; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); }
.legend span { margin-right: 1.5rem; font-size: .85rem; }
.legend span::before { content: ''; display: inline-block; width: 1.2em; border-top: 3px solid;
  margin-right: .5em; vertical-align: middle; }
`

/** Percentiles are drawn over one in how many: 99.9 % at 1000, so that the tail has room. */
const oneIn = (percentile) => 100 / (100 - percentile)
const percent = (value) => `${Number((100 - 100 / value).toFixed(3))} %`

/** @param {{ baseline: import('./server-run.mjs').ServerRun, killed: ServerRun, second: ServerRun, reopenedMs: number }} story */
export function drawPage({ baseline, killed, second, reopenedMs }) {
  const p = (percentile) => ms(killed.latency.getValueAtPercentile(percentile) / 1000)
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>ringwal demo</title><style>${STYLE}</style>
<h1>ringwal: what the demo measured</h1>
<p>A web server that answers each request when its log line is synced to the disk, killed under load and started again.
Node ${process.version}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC.</p>
<h2>From append to durable: half within ${p(50)}, 99 % within ${p(99)}</h2>
<p>As the server's event loop saw it, its own queue included. Each request waits for one sync, shared with all that came meanwhile.</p>
${drawLatency({ killed, second })}
<h2>${count(killed.receipts.length)} entries acknowledged, then SIGKILL; ${count(second.receipts.length)} more after the restart</h2>
<p>Entries that became durable, requests and pool together, per second.</p>
${drawThroughput({ killed, second, reopenedMs })}
<h2>How late the event loop was</h2>
<p>The same server, pool and load in all runs. Nothing is logged in one of them: its delay is the machine's and HTTP's own.</p>
${drawLoopDelay({ baseline, killed, second })}
</html>
`
}

function drawLatency({ killed, second }) {
  const series = [['until SIGKILL', killed], ['after restart', second]].map(([name, { latency }]) => {
    const at = (value) => [value, latency.getValueAtPercentile(100 - 100 / value) / 1000]
    const points = []
    for (let value = 1; value <= latency.totalCount; value *= 1.1) points.push(at(value))
    return { name, points, dots: [50, 90, 99, 99.9].map(oneIn).filter((value) => value <= latency.totalCount).map(at) }
  })
  return drawPercentiles(series, 'requests', 'append to durable')
}

function drawLoopDelay({ baseline, killed, second }) {
  const runs = [['until SIGKILL', killed], ['after restart', second], ['nothing logged', baseline]]
  const series = runs.map(([name, { lastState }]) => {
    const points = lastState.loopDelay
      .filter(({ percentile }) => percentile < 100)
      .map(({ percentile, ms: value }) => [oneIn(percentile), Math.max(0.01, value)])
    return { name, points, dots: points }
  })
  return drawPercentiles(series, 'turns of the timer', 'delay')
}

function drawPercentiles(series, ofWhat, label) {
  const all = series.flatMap(({ points }) => points)
  const x = scaleLog().domain(range(all.map(([value]) => value)))
  const y = scaleLog().domain(range(all.map(([, value]) => value))).nice()
  const [low, high] = x.domain()
  const ticks = [1, 2, 10, 100, 1000, 10_000, 100_000].filter((tick) => tick >= low && tick <= high)
  return drawChart({
    x: { scale: x, label: `share of ${ofWhat} (logarithmic)`, ticks, format: percent },
    y: { scale: y, label, ticks: y.ticks().filter(isDecade), format: ms },
    series,
  })
}

function drawThroughput({ killed, second, reopenedMs }) {
  const seconds = (atMs) => (atMs - killed.startMs) / 1000
  const rate = (run) => {
    const states = run.states.filter(({ atMs }) => atMs <= run.endMs)
    return states.slice(1).map(({ atMs, durable }, index) => [seconds(atMs), (durable - states[index].durable) / ((atMs - states[index].atMs) / 1000)])
  }
  const series = [{ name: 'until SIGKILL', points: rate(killed) }, { name: 'after restart', points: rate(second) }]
  const x = scaleLinear().domain([0, seconds(second.endMs)])
  const y = scaleLinear().domain([0, Math.max(...series.flatMap(({ points }) => points.map(([, value]) => value)))]).nice()
  return drawChart({
    x: { scale: x, label: 'seconds', ticks: x.ticks(12), format: String },
    y: { scale: y, label: 'entries / s', ticks: y.ticks(5), format: count },
    series,
    moments: [{ x: seconds(killed.endMs), label: 'SIGKILL' }, { x: seconds(reopenedMs), label: 'opened and read' }],
  })
}

function isDecade(value) {
  return Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9
}

function range(values) {
  return [Math.min(...values), Math.max(...values)]
}
