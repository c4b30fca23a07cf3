/** Cutting a stream of entries into what is delivered at a time. */

import type { LogEntry } from '../log/entry.js'
import type { Parcel } from './delivery.js'
import type { EntrySource } from './entry-source.js'

function parcelOf(entries: readonly LogEntry[]): Parcel {
  let bytes = 0
  for (const entry of entries) bytes += entry.bytes
  return { entries, firstSequence: entries[0]!.sequence, lastSequence: entries.at(-1)!.sequence, bytes }
}

/** Each entry by itself. */
export async function* singleParcels(source: EntrySource): AsyncGenerator<Parcel, void, undefined> {
  for (let entries = await source.next(); entries !== undefined; entries = await source.next()) {
    for (const entry of entries) yield { entries: [entry], firstSequence: entry.sequence, lastSequence: entry.sequence, bytes: entry.bytes }
  }
}

/** Batches within limits; each waits so long for more, if it is not full. */
export async function* cutParcels(
  source: EntrySource, limits: { readonly maxEntries: number; readonly maxBytes: number; readonly maxWaitMs: number },
): AsyncGenerator<Parcel, void, undefined> {
  const { maxEntries, maxBytes, maxWaitMs } = limits
  let held: readonly LogEntry[] = []
  for (;;) {
    if (held.length === 0) {
      const entries = await source.next()
      if (entries === undefined) return
      held = entries
    }
    let count = countWithin(held, maxEntries, maxBytes)
    const endMs = maxWaitMs === 0 ? 0 : performance.now() + maxWaitMs
    while (count === held.length && count < maxEntries && performance.now() < endMs) {
      // What is in hand goes out first; whoever asks again is told once more why there is nothing behind it.
      const more = await source.next(endMs - performance.now()).catch(() => undefined)
      if (more === undefined || more.length === 0) break
      held = [...held, ...more]
      count = countWithin(held, maxEntries, maxBytes)
    }
    const entries = count === held.length ? held : held.slice(0, count)
    held = count === held.length ? [] : held.slice(count)
    yield parcelOf(entries)
  }
}

/** How many of the first entries make a batch: at least one. */
function countWithin(entries: readonly LogEntry[], maxEntries: number, maxBytes: number): number {
  let bytes = entries[0]!.bytes
  let count = 1
  while (count < entries.length && count < maxEntries && bytes + entries[count]!.bytes <= maxBytes) bytes += entries[count++]!.bytes
  return count
}
