/**
 * The seam through which all shared-memory code reaches `Atomics`, so that a test can run the very same code with
 * every interleaving of its steps. The real operations are WebAssembly's where there is WebAssembly (see wasm-operations.ts),
 * and JavaScript's own elsewhere (`--jitless`).
 */

import { PAGE_BYTES, type Definition } from './wasm-assembler.js'
import { wasmOperations, type WasmOperations, type WebAssemblyNamespace } from './wasm-operations.js'

/** The operations that shared-memory code may use. All but {@link AtomicsSeam.clear} are sequentially consistent. Indices count 32-bit words. */
export interface AtomicsSeam {
  load(words: Int32Array, index: number): number
  store(words: Int32Array, index: number, value: number): void
  /** Stores 0 into the words from `from` up to `to`: in any order among themselves, but before whatever is stored later. 1 ns a word, where a store takes 4. */
  clear(words: Int32Array, from: number, to: number): void
  add(words: Int32Array, index: number, value: number): number
  exchange(words: Int32Array, index: number, value: number): number
  compareExchange(words: Int32Array, index: number, expected: number, replacement: number): number
  /** Blocks the thread while the word is `value`, at most `timeoutMs`. */
  wait(words: Int32Array, index: number, value: number, timeoutMs: number): 'ok' | 'not-equal' | 'timed-out'
  notify(words: Int32Array, index: number, count?: number): number
  /** One 64-bit compare-and-set over the words `index` (low) and `index + 1` (high); `index` is even. True when it was set. */
  compareExchange64(index: number, expectedLow: number, expectedHigh: number, low: number, high: number): boolean
  /** Raises the 64-bit integer at `index` to `value` (0 to 2^53) unless it is higher; returns what it is then. */
  raise64(index: number, value: number): number
}

/** Frames and checksums within the shared memory; addresses are byte offsets in it. */
export type MemoryOperations = Pick<WasmOperations, 'seal' | 'frame'>

/** A log's shared memory: a `WebAssembly.Memory`, or a plain shared buffer where there is no WebAssembly. Both can be cloned. */
export type SharedMemory = SharedArrayBuffer | { readonly buffer: SharedArrayBuffer }

const { WebAssembly } = globalThis as { WebAssembly?: WebAssemblyNamespace }

/** Allocates shared memory. Pages that are never touched cost none. */
export function allocateShared(bytes: number): SharedMemory {
  if (WebAssembly === undefined) return new SharedArrayBuffer(bytes)
  const pages = Math.ceil(bytes / PAGE_BYTES)
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
}

/** The shared buffer of shared memory. */
export function sharedBuffer(memory: SharedMemory): SharedArrayBuffer {
  return 'buffer' in memory ? memory.buffer : memory
}

/**
 * The real operations over shared memory that begins with the control words and has `slots` further on, and `more` of the caller's own. (Asking each array
 * for its place would take longer than the operation.)
 */
export function sharedAtomics<More>(
  memory: SharedMemory, slots: Int32Array, crcTableAddress: number, more: readonly Definition[],
): { atomics: AtomicsSeam; operations: (MemoryOperations & More) | undefined } {
  const narrow = {
    load: Atomics.load,
    store: Atomics.store,
    clear: (words: Int32Array, from: number, to: number): void => void words.fill(0, from, to),
    add: Atomics.add,
    exchange: Atomics.exchange,
    compareExchange: Atomics.compareExchange,
    wait: Atomics.wait,
    notify: Atomics.notify,
  }
  if (WebAssembly === undefined || !('buffer' in memory)) return { atomics: { ...narrow, ...bigintOperations(sharedBuffer(memory)) }, operations: undefined }
  const operations = wasmOperations<More>(WebAssembly, memory, crcTableAddress, more)
  const { load, store, compareExchange64, raise64 } = operations
  const slotsAddress = slots.byteOffset
  const atomics: AtomicsSeam = {
    ...narrow,
    load: (words, index) => load((words === slots ? slotsAddress : 0) + (index << 2)),
    store: (words, index, value) => store((words === slots ? slotsAddress : 0) + (index << 2), value),
    compareExchange64: (index, expectedLow, expectedHigh, low, high) => compareExchange64(index << 2, expectedLow, expectedHigh, low, high) !== 0,
    raise64: (index, value) => raise64(index << 2, value),
  }
  return { atomics, operations }
}

function bigintOperations(buffer: SharedArrayBuffer): Pick<AtomicsSeam, 'compareExchange64' | 'raise64'> {
  const words = new BigInt64Array(buffer)
  const join = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low >>> 0)
  return {
    compareExchange64(index, expectedLow, expectedHigh, low, high) {
      const expected = join(expectedLow, expectedHigh)
      return Atomics.compareExchange(words, index / 2, expected, join(low, high)) === expected
    },
    raise64(index, value) {
      const wanted = BigInt(Math.floor(value))
      let current = Atomics.load(words, index / 2)
      while (current < wanted) {
        const seen = Atomics.compareExchange(words, index / 2, current, wanted)
        if (seen === current) return Number(wanted)
        current = seen
      }
      return Number(current)
    },
  }
}
