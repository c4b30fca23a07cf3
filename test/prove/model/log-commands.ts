/** Commands of a program that append, read, look, end and crash the log. */

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import type { WalError } from '../../../dist/src/index.js'
import { DATA, makeData, showPlan, type DataPlan, type MadeData } from './data.js'
import { promise, type ExpectedEntry, type ExpectedLog } from './expected-log.js'
import { collect, isFull, type ProcessEnd, type Shape, type World } from './world.js'

/** One command. */
export type Command = fc.AsyncCommand<ExpectedLog, World>

/** Makes a command: what it is called in a printed program, and what it does. */
export function command(name: string, run: (model: ExpectedLog, world: World) => Promise<void>): Command {
  return {
    check: () => true,
    run: async (model, world) => {
      await run(model, world)
      checkState(model, world)
    },
    toString: () => name,
  }
}

/** What must be so between any two commands. */
function checkState(model: ExpectedLog, { log }: World): void {
  const { lastSequence, durableSequence } = log
  promise(lastSequence === model.last, () => `lastSequence is ${lastSequence}, ${model.last} were accepted`)
  promise(model.acknowledged <= durableSequence && durableSequence <= model.last, () => `durableSequence is ${durableSequence}; acknowledged ${model.acknowledged}, accepted ${model.last}`)
  const { dropped, aborted } = log.stats()
  promise(dropped === model.dropped, () => `stats() tells of ${dropped} dropped entries, ${model.dropped} were`)
  promise(aborted === 0, () => `stats() tells of ${aborted} aborted entries`)
  const found = log.consumers().toSorted((one, other) => one.name < other.name ? -1 : 1)
  const expected = [...model.consumers].map(([name, { committed }]) => ({ name, committed, lag: model.last - committed })).toSorted((one, other) => one.name < other.name ? -1 : 1)
  promise(JSON.stringify(found) === JSON.stringify(expected), () => `consumers() are ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`)
  model.checkSegments(log.segments())
}

function make(model: ExpectedLog, world: World, plan: DataPlan): MadeData {
  return makeData(plan, ++model.made, world.code)
}

/** Appends, as whenFull says; the caller's data is spoilt at once. False: there was no room. */
function appendOnce(model: ExpectedLog, { log, shape }: World, made: readonly MadeData[], append: () => number): boolean {
  let sequence: number
  try {
    sequence = append()
  } catch (error) {
    if (!isFull(error) || shape.whenFull !== 'throw') throw error
    return false
  } finally {
    for (const { spoil } of made) spoil()
  }
  if (sequence === 0) {
    promise(shape.whenFull === 'drop', () => `append returned 0, with whenFull ${shape.whenFull}`)
    model.dropped += made.length
    return false
  }
  model.accept(sequence, made)
  promise(log.lastSequence >= model.last, () => 'append returned a sequence beyond lastSequence')
  return true
}

/** Writes so many entries, one by one. */
export async function writeSome(model: ExpectedLog, world: World, count: number): Promise<void> {
  for (let left = count; left > 0; left--) {
    const data = `entry ${++model.made}`
    const { sequence, timestamp } = await world.log.write(data)
    model.accept(sequence, [{ bytes: Buffer.from(data), timestamp }])
    model.acknowledge(sequence)
  }
}

/** Flushes. */
export async function flushed(model: ExpectedLog, world: World): Promise<void> {
  await world.log.flush()
  promise(world.log.durableSequence === model.last, () => `flush() resolved with ${world.log.durableSequence} durable of ${model.last}`)
  model.acknowledge(model.last)
}

const PLANS = fc.array(DATA, { minLength: 1, maxLength: 12 })

const APPEND = PLANS.map((plans) => command(`append ${plans.map(showPlan).join(', ')}`, async (model, world) => {
  for (const plan of plans) {
    const made = make(model, world, plan)
    appendOnce(model, world, [made], () => world.log.append(made.data))
  }
}))

const APPEND_TO_EMPTY_RING = DATA.map((plan) => command(`flush, append ${showPlan(plan)}: there is room`, async (model, world) => {
  await flushed(model, world)
  const made = make(model, world, plan)
  promise(appendOnce(model, world, [made], () => world.log.append(made.data)), () => 'the ring is empty, and yet there was no room')
}))

