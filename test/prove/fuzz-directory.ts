/**
 * Whole directories as a fuzzer has them: a few files on a disk in memory are recovered, read, verified, salvaged and repaired. Only `WalError` comes
 * out; opening and `verify` agree; what was opened once is sound the second time; and the work is linear in the bytes that are there.
 */

import type { Disk, DiskFile } from '../../dist/src/disk/disk.js'
import { below, type Random } from '../model/random.js'
import type { MemoryDisk } from '../model/memory-disk.js'
import type { Code } from './code-of-build.js'
import type { FuzzTarget } from './fuzz-targets.js'
import { DIRECTORY, diskOf, knownLogs } from './known-log.js'
import { mutate, mutateSegment } from './mutations.js'
import { readBack } from './read-back.js'

/** Reading is done in blocks of at most so many bytes, or an entry. */
const BLOCK_BYTES = 2 * 1024 * 1024
/** How often each byte may be read by one of the calls, and what may be read beside that for each file. */
const READS_OF_A_BYTE = 64
const READ_BESIDE = 65_536
const MAX_FILES = 6
const SIZE = { segments: 3, segmentBytes: 2500 }

interface NamedFile {
  readonly name: string
  readonly bytes: Buffer
}

/** The target, with logs of this seed as its first inputs. */
export function directoryTarget(code: Code, seed: number): FuzzTarget {
  const seeds = knownLogs(code, seed, SIZE).map((log) => pack(log.segments))
  const told = new Map<string, number>()
  return { name: 'directory', percent: 1, seeds, told, mutate: mutateDirectory, run: (input) => new DirectoryTrial(code, unpack(input), told).run() }
}

/** Files as one input: for each the length of its name, the name, the length of its content, the content. */
function pack(files: readonly NamedFile[]): Buffer {
  return Buffer.concat(files.flatMap(({ name, bytes }) => {
    const head = Buffer.alloc(2 + Buffer.byteLength(name) + 4)
    head.writeUInt16LE(Buffer.byteLength(name))
    head.write(name, 2)
    head.writeUInt32LE(bytes.length, head.length - 4)
    return [head, bytes]
  }))
}

function unpack(input: Buffer): NamedFile[] {
  const files = new Map<string, NamedFile>()
  for (let at = 0; at + 2 <= input.length && files.size < MAX_FILES;) {
    const nameEnd = at + 2 + input.readUInt16LE(at)
    if (nameEnd + 4 > input.length) break
    const name = input.toString('utf8', at + 2, nameEnd)
    at = nameEnd + 4 + input.readUInt32LE(nameEnd)
    files.set(name, { name, bytes: input.subarray(nameEnd + 4, at) })
  }
  return [...files.values()]
}

function mutateDirectory(bytes: Buffer, random: Random, other: Buffer): Buffer {
  const files = unpack(bytes)
  const others = unpack(other)
  const index = below(random, files.length)
  const file = files[index]
  const guest = others[below(random, others.length)]
  if (file === undefined || guest === undefined) return bytes
  const draw = below(random, 20)
  if (draw === 0) files.splice(index, 1)
  else if (draw === 1) files.push({ name: guest.name, bytes: file.bytes })
  else if (draw === 2) files[index] = { name: file.name, bytes: guest.bytes }
  else if (draw === 3) files.push(guest)
  else if (draw === 4) files[index] = { name: mutate(Buffer.from(file.name), random, Buffer.from(guest.name)).toString('latin1').replaceAll(/[/\0]/g, '') || 'x', bytes: file.bytes }
  else files[index] = { name: file.name, bytes: mutateSegment(Buffer.from(file.bytes), random, guest.bytes) }
  return pack(files)
}

/** What was asked of a disk. */
interface Work {
  bytes: number
  largest: number
}

class DirectoryTrial {
  readonly #code: Code
  readonly #disk: MemoryDisk
  readonly #bytes: number
  readonly #told: Map<string, number>

  constructor(code: Code, files: readonly NamedFile[], told: Map<string, number>) {
    this.#code = code
    this.#told = told
    this.#disk = diskOf(files.filter(({ name }) => name !== '.' && name !== '..'))
    this.#bytes = files.reduce((sum, file) => sum + file.bytes.length, 0)
  }

  async run(): Promise<string | undefined> {
    const code = this.#code
    const verified = await this.#measure('verify', this.#disk, (disk) => code.verifyDirectory(disk, DIRECTORY))
    await this.#measure('reading', this.#disk, (disk) => this.#read(disk, undefined, verified.status !== 'corrupt'))
    const opened = this.#disk.clone()
    const refusal = await this.#measure('opening', opened, async (disk) => this.#recover(disk, false))
    if (refusal !== undefined) {
      if (verified.status !== 'corrupt') return `opening refuses (${refusal.message}), verify says ${verified.status}`
      return await this.#salvage() ?? await this.#repair()
    }
    const wrong = await this.#again(opened, 'opening')
    if (wrong !== undefined) return wrong
    const after = await code.verifyDirectory(opened, DIRECTORY)
    if (after.status === 'torn') return `once opened, it is ${after.status}`
    return verified.status === 'corrupt' ? await this.#repair() : undefined
  }

