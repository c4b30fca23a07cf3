/** `ringwal cat DIR` and `ringwal tail DIR`: entries to stdout. */

import { isUtf8 } from 'node:buffer'
import { nodeDisk } from '../disk/node-disk.js'
import { readLogBatches, type LogEntry, type ReadLogOptions } from '../index.js'
import { Catalog } from '../segment/catalog.js'
import { STATUS } from './command-error.js'
import { findLog, findSegments } from './directory.js'
import type { Output } from './output.js'

/** Options of both commands. */
export interface EntryOptions {
  readonly from?: number
  readonly since?: number
  readonly limit?: number
  readonly json?: boolean
  readonly written?: boolean
}

/** Options of `tail`. */
export interface TailOptions extends EntryOptions {
  readonly last: number
}

const NEWLINE = 10

/** Writes entries until the log's end. Returns the exit status. */
export async function cat(directory: string, options: EntryOptions, output: Output, warn: (message: string) => void): Promise<number> {
  await copy(findSegments(directory, warn), readOptions(options), options.json === true, output)
  return STATUS.done
}

/** Writes the last entries, or those from a place on, and then whatever comes. Returns when nobody reads any more, or at the limit. */
export async function tail(directory: string, options: TailOptions, output: Output): Promise<number> {
  const { path } = findLog(directory)
  const follow = { ...readOptions(options), follow: true }
  const json = options.json === true
  if (options.from !== undefined || options.since !== undefined) {
    await copy(path, follow, json, output)
    return STATUS.done
  }
  const { limit = Infinity } = options
  const { entries, lastSequence } = await lastEntries(path, options.last, options.written === true)
  const shown = entries.slice(0, limit)
  if (!(await output.write(encode(shown, json)))) return STATUS.done
  await copy(path, { ...follow, fromSequence: lastSequence + 1, limit: limit - shown.length }, json, output)
  return STATUS.done
}

function readOptions({ from, since, limit, written }: EntryOptions): ReadLogOptions {
  return {
    ...(from === undefined ? {} : { fromSequence: from }),
    ...(since === undefined ? {} : { fromTimestamp: since }),
    ...(limit === undefined ? {} : { limit }),
    includeWritten: written === true,
  }
}

/** One block of entries is in memory at a time. */
async function copy(path: string, options: ReadLogOptions, json: boolean, output: Output): Promise<void> {
  for await (const entries of readLogBatches(path, options)) if (!(await output.write(encode(entries, json)))) return
}

/** The last `count` entries, and the last sequence of all. Reads the newest segment, and what it needs of the one before. */
async function lastEntries(path: string, count: number, includeWritten: boolean): Promise<{ entries: LogEntry[]; lastSequence: number }> {
  const newest = new Catalog(nodeDisk, path).list().at(-1)?.header
  if (newest === undefined) return { entries: [], lastSequence: 0 }
  const knownEnd = newest.sealed ? newest.lastSequence : newest.firstSequence - 1
  let entries: LogEntry[] = []
  let lastSequence = knownEnd
  for await (const batch of readLogBatches(path, { fromSequence: Math.max(1, knownEnd + 1 - count), includeWritten })) {
    lastSequence = batch.at(-1)!.sequence
    entries = [...entries, ...batch.slice(-count)].slice(-count)
  }
  return { entries: count === 0 ? [] : entries, lastSequence }
}

function encode(entries: readonly LogEntry[], json: boolean): string | Uint8Array {
  return json ? entries.map(encodeJson).join('') : encodeLines(entries)
}

function encodeLines(entries: readonly LogEntry[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(entries.reduce((sum, { data }) => sum + data.length + 1, 0))
  let at = 0
  for (const { data } of entries) {
    bytes.set(data, at)
    at += data.length + 1
    bytes[at - 1] = NEWLINE
  }
  return bytes
}

function encodeJson({ sequence, timestamp, data }: LogEntry): string {
  const content = isUtf8(data) ? { text: data.toString('utf8') } : { base64: data.toString('base64') }
  return `${JSON.stringify({ sequence, timestamp, ...content })}\n`
}
