/**
 * The way of a short entry into the ring as one call of WebAssembly: steps [enter] to [leave] of ring-layout.ts, just as append.ts, claim.ts and
 * wake.ts have them in JavaScript. It takes 17 ns where those take 66 (a line of 104 bytes, nobody beside it; Node 20, 2026), which makes one producer at
 * full rate a third faster. What it does not do it leaves to them: an entry that finds no room, a longer one, a group.
 *
 * The interleavings of this very code are explored as well: the tests run its binary form step by step.
 */

import { FRAME_CHECKSUM_BYTES, FRAME_OVERHEAD } from '../format/frame-layout.js'
import {
  atomic, block, constant, constant64, drop, F64, f64, get, giveBack, I32, i32, I64, i64, leaveIf, loop, set, when, type Code, type Definition,
} from '../sync/wasm-assembler.js'
import { checksum, crc32, raise, writeFrame } from '../sync/wasm-operations.js'
import {
  CRC_TABLE_OFFSET, MARK, MARK_SHIFT, MAX_UNSEALED_BYTES, POSITION_MASK, RECORD, SLOT_MARK, SLOT_START, SLOT_WORDS, SLOTS_OFFSET, UNSEALED_BACKLOG, WAKE_BACKLOG, WORD,
} from './ring-layout.js'

/** The operation. */
export interface AppendOperation {
  /**
   * Appends an entry of `length` bytes that stand at `from`; `length` is at most {@link MAX_SHORT_BYTES}. `ticks` is the caller's clock, `record` the address
   * of its record, whose phase is `phase`; it is two more afterwards. Returns the sequence, and leaves the ticks in the record; or returns 0, having
   * changed nothing else: there is no room, or the log has ended. May throw: every turn of a loop looks for interrupts, and that may find the stack too
   * full; the record tells what is owed then.
   */
  append(from: number, length: number, ticks: number, record: number, phase: number): number
}

/** The longest entry that it takes: the checksum of a longer one is better computed by zlib. */
export const MAX_SHORT_BYTES = MAX_UNSEALED_BYTES - FRAME_OVERHEAD

const FROM = 0
const LENGTH = 1
const TICKS = 2
const RECORD_ADDRESS = 3
const PHASE = 4
const BYTES = 5
const LOW = 6
const START = 7
const END = 8
const BACKLOG = 9
const SLOT = 10
const TO = 11
const CRC = { at: 12, end: 13, crc: 14, words: [15, 16, 17, 18] } as const
const MARKED = 19
const ERA = 20
const CLAIM = 21
const FLOOR = 22
const SEEN = 23
const WANT = 24
const SEQUENCE = 25
const LOCALS = Array.from({ length: SEQUENCE - PHASE }, (_, index) => index < CLAIM - BYTES ? I32 : I64)

const word = (index: number): Code => constant(index * 4)

/** The program for a ring of that size. */
export function appendProgram(slotCount: number, ringBytes: number): Definition & { readonly name: keyof AppendOperation } {
  return {
    name: 'append',
    parameters: [I32, I32, F64, I32, I32],
    results: [F64],
    locals: LOCALS,
    code: [
      ...set(BYTES, i32.add(get(LENGTH), constant(FRAME_OVERHEAD))),
      ...set(WANT, i64.truncate(get(TICKS))),
      ...i32.store(get(RECORD_ADDRESS), constant(0), RECORD.owed * 4),
      // [enter]
      ...i32.store(get(RECORD_ADDRESS), i32.add(get(PHASE), constant(1)), RECORD.phase * 4),
      ...block(
        claim(slotCount, ringBytes),
        fillFrame(slotCount, ringBytes),
        publish(),
        wake(ringBytes),
        leaveRecord(),
        giveBack(f64.signed(get(SEQUENCE))),
      ),
      ...leaveRecord(),
      ...f64.signed(constant64(0)),
    ],
  }
}

