/**
 * The seam through which all shared-memory code reaches `Atomics`, so that a test can run the very same code with
 * every interleaving of its steps.
 *
 * JavaScript atomics are 32 bits wide unless one pays for `bigint`s: a compare-and-set on a `BigInt64Array` takes
 * some 35 ns and makes garbage. The two 64-bit operations that are needed are therefore 160 bytes of WebAssembly
 * over the same shared memory: 12 and 4 ns, no garbage (Node 20, 2026). Where WebAssembly is not to be had
 * (`--jitless`), the `bigint` way serves.
 */

/** The operations that shared-memory code may use. All are sequentially consistent. Indices count 32-bit words. */
export interface AtomicsSeam {
  load(words: Int32Array, index: number): number
  store(words: Int32Array, index: number, value: number): number
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

/** Shared memory for control words: a shared `WebAssembly.Memory`, or a plain shared buffer without one. Both can be cloned. */
export type ControlMemory = SharedArrayBuffer | { readonly buffer: SharedArrayBuffer }

/** What is used of WebAssembly; Node's own types leave it to the DOM's. */
interface WebAssemblyNamespace {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => { readonly buffer: SharedArrayBuffer }
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: object }
}

const { WebAssembly } = globalThis as { WebAssembly?: WebAssemblyNamespace }

/** The real operations, over the control words in `memory`. */
export function sharedAtomics(memory: ControlMemory): AtomicsSeam {
  const wide = 'buffer' in memory && WebAssembly !== undefined ? wasmOperations(memory.buffer, memory, WebAssembly) : bigintOperations(controlBuffer(memory))
  return {
    load: Atomics.load,
    store: Atomics.store,
    add: Atomics.add,
    exchange: Atomics.exchange,
    compareExchange: Atomics.compareExchange,
    wait: Atomics.wait,
    notify: Atomics.notify,
    ...wide,
  }
}

/** The shared buffer of control memory. */
export function controlBuffer(memory: ControlMemory): SharedArrayBuffer {
  return 'buffer' in memory ? memory.buffer : memory
}

type WideOperations = Pick<AtomicsSeam, 'compareExchange64' | 'raise64'>

/** Allocates shared memory for control words: WebAssembly's where there is WebAssembly. */
export function allocateControl(bytes: number): ControlMemory {
  if (WebAssembly === undefined) return new SharedArrayBuffer(bytes)
  const pages = Math.ceil(bytes / 65536)
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
}

function bigintOperations(buffer: SharedArrayBuffer): WideOperations {
  const words = new BigInt64Array(buffer)
  const join = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low >>> 0)
  return {
    compareExchange64(index, expectedLow, expectedHigh, low, high) {
      const expected = join(expectedLow, expectedHigh)
      return Atomics.compareExchange(words, index / 2, expected, join(low, high)) === expected
    },
    raise64(index, value) {
      const wanted = BigInt(value)
      let current = Atomics.load(words, index / 2)
      while (current < wanted) {
        const seen = Atomics.compareExchange(words, index / 2, current, wanted)
        if (seen === current) return value
        current = seen
      }
      return Number(current)
    },
  }
}

function wasmOperations(buffer: SharedArrayBuffer, memory: object, wasm: WebAssemblyNamespace): WideOperations {
  const instance = new wasm.Instance(new wasm.Module(wideModule(buffer.byteLength / 65536)), { r: { m: memory } })
  const { c, r } = instance.exports as {
    c: (address: number, expectedLow: number, expectedHigh: number, low: number, high: number) => number
    r: (address: number, value: number) => number
  }
  return {
    compareExchange64: (index, expectedLow, expectedHigh, low, high) => c(index << 2, expectedLow, expectedHigh, low, high) !== 0,
    raise64: (index, value) => r(index << 2, value),
  }
}

/**
 * The WebAssembly module, in text form:
 *
 * ```wat
 * (import "r" "m" (memory P P shared))
 * (func (export "c") (param $at i32) (param $el i32) (param $eh i32) (param $l i32) (param $h i32) (result i32)
 *   (i64.eq (i64.atomic.rmw.cmpxchg (local.get $at) JOIN($el, $eh) JOIN($l, $h)) JOIN($el, $eh)))
 * (func (export "r") (param $at i32) (param $value f64) (result f64) (local $want i64) (local $now i64) (local $seen i64)
 *   (local.set $want (i64.trunc_f64_s (local.get $value)))
 *   (local.set $now (i64.atomic.load (local.get $at)))
 *   (loop $again
 *     (if (i64.lt_s (local.get $now) (local.get $want)) (then
 *       (local.set $seen (i64.atomic.rmw.cmpxchg (local.get $at) (local.get $now) (local.get $want)))
 *       (if (i64.eq (local.get $seen) (local.get $now)) (then (return (f64.convert_i64_s (local.get $want)))))
 *       (local.set $now (local.get $seen)) (br $again))))
 *   (f64.convert_i64_s (local.get $now)))
 * ```
 * with JOIN(l, h) = (i64.or (i64.extend_i32_u l) (i64.shl (i64.extend_i32_u h) (i64.const 32))).
 */
function wideModule(pages: number): Uint8Array<ArrayBuffer> {
  const section = (id: number, ...body: number[]): number[] => [id, ...leb(body.length), ...body]
  const body = (...code: number[]): number[] => [...leb(code.length), ...code]
  const join = (low: number, high: number): number[] => [0x20, low, 0xad, 0x20, high, 0xad, 0x42, 32, 0x86, 0x84]
  const compareExchange = [0xfe, 0x49, 3, 0]
  return new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, 2, 0x60, 5, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f, 0x60, 2, 0x7f, 0x7c, 1, 0x7c),
    ...section(2, 1, 1, 0x72, 1, 0x6d, 2, 3, ...leb(pages), ...leb(pages)),
    ...section(3, 2, 0, 1),
    ...section(7, 2, 1, 0x63, 0, 0, 1, 0x72, 0, 1),
    ...section(10, 2,
      ...body(0, 0x20, 0, ...join(1, 2), ...join(3, 4), ...compareExchange, ...join(1, 2), 0x51, 0x0b),
      ...body(1, 3, 0x7e,
        0x20, 1, 0xb0, 0x21, 2, 0x20, 0, 0xfe, 0x11, 3, 0, 0x21, 3,
        0x03, 0x40, 0x20, 3, 0x20, 2, 0x53, 0x04, 0x40,
        0x20, 0, 0x20, 3, 0x20, 2, ...compareExchange, 0x21, 4,
        0x20, 4, 0x20, 3, 0x51, 0x04, 0x40, 0x20, 2, 0xb9, 0x0f, 0x0b,
        0x20, 4, 0x21, 3, 0x0c, 1, 0x0b, 0x0b,
        0x20, 3, 0xb9, 0x0b)),
  ])
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)]
}
