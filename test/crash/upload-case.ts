/**
 * One random life of uploads on a disk in memory: files are uploaded, several at a time, operations fail, the power is cut, the log is opened
 * again. The log itself is a list here, of which a crash leaves any beginning that holds all that was acknowledged.
 *
 * What must hold after every opening: each file entry that is there has its file, whole, and no other file is left.
 */

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { LogEntry } from '../../dist/src/log/entry.js'
import { decodeFileInfo } from '../../dist/src/log/entry-file.js'
import type { UploadPort } from '../../dist/src/log/file-upload.js'
import { blobName } from '../../dist/src/segment/blob-name.js'
import { MemoryDisk, PowerCut, systemError, type CrashOptions, type Operation } from '../model/memory-disk.js'
import { below, seededRandom, type Random } from '../model/random.js'
import type { Code } from './code-under-test.js'
import { Violation } from './log-image.js'
import { chance, drawRules, pick } from './script.js'

const DIRECTORY = '/log'
const BLOBS = '/log/blobs'
const INCOMING = '/log/blobs/incoming'
const GENERATIONS = 4
/** Of a hundred disk operations, so many are taken for crash points. */
const CRASH_PERCENT = 40

/** What was seen. */
export interface UploadTally {
  /** Disks found after a crash, or at an opening, each checked; and how many of them differ from all others of their case. */
  points: number
  distinct: number
  acknowledged: number
  faults: number
  cuts: number
}

export function newUploadTally(): UploadTally {
  return { points: 0, distinct: 0, acknowledged: 0, faults: 0, cuts: 0 }
}

/** The entries that a disk may be found with: the log from `first` on. */
interface Found {
  readonly first: number
  readonly entries: readonly Buffer[]
}

