/** The limits that the rest is held against: the disk by batch size, and what the processor takes for each byte. */

import { Bench } from 'tinybench'
import { crc32 } from '../../dist/src/format/crc32.js'
import { makeLines } from '../entries.mjs'
import { writeAndSync } from '../raw-disk.mjs'

export const title = 'Floors'

const WRITE_BYTES = [64, 512, 4096, 16 * 1024, 64 * 1024, 256 * 1024, 2 ** 20, 4 * 2 ** 20]
const ENTRY_BYTES = [16, 104, 512, 1024, 4096, 16 * 1024, 64 * 1024, 2 ** 20]
const BYTES = { log: true, format: 'bytes' }

export function plan({ size }) {
  const ways = [{ series: 'preallocated', isPreallocated: true }, { series: 'appended', isPreallocated: false }]
  const writes = ways.flatMap(({ series, isPreallocated }) => WRITE_BYTES.map((bytes) => ({
    name: `${series}, ${bytes} B`, series, x: bytes, promise: 'durable', call: 'measureDisk', settings: { bytes, isPreallocated, ms: size(400) },
  })))
  const works = ['encode', 'crc', 'copy']
  return [
    {
      title: 'Raw write + fdatasync', in: [], metric: 'p50', unit: 'ns', measurements: writes,
      plot: [
        { x: { label: 'bytes of each write', ...BYTES }, y: { label: 'median', log: true, format: 'ns' } },
        { metric: 'megabytes', x: { label: 'bytes of each write', ...BYTES }, y: { label: 'MB/s', log: true, format: 'count' } },
      ],
    },
    {
      title: 'Encoding, CRC, memcpy', in: [], metric: 'ns', unit: 'ns', note: 'Median of tinybench; each iteration makes 64 calls, or fewer where they are long.',
      measurements: works.flatMap((work) => ENTRY_BYTES.map((bytes) => ({
        name: `${work}, ${bytes} B`, series: work, x: bytes, call: 'measureWork', settings: { work, bytes, ms: size(300) },
      }))),
      plot: { x: { label: 'bytes', ...BYTES }, y: { label: 'a call', log: true, format: 'ns' } },
    },
  ]
}

export function measureDisk(settings) {
  return writeAndSync(settings)
}

export async function measureWork({ work, bytes, ms }) {
  const calls = Math.max(1, Math.min(64, Math.floor((64 * 1024) / bytes)))
  const bench = new Bench({ time: ms, warmupTime: ms / 4 })
  bench.add(work, makeWork(work, bytes, calls))
  await bench.run()
  return { ns: (bench.tasks[0].result.latency.p50 * 1e6) / calls }
}

/**
 * What an append cannot do without, `calls` times: the encoding of a string, the CRC of as many bytes, a copy of as many.
 *
 * @param {'encode' | 'crc' | 'copy' | 'encode and crc'} work
 * @param {number} frameBytes that the CRC goes over beside the data
 */
export function makeWork(work, bytes, calls, lines = makeLines(bytes), frameBytes = 0) {
  const mask = lines.length - 1
  const encoder = new TextEncoder()
  const from = Buffer.alloc(bytes + frameBytes, lines[0])
  const to = Buffer.alloc(bytes + frameBytes)
  const view = new DataView(to.buffer, to.byteOffset, to.length)
  const encode = (index) => encoder.encodeInto(lines[index & mask], to)
  const crc = () => crc32(to, view, 0, to.length)
  const once = { encode, crc, copy: () => to.set(from), 'encode and crc': (index) => encode(index).written + crc() }[work]
  let next = 0
  return () => {
    let sum = 0
    for (let call = 0; call < calls; call++) sum += Number(once(next++))
    return sum
  }
}
