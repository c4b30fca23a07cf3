/** What the writer is told when it starts: plain data, every default filled. */

import type { RetentionOptions } from './retention.js'

/** When a batch is synced. */
export type Durability = 'batch' | 'manual' | { readonly intervalMs: number }

/** Options of the writer thread. All validated by the caller. */
export interface WriterOptions {
  readonly directory: string
  readonly maxSegmentBytes: number
  readonly maxSegmentEntries: number
  readonly maxSegmentAgeMs: number
  readonly durability: Durability
  readonly lingerMs: number
  readonly maxBatchBytes: number
  readonly preallocateBytes: number
  readonly lockWaitMs: number
  /** Bytes that are kept back for a full disk; 0: none. */
  readonly reserveBytes: number
  /** Damage is given up, not refused. */
  readonly salvages: boolean
  readonly retention: RetentionOptions
}
