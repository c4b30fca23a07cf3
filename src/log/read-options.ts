/** What to read: checked once. */

import { outOfRange, wrongType } from '../errors.js'
import { abortSignal, flag, optionalFunction, optionGroup, timestampMs } from '../option-values.js'
import type { ReadPlan } from './read-plan.js'

/** What to read. All of it optional. */
export interface ReadOptions {
  /** The first sequence, from 1. Default: the first that the log still has. */
  readonly fromSequence?: number
  /** Entries appended at or after this time: milliseconds since 1970, or a Date. */
  readonly fromTimestamp?: number | Date
  /**
   * Whether entries that have been removed before the reading comes to them are an error, `ERR_WAL_TRIMMED`, from its first one on. Default false: it
   * begins with the first entry that there is. What goes after it has begun, or waited for its first entry, is an error either way.
   */
  readonly strict?: boolean
  /** At most this many entries over the whole reading. Default: no limit. */
  readonly limit?: number
  /** Go on with entries that come later, until aborted, or the log is closed. Default false. */
  readonly follow?: boolean
  /** Ends the reading with the signal's reason. */
  readonly signal?: AbortSignal
  /** With `follow`: called when all entries up to this sequence have been handed out, and the reading waits for more. */
  readonly onCaughtUp?: (sequence: number) => void
  /** Told of sequences that a salvage has given up, when they are passed over; entries before them may be handed out after that. */
  readonly onGap?: (firstSequence: number, lastSequence: number) => void
}

/** Options of `readLog`. */
export interface ReadLogOptions extends ReadOptions {
  /** Also what is written but not known to be durable: it may be gone after a power cut. Default false. */
  readonly includeWritten?: boolean
}

const KNOWN = ['fromSequence', 'fromTimestamp', 'strict', 'limit', 'follow', 'signal', 'onCaughtUp', 'onGap']
const KNOWN_ELSEWHERE = [...KNOWN, 'includeWritten']

/** Checks the options of a reading in the writing process, or elsewhere. Throws `TypeError` or `RangeError` that names the option. */
export function resolveReadOptions(options: ReadLogOptions = {}, isElsewhere = false): ReadPlan {
  const group = optionGroup('options', options, isElsewhere ? KNOWN_ELSEWHERE : KNOWN)
  const { fromSequence = 1, fromTimestamp, limit = Infinity, signal, onCaughtUp, onGap } = options
  if (typeof fromSequence !== 'number') throw wrongType('options.fromSequence', 'an integer', fromSequence)
  if (!Number.isSafeInteger(fromSequence) || fromSequence < 1) throw outOfRange('options.fromSequence', 'an integer from 1', fromSequence)
  if (typeof limit !== 'number') throw wrongType('options.limit', 'an integer', limit)
  if (limit !== Infinity && (!Number.isSafeInteger(limit) || limit < 0)) throw outOfRange('options.limit', 'an integer from 0, or Infinity', limit)
  flag(group, 'includeWritten', false)
  return {
    fromSequence,
    fromTimestamp: fromTimestamp === undefined ? undefined : timestampMs('options.fromTimestamp', fromTimestamp),
    strict: flag(group, 'strict', false),
    limit,
    follow: flag(group, 'follow', false),
    signal: abortSignal('options.signal', signal),
    onCaughtUp: optionalFunction('options.onCaughtUp', onCaughtUp),
    onGap: optionalFunction('options.onGap', onGap),
  }
}
