/** The options of a log: checked once, every default filled, frozen. Nothing is made on disk before all of them are sound. */

import { outOfRange, wrongType, wrongValue } from '../errors.js'
import { MAX_FRAME_DATA_BYTES } from '../format/frame-layout.js'
import { directoryPath, flag, integer, milliseconds, oneOf, optionGroup, powerOfTwo } from '../option-values.js'
import { MAX_RING_BYTES, MAX_SLOTS, MIN_RING_BYTES, MIN_SLOTS } from '../ring/ring-layout.js'
import type { RetentionOptions } from '../writer/retention.js'
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
  /** What `append` does when the ring or the disk is full: `'throw'` (default), `'drop'` or `'block'`. */
  readonly whenFull?: WhenFull
  /** How long `'block'` blocks, in ms. Default 10,000. */
  readonly blockTimeoutMs?: number
  /**
   * Bytes of the tail that are filled with zeros at a time, ahead of need, 0 (off) to 1 GiB: syncing small batches into allocated
   * blocks takes half the time. Default 2 MiB, at most `maxSegmentBytes`.
   */
  readonly preallocateBytes?: number
  /**
   * Bytes that are kept back, as a file of zeros, for the day that the disk is full: so that what was accepted, commits and the end of
   * the log still find room. 0 (none) to 1 GiB, and at most a quarter of the file system. Default: `ringBytes`, at most 16 MiB, and 256 KiB.
   */
  readonly reserveBytes?: number
  /** What is kept, and for how long. */
  readonly retention?: LogRetention
  /** How long to wait for another process to let go of the directory, in ms, up to Infinity. Default 0. */
  readonly lockWaitMs?: number
  /** The writer's worker file, for bundles: where `ringwal/worker` ended up. */
  readonly workerUrl?: URL | string
  /**
   * What to do when acknowledged data is damaged: `'refuse'` (default) to open, and stop consumers there; or `'salvage'`: keep a copy, give up what cannot
   * be read, say in `recovery.lost` which entries these are, and go on.
   */
  readonly onCorrupt?: 'refuse' | 'salvage'
}

/**
 * What a log keeps. Without consumers: what is neither too old, nor one segment too many, nor beyond `maxBytes`. With consumers a segment goes
 * as soon as every one has committed all of it, or with `keepConsumed` when the other limits say so; what some consumer has not committed
 * stays, unless `maxBytes` is exceeded and `whenOver` is `'drop-oldest'`. Only whole segments go, the oldest first, never the tail.
 */
export interface LogRetention {
  /**
   * Bytes that the log may take on disk, freed segments and uploaded files included, `reserveBytes` not, from 64 KiB. Default: half of what the
   * file system has for it at opening, or later, if that is more.
   */
  readonly maxBytes?: number
  /** Since the last entry of a segment. Counted, not read off a clock: a wrong one deletes nothing early. Default 7 days. */
  readonly maxAgeMs?: number
  /** Sealed segments. Default: no limit. */
  readonly maxSegments?: number
  /** Keep what all consumers have committed until the other limits say that it goes. Default false. */
  readonly keepConsumed?: boolean
  /**
   * When `maxBytes` is exceeded, or the disk is full, by what some consumer has not committed: `'refuse'` (default) appends with
   * `ERR_WAL_DISK_FULL`, or as `whenFull` says; `'drop-oldest'` removes it, and tells the consumer which sequences it lost.
   */
  readonly whenOver?: 'refuse' | 'drop-oldest'
  /** How often old segments are looked for, beside every roll and commit that frees one. Default 1 hour. */
  readonly cleanupIntervalMs?: number
}

/** The options with every default filled. */
export type ResolvedOptions = Required<Omit<LogOptions, 'workerUrl' | 'retention'>> & {
  readonly workerUrl: URL | string | undefined
  readonly retention: RetentionOptions
}

