/** One life of the server, as its parent sees it: started, driven by autocannon, ended one way or the other. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { build } from 'hdr-histogram-js'

const CONNECTIONS = 50
const SERVER = fileURLToPath(new URL('./server.mjs', import.meta.url))

export class ServerRun {
  /** Entries that the server called durable: { source, number, sequence, digest, tookMs, atMs }. */
  receipts = []
  /** Microseconds from append to durable, of every request. */
  latency = build({ highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 })
  /** Durable sequence, counters and event loop delay, ten times a second: { atMs, durable, stats, loopDelay }. */
  states = []
  /** Milliseconds since 1970. */
  startMs = 0
  endMs = 0
  answered = 0
  #process
  #exit
  /** Settles when the last record has been read. */
  #records
  #load

  /** @param {{ run: string, directory?: string }} settings */
  static async start(settings) {
    const run = new ServerRun()
    run.#process = spawn(process.execPath, [SERVER, JSON.stringify(settings)], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
    run.#exit = once(run.#process, 'exit')
    const listening = new Promise((resolve) => run.#readRecords(run.#process.stdio[3], resolve))
    const port = await Promise.race([listening, run.#exit.then(() => undefined)])
    if (port === undefined) throw new Error('the server ended before it listened')
    run.#drive(port)
    return run
  }

  /** One record a line. One that the kill has cut in half is none. */
  #readRecords(pipe, onPort) {
    let rest = ''
    pipe.setEncoding('utf8').on('data', (text) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()
      for (const line of lines) this.#take(JSON.parse(line), onPort)
    })
    this.#records = once(pipe, 'end')
  }

  #take({ port, receipts, state }, onPort) {
    const nowMs = Date.now()
    if (port !== undefined) onPort(port)
    if (state !== undefined) this.states.push(state)
    if (receipts === undefined) return
    for (const receipt of receipts) {
      this.receipts.push({ ...receipt, atMs: nowMs })
      if (receipt.tookMs !== undefined) this.latency.recordValue(Math.max(1, Math.round(receipt.tookMs * 1000)))
    }
  }

  #drive(port) {
    this.startMs = Date.now()
    this.#load = autocannon({ url: `http://127.0.0.1:${port}/`, connections: CONNECTIONS, duration: 3600 })
    this.#load.on('response', () => this.answered++)
  }

  /** SIGKILL, under full load. @returns what ended the process */
  async kill() {
    return await this.#end('SIGKILL')
  }

  /** Ends the load, then the server. @returns what ended the process */
  async stop() {
    this.#load.stop()
    await this.#load
    return await this.#end('SIGTERM')
  }

  async #end(signal) {
    this.endMs = Date.now()
    this.#process.kill(signal)
    const [code, endedBy] = await this.#exit
    this.#load.stop()
    await Promise.all([this.#records, this.#load])
    return endedBy ?? code
  }

  /** For a parent that ends early. */
  abandon() {
    this.#process.kill('SIGKILL')
  }

  get seconds() {
    return (this.endMs - this.startMs) / 1000
  }

  get lastState() {
    return this.states.at(-1)
  }
}