/** Runs the case of this seed. Throws a {@link Violation} that names it. */
export async function runUploadCase(code: Code, seed: number, tally: UploadTally): Promise<void> {
  try {
    await new UploadCase(code, seed, tally).live()
  } catch (error) {
    throw new Violation(`case ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

class UploadCase {
  readonly #code: Code
  readonly #tally: UploadTally
  readonly #random: Random
  readonly #rules: CrashOptions
  #disk: MemoryDisk
  /** All that was accepted, from sequence 1 on. */
  #entries: Buffer[] = []
  #acknowledged = 0
  #first = 1
  /** Crash states that were looked at are recovered when nothing runs any more. */
  #looks: { readonly disk: MemoryDisk; readonly found: Found }[] = []
  readonly #seen = new Set<number>()

  constructor(code: Code, seed: number, tally: UploadTally) {
    this.#code = code
    this.#tally = tally
    this.#random = seededRandom(seed)
    this.#rules = drawRules(this.#random)
    this.#disk = new MemoryDisk({ sectorBytes: pick(this.#random, [128, 512, 4096]) })
    this.#disk.makeDirectory(DIRECTORY)
  }

  async live(): Promise<void> {
    for (let generation = 0; generation < GENERATIONS; generation++) {
      await this.#open(this.#disk, this.#found(this.#entries.length), 0)
      this.#watch()
      await Promise.all(Array.from({ length: 1 + below(this.#random, 3) }, () => this.#upload()))
      this.#disk.onOperation = undefined
      for (const { disk, found } of this.#looks.splice(0)) await this.#open(disk, found, 1)
      this.#end()
    }
  }

  /** The process ends: killed, or the power is cut. */
  #end(): void {
    const accepted = this.#entries.length
    const last = this.#acknowledged + below(this.#random, accepted - this.#acknowledged + 1)
    this.#disk = chance(this.#random, 30) ? this.#disk.clone() : this.#disk.crash(this.#random, this.#rules)
    this.#entries = this.#entries.slice(0, last)
    // Segments go, and then the blobs of their entries.
    if (chance(this.#random, 30)) this.#first += below(this.#random, last - this.#first + 2)
  }

  #found(last: number): Found {
    return { first: this.#first, entries: this.#entries.slice(0, last) }
  }

  #watch(): void {
    const disk = this.#disk
    const kind = below(this.#random, 3)
    let left = below(this.#random, 40)
    disk.onOperation = (operation) => {
      if (chance(this.#random, CRASH_PERCENT)) {
        const last = this.#acknowledged + below(this.#random, this.#entries.length - this.#acknowledged + 1)
        this.#looks.push({ disk: disk.crash(this.#random, this.#rules), found: this.#found(last) })
      }
      if (left-- === 0 && kind > 0) this.#fail(operation, kind === 1)
    }
  }

  #fail({ kind, path, bytes = 0 }: Operation, isCut: boolean): void {
    const writtenBytes = below(this.#random, bytes + 1)
    this.#tally[isCut ? 'cuts' : 'faults']++
    if (isCut) throw new PowerCut(writtenBytes)
    throw Object.assign(systemError(kind === 'write' ? 'ENOSPC' : 'EIO', kind, path), { writtenBytes })
  }

  async #upload(): Promise<void> {
    const chunks = Array.from({ length: below(this.#random, 4) }, () => Buffer.alloc(below(this.#random, 600), `${this.#random()}`))
    const port: UploadPort = {
      directory: DIRECTORY,
      maxEntryBytes: 4096,
      closing: new AbortController().signal,
      lastSequence: () => this.#entries.length,
      assertRoom: () => undefined,
      accept: async (data) => await this.#accept(data),
      placed: () => undefined,
    }
    try {
      const { sequence, sha256 } = await this.#code.uploadFile(this.#disk, port, chunks)
      if (sha256 !== sha256Of(Buffer.concat(chunks))) throw new Violation('the receipt has another digest')
      this.#acknowledged = Math.max(this.#acknowledged, sequence)
      this.#tally.acknowledged++
    } catch (error) {
      if (!(error instanceof PowerCut) && !['ERR_WAL_IO', 'ERR_WAL_DISK_FULL'].includes((error as { code?: string }).code!)) throw error
    }
  }

  async #accept(data: Buffer): Promise<{ sequence: number; timestamp: number }> {
    for (let turns = below(this.#random, 4); turns > 0; turns--) await undefined
    // Others append as well.
    if (chance(this.#random, 30)) this.#takeEntry(Buffer.from('no file'))
    return { sequence: this.#takeEntry(data), timestamp: 0 }
  }

  /** With the power gone nothing is accepted any more. */
  #takeEntry(data: Buffer): number {
    this.#disk.list(DIRECTORY)
    this.#entries.push(data)
    return this.#entries.length
  }

  /** Opens the log as the library does, and looks what is there; interrupted, and again, for as long as `depth` says. */
  async #open(disk: MemoryDisk, found: Found, depth: number): Promise<void> {
    this.#tally.points++
    const { size } = this.#seen
    if (this.#seen.add(disk.fingerprint()).size > size) this.#tally.distinct++
    const within: MemoryDisk[] = []
    if (depth === 1) disk.onOperation = () => void within.push(disk.crash(this.#random, this.#rules))
    const { first, entries } = found
    const keeper = new this.#code.BlobKeeper(disk, DIRECTORY, entries.length)
    await this.#code.settleUploads(disk, DIRECTORY, async function* (fromSequence) {
      const from = Math.max(first, fromSequence)
      yield entries.slice(from - 1).map((data, index) => ({ sequence: from + index, data }) as LogEntry)
    })
    keeper.refresh()
    keeper.removeBelow(first)
    disk.onOperation = undefined
    check(disk, found)
    for (const state of within) await this.#open(state, found, 2)
    if (depth === 1) await this.#open(disk.crash(this.#random, this.#rules), found, 2)
  }
}

function check(disk: MemoryDisk, { first, entries }: Found): void {
  const left = new Set(listOf(disk, BLOBS).filter((name) => name !== 'incoming'))
  for (const [index, data] of entries.entries()) {
    const sequence = index + 1
    const info = decodeFileInfo(data)
    if (sequence < first || info === undefined) continue
    const name = blobName(sequence)
    if (!left.delete(name)) throw new Violation(`entry ${sequence} has no file`)
    const content = contentOf(disk, join(BLOBS, name))
    if (content.length !== info.bytes || sha256Of(content) !== info.sha256) throw new Violation(`the file of entry ${sequence} is not whole`)
  }
  if (left.size > 0) throw new Violation(`files without an entry: ${[...left].join(', ')}`)
  const incoming = listOf(disk, INCOMING)
  if (incoming.length > 0) throw new Violation(`left in incoming: ${incoming.join(', ')}`)
}

function listOf(disk: MemoryDisk, path: string): string[] {
  try {
    return disk.list(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function contentOf(disk: MemoryDisk, path: string): Buffer {
  const file = disk.open(path, 'read')
  const content = Buffer.alloc(file.size())
  file.read(content, 0)
  file.close()
  return content
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
