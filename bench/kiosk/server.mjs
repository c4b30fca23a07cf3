/** The server of the kiosk demo: takes messages and files, and is away every now and then. */

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** A server that counts what came, and how often. */
export class ComingAndGoing {
  /** How often each message came; for each file, how often, and its SHA-256. */
  messages = new Map()
  files = new Map()
  /** How often it went away. */
  times = 0
  #port = 0
  #server
  #isEnding = false
  #loop

  async start() {
    await this.#come()
    this.#loop = this.#comeAndGo()
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`
  }

  async #come() {
    this.#server = createServer((request, response) => void this.#take(request, response))
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = this.#server.address().port
  }

  async #go() {
    this.times++
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #comeAndGo() {
    while (!this.#isEnding) {
      await sleep(200 + Math.random() * 500)
      if (this.#isEnding) return
      await this.#go()
      await sleep(50 + Math.random() * 250)
      await this.#come()
    }
  }

  async #take(request, response) {
    try {
      const hash = createHash('sha256')
      const chunks = []
      for await (const chunk of request) {
        hash.update(chunk)
        chunks.push(chunk)
      }
      const [, kind, id] = request.url.split('/')
      if (kind === 'message') {
        const message = JSON.parse(Buffer.concat(chunks).toString())
        this.messages.set(message.id, (this.messages.get(message.id) ?? 0) + 1)
      } else {
        const times = (this.files.get(id)?.times ?? 0) + 1
        this.files.set(id, { times, sha256: hash.digest('hex') })
      }
      response.end('thanks')
    } catch {
      response.destroy() // The connection broke: nothing was taken.
    }
  }

  async stop() {
    this.#isEnding = true
    await this.#loop
    await this.#go()
  }

  /** Stays from now on. */
  async stay() {
    this.#isEnding = true
    await this.#loop
  }
}
