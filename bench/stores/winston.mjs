/** winston's file transport, with a format that writes the line as it is. Nothing is ever synced. */

import { once } from 'node:events'
import winston from 'winston'
import { untilWritten } from './written-file.mjs'

export async function open(directory) {
  const file = `${directory}/log`
  const logger = winston.createLogger({
    format: winston.format.printf(({ message }) => message),
    transports: [new winston.transports.File({ filename: file })],
  })
  let bytes = 0
  return {
    /** Lines are ASCII. When its stream is full, its owner waits, as with any stream of Node's. */
    add(line) {
      bytes += line.length + 1
      return logger.write({ level: 'info', message: line }) ? undefined : once(logger, 'drain')
    },
    durable: () => untilWritten(file, bytes),
    async close() {
      logger.end()
      await once(logger, 'finish')
    },
  }
}
