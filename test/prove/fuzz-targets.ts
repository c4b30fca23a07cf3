/** The readers of single structures as a fuzzer calls them: no error comes out, and what is accepted says the same when it is written and read again. */

import { isDeepStrictEqual } from 'node:util'
import type { DiskFile } from '../../dist/src/disk/disk.js'
import type { Random } from '../model/random.js'
import type { Code } from './code-of-build.js'
import { mutate, mutateFrame, mutateHeader, mutateText } from './mutations.js'

/** What is fuzzed. */
export interface FuzzTarget {
  readonly name: string
  /** Of a hundred executions, so many. */
  readonly percent: number
  readonly seeds: readonly Buffer[]
  /** Changes one input; `other` is another of the corpus. */
  readonly mutate: (bytes: Buffer, random: Random, other: Buffer) => Buffer
  /** What is wrong; undefined: nothing. What it throws is wrong too. */
  readonly run: (input: Buffer) => string | undefined | Promise<string | undefined>
  /** What is no fault but worth a number. */
  readonly told?: Map<string, number>
}

/** Where the trailers and indexes of the seeds stand, and in which segment. */
const FILE_OFFSET = 4096
const UUID = new Uint8Array(16).fill(9)
const TICKS = 638_000_000_000_000_000n
const FILE_MARKER_BYTES = 16
const DEAD_HEAD_BYTES = 8