const GROUPS = fc.tuple(fc.array(DATA, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 12 })).map(([plans, times]) => command(`${times} times the group ${plans.map(showPlan).join(', ')}`, async (model, world) => {
  for (let time = 0; time < times; time++) {
    const made = plans.map((plan) => make(model, world, plan))
    const bytes = made.reduce((sum, one) => sum + one.bytes.length + 28, 0)
    if (bytes <= 65_536) appendOnce(model, world, made, () => world.log.appendGroup(made.map(({ data }) => data)))
  }
}))

const WRITE = fc.tuple(fc.array(DATA, { minLength: 1, maxLength: 40 }), fc.boolean()).map(([plans, waits]) => command(`write ${waits ? 'one by one' : 'at once'} ${plans.map(showPlan).join(', ')}`, async (model, world) => {
  const receipts = []
  const made = plans.map((plan) => make(model, world, plan))
  for (const { data, spoil } of made) {
    const writing = world.log.write(data)
    spoil()
    if (waits) await writing
    receipts.push(writing)
  }
  for (const [index, { sequence, timestamp }] of (await Promise.all(receipts)).entries()) {
    model.accept(sequence, [{ ...made[index]!, timestamp }])
    promise(world.log.durableSequence >= sequence, () => `write() resolved for ${sequence}, of which only ${world.log.durableSequence} are durable`)
    model.acknowledge(sequence)
  }
}))

const TWO_THREADS = fc.tuple(PLANS, PLANS).map(([here, there]) => command(`here ${here.map(showPlan).join(', ')}; on another thread ${there.map(showPlan).join(', ')}`, async (model, world) => {
  const thread = await world.thread()
  const others = there.map((plan) => make(model, world, plan))
  const answer = thread.ask<number[]>('appendEach', others.map(({ bytes }) => new Uint8Array(bytes)))
  const mine: { sequence: number; entry: ExpectedEntry }[] = []
  for (const plan of here) {
    const made = make(model, world, plan)
    await new Promise(setImmediate)
    const sequence = tryAppend(world, made)
    if (sequence > 0) mine.push({ sequence, entry: { bytes: made.bytes } })
    else if (world.shape.whenFull === 'drop') model.dropped++
  }
  const theirs = (await answer).map((sequence, index) => ({ sequence, entry: { bytes: others[index]!.bytes } }))
  if (world.shape.whenFull === 'drop') model.dropped += theirs.filter(({ sequence }) => sequence === 0).length
  model.acceptMixed([mine, theirs.filter(({ sequence }) => sequence > 0)])
}))

function tryAppend({ log, shape }: World, made: MadeData): number {
  try {
    return log.append(made.data)
  } catch (error) {
    if (!isFull(error) || shape.whenFull !== 'throw') throw error
    return 0
  }
}

const THREAD_WRITE = PLANS.map((plans) => command(`write on another thread ${plans.map(showPlan).join(', ')}; flushSync there`, async (model, world) => {
  const thread = await world.thread()
  const made = plans.map((plan) => make(model, world, plan))
  const receipts = await thread.ask<{ sequence: number; timestamp: number }[]>('writeEach', made.map(({ bytes }) => new Uint8Array(bytes)))
  receipts.forEach(({ sequence, timestamp }, index) => model.accept(sequence, [{ bytes: made[index]!.bytes, timestamp }]))
  model.acknowledge(model.last)
  const outcome = await thread.ask('flushSync')
  promise(outcome === 'durable', () => `flushSync() on another thread: ${outcome}`)
}))

const LINES = fc.array(fc.tuple(fc.string({ maxLength: 20 }), fc.constantFrom('', '\n')), { minLength: 1, maxLength: 60 }).map((lines) => command(`destination: ${lines.map((parts) => JSON.stringify(parts.join(''))).join(', ')}`, async (model, world) => {
  const destination = world.log.destination()
  for (const [text, end] of lines) destination.write(`${text}${end}`)
  await new Promise<void>((resolve, reject) => destination.flush((error) => error ? reject(error) : resolve()))
  promise(destination.dropped === 0, () => `the destination dropped ${destination.dropped} lines that had place in its memory`)
  for (const parts of lines) model.accept(model.last + 1, [{ bytes: Buffer.from(parts.join('').replace(/\n$/, '')) }])
  model.acknowledge(model.last)
}))

