/** All changes of one kind of fault: what a disk may do to one file. */

import type { Random } from '../model/random.js'

/** The unit that a disk loses or garbles. */
const SECTOR_BYTES = 512

/** One change. `name` is short, and tells it to {@link changeOf}. */
export interface FileChange {
  readonly name: string
  /** The range that is not as it was, and what stands there now: nothing where the file was cut. It may go beyond the end that the file had. */
  readonly offset: number
  readonly bytes: Buffer | undefined
}

/** What stands in place of sectors: bytes from a seed, and what else a disk may have. */
export interface Garbage {
  readonly sectors: readonly Buffer[]
}

/** Noise, all ones, and what stands elsewhere: two sectors of the file itself, as a misdirected write leaves them. */
export function makeGarbage(random: Random, file: Buffer): Garbage {
  const noise = (): Buffer => Buffer.from(Uint8Array.from({ length: SECTOR_BYTES }, () => random() * 256))
  const elsewhere = (share: number): Buffer => {
    const at = Math.floor(file.length * share / SECTOR_BYTES) * SECTOR_BYTES
    return Buffer.concat([file.subarray(at, at + SECTOR_BYTES)], SECTOR_BYTES)
  }
  return { sectors: [noise(), noise(), Buffer.alloc(SECTOR_BYTES, 0xff), elsewhere(0), elsewhere(0.5)] }
}

/**
 * Every bit flipped that `isFlipped` accepts, every length cut to, every sector zeroed, every sector with each garbage; and the file made longer: by
 * each garbage, by zeros, and by its own last bytes once more, of each number up to a sector.
 */
export function* changesOf(file: Buffer, garbage: Garbage, isFlipped: (bit: number) => boolean): Generator<FileChange, void> {
  for (let bit = 0; bit < file.length * 8; bit++) if (isFlipped(bit)) yield flip(file, bit)
  for (let length = 0; length < file.length; length++) yield cut(length)
  for (let sector = 0; sector * SECTOR_BYTES < file.length; sector++) {
    yield overwrite(file, `zero:${sector}`, sector, Buffer.alloc(SECTOR_BYTES))
    for (const [number, bytes] of garbage.sectors.entries()) yield overwrite(file, `garbage:${sector}:${number}`, sector, bytes)
  }
  for (const number of [...garbage.sectors.keys(), garbage.sectors.length]) yield longer(file, garbage, number)
  for (let length = 1; length <= SECTOR_BYTES && length <= file.length; length++) yield again(file, length)
}

/** The change of that name. */
export function changeOf(file: Buffer, garbage: Garbage, name: string): FileChange {
  const [kind, first, second] = name.split(':')
  if (kind === 'flip') return flip(file, Number(first))
  if (kind === 'cut') return cut(Number(first))
  if (kind === 'zero') return overwrite(file, name, Number(first), Buffer.alloc(SECTOR_BYTES))
  if (kind === 'garbage') return overwrite(file, name, Number(first), garbage.sectors[Number(second)]!)
  if (kind === 'longer') return longer(file, garbage, Number(first))
  if (kind === 'again') return again(file, Number(first))
  throw new Error(`no such change: ${name}`)
}

/** The file after the change. */
export function changed(file: Buffer, { offset, bytes }: FileChange): Buffer {
  if (bytes === undefined) return file.subarray(0, offset)
  const whole = Buffer.alloc(Math.max(file.length, offset + bytes.length))
  whole.set(file)
  whole.set(bytes, offset)
  return whole
}

function flip(file: Buffer, bit: number): FileChange {
  const offset = bit >> 3
  return { name: `flip:${bit}`, offset, bytes: Buffer.of(file[offset]! ^ (1 << (bit & 7))) }
}

function cut(length: number): FileChange {
  return { name: `cut:${length}`, offset: length, bytes: undefined }
}

function longer(file: Buffer, { sectors }: Garbage, number: number): FileChange {
  return { name: `longer:${number}`, offset: file.length, bytes: sectors[number] ?? Buffer.alloc(SECTOR_BYTES) }
}

function again(file: Buffer, length: number): FileChange {
  return { name: `again:${length}`, offset: file.length, bytes: file.subarray(file.length - length) }
}

function overwrite(file: Buffer, name: string, sector: number, bytes: Buffer): FileChange {
  const offset = sector * SECTOR_BYTES
  return { name, offset, bytes: bytes.subarray(0, Math.min(SECTOR_BYTES, file.length - offset)) }
}
