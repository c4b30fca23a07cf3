/**
 * Every bit flip, every length that a file may be cut to, every sector zeroed or garbled, bytes too many, in every file of a log: closed, or killed in four ways;
 * every file gone, and one too many.
 * No case is accepted in silence, and none loses what is provably acknowledged.
 *
 * Each case runs recovery's own facts, verdicts and repair, and the reader. The facts of a file are a function of that file alone, and a verdict
 * one of all facts: so those of the files that are as they were are taken once, and a sealed file that is the same in several logs
 * is read once. Now and then a case runs `recover` from nothing, and must come out the same. In the end some cases of each kind go through
 * `openLog`, `readLog`, `verifyLog` and the command `ringwal verify` on a real disk.
 */

import { basename, join } from 'node:path'
import type { Cursor } from '../../dist/src/format/trailer-layout.js'
import type { RecoveryCut } from '../../dist/src/recovery/recover.js'
import type { SegmentFacts } from '../../dist/src/recovery/facts.js'
import type { MemoryDisk } from '../model/memory-disk.js'
import { below, seededRandom, type Random } from '../model/random.js'
import { loadCode, type Code } from './code-of-build.js'
import { expectedOf, type Expected } from './corruption-oracle.js'
import { checkOnDisk, type DiskCase } from './corruption-on-disk.js'
import { changed, changeOf, changesOf, makeGarbage, type FileChange, type Garbage } from './file-changes.js'
import type { Fault, ProveOptions, ProveResult } from './harness.js'
import { DIRECTORY, diskOf, knownLogs, type KnownLog, type KnownSegment } from './known-log.js'
import { comparedWith, readBack, type Reading } from './read-back.js'

const QUICK = { segments: 5, segmentBytes: 13_000 }
const LONG = { segments: 9, segmentBytes: 30_000 }
/** One case of so many is recovered from nothing, too. */
const FROM_NOTHING = 97
/**
 * A change to a sealed segment that others follow is judged in the closed log each time, in the other logs each so many times: they differ in
 * their last segment, whose first sequence, previous UUID and cursors are the same.
 */
const IN_OTHER_LOGS = 37
/** The bytes of a frame before its data. */
const FRAME_HEAD_BYTES = 24
/** The bytes of a frame behind its data. */
const CHECKSUM_BYTES = 4
/** Of each kind of outcome in each log, so many cases go through the public calls. */
const SAMPLED = { quick: 4, long: 40 }
const MAX_FAULTS = 200
/** Where one fault is enough, one change of so many is tried before all are. */
const STRIDE = 61

/** What opening made of a case. */
export type Outcome =
  | { readonly kind: 'refused'; readonly file: string; readonly offset: number; readonly first: number; readonly last: number }
  | { readonly kind: 'opened'; readonly last: number; readonly cursors: readonly Cursor[]; readonly cuts: readonly RecoveryCut[] }

/** See the contract of a harness. */
export async function run(options: ProveOptions): Promise<ProveResult> {
  const code = await loadCode(options.build)
  const corruption = new Corruption(code, options)
  if (options.caseName === undefined) await corruption.tryAll()
  else await corruption.tryOne(options.caseName)
  return corruption.result()
}

class Corruption {
  readonly #code: Code
  readonly #options: ProveOptions
  readonly #random: Random
  readonly #logs: readonly KnownLog[]
  readonly #disks = new Map<KnownLog, MemoryDisk>()
  readonly #facts = new Map<KnownLog, readonly SegmentFacts[]>()
  readonly #faults: Fault[] = []
  readonly #counts = new Map<string, Map<string, number>>()
  readonly #samples = new Map<string, { seen: number; readonly kept: DiskCase[] }>()
  #sampled: number = SAMPLED.quick
  #cases = 0
  #faultCount = 0

  constructor(code: Code, options: ProveOptions) {
    this.#code = code
    this.#options = options
    this.#random = seededRandom(options.seed)
    this.#logs = knownLogs(code, options.seed, options.long ? LONG : QUICK)
    for (const log of this.#logs) {
      const disk = diskOf(log.segments)
      this.#disks.set(log, disk)
      this.#facts.set(log, code.gatherFacts(disk, DIRECTORY).sort((a, b) => (a.name.name < b.name.name ? -1 : 1)))
    }
  }

