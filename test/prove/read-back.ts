/** Reading a damaged log to its end: every entry that can be had, and every damage that is told on the way. */

import type { Disk } from '../../dist/src/disk/disk.js'
import type { LogEntry } from '../../dist/src/log/entry.js'
import type { Code } from './code-of-build.js'
import type { KnownLog, Piece } from './known-log.js'

/** Damage as a reader tells it. */
export interface ToldDamage {
  readonly file: string
  readonly offset: number
  readonly first: number
  readonly last: number
}

/** What reading gave. */
export interface Reading {
  readonly entries: readonly LogEntry[]
  readonly damages: readonly ToldDamage[]
}

/** Reads the sequences from `from` to `to` of a log that was opened: all of it may be seen. Behind each damage it goes on. */
export async function readBack(code: Code, disk: Disk, directory: string, from: number, to: number): Promise<Reading> {
  const horizon = { visible: () => to, includeWritten: false, untilMore: async () => false }
  return await readPastDamage(code, (fromSequence) => code.readEntryBatches(new code.Catalog(disk, directory), horizon, {
    fromSequence, fromTimestamp: undefined, strict: false, limit: Infinity, follow: false, signal: undefined, onCaughtUp: undefined, onGap: undefined,
  }), from, to)
}

/** Reads from `from` to `to` by a reader that `read` makes; behind each damage by a new one. */
export async function readPastDamage(
  code: Code, read: (fromSequence: number) => AsyncIterable<readonly LogEntry[]>, from: number, to: number,
): Promise<Reading> {
  const entries: LogEntry[] = []
  const damages: ToldDamage[] = []
  for (let next = from; next <= to;) {
    try {
      for await (const batch of read(next)) entries.push(...batch)
      break
    } catch (error) {
      if (!(error instanceof code.WalError) || error.code !== 'ERR_WAL_CORRUPT') throw error
      const { file, offset, firstSequence, lastSequence } = error
      damages.push({ file: file!, offset: offset!, first: firstSequence!, last: lastSequence! })
      if (!(lastSequence! >= next)) throw new Error(`the damage ends with ${lastSequence}, before ${next}`, { cause: error })
      next = lastSequence! + 1
    }
  }
  return { entries, damages }
}

/** What was to be read. */
export interface Wanted {
  readonly from: number
  readonly to: number
  /** Pieces that a reader must tell of, if they hold sequences. */
  readonly damaged: readonly Piece[]
  /** The name of the file that they are in. */
  readonly file: string
}

/** What is wrong with what was read: every entry is there as it was written, or told as damaged if it is; and nothing else is. */
export function comparedWith(log: KnownLog, { from, to, damaged, file }: Wanted, { entries, damages }: Reading): string | undefined {
  let at = 0
  for (let sequence = from; sequence <= to; sequence++) {
    const known = log.entries[sequence - 1]
    const damage = damaged.find(({ kind, first, last }) => kind !== 'trailer' && first <= sequence && sequence <= last)
    const told = damages.find(({ first, last }) => first <= sequence && sequence <= last)
    if (damage !== undefined && told === undefined) return `sequence ${sequence} is damaged, and reading does not tell`
    if (damage === undefined && told !== undefined && known !== undefined) return `sequence ${sequence} is sound, reading tells of damage at byte ${told.offset}`
    if (damage !== undefined || told !== undefined || known === undefined) continue
    const entry = entries[at++]
    if (entry?.sequence !== sequence) return `sequence ${sequence} should be read, it is ${entry?.sequence}`
    if (entry.ticks !== known.ticks) return `sequence ${sequence} has the timestamp ${entry.ticks}, it should be ${known.ticks}`
    if (!entry.data.equals(known.data)) return `sequence ${sequence} has other bytes`
  }
  if (at < entries.length) return `sequence ${entries[at]!.sequence} is read, and should not be`
  const astray = damages.find((told) => !told.file.endsWith(file) || !damaged.some((piece) => piece.offset === told.offset))
  return astray === undefined ? undefined : `damage is told at byte ${astray.offset} of ${astray.file}, where none begins`
}
