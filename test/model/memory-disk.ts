/**
 * A disk in memory that knows what a power cut may leave of it.
 *
 * Reads see the page cache. What survives a cut is less: a file has durable sectors and a durable
 * size, and a list of changes that no sync has covered; a directory has durable names and a list of
 * moves. A crash state is what remains when any of those changes are lost. POSIX is read strictly:
 * a synced file whose name was not synced is gone. State is made of values that are never changed
 * in place (sectors, and arrays of them), so that clones and crash states share nearly everything.
 *
 * Not modelled: directories that vanish or are renamed, links (but for what a move between directories leaves), a failed
 * directory sync that loses names for good, a page cache that forgets clean pages.
 */

import { constants } from 'node:os'
import { basename, dirname } from 'node:path'
import type { Disk, DiskFile } from '../../src/disk/disk.js'
import { hash, keyOfName } from './fingerprint.js'
import { depart, isAbout, namings, NO_NAMES, move, settleArrivals, survivals, type Directory, type Move, type Survives } from './memory-names.js'
import { biasedChoice, odometer, seededRandom, type Choose, type Random } from './random.js'

/** What is about to be done to the disk. */
export interface Operation {
  readonly kind: 'makeDirectory' | 'create' | 'rename' | 'remove' | 'syncDirectory' | 'write' | 'sync' | 'truncate' | 'protect'
  readonly path: string
  /** The new path of a rename. */
  readonly to?: string
  /** Where a write begins. */
  readonly offset?: number
  /** The length of a write, or the size to truncate to. */
  readonly bytes?: number
}

/**
 * Called before each mutating operation, with its index in {@link MemoryDisk.operations}. What it
 * throws is raised from the operation, which then has no effect but these: of a write, the first
 * `writtenBytes` of the thrown error are written; a failed sync makes every unsynced byte of the
 * file clean though nobody knows whether it is on the disk (as Linux does: no later sync writes it,
 * unless it is written again); {@link PowerCut} ends all.
 */
export type OnOperation = (operation: Operation, index: number) => void

/** The power goes off: thrown by a hook, and from then on by every operation of that disk. */
export class PowerCut extends Error {
  /** `writtenBytes`: how much of an interrupted write still reached the page cache. */
  constructor(readonly writtenBytes = 0) {
    super('the power is cut')
    this.name = 'PowerCut'
  }
}

/** An error as `node:fs` throws it. */
export function systemError(code: string, syscall: string, path: string): NodeJS.ErrnoException {
  const errno = -(constants.errno as Record<string, number>)[code]!
  return Object.assign(new Error(`${code}: ${syscall} '${path}'`), { code, errno, syscall, path })
}

/** What a disk is; its clones and crash states are the same. */
export interface MemoryDiskOptions {
  /** The unit that is written wholly or not at all, a multiple of 4. Default 512. */
  readonly sectorBytes?: number
  /** Room for file content, in whole sectors; beyond it a write that needs a new sector fails with ENOSPC. Default unlimited. */
  readonly capacityBytes?: number
  /** Whether a protected file cannot be opened for writing; false, the default, is how it goes for root. */
  readonly enforceProtection?: boolean
}

/** What a power cut may do. The defaults allow most. */
export interface CrashOptions {
  /** Which unsynced moves of a directory survive: any that make sense without the others, or only the first few. Default `'any'`. */
  readonly names?: 'any' | 'ordered'
  /** Which unsynced writes to one sector survive: any, or only the first few, as with a page cache. Default `'subset'`. */
  readonly writes?: 'subset' | 'prefix'
  /**
   * What else a written but unsynced sector may hold: nothing; if it is newly allocated, noise or the
   * bytes of a freed sector; or in any sector noise where bytes were being written. Default `'fresh'`.
   */
  readonly garbage?: 'none' | 'fresh' | 'written'
}

/** How many crash states are wanted. */
export interface CrashStatesOptions extends CrashOptions {
  /** Up to this many all are made, else so many are drawn. Default 1,000. */
  readonly maxStates?: number
  /** For the draw. Default 1. */
  readonly seed?: number
}

