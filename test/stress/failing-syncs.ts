/** A sync that fails, on a real disk whose next sync would say that all is well: what the log must do then, and what must be there afterwards. */

import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { Log, LogOptions } from '../../dist/src/index.js'
import { pick } from '../crash/script.js'
import { below, type Random } from '../model/random.js'
import { load } from '../support/library.mjs'
import { ProducerThread, type RemoteError } from '../support/producer-thread.js'
import { ThinDisk } from '../support/thin-disk.js'

const { openLog, verifyLog } = await load('index.js')
/** More than the disk ever takes. */
const MOST_ENTRIES = 40_000

/** Says what an entry is. */
const textOf = (number: number): string => `${number} ${'x'.repeat((number * 7919) % 2000)}`

/** Fills a disk of its own below `root` until a sync fails, and opens the log again. Resolves with what is wrong. */
export async function failSync(root: string, random: Random): Promise<string[]> {
  const disk = new ThinDisk(4 + below(random, 4), root)
  const options: LogOptions = {
    directory: join(disk.path, 'log'), ringBytes: 256 * 1024, reserveBytes: 0, whenFull: 'block', retention: { maxBytes: 2 ** 40 },
    maxSegmentBytes: pick(random, [256 * 1024, 2 ** 20, 2 ** 24]), preallocateBytes: pick(random, [0, 64 * 1024, 2 ** 20]),
  }
  const run = new FailingRun(await openLog(options))
  await run.appendUntilFailed()
  disk.grow()
  if (below(random, 2) === 0) disk.forget()
  try {
    await checkReopened(disk, options, run)
  } catch (error) {
    run.faults.push(`opening again: ${String(error)}`)
  }
  disk.unmount()
  return run.faults
}

/** One log until its sync fails. */
class FailingRun {
  readonly faults: string[] = []
  acknowledged = 0
  accepted = 0
  readonly #log: Log
  readonly #waiting = new Map<number, Promise<void>>()

  constructor(log: Log) {
    this.#log = log
  }

  async appendUntilFailed(): Promise<void> {
    const log = this.#log
    const thread = await ProducerThread.start(log.handle())
    let elsewhere: Promise<unknown> = Promise.resolve()
    try {
      while (this.accepted < MOST_ENTRIES) {
        const sequence = log.append(textOf(this.accepted + 1))
        this.accepted++
        if (sequence !== this.accepted) this.faults.push(`entry ${this.accepted} became ${sequence}`)
        this.#wait(sequence)
        if (sequence % 50 === 0) elsewhere = thread.askFailing('durable', sequence).catch(() => undefined)
        if (sequence % 10 === 0) await turn()
      }
      this.faults.push('no sync has failed: the disk is not what it should be')
    } catch (error) {
      this.#checkError('append', error)
    }
    await Promise.all(this.#waiting.values())
    await this.#checkEnd(thread, elsewhere)
  }

  /** Each entry's waiter is told once: that it is durable, or why it is not known to be. */
  #wait(sequence: number): void {
    const settled = this.#log.durable(sequence).then(
      () => void (this.acknowledged = Math.max(this.acknowledged, sequence)),
      (error: unknown) => this.#checkError(`durable(${sequence})`, error),
    )
    this.#waiting.set(sequence, settled.finally(() => this.#waiting.delete(sequence)))
  }

  async #checkEnd(thread: ProducerThread, elsewhere: Promise<unknown>): Promise<void> {
    const log = this.#log
    const { durableSequence } = log
    for (const [what, call] of Object.entries({ write: () => log.write('late'), ready: () => log.ready(10) })) {
      await call().then(() => this.faults.push(`${what}() succeeds on a failed log`), (error: unknown) => this.#checkError(what, error))
    }
    // Where the sync of the closing mark alone has failed, all that was accepted is durable, and told to be.
    const isAllDurable = durableSequence === log.lastSequence
    const flushed = await log.flush().then(() => true, (error: unknown) => void this.#checkError('flush', error))
    if ((flushed === true) !== isAllDurable) this.faults.push(`flush() ${flushed ? 'succeeds' : 'fails'} on a failed log with ${log.lastSequence - durableSequence} entries not durable`)
    const said = log.flushSync()
    if (said !== (isAllDurable ? 'durable' : 'failed')) this.faults.push(`flushSync() says "${said}"`)
    const remotes = [(await elsewhere) as RemoteError | undefined, await thread.askFailing('append', 'late'), await thread.askFailing('write', 'late')]
    for (const remote of remotes) if (remote !== undefined && remote.code !== 'ERR_WAL_FAILED') this.faults.push(`another thread is told ${remote.code}: ${remote.message}`)
    await log.close().then(() => this.faults.push('close() says that all is well'), (error: unknown) => this.#checkError('close', error))
    if (log.durableSequence !== durableSequence) this.faults.push('something was acknowledged after the failure')
    await thread.worker.terminate()
  }

  #checkError(what: string, error: unknown): void {
    const { code, cause } = error as { code?: string; cause?: NodeJS.ErrnoException }
    const isRight = code === 'ERR_WAL_FAILED' && (cause?.code === 'ENOSPC' || cause?.code === 'EIO')
    if (!isRight) this.faults.push(`${what}: expected ERR_WAL_FAILED with the failed sync as its cause, got ${String(error)}, cause ${String(cause)}`)
  }
}

/** All that was acknowledged is there, and whatever else was found is on the disk for good: also what only the page cache had. */
async function checkReopened(disk: ThinDisk, options: LogOptions, { acknowledged, accepted, faults }: FailingRun): Promise<void> {
  const again = await openLog(options)
  const last = await checkEntries(again, faults)
  if (last < acknowledged || last > accepted) faults.push(`${accepted} entries were accepted, ${acknowledged} acknowledged; ${last} are there`)
  const { sequence } = await again.write(textOf(last + 1))
  if (sequence !== last + 1) faults.push(`the log ends with ${last}, the next entry became ${sequence}`)
  await again.close()
  disk.forget()
  const { status, damages } = await verifyLog(options.directory)
  if (status !== 'sound') faults.push(`verifyLog() says ${status}: ${JSON.stringify(damages)}`)
  const third = await openLog(options)
  const lastOnDisk = await checkEntries(third, faults)
  if (lastOnDisk !== sequence) faults.push(`the log ended with ${sequence}; on the disk it ends with ${lastOnDisk}`)
  await third.close()
}

async function checkEntries(log: Log, faults: string[]): Promise<number> {
  let last = 0
  for await (const entry of log.read()) {
    last++
    if (entry.sequence !== last || entry.text() !== textOf(last)) {
      faults.push(`sequence ${entry.sequence} is not entry ${last}`)
      break
    }
  }
  return last
}
