/** The values that options take on the command line. */

import { InvalidArgumentError } from 'commander'

const SPAN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/
const SPAN_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }
const SIZE = /^(\d+)(k|m|g)?(?:i?b)?$/i
const SIZE_BYTES: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }
const ISO_DATE = /^\d{4}-\d{2}-\d{2}(?:[T ].*)?$/
/** The latest time that a Date can hold. */
const MAX_MS = 8.64e15

/** An integer from 0 or 1. */
export function parseCount(least: 0 | 1): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!Number.isSafeInteger(value) || value < least) throw new InvalidArgumentError(`Expected an integer from ${least}.`)
    return value
  }
}

/** Milliseconds since 1970 of an ISO date, of milliseconds, or of a span before now such as 10m, 2h or 1d. */
export function parseTime(text: string, nowMs = Date.now()): number {
  const [, amount, unit] = SPAN.exec(text) ?? []
  const ms = amount !== undefined ? nowMs - Number(amount) * SPAN_MS[unit!]!
    : /^-?\d+$/.test(text) ? Number(text)
    : ISO_DATE.test(text) ? Date.parse(text)
    : Number.NaN
  if (!(Math.abs(ms) <= MAX_MS)) throw new InvalidArgumentError('Expected an ISO date, milliseconds since 1970, or a span such as 90s, 10m, 2h or 1d.')
  return ms
}

/** Milliseconds of a span such as 500ms, 10s or 5m. */
export function parseSpan(text: string): number {
  const [, amount, unit] = SPAN.exec(text) ?? []
  if (amount === undefined) throw new InvalidArgumentError('Expected a span such as 500ms, 10s or 5m.')
  return Number(amount) * SPAN_MS[unit!]!
}

/** Bytes of a size such as 4096, 64K, 16M or 1G. */
export function parseSize(text: string): number {
  const [, amount, unit = ''] = SIZE.exec(text) ?? []
  if (amount === undefined) throw new InvalidArgumentError('Expected bytes, such as 4096, 64K, 16M or 1G.')
  return Number(amount) * SIZE_BYTES[unit.toLowerCase()]!
}
