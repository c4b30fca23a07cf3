/** `ringwal consumers | commit | seek | checkpoint DIR`: the queue from the command line. */

import { nodeDisk } from '../disk/node-disk.js'
import { presentFacts } from '../recovery/look.js'
import { summarize } from '../recovery/segment-summary.js'
import { judge } from '../recovery/verdict.js'
import type { LogCursor } from '../log/cursor.js'
import type { Log } from '../log/log.js'
import { openLog } from '../log/open-log.js'
import type { LogRetention } from '../log/options.js'
import { readLog } from '../log/read-log.js'
import { bytesBehind } from '../queue/lag.js'
import { blameUsage, CommandError, STATUS } from './command-error.js'
import { findLog, findSegments } from './directory.js'
import type { Output } from './output.js'
import { formatBytes, formatCount, formatSpan, formatTime, printable, renderTable } from './table.js'

/** What somebody who only moves a cursor must not do: remove anything. */
export const KEEP_ALL: LogRetention = { maxBytes: Number.MAX_SAFE_INTEGER, maxAgeMs: Infinity, keepConsumed: true }

/** A consumer, as the files tell. */
interface ConsumerState {
  readonly name: string
  readonly committed: number
  /** Entries that it has not committed, about how many bytes they take, and since when the first of them waits. */
  readonly lag: number
  readonly lagBytes: number
  readonly oldestUncommitted: number | null
}

/** Lists consumers: where each stands, and how far behind. Changes nothing, and may run beside a writer. */
export async function consumers(directory: string, options: { readonly json?: boolean }, output: Output, warn: (message: string) => void): Promise<number> {
  const path = findSegments(directory, warn)
  const { verdicts, cursors, lastSequence } = judge(await presentFacts(nodeDisk, path))
  const segments = verdicts.map((verdict) => summarize(verdict.facts))
  const states: ConsumerState[] = []
  for (const { name, sequence: committed } of cursors.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const lag = Math.max(0, lastSequence - committed)
    const oldestUncommitted = lag === 0 ? null : await timestampFrom(path, committed + 1)
    states.push({ name, committed, lag, lagBytes: bytesBehind(segments, committed), oldestUncommitted })
  }
  await output.write(options.json === true ? `${JSON.stringify({ directory: path, lastSequence, consumers: states })}\n` : render(path, lastSequence, states))
  return STATUS.done
}

/** When the first entry from a sequence on was appended; null when there is none. */
async function timestampFrom(path: string, fromSequence: number): Promise<number | null> {
  for await (const { timestamp } of readLog(path, { fromSequence, limit: 1, includeWritten: true })) return timestamp
  return null
}

function render(directory: string, lastSequence: number, states: readonly ConsumerState[]): string {
  const sum = `${directory}: ${formatCount(states.length, 'consumer')}, last sequence ${lastSequence}`
  if (states.length === 0) return `${sum}\n`
  const table = renderTable(
    [
      { title: 'CONSUMER' }, { title: 'COMMITTED', isNumber: true }, { title: 'LAG', isNumber: true }, { title: 'ABOUT', isNumber: true },
      { title: 'OLDEST SINCE' }, { title: 'AGE', isNumber: true },
    ],
    states.map(({ name, committed, lag, lagBytes, oldestUncommitted }) => [
      printable(name), committed, lag, formatBytes(lagBytes), formatTime(oldestUncommitted ?? undefined),
      oldestUncommitted === null ? '-' : formatSpan(Date.now() - oldestUncommitted),
    ]),
  )
  return `${table}\n\n${sum}\n`
}

/** Commits for a consumer up to a sequence. The log must not be open elsewhere. */
export async function commit(directory: string, name: string, sequence: number, output: Output): Promise<number> {
  await withLog(directory, KEEP_ALL, async (log) => {
    const cursor = findCursor(log, name)
    if (sequence > log.lastSequence) throw new CommandError(`the log ends with ${log.lastSequence}: ${sequence} cannot be committed`)
    if (sequence < cursor.committed) throw new CommandError(`${printable(name)} has committed ${cursor.committed} already: seek goes back`)
    cursor.noteDelivered(sequence)
    cursor.commit(sequence)
    await cursor.untilDurable(sequence)
    await output.line(`${printable(name)}: committed ${cursor.committed}`)
  })
  return STATUS.done
}

/** Sets a consumer so that a sequence comes next. The log must not be open elsewhere. */
export async function seek(directory: string, name: string, sequence: number, output: Output): Promise<number> {
  await withLog(directory, KEEP_ALL, async (log) => {
    const cursor = findCursor(log, name)
    if (sequence > log.lastSequence + 1) throw new CommandError(`the log ends with ${log.lastSequence}: ${sequence} cannot come next`)
    cursor.seek(sequence - 1)
    await cursor.untilDurable(sequence - 1)
    await output.line(`${printable(name)}: ${sequence} comes next`)
  })
  return STATUS.done
}

/** Options of `checkpoint`: without them only what every consumer has committed goes. */
export interface CheckpointOptions {
  readonly maxAge?: number
  readonly maxBytes?: number
  readonly maxSegments?: number
}

/** Frees the segments that may go. The log must not be open elsewhere. */
export async function checkpoint(directory: string, { maxAge, maxBytes, maxSegments }: CheckpointOptions, output: Output): Promise<number> {
  const limits = {
    maxAgeMs: maxAge ?? Infinity, maxBytes: maxBytes ?? Number.MAX_SAFE_INTEGER, ...(maxSegments === undefined ? {} : { maxSegments }),
  }
  await withLog(directory, { ...limits, keepConsumed: false }, async (log) => {
    const { segments, bytes } = log.recovery
    await log.checkpoint()
    const sealed = log.segments().filter((segment) => segment.sealed)
    const left = sealed.reduce((sum, segment) => sum + segment.bytes, 0)
    await output.line(`${log.directory}: freed ${formatCount(segments - sealed.length, 'segment')}, ${formatBytes(Math.max(0, bytes - left))}`)
  })
  return STATUS.done
}

async function withLog(directory: string, retention: LogRetention, use: (log: Log) => Promise<void>): Promise<void> {
  const { path, segments } = findLog(directory)
  if (segments === 0) throw new CommandError(`there are no segments in ${path}`)
  const log = await openLog({ directory: path, retention, reserveBytes: 0 }).catch(blameUsage)
  try {
    await use(log)
  } finally {
    await log.close()
  }
}

function findCursor(log: Log, name: string): LogCursor {
  const cursor = log.cursors.find(name)
  if (cursor !== undefined) return cursor
  const names = log.cursors.list().map((other) => printable(other.name))
  throw new CommandError(`there is no consumer ${printable(name)}: ${names.length === 0 ? 'the log has none' : `there are ${names.join(', ')}`}`)
}
