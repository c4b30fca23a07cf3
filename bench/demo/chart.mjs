/** A line chart as static SVG: no script, no DOM. Scales and paths are d3's. */

import { line } from 'd3-shape'

const WIDTH = 860
const HEIGHT = 300
const MARGIN = { top: 14, right: 20, bottom: 44, left: 76 }

/**
 * @typedef {object} Axis
 * @property {import('d3-scale').ScaleContinuousNumeric<number, number>} scale with its domain; the range is set here
 * @property {string} label
 * @property {number[]} ticks
 * @property {(value: number) => string} format
 */

/**
 * @param {object} chart
 * @param {Axis} chart.x
 * @param {Axis} chart.y
 * @param {{ name: string, points: [x: number, y: number][], dots?: [x: number, y: number][] }[]} chart.series dots show their values
 * @param {{ x: number, label: string }[]} [chart.moments] vertical lines
 */
export function drawChart({ x, y, series, moments = [] }) {
  x.scale.range([MARGIN.left, WIDTH - MARGIN.right])
  y.scale.range([HEIGHT - MARGIN.bottom, MARGIN.top])
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
${drawAxes(x, y)}
${moments.map((moment, index) => drawMoment(moment, index, x)).join('\n')}
${series.map((one, index) => drawSeries(one, index, x, y)).join('\n')}
</svg>
<p class="legend">${series.map(({ name }, index) => `<span class="s${index}">${escape(name)}</span>`).join('')}</p>`
}

function drawAxes(x, y) {
  const bottom = HEIGHT - MARGIN.bottom
  const right = WIDTH - MARGIN.right
  const columns = x.ticks.map((tick) => {
    const at = round(x.scale(tick))
    return `<line class="grid" x1="${at}" x2="${at}" y1="${MARGIN.top}" y2="${bottom}"/>`
      + `<text x="${at}" y="${bottom + 18}" text-anchor="middle">${escape(x.format(tick))}</text>`
  })
  const rows = y.ticks.map((tick) => {
    const at = round(y.scale(tick))
    return `<line class="grid" x1="${MARGIN.left}" x2="${right}" y1="${at}" y2="${at}"/>`
      + `<text x="${MARGIN.left - 8}" y="${at + 4}" text-anchor="end">${escape(y.format(tick))}</text>`
  })
  const middle = (MARGIN.top + bottom) / 2
  return `${columns.join('')}${rows.join('')}
<text class="label" x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escape(x.label)}</text>
<text class="label" transform="translate(14 ${middle}) rotate(-90)" text-anchor="middle">${escape(y.label)}</text>`
}

/** Labels one below the other: moments may be close. */
function drawMoment({ x: value, label }, index, x) {
  const at = round(x.scale(value))
  const isLeft = at < WIDTH * 0.7
  return `<line class="moment" x1="${at}" x2="${at}" y1="${MARGIN.top}" y2="${HEIGHT - MARGIN.bottom}"/>`
    + `<text class="moment" x="${at + (isLeft ? 6 : -6)}" y="${MARGIN.top + 12 + 15 * index}" text-anchor="${isLeft ? 'start' : 'end'}">${escape(label)}</text>`
}

function drawSeries({ name, points, dots = [] }, index, x, y) {
  const path = line(([value]) => round(x.scale(value)), ([, value]) => round(y.scale(value)))
  const marks = dots.map(([atX, atY]) => `<circle cx="${round(x.scale(atX))}" cy="${round(y.scale(atY))}" r="4">`
    + `<title>${escape(`${name}: ${x.format(atX)}, ${y.format(atY)}`)}</title></circle>`)
  return `<g class="s${index}"><path d="${path(points)}"/>${marks.join('')}</g>`
}

function round(pixels) {
  return Math.round(pixels * 10) / 10
}

function escape(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
