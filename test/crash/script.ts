/** What a run does: drawn from a seed. */

import { join } from 'node:path'
import type { Disk } from '../../dist/src/disk/disk.js'
import type { CrashOptions } from '../model/memory-disk.js'
import { below, type Random } from '../model/random.js'
import type { Ballast } from './ballast.js'
import type { Fate, LogSession, SessionOptions } from './log-session.js'
import type { SimulatedTime } from './simulated-time.js'

export const DIRECTORY = '/log'
/** More than a quarter of the smallest ring, less than the largest entry. */
const LARGE_GROUP_BYTES = 2400

export function pick<Value>(random: Random, values: readonly [Value, ...Value[]]): Value {
  return values[below(random, values.length)]!
}

/** True `percent` times in a hundred. */
export function chance(random: Random, percent: number): boolean {
  return random() * 100 < percent
}

/** Options with edges close together. */
export function drawSessionOptions(random: Random): SessionOptions {
  return {
    ringBytes: pick(random, [1024, 2048, 4096]),
    slots: pick(random, [16, 32]),
    writer: {
      directory: DIRECTORY,
      maxSegmentBytes: pick(random, [700, 1024, 2048, 4096]),
      maxSegmentEntries: pick(random, [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 5]),
      maxSegmentAgeMs: pick(random, [Infinity, Infinity, 40]),
      durability: pick(random, ['batch', 'batch', 'batch', 'manual', { intervalMs: 5 }]),
      lingerMs: 0,
      maxBatchBytes: pick(random, [256, 1024, 65_536]),
      preallocateBytes: pick(random, [0, 0, 2048, 8192]),
      lockWaitMs: 0,
      salvages: false,
      reserveBytes: pick(random, [0, 0, 2048]),
      retention: {
        maxBytes: pick(random, [Infinity, Infinity, 12_000, 6000]),
        maxAgeMs: pick(random, [Infinity, Infinity, Infinity, 50]),
        maxSegments: pick(random, [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 4, 1]),
        keepConsumed: chance(random, 20),
        whenOver: pick(random, ['refuse', 'refuse', 'drop-oldest']),
        cleanupIntervalMs: pick(random, [3_600_000, 20]),
      },
    },
  }
}

/** What a power cut may do in one case. With `'written'` also bytes that are being overwritten may be lost: not while recovery rewrites. */
export function drawRules(random: Random): CrashOptions {
  return {
    names: pick(random, ['any', 'any', 'ordered']),
    writes: pick(random, ['subset', 'subset', 'prefix']),
    garbage: pick(random, ['fresh', 'fresh', 'none', 'written']),
  }
}

/** Makes entries that are never the same twice, some of them with bytes that look like a log's own. */
export class EntryMaker {
  readonly #random: Random
  #made = 0

  constructor(random: Random) {
    this.#random = random
  }

  make(disk: Disk, maxBytes: number): Buffer {
    const random = this.#random
    const name = `${++this.#made}:`
    const length = below(random, 8) === 0 ? below(random, maxBytes) : below(random, 60)
    if (chance(random, 4)) return Buffer.concat([Buffer.from(name), pick(random, [Buffer.from('MSG!CMT!WAL!'), bytesOfNewest(disk, random, maxBytes)])])
    return Buffer.alloc(Math.max(length, name.length), name)
  }
}

/** A piece of the log itself: frames and trailers at home elsewhere. */
function bytesOfNewest(disk: Disk, random: Random, maxBytes: number): Buffer {
  const name = disk.list(DIRECTORY).sort().at(-1)
  if (name === undefined) return Buffer.from('MSG!')
  const file = disk.open(join(DIRECTORY, name), 'read')
  const bytes = Buffer.alloc(Math.min(maxBytes, file.size()))
  file.read(bytes, pick(random, [0, 128, 244]))
  file.close()
  return bytes
}

/** One append of any kind. False: refused. */
export function appendSomething(session: LogSession, disk: Disk, maker: EntryMaker, random: Random): boolean {
  const small = session.maxStretchBytes - 40
  const kind = below(random, 100)
  const fate: Fate = kind < 4 ? 'throws' : kind < 5 ? 'dies' : 'whole'
  if (kind >= 95) return session.append([Buffer.concat([maker.make(disk, small), Buffer.alloc(small + below(random, 600), 'large ')])], fate)
  const count = chance(random, 20) ? 2 + below(random, 5) : 1
  const maxBytes = chance(random, 80) ? Math.floor(small / count / 2) : count === 1 ? small : Math.floor(LARGE_GROUP_BYTES / count)
  return session.append(Array.from({ length: count }, () => maker.make(disk, maxBytes)), fate)
}

/** One action: an append, a step of the writer, a command, other programs that take room, or time going by. */
export function act(session: LogSession, disk: Disk, ballast: Ballast, maker: EntryMaker, time: SimulatedTime, random: Random): void {
  const action = below(random, 100)
  if (action < 46) {
    if (!appendSomething(session, disk, maker, random)) session.step()
  } else if (action < 70) session.step()
  else if (action < 77) session.flush()
  else if (action < 80) session.roll()
  else if (action < 83) session.checkpoint()
  else if (action < 91) actOnCursors(session, random)
  else if (action < 94) {
    if (chance(random, 60)) ballast.fill(below(random, 5))
    else ballast.empty()
  } else {
    // Idle: the closing mark of the last batch comes due, and a full disk is tried again.
    time.advance(pick(random, [1, 3, 3, 3, 60, 300]))
    session.step()
  }
}

const CONSUMERS = ['one', 'two', 'a third one'] as const

/** Anything that a thread may do with consumers. */
export function actOnCursors(session: LogSession, random: Random): void {
  const { consumers, durable } = session
  const name = pick(random, CONSUMERS)
  const draw = below(random, 24)
  if (draw === 0) consumers.remove(name)
  else if (draw === 1) consumers.seek(name, below(random, 1 + durable))
  else if (draw === 2) consumers.seek(name, session.claimed)
  else if (draw < 6) consumers.request()
  else if (draw === 6) session.read(below(random, 2) * Math.max(1, durable - below(random, 40)))
  else if (draw < 12) for (const each of CONSUMERS) consumers.commit(each, durable, durable, random)
  else consumers.commit(name, Math.max(0, durable - (chance(random, 60) ? 0 : below(random, 10))), durable, random)
}

/** Between two runs anybody may set the clock. */
export function passTime(time: SimulatedTime, random: Random): void {
  time.advance(below(random, 1000))
  if (chance(random, 15)) time.setWall(time.wallMs + pick(random, [-3_600_000, -1, 86_400_000]))
}