/** All of them. */
export function fuzzTargets(code: Code): FuzzTarget[] {
  const frames = frameSeeds(code)
  return [
    { name: 'frame', percent: 25, seeds: [...frames.entries, ...frames.controls], mutate: mutateFrame, run: (input) => checkFrame(code, input) },
    { name: 'trailer', percent: 20, seeds: frames.controls, mutate: mutateFrame, run: (input) => checkFrame(code, input) },
    { name: 'index', percent: 15, seeds: frames.indexes, mutate: mutateFrame, run: (input) => checkFrame(code, input) ?? checkIndexFile(code, input) },
    { name: 'header', percent: 15, seeds: headerSeeds(code), mutate: mutateHeader, run: (input) => checkHeader(code, input) },
    { name: 'dead-letter', percent: 8, seeds: deadLetterSeeds(code), mutate: mutateDeadLetter, run: (input) => checkDeadLetter(code, input) },
    {
      name: 'file-info', percent: 8, seeds: fileInfoSeeds(code), run: (input) => checkFileInfo(code, input),
      mutate: (bytes, random, other) => mutateText(bytes, random, other, FILE_MARKER_BYTES),
    },
    { name: 'name', percent: 9, seeds: nameSeeds(code), mutate, run: (input) => checkNames(code, input) },
  ]
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function frameSeeds(code: Code): { readonly entries: Buffer[]; readonly controls: Buffer[]; readonly indexes: Buffer[] } {
  const base = code.tickBase(TICKS)
  const relative = code.relativeTicks(TICKS, base)
  const entries = [0, 1, 100, 700].map((length) => {
    const frame = Buffer.alloc(code.FRAME_OVERHEAD + length, 'x')
    code.writeFrameHeader(viewOf(frame), 0, length, 5, relative, base)
    code.sealFrame(frame, viewOf(frame), 0, length)
    return frame
  })
  const trailer = {
    segmentUuid: UUID, offset: FILE_OFFSET, batchStart: 1000, firstSequence: 5, lastSequence: 9, durableSequence: 4, previousChecksum: 77, previousUuid: UUID,
  }
  const cursors = ['a', 'zähler', 'x'.repeat(255)].map((name, index) => ({ name, sequence: index, epoch: index }))
  const controls = [undefined, [], cursors.slice(0, 1), cursors].map((each) => code.encodeTrailer({ ...trailer, cursors: each }, relative, base))
  const ranges = (['aborted', 'gap'] as const).map((kind) => code.encodeRange(kind, 3, 4, relative, base))
  const indexes = [0, 1, 3].map((count) => code.encodeIndex(UUID, {
    lastTrailerOffset: 700, cursorTrailerOffset: 300,
    entries: Array.from({ length: count }, (_, number) => ({ sequence: 1 + number, ticks: TICKS, offset: 300 + 50 * number })),
  }, relative, base))
  return { entries, controls: [...controls, ...ranges].map((bytes) => Buffer.from(bytes)), indexes: indexes.map((bytes) => Buffer.from(bytes)) }
}

function checkFrame(code: Code, input: Buffer): string | undefined {
  const view = viewOf(input)
  const claimed = code.frameSize(view, 0, input.length, input.length)
  if (typeof claimed === 'number' && !(claimed >= code.FRAME_OVERHEAD && claimed <= input.length)) return `a frame claims ${claimed} bytes, where ${input.length} are left`
  const size = code.checkFrame(input, view, 0, input.length, input.length)
  if (typeof size !== 'number') return undefined
  if (size > input.length) return `a frame of ${size} bytes in ${input.length}`
  const sequence = code.frameSequence(view, 0)
  if (Number.isNaN(sequence)) return undefined
  const ticks = code.frameTicks(view, 0)
  const base = code.tickBase(ticks)
  const again = Buffer.from(input.subarray(0, size))
  code.writeFrameHeader(viewOf(again), 0, size - code.FRAME_OVERHEAD, sequence, code.relativeTicks(ticks, base), base)
  code.sealFrame(again, viewOf(again), 0, size - code.FRAME_OVERHEAD)
  if (!again.equals(input.subarray(0, size))) return 'a frame is written differently'
  if (!Number.isSafeInteger(code.frameMs(view, 0))) return 'a time that is none'
  return sequence === 0 ? checkControl(code, input, view, size, ticks) : undefined
}

function checkControl(code: Code, input: Buffer, view: DataView, size: number, ticks: bigint): string | undefined {
  const kind = code.controlKind(view, 0, size)
  const base = code.tickBase(ticks)
  const relative = code.relativeTicks(ticks, base)
  if (kind === 'aborted' || kind === 'gap') {
    const range = code.decodeRange(view, 0, size)
    const again = range && code.encodeRange(kind, range.first, range.last, relative, base)
    return again === undefined || input.subarray(0, size).equals(again) ? undefined : 'a range is written differently'
  }
  if (kind === 'trailer') {
    const trailer = code.decodeTrailer(input, view, 0, size, FILE_OFFSET, UUID)
    if (trailer === undefined) return undefined
    const bytes = Buffer.from(code.encodeTrailer(trailer, relative, base))
    if (bytes.length !== size) return 'a trailer is written with another length'
    return isDeepStrictEqual(code.decodeTrailer(bytes, viewOf(bytes), 0, size, FILE_OFFSET, UUID), trailer) ? undefined : 'a trailer is read differently'
  }
  if (kind !== 'index') return undefined
  const index = code.decodeIndex(input, view, 0, size, FILE_OFFSET, UUID)
  if (index === undefined) return undefined
  const bytes = code.encodeIndex(UUID, index, relative, base)
  const again = code.decodeIndex(bytes, viewOf(bytes), 0, bytes.length, FILE_OFFSET, UUID)
  const isSame = bytes.length === size && again !== undefined && isDeepStrictEqual([...again.entries], [...index.entries])
  return isSame && again.cursorTrailerOffset === index.cursorTrailerOffset && again.lastTrailerOffset === index.lastTrailerOffset ? undefined : 'an index is read differently'
}

/** The index at the end of a file of `FILE_OFFSET` bytes more. */
function checkIndexFile(code: Code, input: Buffer): string | undefined {
  const fileBytes = FILE_OFFSET + input.length
  let isTooLarge = false
  const read = (buffer: Uint8Array, offset: number): number => {
    if (offset < 0) throw new RangeError(`a read at byte ${offset}`)
    isTooLarge ||= buffer.length > fileBytes
    const count = Math.max(0, Math.min(buffer.length, fileBytes - offset))
    for (let at = 0; at < count; at++) buffer[at] = input[offset + at - FILE_OFFSET] ?? 0
    return count
  }
  const index = code.readIndex({ read } as DiskFile, fileBytes, UUID)
  if (isTooLarge) return 'more is asked for than the file has'
  const isOutside = index?.entries.some(({ offset }) => !(offset >= 128 && offset < fileBytes)) ?? false
  return isOutside ? 'an index names a place outside of its file' : undefined
}

function headerSeeds(code: Code): Buffer[] {
  const sealed = { firstSequence: 5, lastSequence: 9, firstTicks: TICKS, lastTicks: TICKS, entryCount: 5, bytes: 4000, sealed: true }
  return [code.tailHeader(1), { ...code.tailHeader(9), recycled: true }, sealed].map((header) => Buffer.from(code.encodeSegmentHeader(header)))
}

function checkHeader(code: Code, input: Buffer): string | undefined {
  const header = code.decodeSegmentHeader(input)
  if (typeof header === 'string') return undefined
  if (!(header.firstSequence >= 1 && header.lastSequence >= header.firstSequence - 1)) return 'a header of no sequences'
  // Of an open segment neither is read.
  const known = header.sealed ? header : { ...header, entryCount: 0, bytes: 0 }
  if (header.sealed && !(header.bytes >= 128 && header.entryCount <= header.lastSequence - header.firstSequence + 1)) return 'a sealed header that cannot be'
  return isDeepStrictEqual(code.decodeSegmentHeader(code.encodeSegmentHeader(known)), known) ? undefined : 'a header is read differently'
}

function deadLetterSeeds(code: Code): Buffer[] {
  const error = { name: 'Error', message: 'no', code: 'E', stack: 'at' }
  const info = { consumer: 'uploader', sequence: 7, timestamp: 1.7e12, attempts: 3, error }
  return [code.encodeDeadLetter(info, Buffer.from('data')), code.encodeDeadLetter({ ...info, error: { name: '', message: '' } }, Buffer.alloc(0))]
}

/** Text and data are changed each by itself, and the length is made right in most cases. */
function mutateDeadLetter(bytes: Buffer, random: Random, other: Buffer): Buffer {
  if (bytes.length < DEAD_HEAD_BYTES || random() < 0.2) return mutate(bytes, random, other)
  const end = Math.min(bytes.length, DEAD_HEAD_BYTES + bytes.readUInt32LE(4))
  const text = mutateText(Buffer.from(bytes.subarray(0, end)), random, other, DEAD_HEAD_BYTES)
  if (text.length >= DEAD_HEAD_BYTES && random() < 0.8) text.writeUInt32LE(text.length - DEAD_HEAD_BYTES, 4)
  return Buffer.concat([text, bytes.subarray(end)])
}

function checkDeadLetter(code: Code, input: Buffer): string | undefined {
  const letter = code.decodeDeadLetter(input)
  if (letter === undefined) return undefined
  if (input.readUInt32LE(4) > input.length - DEAD_HEAD_BYTES) return 'a description that reaches beyond its entry'
  const { consumer, sequence, timestamp, attempts, error, data } = letter
  const texts = [consumer, error.name, error.message, error.code ?? '', error.stack ?? '']
  if (texts.some((text) => typeof text !== 'string')) return 'a dead letter with a text that is none'
  if (![sequence, attempts].every(Number.isSafeInteger) || !Number.isFinite(timestamp)) return 'a dead letter with a number that is none'
  const again = code.decodeDeadLetter(code.encodeDeadLetter({ consumer, sequence, timestamp, attempts, error }, data))
  if (again === undefined || !again.data.equals(data)) return 'a dead letter is read differently'
  return JSON.stringify({ ...again, data: 0 }) === JSON.stringify({ consumer, sequence, timestamp, attempts, error, data: 0 }) ? undefined : 'a dead letter tells something else'
}

function fileInfoSeeds(code: Code): Buffer[] {
  const info = { uuid: 'ab'.repeat(16), bytes: 5, sha256: 'cd'.repeat(32), metadata: { name: 'picture.jpg', tags: ['a', 1, null] } }
  return [code.encodeFileInfo(info), code.encodeFileInfo({ ...info, metadata: null })]
}

function checkFileInfo(code: Code, input: Buffer): string | undefined {
  const info = code.decodeFileInfo(input)
  if (info === undefined) return undefined
  if (typeof info.uuid !== 'string' || typeof info.sha256 !== 'string') return 'a file whose UUID or SHA-256 is no text'
  if (!Number.isSafeInteger(info.bytes) || info.bytes < 0) return 'a file of a size that is none'
  return JSON.stringify(code.decodeFileInfo(code.encodeFileInfo(info))) === JSON.stringify(info) ? undefined : 'a file is told of differently'
}

function nameSeeds(code: Code): Buffer[] {
  const { name } = code.segmentNameOf(Uint8Array.from([1, 155, 118, 218, 167, 160, 117, 1, 129, ...new Uint8Array(7)]))!
  const uuid = 'ab'.repeat(16)
  return [name, `${uuid}.spare`, code.blobName(17), code.partName(uuid), code.readyName(17, uuid), '0000000000000000.blob', '9007199254740991.blob'].map((text) => Buffer.from(text))
}

function checkNames(code: Code, input: Buffer): string | undefined {
  const text = input.toString('latin1')
  const segment = code.parseSegmentName(text)
  if (segment !== undefined && (segment.uuid.length !== 16 || !text.endsWith(`${code.uuidToHex(segment.uuid)}.wal`))) return 'a segment of another name'
  if (segment !== undefined && !Number.isSafeInteger(segment.createdMs)) return 'a segment that was never created'
  const blob = code.parseBlobName(text)
  if (blob !== undefined && code.blobName(blob) !== text) return `a blob of another name: ${blob}`
  const ready = code.parseReadyName(text)
  if (ready !== undefined && code.readyName(ready.fromSequence, ready.uuid) !== text) return `a complete blob of another name: ${ready.fromSequence}`
  if ([code.isSpareName(text), code.isPartName(text)].includes(true) && /[/\0]/.test(text)) return 'a name that is a path'
  if (input.length < 16) return undefined
  const made = code.segmentNameOf(new Uint8Array(input.subarray(0, 16)))
  return made === undefined || code.parseSegmentName(made.name) !== undefined ? undefined : `a name that is not read again: ${made.name}`
}

