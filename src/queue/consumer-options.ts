/** What may be asked of a consumer: checked once, every default filled. */

import { outOfRange, wrongType, wrongValue } from '../errors.js'
import type { LogEntry } from '../log/entry.js'
import { abortSignal, flag, integer, milliseconds, optionalFunction, optionGroup, timestampMs, type OptionGroup } from '../option-values.js'

const MAX_NAME_BYTES = 255
const MIB = 2 ** 20

/** Where a consumer begins. `{ sequence }`: that entry comes next. */
export type ConsumerStart = 'committed' | 'earliest' | 'latest' | { readonly sequence: number } | { readonly timestamp: number | Date }

/** How failed attempts are repeated. */
export interface RetryOptions {
  /** Attempts in all, 1 to 2^31 - 1. Default 10. */
  readonly maxAttempts?: number
  /** Milliseconds before the second attempt. Default 200. */
  readonly initialDelayMs?: number
  /** The longest delay, in ms. Default 30,000. */
  readonly maxDelayMs?: number
  /** Each delay is so many times the one before, from 1. Default 2. */
  readonly factor?: number
  /** Delays are drawn at random from half of their length to all of it, so that what failed together does not come back together. Default true. */
  readonly jitter?: boolean
}

/** What a handler is told beside its entries. */
export interface DeliveryContext {
  /** 1 the first time. After a crash it begins with 1 again. */
  readonly attempt: number
  /** Aborted when the time is over that a stopped consumer leaves to what is in flight. */
  readonly signal: AbortSignal
}

/** What is common to `run` and `runBatches`. */
export interface DeliveryOptions {
  readonly retry?: RetryOptions
  /**
   * Where entries go that failed for good: the name of a log of its own below the directory. They are durable there before they are
   * committed here. Without it the consumer stops with `ERR_WAL_HANDLER`, and commits nothing of them.
   */
  readonly deadLetter?: string
  /** Told of every failed attempt. What it throws stops the consumer; so does what it rejects with, unless that was sought or has stopped meanwhile: nothing waits for it. */
  readonly onError?: (error: unknown, failed: { readonly entries: readonly LogEntry[]; readonly attempt: number }) => unknown
  /** Stops the consumer, like `stop()`. */
  readonly signal?: AbortSignal
  /** How long what is in flight may take when the consumer stops, 0 to Infinity, in ms. Default 10,000. */
  readonly stopTimeoutMs?: number
}

/** Options of `run`. */
export interface RunOptions extends DeliveryOptions {
  /** Handlers running at a time, 1 to 65,536. Default 1. The cursor moves over the finished prefix only. */
  readonly concurrency?: number
}

/** Options of `runBatches`. */
export interface RunBatchesOptions extends DeliveryOptions {
  /** Entries of a batch at most, 1 to 2^20. Default 1,000. */
  readonly maxEntries?: number
  /** Bytes of a batch at most; a larger entry is one by itself. Default 1 MiB. */
  readonly maxBytes?: number
  /** How long a batch waits to be full, in ms. Default 0: what is there is delivered. */
  readonly maxWaitMs?: number
}

/** Options with every default filled. */
export interface ResolvedDelivery {
  readonly maxAttempts: number
  readonly initialDelayMs: number
  readonly maxDelayMs: number
  readonly factor: number
  readonly jitter: boolean
  readonly deadLetter: string | undefined
  readonly onError: DeliveryOptions['onError']
  readonly signal: AbortSignal | undefined
  readonly stopTimeoutMs: number
}

const KNOWN = ['retry', 'deadLetter', 'onError', 'signal', 'stopTimeoutMs']
const KNOWN_RETRY = ['maxAttempts', 'initialDelayMs', 'maxDelayMs', 'factor', 'jitter']

/** Checks the options of `run`. */
export function resolveRun(options: RunOptions = {}): ResolvedDelivery & { readonly concurrency: number } {
  const group = optionGroup('options', options, [...KNOWN, 'concurrency'])
  return { ...resolveDelivery(group, options), concurrency: integer(group, 'concurrency', 1, 1, 65_536) }
}

/** Checks the options of `runBatches`. */
export function resolveRunBatches(options: RunBatchesOptions = {}): ResolvedDelivery & { readonly maxEntries: number; readonly maxBytes: number; readonly maxWaitMs: number } {
  const group = optionGroup('options', options, [...KNOWN, 'maxEntries', 'maxBytes', 'maxWaitMs'])
  return {
    ...resolveDelivery(group, options),
    maxEntries: integer(group, 'maxEntries', 1000, 1, MIB),
    maxBytes: integer(group, 'maxBytes', MIB, 1, Number.MAX_SAFE_INTEGER),
    maxWaitMs: milliseconds(group, 'maxWaitMs', 0, 0, 2 ** 31 - 1),
  }
}

function resolveDelivery(group: OptionGroup, options: DeliveryOptions): ResolvedDelivery {
  const retry = optionGroup('options.retry', options.retry ?? {}, KNOWN_RETRY)
  const { deadLetter, onError, signal } = options
  return {
    maxAttempts: integer(retry, 'maxAttempts', 10, 1, 2 ** 31 - 1),
    initialDelayMs: milliseconds(retry, 'initialDelayMs', 200, 0, 2 ** 31 - 1),
    maxDelayMs: milliseconds(retry, 'maxDelayMs', 30_000, 0, 2 ** 31 - 1),
    factor: milliseconds(retry, 'factor', 2, 1, 1000),
    jitter: flag(retry, 'jitter', true),
    deadLetter: deadLetter === undefined ? undefined : checkName('options.deadLetter', deadLetter),
    onError: optionalFunction('options.onError', onError),
    signal: abortSignal('options.signal', signal),
    stopTimeoutMs: milliseconds(group, 'stopTimeoutMs', 10_000, 0, Infinity),
  }
}

/** A name of a consumer or of a dead-letter log: also a safe name of a directory. */
export function checkName(path: string, name: unknown): string {
  if (typeof name !== 'string') throw wrongType(path, 'a string', name)
  const isSound = name !== '' && name !== '.' && name !== '..' && Buffer.byteLength(name) <= MAX_NAME_BYTES && !/[/\\\p{Cc}\p{Cs}]/u.test(name)
  if (!isSound) throw wrongValue(path, `a name of 1 to ${MAX_NAME_BYTES} bytes without slashes and control characters`, name)
  return name
}

/** Checks where to begin. */
export function checkStart(path: string, start: unknown): ConsumerStart {
  if (start === 'committed' || start === 'earliest' || start === 'latest') return start
  if (start === null || typeof start !== 'object') throw wrongValue(path, "'committed', 'earliest', 'latest', { sequence } or { timestamp }", start)
  return checkPlace(path, start)
}

/** Checks a place to seek. */
export function checkPlace(path: string, place: unknown): { readonly sequence: number } | { readonly timestamp: number } {
  const { values } = optionGroup(path, place, ['sequence', 'timestamp'])
  const { sequence, timestamp } = values
  if ((sequence === undefined) === (timestamp === undefined)) throw wrongValue(path, 'either { sequence } or { timestamp }', place)
  if (sequence !== undefined) {
    if (typeof sequence !== 'number') throw wrongType(`${path}.sequence`, 'an integer', sequence)
    if (!Number.isSafeInteger(sequence) || sequence < 1) throw outOfRange(`${path}.sequence`, 'an integer from 1', sequence)
    return { sequence }
  }
  return { timestamp: timestampMs(`${path}.timestamp`, timestamp) }
}
