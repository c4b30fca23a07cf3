/**
 * The few operations that JavaScript has no fast form of, as some kilobytes of WebAssembly over the log's shared memory:
 * 64-bit compare-and-set and maximum (a `BigInt64Array` takes three times as long and makes garbage), plain 32-bit atomic
 * loads and stores (2 ns; `Atomics.load` is a call of 6), a CRC-32 (35 ns for 128 bytes; 72 in JavaScript), and a whole frame with its
 * data copied within the memory (a view and `set` alone take 45 ns for 104 bytes). Node 20, 2026.
 *
 * No thread's state lives in here: an instance is a set of functions over a memory that is shared.
 */

import { FRAME_DATA, FRAME_LENGTH, FRAME_MAGIC, FRAME_SEQUENCE, FRAME_TIMESTAMP } from '../format/frame-layout.js'
import {
  assemble, atomic, block, constant, constant64, copy, F64, f64, get, I32, i32, I64, i64, leave, leaveIf, loop, PAGE_BYTES, set, when,
  type Code, type Definition,
} from './wasm-assembler.js'

/** The operations. Addresses and lengths are in bytes of the shared memory. */
export interface WasmOperations {
  load(address: number): number
  store(address: number, value: number): void
  compareExchange64(address: number, expectedLow: number, expectedHigh: number, low: number, high: number): number
  raise64(address: number, value: number): number
  /** Writes the CRC-32/ISO-HDLC of the bytes from `start` to `end` at `end`. */
  seal(start: number, end: number): void
  /**
   * Writes a frame (format/frame-layout.ts) at `to`, all but its checksum: `length` bytes of data from `from`, the sequence, relative ticks
   * and the word that they count from.
   */
  frame(to: number, from: number, length: number, sequence: number, ticks: number, tickBase: number): void
}

/** What is used of WebAssembly; Node's own types leave it to the DOM's. */
export interface WebAssemblyNamespace {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => { readonly buffer: SharedArrayBuffer }
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: object }
}

/** Instantiates the operations over a shared memory whose CRC tables (see format/crc32.ts) stand at `crcTableAddress`, and `more` beside them. */
export function wasmOperations<More>(
  wasm: WebAssemblyNamespace, memory: { readonly buffer: SharedArrayBuffer }, crcTableAddress: number, more: readonly Definition[],
): WasmOperations & More {
  const module = new wasm.Module(assemble([...definitions(crcTableAddress), ...more], memory.buffer.byteLength / PAGE_BYTES))
  return new wasm.Instance(module, { ring: { memory } }).exports as WasmOperations & More
}

function definitions(crcTableAddress: number): (Definition & { readonly name: keyof WasmOperations })[] {
  const crcLocals = { crc: 2, words: [3, 4, 5, 6] } as const
  const crc = crc32(crcTableAddress, { at: 0, end: 1, ...crcLocals })
  return [
    { name: 'load', parameters: [I32], results: [I32], locals: [], code: atomic.load(get(0)) },
    { name: 'store', parameters: [I32, I32], results: [], locals: [], code: atomic.store(get(0), get(1)) },
    { name: 'compareExchange64', parameters: [I32, I32, I32, I32, I32], results: [I32], locals: [], code: compareExchange64() },
    { name: 'raise64', parameters: [I32, F64], results: [F64], locals: [I64, I64, I64], code: raise64() },
    { name: 'seal', parameters: [I32, I32], results: [], locals: [I32, I32, I32, I32, I32], code: [...crc, ...i32.store(get(1), checksum(crcLocals.crc))] },
    { name: 'frame', parameters: [I32, I32, I32, F64, F64, I32], results: [], locals: [], code: frame() },
  ]
}

function compareExchange64(): Code {
  const join = (low: number, high: number): Code => i64.or(i64.unsigned(get(low)), i64.shiftLeft(i64.unsigned(get(high)), constant64(32)))
  return i64.equal(atomic.compareExchange64(get(0), join(1, 2), join(3, 4)), join(1, 2))
}

function raise64(): Code {
  const [address, value, want, now, seen] = [0, 1, 2, 3, 4] as const
  return [...set(want, i64.truncate(get(value))), ...raise(get(address), want, now, seen), ...f64.signed(get(now))]
}

