/** The segments of a directory as readers see them: which there are, and where in one to begin. Nothing is changed here. */

import { join } from 'node:path'
import type { Disk, DiskFile } from '../disk/disk.js'
import { INDEX_INTERVAL_BYTES, type IndexEntry } from '../format/index-layout.js'
import { parseSegmentName, type SegmentName } from '../format/segment-name.js'
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, tailHeader, type HeaderFault, type SegmentHeader } from '../format/segment-layout.js'
import { readIndex } from './sealed-index.js'
import { isForeign, isHeaderStale } from './stale-header.js'
import { readFrameAt, trailerIn } from './trailer-at.js'

/** One segment. */
export interface CatalogEntry {
  readonly name: SegmentName
  readonly path: string
  readonly header: SegmentHeader
  readonly fileBytes: number
}

/** Where to begin in a segment. */
export interface StartPoint {
  readonly sequence: number
  readonly offset: number
}

/** The segments of one directory. Headers of sealed ones are read once. */
export class Catalog {
  readonly directory: string
  readonly #disk: Disk
  readonly #sealed = new Map<string, CatalogEntry>()
  /** Sparse indexes of open segments, built by whoever reads them. Not for sealed ones: a recovery may have written their files anew. */
  readonly #notes = new Map<string, IndexEntry[]>()
  /** Those of sealed segments, once loaded. */
  readonly #indexes = new Map<string, readonly IndexEntry[]>()

  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.directory = directory
  }

  /**
   * All segments that tell what they hold, in order of sequence. Blocks: a directory listing, and two small reads for each segment not seen before.
   * One whose header is damaged, or another segment's, tells it by its first trailer.
   */
  list(): CatalogEntry[] {
    const names = this.#names()
    const entries = names.map((name) => this.#sealed.get(name.name) ?? this.#load(name)).filter((entry) => entry !== undefined)
    const present = new Set(names.map((name) => name.name))
    for (const name of this.#sealed.keys()) if (!present.has(name)) this.#forget(name)
    return entries.sort((a, b) => a.header.firstSequence - b.header.firstSequence || (a.name.name < b.name.name ? -1 : 1))
  }

  #names(): SegmentName[] {
    return this.#disk.list(this.directory).map(parseSegmentName).filter((name) => name !== undefined)
  }

  /** The path of a segment before `entry` that tells nothing of what it holds. The newest may be unwritten as yet; of those before it that is damage. */
  findUnreadable(entry: CatalogEntry): string | undefined {
    const found = this.#names().find((name) => name.name < entry.name.name && !this.#sealed.has(name.name) && this.#load(name) === undefined)
    // One that goes meanwhile tells nothing either.
    return found !== undefined && this.#names().some(({ name }) => name === found.name) ? join(this.directory, found.name) : undefined
  }

  #forget(name: string): void {
    this.#sealed.delete(name)
    this.#indexes.delete(name)
    this.#notes.delete(name)
  }

  /** Reads again what a segment holds; undefined when the file is gone or does not tell (yet). */
  #load(name: SegmentName): CatalogEntry | undefined {
    const path = join(this.directory, name.name)
    let file: DiskFile
    try {
      file = this.#disk.open(path, 'read')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    try {
      const found = readHeader(file)
      const fileBytes = file.size()
      const header = believed(found, file, fileBytes, name.uuid)
      if (header === undefined) return undefined
      const entry = { name, path, header, fileBytes }
      if (header.sealed) this.#sealed.set(name.name, entry)
      return entry
    } finally {
      file.close()
    }
  }

  /** The segment as its open file says now: a tail may have been sealed since, and even removed. */
  refresh(entry: CatalogEntry, file: DiskFile): CatalogEntry {
    if (entry.header.sealed) return entry
    const found = readHeader(file)
    // After the header: of a sealed one the size stays.
    const fileBytes = file.size()
    if (typeof found === 'string') return entry
    // One that another segment has left there says that it is sealed, and where that one ended.
    const header = found.sealed ? believed(found, file, fileBytes, entry.name.uuid) : found
    return header === undefined ? entry : { ...entry, header, fileBytes }
  }

  /** Whether the segment's name is gone: what its open file holds may be another one's by now. */
  isGone(entry: CatalogEntry): boolean {
    return !this.#disk.list(this.directory).includes(entry.name.name)
  }

  /** Opens a segment for reading; undefined when it has been removed. */
  open(entry: CatalogEntry): DiskFile | undefined {
    try {
      return this.#disk.open(entry.path, 'read')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** The last indexed frame that `isBefore` accepts, or the segment's first frame. */
  startPoint(entry: CatalogEntry, file: DiskFile, isBefore: (indexed: IndexEntry) => boolean): StartPoint {
    const indexed = this.#index(entry, file).findLast(isBefore)
    return indexed ?? { sequence: entry.header.firstSequence, offset: SEGMENT_HEADER_BYTES }
  }

  #index(entry: CatalogEntry, file: DiskFile): readonly IndexEntry[] {
    const { name } = entry.name
    const known = (entry.header.sealed ? this.#indexes : this.#notes).get(name)
    if (known !== undefined || !entry.header.sealed) return known ?? []
    const loaded = readIndex(file, file.size(), entry.name.uuid)?.entries ?? []
    this.#indexes.set(name, loaded)
    this.#notes.delete(name)
    return loaded
  }

  /** Notes where a frame of an open segment was found, about every 64 KiB, so that the next reader need not scan to it. */
  note(entry: CatalogEntry, indexed: IndexEntry): void {
    // Not in any test: who reads a sealed one does not note.
    if (entry.header.sealed) return
    let index = this.#notes.get(entry.name.name)
    if (index === undefined) this.#notes.set(entry.name.name, (index = []))
    const last = index.at(-1)
    if (last === undefined || indexed.offset - last.offset >= INDEX_INTERVAL_BYTES) index.push(indexed)
  }
}

function readHeader(file: DiskFile): SegmentHeader | HeaderFault {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  return decodeSegmentHeader(bytes.subarray(0, file.read(bytes, 0)))
}

/** What to go by: a header that is its segment's own, else the first trailer, else nothing. */
function believed(header: SegmentHeader | HeaderFault, file: DiskFile, fileBytes: number, uuid: Uint8Array): SegmentHeader | undefined {
  if (header === 'version') return undefined
  const frame = readFrameAt(file, fileBytes, SEGMENT_HEADER_BYTES)
  const first = trailerIn(frame, uuid)
  if (typeof header === 'string') return first === undefined ? undefined : tailHeader(first.firstSequence)
  // An open one without a first trailer may be about to get it; with a damaged one, reading tells.
  if (!header.sealed && first === undefined) return header
  if (!isHeaderStale(header, fileBytes, first?.firstSequence, () => readIndex(file, fileBytes, uuid) !== undefined)) return header
  if (first !== undefined) return tailHeader(first.firstSequence)
  return isForeign(frame, header) ? header : undefined
}