class Sector {
  readonly bytes: Uint8Array
  #key: number | undefined

  constructor(bytes: Uint8Array) { this.bytes = bytes }

  /** 53 bits that stand for the content. */
  get key(): number {
    return this.#key ??= hash(new Int32Array(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length >> 2))
  }
}

/** What one write changed in one sector. */
interface Patch {
  readonly index: number
  readonly from: number
  readonly to: number
  /** The cached sector before and after; `before` is missing where the patch was clipped since. */
  readonly before: Sector | undefined
  readonly after: Sector
  /** A sync of it failed: it may be on the disk or not, and no sync to come will change that. */
  readonly isDoubtful: boolean
}

interface Cut { readonly cutTo: number }

/** One file as it may be after the crash, given which truncations survived. */
interface Shape {
  readonly sectors: readonly Sector[]
  /** Possible sizes, the oldest first. */
  readonly sizes: readonly number[]
  /** Possible contents of the sectors in doubt; first what was durable, last what was written. */
  readonly slots: readonly { readonly index: number; readonly versions: readonly Sector[] }[]
}

/** What the files and the disk share. Frozen options, and the sectors that everyone knows. */
interface Geometry extends Required<MemoryDiskOptions> { readonly hole: Sector; readonly noise: Sector }
type Freed = readonly (readonly Sector[])[]
type Rules = Required<CrashOptions>

/** Removed or cut contents that are remembered, to turn up as garbage. */
const MAX_FREED = 3
/** Draws that are made for each state that is wanted, as some turn out the same. */
const DRAWS_PER_STATE = 3

class Inode {
  durable: readonly Sector[] = []
  durableBytes = 0
  cached: readonly Sector[] = []
  bytes = 0
  pending: readonly (Patch | Cut)[] = []
  isLinked = true
  openFiles = 0
  isProtected = false
  /** fdatasync need not write the mode, so only a crash decides. */
  isProtectionDurable = true
  readonly #geometry: Geometry
  #shapes: { readonly rules: string; readonly freed: Freed; readonly list: readonly Shape[] } | undefined
  #key: { readonly cached: readonly Sector[]; readonly value: number } | undefined

