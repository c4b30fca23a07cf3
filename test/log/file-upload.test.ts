import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { createReadStream, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, onTestFinished, test } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { settleUploads, uploadFile, type UploadPort } from '../../dist/src/log/file-upload.js'
import { openLog, readLog, WalError, type EntryFile, type FileSource, type Log, type LogOptions } from '../../dist/src/index.js'
import { MemoryDisk, systemError, type Operation } from '../model/memory-disk.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

async function open(directory: string, options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ directory, reserveBytes: 0, ...options })
  onTestFinished(() => log.close())
  return log
}

const contentOf = async (file: EntryFile): Promise<Buffer> => Buffer.concat(await file.open().toArray() as Buffer[])
const blobsOf = (log: Log): string[] => readdirSync(join(log.directory, 'blobs')).filter((name) => name !== 'incoming')
const incomingOf = (log: Log): string[] => readdirSync(join(log.directory, 'blobs', 'incoming'))

describe('appendFile', () => {
  test('takes a path, a stream, or any iterable; the file comes back as it was, with its metadata, in every way of reading', async () => {
    const root = temporaryDirectory()
    const log = await open(join(root, 'log'))
    const bytes = Buffer.alloc(700_000, 'some bytes ')
    writeFileSync(join(root, 'file'), bytes)
    const sources: FileSource[] = [join(root, 'file'), createReadStream(join(root, 'file')), [bytes.subarray(0, 5), bytes.subarray(5)], (function* () { yield bytes })()]
    const metadata = { name: 'x', tags: ['a', 'ü'], n: null }
    for (const [index, source] of sources.entries()) {
      const receipt = await log.appendFile(source, { metadata })
      expect(receipt).toMatchObject({ sequence: index + 1, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })
      expect(log.durableSequence).toBeGreaterThanOrEqual(receipt.sequence)
    }
    expect(await log.appendFile([])).toMatchObject({ sequence: 5, bytes: 0 })
    expect(await log.appendFile(['text, ', 'too: ü'])).toMatchObject({ sequence: 6, bytes: 13 })
    await log.write('no file')
    for await (const entry of log.read({ limit: 4 })) {
      expect(entry.file).toMatchObject({ metadata, bytes: bytes.length })
      expect((await contentOf(entry.file!)).equals(bytes)).toBe(true)
    }
    expect((await contentOf((await log.get(5))!.file!)).length).toBe(0)
    for await (const entry of readLog(log.directory, { fromSequence: 6, limit: 1, includeWritten: true })) expect((await contentOf(entry.file!)).toString()).toBe('text, too: ü')
    expect((await log.get(7))!.file).toBeUndefined()
    expect(statSync(join(log.directory, 'blobs')).mode & 0o077).toBe(0)
    expect(statSync((await log.get(1))!.file!.path).mode & 0o077).toBe(0)
    expect(incomingOf(log)).toEqual([])
  })

  test('many at a time each get their own', async () => {
    const log = await open(temporaryDirectory())
    await Promise.all(Array.from({ length: 20 }, async (_, number) => {
      const { sequence } = await log.appendFile([`content ${number}`], { metadata: number })
      const { file } = (await log.get(sequence))!
      expect(file!.metadata).toBe(number)
      expect((await contentOf(file!)).toString()).toBe(`content ${number}`)
    }))
    expect(blobsOf(log)).toHaveLength(20)
  })

  test('a large file takes little memory', { timeout: 120_000 }, async () => {
    const log = await open(temporaryDirectory())
    const total = 300 * 2 ** 20
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    const chunk = Buffer.alloc(2 ** 20, 7)
    async function* chunks(): AsyncGenerator<Buffer> {
      for (let done = 0; done < total; done += chunk.length) {
        most = Math.max(most, process.memoryUsage().arrayBuffers - before)
        yield chunk
      }
    }
    const { sequence } = await log.appendFile(chunks())
    let bytes = 0
    for await (const piece of (await log.get(sequence))!.file!.open()) {
      bytes += (piece as Buffer).length
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    expect(bytes).toBe(total)
    expect(most).toBeLessThan(total / 3)
  })

  test.each<[string, unknown, unknown, string]>([
    ['a number', 7, undefined, 'source'],
    ['an empty path', '', undefined, 'source'],
    ['a path with a null byte', 'a\0b', undefined, 'source'],
    ['null', null, undefined, 'source'],
    ['metadata that JSON cannot tell', ['x'], { metadata: () => 1 }, 'options.metadata'],
    ['metadata with a circle', ['x'], { metadata: (() => { const a: unknown[] = []; a.push(a); return a })() }, 'options.metadata'],
    ['metadata that is too large', ['x'], { metadata: 'x'.repeat(2000) }, 'options.metadata'],
    ['a wrong signal', ['x'], { signal: {} }, 'options.signal'],
  ])('%s is refused, and nothing is made', async (_what, source, options, name) => {
    const log = await open(temporaryDirectory(), { maxEntryBytes: 1000 })
    await expect(log.appendFile(source as FileSource, options as object)).rejects.toThrow(expect.objectContaining({ message: expect.stringContaining(`"${name}"`) }))
    expect(readdirSync(log.directory).filter((each) => each === 'blobs')).toEqual([])
    expect(log.lastSequence).toBe(0)
  })

  test('a source that fails, or yields what are no bytes, leaves nothing behind', async () => {
    const root = temporaryDirectory()
    const log = await open(join(root, 'log'))
    const cause = new Error('the camera is gone')
    async function* failing(): AsyncGenerator<string> {
      yield 'begin'
      throw cause
    }
    await expect(log.appendFile(failing())).rejects.toBe(cause)
    await expect(log.appendFile([7 as never])).rejects.toThrow(TypeError)
    await expect(log.appendFile(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'ERR_WAL_IO', cause: { code: 'ENOENT' } })
    await expect(log.appendFile(root)).rejects.toMatchObject({ code: 'ERR_WAL_IO' })
    execFileSync('mkfifo', [join(root, 'fifo')])
    await expect(log.appendFile(join(root, 'fifo'))).rejects.toMatchObject({ code: 'ERR_WAL_IO', cause: { code: 'EINVAL' } })
    expect(incomingOf(log)).toEqual([])
    expect(blobsOf(log)).toEqual([])
    expect(log.lastSequence).toBe(0)
  })

  test.each<[string, (reason: Error, aborter: AbortController) => FileSource]>([
    ['a source fails with', async function* (reason) { yield 'begin'; throw reason }],
    ['a signal gives as its reason', function* (reason, aborter) { yield 'begin'; aborter.abort(reason); yield 'more' }],
  ])('what %s is told as it is, also where the system said it: it is not about the file of the log', async (_what, sourceOf) => {
    const log = await open(temporaryDirectory())
    const reason = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', errno: -104, syscall: 'read' })
    const aborter = new AbortController()
    await expect(log.appendFile(sourceOf(reason, aborter), { signal: aborter.signal })).rejects.toBe(reason)
    expect(incomingOf(log)).toEqual([])
  })

  test('an abort while it is written ends it, and nothing is left', async () => {
    const log = await open(temporaryDirectory())
    const controller = new AbortController()
    async function* slow(): AsyncGenerator<string> {
      yield 'begin'
      controller.abort(new Error('enough'))
      yield 'more'
    }
    await expect(log.appendFile(slow(), { signal: controller.signal })).rejects.toThrow('enough')
    await expect(log.appendFile(['x'], { signal: controller.signal })).rejects.toThrow('enough')
    expect(incomingOf(log)).toEqual([])
    expect(log.lastSequence).toBe(0)
  })

  test.each<[string, () => FileSource]>([
    ['a generator', async function* () { yield 'begin'; await new Promise(() => undefined) }],
    ['a stream', () => new Readable({ read: () => undefined })],
  ])('an abort and a close end one whose source hangs: %s', { timeout: 20_000 }, async (_, makeSource) => {
    const log = await openLog({ directory: temporaryDirectory(), reserveBytes: 0 })
    const controller = new AbortController()
    const [aborted, closed] = [makeSource(), makeSource()]
    const first = log.appendFile(aborted, { signal: controller.signal })
    const second = log.appendFile(closed)
    controller.abort(new Error('enough'))
    await expect(first).rejects.toThrow('enough')
    const [end] = await Promise.allSettled([second, log.close()])
    expect(end).toMatchObject({ status: 'rejected', reason: { code: 'ERR_WAL_CLOSED' } })
    for (const source of [aborted, closed]) if (source instanceof Readable) expect(source.destroyed).toBe(true)
    expect(incomingOf(log)).toEqual([])
    expect(log.lastSequence).toBe(0)
  })

  test('the metadata is what it was at the call', async () => {
    const log = await open(temporaryDirectory())
    const metadata = { name: 'before' }
    const upload = log.appendFile(['x'], { metadata })
    metadata.name = 'after'.repeat(2 ** 20)
    expect((await log.get((await upload).sequence))!.file!.metadata).toEqual({ name: 'before' })
  })

  test('a directory of uploads that is none is told as such', async () => {
    const directory = temporaryDirectory()
    const log = await openLog({ directory, reserveBytes: 0 })
    mkdirSync(join(directory, 'blobs'), { recursive: true })
    writeFileSync(join(directory, 'blobs', 'incoming'), '')
    await expect(log.appendFile(['x'])).rejects.toMatchObject({ code: 'ERR_WAL_IO' })
    await log.close()
    await expect(openLog({ directory, reserveBytes: 0 })).rejects.toMatchObject({ code: 'ERR_WAL_IO' })
  })

  test('after close it is refused', async () => {
    const log = await openLog({ directory: temporaryDirectory(), reserveBytes: 0 })
    await log.close()
    await expect(log.appendFile(['x'])).rejects.toMatchObject({ code: 'ERR_WAL_CLOSED' })
  })
})

describe('appendFile on a full disk', () => {
  /** Uploads on a disk that has no room for one kind of operation: what it rejects with, whether the entry was accepted, and the files that are left. */
  async function refuse(isRefused: (operation: Operation) => boolean): Promise<{ code: string; isAccepted: boolean; left: string[] }> {
    const disk = new MemoryDisk()
    disk.makeDirectory('/log')
    disk.onOperation = (operation) => {
      if (isRefused(operation)) throw systemError('ENOSPC', operation.kind, operation.path)
    }
    let isAccepted = false
    const port: UploadPort = {
      directory: '/log', maxEntryBytes: 1000, lastSequence: () => 0, assertRoom: () => undefined, placed: () => undefined, closing: new AbortController().signal,
      accept: async () => {
        isAccepted = true
        return { sequence: 1, timestamp: 0 }
      },
    }
    const error = await uploadFile(disk, port, ['abc']).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ name: 'WalError', file: expect.stringContaining('/log/blobs/incoming'), cause: { code: 'ENOSPC' } })
    disk.onOperation = undefined
    disk.makeDirectory('/log/blobs/incoming')
    return { code: (error as { code: string }).code, isAccepted, left: disk.list('/log/blobs/incoming') }
  }

  test.each<[string, (operation: Operation) => boolean]>([
    ['a directory', ({ kind }) => kind === 'makeDirectory'],
    ['the name of the file', ({ kind }) => kind === 'create'],
    ['its bytes', ({ kind }) => kind === 'write'],
    ['its second name', ({ kind }) => kind === 'rename'],
  ])('without room for %s it is refused as any append is, and nothing is left', async (_what, isRefused) => {
    expect(await refuse(isRefused)).toEqual({ code: 'ERR_WAL_DISK_FULL', isAccepted: false, left: [] })
  })

  test('what fails after the entry was accepted, and a sync, is no want of room: it may not be repeated as if nothing had been', async () => {
    expect(await refuse(({ kind, to }) => kind === 'rename' && to === '/log/blobs/0000000000000001.blob')).toMatchObject({ code: 'ERR_WAL_IO', isAccepted: true, left: [expect.any(String)] })
    expect(await refuse(({ kind }) => kind === 'sync')).toEqual({ code: 'ERR_WAL_IO', isAccepted: false, left: [] })
  })
})

