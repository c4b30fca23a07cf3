/** Every round of every contender as a dot on a line, with a bar at the median: static SVG, from zero on. */

import { scaleLinear } from 'd3-scale'
import { median } from './statistics.mjs'

const WIDTH = 860
const LEFT = 330
const RIGHT = 40
const ROW = 26
const FOOT = 40

/**
 * @param {object} chart
 * @param {string} chart.label of the axis
 * @param {(value: number) => string} chart.format
 * @param {{ name: string, values: number[] }[]} chart.strips
 */
export function drawStrips({ label, format, strips }) {
  const most = Math.max(...strips.flatMap(({ values }) => values))
  const x = scaleLinear().domain([0, most > 0 ? most : 1]).nice().range([LEFT, WIDTH - RIGHT])
  const height = strips.length * ROW + FOOT
  const bottom = strips.length * ROW + 4
  const grid = x.ticks(4).map((tick) => `<line class="grid" x1="${at(x, tick)}" x2="${at(x, tick)}" y1="0" y2="${bottom}"/>`
    + `<text x="${at(x, tick)}" y="${bottom + 14}" text-anchor="middle">${escape(format(tick))}</text>`)
  const rows = strips.map(({ name, values }, index) => {
    const y = index * ROW + ROW / 2
    const dots = values.map((value) => `<circle cx="${at(x, value)}" cy="${y}" r="3.5" fill-opacity=".55"><title>${escape(`${name}: ${format(value)}`)}</title></circle>`)
    return `<text class="name" x="${LEFT - 10}" y="${y + 4}" text-anchor="end">${escape(name.length > 50 ? `${name.slice(0, 49)}…` : name)}</text>`
      + `<g class="s${index % 8}"><rect class="median" x="${at(x, median(values)) - 1.5}" y="${y - 9}" width="3" height="18"/>${dots.join('')}</g>`
  })
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img">${grid.join('')}${rows.join('\n')}
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${height - 6}" text-anchor="middle">${escape(label)}</text></svg>`
}

function at(x, value) {
  return Math.round(x(value) * 10) / 10
}

function escape(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