  async tryAll(): Promise<void> {
    const bytes = this.#logs[0]!.segments.reduce((sum, segment) => sum + segment.bytes.length, 0)
    this.#options.say(`${this.#logs.length} logs of about ${bytes} bytes, ${this.#logs[0]!.last} entries in ${this.#logs[0]!.segments.length} segments`)
    for (const stride of this.#options.stopAtFirst ? [STRIDE, 1] : [1]) {
      this.#sampled = stride > 1 ? 1 : this.#options.long ? SAMPLED.long : SAMPLED.quick
      for (const log of this.#logs) this.#tryFiles(log)
      await this.#tryEach(stride)
      this.#report()
      // What is found already needs no second witness.
      if (this.#faultCount > 0) return
      await this.#tryOnDisk([...this.#samples.values()].flatMap(({ kept }) => kept))
      if (this.#faultCount > 0) return
    }
  }

  /** Each file gone, and one that says the same sequences are its own: case log/index of the segment/gone, and log/last/twice. */
  #tryFiles(log: KnownLog): void {
    const { segments, rival } = log
    for (const [index, { first, last }] of segments.entries()) {
      const next = segments[index + 1]
      // That the oldest are gone is what checkpoints do; that the newest is, nothing tells.
      const expected = index === 0 ? { last: log.last } : next === undefined ? { last: first - 1 } : { file: next.name, first, last: lastNamed(first, last) }
      this.#tryFile(`${log.name}/${index}/gone`, segments.filter((_, at) => at !== index), expected)
    }
    this.#tryFile(`${log.name}/${segments.length - 1}/twice`, [...segments, rival], { file: rival.name, first: rival.first, last: log.last })
  }

  #tryFile(caseName: string, files: readonly KnownSegment[], expected: { readonly file?: string; readonly first?: number; readonly last: number }): void {
    this.#cases++
    const outcome = this.#recover(diskOf(files))
    const { last } = outcome
    const found = outcome.kind === 'opened' ? { last } : { file: basename(outcome.file), first: outcome.first, last }
    if (JSON.stringify(found) !== JSON.stringify(expected)) this.#note({ caseName, what: `it should be ${JSON.stringify(expected)}, it is ${JSON.stringify(found)}` })
  }

  /** One change of so many, of every file. */
  async #tryEach(stride: number): Promise<void> {
    const segments = new Map<KnownSegment, number>(this.#logs.flatMap((log) => log.segments.map((segment, index) => [segment, index] as const)))
    // The tails first: most is decided there.
    for (const [segment, index] of [...segments].reverse()) {
      const logs = this.#logs.filter((log) => log.segments[index] === segment)
      let number = 0
      // What is found by then is enough to begin with.
      if (this.#faultCount >= MAX_FAULTS) return
      for (const change of changesOf(segment.bytes, this.#garbage(segment), this.#flipsOf(segment))) {
        if (number++ % stride > 0) continue
        await this.#try(segment, index, change, number % IN_OTHER_LOGS === 0 ? logs : logs.slice(0, 1))
        if (this.#options.stopAtFirst && this.#faultCount > 0) return
      }
    }
  }

  /** One case by its name: log/index of the segment/change. */
  async tryOne(name: string): Promise<void> {
    const [logName, index, changeName] = name.split('/')
    const log = this.#logs.find((each) => each.name === logName)
    const segment = log?.segments[Number(index)]
    if (log === undefined || segment === undefined || changeName === undefined) throw new Error(`no such case: ${name}`)
    if (changeName === 'gone' || changeName === 'twice') this.#tryFiles(log)
    else await this.#try(segment, Number(index), changeOf(segment.bytes, this.#garbage(segment), changeName), [log])
    this.#report()
    await this.#tryOnDisk([...this.#samples.values()].flatMap(({ kept }) => kept))
  }

  result(): ProveResult {
    return { cases: this.#cases, faults: this.#faults }
  }

  /** All; in the quick size one of each byte of an entry's data and of what is allocated ahead, where only a checksum can tell, or nothing. */
  #flipsOf({ bytes, pieces }: KnownSegment): (bit: number) => boolean {
    const isPlain = new Uint8Array(bytes.length).fill(1)
    for (const { kind, offset, end } of pieces) {
      if (kind === 'entry') isPlain.fill(0, offset, offset + FRAME_HEAD_BYTES).fill(0, end - CHECKSUM_BYTES, end)
      else isPlain.fill(0, offset, end)
    }
    return (bit) => this.#options.long || isPlain[bit >> 3] === 0 || isOneOfByte(bit)
  }

  #garbage(segment: KnownSegment): Garbage {
    return makeGarbage(seededRandom(this.#options.seed), segment.bytes)
  }

  async #tryOnDisk(cases: readonly DiskCase[]): Promise<void> {
    const sums = await checkOnDisk(this.#code, this.#options, cases, (fault) => this.#note(fault))
    this.#cases += cases.length
    this.#options.say(`through openLog, readLog, verifyLog and the command verify: ${sums}`)
  }

  async #try(segment: KnownSegment, index: number, change: FileChange, logs: readonly KnownLog[]): Promise<void> {
    const bytes = changed(segment.bytes, change)
    if (bytes.equals(segment.bytes)) return this.#count(logs, 'unchanged: zeros over zeros')
    const disk = this.#changedDisk(logs[0]!, segment, change)
    const facts = this.#code.readFacts(disk, DIRECTORY, this.#code.parseSegmentName(segment.name)!)
    let reading: Reading | undefined
    for (const log of logs) {
      this.#cases++
      const caseName = `${log.name}/${index}/${change.name}`
      const expected = expectedOf(log, index, bytes)
      try {
        const [outcome, after] = this.#open(log, index, change, facts)
        let what = compare(log, segment, expected, outcome)
        if (what === undefined && outcome.kind === 'opened' && expected.kind === 'opened') {
          const upTo = Math.min(segment.last, expected.last)
          const isKept = after === undefined
          // A sealed segment is read alike in every log that has it.
          const read = (isKept ? reading : undefined) ?? await readBack(this.#code, after ?? disk, DIRECTORY, segment.first, upTo)
          if (isKept) reading = read
          what = comparedWith(log, { from: segment.first, to: upTo, damaged: expected.damaged, file: segment.name }, read)
          if (isKept && isVerified(change)) what ??= this.#verified(disk, facts, expected)
        }
        if (what !== undefined) this.#note({ caseName, what })
        this.#count([log], expected.kind === 'refused' ? 'refused at opening' : expected.how)
        this.#sample({ log, index, bytes, caseName, expected })
      } catch (error) {
        this.#note({ caseName, what: `an error that nobody expects: ${(error as Error).stack ?? String(error)}` })
      }
    }
  }

  #changedDisk(log: KnownLog, segment: KnownSegment, { offset, bytes }: FileChange): MemoryDisk {
    const disk = this.#disks.get(log)!.clone()
    const file = disk.open(join(DIRECTORY, segment.name), 'write')
    if (bytes === undefined) file.truncate(offset)
    else file.write([bytes], offset)
    file.close()
    return disk
  }

  /** What opening makes of it, and the disk after that, if opening had anything to do. */
  #open(log: KnownLog, index: number, change: FileChange, changedFacts: SegmentFacts): [Outcome, MemoryDisk | undefined] {
    const facts = this.#facts.get(log)!.map((each, at) => (at === index ? changedFacts : each))
    const judgement = this.#code.judge(facts)
    const [damage] = judgement.damages
    const outcome: Outcome = damage === undefined
      ? { kind: 'opened', last: judgement.lastSequence, cursors: judgement.cursors, cuts: [] }
      : { kind: 'refused', file: damage.file, offset: damage.offset, first: damage.firstSequence, last: damage.lastSequence }
    const isTail = index === log.segments.length - 1 || typeof changedFacts.header === 'string'
    const needsWork = damage === undefined && judgement.verdicts.some((verdict) => verdict.kind !== 'keep')
    // An open tail that is not the changed file is sealed in the same way each time.
    if (!(needsWork && isTail) && below(this.#random, FROM_NOTHING) > 0) return [outcome, undefined]
    const own = this.#changedDisk(log, log.segments[index]!, change)
    const recovered = this.#recover(own)
    const isSame = recovered.kind === outcome.kind && JSON.stringify({ ...recovered, cuts: [] }) === JSON.stringify({ ...outcome, cuts: [] })
    if (!isSame) throw new Error(`recover says ${JSON.stringify(recovered)}, the verdicts ${JSON.stringify(outcome)}`)
    return [needsWork && isTail ? recovered : outcome, needsWork && isTail ? own : undefined]
  }

  #recover(disk: MemoryDisk): Outcome {
    try {
      const { nextSequence, cursors, report } = this.#code.recover(disk, DIRECTORY)
      return { kind: 'opened', last: nextSequence - 1, cursors, cuts: report.cuts }
    } catch (error) {
      if (!(error instanceof this.#code.WalError) || error.code !== 'ERR_WAL_CORRUPT') throw error
      return { kind: 'refused', file: error.file!, offset: error.offset!, first: error.firstSequence!, last: error.lastSequence! }
    }
  }

  /** Whether `verify` tells of damage that opening leaves as it is, with all sequences that it costs. */
  #verified(disk: MemoryDisk, facts: SegmentFacts, { damaged }: { readonly damaged: readonly { readonly kind: string; readonly first: number; readonly last: number }[] }): string | undefined {
    if (damaged.length === 0) return undefined
    const findings = this.#code.findDamage(disk, facts)
    if (findings.length === 0) return 'verify finds nothing'
    const lost = damaged.filter(({ kind }) => kind !== 'trailer')
    const missed = lost.find(({ first, last }) => !findings.some((found) => found.firstSequence! <= first && found.lastSequence! >= last))
    return missed === undefined ? undefined : `verify does not tell of sequence ${missed.first}`
  }

  #note(fault: Fault): void {
    this.#faultCount++
    if (this.#faults.length < MAX_FAULTS) this.#faults.push(fault)
  }

  #count(logs: readonly KnownLog[], what: string): void {
    for (const { name } of logs) {
      const counts = this.#counts.get(what) ?? new Map<string, number>()
      this.#counts.set(what, counts)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
  }

  /** Keeps a few cases of each kind, drawn from all of them. */
  #sample(diskCase: DiskCase): void {
    const { log, expected } = diskCase
    const kind = `${log.name} ${expected.kind === 'refused' ? 'refused' : expected.how}`
    const sample = this.#samples.get(kind) ?? { seen: 0, kept: [] }
    this.#samples.set(kind, sample)
    const place = below(this.#random, ++sample.seen)
    if (sample.kept.length < this.#sampled) sample.kept.push(diskCase)
    else if (place < this.#sampled) sample.kept[place] = diskCase
  }

  #report(): void {
    for (const [what, counts] of [...this.#counts].sort()) {
      const each = [...counts].map(([name, count]) => `${name} ${count}`).join(', ')
      this.#options.say(`${what}: ${[...counts.values()].reduce((sum, count) => sum + count, 0)} (${each})`)
    }
    if (this.#faultCount > this.#faults.length) this.#options.say(`${this.#faultCount} faults, of which ${this.#faults.length} are told`)
  }
}

/** Of a segment without entries the sequence that would be its first may be named. */
function lastNamed(first: number, last: number): number {
  return Math.max(first, last)
}

/** What is wrong with how a case was opened. */
function compare(log: KnownLog, segment: KnownSegment, expected: Expected, outcome: Outcome): string | undefined {
  if (expected.kind !== outcome.kind) return `it should be ${JSON.stringify({ ...expected, damaged: undefined })}, it is ${JSON.stringify(outcome)}`
  if (expected.kind === 'refused' && outcome.kind === 'refused') {
    const { first, last, offset, file } = outcome
    if (file !== join(DIRECTORY, segment.name)) return `it names ${file}, damaged is ${segment.name}`
    if (first !== expected.first || lastNamed(first, last) !== lastNamed(first, expected.last)) return `it names entries ${first} to ${last}, it should be ${expected.first} to ${expected.last}`
    return expected.offsets.includes(offset) ? undefined : `it names byte ${offset}, it should be ${expected.offsets.join(' or ')}`
  }
  if (expected.kind !== 'opened' || outcome.kind !== 'opened') return undefined
  if (outcome.last !== expected.last) return `the log ends with ${outcome.last}, it should end with ${expected.last}`
  if (!isSameCursors(outcome.cursors, expected.cursors)) return `the cursors are ${JSON.stringify(outcome.cursors)}, they should be ${JSON.stringify(expected.cursors)}`
  const cuts = outcome.cuts.filter(({ file }) => file === join(DIRECTORY, segment.name))
  if (cuts.length !== (expected.cutAt === undefined ? 0 : 1)) return `cuts are told: ${JSON.stringify(outcome.cuts)}; it should be at ${expected.cutAt}`
  const [cut] = cuts
  if (cut === undefined) return undefined
  if (cut.offset !== expected.cutAt) return `it is cut at ${cut.offset}, it should be at ${expected.cutAt}`
  const isSaid = expected.mayHaveBeen === undefined || cut.mayHaveBeenAcknowledged === expected.mayHaveBeen
  return isSaid ? undefined : `mayHaveBeenAcknowledged is ${cut.mayHaveBeenAcknowledged} of a cut in ${log.name}: ${cut.reason}`
}

/** One bit of each byte, another one from byte to byte. */
function isOneOfByte(bit: number): boolean {
  return (bit & 7) === ((bit >> 3) & 7)
}

/** `verify` reads a whole segment anew: after one flip of each byte, and after every other change. */
function isVerified({ name }: FileChange): boolean {
  const [kind, bit] = name.split(':')
  return kind !== 'flip' || isOneOfByte(Number(bit))
}

function isSameCursors(a: readonly Cursor[], b: readonly Cursor[]): boolean {
  const text = (cursors: readonly Cursor[]): string => cursors.map(({ name, sequence, epoch }) => `${name} ${sequence}/${epoch}`).sort().join()
  return text(a) === text(b)
}
