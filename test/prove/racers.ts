/** Processes that race for one directory, see locks-racer.mjs, and the ledger that tells who owned it when. */

import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const RACER = fileURLToPath(new URL('./locks-racer.mjs', import.meta.url))
/** A bound, for a lock-out that lasts: candidates look every 100 ms. */
const LONGEST_WAIT_MS = 60_000

/** What became of a racer. */
export interface RaceEvent {
  readonly racer: Racer
  readonly got: 'started' | 'owner' | 'locked' | 'closed' | 'error' | 'dead'
  readonly message?: string
}

/** One process. */
export class Racer {
  readonly number: number
  readonly child: ChildProcess
  state: 'starting' | 'idle' | 'trying' | 'owner' | 'dead' = 'starting'
  isKilled = false

  constructor(number: number, child: ChildProcess) {
    this.number = number
    this.child = child
  }

  /** Whether something is to come from it. */
  get isBusy(): boolean {
    return this.state !== 'idle' && this.state !== 'dead'
  }

  open(way: 'lock' | 'log', waitMs: number): void {
    this.state = 'trying'
    this.#send({ act: 'open', way, ...(waitMs !== Infinity && { waitMs }) })
  }

  close(): void {
    this.#send({ act: 'close' })
  }

  #send(message: object): void {
    if (this.child.connected) this.child.send(message, () => undefined) // It may have been killed just now.
  }

  /** Ends it at once, wherever it is. In a namespace of its own it is the one child of what made the namespace. */
  kill(): void {
    if (this.state === 'dead' || this.isKilled) return
    this.isKilled = true
    process.kill(this.#innerPid(), 'SIGKILL')
  }

  #innerPid(): number {
    const { pid, spawnfile } = this.child
    if (spawnfile === process.execPath) return pid!
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim() || pid)
  }
}

/** All racers of one directory. */
export class Racers {
  readonly all: Racer[] = []
  readonly faults: string[] = []
  readonly #arguments: readonly string[]
  readonly #ledger: string
  readonly #killed = new Set<number>()
  readonly #durable = new Map<number, string>()
  #started = 0
  #seenBytes = 0
  #owner: string | undefined
  terms = 0
  #queue: RaceEvent[] = []
  #wake: (() => void) | undefined

  constructor(build: string, directory: string, ledger: string) {
    writeFileSync(ledger, '')
    this.#arguments = [build, directory, ledger]
    this.#ledger = ledger
  }

  /** Entries that were told to be durable, by sequence. */
  get durable(): ReadonlyMap<number, string> {
    return this.#durable
  }

  /** Starts one more; it is idle when this resolves. With a prefix: by another command. */
  async start(prefix: readonly string[] = []): Promise<Racer> {
    const number = this.#started++
    const [command, ...rest] = [...prefix, process.execPath, RACER, ...this.#arguments, String(number)]
    const child = spawn(command!, rest, {
      // unshare(1) complains when its child was killed; what a racer has to say it says as a message.
      stdio: ['ignore', 'inherit', prefix.length > 0 ? 'ignore' : 'inherit', 'ipc'],
    })
    const racer = new Racer(number, child)
    this.all.push(racer)
    child.on('message', (message: Omit<RaceEvent, 'racer'>) => this.#note({ racer, ...message }))
    child.once('exit', () => this.#note({ racer, got: 'dead' }))
    await new Promise<void>((resolve) => {
      child.once('message', () => resolve())
      child.once('exit', () => resolve())
    })
    return racer
  }

  #note(event: RaceEvent): void {
    const { racer, got } = event
    if (got === 'started') return void (racer.state = 'idle')
    if (got === 'dead') {
      racer.state = 'dead'
      this.#killed.add(racer.number)
      this.all.splice(this.all.indexOf(racer), 1)
      if (!racer.isKilled) this.faults.push(`racer ${racer.number} has died by itself`)
    } else {
      racer.state = got === 'owner' ? 'owner' : 'idle'
      if (got === 'error') this.faults.push(`racer ${racer.number}: ${event.message}`)
    }
    this.#queue.push(event)
    this.#wake?.()
  }

  /** What happens next; undefined when nothing does for so long that it never will. */
  async next(): Promise<RaceEvent | undefined> {
    if (this.#queue.length === 0) {
      let bound: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        bound = setTimeout(resolve, LONGEST_WAIT_MS)
      })
      clearTimeout(bound)
    }
    return this.#queue.shift()
  }

  /** Hands every event to `take` until no racer is about to do anything. */
  async settle(take: (event: RaceEvent) => void): Promise<void> {
    while (this.#queue.length > 0 || this.all.some(({ isBusy }) => isBusy)) {
      const event = await this.next()
      if (event !== undefined) {
        take(event)
        continue
      }
      this.faults.push(`locked out: ${this.all.filter(({ isBusy }) => isBusy).map(({ number, state }) => `${number} is ${state}`).join(', ')}, and nothing happens`)
      await this.killAll()
    }
  }

  /** Resolves when none is left. */
  async killAll(): Promise<void> {
    for (const racer of this.all) racer.kill()
    while (this.all.length > 0) if (await this.next() === undefined) throw new Error('a killed racer does not die')
    this.#queue = []
  }

  /** Reads what is new in the ledger: one owner at a time, each from its beginning to its end or death. */
  checkLedger(): void {
    const text = readFileSync(this.#ledger, 'utf8')
    const lines = text.slice(this.#seenBytes).split('\n').slice(0, -1)
    this.#seenBytes = text.length
    for (const line of lines) {
      const [term, what, sequence, ...rest] = line.split(' ')
      if (what === 'begin') this.#begin(term!)
      else if (term !== this.#owner) this.faults.push(`two owners: ${line}, while ${this.#owner ?? 'nobody'} owns`)
      if (what === 'end') this.#owner = undefined
      if (what === 'durable') this.#noteDurable(Number(sequence), rest.join(' '))
    }
  }

  #begin(term: string): void {
    this.terms++
    if (this.#owner !== undefined && !this.#killed.has(Number(this.#owner.split('.')[0]))) this.faults.push(`two owners: ${term} begins while ${this.#owner} owns, and lives`)
    this.#owner = term
  }

  #noteDurable(sequence: number, text: string): void {
    const known = this.#durable.get(sequence)
    if (known !== undefined) this.faults.push(`sequence ${sequence} was given to ${known} and to ${text}`)
    this.#durable.set(sequence, text)
  }
}
