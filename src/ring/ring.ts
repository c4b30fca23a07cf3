/** The shared memory of a log as one thread sees it: the handle that is cloned, and the views on it. */

import { WalError } from '../errors.js'
import { allocateControl, controlBuffer, sharedAtomics, type AtomicsSeam, type ControlMemory } from '../sync/atomics-seam.js'
import { CONTROL_BYTES, COUNTER_COUNT, FAILURE_MAX_BYTES, FAILURE_OFFSET, sequenceEra, SLOT_WORDS, WORD } from './ring-layout.js'

const HANDLE_VERSION = 1
/** Bytes that an arena has beyond the largest entry: the frame around it. */
const ARENA_EXTRA_BYTES = 64

/** The shared buffers of a log. Cloneable by `postMessage` and `workerData`; sharing, not copying. */
export interface RingHandle {
  readonly ringwal: typeof HANDLE_VERSION
  readonly control: ControlMemory
  readonly slots: SharedArrayBuffer
  readonly bytes: SharedArrayBuffer
  readonly arena: SharedArrayBuffer
}

/** A thread's views on the shared buffers. */
export interface Ring {
  readonly atomics: AtomicsSeam
  readonly words: Int32Array
  readonly wide: BigInt64Array
  readonly slots: Int32Array
  readonly slotMask: number
  readonly bytes: Buffer
  readonly view: DataView
  readonly ringBytes: number
  /** The longest stretch that goes through the ring; longer ones take the arena. */
  readonly maxStretchBytes: number
  readonly arena: Buffer
  readonly arenaView: DataView
  /** The writer's counters, see COUNTER in ring-layout.ts. */
  readonly counters: Float64Array
  /** Where a failure record stands. */
  readonly failure: Uint8Array
}

/** Allocates the shared buffers. Untouched pages of ring and arena cost no memory. `ringBytes` and `slotCount` are powers of two. */
export function allocateRing(ringBytes: number, slotCount: number, maxEntryBytes: number): RingHandle {
  return {
    ringwal: HANDLE_VERSION,
    control: allocateControl(CONTROL_BYTES),
    slots: new SharedArrayBuffer(slotCount * SLOT_WORDS * 4),
    bytes: new SharedArrayBuffer(ringBytes),
    arena: new SharedArrayBuffer(maxEntryBytes + ARENA_EXTRA_BYTES),
  }
}

/** The views on a handle's buffers. Throws `ERR_WAL_HANDLE` on anything that is not a handle of this version. */
export function openRing(handle: RingHandle): Ring {
  if (handle === null || typeof handle !== 'object' || handle.ringwal !== HANDLE_VERSION) {
    throw new WalError('ERR_WAL_HANDLE', `expected a handle from log.handle() of format ${HANDLE_VERSION}`)
  }
  return ringOver(sharedAtomics(handle.control), controlBuffer(handle.control), handle.slots, handle.bytes, handle.arena)
}

/** The views on any buffers, with any atomics: the entry for tests that explore interleavings. */
export function ringOver(
  atomics: AtomicsSeam, control: ArrayBufferLike, slots: ArrayBufferLike, bytes: ArrayBufferLike, arena: ArrayBufferLike,
): Ring {
  return {
    atomics,
    words: new Int32Array(control),
    wide: new BigInt64Array(control),
    slots: new Int32Array(slots),
    slotMask: slots.byteLength / (SLOT_WORDS * 4) - 1,
    bytes: Buffer.from(bytes),
    view: new DataView(bytes),
    ringBytes: bytes.byteLength,
    maxStretchBytes: bytes.byteLength / 4,
    arena: Buffer.from(arena),
    arenaView: new DataView(arena),
    counters: new Float64Array(control, WORD.counters * 4, COUNTER_COUNT),
    failure: new Uint8Array(control, FAILURE_OFFSET, FAILURE_MAX_BYTES),
  }
}

/** What a ring begins with. */
export interface RingStart {
  readonly nextSequence: number
  /** The high word that relative ticks count from, see format/ticks.ts. */
  readonly tickBase: number
  /** Relative ticks of the last timestamp on disk: none will be below. */
  readonly floorTicks: number
  /** The clock: monotonic nanoseconds at a moment, and the relative ticks then. */
  readonly clockZeroNs: bigint
  readonly clockZeroTicks: number
}

/** Sets the state that a ring begins with. Before it is shared with producers. */
export function initializeRing(ring: Ring, start: RingStart): void {
  const { atomics, words, wide } = ring
  atomics.store(words, WORD.claim, start.nextSequence | 0)
  atomics.store(words, WORD.releasedSequence, start.nextSequence | 0)
  atomics.store(words, WORD.durableSequence, (start.nextSequence - 1) | 0)
  atomics.store(words, WORD.writtenSequence, (start.nextSequence - 1) | 0)
  atomics.store(words, WORD.syncTarget, (start.nextSequence - 1) | 0)
  atomics.store(words, WORD.era, sequenceEra(start.nextSequence))
  atomics.store(words, WORD.tickBase, start.tickBase)
  atomics.raise64(WORD.floor, start.floorTicks)
  wide[WORD.clockZeroNs / 2] = start.clockZeroNs
  wide[WORD.clockZeroTicks / 2] = BigInt(start.clockZeroTicks)
}
