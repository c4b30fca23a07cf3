/** Reading and checking: against node:readline over the same lines, lmdb, and the checksums alone. */

import { createReadStream, createWriteStream, readdirSync, statSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { openLog, readLogBatches, verifyLog } from '../../dist/src/index.js'
import { crc32 } from '../../dist/src/format/crc32.js'
import { LINE_BYTES, makeLines } from '../entries.mjs'
import { createHistogram, record, summarize } from '../latency.mjs'

export const title = 'Reading'

const FRAME_BYTES = LINE_BYTES + 28
const SEGMENT_BYTES = 64 * 2 ** 20
const WARM_READINGS = 3

export function plan({ size, isFull }) {
  const count = size(2_000_000)
  const reading = (name, call, needs, more = {}) => ({ name, call, needs, settings: { count, ...more } })
  const steps = [0.01, 0.1, 1].map((share) => Math.max(1000, Math.round(count * share)))
  return [
    {
      title: `Reading ${count.toLocaleString('en-US')} lines of 104 bytes`, in: ['quick'], metric: 'rate', unit: 'entries/s',
      note: 'From the page cache. Every checksum is checked by ringwal; each line becomes a string in all of them.',
      prepare: [{ call: 'fillLog', settings: { count } }, { call: 'fillFile', settings: { count } }, ...(isFull ? [{ call: 'fillLmdb', settings: { count }, needs: ['lmdb'] }] : [])],
      measurements: [
        reading('readBatches', 'measureBatches'),
        reading('node:readline', 'measureReadline'),
        ...(isFull ? [reading('read', 'measureRead'), reading('readLogBatches, from outside', 'measureOutside'), reading('lmdb getRange', 'measureLmdb', ['lmdb'])] : []),
      ],
      rows: [
        { name: 'readBatches against node:readline on the same lines', of: 'readBatches', against: 'node:readline', atLeast: 3,
          limit: 'Of some 85 ns for a line, once all is compiled, the checksum takes 28 (zlib in Node 20 does 7 GB/s), text 24 (the look for bytes that are not ASCII, a slice), the entry\'s object 16, reading and the rest 15. '
            + 'A thread that reads and checks ahead was tried: 80 to 110 ns, since who reads waits for it, finds the bytes in another core\'s cache and pays for the messages. So were blocks of 1 MiB (2 ns less), word-wise looks for what is not ASCII, lists of a known length and smaller entries (no difference).' },
        ...(isFull ? [{ name: 'readBatches against lmdb getRange', of: 'readBatches', against: 'lmdb getRange' }, { name: 'read against node:readline', of: 'read', against: 'node:readline' }] : []),
      ],
    },
    {
      title: `Checking ${count.toLocaleString('en-US')} entries of 104 bytes`, in: ['quick'], metric: 'rate', unit: 'entries/s',
      note: 'verifyLog of every byte; and the CRCs of as many frames of the same size, out of memory, by the same function.',
      prepare: [{ call: 'fillLog', settings: { count } }],
      measurements: [reading('verifyLog', 'measureVerify'), reading('CRC alone', 'measureCrc')],
      rows: [{ name: 'full verify, 104-byte entries, against the CRC floor of the same bytes', of: 'verifyLog', against: 'CRC alone', atLeast: 0.5 }],
    },
    {
      title: 'Following: from append to the reader', in: [], metric: 'p50', unit: 'ns', note: '1,000 entries/s on schedule; latency from the time that an entry was due until `read({ follow })` in the same process hands it out.',
      measurements: [{ name: 'read, follow', call: 'measureFollow', settings: { rate: 1000, ms: size(3000) } }],
      plot: { kind: 'percentiles', x: { label: 'share of entries', log: true, format: 'percent' }, y: { label: 'append to reader', log: true, format: 'ns' } },
    },
    {
      title: 'Seeking by timestamp', in: [], metric: 'seekUs', unit: 'µs', note: '`sequenceAt` of a random time in the log: should hardly grow with it.',
      prepare: steps.map((entries) => ({ call: 'fillLog', settings: { count: entries, name: `log-${entries}` } })),
      measurements: steps.map((entries) => ({ name: `${entries.toLocaleString('en-US')} entries`, series: 'sequenceAt', x: entries, call: 'measureSeek', settings: { name: `log-${entries}` } })),
      plot: { x: { label: 'entries in the log', log: true, format: 'count' }, y: { label: 'µs', format: 'count', fromZero: true } },
    },
  ]
}

const open = ({ shared, name = 'log' }, options = {}) => openLog({ directory: join(shared, name), whenFull: 'block', maxSegmentBytes: SEGMENT_BYTES, ...options })

export async function fillLog({ count, ...settings }) {
  const log = await open(settings)
  const lines = makeLines()
  for (let index = 0; index < count; index++) log.append(lines[index & (lines.length - 1)])
  await log.close()
}

export async function fillFile({ shared, count }) {
  const lines = makeLines()
  const stream = createWriteStream(join(shared, 'lines'))
  for (let done = 0; done < count;) {
    const chunk = Array.from({ length: Math.min(lines.length, count - done) }, (_, index) => lines[index])
    done += chunk.length
    if (!stream.write(`${chunk.join('\n')}\n`)) await once(stream, 'drain')
  }
  stream.end()
  await once(stream, 'finish')
}

export async function fillLmdb({ shared, count }) {
  const store = await import('../stores/lmdb.mjs').then((module) => module.open(shared))
  const lines = makeLines()
  for (let index = 0; index < count; index++) store.add(lines[index & (lines.length - 1)])
  await store.durable()
  await store.close()
}

/** Reads all {@link WARM_READINGS} times before, until nothing is compiled any more. `read` returns how many there were, and how many characters. */
async function timeReading(count, read) {
  for (let reading = 0; reading < WARM_READINGS; reading++) await read()
  const startMs = performance.now()
  const found = await read()
  const ms = performance.now() - startMs
  if (found.entries !== count || found.characters !== count * LINE_BYTES) throw new Error(`expected ${count} lines, got ${JSON.stringify(found)}`)
  return { rate: (count / ms) * 1000, megabytes: (count * LINE_BYTES) / ms / 1000 }
}

async function readBatches(batches) {
  const found = { entries: 0, characters: 0 }
  for await (const entries of batches) {
    for (const entry of entries) found.characters += entry.text().length
    found.entries += entries.length
  }
  return found
}

export async function measureBatches({ count, ...settings }) {
  const log = await open(settings)
  const result = await timeReading(count, () => readBatches(log.readBatches()))
  await log.close()
  return result
}

export async function measureOutside({ count, shared }) {
  return await timeReading(count, () => readBatches(readLogBatches(join(shared, 'log'))))
}

async function readEach(entries, characters) {
  const found = { entries: 0, characters: 0 }
  for await (const entry of entries) {
    found.characters += characters(entry)
    found.entries++
  }
  return found
}

export async function measureRead({ count, ...settings }) {
  const log = await open(settings)
  const result = await timeReading(count, () => readEach(log.read(), (entry) => entry.text().length))
  await log.close()
  return result
}

/** By the `line` event: its documentation says that this is faster than `for await`. */
export async function measureReadline({ count, shared }) {
  return await timeReading(count, async () => {
    const found = { entries: 0, characters: 0 }
    const reader = createInterface({ input: createReadStream(join(shared, 'lines')), crlfDelay: Infinity })
    reader.on('line', (line) => {
      found.characters += line.length
      found.entries++
    })
    await once(reader, 'close')
    return found
  })
}

export async function measureLmdb({ count, shared }) {
  const { database, close } = await import('../stores/lmdb.mjs').then((module) => module.open(shared))
  const result = await timeReading(count, async () => {
    const found = { entries: 0, characters: 0 }
    for (const { value } of database.getRange()) {
      found.characters += value.length
      found.entries++
    }
    return found
  })
  await close()
  return result
}

export async function measureVerify({ count, shared }) {
  const directory = join(shared, 'log')
  await verifyLog(directory)
  const startMs = performance.now()
  const { status } = await verifyLog(directory)
  const ms = performance.now() - startMs
  if (status !== 'sound') throw new Error(`expected a sound log, got ${status}`)
  const bytes = readdirSync(directory).reduce((sum, name) => sum + (name.endsWith('.wal') ? statSync(join(directory, name)).size : 0), 0)
  return { rate: (count / ms) * 1000, megabytes: bytes / ms / 1000 }
}

/** Frames in a row, as they stand in a file; four MiB of them, again and again. */
export function measureCrc({ count }) {
  const frames = Math.floor((4 * 2 ** 20) / FRAME_BYTES)
  const bytes = Buffer.alloc(frames * FRAME_BYTES, makeLines()[0])
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let sum = 0
  const check = () => {
    for (let done = 0, at = 0; done < count; done++, at = at + FRAME_BYTES === bytes.length ? 0 : at + FRAME_BYTES) sum += crc32(bytes, view, at, at + FRAME_BYTES - 4)
  }
  check()
  const startMs = performance.now()
  check()
  const ms = performance.now() - startMs
  return { rate: (count / ms) * 1000, megabytes: (count * FRAME_BYTES) / ms / 1000, sum }
}

export async function measureFollow({ directory, rate, ms }) {
  const log = await openLog({ directory })
  const total = Math.ceil((rate * ms) / 1000)
  const histogram = createHistogram()
  const startMs = performance.now() + 50
  const dueMs = (index) => startMs + (index * 1000) / rate
  const lines = makeLines()
  let next = 0
  const appendDue = () => {
    for (; next < total && dueMs(next) <= performance.now(); next++) log.append(lines[next & (lines.length - 1)])
    if (next < total) setImmediate(appendDue)
  }
  appendDue()
  for await (const entry of log.read({ follow: true, limit: total })) record(histogram, (performance.now() - dueMs(entry.sequence - 1)) * 1e6)
  await log.close()
  return summarize(histogram)
}

export async function measureSeek(settings) {
  const log = await open(settings)
  const segments = log.segments().filter(({ firstTimestamp }) => firstTimestamp !== undefined)
  const [first, last] = [segments[0].firstTimestamp, segments.at(-1).lastTimestamp]
  const seeks = 2000
  const times = Array.from({ length: seeks }, (_, index) => first + ((last - first) * ((index * 7919) % seeks)) / seeks)
  for (const time of times) log.sequenceAt(time)
  const startMs = performance.now()
  for (const time of times) log.sequenceAt(time)
  const ms = performance.now() - startMs
  await log.close()
  return { seekUs: (ms * 1000) / seeks }
}
