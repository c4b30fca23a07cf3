/** A log as users know it: the log itself, and the queue on it. */

import { outOfRange, WalError } from '../errors.js'
import type { Log as CoreLog } from '../log/log.js'
import { openLog as openCore } from '../log/open-log.js'
import { optionGroup } from '../option-values.js'
import type { LogOptions } from '../log/options.js'
import type { Consumer } from './consumer.js'
import { checkName, checkStart, type ConsumerStart } from './consumer-options.js'
import { DeadLetters } from './dead-letters.js'
import { LogConsumer, type ConsumerPort } from './log-consumer.js'

/** A log, as {@link openLog} opens it. */
export interface Log extends CoreLog {
  /**
   * The consumer of that name: the same object each time. A new name begins at the earliest entry, or where `start` says; with any other
   * `start` than `'committed'` a known one is sought there. `{ timestamp }` blocks for a few small reads.
   * Throws `TypeError` or `RangeError` on wrong arguments, `ERR_WAL_TOO_MANY_CONSUMERS` beyond 4,096, `ERR_WAL_CLOSED` after `close()`,
   * `ERR_WAL_IO` when the segments have to be looked at, as for a new name, and cannot be.
   */
  consumer(name: string, options?: { readonly start?: ConsumerStart }): Consumer
  /** All consumers that the log knows, and how many entries each is behind. */
  consumers(): { readonly name: string; readonly committed: number; readonly lag: number }[]
  /** Stops and forgets a consumer: it holds no segment any more. Resolves when that is durable; false when there is none of that name. */
  deleteConsumer(name: string): Promise<boolean>
}

/**
 * Opens the log in a directory, making it if need be: starts the writer thread, takes the lock, recovers. Does not block.
 *
 * Throws `TypeError` or `RangeError` on wrong options, before anything is made on disk. Rejects with `ERR_WAL_LOCKED` when another
 * process (or this one) has it open, `ERR_WAL_CORRUPT` when acknowledged data is damaged, `ERR_WAL_IO` when the operating system
 * refuses. One process may have several logs open, each in its own directory.
 */
export async function openLog(options: LogOptions): Promise<Log> {
  const core = await openCore(options)
  return withQueue(core, options.onCorrupt === 'salvage')
}

function withQueue(core: CoreLog, salvages: boolean): Log {
  const consumers = new Map<string, LogConsumer>()
  const deadLetters = new DeadLetters(core.directory, core.handle().settings.maxEntryBytes)
  const closeCore = core.close.bind(core)
  let closing: Promise<void> | undefined
  const assertOpen = (): void => {
    if (closing !== undefined) throw new WalError('ERR_WAL_CLOSED', 'the log is closed')
  }
  const port: ConsumerPort = { log: core, deadLetters, salvages, assertOpen, placeOf: (place) => sequenceAt(core, place) }
  const close = async (): Promise<void> => {
    await Promise.all([...consumers.values()].map((consumer) => consumer.stop()))
    // Whatever became of the dead letters, this log ends well, and frees its directory.
    const [deadEnd] = await Promise.allSettled([deadLetters.close()])
    await closeCore()
    if (deadEnd.status === 'rejected') throw deadEnd.reason
  }
  return Object.assign(core, {
    consumer(name: string, options: { readonly start?: ConsumerStart } = {}): Consumer {
      assertOpen()
      checkName('name', name)
      optionGroup('options', options, ['start'])
      const { start = 'committed' } = options
      const place = checkStart('options.start', start)
      const known = consumers.get(name)
      if (known !== undefined) {
        if (place !== 'committed') known.seek({ sequence: sequenceAt(core, place) })
        return known
      }
      const found = core.cursors.find(name)
      const cursor = found ?? core.cursors.add(name, sequenceAt(core, place === 'committed' ? 'earliest' : place) - 1)
      if (found !== undefined && place !== 'committed') found.seek(sequenceAt(core, place) - 1)
      const consumer = new LogConsumer(port, cursor)
      consumers.set(name, consumer)
      return consumer
    },
    consumers: () => core.cursors.list().map(({ name, committed }) => ({ name, committed, lag: Math.max(0, core.lastSequence - committed) })),
    async deleteConsumer(name: string): Promise<boolean> {
      checkName('name', name)
      const consumer = consumers.get(name)
      await consumer?.stop()
      consumer?.retire()
      consumers.delete(name)
      return await core.cursors.remove(name)
    },
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  })
}

/** The sequence that comes next at a place. */
function sequenceAt(log: CoreLog, place: Exclude<ConsumerStart, 'committed'>): number {
  if (place === 'earliest') return log.segments()[0]?.firstSequence ?? 1
  if (place === 'latest') return log.lastSequence + 1
  if ('timestamp' in place) return log.sequenceAt(place.timestamp)
  if (place.sequence > log.lastSequence + 1) throw outOfRange('sequence', `an integer from 1 to ${log.lastSequence + 1}, the next one of the log`, place.sequence)
  return place.sequence
}