  /** Opening once more finds nothing to do, and all that is there is read without an error that nobody expects. */
  async #again(disk: MemoryDisk, what: string): Promise<string | undefined> {
    const { report, nextSequence } = this.#code.recover(disk, DIRECTORY)
    if (!report.cleanClose) return `after ${what}, opening finds something to do: ${JSON.stringify(report)}`
    await this.#measure(`reading after ${what}`, disk, (counted) => this.#read(counted, nextSequence - 1, true))
    return undefined
  }

  #recover(disk: Disk, salvages: boolean): Error | undefined {
    try {
      this.#code.recover(disk, DIRECTORY, salvages)
      return undefined
    } catch (error) {
      if (!(error instanceof this.#code.WalError) || error.code !== 'ERR_WAL_CORRUPT') throw error
      return error
    }
  }

  async #salvage(): Promise<string | undefined> {
    const disk = this.#disk.clone()
    const refusal = await this.#measure('a salvage', disk, async (counted) => this.#recover(counted, true))
    if (refusal === undefined) return await this.#again(disk, 'a salvage')
    if (!refusal.message.includes('a version')) return `a salvage refuses: ${refusal.message}`
    return undefined
  }

  async #repair(): Promise<string | undefined> {
    const disk = this.#disk.clone()
    try {
      const { after } = await this.#measure('a repair', disk, (counted) => this.#code.repairDirectory(counted, DIRECTORY, false))
      // Frames that lie about their sequences, with right checksums, may be more than a repair sorts out.
      if (after.status !== 'sound') this.#tell('repairs that leave damage')
      return undefined
    } catch (error) {
      const isVersion = error instanceof this.#code.WalError && error.code === 'ERR_WAL_CORRUPT' && error.message.includes('a version')
      if (!isVersion) throw error
      return undefined
    }
  }

  #tell(what: string): void {
    this.#told.set(what, (this.#told.get(what) ?? 0) + 1)
  }

  /** All that can be read; of a directory that nobody has opened if `last` is undefined. */
  async #read(disk: Disk, last: number | undefined, isInOrder: boolean): Promise<void> {
    const code = this.#code
    try {
      if (last !== undefined) {
        await readBack(code, disk, DIRECTORY, 1, last)
        return
      }
      const horizon = { visible: () => undefined, includeWritten: false, untilMore: async () => false }
      let before = 0
      for await (const batch of code.readEntryBatches(new code.Catalog(disk, DIRECTORY), horizon, {
        fromSequence: 1, fromTimestamp: undefined, strict: false, limit: Infinity, follow: false, signal: undefined, onCaughtUp: undefined, onGap: undefined,
      })) {
        for (const { sequence } of batch) {
          if (isInOrder && sequence <= before) throw new Error(`sequence ${sequence} is read after ${before}`)
          before = sequence
        }
      }
    } catch (error) {
      if (!(error instanceof code.WalError) || !['ERR_WAL_CORRUPT', 'ERR_WAL_TRIMMED'].includes(error.code)) throw error
    }
  }

  async #measure<Value>(what: string, disk: Disk, act: (disk: Disk) => Promise<Value>): Promise<Value> {
    const work: Work = { bytes: 0, largest: 0 }
    const value = await act(counting(disk, work))
    const limit = READS_OF_A_BYTE * this.#bytes + READ_BESIDE
    if (work.bytes > limit) throw new Error(`${what} reads ${work.bytes} bytes where there are ${this.#bytes}`)
    if (work.largest > Math.max(this.#bytes, BLOCK_BYTES)) throw new Error(`${what} asks for ${work.largest} bytes at once where there are ${this.#bytes}`)
    return value
  }
}

/** The disk, counting what is read. */
function counting(disk: Disk, work: Work): Disk {
  const count = (file: DiskFile): DiskFile => {
    const note = (buffer: Uint8Array, bytes: number): number => {
      work.bytes += bytes
      work.largest = Math.max(work.largest, buffer.length)
      return bytes
    }
    return {
      path: file.path, write: (buffers, offset) => file.write(buffers, offset), writeAsync: (buffer, offset) => file.writeAsync(buffer, offset),
      sync: () => file.sync(), syncAsync: () => file.syncAsync(), truncate: (bytes) => file.truncate(bytes), size: () => file.size(),
      protect: () => file.protect(), close: () => file.close(),
      read: (buffer, offset) => note(buffer, file.read(buffer, offset)),
      readAsync: async (buffer, offset) => note(buffer, await file.readAsync(buffer, offset)),
    }
  }
  return {
    makeDirectory: (path) => disk.makeDirectory(path), list: (path) => disk.list(path), create: (path) => count(disk.create(path)),
    open: (path, access) => count(disk.open(path, access)), rename: (from, to) => disk.rename(from, to), unprotect: (path) => disk.unprotect(path),
    space: (path) => disk.space(path), remove: (path) => disk.remove(path), syncDirectory: (path) => disk.syncDirectory(path),
  }
}
