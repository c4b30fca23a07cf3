/**
 * Changed logs on a real disk, by the calls and the command that a user has. They must agree with each other, and with what is known of the case:
 *
 * 1. `openLog` refuses iff the case says so, and with the same file and sequences.
 * 2. `verifyLog` and `ringwal verify` say the same, to the last field; exit status 2 iff opening refuses or something inside a sealed segment is
 *    damaged, which opening does not read; else 1 iff opening cuts what was begun, removes a file or writes a header anew; else 0.
 * 3. `readLog` beside it, before anybody opens it, gives no other entry than was written, and ends without an error only where opening goes on.
 * 4. What is opened is closed again, and then reads as it must; `verify` finds nothing any more, but the damage inside.
 * 5. What is refused is opened by `onCorrupt: 'salvage'`: every proved entry that is sound is there, the others are listed; a copy of the file as it
 *    was is kept; the next open finds nothing to do, and no sequence comes again.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Log, VerifyReport } from '../../dist/src/index.js'
import type { Code } from './code-of-build.js'
import type { Expected } from './corruption-oracle.js'
import type { Fault, ProveOptions } from './harness.js'
import type { KnownLog } from './known-log.js'
import { comparedWith, readPastDamage, type Reading } from './read-back.js'

const AT_ONCE = 3
const RING_BYTES = 64 * 1024
const STATUSES = { sound: 0, torn: 1, corrupt: 2 } as const

/** One case. */
export interface DiskCase {
  readonly log: KnownLog
  readonly index: number
  /** What is in the segment's file. */
  readonly bytes: Buffer
  readonly caseName: string
  readonly expected: Expected
}

/** Tries all cases; returns a sum for people. */
export async function checkOnDisk(code: Code, options: ProveOptions, cases: readonly DiskCase[], note: (fault: Fault) => void): Promise<string> {
  const waiting = [...cases]
  const counts = { sound: 0, torn: 0, corrupt: 0, salvaged: 0 }
  const work = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const trial = new DiskTrial(code, options, next)
      const what = await trial.run().catch((error: unknown) => `an error that nobody expects: ${(error as Error).stack ?? String(error)}`)
      if (what !== undefined) note({ caseName: next.caseName, what: `${what} (in ${trial.directory})` })
      else rmSync(trial.directory, { recursive: true })
      if (trial.status !== undefined) counts[trial.status]++
      if (next.expected.kind === 'refused') counts.salvaged++
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return `${cases.length} cases, ${counts.sound} sound, ${counts.torn} torn, ${counts.corrupt} corrupt, ${counts.salvaged} salvaged`
}

class DiskTrial {
  readonly directory: string
  readonly #code: Code
  readonly #build: string
  readonly #case: DiskCase
  status: VerifyReport['status'] | undefined

  constructor(code: Code, { build, directory }: ProveOptions, diskCase: DiskCase) {
    this.#code = code
    this.#build = build
    this.#case = diskCase
    this.directory = join(directory, diskCase.caseName.replaceAll(/[^a-z0-9]/g, '-'))
  }

  /** What is wrong; undefined: nothing. */
  async run(): Promise<string | undefined> {
    this.#write()
    const before = this.#image()
    const found = await this.#verify() ?? await this.#read()
    if (found !== undefined) return found
    if (this.#image() !== before) return 'verifying or reading changes something'
    return this.#case.expected.kind === 'refused' ? await this.#openRefused(before) : await this.#openAndClose()
  }

  #write(): void {
    const { log, index, bytes } = this.#case
    rmSync(this.directory, { recursive: true, force: true })
    mkdirSync(this.directory, { recursive: true })
    for (const [at, segment] of log.segments.entries()) writeFileSync(join(this.directory, segment.name), at === index ? bytes : segment.bytes)
  }

