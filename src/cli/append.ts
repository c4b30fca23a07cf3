/** `ringwal append DIR`: lines from stdin to entries. */

import type { Readable } from 'node:stream'
import type { WalError } from '../errors.js'
import { openLog, type Log } from '../index.js'
import { blameUsage, CommandError, STATUS } from './command-error.js'
import { LineSplitter } from './line-splitter.js'
import type { Output } from './output.js'

/** Options of the command. */
export interface AppendOptions {
  readonly maxEntryBytes: number
  readonly maxSegmentBytes?: number
  readonly lockWait?: number
  readonly maxAge?: number
  readonly maxBytes?: number
  readonly json?: boolean
}

/** What the command reads from and writes to. */
export interface AppendStreams {
  readonly input: Readable
  readonly output: Output
  readonly warn: (message: string) => void
}

/** Appends until the input ends or a signal comes. Returns the exit status. */
export async function append(directory: string, options: AppendOptions, streams: AppendStreams): Promise<number> {
  const { maxEntryBytes, maxSegmentBytes, lockWait, maxAge, maxBytes } = options
  const log = await openLog({
    directory, maxEntryBytes,
    ...(maxSegmentBytes === undefined ? {} : { maxSegmentBytes }),
    ...(lockWait === undefined ? {} : { lockWaitMs: lockWait }),
    retention: { ...(maxAge === undefined ? {} : { maxAgeMs: maxAge }), ...(maxBytes === undefined ? {} : { maxBytes }) },
  }).catch(blameUsage)
  warnOfCuts(log, streams.warn)
  const before = log.lastSequence
  const stop = stopOnSignals(streams.input)
  let failure: unknown
  try {
    await appendLines(log, streams, maxEntryBytes, stop)
  } catch (error) {
    failure = error
  }
  try {
    // What was taken before a failure of the input is made durable all the same.
    await log.flush()
    await log.close()
  } catch (error) {
    failure ??= error
  }
  await report(before, log.durableSequence, options.json === true, streams.output)
  if (failure !== undefined) throw failure
  return stop.status ?? STATUS.done
}

async function appendLines(log: Log, { input, warn }: AppendStreams, maxEntryBytes: number, stop: Stop): Promise<void> {
  const splitter = new LineSplitter(maxEntryBytes)
  try {
    for await (const chunk of input) {
      for (const line of splitter.split(chunk as Buffer)) if (!tryAppend(log, line)) await appendWaiting(log, line)
      if (stop.status !== undefined) break
    }
  } catch (error) {
    // A signal ends the input in the middle of a read.
    if (stop.status === undefined) throw asInputError(error)
  }
  const rest = splitter.rest()
  if (rest === undefined) return
  if (stop.status === undefined) await appendWaiting(log, rest)
  else warn(`${rest.length} bytes of an unfinished line were not appended`)
}

/** False: the ring is full. */
function tryAppend(log: Log, line: Buffer): boolean {
  try {
    log.append(line)
    return true
  } catch (error) {
    if ((error as WalError).code === 'ERR_WAL_FULL') return false
    throw error
  }
}

async function appendWaiting(log: Log, line: Buffer): Promise<void> {
  while (!tryAppend(log, line)) await log.ready(line.length)
}

function asInputError(error: unknown): unknown {
  if (typeof (error as NodeJS.ErrnoException).syscall !== 'string') return error
  return new CommandError(`cannot read standard input: ${(error as Error).message}`, undefined, error)
}

/** The signal that came, as an exit status. */
interface Stop {
  readonly status: number | undefined
}

/** The first signal ends the input; a second one ends the process at once. */
function stopOnSignals(input: Readable): Stop {
  let status: number | undefined
  const stopBy = (wanted: number) => (): void => {
    status ??= wanted
    input.destroy()
  }
  process.once('SIGINT', stopBy(STATUS.interrupted))
  process.once('SIGTERM', stopBy(STATUS.terminated))
  return {
    get status() {
      return status
    },
  }
}

function warnOfCuts(log: Log, warn: (message: string) => void): void {
  for (const cut of log.recovery.cuts) {
    if (cut.mayHaveBeenAcknowledged) warn(`opening cut ${cut.bytes} bytes of an unfinished write (${cut.reason}) at byte ${cut.offset} of ${cut.file}`)
  }
}

async function report(before: number, durable: number, json: boolean, output: Output): Promise<void> {
  const acknowledged = durable - before
  if (json) {
    const [firstSequence, lastSequence] = acknowledged === 0 ? [null, null] : [before + 1, durable]
    await output.line(JSON.stringify({ acknowledged, firstSequence, lastSequence }))
    return
  }
  const sequences = acknowledged === 0 ? '' : `: ${before + 1} to ${durable}`
  await output.line(`${acknowledged} ${acknowledged === 1 ? 'entry' : 'entries'} acknowledged${sequences}`)
}
