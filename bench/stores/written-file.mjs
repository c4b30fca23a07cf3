/** Waiting for lines to be in a file: the page cache, no sync. What loggers promise at best. */

import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const LONGEST_MS = 60_000

/** Looks each millisecond: those who write it are elsewhere, and tell nobody. */
export async function untilWritten(file, bytes, urge = () => undefined) {
  const startMs = performance.now()
  for (;;) {
    const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
    if (size >= bytes) return
    if (performance.now() - startMs > LONGEST_MS) throw new Error(`expected ${bytes} bytes in ${file}, got ${size} within ${LONGEST_MS} ms`)
    urge()
    await sleep(1)
  }
}
