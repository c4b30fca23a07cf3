/**
 * The oracle for what is removed: a second reading of the rule of retention, asked at the moment at which a segment's name goes. Each removal
 * is remembered with the first state of the cursors that allows it: whatever a crash leaves, if the segment is gone, the cursors are not
 * from before that.
 */

import { join } from 'node:path'
import type { Disk } from '../../dist/src/disk/disk.js'
import type { WriterOptions } from '../../dist/src/writer/writer-options.js'
import type { CursorHistory, Cursors } from './cursor-history.js'
import { Violation, type LogImage } from './log-image.js'

interface Removal {
  readonly lastSequence: number
  readonly allowedFrom: number
}

/** A sealed segment, by its header. */
export interface Sealed {
  readonly name: string
  readonly lastSequence: number
  readonly bytes: number
}

/** The removals of one run. */
export class Removals {
  #first = 1
  readonly #gone = new Map<string, Removal>()

  /** The log goes on from an image that begins with this sequence. */
  restart(first: number): void {
    this.#first = first
    this.#gone.clear()
  }

  /** A segment is about to go. False: it never held anything. Throws unless it is the oldest, and some state that may be on disk lets it go. */
  note(disk: Disk, directory: string, name: string, options: WriterOptions, cursors: CursorHistory, isDiskFull: boolean): boolean {
    const sealed = sealedSegments(disk, directory)
    const segment = sealed.find((one) => one.name === name)
    if (segment === undefined) return false
    if (segment !== sealed[0]) throw new Violation(`${name} is removed before ${sealed[0]!.name}`)
    const { lastSequence } = segment
    for (let state = cursors.durable; state <= cursors.now; state++) {
      if (!mayGo(sealed, cursors.at(state), options, isDiskFull)) continue
      this.#gone.set(name, { lastSequence, allowedFrom: state })
      return true
    }
    throw new Violation(`${name} is removed, up to sequence ${lastSequence}, which nothing allows: ${sealed.length} segments, ${isDiskFull ? 'a' : 'no'} full disk, cursors ${JSON.stringify([...cursors.at(cursors.now)])}`)
  }

  /** Checks what a crash left, with its cursors in `state`. */
  check({ first, names }: LogImage, state: number): void {
    let wanted = this.#first
    for (const [name, { lastSequence, allowedFrom }] of this.#gone) {
      if (names.includes(name)) continue
      wanted = Math.max(wanted, lastSequence + 1)
      if (state < allowedFrom) throw new Violation(`lost: ${name} is gone, up to sequence ${lastSequence}, before the cursors that let it go were durable`)
    }
    if (first !== wanted) throw new Violation(`lost: the log begins with ${first}, it should with ${wanted}`)
  }
}

/** Whether the oldest of these segments may go while the cursors stand like this. */
function mayGo(sealed: readonly Sealed[], cursors: Cursors, { maxSegmentBytes, retention }: WriterOptions, isDiskFull: boolean): boolean {
  // The tail at its full size, and a spare that the next one is made of.
  const bytes = sealed.reduce((sum, segment) => sum + segment.bytes, 2 * maxSegmentBytes)
  const dropsOldest = retention.whenOver === 'drop-oldest'
  const isOver = bytes > retention.maxBytes! || (isDiskFull && dropsOldest)
  const isBeyond = isOver || sealed.length > retention.maxSegments || retention.maxAgeMs < Infinity
  if (cursors.size === 0) return isBeyond
  const least = Math.min(...[...cursors.values()].map(({ sequence }) => sequence))
  if (sealed[0]!.lastSequence <= least) return !retention.keepConsumed || isBeyond || isDiskFull
  return isOver && dropsOldest
}

/** The sealed segments of a directory, oldest first, by their headers. */
export function sealedSegments(disk: Disk, directory: string): Sealed[] {
  return disk.list(directory).filter((name) => name.endsWith('.wal')).sort().flatMap((name) => {
    const file = disk.open(join(directory, name), 'read')
    const header = Buffer.alloc(128)
    file.read(header, 0)
    const bytes = file.size()
    file.close()
    return header[56] === 1 ? [{ name, lastSequence: Number(header.readBigUInt64LE(16)), bytes }] : []
  })
}