describe('a file that is not as it was', () => {
  test.each<[string, (path: string) => void]>([
    ['missing', (path) => rmSync(path)],
    ['cut short', (path) => truncateSync(path, 100)],
    ['longer', (path) => writeFileSync(path, 'more', { flag: 'a' })],
    ['changed', (path) => {
      const bytes = readFileSync(path)
      bytes[5]! ^= 1
      writeFileSync(path, bytes)
    }],
  ])('%s: the stream fails and says which entry it is; others do not', async (_what, damage) => {
    const log = await open(temporaryDirectory())
    await log.write('before')
    const { sequence } = await log.appendFile(['x'.repeat(300_000)])
    await log.appendFile(['sound'])
    const { file } = (await log.get(sequence))!
    damage(file!.path)
    await expect(contentOf(file!)).rejects.toMatchObject({ code: 'ERR_WAL_BLOB', file: file!.path, firstSequence: sequence })
    expect((await contentOf((await log.get(sequence + 1))!.file!)).toString()).toBe('sound')
  })

  test('bytes that only look like a file entry are an entry, with no path out of them', async () => {
    const log = await open(temporaryDirectory())
    await log.write('\0ringwal-file-1\0{"uuid":"../../../etc/passwd","bytes":1,"sha256":"x"}')
    await log.write(`\0ringwal-file-1\0${JSON.stringify({ uuid: '0'.repeat(32), bytes: 3, sha256: '0'.repeat(64) })}`)
    expect((await log.get(1))!.file).toBeUndefined()
    const { file } = (await log.get(2))!
    expect(file!.path).toBe(join(log.directory, 'blobs', '0000000000000002.blob'))
    await expect(contentOf(file!)).rejects.toMatchObject({ code: 'ERR_WAL_BLOB' })
  })
})

