/**
 * A second reader of segment files, written from the tables of the format alone: it imports nothing of the library, shares no
 * code with it, and checks every rule that the tables state. What the library writes must satisfy it to the last byte.
 *
 * It streams: memory is one window, or the largest batch of an open segment. All of it blocks the thread.
 */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ByteSource, FormatError, HEADER_BYTES, number, parseFrame, parseHeader, parseIndex, parseName, parseTrailer } from './independent-structures.mjs'

export { FormatError, parseName }

const TAIL_BLOCK_BYTES = 1 << 20
const NO_UUID = '0'.repeat(32)

/** Follows the frames of one segment and checks each against those before it. */
class SegmentCheck {
  trailer
  trailerChecksum = 0
  firstTrailer
  cursorTrailer = 0
  cursors
  next = Number.NaN
  entryCount = 0
  firstTicks = 0n
  lastTicks = 0n
  #inBatch = false
  #indexed = 0

  constructor(path, uuid, header, index) {
    Object.assign(this, { path, uuid, header, index })
  }

  must(holds, offset, rule) {
    if (!holds) throw new FormatError(this.path, offset, rule)
  }

  /** Takes a frame; says what it is. */
  take(frame) {
    if (frame.sequence !== 0) return this.#takeEntry(frame)
    const letters = frame.data.toString('latin1', 0, 4)
    if (letters === 'CMT!') return this.#takeTrailer(frame)
    this.must(letters === 'ABT!' || letters === 'GAP!', frame.offset + 24, 'a control frame is of a known kind')
    this.must(frame.data.length === 20, frame.offset + 4, 'a range is 20 bytes')
    const first = number(frame.data, 4)
    const last = number(frame.data, 12)
    this.must(first === this.next && last >= first, frame.offset + 28, 'a range continues the sequence')
    this.next = last + 1
    this.#inBatch = true
    return { kind: letters === 'ABT!' ? 'aborted' : 'gap', first, last, offset: frame.offset }
  }

  #takeEntry({ sequence, ticks, data, offset }) {
    this.must(this.trailer !== undefined, offset, 'the first frame is a trailer')
    this.must(sequence === this.next, offset + 8, `sequences are dense: ${this.next} comes next`)
    const indexed = this.index?.entries[this.#indexed]
    if (indexed !== undefined && indexed.sequence === sequence) {
      this.must(indexed.offset === offset && indexed.ticks === ticks, offset, 'the index tells where its entries are')
      this.#indexed++
    }
    if (this.entryCount++ === 0) this.firstTicks = ticks
    this.lastTicks = ticks
    this.next++
    this.#inBatch = true
    return { kind: 'entry', sequence, ticks, data, offset }
  }