  constructor(geometry: Geometry) { this.#geometry = geometry }

  clone(): Inode {
    const copy = Object.assign(new Inode(this.#geometry), this)
    copy.openFiles = 0
    copy.#shapes = this.#shapes
    copy.#key = this.#key
    return copy
  }

  /** Stands for the content as read. */
  get key(): number {
    if (this.#key?.cached !== this.cached) {
      const words = new Int32Array(2 * this.cached.length)
      for (let index = 0; index < this.cached.length; index++) {
        const { key } = this.cached[index]!
        words[2 * index] = key | 0
        words[2 * index + 1] = key / 0x1_0000_0000
      }
      this.#key = { cached: this.cached, value: hash(words) }
    }
    return this.#key!.value
  }

  read(target: Uint8Array, offset: number): number {
    const { sectorBytes } = this.#geometry
    const length = Math.max(0, Math.min(target.length, this.bytes - offset))
    for (let done = 0; done < length;) {
      const at = offset + done
      const within = at % sectorBytes
      const part = Math.min(sectorBytes - within, length - done)
      const { bytes } = this.cached[(at - within) / sectorBytes]!
      target.set(part === sectorBytes ? bytes : bytes.subarray(within, within + part), done)
      done += part
    }
    return length
  }

  write(buffers: readonly Uint8Array[], offset: number, length: number): void {
    if (length === 0) return
    const { sectorBytes, hole } = this.#geometry
    const end = offset + length
    const first = Math.floor(offset / sectorBytes)
    const count = Math.ceil(end / sectorBytes) - first
    const cached = extend(this.cached, Math.max(this.cached.length, first + count), hole)
    const slab = new Uint8Array(count * sectorBytes)
    for (const index of count > 1 ? [0, count - 1] : [0]) slab.set(cached[first + index]!.bytes, index * sectorBytes)
    let at = offset - first * sectorBytes
    for (const buffer of buffers) {
      const part = Math.min(buffer.length, end - first * sectorBytes - at)
      slab.set(part === buffer.length ? buffer : buffer.subarray(0, part), at)
      at += part
    }
    const pending = this.pending.slice()
    for (let index = first; index < first + count; index++) {
      const start = index * sectorBytes
      const before = cached[index]!
      const after = new Sector(slab.subarray(start - first * sectorBytes, start - first * sectorBytes + sectorBytes))
      pending.push({ index, from: Math.max(0, offset - start), to: Math.min(sectorBytes, end - start), before, after, isDoubtful: false })
      cached[index] = after
    }
    this.#change(cached, Math.max(this.bytes, end), pending)
  }

  /** How many of `bytes` bytes from `offset` on find room; sectors that are there need none. */
  fitting(offset: number, bytes: number, freeBytes: number): number {
    const { sectorBytes, hole } = this.#geometry
    let free = freeBytes
    for (let index = Math.floor(offset / sectorBytes); index * sectorBytes < offset + bytes; index++) {
      if ((this.cached[index] ?? hole) !== hole) continue
      free -= sectorBytes
      if (free < 0) return Math.max(0, index * sectorBytes - offset)
    }
    return bytes
  }

  truncate(bytes: number): void {
    if (bytes !== this.bytes) this.#change(resize(this.cached, bytes, this.#geometry), bytes, [...this.pending, { cutTo: bytes }])
  }

  #change(cached: readonly Sector[], bytes: number, pending: readonly (Patch | Cut)[]): void {
    this.cached = cached
    this.bytes = bytes
    this.pending = pending
    this.#shapes = undefined
  }

  sync(): void {
    const { sectorBytes, hole } = this.#geometry
    if (!this.pending.some((change) => !('cutTo' in change) && change.isDoubtful)) {
      this.durable = this.cached
      this.durableBytes = this.bytes
      this.#change(this.cached, this.bytes, [])
      return
    }
    let doubts: Patch[] = []
    for (const change of this.pending) {
      if ('cutTo' in change) {
        this.durable = resize(this.durable, this.durableBytes = change.cutTo, this.#geometry)
        doubts = doubts.flatMap((doubt) => clip(doubt, 0, change.cutTo - doubt.index * sectorBytes))
      } else if (change.isDoubtful) {
        doubts.push(change)
      } else {
        this.durableBytes = Math.max(this.durableBytes, change.index * sectorBytes + change.to)
        const durable = extend(this.durable, Math.max(this.durable.length, change.index + 1), hole)
        durable[change.index] = overlay(durable[change.index]!, change)
        this.durable = durable
        doubts = doubts.flatMap((doubt) => {
          return doubt.index === change.index ? [...clip(doubt, 0, change.from), ...clip(doubt, change.to, sectorBytes)] : [doubt]
        })
      }
    }
    this.#change(this.cached, this.bytes, doubts)
  }

  /** The bytes turn clean, wherever they are. A change of size is metadata, and the next sync still writes it. */
  failSync(): void {
    this.#change(this.cached, this.bytes, this.pending.map((change) => 'cutTo' in change ? change : { ...change, isDoubtful: true }))
  }

  countStates(rules: Rules, freed: Freed): number {
    const { sectorBytes } = this.#geometry
    let count = 0
    for (const { sizes, slots } of this.#shapesUnder(rules, freed)) {
      for (const size of sizes) {
        count += slots.reduce((product, { index, versions }) => index * sectorBytes < size ? product * versions.length : product, 1)
      }
    }
    return count * (this.isProtectionDurable ? 1 : 2)
  }

  /** Metadata and data are lost independently, so each gets a chooser of its own. */
  survive(chooser: () => Choose, rules: Rules, freed: Freed): Inode {
    const copy = this.clone()
    const chooseSize = chooser()
    const chooseContent = chooser()
    copy.isLinked = true
    if (!this.isProtectionDurable) copy.isProtected = chooseSize(2) === 1
    copy.isProtectionDurable = true
    if (this.pending.length === 0) {
      copy.cached = this.durable
      copy.bytes = this.durableBytes
      return copy
    }
    const { sectorBytes, hole } = this.#geometry
    const shapes = this.#shapesUnder(rules, freed)
    const shape = shapes[chooseSize(shapes.length)]!
    const size = shape.sizes[chooseSize(shape.sizes.length)]!
    const sectors = extend(shape.sectors, Math.ceil(size / sectorBytes), hole)
    for (const { index, versions } of shape.slots) if (index < sectors.length) sectors[index] = versions[chooseContent(versions.length)]!
    copy.#change(resize(sectors, size, this.#geometry), size, [])
    copy.durable = copy.cached
    copy.durableBytes = size
    return copy
  }

  #shapesUnder(rules: Rules, freed: Freed): readonly Shape[] {
    const named = `${rules.writes} ${rules.garbage}`
    if (this.#shapes?.rules !== named || this.#shapes.freed !== freed) {
      const cuts = this.pending.filter((change) => 'cutTo' in change).length
      this.#shapes = { rules: named, freed, list: survivals(cuts, 'subset').map((survives) => this.#shape(survives, rules, freed)) }
    }
    return this.#shapes.list
  }

  #shape(cutSurvives: Survives, rules: Rules, freed: Freed): Shape {
    const { sectorBytes, hole } = this.#geometry
    let sectors = this.durable
    let base = this.durableBytes
    const sizes = new Set([base])
    const patches = new Map<number, Patch[]>()
    let cuts = 0
    for (const change of this.pending) {
      if (!('cutTo' in change)) {
        const end = change.index * sectorBytes + change.to
        if (end > base) sizes.add(end) // a write may also end early, with a sector
        const earlier = patches.get(change.index)
        if (earlier === undefined) patches.set(change.index, [change])
        else earlier.push(change)
      } else if (cutSurvives(cuts++)) {
        sectors = resize(sectors, base = change.cutTo, this.#geometry)
        sizes.clear()
        sizes.add(base)
        for (const [index, list] of patches) patches.set(index, list.flatMap((patch) => clip(patch, 0, base - index * sectorBytes)))
      }
    }
    const slots = [...patches].map(([index, list]) => {
      const stale = freed.find((content) => (content[index] ?? hole) !== hole)?.[index]
      return { index, versions: versions(sectors[index] ?? hole, list, stale, rules, this.#geometry) }
    })
    return { sectors, sizes: [...sizes], slots }
  }
}

function versions(base: Sector, patches: readonly Patch[], stale: Sector | undefined, rules: Rules, geometry: Geometry): Sector[] {
  const list = [base]
  if (patches.length > 0 && rules.garbage !== 'none') {
    const { hole, noise } = geometry
    if (base === hole) list.push(noise, ...(stale === undefined ? [] : [stale]))
    else if (rules.garbage === 'written') list.push(patches.reduce((sector, patch) => overlay(sector, { ...patch, before: undefined, after: noise }), base))
  }
  for (const survives of survivals(patches.length, rules.writes).slice(1)) {
    let sector = base
    for (let index = 0; index < patches.length; index++) if (survives(index)) sector = overlay(sector, patches[index]!)
    if (!list.some((known) => known === sector || known.key === sector.key)) list.push(sector)
  }
  return list
}

function overlay(sector: Sector, { before, after, from, to }: Patch): Sector {
  if (sector === before || to - from === sector.bytes.length) return after
  const bytes = sector.bytes.slice()
  bytes.set(after.bytes.subarray(from, to), from)
  return new Sector(bytes)
}

/** What of `patch` lies between two offsets of its sector. */
function clip(patch: Patch, low: number, high: number): Patch[] {
  if (low <= patch.from && patch.to <= high) return [patch]
  const from = Math.max(low, patch.from)
  const to = Math.min(high, patch.to)
  return from < to ? [{ ...patch, from, to, before: undefined }] : []
}

/** A copy of `sectors` with `count` of them, holes at the end. */
function extend(sectors: readonly Sector[], count: number, hole: Sector): Sector[] {
  const sized = sectors.slice(0, count)
  while (sized.length < count) sized.push(hole)
  return sized
}

/** A copy of `sectors` for a file of `bytes` bytes; what the last one holds beyond them becomes zeros. */
function resize(sectors: readonly Sector[], bytes: number, { sectorBytes, hole }: Geometry): Sector[] {
  const sized = extend(sectors, Math.ceil(bytes / sectorBytes), hole)
  const rest = bytes % sectorBytes
  const last = sized.at(-1)
  if (rest > 0 && last !== undefined && last !== hole) {
    const trimmed = new Uint8Array(sectorBytes)
    trimmed.set(last.bytes.subarray(0, rest))
    if (Buffer.compare(trimmed, last.bytes) !== 0) sized[sized.length - 1] = new Sector(trimmed)
  }
  return sized
}

/** A {@link Disk} in memory, to be crashed. Single-threaded; nothing blocks. */
export class MemoryDisk implements Disk {
  /** See {@link OnOperation}. Clones and crash states begin without one. */
  onOperation: OnOperation | undefined
  readonly #geometry: Geometry
  readonly #operations: Operation[] = []
  readonly #directories = new Map<string, Directory>([['/', NO_NAMES]])
  readonly #inodes = new Map<number, Inode>()
  #nextInode = 1
  #freed: Freed = []
  #powerCut: PowerCut | undefined

  constructor(options: MemoryDiskOptions = {}) {
    this.#geometry = geometryOf(options)
  }

  /** Every mutating operation so far, failed ones included. */
  get operations(): readonly Operation[] { return this.#operations }

  makeDirectory(path: string): void {
    this.#requirePower()
    if (this.#directories.has(path)) return
    if (this.#find(path) !== undefined) throw systemError('ENOTDIR', 'mkdir', path)
    this.makeDirectory(dirname(path))
    this.#begin({ kind: 'makeDirectory', path })
    this.#directories.set(path, NO_NAMES)
  }

  list(path: string): string[] {
    this.#requirePower()
    const { cached } = this.#directory(path, 'scandir')
    const directories = [...this.#directories.keys()].filter((other) => other !== path && dirname(other) === path)
    return [...cached.keys(), ...directories].map((other) => basename(other))
  }

  create(path: string): DiskFile {
    this.#requirePower()
    this.#directory(dirname(path), 'open')
    if (this.#directories.has(path) || this.#find(path) !== undefined) throw systemError('EEXIST', 'open', path)
    this.#begin({ kind: 'create', path })
    const inode = this.#nextInode++
    this.#inodes.set(inode, new Inode(this.#geometry))
    this.#move(dirname(path), { inode, to: path })
    return this.#file(path, this.#inodes.get(inode)!, true)
  }

  open(path: string, access: 'read' | 'write'): DiskFile {
    this.#requirePower()
    if (this.#directories.has(path)) throw systemError(access === 'write' ? 'EISDIR' : 'EINVAL', 'open', path)
    const inode = this.#inodes.get(this.#require(path, 'open'))!
    // As the real disk has it: what is not opened for reading is opened for writing too.
    if (access !== 'read' && inode.isProtected && this.#geometry.enforceProtection) throw systemError('EACCES', 'open', path)
    return this.#file(path, inode, access === 'write')
  }

  rename(from: string, to: string): void {
    this.#requirePower()
    for (const path of [from, to]) if (this.#directories.has(path)) throw systemError('EISDIR', 'rename', path)
    for (const path of [from, to]) this.#directory(dirname(path), 'rename')
    const inode = this.#require(from, 'rename')
    this.#begin({ kind: 'rename', path: from, to })
    if (inode === this.#find(to)) return
    this.#unlink(to)
    if (dirname(from) === dirname(to)) return this.#move(dirname(from), { inode, from, to })
    const arrival: Move = { inode, to, isArrival: true }
    this.#move(dirname(to), arrival)
    this.#move(dirname(from), depart(arrival, from))
  }

  unprotect(path: string): void {
    this.#begin({ kind: 'protect', path })
    this.#inodes.get(this.#require(path, 'chmod'))!.isProtected = false
  }

  space(): { freeBytes: number; totalBytes: number } {
    return { freeBytes: this.#freeBytes(), totalBytes: this.#geometry.capacityBytes }
  }

  remove(path: string): void {
    this.#requirePower()
    if (this.#directories.has(path)) throw systemError('EISDIR', 'unlink', path)
    const inode = this.#require(path, 'unlink')
    this.#begin({ kind: 'remove', path })
    this.#unlink(path)
    this.#move(dirname(path), { inode, from: path })
  }

  syncDirectory(path: string): void {
    this.#requirePower()
    const { durable, cached, moves } = this.#directory(path, 'open')
    this.#begin({ kind: 'syncDirectory', path })
    settleArrivals(this.#directories, moves)
    this.#directories.set(path, { durable: cached, cached, moves: [] })
    for (const number of [...durable.values(), ...moves.map((change) => change.inode)]) {
      const inode = this.#inodes.get(number)
      const isNamed = [...this.#directories.values()].some((directory) => isAbout(directory, number))
      if (inode?.isLinked === false && inode.openFiles === 0 && !isNamed) this.#inodes.delete(number)
    }
  }

  /** The same disk once more, page cache included, nothing open: what a process finds after another one died. */
  clone(): MemoryDisk {
    const copy = this.#blank()
    for (const [path, directory] of this.#directories) copy.#directories.set(path, directory)
    for (const [number, inode] of this.#inodes) copy.#inodes.set(number, inode.clone())
    return copy
  }

  /** One disk that may be found after the power was cut now, drawn from all of them. This one stays as it is. */
  crash(random: Random, options: CrashOptions = {}): MemoryDisk {
    return this.#survive(() => biasedChoice(random), rulesOf(options))
  }

  /** The disks that may be found after the power was cut now, each once: all if they are few, else a draw. */
  *crashStates(options: CrashStatesOptions = {}): Generator<MemoryDisk, void> {
    const rules = rulesOf(options)
    const { maxStates = 1000, seed = 1 } = options
    const seen = new Set<number>()
    this.fingerprint() // what no crash changes is hashed here, once for all states
    const turns = this.#countStates(rules) <= maxStates ? odometer() : undefined
    const random = seededRandom(seed)
    for (let drawn = 0, isMore = true; isMore; ) {
      const state = this.#survive(() => turns?.choose ?? biasedChoice(random), rules)
      const fingerprint = state.fingerprint()
      if (!seen.has(fingerprint)) yield state
      seen.add(fingerprint)
      isMore = turns?.advance() ?? (seen.size < maxStates && ++drawn < DRAWS_PER_STATE * maxStates)
    }
  }

  /** 53 bits that stand for what can be read: directories, names, sizes, content (and who may write, where that matters). */
  fingerprint(): number {
    let [low, high] = [0, 0]
    for (const [path, { cached }] of this.#directories) {
      // Sums, since nothing is said of the order of names.
      const directory = keyOfName(path)
      low = (low + directory) | 0
      high = (high + directory / 0x1_0000_0000) | 0
      for (const [name, number] of cached) {
        const inode = this.#inodes.get(number)!
        const [file, { key }] = [keyOfName(name), inode]
        const isGuarded = inode.isProtected && this.#geometry.enforceProtection
        const sum = hash([file, file / 0x1_0000_0000, inode.bytes, key, key / 0x1_0000_0000, isGuarded ? 1 : 0])
        low = (low + sum) | 0
        high = (high + sum / 0x1_0000_0000) | 0
      }
    }
    return (high & 0x1f_ffff) * 0x1_0000_0000 + (low >>> 0)
  }

  #blank(): MemoryDisk {
    const disk = new MemoryDisk(this.#geometry)
    disk.#nextInode = this.#nextInode
    disk.#freed = this.#freed
    return disk
  }

  #survive(chooser: () => Choose, rules: Rules): MemoryDisk {
    const disk = this.#blank()
    const chosen = [...this.#directories].map(([path, directory]) => {
      const possible = namings(directory, rules.names)
      return { path, directory, ...possible[chooser()(possible.length)]! }
    })
    const lost = new Set(chosen.flatMap(({ directory, survived }) => directory.moves.filter((each) => !survived.includes(each))))
    for (const { path, names: those, survived } of chosen) {
      const names = new Map(those)
      // A file is under its old name or the new one, or both, but never gone.
      for (const { inode, from, arrival } of survived) if (arrival !== undefined && lost.has(arrival)) names.set(from!, inode)
      disk.#directories.set(path, { durable: names, cached: names, moves: [] })
      for (const number of names.values()) disk.#inodes.set(number, this.#inodes.get(number)!.survive(chooser, rules, this.#freed))
    }
    return disk
  }

  #countStates(rules: Rules): number {
    let count = 1
    for (const directory of this.#directories.values()) {
      let here = 0
      for (const { names } of namings(directory, rules.names)) {
        here += [...names.values()].reduce((product, number) => product * this.#inodes.get(number)!.countStates(rules, this.#freed), 1)
      }
      count *= here
    }
    return count
  }

  #file(path: string, inode: Inode, isWritable: boolean): DiskFile {
    inode.openFiles++
    return new MemoryDisk.#File(this, path, inode, isWritable)
  }

  /** In here, since a file does to its disk what nobody else may; a class, since so many are opened. */
  static readonly #File = class implements DiskFile {
    readonly path: string
    readonly #disk: MemoryDisk
    readonly #inode: Inode
    readonly #isWritable: boolean
    #isOpen = true

    constructor(disk: MemoryDisk, path: string, inode: Inode, isWritable: boolean) {
      this.#disk = disk
      this.path = path
      this.#inode = inode
      this.#isWritable = isWritable
    }

    #requireOpen(syscall: string, unlessWritable?: string): void {
      this.#disk.#requirePower()
      if (!this.#isOpen) throw systemError('EBADF', syscall, this.path)
      if (unlessWritable !== undefined && !this.#isWritable) throw systemError(unlessWritable, syscall, this.path)
    }

    read(buffer: Uint8Array, offset: number): number {
      this.#requireOpen('read')
      if (offset < 0) throw new RangeError(`a read at byte ${offset} of ${this.path}`)
      return this.#inode.read(buffer, offset)
    }

    size(): number {
      this.#requireOpen('fstat')
      return this.#inode.bytes
    }

    write(buffers: readonly Uint8Array[], offset: number): void {
      const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
      if (bytes === 0) return
      this.#requireOpen('write', 'EBADF')
      this.#disk.#begin({ kind: 'write', path: this.path, offset, bytes }, (writtenBytes) => this.#inode.write(buffers, offset, Math.min(bytes, writtenBytes)))
      const fitting = this.#inode.fitting(offset, bytes, this.#disk.#freeBytes())
      this.#inode.write(buffers, offset, fitting)
      if (fitting < bytes) throw systemError('ENOSPC', 'write', this.path)
    }

    sync(): void {
      this.#requireOpen('fdatasync')
      this.#disk.#begin({ kind: 'sync', path: this.path }, () => this.#inode.failSync())
      this.#inode.sync()
    }

    async readAsync(buffer: Uint8Array, offset: number): Promise<number> { return this.read(buffer, offset) }

    async writeAsync({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView, offset: number): Promise<void> {
      this.write([new Uint8Array(buffer, byteOffset, byteLength)], offset)
    }

    async syncAsync(): Promise<void> { this.sync() }

    truncate(bytes: number): void {
      this.#requireOpen('ftruncate', 'EINVAL')
      this.#disk.#begin({ kind: 'truncate', path: this.path, bytes })
      if (bytes < this.#inode.bytes) this.#disk.#free(this.#inode.cached)
      this.#inode.truncate(bytes)
    }

    protect(): void {
      this.#requireOpen('fchmod')
      this.#disk.#begin({ kind: 'protect', path: this.path })
      if (this.#disk.#geometry.enforceProtection && !this.#inode.isProtected) this.#inode.isProtectionDurable = false
      this.#inode.isProtected = true
    }

    close(): void {
      this.#requireOpen('close')
      this.#isOpen = false
      this.#inode.openFiles--
    }
  }

  /** Lets the hook have its say; `onFault` is what its throw still does to the file. */
  #begin(operation: Operation, onFault?: (writtenBytes: number) => void): void {
    this.#operations.push(operation)
    try {
      this.onOperation?.(operation, this.#operations.length - 1)
    } catch (error) {
      if (error instanceof PowerCut) this.#powerCut = error
      onFault?.((error as PowerCut).writtenBytes ?? 0)
      throw error
    }
  }

  #requirePower(): void {
    if (this.#powerCut !== undefined) throw this.#powerCut
  }

  #directory(path: string, syscall: string): Directory {
    const directory = this.#directories.get(path)
    if (directory !== undefined) return directory
    let nearest = path
    while (this.#find(nearest) === undefined && !this.#directories.has(nearest)) nearest = dirname(nearest)
    throw systemError(this.#find(nearest) === undefined ? 'ENOENT' : 'ENOTDIR', syscall, path)
  }

  #find(path: string): number | undefined {
    return this.#directories.get(dirname(path))?.cached.get(path)
  }

  #require(path: string, syscall: string): number {
    const inode = this.#directory(dirname(path), syscall).cached.get(path)
    if (inode === undefined) throw systemError('ENOENT', syscall, path)
    return inode
  }

  #move(path: string, change: Move): void {
    const { durable, cached, moves } = this.#directories.get(path)!
    const names = new Map(cached)
    move(names, change)
    this.#directories.set(path, { durable, cached: names, moves: [...moves, change] })
  }

  /** The name is about to go. */
  #unlink(path: string): void {
    const number = this.#find(path)
    if (number === undefined) return
    const names = [...this.#directories.values()].flatMap(({ cached }) => [...cached.values()])
    if (names.filter((other) => other === number).length > 1) return
    const inode = this.#inodes.get(number)!
    inode.isLinked = false
    this.#free(inode.cached)
  }

  #free(sectors: readonly Sector[]): void {
    this.#freed = [sectors, ...this.#freed].slice(0, MAX_FREED)
  }

  #freeBytes(): number {
    const { capacityBytes, sectorBytes, hole } = this.#geometry
    if (capacityBytes === Infinity) return Infinity
    let used = 0
    for (const inode of this.#inodes.values()) {
      if (inode.isLinked || inode.openFiles > 0) used += inode.cached.filter((sector) => sector !== hole).length
    }
    return Math.max(0, capacityBytes - used * sectorBytes)
  }
}

const commonSectors = new Map<number, { readonly hole: Sector; readonly noise: Sector }>()

function geometryOf({ sectorBytes = 512, capacityBytes = Infinity, enforceProtection = false }: MemoryDiskOptions): Geometry {
  let common = commonSectors.get(sectorBytes)
  if (common === undefined) {
    const random = seededRandom(sectorBytes)
    common = { hole: new Sector(new Uint8Array(sectorBytes)), noise: new Sector(Uint8Array.from({ length: sectorBytes }, () => random() * 256)) }
    commonSectors.set(sectorBytes, common)
  }
  return Object.freeze({ sectorBytes, capacityBytes, enforceProtection, ...common })
}

function rulesOf({ names = 'any', writes = 'subset', garbage = 'fresh' }: CrashOptions): Rules {
  return { names, writes, garbage }
}
