/** The shared memory of a log as one thread sees it: the handle that is cloned, and the views on it. */

import { WalError } from '../errors.js'
import { CRC_TABLE } from '../format/crc32.js'
import {
  allocateShared, sharedAtomics, sharedBuffer, type AtomicsSeam, type MemoryOperations, type SharedMemory,
} from '../sync/atomics-seam.js'
import { appendProgram, type AppendOperation } from './append-program.js'
import {
  CONTROL_BYTES, COUNTER_COUNT, CRC_TABLE_OFFSET, FAILURE_MAX_BYTES, FAILURE_OFFSET, SCRATCH_BYTES, SCRATCH_OFFSET, sequenceEra, SLOT_WORDS,
  SLOTS_OFFSET, WORD,
} from './ring-layout.js'

const HANDLE_VERSION = 1
/** Bytes that an arena has beyond the largest entry: the frame around it. */
const ARENA_EXTRA_BYTES = 64

/** The shared memory of a log. Cloneable by `postMessage` and `workerData`; sharing, not copying. */
export interface RingHandle {
  readonly ringwal: typeof HANDLE_VERSION
  readonly memory: SharedMemory
  readonly slotCount: number
  readonly ringBytes: number
  readonly arena: SharedArrayBuffer
}

/** A thread's views on the shared memory. */
export interface Ring {
  readonly atomics: AtomicsSeam
  /** Appending, copying and checksums within the memory of `bytes`; undefined where there is no WebAssembly. */
  readonly operations: (MemoryOperations & AppendOperation) | undefined
  readonly words: Int32Array
  readonly wide: BigInt64Array
  readonly slots: Int32Array
  readonly slotMask: number
  readonly bytes: Buffer
  readonly view: DataView
  /** Where `bytes` begins in the shared memory, for {@link operations}: asking the view takes 15 ns. */
  readonly bytesAddress: number
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

/** Allocates the shared memory. Untouched pages of ring and arena cost none. `ringBytes` and `slotCount` are powers of two. */
export function allocateRing(ringBytes: number, slotCount: number, maxEntryBytes: number): RingHandle {
  const memory = allocateShared(SLOTS_OFFSET + slotCount * SLOT_WORDS * 4 + ringBytes)
  new Int32Array(sharedBuffer(memory), CRC_TABLE_OFFSET, CRC_TABLE.length).set(CRC_TABLE)
  return { ringwal: HANDLE_VERSION, memory, slotCount, ringBytes, arena: new SharedArrayBuffer(maxEntryBytes + ARENA_EXTRA_BYTES) }
}

/** The views on a handle's memory. Throws `ERR_WAL_HANDLE` on anything that is not a handle of this version. */
export function openRing(handle: RingHandle): Ring {
  if (handle === null || typeof handle !== 'object' || handle.ringwal !== HANDLE_VERSION) {
    throw new WalError('ERR_WAL_HANDLE', `expected a handle from log.handle() of format ${HANDLE_VERSION}`)
  }
  const { memory, slotCount, ringBytes, arena } = handle
  const buffer = sharedBuffer(memory)
  const slots = new Int32Array(buffer, SLOTS_OFFSET, slotCount * SLOT_WORDS)
  const bytes = Buffer.from(buffer, SLOTS_OFFSET + slots.byteLength, ringBytes)
  const views = viewsOver(new Int32Array(buffer, 0, CONTROL_BYTES / 4), slots, bytes, Buffer.from(arena))
  return { ...views, ...sharedAtomics<AppendOperation>(memory, slots, CRC_TABLE_OFFSET, [appendProgram(slotCount, ringBytes)]) }
}

/** The views on any buffers, with any atomics: the entry for tests that explore interleavings. */
export function ringOver(
  atomics: AtomicsSeam, control: ArrayBufferLike, slots: ArrayBufferLike, bytes: ArrayBufferLike, arena: ArrayBufferLike,
): Ring {
  return { ...viewsOver(new Int32Array(control), new Int32Array(slots), Buffer.from(bytes), Buffer.from(arena)), atomics, operations: undefined }
}

function viewsOver(words: Int32Array, slots: Int32Array, bytes: Buffer, arena: Buffer): Omit<Ring, 'atomics' | 'operations'> {
  return {
    words,
    wide: new BigInt64Array(words.buffer, words.byteOffset, words.length / 2),
    slots,
    slotMask: slots.length / SLOT_WORDS - 1,
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
    bytesAddress: bytes.byteOffset,
    ringBytes: bytes.length,
    maxStretchBytes: bytes.length / 4,
    arena,
    arenaView: new DataView(arena.buffer, arena.byteOffset, arena.length),
    counters: new Float64Array(words.buffer, words.byteOffset + WORD.counters * 4, COUNTER_COUNT),
    failure: new Uint8Array(words.buffer, words.byteOffset + FAILURE_OFFSET, FAILURE_MAX_BYTES),
  }
}

/** The scratch of a record: memory that only its thread touches, next to the ring. */
export function recordScratch(ring: Ring, recordIndex: number): Uint8Array {
  return new Uint8Array(ring.words.buffer, SCRATCH_OFFSET + recordIndex * SCRATCH_BYTES, SCRATCH_BYTES)
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
