/** Reading a log's directory without opening the log: from any process, beside a live writer. */

import { nodeDisk } from '../disk/node-disk.js'
import { DirectoryWatch } from '../disk/watch.js'
import { directoryPath } from '../option-values.js'
import { Catalog } from '../segment/catalog.js'
import type { LogEntry } from './entry.js'
import { resolveReadOptions, type ReadLogOptions } from './read-options.js'
import { readEntryBatches } from './reader.js'

/**
 * Reads a log's directory, many entries at a time: the fast way. Read only: takes no lock, changes nothing, and may run beside
 * a live writer in any process. Sees what the files prove to be durable (a log that falls idle says so within milliseconds).
 *
 * Throws `TypeError` or `RangeError` at once on wrong arguments; while reading `ERR_WAL_IO` when there is no such directory,
 * `ERR_WAL_CORRUPT` at the place of damage, `ERR_WAL_TRIMMED` when the next entries were removed meanwhile.
 */
export function readLogBatches(directory: string, options: ReadLogOptions = {}): AsyncGenerator<LogEntry[], void, undefined> {
  const path = directoryPath('directory', directory)
  const plan = resolveReadOptions(options, true)
  return readDirectory(path, plan, options.includeWritten === true)
}

/** {@link readLogBatches}, one entry at a time. */
export function readLog(directory: string, options: ReadLogOptions = {}): AsyncGenerator<LogEntry, void, undefined> {
  return oneByOne(readLogBatches(directory, options), options.signal)
}

/** The entries of batches, until the signal is aborted. */
export async function* oneByOne(
  batches: AsyncGenerator<LogEntry[], void, undefined>, signal: AbortSignal | undefined,
): AsyncGenerator<LogEntry, void, undefined> {
  for await (const batch of batches) {
    for (const entry of batch) {
      signal?.throwIfAborted()
      yield entry
    }
  }
}

async function* readDirectory(
  path: string, plan: ReturnType<typeof resolveReadOptions>, includeWritten: boolean,
): AsyncGenerator<LogEntry[], void, undefined> {
  const watch = plan.follow ? new DirectoryWatch(path) : undefined
  const untilMore = async (_sequence: number, signal: AbortSignal | undefined): Promise<boolean> => {
    await watch?.next(signal)
    return watch !== undefined
  }
  try {
    yield* readEntryBatches(new Catalog(nodeDisk, path), { visible: () => undefined, includeWritten, untilMore }, plan)
  } finally {
    watch?.close()
  }
}
