/** Checking arguments and the values of options, one by one: what comes back is sound, or the default. Throws an error that names it. */

import { resolve } from 'node:path'
import { outOfRange, wrongType, wrongValue } from './errors.js'

/** Options as they came, and what they are called in messages. */
export interface OptionGroup {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
}

/** The options of that name. Throws `TypeError` when they are not an object, or one of them is not `known`. */
export function optionGroup(path: string, options: unknown, known: readonly string[]): OptionGroup {
  if (options === null || typeof options !== 'object') throw wrongType(path, 'an object', options)
  const values = options as Record<string, unknown>
  for (const name of Object.keys(values)) {
    if (!known.includes(name)) throw wrongValue(`${path}.${name}`, `one of the known options: ${known.join(', ')}`, values[name])
  }
  return { path, values }
}

/** A safe integer within bounds. */
export function integer(group: OptionGroup, name: string, fallback: number, min: number, max: number): number {
  const value = group.values[name]
  if (value === undefined) return fallback
  if (typeof value !== 'number') throw wrongType(`${group.path}.${name}`, 'an integer', value)
  if (!Number.isSafeInteger(value) || value < min || value > max) throw outOfRange(`${group.path}.${name}`, `an integer from ${min} to ${max}`, value)
  return value
}

/** An integer that is a power of two, within bounds that are. */
export function powerOfTwo(group: OptionGroup, name: string, fallback: number, min: number, max: number): number {
  const value = integer(group, name, fallback, min, max)
  if ((value & (value - 1)) !== 0) throw outOfRange(`${group.path}.${name}`, `a power of two from ${min} to ${max}`, value)
  return value
}

/** A number of milliseconds within bounds. */
export function milliseconds(group: OptionGroup, name: string, fallback: number, min: number, max: number): number {
  const value = group.values[name]
  if (value === undefined) return fallback
  if (typeof value !== 'number') throw wrongType(`${group.path}.${name}`, 'a number of milliseconds', value)
  if (!(value >= min && value <= max)) throw outOfRange(`${group.path}.${name}`, `from ${min} to ${max} milliseconds`, value)
  return value
}

/** One of some words; the first is the default. */
export function oneOf<const Choice extends string>(group: OptionGroup, name: string, choices: readonly [Choice, ...Choice[]]): Choice {
  const value = group.values[name]
  if (value === undefined) return choices[0]
  if (!choices.includes(value as Choice)) throw wrongValue(`${group.path}.${name}`, `one of ${choices.map((choice) => `'${choice}'`).join(', ')}`, value)
  return value as Choice
}

/** True or false. */
export function flag(group: OptionGroup, name: string, fallback: boolean): boolean {
  const value = group.values[name]
  if (value === undefined) return fallback
  if (typeof value !== 'boolean') throw wrongType(`${group.path}.${name}`, 'a boolean', value)
  return value
}

/** A signal, or none. */
export function abortSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value
  throw wrongType(name, 'an AbortSignal', value)
}

/** A function, or none. */
export function optionalFunction<Value>(name: string, value: Value): Value {
  if (value === undefined || typeof value === 'function') return value
  throw wrongType(name, 'a function', value)
}

/** A time in milliseconds since 1970. */
export function timestampMs(name: string, value: unknown): number {
  const ms = value instanceof Date ? value.getTime() : value
  if (typeof ms !== 'number') throw wrongType(name, 'a number of milliseconds since 1970, or a Date', value)
  if (!Number.isFinite(ms)) throw outOfRange(name, 'a valid time', ms)
  return ms
}

/** The absolute path of a directory. */
export function directoryPath(name: string, value: unknown): string {
  return resolve(checkPath(name, value))
}

/** A path that the system can be asked for. */
export function checkPath(name: string, value: unknown): string {
  if (typeof value !== 'string') throw wrongType(name, 'a string', value)
  if (value.length === 0 || value.includes('\0')) throw wrongValue(name, 'a path: not empty, without null bytes', value)
  return value
}
