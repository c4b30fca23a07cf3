/** pino's own file transport, as its documentation recommends: a worker thread that writes to a file. Nothing is ever synced. */

import { once } from 'node:events'
import { transport } from 'pino'
import { setTimeout as sleep } from 'node:timers/promises'
import { untilWritten } from './written-file.mjs'

export async function open(directory) {
  const file = `${directory}/log`
  const stream = transport({ target: 'pino/file', options: { destination: file } })
  await once(stream, 'ready')
  let bytes = 0
  return {
    /** Back-pressure is not heeded, as pino itself does not. Lines are ASCII. */
    add(line) {
      stream.write(`${line}\n`)
      bytes += line.length + 1
      return undefined
    },
    durable: () => untilWritten(file, bytes),
    /** Its thread does not keep the process alive: to wait for an event would end it. */
    async close() {
      stream.end()
      while (!stream.closed) await sleep(1)
    },
  }
}
