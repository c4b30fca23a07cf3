/** What all was measured on: processor, Node, kernel, file system, and the disk itself. Stands in every result. */

import { readFileSync, statfsSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { writeAndSync } from './raw-disk.mjs'

const DISK_MS = 700

/** @param {string} directory where the files of the measurements are */
export function describeMachine(directory) {
  return {
    date: new Date().toISOString(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    v8: process.versions.v8,
    system: `${process.platform} ${process.arch} ${release()}`,
    loadAverage: loadavg().map((load) => Number(load.toFixed(2))),
    directory: resolve(directory),
    ...describeFileSystem(resolve(directory)),
  }
}

/** Raw figures of the disk. For a process of its own. */
export function measureDisk({ directory }) {
  const small = { directory, bytes: 4096, ms: DISK_MS }
  return {
    preallocatedSyncUs: writeAndSync({ ...small, isPreallocated: true }).p50 / 1000,
    appendSyncUs: writeAndSync({ ...small, isPreallocated: false }).p50 / 1000,
    preallocatedMegabytes: writeAndSync({ directory, bytes: 2 ** 20, ms: DISK_MS, isPreallocated: true }).megabytes,
  }
}

/** Of the mount that the directory is below: the longest mount point that it begins with, the last one where there are several. */
function describeFileSystem(directory) {
  const { bavail, bsize } = statfsSync(directory)
  const freeGib = Math.round((bavail * bsize) / 2 ** 30)
  try {
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n').map((line) => {
      const [before, after] = line.split(' - ').map((part) => part.split(' '))
      return { point: before[4].replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))), type: after[0], device: after[1] }
    })
    const above = mounts.filter(({ point }) => `${directory}/`.startsWith(point === '/' ? '/' : `${point}/`))
    const mount = above.reduce((best, one) => (one.point.length >= best.point.length ? one : best))
    return { fileSystem: mount.type, device: mount.device, freeGib }
  } catch {
    return { fileSystem: 'unknown: there is no /proc/self/mountinfo', device: 'unknown', freeGib }
  }
}
