/**
 * Uploading files: bytes of any number go to a file of their own, and one entry tells of them. In this order, so that the entry exists only
 * if the file is complete: write to `incoming/` → sync it → rename it, still in `incoming/`, so that it can be found again → sync
 * the directory → append → rename it to its sequence → sync both directories → the entry becomes durable → acknowledge.
 *
 * The last rename comes before the entry can be seen, and may be undone by a crash: {@link settleUploads} does it again at opening, and
 * removes what has no entry. (A blob whose entry was lost, being beyond the end of the log, is removed by the writer at opening.)
 */

import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { isDiskFull, type Disk } from '../disk/disk.js'
import { readFileChunks } from '../disk/file-chunks.js'
import { asIoError, outOfRange, WalError, wrongType, wrongValue } from '../errors.js'
import { createUuid, uuidToHex } from '../format/uuid.js'
import { abortSignal, checkPath } from '../option-values.js'
import { BLOBS, blobName, INCOMING, isPartName, parseReadyName, partName, readyName } from '../segment/blob-name.js'
import { decodeFileInfo, encodeFileInfo } from './entry-file.js'
import type { LogEntry } from './entry.js'
import type { Receipt } from './producer.js'

/** Where a file's bytes come from: a path, or a stream or any other iterable of bytes and text. */
export type FileSource = string | AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>

/** Options of `appendFile`. */
export interface AppendFileOptions {
  /** Anything that JSON can tell; comes back as `entry.file.metadata`. Default null. */
  readonly metadata?: unknown
  /** Ends the upload while it is written. Once its entry has been accepted, only the waiting ends. */
  readonly signal?: AbortSignal
}

/** An uploaded file's place. */
export interface FileReceipt extends Receipt {
  readonly bytes: number
  /** 64 hex digits. */
  readonly sha256: string
}

/** What uploading needs of its log. */
export interface UploadPort {
  readonly directory: string
  readonly maxEntryBytes: number
  /** The last sequence given out. */
  readonly lastSequence: () => number
  /** Throws when the log has ended, or its disk has no room. */
  readonly assertRoom: () => void
  /** Accepts an entry, waiting for room in the ring if need be. */
  readonly accept: (data: Buffer) => Promise<Receipt>
  /** Aborted when the log closes: ends what is still being written. */
  readonly closing: AbortSignal
  /** Told of the bytes of a blob that is in its place. */
  readonly placed: (bytes: number) => void
}

/** Reads the entries of a log from a sequence on. */
export type EntryReading = (fromSequence: number) => AsyncIterable<readonly LogEntry[]>

/** Uploads a file, up to its entry being accepted and the file in its place. See `Log.appendFile`. */
export async function uploadFile(disk: Disk, port: UploadPort, source: FileSource, options: AppendFileOptions = {}): Promise<FileReceipt> {
  const { metadata, signal } = checkOptions(port, source, options)
  signal?.throwIfAborted()
  port.closing.throwIfAborted()
  port.assertRoom()
  const directory = join(port.directory, BLOBS)
  const incoming = join(directory, INCOMING)
  const uuid = uuidToHex(createUuid(Date.now()))
  const part = join(incoming, partName(uuid))
  let ready = part
  let isAccepted = false
  try {
    await onDisk(incoming, () => disk.makeDirectory(incoming))
    const { bytes, sha256 } = await writePart(disk, part, source, AbortSignal.any(signal === undefined ? [port.closing] : [port.closing, signal]))
    const name = join(incoming, readyName(port.lastSequence() + 1, uuid))
    await onDisk(part, () => {
      disk.rename(part, name)
      ready = name
      disk.syncDirectory(incoming)
    })
    const accepted = port.accept(encodeFileInfo({ uuid, bytes, sha256, metadata })).then((receipt) => {
      isAccepted = true
      place(disk, name, directory, receipt.sequence)
      port.placed(bytes)
      return receipt
    })
    return { ...await unlessAborted(accepted, signal), bytes, sha256 }
  } catch (error) {
    // An abort while the entry is in line ends the waiting alone: its blob stays, and gets its place.
    const isInLine = signal?.aborted === true && ready !== part
    if (!isAccepted && !isInLine) removeQuietly(disk, ready)
    throw error
  }
}

/** What the system refuses here is an error of the log. What a source fails with, or a signal gives as its reason, is not, whatever it looks like. */
async function onDisk<Value>(path: string, act: () => Value | Promise<Value>): Promise<Value> {
  try {
    return await act()
  } catch (error) {
    const what = 'cannot append the file'
    throw isDiskFull(error) ? new WalError('ERR_WAL_DISK_FULL', `${what}: ${(error as Error).message}`, { file: path }, error) : asIoError(error, what, path)
  }
}

/** Its entry has been accepted: want of room is no refusal any more. */
function place(disk: Disk, ready: string, blobs: string, sequence: number): void {
  try {
    disk.rename(ready, join(blobs, blobName(sequence)))
    disk.syncDirectory(blobs)
    disk.syncDirectory(dirname(ready))
  } catch (error) {
    throw asIoError(error, `cannot put the file of entry ${sequence} in its place`, ready)
  }
}

/** The options, with the metadata as it is now: what is done to it later does not count. */
function checkOptions(port: UploadPort, source: FileSource, options: AppendFileOptions): AppendFileOptions {
  const isIterable = typeof source === 'object' && source !== null && (Symbol.asyncIterator in source || Symbol.iterator in source)
  if (typeof source !== 'string' && !isIterable) throw wrongType('source', 'a path, a stream, or an iterable of bytes', source)
  if (typeof source === 'string') checkPath('source', source)
  if (options === null || typeof options !== 'object') throw wrongType('options', 'an object', options)
  const signal = abortSignal('options.signal', options.signal)
  const snapshot = throughJson(options.metadata ?? null)
  const entry = encodeFileInfo({ uuid: '0'.repeat(32), bytes: Number.MAX_SAFE_INTEGER, sha256: '0'.repeat(64), metadata: snapshot })
  if (entry.length > port.maxEntryBytes) throw outOfRange('options.metadata', `at most ${port.maxEntryBytes} bytes with the entry around it (maxEntryBytes)`, entry.length)
  return { metadata: snapshot, ...(signal === undefined ? {} : { signal }) }
}

