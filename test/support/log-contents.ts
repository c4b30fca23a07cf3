/** What a log holds, for comparison. */

import { openLog, type Log, type LogOptions } from '../../dist/src/index.js'

/** An entry as a test compares it. */
export interface SeenEntry {
  readonly sequence: number
  readonly text: string
}

/** All entries of an open log. */
export async function entriesOf(log: Log): Promise<SeenEntry[]> {
  const entries: SeenEntry[] = []
  for await (const batch of log.readBatches()) for (const entry of batch) entries.push({ sequence: entry.sequence, text: entry.text() })
  return entries
}

/** The texts of all entries of an open log. */
export async function textsOf(log: Log): Promise<string[]> {
  return (await entriesOf(log)).map((entry) => entry.text)
}

/** Opens a directory, reads it all, closes it. */
export async function reopenAndRead(directory: string, options: Partial<LogOptions> = {}): Promise<{ log: Log; entries: SeenEntry[] }> {
  const log = await openLog({ ...options, directory })
  try {
    return { log, entries: await entriesOf(log) }
  } finally {
    await log.close()
  }
}