const KNOWN: readonly (keyof LogOptions)[] = [
  'directory', 'ringBytes', 'ringSlots', 'maxEntryBytes', 'maxSegmentBytes', 'maxSegmentEntries', 'maxSegmentAgeMs', 'durability',
  'lingerMs', 'maxBatchBytes', 'whenFull', 'blockTimeoutMs', 'preallocateBytes', 'reserveBytes', 'retention', 'lockWaitMs', 'workerUrl', 'onCorrupt',
]

/** Checks the options and fills the defaults. Throws `TypeError` or `RangeError` that names the option. */
export function resolveOptions(options: LogOptions): ResolvedOptions {
  const group = optionGroup('options', options, KNOWN)
  const directory = directoryPath('options.directory', options.directory)
  const ringBytes = powerOfTwo(group, 'ringBytes', 16 * MIB, MIN_RING_BYTES, MAX_RING_BYTES)
  const maxSegmentBytes = integer(group, 'maxSegmentBytes', 64 * MIB, 4 * KIB, LARGEST_SEGMENT_BYTES)
  return Object.freeze({
    directory,
    ringBytes,
    ringSlots: powerOfTwo(group, 'ringSlots', Math.max(MIN_SLOTS, Math.min(MAX_SLOTS, ringBytes / RING_BYTES_PER_SLOT)), MIN_SLOTS, MAX_SLOTS),
    maxEntryBytes: integer(group, 'maxEntryBytes', 64 * MIB, 1, MAX_FRAME_DATA_BYTES),
    maxSegmentBytes,
    maxSegmentEntries: integer(group, 'maxSegmentEntries', Number.MAX_SAFE_INTEGER, 1, Number.MAX_SAFE_INTEGER),
    maxSegmentAgeMs: milliseconds(group, 'maxSegmentAgeMs', DAY_MS, 1, Infinity),
    durability: checkDurability(options.durability),
    lingerMs: milliseconds(group, 'lingerMs', 0, 0, 1000),
    maxBatchBytes: integer(group, 'maxBatchBytes', Math.max(64 * KIB, ringBytes / 4), 4 * KIB, 1024 * MIB),
    whenFull: oneOf(group, 'whenFull', ['throw', 'drop', 'block']),
    blockTimeoutMs: milliseconds(group, 'blockTimeoutMs', 10_000, 0, Infinity),
    preallocateBytes: integer(group, 'preallocateBytes', Math.min(2 * MIB, maxSegmentBytes), 0, 1024 * MIB),
    reserveBytes: integer(group, 'reserveBytes', Math.min(16 * MIB, ringBytes) + 256 * KIB, 0, 1024 * MIB),
    retention: resolveRetention(options.retention),
    lockWaitMs: milliseconds(group, 'lockWaitMs', 0, 0, Infinity),
    workerUrl: checkWorkerUrl(options.workerUrl),
    onCorrupt: oneOf(group, 'onCorrupt', ['refuse', 'salvage']),
  })
}

const KNOWN_RETENTION: readonly (keyof LogRetention)[] = ['maxBytes', 'maxAgeMs', 'maxSegments', 'keepConsumed', 'whenOver', 'cleanupIntervalMs']

function resolveRetention(retention: LogRetention = {}): RetentionOptions {
  const group = optionGroup('options.retention', retention, KNOWN_RETENTION)
  return Object.freeze({
    maxBytes: retention.maxBytes === undefined ? undefined : integer(group, 'maxBytes', 0, 64 * KIB, Number.MAX_SAFE_INTEGER),
    maxAgeMs: milliseconds(group, 'maxAgeMs', 7 * DAY_MS, 1, Infinity),
    maxSegments: integer(group, 'maxSegments', Number.MAX_SAFE_INTEGER, 1, Number.MAX_SAFE_INTEGER),
    keepConsumed: flag(group, 'keepConsumed', false),
    whenOver: oneOf(group, 'whenOver', ['refuse', 'drop-oldest']),
    cleanupIntervalMs: milliseconds(group, 'cleanupIntervalMs', 3_600_000, 1, Infinity),
  })
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