function throughJson(metadata: unknown): unknown {
  let text: string | undefined
  try {
    text = JSON.stringify(metadata)
  } catch (error) {
    throw wrongValue('options.metadata', `something that JSON can tell (${(error as Error).message})`, metadata)
  }
  if (text === undefined) throw wrongValue('options.metadata', 'something that JSON can tell', metadata)
  return JSON.parse(text)
}

async function writePart(disk: Disk, path: string, source: FileSource, signal: AbortSignal): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  const chunks = typeof source === 'string' ? chunksOf(source) : source
  const file = await onDisk(path, () => disk.create(path))
  try {
    for await (const piece of untilAborted(chunks, signal)) {
      const chunk = typeof piece === 'string' ? Buffer.from(piece) : piece
      if (!ArrayBuffer.isView(chunk)) throw wrongType('source', 'an iterable of bytes or text', chunk)
      hash.update(chunk)
      await onDisk(path, () => file.writeAsync(chunk as NodeJS.ArrayBufferView, bytes))
      bytes += chunk.byteLength
    }
    await onDisk(path, () => file.syncAsync())
  } finally {
    await onDisk(path, () => file.close())
  }
  signal.throwIfAborted()
  return { bytes, sha256: hash.digest('hex') }
}

async function* chunksOf(path: string): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* readFileChunks(path)
  } catch (error) {
    throw asIoError(error, 'cannot append the file', path)
  }
}

/** The pieces of a source; throws the signal's reason at once, even when the source hangs. */
async function* untilAborted<Piece>(source: AsyncIterable<Piece> | Iterable<Piece>, signal: AbortSignal): AsyncGenerator<Piece, void, undefined> {
  const pieces = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  try {
    for (;;) {
      signal.throwIfAborted()
      const piece = await unlessAborted(Promise.resolve(pieces.next()), signal)
      if (piece.done === true) return
      yield piece.value
    }
  } finally {
    void release(source, pieces)
  }
}

/** Lets go of a source; one that hangs is not waited for. */
async function release(source: unknown, pieces: AsyncIterator<unknown> | Iterator<unknown>): Promise<void> {
  try {
    if (source instanceof Readable) source.destroy()
    else await pieces.return?.()
  } catch {
    // Its bytes are all there, or why the upload has ended is being told already.
  }
}

async function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return await promise
  return await new Promise<Value>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function removeQuietly(disk: Disk, path: string): void {
  try {
    disk.remove(path)
  } catch {
    // It was never made, or stays for the next opening to remove: what failed is being told already.
  }
}

/**
 * At opening: what a crash left in `incoming/` gets its place if its entry is in the log, else goes; it stays where it is if the entry may be among
 * those that are damaged. `read` reads entries from a sequence on. Without leftovers, a directory listing; can be interrupted anywhere and done again.
 */
export async function settleUploads(disk: Disk, directory: string, read: EntryReading): Promise<void> {
  const blobs = join(directory, BLOBS)
  const incoming = join(blobs, INCOMING)
  try {
    await settle(disk, blobs, incoming, read)
  } catch (error) {
    throw asIoError(error, 'cannot settle the uploads that a crash left', incoming)
  }
}

async function settle(disk: Disk, blobs: string, incoming: string, read: EntryReading): Promise<void> {
  const names = listQuietly(disk, incoming)
  const waiting = new Map<string, { readonly name: string; readonly fromSequence: number }>()
  for (const name of names) {
    const ready = parseReadyName(name)
    if (ready !== undefined) waiting.set(ready.uuid, { name, fromSequence: ready.fromSequence })
    else if (isPartName(name)) disk.remove(join(incoming, name))
  }
  if (waiting.size > 0) {
    let isAllRead = true
    const first = Math.min(...[...waiting.values()].map(({ fromSequence }) => fromSequence))
    for await (const entries of readPastDamage(read, first, () => (isAllRead = false))) {
      for (const { sequence, data } of entries) {
        const found = waiting.get(decodeFileInfo(data)?.uuid ?? '')
        if (found === undefined) continue
        disk.rename(join(incoming, found.name), join(blobs, blobName(sequence)))
        waiting.delete(decodeFileInfo(data)!.uuid)
      }
    }
    disk.syncDirectory(blobs)
    // What has no entry; and the old name of a file that a power cut left with both: moving it was without effect.
    if (isAllRead) for (const name of disk.list(incoming)) if (parseReadyName(name) !== undefined) disk.remove(join(incoming, name))
  }
  if (names.length > 0) disk.syncDirectory(incoming)
}

/** All that can be read from a sequence on, `passed` being told of what cannot: it is damaged, or has been removed since the reading began. */
async function* readPastDamage(read: EntryReading, fromSequence: number, passed: () => void): AsyncGenerator<readonly LogEntry[], void, undefined> {
  for (let from = fromSequence; ;) {
    try {
      return yield* read(from)
    } catch (error) {
      const { code, lastSequence } = error as WalError
      if (code !== 'ERR_WAL_CORRUPT' && code !== 'ERR_WAL_TRIMMED') throw error
      passed()
      from = Math.max(from, lastSequence!) + 1
    }
  }
}

function listQuietly(disk: Disk, path: string): string[] {
  try {
    return disk.list(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
