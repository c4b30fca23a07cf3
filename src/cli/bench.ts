/** `ringwal bench DIR`: what a log would do on this disk. */

import { join } from 'node:path'
import { mountOf, type Mount } from '../disk/mount.js'
import { nodeDisk } from '../disk/node-disk.js'
import { makeScratchDirectory, removeScratchDirectory } from '../disk/scratch-directory.js'
import { CommandError, inPlainWords, STATUS } from './command-error.js'
import type { Output } from './output.js'
import { renderTable } from './table.js'
import { ENTRY_BYTES, tryAppends, tryBytes, trySchedule, trySyncs, tryThroughput, tryWaiting, type Percentiles, type TrialSettings } from './trials.js'

/** All trials together, by default. */
const DEFAULT_MS = 14_000
/** Faster than what is known of any medium: somebody answers before the bytes are there. (Disks with a protected cache take 20 µs or more.) */
const SUSPICIOUS_US = 10
const MEMORY = new Set(['tmpfs', 'ramfs'])
const NETWORK = /^(nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|fuse\.(sshfs|glusterfs|ceph.*|s3fs|rclone))$/
const COPY_ON_WRITE = new Set(['btrfs', 'zfs', 'bcachefs'])
const SCHEDULED_RATE = 10_000

/** Options of the command. */
export interface BenchOptions {
  /** Milliseconds for all trials. */
  readonly time?: number
  readonly json?: boolean
}

/** What is found, as `--json` tells it. Latencies are in microseconds. */
interface BenchReport {
  readonly directory: string
  readonly storage: { readonly type: string | null; readonly source: string | null; readonly mountPoint: string | null; readonly freeBytes: number }
  readonly remarks: readonly string[]
  readonly raw: { readonly preallocatedSync: Percentiles; readonly appendedSync: Percentiles; readonly bytesPerSecond: number }
  readonly append: Percentiles
  readonly writeAndWait: Percentiles
  readonly sixteenWaiting: Percentiles
  readonly scheduled: Percentiles & { readonly rate: number }
  readonly entriesPerSecond: number
  readonly entryBytes: number
}

/** Measures in a directory of its own below `directory`, which is removed whatever happens, and writes a table or JSON. Returns the exit status. */
export async function bench(directory: string, options: BenchOptions, output: Output, warn: (message: string) => void): Promise<number> {
  // Before there is something to remove.
  const stop = stopOnSignals()
  let scratch: string | undefined
  try {
    scratch = makeScratch(directory)
    const report = await measure(directory, scratch, options.time ?? DEFAULT_MS, stop.signal)
    for (const remark of report.remarks) warn(remark)
    await output.write(options.json === true ? `${JSON.stringify(report)}\n` : render(report))
    return STATUS.done
  } catch (error) {
    if (stop.status === undefined) throw error
    return stop.status
  } finally {
    if (scratch !== undefined) removeScratchDirectory(scratch)
    stop.forget()
  }
}

function makeScratch(directory: string): string {
  try {
    return makeScratchDirectory(directory)
  } catch (error) {
    throw new CommandError(`cannot measure in ${directory}: ${inPlainWords(error)}`, undefined, error)
  }
}

/** The signal that came, as an exit status. */
interface Stop {
  readonly signal: AbortSignal
  readonly status: number | undefined
  forget(): void
}

function stopOnSignals(): Stop {
  const controller = new AbortController()
  let status: number | undefined
  const stopBy = (wanted: number) => (): void => {
    status ??= wanted
    controller.abort()
  }
  const listeners = [['SIGINT', stopBy(STATUS.interrupted)], ['SIGTERM', stopBy(STATUS.terminated)]] as const
  for (const [name, listener] of listeners) process.on(name, listener)
  return {
    signal: controller.signal,
    get status() {
      return status
    },
    forget() {
      for (const [name, listener] of listeners) process.off(name, listener)
    },
  }
}

