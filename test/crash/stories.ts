/** Lives of a log that are written by hand, beside the random ones: at every disk operation every disk that a power cut may leave is looked at. */

import type { CrashOptions } from '../model/memory-disk.js'
import type { Random } from '../model/random.js'
import { Violation } from './log-image.js'
import type { LogSession, SessionOptions } from './log-session.js'
import { DIRECTORY } from './script.js'
import type { SimulatedTime } from './simulated-time.js'

/** One run of a log: what is done between opening and its end. */
export interface StoryRun {
  act(scene: Scene): void
  readonly end: 'close' | 'crash'
  /** Of all syncs of this run, opening included, the one that fails. */
  readonly failsAtSync?: number
}

/** A life: its runs, on one disk. */
export interface Story {
  readonly name: string
  readonly sectorBytes: number
  readonly rules: CrashOptions
  readonly options: SessionOptions
  readonly runs: readonly StoryRun[]
}

/** What a story's log can be told. */
export class Scene {
  readonly #session: LogSession
  readonly #time: SimulatedTime
  readonly #random: Random
  #made = 0

  constructor(session: LogSession, time: SimulatedTime, random: Random) {
    this.#session = session
    this.#time = time
    this.#random = random
  }

  #entry(bytes: number): Buffer {
    return Buffer.alloc(bytes, `${this.#session.claimed}.${this.#made++}:`)
  }

  /** Appends one entry. */
  append(bytes = 30): void {
    this.#must(this.#session.append([this.#entry(bytes)], 'whole'))
  }

  /** Appends entries as a group. */
  group(count: number, bytes = 30): void {
    this.#must(this.#session.append(Array.from({ length: count }, () => this.#entry(bytes)), 'whole'))
  }

  /** A thread claims an entry, and dies. */
  die(bytes = 30): void {
    this.#must(this.#session.append([this.#entry(bytes)], 'dies'))
  }

  #must(isAccepted: boolean): void {
    if (!isAccepted) throw new Violation('a story found the ring full')
  }

  /** The writer takes what is there. */
  step(): void {
    this.#session.step()
  }

  /** All that was accepted becomes durable. */
  settle(): void {
    this.#session.catchUp()
  }

  /** Nothing happens for a while. */
  rest(ms = 5): void {
    this.#time.advance(ms)
    this.#session.step()
  }

  roll(): void {
    this.#session.roll()
    this.#session.step()
  }

  /** A consumer commits all that is durable; what that frees is freed. */
  consume(name = 'one'): void {
    const { durable, consumers } = this.#session
    consumers.commit(name, durable, durable, this.#random)
    consumers.request()
    this.#session.checkpoint()
    this.#session.step()
  }
}

const MANY = Number.MAX_SAFE_INTEGER

function options(writer: Partial<SessionOptions['writer']> = {}): SessionOptions {
  return {
    ringBytes: 4096,
    slots: 32,
    writer: {
      directory: DIRECTORY, maxSegmentBytes: 4096, maxSegmentEntries: MANY, maxSegmentAgeMs: Infinity, durability: 'batch', lingerMs: 0,
      maxBatchBytes: 65_536, preallocateBytes: 0, lockWaitMs: 0, salvages: false, reserveBytes: 0,
      retention: { maxBytes: Infinity, maxAgeMs: Infinity, maxSegments: MANY, keepConsumed: false, whenOver: 'refuse', cleanupIntervalMs: 3_600_000 },
      ...writer,
    },
  }
}

const crash = (act: StoryRun['act']): StoryRun => ({ act, end: 'crash' })
const close = (act: StoryRun['act']): StoryRun => ({ act, end: 'close' })
/** Each entry is a batch of its own. */
const oneByOne = (scene: Scene, count: number, bytes?: number): void => {
  for (let number = 0; number < count; number++) {
    scene.append(bytes)
    scene.step()
  }
}

interface Plot { readonly options?: SessionOptions; readonly runs: readonly StoryRun[] }

const PLOTS: { readonly [name: string]: Plot } = {
  'batch by batch, and a mark when idle': { runs: [crash((scene) => (oneByOne(scene, 4), scene.rest())), close((scene) => oneByOne(scene, 2))] },
  'batches of several sectors': { runs: [crash((scene) => oneByOne(scene, 3, 900)), close((scene) => oneByOne(scene, 1, 900))] },
  'groups': { runs: [crash((scene) => (scene.group(5), scene.step(), scene.group(3, 400), scene.step())), close((scene) => (scene.group(2), scene.step()))] },
  'an entry that is too large for the ring': { runs: [crash((scene) => (scene.append(), scene.append(2500), scene.settle(), scene.append(), scene.step())), close(() => undefined)] },
  'rolls': { runs: [close((scene) => (oneByOne(scene, 2), scene.roll(), oneByOne(scene, 2), scene.roll(), oneByOne(scene, 1)))] },
  'segments that are full': { options: options({ maxSegmentBytes: 700 }), runs: [crash((scene) => oneByOne(scene, 8)), close((scene) => oneByOne(scene, 3))] },
  'segments that are freed, and used again': {
    runs: [0, 1].map(() => crash((scene) => {
      for (let round = 0; round < 3; round++) {
        oneByOne(scene, 2)
        scene.roll()
        scene.consume()
      }
      oneByOne(scene, 2)
    })),
  },
  'commits, and nothing to append': { runs: [crash((scene) => (oneByOne(scene, 3), scene.consume(), scene.rest(50), scene.consume('two'), scene.rest(50))), close((scene) => scene.consume())] },
  'nothing is synced but by a roll': {
    options: options({ durability: 'manual' }),
    runs: [crash((scene) => (oneByOne(scene, 3), scene.roll(), oneByOne(scene, 3), scene.settle(), oneByOne(scene, 2))), close((scene) => oneByOne(scene, 1))],
  },
  'zeros ahead of need': { options: options({ preallocateBytes: 2048 }), runs: [crash((scene) => oneByOne(scene, 4, 300)), close((scene) => oneByOne(scene, 2))] },
  'a reserve': { options: options({ reserveBytes: 2048 }), runs: [crash((scene) => oneByOne(scene, 2)), close((scene) => oneByOne(scene, 2))] },
  'a tail that is torn again and again': { runs: [0, 1, 2, 3].map(() => crash((scene) => (oneByOne(scene, 2), scene.append(600), scene.step()))) },
  'a producer that dies': { runs: [crash((scene) => (scene.append(), scene.die(), scene.append(), scene.step(), scene.rest(), scene.rest(), scene.append(), scene.step())), close(() => undefined)] },
  'a sync that fails': { runs: [...[2, 3, 4].map((failsAtSync) => ({ ...crash((scene) => oneByOne(scene, 4)), failsAtSync })), close((scene) => oneByOne(scene, 1))] },
}

const DISKS = [512, 4096].flatMap((sectorBytes) => (['none', 'fresh', 'written'] as const).map((garbage) => ({ sectorBytes, garbage })))

/** Every life, on every kind of disk. */
export const STORIES: readonly Story[] = Object.entries(PLOTS).flatMap(([name, plot]) => DISKS.map(({ sectorBytes, garbage }): Story => {
  return { name: `${name}, sectors of ${sectorBytes} bytes, garbage: ${garbage}`, sectorBytes, rules: { garbage }, options: options(), ...plot }
}))
