/**
 * The few operations that JavaScript has no fast form of, as 800 bytes of WebAssembly over the log's shared memory:
 * 64-bit compare-and-set and maximum (a `BigInt64Array` takes three times as long and makes garbage), plain 32-bit atomic
 * loads and stores (2 ns; `Atomics.load` is a call of 6), a CRC-32 (48 ns for 128 bytes; 61 in JavaScript), and a whole frame with its
 * data copied within the memory (a view and `set` alone take 45 ns for 104 bytes). Node 20, 2026.
 *
 * No thread's state lives in here: an instance is a set of functions over a memory that is shared.
 */

import { FRAME_DATA, FRAME_LENGTH, FRAME_MAGIC, FRAME_SEQUENCE, FRAME_TIMESTAMP } from '../format/frame-layout.js'

/** The operations. Addresses and lengths are in bytes of the shared memory. */
export interface WasmOperations {
  load(address: number): number
  store(address: number, value: number): void
  compareExchange64(address: number, expectedLow: number, expectedHigh: number, low: number, high: number): number
  raise64(address: number, value: number): number
  /** CRC-32/ISO-HDLC of the bytes from `start` to `end`, as a signed word. */
  crc32(start: number, end: number): number
  /** Writes the checksum of the bytes from `start` to `end` at `end`. */
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

/** Its place among the definitions. */
const CRC32_FUNCTION = 4

/** WebAssembly's page, the unit of a memory's size. */
export const PAGE_BYTES = 65536

/** Instantiates the operations over a shared memory whose CRC tables (see format/crc32.ts) stand at `crcTableAddress`. */
export function wasmOperations(wasm: WebAssemblyNamespace, memory: { readonly buffer: SharedArrayBuffer }, crcTableAddress: number): WasmOperations {
  const module = new wasm.Module(assemble(memory.buffer.byteLength / PAGE_BYTES, crcTableAddress))
  return new wasm.Instance(module, { ring: { memory } }).exports as WasmOperations
}

const I32 = 0x7f
const I64 = 0x7e
const F64 = 0x7c
const END = 0x0b
const LOOP = [0x03, 0x40]
const IF = [0x04, 0x40]
const RETURN = 0x0f
const XOR = 0x73
const AND = 0x71
const ADD = 0x6a
const SHIFT_LEFT = 0x74
const SHIFT_RIGHT_UNSIGNED = 0x76
const COMPARE_EXCHANGE_64 = [0xfe, 0x49, 3, 0]

const get = (local: number): number[] => [0x20, local]
const set = (local: number): number[] => [0x21, local]
const constant = (value: number): number[] => [0x41, ...signedLeb(value)]
const load32 = (offset: number): number[] => [0x28, 0, ...leb(offset)]
const store32 = (offset: number): number[] => [0x36, 0, ...leb(offset)]
const branch = (depth: number): number[] => [0x0c, depth]

interface Definition {
  readonly name: keyof WasmOperations
  readonly parameters: readonly number[]
  readonly results: readonly number[]
  /** How many locals of which type. */
  readonly locals: readonly [number, number] | undefined
  readonly code: readonly number[]
}

function definitions(crcTableAddress: number): Definition[] {
  return [
    { name: 'load', parameters: [I32], results: [I32], locals: undefined, code: [...get(0), 0xfe, 0x10, 2, 0] },
    { name: 'store', parameters: [I32, I32], results: [], locals: undefined, code: [...get(0), ...get(1), 0xfe, 0x17, 2, 0] },
    { name: 'compareExchange64', parameters: [I32, I32, I32, I32, I32], results: [I32], locals: undefined, code: compareExchange64() },
    { name: 'raise64', parameters: [I32, F64], results: [F64], locals: [3, I64], code: raise64() },
    { name: 'crc32', parameters: [I32, I32], results: [I32], locals: [5, I32], code: crc32(crcTableAddress) },
    { name: 'seal', parameters: [I32, I32], results: [], locals: undefined, code: [...get(1), ...get(0), ...get(1), 0x10, CRC32_FUNCTION, ...store32(0)] },
    { name: 'frame', parameters: [I32, I32, I32, F64, F64, I32], results: [], locals: undefined, code: frame() },
  ]
}

/** cmpxchg(address, expected, replacement) == expected, with both given as two words. */
function compareExchange64(): number[] {
  const join = (low: number, high: number): number[] => [...get(low), 0xad, ...get(high), 0xad, 0x42, 32, 0x86, 0x84]
  return [...get(0), ...join(1, 2), ...join(3, 4), ...COMPARE_EXCHANGE_64, ...join(1, 2), 0x51]
}

/** while (now < want) { seen = cmpxchg(address, now, want); if (seen == now) return want; now = seen } return now */
function raise64(): number[] {
  const [address, value, want, now, seen] = [0, 1, 2, 3, 4]
  const lessThan = 0x53
  const equal = 0x51
  const toFloat = 0xb9
  return [
    ...get(value), 0xb0, ...set(want), ...get(address), 0xfe, 0x11, 3, 0, ...set(now),
    ...LOOP, ...get(now), ...get(want), lessThan, ...IF,
    ...get(address), ...get(now), ...get(want), ...COMPARE_EXCHANGE_64, ...set(seen),
    ...get(seen), ...get(now), equal, ...IF, ...get(want), toFloat, RETURN, END,
    ...get(seen), ...set(now), ...branch(1), END, END,
    ...get(now), toFloat,
  ]
}

/** Slicing by 16, then byte by byte; the same tables as in format/crc32.ts. */
function crc32(table: number): number[] {
  const [at, end, crc, words] = [0, 1, 2, [3, 4, 5, 6]]
  /** The table's word for a byte of a word: one shift brings the byte to where it is four times its value. */
  const lookUp = (word: number, byte: number, tableNumber: number): number[] => [
    ...get(word), ...(byte === 0 ? [...constant(2), SHIFT_LEFT] : [...constant(8 * byte - 2), SHIFT_RIGHT_UNSIGNED]),
    ...constant(255 << 2), AND, ...load32(table + tableNumber * 1024),
  ]
  const lookUps = words.flatMap((word, index) => [0, 1, 2, 3].flatMap((byte) => [
    ...lookUp(word, byte, 15 - 4 * index - byte), ...(index + byte > 0 ? [XOR] : []),
  ]))
  return [
    ...constant(-1), ...set(crc),
    ...LOOP, ...get(end), ...get(at), 0x6b, ...constant(16), 0x4f, ...IF,
    ...get(crc), ...get(at), ...load32(0), XOR, ...set(words[0]!),
    ...words.slice(1).flatMap((word, index) => [...get(at), ...load32(4 * (index + 1)), ...set(word)]),
    ...lookUps, ...set(crc),
    ...get(at), ...constant(16), ADD, ...set(at), ...branch(1), END, END,
    ...LOOP, ...get(at), ...get(end), 0x49, ...IF,
    ...get(crc), ...constant(8), SHIFT_RIGHT_UNSIGNED,
    ...get(crc), ...get(at), 0x2d, 0, 0, XOR, ...set(words[0]!), ...lookUp(words[0]!, 0, 0), XOR, ...set(crc),
    ...get(at), ...constant(1), ADD, ...set(at), ...branch(1), END, END,
    ...get(crc), ...constant(-1), XOR,
  ]
}

function frame(): number[] {
  const [to, from, length, sequence, ticks, tickBase] = [0, 1, 2, 3, 4, 5]
  const store64 = (offset: number): number[] => [0x37, 0, ...leb(offset)]
  const toInteger = 0xb0
  const widen = 0xad
  return [
    ...get(to), ...constant(FRAME_MAGIC), ...store32(0),
    ...get(to), ...get(length), ...store32(FRAME_LENGTH),
    ...get(to), ...get(sequence), toInteger, ...store64(FRAME_SEQUENCE),
    ...get(to), ...get(ticks), toInteger, ...get(tickBase), widen, 0x42, 32, 0x86, 0x7c, ...store64(FRAME_TIMESTAMP),
    ...get(to), ...constant(FRAME_DATA), ADD, ...get(from), ...get(length), 0xfc, 10, 0, 0,
  ]
}

/** The module's binary form: types, the imported memory, functions, exports, code. */
function assemble(pages: number, crcTableAddress: number): Uint8Array<ArrayBuffer> {
  const all = definitions(crcTableAddress)
  const vector = (items: readonly (readonly number[])[]): number[] => [...leb(items.length), ...items.flat()]
  const section = (id: number, body: readonly number[]): number[] => [id, ...leb(body.length), ...body]
  const sized = (body: readonly number[]): number[] => [...leb(body.length), ...body]
  const text = (value: string): number[] => sized([...Buffer.from(value)])
  return new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, vector(all.map(({ parameters, results }) => [0x60, ...sized(parameters), ...sized(results)]))),
    ...section(2, vector([[...text('ring'), ...text('memory'), 2, 3, ...leb(pages), ...leb(pages)]])),
    ...section(3, vector(all.map((_, index) => leb(index)))),
    ...section(7, vector(all.map(({ name }, index) => [...text(name), 0, ...leb(index)]))),
    ...section(10, vector(all.map(({ locals, code }) => sized([...(locals === undefined ? [0] : [1, ...locals]), ...code, END])))),
  ])
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)]
}

function signedLeb(value: number): number[] {
  return value >= -64 && value < 64 ? [value & 127] : [(value & 127) | 128, ...signedLeb(value >> 7)]
}
