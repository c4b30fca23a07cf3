/**
 * What must hold of a directory that system-calls-child.mjs has worked on, however that ended: by what it told, and by what a new opening finds.
 * Collects what is wrong instead of throwing.
 */

import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type * as Library from '../../dist/src/index.js'
import type { Told } from './traced-program.js'

interface Made {
  readonly label: string
  /** Of the entry's bytes; undefined of an upload's entry, which the log makes itself. */
  readonly crc?: number
  /** Of an upload. */
  readonly file?: { readonly bytes: number; readonly sha256: string }
  /** The labels that are there all or none. */
  readonly group: readonly string[]
}

/** What is known of the log by what was told. */
class Knowledge {
  readonly made = new Map<string, Made>()
  /** Label by sequence: of what was accepted, and of what was acknowledged. */
  readonly accepted = new Map<number, string>()
  readonly acknowledged = new Map<number, string>()
  readonly refused = new Set<string>()
  committing = 0
  committed = 0

  constructor(told: readonly Told[]) {
    for (const item of told) this.#take(item)
  }

  #take(item: Told): void {
    switch (item.kind) {
      case 'making': {
        const group = item.entries.map(({ label }) => label)
        for (const entry of item.entries) this.made.set(entry.label, { ...entry, group })
        break
      }
      case 'uploading':
        this.made.set(item.label, { label: item.label, file: item, group: [item.label] })
        break
      case 'refused':
        for (const label of item.labels) this.refused.add(label)
        break
      case 'accepted': case 'acknowledged':
        item.labels.forEach((label, index) => this[item.kind].set(item.first + index, label))
        break
      case 'committing': case 'committed':
        this[item.kind] = Math.max(this[item.kind], item.sequence)
    }
  }
}

/** An entry as it was found. */
interface Found {
  readonly sequence: number
  readonly label: string
  readonly isFile: boolean
}

/** Opens the directory, looks at everything, appends, closes. `told`: by all programs that worked on it, in order. */
export async function findFaults(library: typeof Library, directory: string, told: readonly Told[]): Promise<string[]> {
  const knowledge = new Knowledge(told)
  const faults: string[] = []
  try {
    // What consumers are done with stays, so that it can be looked at.
    const log = await library.openLog({ directory, reserveBytes: 16 * 1024, ringBytes: 64 * 1024, retention: { keepConsumed: true } })
    try {
      await log.checkpoint()
      const found = await readEntries(log, knowledge, faults)
      checkEntries(log, found, knowledge, faults)
      checkCursor(log, found[0]?.sequence ?? log.lastSequence + 1, knowledge, faults)
      const last = log.lastSequence
      const { sequence } = await log.write('goes on')
      if (sequence !== last + 1) faults.push(`after sequence ${last} comes ${sequence}`)
      await log.close()
      checkNames(directory, found, faults)
    } finally {
      await log.close()
    }
    const { status } = await library.verifyLog(directory)
    if (status !== 'sound') faults.push(`verifying finds it ${status}`)
  } catch (error) {
    faults.push(`opening or reading fails: ${String(error)}`)
  }
  return faults
}

async function readEntries(log: Library.Log, { made }: Knowledge, faults: string[]): Promise<Found[]> {
  const found: Found[] = []
  for await (const entry of log.read()) {
    const { sequence, file } = entry
    const label = file === undefined ? entry.text().split(' ', 1)[0]! : (file.metadata as { label: string }).label
    const original = made.get(label)
    if (original === undefined) faults.push(`sequence ${sequence} was never appended: ${label}`)
    else if (file === undefined && original.crc !== crc32(entry.data)) faults.push(`sequence ${sequence}, ${label}: not the bytes that were appended`)
    else if (file !== undefined) await checkFile(sequence, file, original.file, faults)
    const before = found.at(-1)
    if (before !== undefined && sequence !== before.sequence + 1) faults.push(`sequence ${before.sequence} is followed by ${sequence}`)
    found.push({ sequence, label, isFile: file !== undefined })
  }
  return found
}

async function checkFile(sequence: number, file: NonNullable<Library.LogEntry['file']>, made: Made['file'], faults: string[]): Promise<void> {
  const hash = createHash('sha256')
  let bytes = 0
  try {
    for await (const chunk of file.open()) {
      hash.update(chunk as Buffer)
      bytes += (chunk as Buffer).length
    }
  } catch (error) {
    return void faults.push(`the file of sequence ${sequence} cannot be read: ${String(error)}`)
  }
  if (bytes !== made?.bytes || hash.digest('hex') !== made.sha256) faults.push(`the file of sequence ${sequence} is not what was uploaded`)
}

function checkEntries(log: Library.Log, found: readonly Found[], { made, accepted, acknowledged, refused, committing }: Knowledge, faults: string[]): void {
  const first = found[0]?.sequence ?? log.lastSequence + 1
  if (found.length > 0 && found.at(-1)!.sequence !== log.lastSequence) faults.push(`the log says that it ends at ${log.lastSequence}, its entries at ${found.at(-1)!.sequence}`)
  if (first > 1 && first - 1 > committing) faults.push(`the log begins at ${first}, and nobody was done with more than ${committing}`)
  const labels = new Map(found.map(({ sequence, label }) => [label, sequence]))
  if (labels.size !== found.length) faults.push('an entry is there twice')
  for (const { sequence, label } of found) {
    if (refused.has(label)) faults.push(`sequence ${sequence}, ${label}: was refused`)
    const known = accepted.get(sequence) ?? acknowledged.get(sequence)
    if (known !== undefined && known !== label) faults.push(`sequence ${sequence}: ${label} is there, and ${known} was accepted`)
    const group = made.get(label)?.group ?? []
    if (group.some((member, index) => labels.get(member) !== labels.get(group[0]!)! + index)) faults.push(`the group of ${label} is not whole`)
  }
  for (const [sequence, label] of acknowledged) {
    if (sequence >= first && labels.get(label) !== sequence) faults.push(`sequence ${sequence}, ${label}: was acknowledged and is lost`)
  }
}

function checkCursor(log: Library.Log, first: number, { committing, committed }: Knowledge, faults: string[]): void {
  const cursor = log.consumers().find(({ name }) => name === 'one')?.committed ?? 0
  if (cursor < committed) faults.push(`a commit of ${committed} was reported durable, and the cursor stands at ${cursor}`)
  if (cursor > committing) faults.push(`nobody committed more than ${committing}, and the cursor stands at ${cursor}`)
  if (cursor < first - 1) faults.push(`the cursor stands at ${cursor}, and the log begins at ${first}`)
}

/** Nothing lies about that is not the log's: every file has its entry, and every entry its file. */
function checkNames(directory: string, found: readonly Found[], faults: string[]): void {
  const strangers = readdirSync(directory).filter((name) => !name.endsWith('.wal') && !['blobs', 'reserve'].includes(name))
  if (strangers.length > 0) faults.push(`left in the directory: ${strangers.join(', ')}`)
  const blobs = join(directory, 'blobs')
  if (!existsSync(blobs)) return
  const wanted = [...found.filter(({ isFile }) => isFile).map(({ sequence }) => `${String(sequence).padStart(16, '0')}.blob`)].toSorted()
  const names = readdirSync(blobs).filter((name) => name !== 'incoming').toSorted()
  if (names.join() !== wanted.join()) faults.push(`blobs/ holds ${names.join(', ')} where ${wanted.join(', ')} should be`)
  const incoming = existsSync(join(blobs, 'incoming')) ? readdirSync(join(blobs, 'incoming')) : []
  if (incoming.length > 0) faults.push(`left in blobs/incoming: ${incoming.join(', ')}`)
}
