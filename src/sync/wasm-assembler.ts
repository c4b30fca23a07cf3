/**
 * A small assembler for WebAssembly: functions over one shared memory, in the binary form of the specification (version 1, with threads and bulk
 * memory operations). Code is written as expressions: `i32.add(get(length), constant(28))`.
 */

/** Instructions in binary form. */
export type Code = readonly number[]

/** A function that is exported. */
export interface Definition {
  readonly name: string
  /** Value types, one each: {@link I32}, {@link I64} or {@link F64}. */
  readonly parameters: readonly number[]
  readonly results: readonly number[]
  /** Types of the locals behind the parameters. */
  readonly locals: readonly number[]
  readonly code: Code
}

/** WebAssembly's page, the unit of a memory's size. */
export const PAGE_BYTES = 65536

export const I32 = 0x7f
export const I64 = 0x7e
export const F64 = 0x7c

const END = 0x0b
const THREADS = 0xfe
const BULK = 0xfc

const one = (opcode: number) => (a: Code): Code => [...a, opcode]
const two = (opcode: number) => (a: Code, b: Code): Code => [...a, ...b, opcode]
const loadAt = (...opcode: number[]) => (alignment: number) => (address: Code, offset = 0): Code => [...address, ...opcode, alignment, ...leb(offset)]
const storeAt = (...opcode: number[]) => (alignment: number) => (address: Code, value: Code, offset = 0): Code =>
  [...address, ...value, ...opcode, alignment, ...leb(offset)]

export const get = (local: number): Code => [0x20, local]
export const set = (local: number, value: Code): Code => [...value, 0x21, local]
export const constant = (value: number): Code => [0x41, ...signedLeb(value)]
export const constant64 = (value: number): Code => [0x42, ...signedLeb(value)]

export const i32 = {
  add: two(0x6a), subtract: two(0x6b), and: two(0x71), or: two(0x72), xor: two(0x73), shiftLeft: two(0x74), shiftRightUnsigned: two(0x76),
  equal: two(0x46), lessUnsigned: two(0x49), greaterUnsigned: two(0x4b), atLeastUnsigned: two(0x4f),
  load: loadAt(0x28)(0), load8: loadAt(0x2d)(0), store: storeAt(0x36)(0), low: one(0xa7),
}
export const i64 = {
  add: two(0x7c), or: two(0x84), shiftLeft: two(0x86), shiftRightUnsigned: two(0x88), equal: two(0x51), notEqual: two(0x52), less: two(0x53),
  load: loadAt(0x29)(0), store: storeAt(0x37)(0), signed: one(0xac), unsigned: one(0xad), truncate: one(0xb0),
}
export const f64 = { signed: one(0xb9) }
export const atomic = {
  load: loadAt(THREADS, 0x10)(2), store: storeAt(THREADS, 0x17)(2), load64: loadAt(THREADS, 0x11)(3),
  /** What stood there before. */
  compareExchange: (address: Code, expected: Code, value: Code): Code => [...address, ...expected, ...value, THREADS, 0x48, 2, 0],
  compareExchange64: (address: Code, expected: Code, value: Code): Code => [...address, ...expected, ...value, THREADS, 0x49, 3, 0],
  /** Wakes so many; leaves how many there were. */
  notify: (address: Code, count: Code): Code => [...address, ...count, THREADS, 0x00, 2, 0],
}

/** Runs `body`; {@link leave} of it, counted from the inside, goes behind it. */
export const block = (...body: Code[]): Code => [0x02, 0x40, ...body.flat(), END]
/** Runs `body` once; {@link leave} of it runs it again. */
export const loop = (...body: Code[]): Code => [0x03, 0x40, ...body.flat(), END]
/** Runs `body` if the condition is not 0. */
export const when = (condition: Code, ...body: Code[]): Code => [...condition, 0x04, 0x40, ...body.flat(), END]
/** To the block or loop that is `depth` levels out; 0 is the innermost. */
export const leave = (depth: number): Code => [0x0c, depth]
export const leaveIf = (condition: Code, depth: number): Code => [...condition, 0x0d, depth]
export const giveBack = (value: Code): Code => [...value, 0x0f]
export const drop = one(0x1a)
export const copy = (to: Code, from: Code, bytes: Code): Code => [...to, ...from, ...bytes, BULK, 10, 0, 0]

/** The module's binary form: types, the imported memory `ring.memory` of exactly `pages`, functions, exports, code. */
export function assemble(definitions: readonly Definition[], pages: number): Uint8Array<ArrayBuffer> {
  const vector = (items: readonly Code[]): number[] => [...leb(items.length), ...items.flat()]
  const section = (id: number, body: Code): number[] => [id, ...leb(body.length), ...body]
  const sized = (body: Code): number[] => [...leb(body.length), ...body]
  const text = (value: string): number[] => sized([...Buffer.from(value)])
  return new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, vector(definitions.map(({ parameters, results }) => [0x60, ...sized(parameters), ...sized(results)]))),
    ...section(2, vector([[...text('ring'), ...text('memory'), 2, 3, ...leb(pages), ...leb(pages)]])),
    ...section(3, vector(definitions.map((_, index) => leb(index)))),
    ...section(7, vector(definitions.map(({ name }, index) => [...text(name), 0, ...leb(index)]))),
    ...section(10, vector(definitions.map(({ locals, code }) => sized([...vector(locals.map((type) => [1, type])), ...code, END])))),
  ])
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)]
}

function signedLeb(value: number): number[] {
  return value >= -64 && value < 64 ? [value & 127] : [(value & 127) | 128, ...signedLeb(value >> 7)]
}
