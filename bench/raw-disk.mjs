/** The disk without anybody between: what all who promise durability are held against. */

import { closeSync, fdatasyncSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createHistogram, record, summarize } from './latency.mjs'

const MIB = 2 ** 20
const ZEROS_BYTES = 4 * MIB
const LEAST_FILE_BYTES = 16 * MIB
/** Before the clock starts. */
const WARM_WRITES = 20

/**
 * Writes of `bytes` one behind the other, each synced: for `ms` milliseconds, or until `totalBytes` are written.
 *
 * @param {object} settings
 * @param {boolean} settings.isPreallocated whether the file was filled with zeros and synced before, so that no block is allocated on the way;
 *   then, without `totalBytes`, the same blocks are written again and again
 */
export function writeAndSync({ directory, bytes, isPreallocated, ms = Infinity, totalBytes = Infinity }) {
  const file = openSync(join(directory, `raw-${bytes}-${isPreallocated}`), 'w+', 0o600)
  const fileBytes = totalBytes === Infinity ? Math.max(LEAST_FILE_BYTES, 64 * bytes) : totalBytes + bytes
  try {
    if (isPreallocated) fill(file, fileBytes)
    return writeUntil(file, { bytes, isPreallocated, ms, totalBytes, fileBytes })
  } finally {
    closeSync(file)
  }
}

function writeUntil(file, { bytes, isPreallocated, ms, totalBytes, fileBytes }) {
  const data = Buffer.alloc(bytes, 'ringwal ')
  const histogram = createHistogram()
  let offset = 0
  const writeOnce = () => {
    if (isPreallocated && offset + bytes > fileBytes) offset = 0
    for (let done = 0; done < bytes;) done += writeSync(file, data, done, bytes - done, offset + done)
    fdatasyncSync(file)
    offset += bytes
  }
  if (totalBytes === Infinity) for (let count = 0; count < WARM_WRITES; count++) writeOnce()
  const startMs = performance.now()
  let written = 0
  for (let beforeMs = startMs; beforeMs - startMs < ms && written < totalBytes; written += bytes) {
    writeOnce()
    const nowMs = performance.now()
    record(histogram, (nowMs - beforeMs) * 1e6)
    beforeMs = nowMs
  }
  return { ...summarize(histogram), megabytes: written / 1e3 / (performance.now() - startMs) }
}

/**
 * Has the page cache use so many bytes and give them back. What comes next takes pages that were just freed, and not ones which a virtual machine has
 * to ask its host for at their first use: that takes 8 µs a page instead of one, and the host takes free pages back after some seconds.
 */
export function touchMemory(directory, bytes) {
  const path = join(directory, 'touched')
  const file = openSync(path, 'wx', 0o600)
  try {
    writeZeros(file, bytes)
  } finally {
    closeSync(file)
    unlinkSync(path)
  }
}

function fill(file, bytes) {
  writeZeros(file, bytes)
  fsyncSync(file)
}

function writeZeros(file, bytes) {
  const zeros = Buffer.alloc(Math.min(bytes, ZEROS_BYTES))
  for (let offset = 0; offset < bytes;) offset += writeSync(file, zeros, 0, Math.min(zeros.length, bytes - offset), offset)
}
