/**
 * A program of src/sync/wasm-assembler.ts, run instruction by instruction as a generator of {@link Step}s: the very bytes that ship, with every access
 * to shared memory a step of its own. Knows the instructions that the assembler has, and refuses others.
 */

import type { Definition } from '../../dist/src/sync/wasm-assembler.js'
import { CRC_TABLE } from '../../dist/src/format/crc32.js'
import type { Ring } from '../../dist/src/ring/ring.js'
import { CONTROL_BYTES, CRC_TABLE_OFFSET, SCRATCH_OFFSET, SLOTS_OFFSET } from '../../dist/src/ring/ring-layout.js'
import { step, type Step, type Steps } from './generators.js'

type Value = number | bigint

interface Instruction {
  readonly opcode: number
  /** What stands behind it: a local, a constant, a depth, an offset. */
  readonly operand: Value
  /** Of block, loop and if: the place behind its end. */
  end: number
}

/** Opcodes behind the prefixes, above all others. */
const BULK = 0x1000
const THREADS = 0x2000

/**
 * Runs `definition` in a ring's memory; `scratch` is what stands where the scratch of threads begins. With `thrown` it throws that at its third loop, as
 * an engine may that finds the stack full when it looks for interrupts.
 */
export function* runProgram({ locals, code }: Definition, ring: Ring, scratch: Uint8Array, parameters: readonly Value[], thrown?: Error): Steps<Value> {
  const program = decode(code)
  const throwing = thrown === undefined ? undefined : program.filter(({ opcode }) => opcode === 0x03)[2]
  const stack: Value[] = []
  const values: Value[] = [...parameters, ...locals.map((type) => type === I64 ? 0n : 0)]
  /** Open blocks: where a jump to each leads. */
  const open: { readonly to: number, readonly isLoop: boolean }[] = []
  const pop = <Kind extends Value>(): Kind => stack.pop() as Kind
  for (let at = 0; at < program.length; at++) {
    const { opcode, operand, end } = program[at]!
    if (program[at] === throwing) throw thrown!
    const jump = (depth: number): void => {
      open.length -= depth
      const target = open.pop()!
      // To a loop: once more from its beginning, which opens it again.
      at = target.to - 1
    }
    if (opcode === 0x02 || (opcode === 0x04 && pop<number>() !== 0)) open.push({ to: end, isLoop: false })
    else if (opcode === 0x04) at = end - 1
    else if (opcode === 0x03) open.push({ to: at, isLoop: true })
    else if (opcode === 0x0b) open.pop()
    else if (opcode === 0x0c || (opcode === 0x0d && pop<number>() !== 0)) jump(Number(operand))
    else if (opcode === 0x0f) break
    else if (opcode === 0x20) stack.push(values[Number(operand)]!)
    else if (opcode === 0x21) values[Number(operand)] = pop()
    else if (opcode === 0x1a) pop()
    else if (opcode in MEMORY) yield* MEMORY[opcode]!({ ring, scratch }, stack, Number(operand))
    else if (opcode in TWO) {
      const second = pop()
      stack.push(TWO[opcode]!(pop() as never, second as never))
    } else if (opcode in ONE) stack.push(ONE[opcode]!(pop() as never))
    else if (opcode === 0x41 || opcode === 0x42) stack.push(operand)
    else if (opcode !== 0x0d) throw new Error(`no instruction 0x${opcode.toString(16)}`)
  }
  return pop()
}

const I64 = 0x7e
const bool = (is: boolean): number => is ? 1 : 0
const wide = (value: bigint): bigint => BigInt.asIntN(64, value)

const ONE: { readonly [opcode: number]: (a: never) => Value } = {
  0xa7: (a: bigint) => Number(BigInt.asIntN(32, a)),
  0xac: (a: number) => BigInt(a),
  0xad: (a: number) => BigInt(a >>> 0),
  0xb0: (a: number) => BigInt(Math.trunc(a)),
  0xb9: (a: bigint) => Number(a),
}