/** Raises the 64-bit word at `address` to `want` unless it is higher; `now` is what it is then. All but the address are locals of 64 bits. */
export function raise(address: Code, want: number, now: number, seen: number): Code {
  return [
    ...set(now, atomic.load64(address)),
    ...loop(when(i64.less(get(now), get(want)),
      set(seen, atomic.compareExchange64(address, get(now), get(want))),
      block(
        leaveIf(i64.notEqual(get(seen), get(now)), 0),
        set(now, get(want)),
        leave(2),
      ),
      set(now, get(seen)),
      leave(1),
    )),
  ]
}

/** Locals of {@link crc32}, all of 32 bits. */
export interface CrcLocals {
  readonly at: number
  readonly end: number
  readonly crc: number
  readonly words: readonly [number, number, number, number]
}

/**
 * Computes the CRC-32 of the bytes from the address in the local `at`, which moves there, to the one in `end`; see {@link checksum}. Slicing by 16, then
 * by 4, then byte by byte; the same tables as in format/crc32.ts.
 */
export function crc32(table: number, { at, end, crc, words }: CrcLocals): Code {
  /** The table's word for a byte of a word: one shift brings the byte to where it is four times its value. */
  const lookUp = (word: number, byte: number, tableNumber: number): Code => {
    const shifted = byte === 0 ? i32.shiftLeft(get(word), constant(2)) : i32.shiftRightUnsigned(get(word), constant(8 * byte - 2))
    return i32.load(i32.and(shifted, constant(255 << 2)), table + tableNumber * 1024)
  }
  /** What the bytes of a word come to that has so many bytes behind it. */
  const lookUpAll = (word: number, behind: number): Code => {
    const [a, b, c, d] = [0, 1, 2, 3].map((byte) => lookUp(word, byte, behind + 3 - byte)) as [Code, Code, Code, Code]
    return i32.xor(i32.xor(a, b), i32.xor(c, d))
  }
  const [first, second, third, fourth] = words
  return [
    ...set(crc, constant(-1)),
    ...loop(when(i32.atLeastUnsigned(i32.subtract(get(end), get(at)), constant(16)),
      set(first, i32.xor(get(crc), i32.load(get(at)))),
      set(second, i32.load(get(at), 4)),
      set(third, i32.load(get(at), 8)),
      set(fourth, i32.load(get(at), 12)),
      // The first word comes last: what depends on the turn before is the shorter, and the rest is computed meanwhile (35 instead of 46 ns for 128 bytes).
      set(crc, i32.xor(i32.xor(i32.xor(lookUpAll(second, 8), lookUpAll(third, 4)), lookUpAll(fourth, 0)), lookUpAll(first, 12))),
      set(at, i32.add(get(at), constant(16))),
      leave(1),
    )),
    ...loop(when(i32.atLeastUnsigned(i32.subtract(get(end), get(at)), constant(4)),
      set(first, i32.xor(get(crc), i32.load(get(at)))),
      set(crc, lookUpAll(first, 0)),
      set(at, i32.add(get(at), constant(4))),
      leave(1),
    )),
    ...loop(when(i32.lessUnsigned(get(at), get(end)),
      set(first, i32.xor(get(crc), i32.load8(get(at)))),
      set(crc, i32.xor(i32.shiftRightUnsigned(get(crc), constant(8)), lookUp(first, 0, 0))),
      set(at, i32.add(get(at), constant(1))),
      leave(1),
    )),
  ]
}

/** What {@link crc32} has computed. */
export function checksum(crc: number): Code {
  return i32.xor(get(crc), constant(-1))
}

function frame(): Code {
  const [to, from, length, sequence, ticks, tickBase] = [0, 1, 2, 3, 4, 5] as const
  return writeFrame(get(to), get(from), get(length), i64.truncate(get(sequence)), i64.truncate(get(ticks)), get(tickBase))
}

/** A frame but for its checksum; the first three and the last are 32 bits, sequence and ticks 64. */
export function writeFrame(to: Code, from: Code, length: Code, sequence: Code, ticks: Code, tickBase: Code): Code {
  return [
    ...i32.store(to, constant(FRAME_MAGIC)),
    ...i32.store(to, length, FRAME_LENGTH),
    ...i64.store(to, sequence, FRAME_SEQUENCE),
    ...i64.store(to, i64.add(ticks, i64.shiftLeft(i64.unsigned(tickBase), constant64(32))), FRAME_TIMESTAMP),
    ...copy(i32.add(to, constant(FRAME_DATA)), from, length),
  ]
}
