/** The options of a log: checked once, every default filled, frozen. Nothing is made on disk before all of them are sound. */

import { resolve } from 'node:path'
import { outOfRange, wrongType, wrongValue } from '../errors.js'
import { MAX_FRAME_DATA_BYTES } from '../format/frame-layout.js'
import { MAX_RING_BYTES, MAX_SLOTS, MIN_RING_BYTES, MIN_SLOTS } from '../ring/ring-layout.js'
import type { Durability } from '../writer/writer-options.js'
import type { WhenFull } from './producer.js'

const KIB = 1024
const MIB = 1024 * KIB
const DAY_MS = 86_400_000
/** Ring bytes for each slot, where slots are not given. */
const RING_BYTES_PER_SLOT = 64
const LARGEST_SEGMENT_BYTES = 16 * 1024 * MIB

/** Options of {@link openLog}. Only `directory` is needed. */
export interface LogOptions {
  /** The log's directory; made, with its parents, if it is not there (mode 0700). */
  readonly directory: string
  /** Size of the ring, a power of two from 4 KiB to 1 GiB. Default 16 MiB. */
  readonly ringBytes?: number
  /** Entries that may be in the ring at a time, a power of two from 16 to 2^24. Default: `ringBytes` / 64. */
  readonly ringSlots?: number
  /** The largest entry, 1 byte to 1 GiB. Default 64 MiB. Memory for it is reserved, not used, until one comes. */
  readonly maxEntryBytes?: number
  /** A segment is sealed before it would grow beyond this, 4 KiB to 16 GiB; a single larger batch gets one of its own. Default 64 MiB. */
  readonly maxSegmentBytes?: number
  /** A segment is sealed at this many entries. Default: no limit. */
  readonly maxSegmentEntries?: number
  /** A segment is sealed at this age. Default: 1 day. */
  readonly maxSegmentAgeMs?: number
  /**
   * When batches are synced. `'batch'` (default): each at once. `{ intervalMs }`: at most so much later. `'manual'`: when somebody
   * waits for durability, flushes or closes, and at a roll.
   */
  readonly durability?: Durability
  /** How long a batch waits for more, 0 to 1000 ms. Default 0: it gathers while the one before is synced. */
  readonly lingerMs?: number
  /** The largest batch, 4 KiB to 1 GiB; a single larger entry or group is one by itself. Default: a quarter of the ring, at least 64 KiB. */
  readonly maxBatchBytes?: number
  /** What `append` does when the ring is full: `'throw'` (default), `'drop'` or `'block'`. */
  readonly whenFull?: WhenFull
  /** How long `'block'` blocks, in ms. Default 10,000. */
  readonly blockTimeoutMs?: number
  /**
   * Bytes of the tail that are filled with zeros at a time, ahead of need, 0 (off) to 1 GiB: syncing small batches into allocated
   * blocks takes half the time. Default 2 MiB, at most `maxSegmentBytes`.
   */
  readonly preallocateBytes?: number
  /** How long to wait for another process to let go of the directory, in ms, up to Infinity. Default 0. */
  readonly lockWaitMs?: number
  /** The writer's worker file, for bundles: where `ringwal/worker` ended up. */
  readonly workerUrl?: URL | string
  /** What to do when acknowledged data is damaged: `'refuse'` (default) to open. */
  readonly onCorrupt?: 'refuse'
}

/** The options with every default filled. */
export type ResolvedOptions = Required<Omit<LogOptions, 'workerUrl'>> & { readonly workerUrl: URL | string | undefined }

type OptionName = keyof LogOptions

const KNOWN: readonly OptionName[] = [
  'directory', 'ringBytes', 'ringSlots', 'maxEntryBytes', 'maxSegmentBytes', 'maxSegmentEntries', 'maxSegmentAgeMs', 'durability',
  'lingerMs', 'maxBatchBytes', 'whenFull', 'blockTimeoutMs', 'preallocateBytes', 'lockWaitMs', 'workerUrl', 'onCorrupt',
]