const FILE = fc.tuple(fc.nat({ max: 300_000 }), fc.jsonValue({ maxDepth: 2 }), fc.boolean()).map(([size, metadata, isText]) => command(`file of ${size}, ${JSON.stringify(metadata)}`, async (model, world) => {
  const content = Buffer.alloc(size, `file ${++model.made} `)
  const pieces = [content.subarray(0, size >> 1), content.subarray(size >> 1)]
  const receipt = await world.log.appendFile(isText ? pieces.map(String) : pieces, { metadata })
  const sha256 = createHash('sha256').update(content).digest('hex')
  promise(receipt.bytes === size && receipt.sha256 === sha256, () => `the receipt of a file of ${size} is ${JSON.stringify(receipt)}`)
  model.accept(receipt.sequence, [{ bytes: undefined, file: { content, metadata: JSON.parse(JSON.stringify(metadata)) as unknown }, timestamp: receipt.timestamp }])
  model.acknowledge(receipt.sequence)
}))

const WAIT = fc.constantFrom('flush', 'flushSync', 'durable', 'ready', 'aborted durable').map((how) => command(how, async (model, world) => {
  const { log } = world
  if (how === 'flush') await flushed(model, world)
  else if (how === 'flushSync') {
    const outcome = log.flushSync()
    promise(outcome === 'durable', () => `flushSync(): ${outcome}`)
    model.acknowledge(model.last)
  } else if (how === 'durable') {
    await log.durable(model.last)
    model.acknowledge(model.last)
  } else if (how === 'ready') await log.ready(100)
  else {
    const reason = new Error('enough')
    const outcome = await log.durable(model.last, { signal: AbortSignal.abort(reason) }).catch((error: unknown) => error)
    promise(outcome === reason, () => `an aborted durable() ended with ${String(outcome)}`)
  }
}))

const WRONG = fc.constantFrom('append', 'appendGroup', 'write', 'durable').map((how) => command(`${how} what is wrong`, async (model, { log }) => {
  const tooLarge = Buffer.alloc(65_537)
  const calls: Record<string, () => unknown> = {
    append: () => log.append(tooLarge), appendGroup: () => log.appendGroup(['a', 5 as never]), write: () => log.write(tooLarge), durable: () => log.durable(model.last + 1),
  }
  const error = await Promise.resolve().then(calls[how]).then(() => undefined, (thrown: unknown) => thrown as Error)
  const expected = how === 'appendGroup' ? 'TypeError' : 'RangeError'
  promise(error?.name === expected, () => `${how}: expected a ${expected}, got ${String(error)}`)
}))

/** Which entries a reading wants, as parts of what there is. */
const READING = fc.record({
  from: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined, freq: 2 }),
  limit: fc.option(fc.nat({ max: 20 }), { nil: undefined }),
  way: fc.constantFrom('read', 'readBatches', 'readLog', 'readLogBatches', 'includeWritten'),
})

const READ = READING.map(({ from, limit, way }) => command(`${way} from ${from ?? 'the first'}, limit ${limit ?? 'none'}`, async (model, world) => {
  const { log, code, directory } = world
  await flushed(model, world)
  await world.whileKept(model, async (first) => {
    const fromSequence = from === undefined ? undefined : 1 + Math.floor(from * (model.last + 2))
    const options = { ...(fromSequence !== undefined && { fromSequence }), ...(limit !== undefined && { limit }) }
    const start = Math.max(first, fromSequence ?? 1)
    const isOwn = way === 'read' || way === 'readBatches'
    const entries = await collect(
      way === 'read' ? log.read(options) : way === 'readBatches' ? log.readBatches(options)
        : way === 'readLog' ? code.readLog(directory, options) : code.readLogBatches(directory, { ...options, includeWritten: way === 'includeWritten' }))
    model.checkRun(entries, start)
    const whole = Math.max(0, Math.min(limit ?? Infinity, model.last - start + 1))
    // Readers elsewhere may see less: what no file proves yet.
    const least = isOwn || way === 'includeWritten' ? whole : 0
    promise(least <= entries.length && entries.length <= whole, () => `${way} gave ${entries.length} entries from ${start} on, of which there are ${whole} within the limit`)
  })
}))