async function measure(directory: string, scratch: string, ms: number, signal: AbortSignal): Promise<BenchReport> {
  let trials = 0
  /** Its share of the time, and a directory that goes when it is over. */
  const settings = (share: number): TrialSettings => {
    const own = join(scratch, String(++trials))
    nodeDisk.makeDirectory(own)
    return { directory: own, ms: ms * share, signal }
  }
  const mount = mountOf(scratch)
  const preallocatedSync = await trySyncs(true, settings(0.1))
  const report = {
    directory,
    storage: { type: mount?.type ?? null, source: mount?.source ?? null, mountPoint: mount?.point ?? null, freeBytes: nodeDisk.space(scratch).freeBytes },
    remarks: remarksOn(mount, preallocatedSync),
    raw: { preallocatedSync, appendedSync: await trySyncs(false, settings(0.1)), bytesPerSecond: await tryBytes(settings(0.1)) },
    append: await tryAppends(settings(0.15)),
    writeAndWait: await tryWaiting(1, settings(0.15)),
    sixteenWaiting: await tryWaiting(16, settings(0.1)),
    scheduled: { rate: SCHEDULED_RATE, ...await trySchedule(SCHEDULED_RATE, settings(0.15)) },
    entriesPerSecond: await tryThroughput(settings(0.15)),
    entryBytes: ENTRY_BYTES,
  }
  return report
}

/** What somebody should know who means to keep a log there. */
function remarksOn(mount: Mount | undefined, sync: Percentiles): string[] {
  const type = mount?.type
  if (type === undefined) return ['what kind of file system this is cannot be told here']
  if (MEMORY.has(type)) return [`this is memory (${type}): nothing here survives a restart, and the figures are not those of a disk`]
  const remarks = []
  if (NETWORK.test(type)) remarks.push(`this is a network file system (${type}): a log must stand on a local one`)
  if (COPY_ON_WRITE.has(type)) remarks.push(`this file system copies on write (${type}): the reserve for a full disk cannot be relied on, and preallocation gains nothing`)
  if (type === 'overlay') remarks.push('this is a container\'s overlay: keep a log on a volume, or it goes with the container')
  if (sync.p50 < SUSPICIOUS_US) remarks.push(`a sync takes ${sync.p50.toFixed(1)} µs: that is suspiciously fast. It may end before the bytes are on the medium, and then a power cut loses what was acknowledged`)
  return remarks
}

function render(report: BenchReport): string {
  const { storage, raw } = report
  const number = (us: number): string => (us >= 1000 ? Math.round(us).toLocaleString('en-US') : String(Number(us.toPrecision(3))))
  const row = (name: string, found: Percentiles): string[] => [name, ...[found.p50, found.p90, found.p99, found.p999, found.p9999, found.max].map(number)]
  const table = renderTable(
    [{ title: 'MICROSECONDS' }, ...['P50', 'P90', 'P99', 'P99.9', 'P99.99', 'MAX'].map((title) => ({ title, isNumber: true }))],
    [
      row('raw write + fdatasync, allocated blocks', raw.preallocatedSync),
      row('raw write + fdatasync, appended', raw.appendedSync),
      row('append, on the caller\'s thread', report.append),
      row('append to durable, one writer that waits', report.writeAndWait),
      row('append to durable, 16 writers that wait', report.sixteenWaiting),
      row(`append to durable, ${SCHEDULED_RATE.toLocaleString('en-US')}/s on schedule`, report.scheduled),
    ],
  )
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB/s`
  return [
    `storage: ${storage.type ?? 'unknown'} on ${storage.source ?? 'unknown'}, mounted at ${storage.mountPoint ?? 'unknown'}`,
    '', table, '',
    `durable throughput, one producer, entries of ${ENTRY_BYTES} bytes: ${Math.round(report.entriesPerSecond).toLocaleString('en-US')} entries/s, ${megabytes(report.entriesPerSecond * ENTRY_BYTES)}`,
    `raw disk, batches of 1 MiB, each synced: ${megabytes(raw.bytesPerSecond)}`,
    '',
  ].join('\n')
}