  #takeTrailer(frame) {
    const { offset } = frame
    const trailer = parseTrailer(frame, this.path)
    this.must(trailer.uuid === this.uuid, offset + 32, 'a trailer names its segment')
    this.must(trailer.offset === offset, offset + 48, 'a trailer tells where it stands')
    this.must(trailer.durable <= trailer.last, offset + 80, 'no more than what is there is durable')
    if (this.trailer === undefined) {
      this.must(offset === HEADER_BYTES && trailer.batchStart === HEADER_BYTES, offset, 'the first trailer stands at 128, without a batch')
      this.must(trailer.first === this.header.firstSequence && trailer.last === trailer.first - 1, offset + 64, 'the first trailer has no entry')
      this.must(trailer.cursors !== undefined, offset + 108, 'the first trailer carries all cursors')
      this.must(trailer.previousChecksum === 0, offset + 88, 'nothing is before the first trailer')
      this.firstTrailer = trailer
      this.next = trailer.first
    } else {
      this.must(trailer.batchStart === this.trailer.end, offset + 56, 'a batch starts where the trailer before it ended')
      this.must(trailer.first === this.trailer.last + 1, offset + 64, 'a batch begins with the next sequence')
      this.must(trailer.last === this.next - 1, offset + 72, 'a batch ends with its last sequence')
      this.must(trailer.durable >= this.trailer.durable, offset + 80, 'the durable mark does not fall')
      this.must(trailer.previousChecksum === this.trailerChecksum, offset + 88, 'a trailer carries the checksum of the one before it')
    }
    if (trailer.cursors !== undefined) {
      this.cursorTrailer = offset
      this.cursors = trailer.cursors
    }
    this.trailer = { ...trailer, end: offset + frame.size }
    this.trailerChecksum = frame.checksum
    this.#inBatch = false
    return { kind: 'trailer', ...trailer }
  }

  /** What must hold at the end of a sealed segment's frames, before its index. */
  finish() {
    const { header, index, path } = this
    this.must(this.trailer !== undefined && !this.#inBatch, index.offset, 'a trailer ends the last batch')
    this.must(header.lastSequence === this.next - 1, 16, 'the header tells the last sequence')
    this.must(header.entryCount === this.entryCount, 40, 'the header counts the entries')
    this.must(this.entryCount === 0 || (header.firstTicks === this.firstTicks && header.lastTicks === this.lastTicks), 24, 'the header tells the time span')
    this.must(index.lastTrailer === this.trailer.offset, index.offset + 48, 'the index tells the last trailer')
    this.must(index.cursorTrailer === this.cursorTrailer, index.offset + 56, 'the index tells the last trailer with cursors')
    this.must(this.#indexed === index.entries.length, index.offset + 64, `the index has entries of this segment only: ${path}`)
  }
}

/**
 * Every frame of one segment in order: `{ kind: 'entry', sequence, ticks, data, offset }`, `'trailer'`, `'aborted'`, `'gap'`.
 * Returns the segment's summary. Throws {@link FormatError} at the first broken rule; of an open segment only what whole
 * batches hold is yielded, and what ends them is told in `summary.tail` (`'end'`, `'zeros'` or `'torn'`).
 */
export function* parseSegment(path, name, floorTicks = 0n) {
  const source = new ByteSource(path)
  try {
    const header = parseHeader(source, path)
    if (header.sealed && header.bytes !== source.size) throw new FormatError(path, 48, 'the header tells the size of the file')
    const index = header.sealed ? parseIndex(source, path, name.uuid) : undefined
    const check = new SegmentCheck(path, name.uuid, header, index)
    const ends = yield* header.sealed ? sealedFrames(source, check, floorTicks) : openFrames(source, check, floorTicks)
    const { firstTrailer, cursors, entryCount, trailer } = check
    return {
      path, ...name, ...header, ...ends, fileBytes: source.size, entryCount, cursors, index: index?.entries ?? [],
      lastSequence: trailer?.last, durableSequence: trailer?.durable, previousUuid: firstTrailer?.previousUuid,
    }
  } finally {
    source.close()
  }
}

function* sealedFrames(source, check, floorTicks) {
  let offset = HEADER_BYTES
  let ticks = floorTicks
  while (offset < check.index.offset) {
    const frame = parseFrame(source, check.path, offset, ticks)
    yield check.take(frame)
    offset += frame.size
    ticks = frame.ticks
  }
  check.must(offset === check.index.offset, offset, 'the index stands where the last frame ends')
  check.finish()
  parseFrame(source, check.path, offset, ticks)
  return { tail: 'end', endOffset: source.size, endTicks: ticks }
}

function* openFrames(source, check, floorTicks) {
  let offset = HEADER_BYTES
  let ends = { endOffset: offset, endTicks: floorTicks }
  let ticks = floorTicks
  let batch = []
  try {
    while (offset < source.size) {
      const frame = parseFrame(source, check.path, offset, ticks)
      const taken = check.take(frame)
      offset += frame.size
      ticks = frame.ticks
      batch.push(taken)
      if (taken.kind !== 'trailer') continue
      ends = { endOffset: offset, endTicks: ticks }
      yield* batch
      batch = []
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
  }
  return { ...ends, tail: tailKind(source, ends.endOffset) }
}

function tailKind(source, from) {
  for (let at = from; at < source.size; at += TAIL_BLOCK_BYTES) {
    if (source.at(at, Math.min(TAIL_BLOCK_BYTES, source.size - at)).some((byte) => byte !== 0)) return 'torn'
  }
  return from === source.size ? 'end' : 'zeros'
}

/**
 * A log's directory. `names` are its segment files in order, `others` what else is there. `frames()` yields every frame of every
 * segment, `entries()` the entries alone; `segments` fills with a summary of each segment as it is passed. Segments must
 * follow each other without a gap and name each other; only the last may be open.
 */
export function parseDirectory(directory) {
  const all = readdirSync(directory).sort()
  const names = all.map(parseName).filter((name) => name !== undefined)
  const segments = []
  function* frames() {
    segments.length = 0
    let previous
    for (const name of names) {
      const path = join(directory, name.name)
      if (previous !== undefined && !previous.sealed) throw new FormatError(previous.path, 56, 'every segment but the last is sealed')
      const segment = yield* parseSegment(path, name, previous?.endTicks)
      checkFollows(segment, previous)
      segments.push(segment)
      previous = segment
    }
  }
  function* entries() {
    for (const frame of frames()) if (frame.kind === 'entry') yield frame
  }
  return { directory, names: names.map(({ name }) => name), others: all.filter((name) => parseName(name) === undefined), segments, frames, entries }
}

function checkFollows(segment, previous) {
  if (previous === undefined) {
    if (segment.firstSequence === 1 && segment.previousUuid !== NO_UUID) throw new FormatError(segment.path, 220, 'nothing is before the first segment')
    return
  }
  if (segment.firstSequence !== previous.lastSequence + 1) throw new FormatError(segment.path, 8, `segments are dense: ${previous.lastSequence + 1} comes next`)
  if (segment.previousUuid !== previous.uuid) throw new FormatError(segment.path, 220, 'a segment names the one before it')
  if (segment.createdMs <= previous.createdMs) throw new FormatError(segment.path, 0, 'names sort as the sequences do')
}