const TWO: { readonly [opcode: number]: (a: never, b: never) => Value } = {
  0x46: (a: number, b: number) => bool(a === b),
  0x49: (a: number, b: number) => bool(a >>> 0 < b >>> 0),
  0x4b: (a: number, b: number) => bool(a >>> 0 > b >>> 0),
  0x4f: (a: number, b: number) => bool(a >>> 0 >= b >>> 0),
  0x51: (a: bigint, b: bigint) => bool(a === b),
  0x52: (a: bigint, b: bigint) => bool(a !== b),
  0x53: (a: bigint, b: bigint) => bool(a < b),
  0x6a: (a: number, b: number) => (a + b) | 0,
  0x6b: (a: number, b: number) => (a - b) | 0,
  0x71: (a: number, b: number) => a & b,
  0x72: (a: number, b: number) => a | b,
  0x73: (a: number, b: number) => a ^ b,
  0x74: (a: number, b: number) => a << b,
  0x76: (a: number, b: number) => (a >>> b) | 0,
  0x7c: (a: bigint, b: bigint) => wide(a + b),
  0x84: (a: bigint, b: bigint) => a | b,
  0x86: (a: bigint, b: bigint) => wide(a << b),
  0x88: (a: bigint, b: bigint) => wide(BigInt.asUintN(64, a) >> b),
}

interface Memory {
  readonly ring: Ring
  readonly scratch: Uint8Array
}

const MEMORY: { readonly [opcode: number]: (memory: Memory, stack: Value[], offset: number) => Steps<void> } = {
  *0x28(memory, stack, offset) {
    stack.push(yield* read32(memory, address(stack) + offset))
  },
  *0x29(memory, stack, offset) {
    const at = address(stack) + offset
    stack.push(join(yield* read32(memory, at), yield* read32(memory, at + 4)))
  },
  *0x2d(memory, stack, offset) {
    stack.push((yield* readBytes(memory, address(stack) + offset, 1))[0]!)
  },
  *0x36(memory, stack, offset) {
    const value = stack.pop() as number
    yield* write32(memory, address(stack) + offset, value)
  },
  *0x37(memory, stack, offset) {
    const value = stack.pop() as bigint
    const at = address(stack) + offset
    yield* write32(memory, at, Number(BigInt.asIntN(32, value)))
    yield* write32(memory, at + 4, Number(BigInt.asIntN(32, value >> 32n)))
  },
  *[BULK + 10](memory, stack) {
    const [to, from, length] = [stack.at(-3), stack.at(-2), stack.at(-1)] as number[]
    stack.length -= 3
    yield plainStep('bytes-write', memory.ring.bytes, inRing(memory.ring, to!), yield* readBytes(memory, from!, length!))
  },
  *[THREADS + 0x00]({ ring }, stack) {
    const count = stack.pop() as number
    stack.push((yield step('notify', ...cell(ring, address(stack)), count)) as number)
  },
  *[THREADS + 0x10]({ ring }, stack, offset) {
    stack.push((yield step('load', ...cell(ring, address(stack) + offset))) as number)
  },
  *[THREADS + 0x11]({ ring }, stack, offset) {
    stack.push((yield step('load64', cell(ring, address(stack) + offset)[1])) as bigint)
  },
  *[THREADS + 0x17]({ ring }, stack, offset) {
    const value = stack.pop() as number
    yield step('store', ...cell(ring, address(stack) + offset), value)
  },
  *[THREADS + 0x48]({ ring }, stack) {
    const [expected, value] = stack.splice(-2) as number[]
    stack.push((yield step('compareExchange', ...cell(ring, address(stack)), expected, value)) as number)
  },
  *[THREADS + 0x49]({ ring }, stack) {
    const [expected, value] = stack.splice(-2) as bigint[]
    stack.push((yield step('exchangeIf64', cell(ring, address(stack))[1], expected, value)) as bigint)
  },
}

