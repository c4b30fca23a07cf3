/** The writer thread from its start to its end: lock, recover, tell, write, unlock. */

import { performance } from 'node:perf_hooks'
import { acquireDirectoryLock } from '../disk/directory-lock.js'
import { isDiskFull, type Disk } from '../disk/disk.js'
import { nodeDisk } from '../disk/node-disk.js'
import { isThreadDead, ownIdentity } from '../disk/thread-identity.js'
import { asIoError, toErrorRecord, type ErrorRecord } from '../errors.js'
import { absoluteTicks } from '../format/ticks.js'
import { recover, type Recovered, type RecoveryReport } from '../recovery/recover.js'
import { startClock } from '../ring/clock.js'
import { failLog } from '../ring/life.js'
import { initializeRing, openRing, type RingHandle } from '../ring/ring.js'
import { WORD } from '../ring/ring-layout.js'
import { removeReserve } from './disk-space.js'
import type { WriterOptions } from './writer-options.js'
import { Writer } from './writer.js'

/** The part of a file system that the reserve takes at most. */
const RESERVE_SHARE = 1 / 4

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
    const recovered = recoverWithRoom(nodeDisk, options)
    const clock = startClock(recovered.lastTicks)
    initializeRing(ring, { nextSequence: recovered.nextSequence, ...clock })
    const { thread, startLow, startHigh } = ownIdentity()
    ring.atomics.store(ring.words, WORD.writerStartLow, startLow)
    ring.atomics.store(ring.words, WORD.writerStartHigh, startHigh)
    ring.atomics.store(ring.words, WORD.writerThread, thread)
    writer = new Writer(ring, nodeDisk, withReserve(nodeDisk, options), recovered, absoluteTicks(clock.floorTicks, clock.tickBase), isThreadDead)
    reply({ kind: 'ready', recovery: { ...recovered.report, durationMs: performance.now() - startMs } })
  } catch (error) {
    await lock?.release()
    reply({ kind: 'refused', error: toErrorRecord(asIoError(error, `cannot open the log in ${options.directory}`, options.directory)) })
    return
  }
  try {
    writer.run()
  } catch (error) {
    failLog(ring, error)
  }
  await lock.release()
}

/** Recovery needs room for an index at most; on a full disk the reserve is given up for it, and where that is not enough, it waits. */
function recoverWithRoom(disk: Disk, { directory, salvages }: WriterOptions): Recovered {
  try {
    return recover(disk, directory, salvages)
  } catch (error) {
    if (!isDiskFull(error)) throw error
    removeReserve(disk, directory)
    return recover(disk, directory, salvages, true)
  }
}

/** No reserve takes more than its part of the file system. */
function withReserve(disk: Disk, options: WriterOptions): WriterOptions {
  const { totalBytes } = disk.space(options.directory)
  return { ...options, reserveBytes: Math.min(options.reserveBytes, Math.floor(totalBytes * RESERVE_SHARE)) }
}
