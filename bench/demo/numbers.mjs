/** Numbers, as people read them. */

/** @param {number} number */
export function count(number) {
  return Math.round(number).toLocaleString('en-US')
}

/** @param {number} value milliseconds */
export function ms(value) {
  return `${Number(value.toPrecision(3))} ms`
}
