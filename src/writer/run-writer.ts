/** The writer thread from its start to its end: lock, recover, tell, write, unlock. */

import { performance } from 'node:perf_hooks'
import { acquireDirectoryLock } from '../disk/directory-lock.js'
import { nodeDisk } from '../disk/node-disk.js'
import { isThreadDead, ownIdentity } from '../disk/thread-identity.js'
import { toErrorRecord, WalError, type ErrorRecord } from '../errors.js'
import { absoluteTicks } from '../format/ticks.js'
import { recover, type RecoveryReport } from '../recovery/recover.js'
import { startClock } from '../ring/clock.js'
import { failLog } from '../ring/life.js'
import { initializeRing, openRing, type RingHandle } from '../ring/ring.js'
import { WORD } from '../ring/ring-layout.js'
import type { WriterOptions } from './writer-options.js'
import { Writer } from './writer.js'

/** What the thread is started with. */
export interface WriterStart {
  readonly handle: RingHandle
  readonly options: WriterOptions
}

/** The one message that the thread sends: how opening went. */
export type WriterReply =
  | { readonly kind: 'ready'; readonly recovery: RecoveryReport }
  | { readonly kind: 'refused'; readonly error: ErrorRecord }

/** Runs the writer of one log on the calling thread until the log ends. Never rejects: failures end the log, or are replied. */
export async function runWriter(start: WriterStart, reply: (message: WriterReply) => void): Promise<void> {
  const { handle, options } = start
  let lock: { release(): Promise<void> } | undefined
  let writer: Writer
  const ring = openRing(handle)
  try {
    nodeDisk.makeDirectory(options.directory)
    lock = await acquireDirectoryLock(options.directory, { waitMs: options.lockWaitMs })
    const startMs = performance.now()
    const recovered = recover(nodeDisk, options.directory)
    const clock = startClock(recovered.lastTicks)
    initializeRing(ring, { nextSequence: recovered.nextSequence, ...clock })
    const { thread, startLow, startHigh } = ownIdentity()
    ring.atomics.store(ring.words, WORD.writerStartLow, startLow)
    ring.atomics.store(ring.words, WORD.writerStartHigh, startHigh)
    ring.atomics.store(ring.words, WORD.writerThread, thread)
    writer = new Writer(ring, nodeDisk, options, recovered, absoluteTicks(clock.floorTicks, clock.tickBase), isThreadDead)
    reply({ kind: 'ready', recovery: { ...recovered.report, durationMs: performance.now() - startMs } })
  } catch (error) {
    await lock?.release()
    reply({ kind: 'refused', error: toErrorRecord(asWalError(error, options.directory)) })
    return
  }
  try {
    writer.run()
  } catch (error) {
    failLog(ring, error)
  }
  await lock.release()
}

function asWalError(error: unknown, directory: string): unknown {
  if (error instanceof WalError) return error
  const { message, path } = error as NodeJS.ErrnoException
  return new WalError('ERR_WAL_IO', `cannot open the log in ${directory}: ${message}`, { file: path ?? directory }, error)
}
