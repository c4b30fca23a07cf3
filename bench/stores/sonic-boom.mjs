/**
 * sonic-boom, which is what `pino.destination()` makes. `sync: false` with a buffer of 4 KiB is what pino's documentation recommends for speed
 * ("asynchronous logging"); `sync: true` is its default, one write call for each line. Nothing is ever synced to the disk.
 */

import { once } from 'node:events'
import SonicBoom from 'sonic-boom'
import { untilWritten } from './written-file.mjs'

export async function open(directory, { sync = false } = {}) {
  const file = `${directory}/log`
  const stream = new SonicBoom({ dest: file, sync, minLength: sync ? 0 : 4096 })
  await once(stream, 'ready')
  let bytes = 0
  return {
    /** Lines are ASCII. When it asks for patience it gets it: otherwise all would pile up in memory. */
    add(line) {
      bytes += line.length + 1
      return stream.write(`${line}\n`) ? undefined : once(stream, 'drain')
    },
    /** A flush while a write is on its way does nothing for what came meanwhile. */
    durable: () => untilWritten(file, bytes, () => sync || stream.flush()),
    async close() {
      stream.end()
      await once(stream, 'close')
    },
  }
}
