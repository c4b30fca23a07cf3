/** Curves over time, as one page that needs nothing but a browser. */

import { scaleLinear } from 'd3-scale'
import { drawChart } from '../../../bench/demo/chart.mjs'
import { STYLE } from '../../../bench/demo/page.mjs'

/**
 * The page.
 *
 * @param {string} found a line that says what was found
 * @param {readonly import('../soak.js').Curve[]} curves
 */
export function drawCurves(found, curves) {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>ringwal under load for long</title><style>${STYLE}</style>
<h1>ringwal under load for long</h1>
<p>Two producers, one of them on its own thread, one consumer in batches, rolls, checkpoints, recycled segments.
Node ${process.version}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC.</p>
<p>${found}</p>
${curves.map(drawCurve).join('\n')}
</html>
`
}

function drawCurve({ label, points }) {
  const x = scaleLinear().domain([0, Math.max(...points.map(([seconds]) => seconds))])
  const y = scaleLinear().domain([0, Math.max(...points.map(([, value]) => value))]).nice()
  return `<h2>${label}</h2>\n${drawChart({
    x: { scale: x, label: 'seconds', ticks: x.ticks(12), format: String },
    y: { scale: y, label, ticks: y.ticks(5), format: (value) => value.toLocaleString('en-US') },
    series: [{ name: label, points }],
  })}`
}
