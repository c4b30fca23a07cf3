/** Commands of a program that consume: by hand, by a handler that fails as planned, in batches; seeks, stops, deletions. */

import { join } from 'node:path'
import fc from 'fast-check'
import type { Consumer, ConsumerProgress, DeliveryOptions, LogEntry, WalError } from '../../../dist/src/index.js'
import { promise, type ExpectedLog } from './expected-log.js'
import { command, flushed, readOutside, writeSome, type Command } from './log-commands.js'
import { collect, type World } from './world.js'

/** An entry and its trailer take more. */
const LEAST_BATCH_BYTES = 128
const NAME = fc.constantFrom('a', 'b')
const PART = fc.double({ min: 0, max: 1, noNaN: true })

/** Makes all durable, so that it can be delivered; tells where the consumer stands, what comes next, and what it was told to be lost. */
async function prepare(model: ExpectedLog, world: World, name: string): Promise<{ consumer: Consumer; committed: number }> {
  await world.log.flush()
  model.acknowledge(model.last)
  const consumer = world.consumer(model, name)
  return { consumer, committed: model.consumers.get(name)!.committed }
}

/** What a consumer was told to have lost must be gone, and no more than what it may have been sought back to. */
function checkLost(model: ExpectedLog, first: number, last: number, { code }: WalError): void {
  promise(code === 'ERR_WAL_TRIMMED' && last <= model.mayGo, () => `${first} to ${last} were lost (${code}), though only those up to ${model.mayGo} were let go`)
}

/** Calls `use`, watching what is lost; resolves with what was lost up to. */
async function watchingLosses(model: ExpectedLog, consumer: Consumer, use: (lostUpTo: () => number) => Promise<void>): Promise<void> {
  let lost = 0
  const listener = ({ firstSequence, lastSequence, cause }: { firstSequence: number; lastSequence: number; cause: WalError }): void => {
    checkLost(model, firstSequence, lastSequence, cause)
    lost = lastSequence
  }
  consumer.on('lost', listener)
  try {
    await use(() => lost)
  } finally {
    consumer.off('lost', listener)
  }
}

const BY_HAND = fc.tuple(NAME, fc.integer({ min: 1, max: 12 }), fc.nat({ max: 12 })).map(([name, count, commits]) => command(`${name} takes ${count}, commits ${Math.min(count, commits)}`, async (model, world) => {
  const { consumer, committed } = await prepare(model, world, name)
  await watchingLosses(model, consumer, async (lostUpTo) => {
    const seen = await take(consumer, Math.min(count, model.last - Math.max(committed, world.firstKept - 1)))
    const before = Math.max(committed, lostUpTo())
    model.checkRun(seen, before + 1)
    const last = seen[Math.min(commits, seen.length) - 1]
    if (last !== undefined) {
      promise(consumer.commit(last.sequence), () => `${name} may not commit ${last.sequence}`)
      model.setCursor(name, last.sequence)
      promise(!consumer.commit(last.sequence), () => `${name} may commit ${last.sequence} twice`)
    }
  })
  const beyond = await Promise.resolve().then(() => consumer.commit(model.last + 1)).catch((error: unknown) => (error as Error).name)
  promise(beyond === 'RangeError', () => `${name} may commit beyond what was delivered: ${String(beyond)}`)
}))

/** The first entries that come, which must be there. */
async function take(consumer: Consumer, count: number): Promise<LogEntry[]> {
  const seen: LogEntry[] = []
  if (count <= 0) return seen
  for await (const entry of consumer) {
    seen.push(entry)
    if (seen.length === count) break
  }
  return seen
}

