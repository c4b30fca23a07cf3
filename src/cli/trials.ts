/** What `ringwal bench` measures, each for a bounded time in a directory of its own. Latencies go to Node's HDR histograms, in nanoseconds. */

import { join } from 'node:path'
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { nodeDisk } from '../disk/node-disk.js'
import { openLog, type Log } from '../index.js'

/** Entries look like a logger's. */
export const ENTRY_BYTES = 104
/** What an entry takes on disk when it is alone in its batch: header, checksum and trailer beside its data. */
const RAW_BYTES = ENTRY_BYTES + 128
const MIB = 2 ** 20
const RAW_FILE_BYTES = 16 * MIB
/** After so many the file is written from the beginning again: a disk need not be empty. */
const BATCHES_BYTES = 128 * MIB
/** Calls between two turns of the event loop: a signal must get through. */
const CALLS_EACH_TURN = 500
/** Appends that cannot fill the ring, so that appending is timed and not waiting for room. */
const BURST = 20_000
/** Of them before the clock starts: until then the code is not compiled. */
const WARM_BURSTS = 5

/** Percentiles of latencies, in microseconds. */
export interface Percentiles {
  readonly count: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly p9999: number
  readonly max: number
}

/** Where and how long a trial goes. */
export interface TrialSettings {
  /** Its own, and empty. */
  readonly directory: string
  readonly ms: number
  /** Ends it early: it rejects with the signal's reason. */
  readonly signal: AbortSignal
}

const line = `{"level":30,"time":1760000000000,"pid":4711,"hostname":"app","msg":"`.padEnd(ENTRY_BYTES - 2, 'request completed ') + '"}'

function summarize(histogram: RecordableHistogram): Percentiles {
  const at = (percentile: number): number => histogram.percentile(percentile) / 1000
  return { count: histogram.count, p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), p9999: at(99.99), max: histogram.count === 0 ? 0 : histogram.max / 1000 }
}

function record(histogram: RecordableHistogram, ms: number): void {
  histogram.record(Math.max(1, Math.round(ms * 1e6)))
}

const createLatencies = (): RecordableHistogram => createHistogram({ figures: 3 })

/** The disk alone: small writes into allocated blocks, or behind the last one, each followed by fdatasync. */
export async function trySyncs(isPreallocated: boolean, { directory, ms, signal }: TrialSettings): Promise<Percentiles> {
  const file = nodeDisk.create(join(directory, 'raw'))
  try {
    if (isPreallocated) file.write(Array.from({ length: RAW_FILE_BYTES / MIB }, () => Buffer.alloc(MIB)), 0)
    file.sync()
    const data = Buffer.alloc(RAW_BYTES, line)
    const histogram = createLatencies()
    let offset = 0
    const endMs = performance.now() + ms
    do {
      const startMs = performance.now()
      file.write([data], offset)
      file.sync()
      record(histogram, performance.now() - startMs)
      offset += RAW_BYTES
      if (isPreallocated && offset + RAW_BYTES > RAW_FILE_BYTES) offset = 0
      await turn(undefined, { signal })
    } while (performance.now() < endMs)
    return summarize(histogram)
  } finally {
    file.close()
  }
}

/** The disk alone: batches of 1 MiB, each synced. Returns bytes a second. */
export async function tryBytes({ directory, ms, signal }: TrialSettings): Promise<number> {
  const file = nodeDisk.create(join(directory, 'raw'))
  try {
    const data = Buffer.alloc(MIB, line)
    const startMs = performance.now()
    let bytes = 0
    do {
      file.write([data], bytes % BATCHES_BYTES)
      file.sync()
      bytes += MIB
      await turn(undefined, { signal })
    } while (performance.now() - startMs < ms)
    return (bytes / (performance.now() - startMs)) * 1000
  } finally {
    file.close()
  }
}

async function withLog<T>(directory: string, use: (log: Log) => Promise<T>): Promise<T> {
  const log = await openLog({ directory, whenFull: 'block' })
  try {
    return await use(log)
  } finally {
    await log.close()
  }
}

/** What an append costs its thread: each call by itself, the clock's own cost included. The ring never fills up. */
export async function tryAppends({ directory, ms, signal }: TrialSettings): Promise<Percentiles> {
  return await withLog(directory, async (log) => {
    const burst = async (histogram: RecordableHistogram): Promise<void> => {
      for (let index = 0; index < BURST; index++) {
        const beforeMs = performance.now()
        log.append(line)
        record(histogram, performance.now() - beforeMs)
      }
      await log.flush({ signal })
    }
    for (let count = 0; count < WARM_BURSTS; count++) await burst(createLatencies())
    const histogram = createLatencies()
    const endMs = performance.now() + ms
    do await burst(histogram)
    while (performance.now() < endMs)
    return summarize(histogram)
  })
}

/** From `write` until it resolves, by so many writers that each wait for their own. */
export async function tryWaiting(writers: number, { directory, ms, signal }: TrialSettings): Promise<Percentiles> {
  return await withLog(directory, async (log) => {
    const histogram = createLatencies()
    const endMs = performance.now() + ms
    const work = async (): Promise<void> => {
      do {
        const startMs = performance.now()
        await log.write(line)
        record(histogram, performance.now() - startMs)
      } while (performance.now() < endMs && !signal.aborted)
    }
    await Promise.all(Array.from({ length: writers }, work))
    signal.throwIfAborted()
    return summarize(histogram)
  })
}

/**
 * From the time that an entry was due until it is durable, at a fixed rate: a stall is felt by every entry that it kept waiting, and not only by
 * the one that was being written.
 */
export async function trySchedule(rate: number, { directory, ms, signal }: TrialSettings): Promise<Percentiles> {
  return await withLog(directory, async (log) => {
    const histogram = createLatencies()
    const total = Math.ceil((rate * ms) / 1000)
    const startMs = performance.now()
    const dueMs = (index: number): number => startMs + (index * 1000) / rate
    const pending = new Set<Promise<void>>()
    for (let next = 0; next < total;) {
      const first = next
      while (next < total && next - first < CALLS_EACH_TURN && dueMs(next) <= performance.now()) {
        log.append(line)
        next++
      }
      if (next > first) pending.add(recordWhenDurable(first, next))
      await turn(undefined, { signal })
    }
    await Promise.all(pending)
    return summarize(histogram)

    async function recordWhenDurable(first: number, end: number): Promise<void> {
      await log.durable(log.lastSequence)
      const nowMs = performance.now()
      for (let index = first; index < end; index++) record(histogram, nowMs - dueMs(index))
    }
  })
}

/** Entries a second that become durable when one thread appends as fast as it can. */
export async function tryThroughput({ directory, ms, signal }: TrialSettings): Promise<number> {
  return await withLog(directory, async (log) => {
    const burst = async (): Promise<void> => {
      for (let index = 0; index < BURST; index++) log.append(line)
      await turn(undefined, { signal })
    }
    for (let count = 0; count < WARM_BURSTS; count++) await burst()
    await log.flush({ signal })
    const startMs = performance.now()
    let entries = 0
    do {
      await burst()
      entries += BURST
    } while (performance.now() - startMs < ms)
    await log.flush({ signal })
    return (entries / (performance.now() - startMs)) * 1000
  })
}
