/**
 * A web server as anybody might write it: pino logs each request into ringwal, and a pool of busy threads logs
 * into the same log.
 *
 * Each entry that is durable is also reported to the parent (report.mjs), which ends this process when it likes.
 */

import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { Piscina } from 'piscina'
import { openLog } from '../../dist/src/index.js'
import { digest } from './digest.mjs'
import { watchEventLoop } from './event-loop.mjs'
import { report } from './report.mjs'

const POOL_THREADS = 2
const POOL_PAUSE_MS = 300
const STATE_EVERY_MS = 100

/** @type {{ run: string, directory?: string }} Without a directory the same work is done and nothing is logged. */
const { run, directory } = JSON.parse(process.argv[2])

const log = directory === undefined ? undefined : await openLog({ directory })
const pool = new Piscina({ filename: new URL('./pool-task.mjs', import.meta.url).href, minThreads: POOL_THREADS, maxThreads: POOL_THREADS })

let lastDigest = ''
const logger = log === undefined
  ? pino({ enabled: false })
  : pino({ base: { source: `${run}/http` }, hooks: { streamWrite: noteDigest } }, log.destination())

let requests = 0
const server = createServer(async (request, response) => {
  const startMs = performance.now()
  const number = ++requests
  logger.info({ number, method: request.method, url: request.url }, 'request')
  if (log !== undefined) {
    const receipt = { source: `${run}/http`, number, sequence: log.lastSequence, digest: lastDigest }
    await log.durable(receipt.sequence)
    report({ receipts: [{ ...receipt, tookMs: performance.now() - startMs }] })
  }
  response.end('logged\n')
})

/** pino shows each line before it is written. */
function noteDigest(line) {
  lastDigest = digest(line.trimEnd())
  return line
}

/** One task after the other, some of the time. A task may log from there: the handle is all that it needs. */
async function workUntilClosed() {
  while (!isClosing) {
    const receipts = await pool.run({ handle: log?.handle(), run })
    if (receipts.length > 0) report({ receipts })
    await sleep(POOL_PAUSE_MS)
  }
}

function reportState() {
  report({ state: { atMs: Date.now(), durable: log?.durableSequence, stats: log?.stats(), loopDelay: eventLoop.percentiles() } })
}

const eventLoop = watchEventLoop()
let isClosing = false
const work = Promise.all(Array.from({ length: POOL_THREADS }, workUntilClosed))
const stateTimer = setInterval(reportState, STATE_EVERY_MS)

process.once('SIGTERM', async () => {
  isClosing = true
  clearInterval(stateTimer)
  server.close()
  server.closeIdleConnections()
  await work
  await pool.close()
  await log?.flush()
  reportState()
  await log?.close()
})

server.listen(0, '127.0.0.1', () => report({ port: server.address().port }))