function address(stack: Value[]): number {
  return (stack.pop() as number) >>> 0
}

function join(low: number, high: number): bigint {
  return BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low >>> 0))
}

function plainStep(name: string, ...args: unknown[]): Step {
  return { name, args, plain: true }
}

/** A control word or a word of a slot. */
function cell({ words, slots }: Ring, at: number): [array: Int32Array, index: number] {
  if (at % 4 !== 0) throw new Error(`no word at ${at}`)
  if (at < CONTROL_BYTES) return [words, at / 4]
  if (at >= SLOTS_OFFSET && at < SLOTS_OFFSET + slots.byteLength) return [slots, (at - SLOTS_OFFSET) / 4]
  throw new Error(`no word that threads share at ${at}`)
}

function inRing({ slots, ringBytes }: Ring, at: number): number {
  const offset = at - SLOTS_OFFSET - slots.byteLength
  if (offset < 0 || offset >= ringBytes) throw new Error(`${at} is not in the ring`)
  return offset
}

function* read32(memory: Memory, at: number): Steps<number> {
  const { ring } = memory
  if (at >= CRC_TABLE_OFFSET && at < CRC_TABLE_OFFSET + CRC_TABLE.byteLength) return CRC_TABLE[(at - CRC_TABLE_OFFSET) / 4]!
  // Words are read plainly here as they are in JavaScript: claim words race with other threads, slots do not.
  if (at < CONTROL_BYTES) return (yield step('load', ...cell(ring, at))) as number
  return Buffer.from(yield* readBytes(memory, at, 4)).readInt32LE()
}

function* readBytes({ ring, scratch }: Memory, at: number, length: number): Steps<Uint8Array> {
  if (at >= SCRATCH_OFFSET && at < SLOTS_OFFSET) return scratch.subarray(at - SCRATCH_OFFSET, at - SCRATCH_OFFSET + length)
  const offset = inRing(ring, at)
  return (yield plainStep('bytes-read', ring.bytes, offset, offset + length)) as Uint8Array
}

function* write32({ ring }: Memory, at: number, value: number): Steps<void> {
  if (at < CONTROL_BYTES) yield step('store', ...cell(ring, at), value)
  else if (at < SLOTS_OFFSET + ring.slots.byteLength) yield plainStep('store', ...cell(ring, at), value)
  else {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32LE(value)
    yield plainStep('bytes-write', ring.bytes, inRing(ring, at), bytes)
  }
}

const DECODED = new Map<readonly number[], Instruction[]>()

function decode(code: readonly number[]): Instruction[] {
  const known = DECODED.get(code) ?? decodeAnew(code)
  DECODED.set(code, known)
  return known
}

function decodeAnew(code: readonly number[]): Instruction[] {
  const program: Instruction[] = []
  const open: Instruction[] = []
  let at = 0
  const leb = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = code[at++]!
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return byte >= 64 ? value - (1n << (shift + 7n)) : value
    }
  }
  const unsigned = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = code[at++]!
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
  }
  while (at < code.length) {
    const first = code[at++]!
    const opcode = first === 0xfc ? BULK + code[at++]! : first === 0xfe ? THREADS + code[at++]! : first
    let operand: Value = 0
    if (opcode === 0x41) operand = Number(leb())
    else if (opcode === 0x42) operand = leb()
    else if (opcode === 0x02 || opcode === 0x03 || opcode === 0x04) at++
    else if (opcode === BULK + 10) at += 2
    else if (opcode in MEMORY) {
      at++
      operand = unsigned()
    } else if ((opcode >= 0x0c && opcode <= 0x0d) || opcode === 0x20 || opcode === 0x21) operand = unsigned()
    const instruction = { opcode, operand, end: 0 }
    program.push(instruction)
    if (opcode >= 0x02 && opcode <= 0x04) open.push(instruction)
    else if (opcode === 0x0b) open.pop()!.end = program.length
  }
  return program
}