describe('opening', () => {
  test('puts a file in its place whose entry is there, and removes what has none', async () => {
    const directory = temporaryDirectory()
    const first = await openLog({ directory, reserveBytes: 0 })
    await first.write('before')
    await first.appendFile(['found again'])
    await first.close()
    const incoming = join(directory, 'blobs', 'incoming')
    const { uuid } = JSON.parse(await textOf(directory, 2)) as { uuid: string }
    // As a crash leaves them: the last rename undone, an upload without an entry, one unfinished, one of an entry that was lost.
    renameSync(join(directory, 'blobs', '0000000000000002.blob'), join(incoming, `0000000000000001-${uuid}.blob`))
    writeFileSync(join(incoming, `0000000000000001-${'a'.repeat(32)}.blob`), 'nobody knows me')
    writeFileSync(join(incoming, `${'b'.repeat(32)}.part`), 'half')
    writeFileSync(join(directory, 'blobs', '0000000000000009.blob'), 'beyond the end')
    mkdirSync(join(incoming, 'not mine'))
    const log = await open(directory)
    expect(blobsOf(log)).toEqual(['0000000000000002.blob'])
    expect(incomingOf(log)).toEqual(['not mine'])
    expect((await contentOf((await log.get(2))!.file!)).toString()).toBe('found again')
  })

  test('damage inside a sealed segment does not keep a log with unfinished uploads closed: what lies behind it is found, and nothing is removed', async () => {
    const directory = temporaryDirectory()
    const first = await openLog({ directory, reserveBytes: 0, maxSegmentEntries: 4 })
    for (let number = 0; number < 3; number++) await first.write(`entry ${number}`)
    await first.appendFile(['in the same segment'])
    await first.write('to be damaged')
    await first.appendFile(['in the next one'])
    const sealed = first.segments().map(({ file }) => file)
    await first.close()
    const incoming = join(directory, 'blobs', 'incoming')
    for (const sequence of [4, 6]) {
      const { uuid } = JSON.parse(await textOf(directory, sequence)) as { uuid: string }
      renameSync(join(directory, 'blobs', `000000000000000${sequence}.blob`), join(incoming, `0000000000000001-${uuid}.blob`))
    }
    const unknown = `0000000000000001-${'a'.repeat(32)}.blob`
    writeFileSync(join(incoming, unknown), 'its entry may be the damaged one')
    for (const [file, text] of [[sealed[0]!, 'entry 1'], [sealed[1]!, 'to be damaged']] as const) {
      const bytes = readFileSync(file)
      bytes[bytes.indexOf(text)]! ^= 1
      rmSync(file)
      writeFileSync(file, bytes)
    }
    const log = await open(directory, { onCorrupt: 'salvage' })
    expect(blobsOf(log)).toEqual(['0000000000000004.blob', '0000000000000006.blob'])
    expect(incomingOf(log)).toEqual([unknown])
  })

  test('nor do entries that retention removes while they are sought', async () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'blobs', 'incoming'), { recursive: true })
    writeFileSync(join(directory, 'blobs', 'incoming', `0000000000000002-${'a'.repeat(32)}.blob`), '')
    const reads: number[] = []
    await settleUploads(nodeDisk, directory, async function* (fromSequence) {
      reads.push(fromSequence)
      if (fromSequence < 9) throw new WalError('ERR_WAL_TRIMMED', 'removed', { firstSequence: fromSequence, lastSequence: 8 })
      yield []
    })
    expect(reads).toEqual([2, 9])
  })

  async function textOf(directory: string, sequence: number): Promise<string> {
    for await (const entry of readLog(directory, { fromSequence: sequence, limit: 1 })) return entry.text().slice(16)
    throw new Error('not there')
  }
})

test('files go with their entries, and count as bytes of the log', async () => {
  const log = await open(temporaryDirectory(), { retention: { maxBytes: 4 * 2 ** 20 } })
  for (let number = 0; number < 12; number++) {
    await log.appendFile([Buffer.alloc(2 ** 20, number)])
    await log.roll()
  }
  await log.checkpoint()
  const first = log.segments()[0]!.firstSequence
  expect(first).toBeGreaterThan(8)
  expect(blobsOf(log).map((name) => Number.parseInt(name, 10))).toEqual(Array.from({ length: 12 - first + 1 }, (_, index) => first + index))
})

test('a tail with many bytes of files is sealed by itself, so that they can go', async () => {
  const log = await open(temporaryDirectory(), { maxSegmentBytes: 2 ** 20 })
  const consumer = log.consumer('uploader')
  let seen = 0
  const running = consumer.run(() => void seen++)
  for (let number = 0; number < 5; number++) await log.appendFile([Buffer.alloc(2 ** 20, number)])
  while (seen < 5 || consumer.progress.lag > 0) await new Promise((resolve) => setImmediate(resolve))
  await consumer.committed(5)
  while (blobsOf(log).length > 1) await log.checkpoint()
  await consumer.stop()
  await running
})