/** Checks the options and fills the defaults. Throws `TypeError` or `RangeError` that names the option. */
export function resolveOptions(options: LogOptions): ResolvedOptions {
  if (options === null || typeof options !== 'object') throw wrongType('options', 'an object', options)
  for (const name of Object.keys(options)) {
    if (!KNOWN.includes(name as OptionName)) throw wrongValue(`options.${name}`, `one of the known options: ${KNOWN.join(', ')}`, options[name as OptionName])
  }
  const directory = checkDirectory('options.directory', options.directory)
  const ringBytes = powerOfTwo(options, 'ringBytes', 16 * MIB, MIN_RING_BYTES, MAX_RING_BYTES)
  const maxSegmentBytes = integer(options, 'maxSegmentBytes', 64 * MIB, 4 * KIB, LARGEST_SEGMENT_BYTES)
  return Object.freeze({
    directory,
    ringBytes,
    ringSlots: powerOfTwo(options, 'ringSlots', Math.max(MIN_SLOTS, Math.min(MAX_SLOTS, ringBytes / RING_BYTES_PER_SLOT)), MIN_SLOTS, MAX_SLOTS),
    maxEntryBytes: integer(options, 'maxEntryBytes', 64 * MIB, 1, MAX_FRAME_DATA_BYTES),
    maxSegmentBytes,
    maxSegmentEntries: integer(options, 'maxSegmentEntries', Number.MAX_SAFE_INTEGER, 1, Number.MAX_SAFE_INTEGER),
    maxSegmentAgeMs: milliseconds(options, 'maxSegmentAgeMs', DAY_MS, 1, Infinity),
    durability: checkDurability(options.durability),
    lingerMs: milliseconds(options, 'lingerMs', 0, 0, 1000),
    maxBatchBytes: integer(options, 'maxBatchBytes', Math.max(64 * KIB, ringBytes / 4), 4 * KIB, 1024 * MIB),
    whenFull: oneOf(options, 'whenFull', ['throw', 'drop', 'block']),
    blockTimeoutMs: milliseconds(options, 'blockTimeoutMs', 10_000, 0, Infinity),
    preallocateBytes: integer(options, 'preallocateBytes', Math.min(2 * MIB, maxSegmentBytes), 0, 1024 * MIB),
    lockWaitMs: milliseconds(options, 'lockWaitMs', 0, 0, Infinity),
    workerUrl: checkWorkerUrl(options.workerUrl),
    onCorrupt: oneOf(options, 'onCorrupt', ['refuse']),
  })
}

/** An absolute path of a non-empty string. */
export function checkDirectory(name: string, directory: unknown): string {
  if (typeof directory !== 'string') throw wrongType(name, 'a string', directory)
  if (directory.length === 0 || directory.includes('\0')) throw wrongValue(name, 'a path: not empty, without null bytes', directory)
  return resolve(directory)
}

function integer(options: LogOptions, name: OptionName, fallback: number, min: number, max: number): number {
  const value = options[name]
  if (value === undefined) return fallback
  if (typeof value !== 'number') throw wrongType(`options.${name}`, 'an integer', value)
  if (!Number.isSafeInteger(value) || value < min || value > max) throw outOfRange(`options.${name}`, `an integer from ${min} to ${max}`, value)
  return value
}

function powerOfTwo(options: LogOptions, name: OptionName, fallback: number, min: number, max: number): number {
  const value = integer(options, name, fallback, min, max)
  if ((value & (value - 1)) !== 0) throw outOfRange(`options.${name}`, `a power of two from ${min} to ${max}`, value)
  return value
}

function milliseconds(options: LogOptions, name: OptionName, fallback: number, min: number, max: number): number {
  const value = options[name]
  if (value === undefined) return fallback
  if (typeof value !== 'number') throw wrongType(`options.${name}`, 'a number of milliseconds', value)
  if (!(value >= min && value <= max)) throw outOfRange(`options.${name}`, `from ${min} to ${max} milliseconds`, value)
  return value
}

function oneOf<const Choice extends string>(options: LogOptions, name: OptionName, choices: readonly [Choice, ...Choice[]]): Choice {
  const value = options[name]
  if (value === undefined) return choices[0]
  if (!choices.includes(value as Choice)) throw wrongValue(`options.${name}`, `one of ${choices.map((choice) => `'${choice}'`).join(', ')}`, value)
  return value as Choice
}

function checkDurability(value: unknown): Durability {
  if (value === undefined) return 'batch'
  if (value === 'batch' || value === 'manual') return value
  if (value === null || typeof value !== 'object') throw wrongValue('options.durability', "'batch', 'manual' or { intervalMs }", value)
  const { intervalMs } = value as { intervalMs?: unknown }
  if (typeof intervalMs !== 'number') throw wrongType('options.durability.intervalMs', 'a number of milliseconds', intervalMs)
  if (!(intervalMs >= 1 && intervalMs <= DAY_MS)) throw outOfRange('options.durability.intervalMs', `from 1 to ${DAY_MS} milliseconds`, intervalMs)
  return Object.freeze({ intervalMs })
}

function checkWorkerUrl(value: unknown): URL | string | undefined {
  if (value === undefined || value instanceof URL || (typeof value === 'string' && value.length > 0)) return value
  throw wrongType('options.workerUrl', 'a URL or a path', value)
}
