/** The shared memory of a log as one thread sees it: the handle that is cloned, and the views on it. */

import { WalError } from '../errors.js'
import { allocateControl, controlBuffer, sharedAtomics, type AtomicsSeam, type ControlMemory } from '../sync/atomics-seam.js'
import { CONTROL_BYTES, FAILURE_MAX_BYTES, FAILURE_OFFSET, SLOT_WORDS, WORD } from './ring-layout.js'

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
    failure: new Uint8Array(control, FAILURE_OFFSET, FAILURE_MAX_BYTES),
  }
}

/** The state a ring begins with, before it is shared with producers: next sequence, and the clock. */
export function initializeRing(ring: Ring, nextSequence: number, era: number, tickBase: number): void {
  const { atomics, words } = ring
  atomics.store(words, WORD.claim, nextSequence | 0)
  atomics.store(words, WORD.releasedSequence, nextSequence | 0)
  atomics.store(words, WORD.durableSequence, (nextSequence - 1) | 0)
  atomics.store(words, WORD.writtenSequence, (nextSequence - 1) | 0)
  atomics.store(words, WORD.era, era)
  atomics.store(words, WORD.tickBase, tickBase)
}