const COMMIT_ON_THREAD = fc.tuple(NAME, fc.integer({ min: 1, max: 12 })).map(([name, count]) => command(`${name} takes ${count}, another thread commits them`, async (model, world) => {
  const { consumer, committed } = await prepare(model, world, name)
  const first = world.firstKept
  const seen = await take(consumer, Math.min(count, model.last - Math.max(committed, first - 1)))
  const last = seen.at(-1)
  if (last === undefined) return
  const thread = await world.thread()
  const handle = consumer.handle()
  promise(await thread.ask<boolean>('commit', { handle, sequence: last.sequence }), () => `${name} may not commit ${last.sequence} on another thread`)
  model.setCursor(name, last.sequence)
  consumer.seek({ sequence: last.sequence })
  model.setCursor(name, last.sequence - 1)
  promise(!(await thread.ask<boolean>('commit', { handle, sequence: last.sequence })), () => `a seek of ${name} was undone by a commit of another thread`)
}))

const COMMITTED = NAME.map((name) => command(`${name}: committed()`, async (model, world) => {
  const consumer = world.consumer(model, name)
  const { committed } = model.consumers.get(name)!
  await consumer.committed(committed)
  model.consumers.get(name)!.candidates = [committed]
}))

const SEEK = fc.tuple(NAME, PART).map(([name, part]) => command(`${name} seeks ${part}`, async (model, world) => {
  const consumer = world.consumer(model, name)
  const sequence = 1 + Math.floor(part * model.last)
  consumer.seek({ sequence })
  model.setCursor(name, sequence - 1)
}))

/** A reader from outside that has come to the end finds the file freed, and perhaps used again and written over, with entries in it that it has not seen. */
const FREE = fc.tuple(fc.boolean(), fc.oneof(fc.nat({ max: 8 }), fc.integer({ min: 10, max: 40 }))).map(([isRead, count]) => command(`${isRead ? 'from outside all is read, ' : ''}3 entries, all consumers seek the end, checkpoint, ${count} entries`, async (model, world) => {
  const { log } = world
  if (isRead) {
    // Of a segment that is less than half full the file is not used again.
    if (world.shape.maxSegmentBytes! <= 16_384) await writeSome(model, world, world.shape.maxSegmentBytes! / 2 / LEAST_BATCH_BYTES)
    await readOutside(model, world, Infinity)
  }
  // The first of them it takes as soon as it comes, being asked for one already.
  await writeSome(model, world, 3)
  await flushed(model, world)
  world.consumer(model, 'a')
  for (const name of model.consumers.keys()) {
    log.consumer(name).seek({ sequence: model.last + 1 })
    model.setCursor(name, model.last)
  }
  await log.roll()
  await log.checkpoint()
  await writeSome(model, world, count)
  if (isRead) await readOutside(model, world, Infinity)
}))

const SEEK_MEANWHILE = fc.tuple(NAME, PART).map(([name, part]) => command(`${name} takes one, seeks ${part}, commits the one`, async (model, world) => {
  const { consumer, committed } = await prepare(model, world, name)
  if (model.last <= Math.max(committed, world.firstKept - 1)) return
  const sequence = 1 + Math.floor(part * model.last)
  for await (const entry of consumer) {
    consumer.seek({ sequence })
    model.setCursor(name, sequence - 1)
    promise(!consumer.commit(entry.sequence), () => `the seek of ${name} to ${sequence} was undone by a commit of ${entry.sequence}, delivered before it`)
    break
  }
}))

const START = fc.tuple(NAME, fc.constantFrom('earliest' as const, 'latest' as const)).map(([name, start]) => command(`${name} starts at ${start}`, async (model, world) => {
  world.log.consumer(name, { start })
  model.setCursor(name, start === 'latest' ? model.last : world.firstKept - 1)
}))

const DELETE = NAME.map((name) => command(`delete ${name}`, async (model, { log }) => {
  const isKnown = model.consumers.delete(name)
  const found = await log.deleteConsumer(name)
  promise(found === isKnown, () => `deleteConsumer(${name}) says ${found}`)
  model.noteFreed()
}))

const PROGRESS = NAME.map((name) => command(`progress of ${name}`, async (model, world) => {
  const consumer = world.consumer(model, name)
  const { committed } = model.consumers.get(name)!
  const expected: Partial<ConsumerProgress> = { head: model.last, committed, lag: model.last - committed, inFlight: 0, retrying: 0, oldestUncommittedAgeMs: undefined }
  const { lagBytes, deadLettered: _, lost: __, ...found } = consumer.progress
  promise(JSON.stringify(found) === JSON.stringify({ ...found, ...expected }), () => `the progress of ${name} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`)
  promise(lagBytes >= 0, () => `${lagBytes} bytes lag`)
}))