const READ_BY_TIME = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: -1, max: 1 }), fc.boolean()).map(([at, delta, isDate]) => command(`read from the time of the entry at ${at}, ${delta}`, async (model, world) => {
  const { log } = world
  await flushed(model, world)
  await world.whileKept(model, async (first) => {
    const all = await collect(log.readBatches())
    model.checkRun(all, first)
    if (all.length === 0) return
    const time = all[Math.floor(at * (all.length - 1))]!.timestamp + delta
    const expected = all.filter(({ timestamp }) => timestamp >= time)
    const entries = await collect(log.read({ fromTimestamp: isDate ? new Date(time) : time }))
    const start = expected[0]?.sequence ?? model.last + 1
    model.checkRun(entries, start)
    promise(entries.length === expected.length, () => `from the time ${time} on ${entries.length} entries were read, ${expected.length} are that late`)
    promise(log.sequenceAt(time) === start, () => `sequenceAt(${time}) is ${log.sequenceAt(time)}, the first that late is ${start}`)
  })
}))

const FOLLOW = PLANS.map((plans) => command(`follow while ${plans.map(showPlan).join(', ')} come`, async (model, world) => {
  const ending = new AbortController()
  const start = model.last + 1
  const seen = [] as Parameters<ExpectedLog['checkRun']>[0][number][]
  const reading = (async () => {
    for await (const entry of world.log.read({ fromSequence: start, follow: true, signal: ending.signal })) {
      seen.push(entry)
      if (seen.length === plans.length) break
    }
  })()
  for (const plan of plans) {
    const made = make(model, world, plan)
    const { sequence, timestamp } = await world.log.write(made.data)
    model.accept(sequence, [{ ...made, timestamp }])
    model.acknowledge(sequence)
  }
  await reading
  model.checkRun(seen, start)
  const reason = new Error('enough')
  const outcome = collect(world.log.read({ fromSequence: model.last + 1, follow: true, signal: ending.signal })).catch((error: unknown) => error)
  ending.abort(reason)
  promise(await outcome === reason, () => 'a reading that was aborted did not end with the signal\'s reason')
}))

/** Reads on from outside, up to `count` entries. */
export async function readOutside(model: ExpectedLog, world: World, count: number): Promise<void> {
  const reading = world.outside
  try {
    for (let left = count; left > 0; left--) {
      const entry = await reading.next()
      if (entry === undefined) return
      const { expected = entry.sequence } = reading
      promise(reading.expected !== undefined || entry.sequence - 1 <= model.mayGo, () => `from outside ${entry.sequence} came first, only those up to ${model.mayGo} were let go`)
      model.checkRun([entry], expected)
      reading.expected = expected + 1
    }
  } catch (error) {
    await world.endOutside()
    const { code, firstSequence, lastSequence } = error as WalError
    if (code !== 'ERR_WAL_TRIMMED') throw error
    promise(firstSequence === (reading.expected ?? firstSequence) && lastSequence! <= model.mayGo,
      () => `from outside ${firstSequence} to ${lastSequence} are told to be gone; ${reading.expected} was to come, only those up to ${model.mayGo} were let go`)
  }
}

const READ_OUTSIDE = fc.integer({ min: 1, max: 60 }).map((count) => command(`from outside ${count} more are read`, (model, world) => readOutside(model, world, count)))

const GET = fc.double({ min: 0, max: 1, noNaN: true }).map((at) => command(`get ${at}`, async (model, world) => {
  await flushed(model, world)
  const sequence = 1 + Math.floor(at * (model.last + 1))
  await world.whileKept(model, async (first) => {
    const entry = await world.log.get(sequence)
    promise((entry !== undefined) === (first <= sequence && sequence <= model.last), () => `get(${sequence}) gave ${entry?.sequence}; there are ${first} to ${model.last}`)
    if (entry !== undefined) model.checkRun([entry], sequence)
  })
}))