  #image(): string {
    return readdirSync(this.directory).filter((name) => name.endsWith('.wal')).map((name) => `${name} ${readFileSync(join(this.directory, name), 'base64')}`).sort().join('\n')
  }

  async #verify(): Promise<string | undefined> {
    const { expected } = this.#case
    const child = spawn(process.execPath, [join(this.#build, 'src/cli/main.js'), 'verify', '--json', this.directory], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    const [[exitStatus], report] = await Promise.all([once(child, 'close') as Promise<[number | null]>, this.#code.verifyLog(this.directory)])
    this.status = report.status
    if (plain(JSON.parse(output) as VerifyReport) !== plain(report)) return `the command says ${output}, verifyLog ${JSON.stringify(report)}`
    if (exitStatus !== STATUSES[report.status]) return `the command ends with ${exitStatus}, found is ${report.status}`
    if (report.isLive) return 'verify takes a log for live that nobody writes'
    if (expected.kind === 'refused' || expected.damaged.length > 0) return report.status === 'corrupt' ? undefined : `verify says ${report.status}, it is corrupt`
    const isTorn = this.#isTorn()
    const isRight = isTorn === undefined ? report.status !== 'corrupt' : report.status === (isTorn ? 'torn' : 'sound')
    return isRight ? undefined : `verify says ${report.status}, torn should be ${isTorn}`
  }

  /** Whether opening has more to do than to seal the tail; undefined where nothing is left that tells. */
  #isTorn(): boolean | undefined {
    const { log, index, bytes, expected } = this.#case
    if (expected.kind === 'refused') return false
    if (expected.how === 'header written again' || expected.cutAt === 0) return true
    if (expected.cutAt === undefined || expected.mayHaveBeen === false) return false
    if (log.segments[index]!.isRecycled && expected.mayHaveBeen === undefined) return undefined
    return bytes.subarray(expected.cutAt).some((byte) => byte !== 0)
  }

  async #read(): Promise<string | undefined> {
    const { log, index, bytes, expected } = this.#case
    const isHeaderIntact = log.segments[index]!.bytes.subarray(0, 128).equals(bytes.subarray(0, 128))
    const damages: unknown[] = []
    let last = 0
    try {
      for await (const { sequence, ticks, data } of this.#code.readLog(this.directory)) {
        const known = log.entries[sequence - 1]
        if (known === undefined || sequence <= last || known.ticks !== ticks || !known.data.equals(data)) return `readLog gives sequence ${sequence}, which is another one`
        // A segment whose header cannot be read is no segment to a reader: as if it had been removed.
        if (isHeaderIntact && log.entries.slice(last, sequence - 1).some((each) => each !== undefined)) return `readLog passes over entries between ${last} and ${sequence}`
        last = sequence
      }
    } catch (error) {
      const { code } = error as { code?: string }
      if (code !== 'ERR_WAL_CORRUPT' && (isHeaderIntact || code !== 'ERR_WAL_TRIMMED')) throw error
      damages.push(error)
    }
    const isDamaged = !isHeaderIntact || expected.kind === 'refused' || expected.how === 'reported by the reader'
    if (damages.length > 0 && !isDamaged) return `readLog tells of damage: ${String(damages[0])}`
    return undefined
  }

  async #open(onCorrupt: 'refuse' | 'salvage'): Promise<Log> {
    return await this.#code.openLog({ directory: this.directory, ringBytes: RING_BYTES, reserveBytes: 0, onCorrupt, retention: { maxAgeMs: Infinity, keepConsumed: true } })
  }

  async #entriesOf(log: Log, to: number): Promise<Reading> {
    return await readPastDamage(this.#code, (fromSequence) => log.readBatches({ fromSequence }), 1, to)
  }

  async #openAndClose(): Promise<string | undefined> {
    const { log, index, expected } = this.#case
    if (expected.kind === 'refused') return undefined
    const file = log.segments[index]!.name
    const opened = await this.#open('refuse')
    let what: string | undefined
    try {
      const wanted = { from: 1, to: expected.last, damaged: expected.damaged, file }
      what = opened.lastSequence === expected.last ? comparedWith(log, wanted, await this.#entriesOf(opened, expected.last)) : `openLog ends with ${opened.lastSequence}`
      if (!isSaid(opened, file, expected.cutAt, expected.mayHaveBeen)) what ??= `openLog tells of cuts: ${JSON.stringify(opened.recovery.cuts)}`
    } finally {
      await opened.close()
    }
    const { status } = await this.#code.verifyLog(this.directory)
    const isRight = status === (expected.damaged.length > 0 ? 'corrupt' : 'sound')
    return what ?? (isRight ? undefined : `once opened and closed, verify says ${status}`)
  }

  async #openRefused(before: string): Promise<string | undefined> {
    const { log, index, expected, bytes } = this.#case
    if (expected.kind !== 'refused') return undefined
    const refusal = await this.#open('refuse').then((opened) => opened.close(), (error: unknown) => error)
    const { code, file, firstSequence, lastSequence, offset } = (refusal ?? {}) as { [name: string]: unknown }
    const isRight = code === 'ERR_WAL_CORRUPT' && file === join(this.directory, log.segments[index]!.name) && firstSequence === expected.first
      && lastSequence === expected.last && expected.offsets.includes(offset as number)
    if (!isRight) return `openLog should refuse, with entries ${expected.first} to ${expected.last}: ${String(refusal)}`
    if (this.#image() !== before) return 'a refused opening changes something'
    const salvaged = await this.#open('salvage')
    try {
      const { lost, salvaged: copies } = salvaged.recovery
      if (!copies.some((copy) => readFileSync(copy).equals(bytes))) return `no copy of the damaged file is kept: ${copies.map((copy) => basename(copy)).join()}`
      if (salvaged.lastSequence < expected.last) return `the salvaged log ends with ${salvaged.lastSequence}: sequences would be used again`
      const wrong = this.#salvagedEntries(await this.#entriesOf(salvaged, salvaged.lastSequence), lost)
      if (wrong !== undefined) return wrong
    } finally {
      await salvaged.close()
    }
    const again = await this.#open('refuse')
    await again.close()
    if (!again.recovery.cleanClose || again.lastSequence !== salvaged.lastSequence) return `after the salvage opening finds ${JSON.stringify(again.recovery)}`
    const { status } = await this.#code.verifyLog(this.directory)
    return status === 'sound' ? undefined : `after the salvage verify says ${status}`
  }

  #salvagedEntries({ entries, damages }: Reading, lost: Log['recovery']['lost']): string | undefined {
    const { log, index, bytes, expected } = this.#case
    if (damages.length > 0) return `the salvaged log is damaged: ${JSON.stringify(damages)}`
    const proved = expected.kind === 'refused' ? expected.last : log.last
    const segment = log.segments[index]!
    const read = new Map(entries.map((entry) => [entry.sequence, entry]))
    for (const [number, known] of log.entries.entries()) {
      const sequence = number + 1
      const entry = read.get(sequence)
      if (entry !== undefined && (known === undefined || entry.ticks !== known.ticks || !entry.data.equals(known.data))) return `the salvaged sequence ${sequence} is another one`
      const piece = segment.pieces.find(({ kind, first, last }) => (kind === 'entry' || kind === 'range') && first <= sequence && sequence <= last)
      const isSound = piece === undefined || (piece.end <= bytes.length && segment.bytes.compare(bytes, piece.offset, piece.end, piece.offset, piece.end) === 0)
      const isLost = lost.some(({ firstSequence, lastSequence }) => firstSequence <= sequence && sequence <= lastSequence)
      if (entry !== undefined && isLost) return `sequence ${sequence} is listed as lost, and is there`
      if (entry === undefined && known !== undefined && sequence <= proved && isSound) return `sequence ${sequence} is sound, and was given up`
      if (entry === undefined && known !== undefined && sequence <= proved && !isLost) return `sequence ${sequence} is gone, and not listed as lost`
    }
    return entries.length <= log.entries.length ? undefined : 'there are entries that were never written'
  }
}

function isSaid({ recovery }: Log, file: string, cutAt: number | undefined, mayHaveBeen: boolean | undefined): boolean {
  const cuts = recovery.cuts.filter((cut) => basename(cut.file) === file)
  if (cutAt === undefined) return cuts.length === 0
  return cuts.length === 1 && cuts[0]!.offset === cutAt && (mayHaveBeen === undefined || cuts[0]!.mayHaveBeenAcknowledged === mayHaveBeen)
}

/** A report but for how long it took. */
function plain({ durationMs: _, ...rest }: VerifyReport): string {
  return JSON.stringify(rest, (_key, value: unknown) => value ?? null)
}
