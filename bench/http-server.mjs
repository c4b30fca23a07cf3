/** The server of benchmarks/event-loop.mjs: answers at once, and logs each request. Told what to do, and asked, by messages. */

import { createServer } from 'node:http'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { Piscina } from 'piscina'
import { watchEventLoop } from './demo/event-loop.mjs'

const { destination, directory, poolThreads } = JSON.parse(process.argv[2])
const file = `${directory}/log`

/** How each logs, as its own documentation sets it up, and how it ends. */
const LOGGERS = {
  async nothing() {
    return { logger: pino({}, { write: () => undefined }), close: () => undefined }
  },
  async encoded() {
    const [encoder, bytes] = [new TextEncoder(), new Uint8Array(4096)]
    return { logger: pino({}, { write: (line) => encoder.encodeInto(line, bytes) }), close: () => undefined }
  },
  async ringwal() {
    const { openLog } = await import('../dist/src/index.js')
    const log = await openLog({ directory })
    return { logger: pino(log.destination()), close: () => log.close() }
  },
  async sync() {
    return { logger: pino(pino.destination(file)), close: () => undefined }
  },
  async async() {
    const stream = pino.destination({ dest: file, sync: false, minLength: 4096 })
    return { logger: pino(stream), close: () => stream.flushSync() }
  },
  async transport() {
    const stream = pino.transport({ target: 'pino/file', options: { destination: file } })
    await once(stream, 'ready')
    return { logger: pino(stream), close: () => stream.end() }
  },
  async winston() {
    const { default: winston } = await import('winston')
    const winstonLogger = winston.createLogger({
      format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
      transports: [new winston.transports.File({ filename: file })],
    })
    return { logger: { info: (fields, message) => winstonLogger.info(message, fields) }, close: () => winstonLogger.end() }
  },
}

const { logger, close } = await LOGGERS[destination]()
const pool = poolThreads === 0 ? undefined : new Piscina({ filename: new URL('./demo/pool-task.mjs', import.meta.url).href, minThreads: poolThreads, maxThreads: poolThreads })
let number = 0
let isClosing = false
let eventLoop

const server = createServer((request, response) => {
  logger.info({ number: ++number, method: request.method, url: request.url }, 'request')
  response.end('logged\n')
})

/** One task after the other, with a pause as long as a short task: some of both cores is left. */
async function workUntilClosed() {
  while (!isClosing) {
    await pool.run({ run: 'bench' })
    await sleep(50)
  }
}
const work = Promise.all(Array.from({ length: poolThreads }, workUntilClosed))

process.on('message', async (message) => {
  if (message === 'measure') eventLoop = watchEventLoop()
  if (message === 'tell') process.send({ loopDelay: eventLoop.percentiles(), requests: number })
  if (message !== 'close') return
  isClosing = true
  server.close()
  server.closeAllConnections()
  await work
  await pool?.close()
  await close()
  process.disconnect()
})

server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
