/** pino's own way to a file through a worker thread. Nothing is ever synced. */

import { once } from 'node:events'
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { transport } from 'pino'
import { LINE_BYTES, lines } from '../lines.mjs'

export async function open(directory) {
  const file = `${directory}/log`
  const stream = transport({ target: 'pino/file', options: { destination: file } })
  await once(stream, 'ready')
  let bytes = 0
  return {
    /** Resolves when all are in the file. Back-pressure is not heeded, as pino itself does not. */
    async append(count) {
      for (let index = 0; index < count; index++) stream.write(`${lines[index & (lines.length - 1)]}\n`)
      bytes += count * (LINE_BYTES + 1)
      while (statSync(file).size < bytes) await sleep(1)
    },
    /** Its thread does not keep the process alive: to wait for an event would end it. */
    async close() {
      stream.end()
      while (!stream.closed) await sleep(1)
    },
  }
}
