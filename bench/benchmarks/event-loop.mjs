/** A real HTTP server that logs each request: what logging leaves of its requests, and of its event loop. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { touchMemory } from '../raw-disk.mjs'

export const title = 'The event loop of a server'

const SERVER = fileURLToPath(new URL('../http-server.mjs', import.meta.url))
const CONNECTIONS = 50
const WARM_S = 1
/** Several times what a server logs. */
const TOUCHED_BYTES = 256 * 2 ** 20

const CONTENDERS = [
  { name: 'pino into nothing', destination: 'nothing', promise: 'none' },
  { name: 'pino, lines encoded and thrown away', destination: 'encoded', promise: 'none' },
  { name: 'pino into ringwal', destination: 'ringwal', promise: 'durable' },
  { name: 'pino, async file destination', destination: 'async', promise: 'buffered', needs: ['pino'] },
]
const FURTHER = [
  { name: 'pino, sync file destination', destination: 'sync', promise: 'written', needs: ['pino'] },
  { name: 'pino, file transport', destination: 'transport', promise: 'buffered', needs: ['pino'] },
  { name: 'winston, file', destination: 'winston', promise: 'buffered', needs: ['winston'] },
]

export function plan({ size, isFull }) {
  const measurements = (poolThreads, overallRate) => (isFull ? [...CONTENDERS, ...FURTHER] : CONTENDERS).map(({ name, destination, promise, needs }) => ({
    name, promise, needs, call: 'measureServer', settings: { destination, poolThreads, overallRate, seconds: Math.max(1, size(4)) },
  }))
  const note = `autocannon, ${CONNECTIONS} connections, each sends its next request when it was answered. The server logs and answers; it waits for nothing. Into nothing, pino never joins the parts of a line: what any destination must do, encode it, is measured by itself. \`loopP99\`: how late its event loop was, in ms.`
  return [
    {
      title: 'As many requests as it can take', in: ['quick'], metric: 'requests', unit: 'requests/s', note, measurements: measurements(0),
      rows: [
        { name: 'HTTP server\'s requests/s, pino into ringwal, against pino into nothing', of: 'pino into ringwal', against: 'pino into nothing', atLeast: 0.92,
          limit: 'Server and load generator keep both cores busy, so that all that logging takes is taken from requests: of a server\'s time for a request 2 % for encoding, '
            + '2 % for clock, claim and copy, and 5 % on the writer\'s thread, half of that in the kernel.' },
        { name: '… against pino\'s own async file destination', of: 'pino into ringwal', against: 'pino, async file destination', atLeast: 1 },
        { name: 'event-loop delay p99 with logging against without', of: ['pino into ringwal', 'loopP99'], against: ['pino into nothing', 'loopP99'], atMost: 1.3 },
        { name: 'HTTP server\'s requests/s, lines only encoded, against pino into nothing', of: 'pino, lines encoded and thrown away', against: 'pino into nothing' },
        ...(isFull ? FURTHER.map(({ name }) => ({ name: `ringwal's requests/s against ${name}`, of: 'pino into ringwal', against: name })) : []),
      ],
    },
    {
      title: '2,000 requests/s on schedule', in: [], metric: 'p99', unit: 'ms', measurements: measurements(0, 2000),
      note: 'Requests are due at fixed times; autocannon counts latency from then.',
    },
    {
      title: 'With computing in a piscina pool beside it', in: [], metric: 'requests', unit: 'requests/s', note, measurements: measurements(1),
      rows: [{ name: '… with a busy pool: pino into ringwal against pino into nothing', of: 'pino into ringwal', against: 'pino into nothing' }],
    },
  ]
}

export async function measureServer({ directory, destination, poolThreads, overallRate, seconds }) {
  const server = fork(SERVER, [JSON.stringify({ destination, directory, poolThreads })])
  const ended = once(server, 'exit')
  const answer = async () => {
    const [message] = await Promise.race([once(server, 'message'), ended.then(([code]) => { throw new Error(`the server ended with ${code}`) })])
    return message
  }
  const { port } = await answer()
  const load = { url: `http://127.0.0.1:${port}/`, connections: CONNECTIONS, ...(overallRate === undefined ? {} : { overallRate }) }
  await autocannon({ ...load, duration: WARM_S })
  touchMemory(directory, TOUCHED_BYTES)
  server.send('measure')
  const { requests, latency, duration, errors, non2xx } = await autocannon({ ...load, duration: seconds })
  if (errors > 0 || non2xx > 0) throw new Error(`${errors} requests failed, ${non2xx} were refused`)
  server.send('tell')
  const { loopDelay } = await answer()
  server.send('close')
  await ended
  const at = (percentile) => loopDelay.find((point) => point.percentile === percentile).ms
  return { requests: requests.total / duration, p50: latency.p50, p99: latency.p99, loopP50: at(50), loopP99: at(99), loopMax: at(100) }
}
