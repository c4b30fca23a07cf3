/** Opening: against the size of a log that was closed, and after SIGKILL, against the size of the entries in its tail. */

import { execFile } from 'node:child_process'
import { readdirSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openLog } from '../../dist/src/index.js'
import { makeLines } from '../entries.mjs'

export const title = 'Opening and recovery'

const MIB = 2 ** 20
const GIB = 2 ** 30
const SEGMENT_BYTES = 64 * MIB
const ENTRY_BYTES = 64 * 1024
/** That must stay free beside the logs. */
const SPARE_BYTES = 4 * GIB
/** Openings in one measurement: the median counts. */
const OPENINGS = 5
const SELF = fileURLToPath(import.meta.url)

export function plan({ size, isFull, root, scale }) {
  const { contests: bySize, largest } = sizesThatFit(isFull ? [64 * MIB, 512 * MIB, 2 * GIB, 4 * GIB, 8 * GIB] : [64 * MIB, 8 * GIB], root, scale)
  const name = (bytes) => `${Number((bytes / MIB).toFixed(1))} MiB`
  return [
    {
      title: `A closed log, up to ${name(largest)}`, in: ['quick'], metric: 'ms', unit: 'ms',
      note: `Segments of 64 MiB, entries of 64 KiB. Median of ${OPENINGS} openings in a process. The log is in the page cache, or not, as the machine has it.`,
      prepare: bySize.map((bytes) => ({ call: 'fill', settings: { bytes } })),
      measurements: bySize.map((bytes) => ({ name: name(bytes), series: 'openLog', x: bytes, call: 'measureOpening', settings: { bytes } })),
      rows: [{ name: `opening ${name(largest)} against opening ${name(bySize[0])}`, of: name(largest), against: name(bySize[0]), atMost: 2 }],
      plot: { x: { label: 'size of the log', log: true, format: 'bytes' }, y: { label: 'openLog, ms', format: 'count', fromZero: true } },
    },
    {
      title: 'After SIGKILL, with a tail of 60 MiB', in: [], metric: 'ms', unit: 'ms',
      note: 'The tail is scanned, and what was not known to be durable is written again.',
      measurements: [16, 104, 1024, 16 * 1024, MIB].map((bytes) => ({
        name: `entries of ${bytes} B`, series: 'openLog', x: bytes, call: 'measureRecovery', settings: { bytes, tailBytes: size(60) * MIB },
      })),
      plot: { x: { label: 'entry size', log: true, format: 'bytes' }, y: { label: 'openLog, ms', log: true, format: 'count' } },
    },
  ]
}

/** What the disk has no room for is left out; the title says how far it went. */
function sizesThatFit(wanted, root, scale) {
  const { bavail, bsize } = statfsSync(root)
  let room = bavail * bsize - SPARE_BYTES
  const contests = []
  for (const bytes of wanted.map((one) => Math.max(64 * MIB, Math.round(one * scale)))) {
    if (bytes > room || contests.includes(bytes)) continue
    room -= bytes
    contests.push(bytes)
  }
  return { contests, largest: contests.at(-1) }
}

/** Makes a log of that size, and closes it. */
export async function fill({ shared, bytes }) {
  const log = await openLog({ directory: join(shared, String(bytes)), maxSegmentBytes: SEGMENT_BYTES, whenFull: 'block', retention: { maxBytes: 2 * bytes + GIB } })
  const entry = Buffer.alloc(ENTRY_BYTES, 'ringwal ')
  for (let written = 0; written < bytes * 0.995 - ENTRY_BYTES; written += ENTRY_BYTES) log.append(entry)
  await log.close()
}

export async function measureOpening({ shared, bytes }) {
  const runs = []
  for (let opening = 0; opening <= OPENINGS; opening++) {
    const startMs = performance.now()
    const log = await openLog({ directory: join(shared, String(bytes)), retention: { maxBytes: 2 * bytes + GIB } })
    const ms = performance.now() - startMs
    // The first one also loads code.
    if (opening > 0) runs.push({ ms, recoveryMs: log.recovery.durationMs, segments: log.recovery.segments })
    await log.close()
  }
  return runs.toSorted((a, b) => a.ms - b.ms)[OPENINGS >> 1]
}

export async function measureRecovery({ directory, bytes, tailBytes }) {
  await new Promise((resolve, reject) => {
    execFile(process.execPath, [SELF, 'fill-and-die', directory, String(bytes), String(tailBytes)], (error) => {
      if (error?.signal === 'SIGKILL') resolve(undefined)
      else reject(error ?? new Error('it was to be killed'))
    })
  })
  if (readdirSync(directory).length === 0) throw new Error('nothing was written')
  const startMs = performance.now()
  const log = await openLog({ directory })
  const ms = performance.now() - startMs
  const { entries, durationMs } = log.recovery
  await log.close()
  return { ms, entries, recoveryMs: durationMs }
}

if (process.argv[2] === 'fill-and-die') {
  const [directory, bytes, tailBytes] = [process.argv[3], Number(process.argv[4]), Number(process.argv[5])]
  const log = await openLog({ directory, whenFull: 'block', maxSegmentBytes: 2 * tailBytes })
  const lines = makeLines(bytes)
  for (let written = 0, index = 0; written < tailBytes; written += bytes + 28) log.append(lines[index++ & (lines.length - 1)])
  await log.flush()
  process.kill(process.pid, 'SIGKILL')
}