const GET_FILES = fc.constant(command('read all files', async (model, world) => {
  await flushed(model, world)
  await checkFiles(model, world)
}))

/** Every uploaded file that is left has its bytes. */
export async function checkFiles(model: ExpectedLog, world: World): Promise<void> {
  await world.whileKept(model, async () => {
    for await (const { sequence, file } of world.log.read()) {
      const expected = model.entries[sequence - 1]?.file
      if (file === undefined || expected === undefined) continue
      const content = Buffer.concat(await file.open().toArray() as Buffer[])
      promise(content.equals(expected.content), () => `the file of entry ${sequence} has other bytes`)
      promise(JSON.stringify(file.metadata) === JSON.stringify(expected.metadata), () => `the file of entry ${sequence} has the metadata ${JSON.stringify(file.metadata)}`)
    }
  })
}

const LOOK = fc.constant(command('stats', async (model, world) => {
  await flushed(model, world)
  const { entries, unwritten, unsynced, space } = world.log.stats()
  promise(entries === model.sinceOpen && unwritten === 0 && unsynced === 0 && space === 'ok',
    () => `stats() after a flush: ${JSON.stringify({ entries, unwritten, unsynced, space })}; ${model.sinceOpen} entries were accepted`)
}))

const ROLL = fc.constant(command('roll', async (model, world) => {
  await world.log.roll()
  model.acknowledge(model.last)
  await world.whileKept(model, async (first) => {
    const tail = world.log.segments().at(-1)
    promise(tail === undefined || tail.sealed || tail.lastSequence < tail.firstSequence, () => `after a roll the entries from ${tail?.firstSequence} on are in no sealed segment`)
    const entries = await collect(world.code.readLogBatches(world.directory))
    model.checkRun(entries, first)
    promise(first + entries.length - 1 === model.last, () => `after a roll only the entries up to ${first + entries.length - 1} of ${model.last} are read elsewhere`)
  })
}))

const CHECKPOINT = fc.constant(command('checkpoint', async (model, { log, shape }) => {
  await log.checkpoint()
  if (shape.retention?.keepConsumed === true || model.consumers.size === 0) return
  const least = Math.min(...[...model.consumers.values()].map(({ committed }) => committed))
  const [oldest, next] = log.segments()
  promise(oldest === undefined || next === undefined || oldest.lastSequence > least, () => `a checkpoint left the segment ${oldest?.firstSequence} to ${oldest?.lastSequence}, though all is committed up to ${least}`)
}))

/** How a log may be opened. Small, so that everything wraps, rolls and is freed. */
export const SHAPE: fc.Arbitrary<Shape> = fc.record({
  ringBytes: fc.constantFrom(4096, 8192, 65_536),
  ringSlots: fc.constantFrom(16, 16, 64, 1024),
  maxEntryBytes: fc.constant(65_536),
  maxSegmentBytes: fc.constantFrom(4096, 16_384, 2 ** 20),
  maxSegmentEntries: fc.constantFrom(5, 50, 2 ** 31),
  durability: fc.constantFrom('batch' as const, 'manual' as const, { intervalMs: 5 }),
  lingerMs: fc.constantFrom(0, 0, 2),
  maxBatchBytes: fc.constantFrom(4096, 65_536),
  whenFull: fc.constantFrom('throw' as const, 'drop' as const, 'block' as const),
  preallocateBytes: fc.constantFrom(0, 4096, 65_536),
  reserveBytes: fc.constantFrom(0, 65_536),
})

async function reopen(model: ExpectedLog, world: World, shape: Shape): Promise<void> {
  await world.close()
  model.acknowledge(model.last)
  model.cursorsDurable()
  const last = model.last
  await world.open({ ...world.shape, ...shape })
  model.reopened()
  const { cleanClose, cuts } = world.log.recovery
  promise(cleanClose && cuts.length === 0, () => `after a close: ${JSON.stringify(world.log.recovery)}`)
  promise(world.log.lastSequence === last && world.log.durableSequence === last, () => `closed with ${last} entries, opened with ${world.log.lastSequence}`)
}

