/** `ringwal dead list | replay DIR`: what failed for good. */

import { join } from 'node:path'
import { nodeDisk } from '../disk/node-disk.js'
import type { WalError } from '../errors.js'
import type { LogEntry } from '../log/entry.js'
import { decodeFileInfo, encodeFileInfo } from '../log/entry-file.js'
import type { Log } from '../log/log.js'
import { openLog } from '../log/open-log.js'
import { readLog } from '../log/read-log.js'
import { checkName } from '../queue/consumer-options.js'
import { DEAD_LETTERS, deadLetterDirectory, openDeadLetters, readDeadLetter, REPLAY } from '../queue/dead-letters.js'
import type { DeadLetterInfo } from '../queue/dead-letter-layout.js'
import { presentFacts } from '../recovery/look.js'
import { judge } from '../recovery/verdict.js'
import { CommandError, STATUS } from './command-error.js'
import { KEEP_ALL } from './consumers.js'
import { findLog } from './directory.js'
import type { Output } from './output.js'
import { formatCount, formatTime, printable, renderTable } from './table.js'

const LARGEST_ENTRY_BYTES = 2 ** 30
const ERROR_LENGTH = 60

/** One dead letter of one dead-letter log. */
interface Letter {
  readonly log: string
  /** Its sequence in the dead-letter log. */
  readonly number: number
  readonly info: DeadLetterInfo
  readonly entry: LogEntry
}

/** Lists the dead letters that have not been replayed. May run beside a writer. */
export async function listDead(directory: string, options: { readonly json?: boolean }, output: Output): Promise<number> {
  const { path } = findLog(directory)
  const letters: Letter[] = []
  for (const log of deadLogs(path)) for await (const letter of waiting(path, log)) letters.push(letter)
  if (options.json === true) {
    for (const { log, number, info, entry: { file, data } } of letters) {
      const content = file === undefined ? { bytes: readDeadLetter({ file, data } as LogEntry)!.data!.length } : { bytes: file.bytes, file: file.path }
      await output.line(JSON.stringify({ log, number, ...info, ...content }))
    }
    return STATUS.done
  }
  if (letters.length > 0) await output.line(`${render(letters)}\n`)
  await output.line(`${path}: ${formatCount(letters.length, 'dead letter')}`)
  return STATUS.done
}

function render(letters: readonly Letter[]): string {
  return renderTable(
    [
      { title: 'LOG' }, { title: 'NUMBER', isNumber: true }, { title: 'CONSUMER' }, { title: 'ENTRY', isNumber: true }, { title: 'APPENDED' },
      { title: 'ATTEMPTS', isNumber: true }, { title: 'ERROR' },
    ],
    letters.map(({ log, number, info: { consumer, sequence, timestamp, attempts, error } }) => [
      printable(log), number, printable(consumer), sequence, formatTime(timestamp), attempts, printable(`${error.name}: ${error.message}`).slice(0, ERROR_LENGTH),
    ]),
  )
}

/** Appends dead letters to the log again, as new entries, and lets them go. Neither log may be open elsewhere. */
export async function replayDead(directory: string, name: string | undefined, output: Output, warn: (message: string) => void): Promise<number> {
  const { path, segments } = findLog(directory)
  if (segments === 0) throw new CommandError(`there are no segments in ${path}`)
  const logs = deadLogs(path)
  if (name !== undefined && !logs.includes(checkName('name', name))) throw new CommandError(`there is no dead-letter log ${printable(name)} in ${path}`)
  const log = await openLog({ directory: path, retention: KEEP_ALL, reserveBytes: 0, maxEntryBytes: LARGEST_ENTRY_BYTES })
  let count = 0
  try {
    for (const each of name === undefined ? logs : [name]) {
      const dead = await openDeadLetters(path, each, LARGEST_ENTRY_BYTES)
      try {
        const cursor = dead.cursors.find(REPLAY)!
        for await (const entry of dead.read({ fromSequence: cursor.committed + 1 })) {
          const letter = readDeadLetter(entry)
          if (letter?.data !== undefined) await log.write(letter.data)
          else if (letter !== undefined) await replayFile(log, entry, letter.metadata, warn)
          // Durable there, then gone here: a crash in between makes it come twice.
          cursor.noteDelivered(entry.sequence)
          cursor.commit(entry.sequence)
          if (letter !== undefined) count++
        }
        await cursor.untilDurable(cursor.committed)
        await dead.roll()
        await dead.checkpoint()
      } finally {
        await dead.close()
      }
    }
  } finally {
    await log.close()
  }
  await output.line(`${path}: ${formatCount(count, 'dead letter')} appended again`)
  return STATUS.done
}

/** Of a file that is damaged, what its entry tells of it: as of one that was damaged when it was buried. It must not hold up the others. */
async function replayFile(log: Log, entry: LogEntry, metadata: unknown, warn: (message: string) => void): Promise<void> {
  await log.appendFile(entry.file!.open(), { metadata }).catch(async (cause: WalError) => {
    if (cause.code !== 'ERR_WAL_BLOB') throw cause
    await log.write(encodeFileInfo({ ...decodeFileInfo(entry.data)!, metadata }))
    warn(`${cause.message}; its entry is appended without it`)
  })
}

function deadLogs(directory: string): string[] {
  try {
    return nodeDisk.list(join(directory, DEAD_LETTERS)).sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

async function* waiting(directory: string, log: string): AsyncGenerator<Letter, void, undefined> {
  const path = deadLetterDirectory(directory, log)
  const replayed = judge(await presentFacts(nodeDisk, path)).cursors.find((cursor) => cursor.name === REPLAY)?.sequence ?? 0
  for await (const entry of readLog(path, { fromSequence: replayed + 1, includeWritten: true })) {
    const info = readDeadLetter(entry)?.info
    if (info !== undefined) yield { log, number: entry.sequence, info, entry }
  }
}
