/** The dead-letter logs of one log: logs of their own below its directory, opened when the first entry comes. */

import { join } from 'node:path'
import type { WalError } from '../errors.js'
import type { LogEntry } from '../log/entry.js'
import type { Log } from '../log/log.js'
import { openLog } from '../log/open-log.js'
import { decodeDeadLetter, describeError, encodeDeadLetter, type DeadLetterInfo } from './dead-letter-layout.js'
import type { Parcel } from './delivery.js'

/** Below the log's directory. */
export const DEAD_LETTERS = 'dead'
/** Who has seen to dead letters: what this consumer has committed has been replayed, and may go. */
export const REPLAY = 'replay'
/** Among the metadata of a dead letter that is a file: what is told of it. */
const DEAD_FILE = 'ringwal-dead-letter'
const RING_BYTES = 2 ** 20
const SEGMENT_BYTES = 2 ** 24
/** Room for the description beside the entry. */
const DESCRIPTION_BYTES = 2 ** 17
const LARGEST_ENTRY_BYTES = 2 ** 30

/** The directory of a dead-letter log. */
export function deadLetterDirectory(directory: string, name: string): string {
  return join(directory, DEAD_LETTERS, name)
}

/** Opens a dead-letter log. Nothing in it goes before it was replayed; where there is no more room it refuses. */
export async function openDeadLetters(directory: string, name: string, maxEntryBytes: number): Promise<Log> {
  const log = await openLog({
    directory: deadLetterDirectory(directory, name),
    ringBytes: RING_BYTES,
    maxSegmentBytes: SEGMENT_BYTES,
    maxEntryBytes: Math.min(LARGEST_ENTRY_BYTES, maxEntryBytes + DESCRIPTION_BYTES),
    retention: { maxAgeMs: Infinity },
  })
  if (log.cursors.find(REPLAY) === undefined) log.cursors.add(REPLAY, 0)
  return log
}

/** What a dead letter holds: an entry's bytes, or a file and its metadata; undefined of an entry that is none. */
export function readDeadLetter(entry: LogEntry): { info: DeadLetterInfo; data: Buffer | undefined; metadata: unknown } | undefined {
  if (entry.file === undefined) {
    const letter = decodeDeadLetter(entry.data)
    if (letter === undefined) return undefined
    const { data, ...info } = letter
    return { info, data, metadata: undefined }
  }
  const { [DEAD_FILE]: info, metadata } = (entry.file.metadata ?? {}) as { [DEAD_FILE]?: DeadLetterInfo; metadata?: unknown }
  return info === undefined ? undefined : { info, data: undefined, metadata }
}

/** The dead-letter logs that a log has open. */
export class DeadLetters {
  readonly #directory: string
  readonly #maxEntryBytes: number
  readonly #logs = new Map<string, Promise<Log>>()

  constructor(directory: string, maxEntryBytes: number) {
    this.#directory = directory
    this.#maxEntryBytes = maxEntryBytes
  }

  /** Resolves when all entries of the parcel are durable in the dead-letter log of that name. */
  async bury(name: string, consumer: string, { entries }: Parcel, thrown: unknown, attempts: number): Promise<void> {
    const log = await this.#open(name)
    const error = describeError(thrown)
    await Promise.all(entries.map(async ({ sequence, timestamp, data, file }) => {
      const info = { consumer, sequence, timestamp, attempts, error }
      if (file === undefined) await log.write(encodeDeadLetter(info, data))
      // Its file would go with the entry. What is damaged is kept as what the entry tells of it.
      else await log.appendFile(file.open(), { metadata: { [DEAD_FILE]: info, metadata: file.metadata } }).catch(async (cause: WalError) => {
        if (cause.code !== 'ERR_WAL_BLOB') throw cause
        await log.write(encodeDeadLetter(info, data))
      })
    }))
  }

  async #open(name: string): Promise<Log> {
    const known = this.#logs.get(name)
    if (known !== undefined) return await known
    const opening = openDeadLetters(this.#directory, name, this.#maxEntryBytes)
    this.#logs.set(name, opening)
    // What could not be opened is tried again with the next entry.
    opening.catch(() => this.#logs.delete(name))
    return await opening
  }

  /** Closes all of them. */
  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#logs.values())
    this.#logs.clear()
    const closed = await Promise.allSettled(opened.map((outcome) => outcome.status === 'fulfilled' ? outcome.value.close() : undefined))
    for (const outcome of closed) if (outcome.status === 'rejected') throw outcome.reason
  }
}