const REOPEN = SHAPE.map((shape) => command(`close, open ${JSON.stringify(shape)}`, (model, world) => reopen(model, world, shape)))

async function comeBack(model: ExpectedLog, world: World, directory: string): Promise<void> {
  world.directory = directory
  await world.open()
  model.recover(world.log.lastSequence, world.log.consumers())
  promise(world.log.durableSequence === world.log.lastSequence, () => 'what was recovered is not durable')
  await checkAll(model, world)
}

const CRASH = fc.boolean().map((settles) => command(`crash${settles ? ' after a turn' : ''}`, async (model, world) => {
  if (settles) await new Promise(setImmediate)
  const copy = world.copy()
  await world.endOutside()
  await world.close()
  await comeBack(model, world, copy)
}))

const SIZES = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 60 })

async function closeForProcess(model: ExpectedLog, world: World, sizes: readonly number[]): Promise<string[][]> {
  await world.close()
  model.acknowledge(model.last)
  model.cursorsDurable()
  return sizes.map((size) => Array.from({ length: size }, () => `from the process ${++model.made}`))
}

function acceptAll(model: ExpectedLog, program: readonly (readonly string[])[]): void {
  for (const group of program) model.accept(model.last + 1, group.map((text) => ({ bytes: Buffer.from(text) })))
}

const KILL = fc.tuple(SIZES, fc.double({ min: 0, max: 1, noNaN: true })).map(([sizes, at]) => command(`close; another process appends groups of ${sizes.join(', ')} and is killed`, async (model, world) => {
  const program = await closeForProcess(model, world, sizes)
  const acknowledged = await world.kill(program, 1 + Math.floor(at * sizes.length))
  acceptAll(model, program)
  model.acknowledge(acknowledged)
  await comeBack(model, world, world.directory)
}))

const END = fc.tuple(SIZES, fc.constantFrom<ProcessEnd>('exits', 'throws', 'has nothing left to do')).map(([sizes, end]) => command(`close; another process appends groups of ${sizes.join(', ')} and ${end}`, async (model, world) => {
  const program = await closeForProcess(model, world, sizes)
  acceptAll(model, program)
  await world.endProcess(program, end, model.last)
  model.acknowledge(model.last)
  await comeBack(model, world, world.directory)
}))

/** Everything that is left is as it was appended. */
export async function checkAll(model: ExpectedLog, world: World): Promise<void> {
  await flushed(model, world)
  await world.whileKept(model, async (first) => {
    const entries = await collect(world.log.readBatches())
    model.checkRun(entries, first)
    promise(entries.length === model.last - first + 1, () => `${entries.length} entries were read, from ${first} to ${model.last} there should be`)
  })
  await checkFiles(model, world)
}

/** The commands, with their weights. */
export const LOG_COMMANDS: fc.WeightedArbitrary<Command>[] = [
  { weight: 10, arbitrary: APPEND }, { weight: 2, arbitrary: APPEND_TO_EMPTY_RING }, { weight: 6, arbitrary: GROUPS }, { weight: 8, arbitrary: WRITE },
  { weight: 3, arbitrary: TWO_THREADS }, { weight: 2, arbitrary: THREAD_WRITE }, { weight: 6, arbitrary: LINES }, { weight: 2, arbitrary: FILE },
  { weight: 5, arbitrary: WAIT }, { weight: 1, arbitrary: WRONG }, { weight: 4, arbitrary: READ }, { weight: 2, arbitrary: READ_BY_TIME },
  { weight: 2, arbitrary: FOLLOW }, { weight: 3, arbitrary: READ_OUTSIDE }, { weight: 3, arbitrary: GET }, { weight: 1, arbitrary: GET_FILES }, { weight: 2, arbitrary: LOOK },
  { weight: 2, arbitrary: ROLL }, { weight: 3, arbitrary: CHECKPOINT }, { weight: 2, arbitrary: REOPEN }, { weight: 2, arbitrary: CRASH },
  { weight: 1, arbitrary: KILL }, { weight: 1, arbitrary: END },
]