/** How a handler fails: entries with such a remainder fail so often. */
interface Failing {
  readonly every: number
  readonly times: number
}

const RUN = fc.record({
  name: NAME,
  batches: fc.boolean(),
  concurrency: fc.integer({ min: 1, max: 4 }),
  maxEntries: fc.integer({ min: 1, max: 5 }),
  failing: fc.option(fc.record({ every: fc.integer({ min: 1, max: 5 }), times: fc.integer({ min: 1, max: 3 }) }), { nil: undefined }),
  maxAttempts: fc.integer({ min: 1, max: 3 }),
  deadLetter: fc.option(fc.constant('dead'), { nil: undefined }),
  isAsync: fc.boolean(),
})
type Run = typeof RUN extends fc.Arbitrary<infer Plan> ? Plan : never

const DELIVER = RUN.map((plan) => command(`${plan.name} ${plan.batches ? `runs batches of ${plan.maxEntries}` : `runs, ${plan.concurrency} at a time`}${showFailing(plan)}`, async (model, world) => {
  const { consumer, committed } = await prepare(model, world, plan.name)
  const seen = new Deliveries(model, plan)
  await watchingLosses(model, consumer, async (lostUpTo) => {
    const reached = consumer.committed(model.last)
    // Rejects when the run fails for good, which is looked at below.
    reached.catch(() => undefined)
    const running = run(consumer, plan, seen)
    const outcome = await Promise.race([reached.then(() => 'all'), running.then(() => 'stopped', (error: unknown) => error as WalError)])
    if (outcome === 'all') {
      await consumer.stop()
      await running
      model.setCursor(plan.name, model.last)
      model.consumers.get(plan.name)!.candidates = [model.last]
      seen.checkWhole(Math.max(committed, lostUpTo()) + 1)
      await checkDead(model, world, plan.name, seen.failedForGood)
    } else {
      checkFailure(model, plan, seen, outcome, consumer.progress.committed)
    }
  })
}))

function showFailing({ failing, maxAttempts, deadLetter }: Run): string {
  return failing === undefined ? '' : `, each ${failing.every}th fails ${failing.times} times of ${maxAttempts}${deadLetter === undefined ? '' : ', with dead letters'}`
}

async function run(consumer: Consumer, plan: Run, seen: Deliveries): Promise<void> {
  const { maxAttempts, deadLetter, concurrency, maxEntries, isAsync } = plan
  const options: DeliveryOptions = { retry: { maxAttempts, initialDelayMs: 1, maxDelayMs: 2 }, ...(deadLetter !== undefined && { deadLetter }) }
  const handle = async (entries: readonly LogEntry[], attempt: number): Promise<void> => {
    await new Promise(setImmediate)
    seen.take(entries, attempt)
  }
  const take = (entries: readonly LogEntry[], attempt: number): unknown => isAsync ? handle(entries, attempt) : seen.take(entries, attempt)
  if (plan.batches) await consumer.runBatches((entries, { attempt }) => take(entries, attempt), { ...options, maxEntries })
  else await consumer.run((entry, { attempt }) => take([entry], attempt), { ...options, concurrency })
}

/** It may fail only if some entry failed for good without a place for it; nothing of it is committed. */
function checkFailure(model: ExpectedLog, { name, deadLetter }: Run, seen: Deliveries, outcome: WalError | string, committed: number): void {
  const first = Math.min(...seen.failedForGood)
  promise(typeof outcome !== 'string' && outcome.code === 'ERR_WAL_HANDLER' && deadLetter === undefined && seen.failedForGood.has(outcome.firstSequence!),
    () => `the run of ${name} ended with ${String(outcome)}; for good failed ${[...seen.failedForGood].join(', ')}`)
  promise(committed < first && committed >= model.consumers.get(name)!.committed, () => `${name} stands at ${committed}, though ${first} failed for good; before it stood at ${model.consumers.get(name)!.committed}`)
  model.setCursor(name, committed)
}

