/** Holds a log against what was acknowledged. */

import { digest } from './digest.mjs'

/**
 * Reads every entry of the log. Each is JSON with its `source` and the `number` that the source gave it, from 1.
 *
 * @param {import('../../dist/src/index.js').Log} log
 * @param {{ source: string, number: number, sequence: number, digest: string }[]} receipts
 */
export async function verify(log, receipts) {
  const found = { entries: 0, bytes: 0, gaps: 0, outOfOrder: 0, acknowledged: receipts.length, missing: 0, changed: 0 }
  /** By source: digest and sequence of its line number n at index n - 1. */
  const sources = new Map()
  let lastSequence = 0
  for await (const entries of log.readBatches()) {
    for (const entry of entries) {
      if (entry.sequence !== ++lastSequence) found.gaps++
      lastSequence = entry.sequence
      const { source, number } = entry.json()
      let lines = sources.get(source)
      if (lines === undefined) sources.set(source, lines = [])
      // A line that is there twice, missing between others, or overtaken by a later one breaks the count.
      if (number !== lines.length + 1) found.outOfOrder++
      lines[number - 1] = { sequence: entry.sequence, digest: digest(entry.data) }
      found.entries++
      found.bytes += entry.data.length
    }
  }
  for (const receipt of receipts) {
    const line = sources.get(receipt.source)?.[receipt.number - 1]
    // A request's receipt names the log's last sequence just after it was logged: other threads may have come between.
    if (line === undefined || line.sequence > receipt.sequence) found.missing++
    else if (line.digest !== receipt.digest) found.changed++
  }
  return { ...found, sources: sources.size }
}
