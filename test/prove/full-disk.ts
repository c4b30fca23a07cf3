/** A real disk that is filled to the brim under a log, again and again: what was accepted becomes durable, the rest is refused, and appends go on once there is room. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { Log, LogOptions, WalError } from '../../dist/src/index.js'
import { chance, pick } from '../crash/script.js'
import { below, seededRandom, type Random } from '../model/random.js'
import { load } from '../support/library.mjs'
import { SmallDisk, smallDiskObstacle } from '../support/small-disk.js'
import type { Fault, ProveOptions, ProveResult } from './harness.js'
import { within } from './time-limit.js'

const { openLog, verifyLog } = await load('index.js')
const QUICK_CYCLES = 10
const LONG_CYCLES = 300
const MIB = 2 ** 20
/** Far more than a cycle takes. */
const LIMIT_MS = 45_000
/** Looks, 5 ms apart, until there should be room. */
const MOST_LOOKS = 4000

const textOf = (number: number): string => `${number} ${'x'.repeat(300 + (number * 7919) % 400)}`

/** A case is a cycle, `cycle N`: a disk and a log of its own. */
export async function run({ seed, long, caseName, stopAtFirst, directory, say }: ProveOptions): Promise<ProveResult> {
  const obstacle = smallDiskObstacle()
  if (obstacle !== undefined) return { cases: 0, faults: [], skipped: `no small disk can be made here: ${obstacle}` }
  const names = caseName === undefined ? Array.from({ length: long ? LONG_CYCLES : QUICK_CYCLES }, (_, cycle) => `cycle ${cycle}`) : [caseName]
  const faults: Fault[] = []
  let [cases, refused] = [0, 0]
  for (const name of names) {
    const root = join(directory, name)
    mkdirSync(root)
    cases++
    const number = Number(name.split(' ')[1])
    const cycle = new FullDiskCycle(new SmallDisk(32, root), seededRandom(seed + number), number)
    await within(LIMIT_MS, cycle.live()).catch((error: unknown) => cycle.faults.push(`while ${cycle.doing}: ${String(error)}`))
    refused += cycle.refused
    faults.push(...cycle.faults.slice(0, 5).map((what) => ({ caseName: name, what })))
    if (faults.length > 0 && (stopAtFirst || faults.length > 20)) break
  }
  say(`the disk was full ${refused} times`)
  return { cases, faults }
}

class FullDiskCycle {
  readonly faults: string[] = []
  doing = 'opening'
  refused = 0
  readonly #disk: SmallDisk
  readonly #random: Random
  readonly #options: LogOptions & { readonly maxSegmentBytes: number; readonly reserveBytes: number }
  /** The reserve is made with the first entry, also where a cursor was written before it: then the disk is full before another segment begins. */
  readonly #isCursorFirst: boolean
  /** The last entry that was accepted, and that became durable. */
  #accepted = 0
  #durable = 0

  constructor(disk: SmallDisk, random: Random, number: number) {
    this.#disk = disk
    this.#random = random
    this.#isCursorFirst = number % 2 === 0
    this.#options = {
      directory: join(disk.path, 'log'), ringBytes: 256 * 1024, maxSegmentBytes: pick(random, [256 * 1024, MIB, 4 * MIB]),
      preallocateBytes: pick(random, [0, 64 * 1024, 2 * MIB]), reserveBytes: number % 4 === 3 ? 0 : MIB, retention: { maxBytes: 2 ** 40, maxAgeMs: Infinity },
    }
  }

  async live(): Promise<void> {
    let log = await openLog(this.#options)
    const reader = log.consumer('reader')
    if (this.#isCursorFirst) await reader.committed(0)
    await this.#goOn(log)
    for (let round = 0; round < 3; round++) {
      this.doing = 'filling the disk'
      const mostBytes = round === 0 && this.#isCursorFirst ? this.#options.maxSegmentBytes / 2 : 6 * MIB
      const giveBack = this.#disk.fillUntil(below(this.#random, mostBytes))
      await this.#appendUntilRefused(log)
      const hasReserve = this.#options.reserveBytes > 0
      if (hasReserve) await this.#expectAllDurable(log)
      this.doing = 'reading on the full disk'
      await this.#check(log)
      if (hasReserve && chance(this.#random, 50)) log = await this.#reopen(log)
      this.doing = 'going on'
      giveBack()
      await this.#goOn(log)
    }
    this.doing = 'closing'
    await log.close()
    const { status, damages } = await verifyLog(this.#options.directory)
    if (status !== 'sound') this.faults.push(`verifyLog() says ${status}: ${JSON.stringify(damages)}`)
  }

  async #appendUntilRefused(log: Log): Promise<void> {
    for (;;) {
      try {
        const sequence = log.append(textOf(this.#accepted + 1))
        if (sequence !== ++this.#accepted) this.faults.push(`entry ${this.#accepted} became ${sequence}`)
        if (sequence % 50 === 0) await turn()
      } catch (error) {
        const { code } = error as { code: string }
        if (code === 'ERR_WAL_DISK_FULL') break
        if (code !== 'ERR_WAL_FULL') throw error
        await turn()
      }
    }
    this.refused++
  }

  /** With a reserve, what was accepted becomes durable on the full disk. */
  async #expectAllDurable(log: Log): Promise<void> {
    this.doing = 'flushing on the full disk'
    await log.flush()
    if (log.durableSequence !== this.#accepted) this.faults.push(`${this.#accepted} entries were accepted, ${log.durableSequence} are durable on the full disk`)
    this.#durable = this.#accepted
  }

  async #check(log: Log): Promise<void> {
    this.#durable = Math.max(this.#durable, log.durableSequence)
    let next = log.segments()[0]?.firstSequence ?? 1
    for await (const entry of log.read({ fromSequence: next })) {
      if (entry.sequence !== next || entry.text() !== textOf(next)) return void this.faults.push(`sequence ${entry.sequence} is not entry ${next}`)
      next++
    }
    if (next - 1 < this.#durable) this.faults.push(`${this.#durable} entries were durable, the log ends with ${next - 1}`)
  }

  async #reopen(log: Log): Promise<Log> {
    this.doing = 'closing on the full disk'
    await log.close()
    this.#disk.fillUntil(0)
    this.doing = 'opening on the full disk'
    const again = await openLog(this.#options).catch(async (error: WalError) => await this.#openWithRoom(error))
    await this.#check(again)
    if (again.lastSequence !== this.#accepted) this.faults.push(`${this.#accepted} entries were accepted and the log closed, it ends with ${again.lastSequence}`)
    return again
  }

  /** A disk without a block for one more name in the directory takes no lock: that is said as it is, and some room is all that it takes. */
  async #openWithRoom(error: WalError): Promise<Log> {
    if (error.code !== 'ERR_WAL_IO' || (error.cause as NodeJS.ErrnoException | undefined)?.code !== 'ENOSPC' || !error.message.startsWith('cannot lock')) throw error
    this.#disk.giveBack(256 * 1024)
    return await openLog(this.#options)
  }

  /** There is room again: what waits is written, and appends are taken. */
  async #goOn(log: Log): Promise<void> {
    for (let look = 0; log.stats().space !== 'ok'; look++) {
      if (look > MOST_LOOKS) throw new Error('there is room again, and the log does not go on')
      await sleep(5)
    }
    const { sequence } = await log.write(textOf(this.#accepted + 1))
    this.#durable = this.#accepted += 1
    if (sequence !== this.#accepted) this.faults.push(`entry ${this.#accepted} became ${sequence}`)
    await this.#check(log)
  }
}