/** [claim]; leaves the block around it when there is no room, or the log has ended. */
function claim(slotCount: number, ringBytes: number): Code {
  const offset = i32.and(get(START), constant(ringBytes - 1))
  return loop(
    set(CLAIM, i64.load(word(WORD.claim))),
    leaveIf(i64.less(get(CLAIM), constant64(0)), 1),
    set(LOW, i32.low(get(CLAIM))),
    set(START, i32.low(i64.shiftRightUnsigned(get(CLAIM), constant64(32)))),
    when(i32.greaterUnsigned(i32.add(offset, get(BYTES)), constant(ringBytes)),
      set(START, i32.add(get(START), i32.subtract(constant(ringBytes), offset))),
    ),
    set(END, i32.and(i32.add(get(START), get(BYTES)), constant(POSITION_MASK))),
    set(BACKLOG, i32.and(i32.subtract(get(END), i32.load(word(WORD.releasedPosition))), constant(POSITION_MASK))),
    leaveIf(i32.greaterUnsigned(get(BACKLOG), constant(ringBytes)), 1),
    leaveIf(i32.greaterUnsigned(i32.subtract(i32.add(get(LOW), constant(1)), i32.load(word(WORD.releasedSequence))), constant(slotCount)), 1),
    // Read once: the writer may move it between two reads.
    set(ERA, i32.load(word(WORD.era))),
    set(SEQUENCE, i64.add(
      i64.shiftLeft(i64.unsigned(get(ERA)), constant64(30)),
      i64.signed(i32.subtract(get(LOW), i32.shiftLeft(get(ERA), constant(30)))),
    )),
    raise(word(WORD.floor), WANT, FLOOR, SEEN),
    set(SEEN, atomic.compareExchange64(
      word(WORD.claim), get(CLAIM), i64.or(i64.unsigned(i32.add(get(LOW), constant(1))), i64.shiftLeft(i64.unsigned(get(END)), constant64(32))),
    )),
    leaveIf(i64.notEqual(get(SEEN), get(CLAIM)), 0),
    set(SLOT, i32.add(constant(SLOTS_OFFSET), i32.shiftLeft(i32.and(get(LOW), constant(slotCount - 1)), constant(Math.log2(SLOT_WORDS * 4))))),
    i32.store(get(SLOT), i32.and(get(START), constant(POSITION_MASK)), SLOT_START * 4),
    i32.store(get(RECORD_ADDRESS), i32.add(i32.shiftLeft(i32.and(get(LOW), constant(slotCount - 1)), constant(Math.log2(SLOT_WORDS))), constant(SLOT_MARK)), RECORD.owed * 4),
  )
}

/** [fill] */
function fillFrame(slotCount: number, ringBytes: number): Code {
  const bytesAddress = SLOTS_OFFSET + slotCount * SLOT_WORDS * 4
  const mark = (kind: number): Code => i32.or(constant((kind << MARK_SHIFT) | 0), get(BYTES))
  return [
    ...set(TO, i32.add(constant(bytesAddress), i32.and(get(START), constant(ringBytes - 1)))),
    ...writeFrame(get(TO), get(FROM), get(LENGTH), get(SEQUENCE), get(FLOOR), i32.load(word(WORD.tickBase))),
    ...i64.store(get(RECORD_ADDRESS), get(FLOOR), RECORD.ticks * 4),
    ...set(MARKED, mark(MARK.unsealedEntry)),
    ...when(i32.greaterUnsigned(get(BACKLOG), constant(ringBytes * UNSEALED_BACKLOG)),
      set(MARKED, mark(MARK.entry)),
      set(CRC.at, get(TO)),
      set(CRC.end, i32.subtract(i32.add(get(TO), get(BYTES)), constant(FRAME_CHECKSUM_BYTES))),
      crc32(CRC_TABLE_OFFSET, CRC),
      i32.store(get(CRC.end), checksum(CRC.crc)),
    ),
  ]
}

/** [publish] */
function publish(): Code {
  return [
    ...atomic.store(get(SLOT), get(MARKED), SLOT_MARK * 4),
    ...i32.store(get(RECORD_ADDRESS), constant(0), RECORD.owed * 4),
  ]
}

/** [wake] */
function wake(ringBytes: number): Code {
  const isAsleep = i32.equal(atomic.load(word(WORD.asleep)), constant(1))
  const isMuch = i32.greaterUnsigned(get(BACKLOG), constant(ringBytes * WAKE_BACKLOG))
  return when(i32.and(isAsleep, i32.or(isMuch, i32.equal(atomic.load(word(WORD.sleepSequence)), get(LOW)))),
    when(i32.equal(atomic.compareExchange(word(WORD.asleep), constant(1), constant(0)), constant(1)),
      drop(atomic.notify(word(WORD.asleep), constant(1))),
    ),
  )
}

/** [leave] */
function leaveRecord(): Code {
  return atomic.store(get(RECORD_ADDRESS), i32.add(get(PHASE), constant(2)), RECORD.phase * 4)
}