/** What failed for good is among the dead letters, with its bytes. */
async function checkDead(model: ExpectedLog, { code, directory, log }: World, name: string, failed: ReadonlySet<number>): Promise<void> {
  const { dead } = model.consumers.get(name)!
  for (const sequence of failed) dead.add(sequence)
  if (failed.size === 0) return
  const letters = new Set<number>()
  for (const entry of await collect(code.readLog(join(directory, 'dead', 'dead'), { includeWritten: true }))) {
    const letter = code.decodeDeadLetter(entry.data)
    if (letter === undefined || letter.consumer !== name) continue
    const expected = model.entries[letter.sequence - 1]
    // After a crash that took entries which were not acknowledged, others may have their numbers.
    if (failed.has(letter.sequence) && expected?.bytes?.equals(letter.data) === true) letters.add(letter.sequence)
  }
  const missing = [...failed].filter((sequence) => !letters.has(sequence) && model.entries[sequence - 1]!.file === undefined)
  promise(missing.length === 0, () => `${missing.join(', ')} failed for good, and ${log.directory} has no dead letter of them`)
}

/** What came to a handler. */
class Deliveries {
  readonly #model: ExpectedLog
  readonly #plan: Run
  readonly #attempts = new Map<number, number>()
  readonly #order: number[] = []
  readonly failedForGood = new Set<number>()

  constructor(model: ExpectedLog, plan: Run) {
    this.#model = model
    this.#plan = plan
  }

  /** The handler. Throws as it is planned. */
  take(entries: readonly LogEntry[], attempt: number): void {
    const { failing, maxAttempts, batches, maxEntries } = this.#plan
    const first = entries[0]!.sequence
    this.#model.checkRun(entries, first)
    promise(entries.length <= (batches ? maxEntries : 1), () => `${entries.length} entries came at a time`)
    for (const { sequence } of entries) {
      const before = this.#attempts.get(sequence) ?? 0
      promise(attempt === before + 1 && attempt <= maxAttempts, () => `attempt ${attempt} with entry ${sequence}, after ${before} of at most ${maxAttempts}`)
      this.#attempts.set(sequence, attempt)
      if (attempt === 1) this.#order.push(sequence)
    }
    if (failing === undefined || !isFailing(failing, first) || attempt > failing.times) return
    if (attempt === maxAttempts) for (const { sequence } of entries) this.failedForGood.add(sequence)
    throw new Error('as planned')
  }

  /** All from `first` to the end came, in order, and no more often than it had to. */
  checkWhole(first: number): void {
    const { failing, maxAttempts, batches } = this.#plan
    this.#order.forEach((sequence, index) => promise(sequence === first + index, () => `entry ${first + index} was to be started next, it was ${sequence}`))
    promise(this.#order.length === this.#model.last - first + 1, () => `${this.#order.length} entries came, of ${first} to ${this.#model.last}`)
    if (batches) return
    for (const [sequence, attempts] of this.#attempts) {
      const wanted = failing !== undefined && isFailing(failing, sequence) ? Math.min(failing.times + 1, maxAttempts) : 1
      promise(attempts === wanted, () => `entry ${sequence} was tried ${attempts} times, not ${wanted}`)
    }
  }
}

function isFailing({ every }: Failing, sequence: number): boolean {
  return sequence % every === 0
}

/** The commands, with their weights. */
export const CONSUMER_COMMANDS: fc.WeightedArbitrary<Command>[] = [
  { weight: 5, arbitrary: BY_HAND }, { weight: 2, arbitrary: COMMIT_ON_THREAD }, { weight: 2, arbitrary: COMMITTED }, { weight: 2, arbitrary: SEEK },
  { weight: 2, arbitrary: SEEK_MEANWHILE }, { weight: 3, arbitrary: FREE }, { weight: 1, arbitrary: START }, { weight: 1, arbitrary: DELETE }, { weight: 1, arbitrary: PROGRESS },
  { weight: 5, arbitrary: DELIVER },
]
