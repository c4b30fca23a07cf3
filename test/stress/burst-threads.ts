/** Threads that append at full speed, what each has had accepted, and the proof that all of that is in the log. */

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Log } from '../../dist/src/index.js'

const SCRIPT = new URL('./fixtures/burst-thread.mjs', import.meta.url)

/** How a thread appends. */
export interface BurstPlan {
  readonly way?: 'append' | 'ready' | 'once' | 'mixed'
  /** Bytes of filler in an entry; at most so many, with `'mixed'`. */
  readonly bytes?: number
  readonly limit?: number
  /** Milliseconds of rest after 20 entries. */
  readonly pause?: number
  /** For `'mixed'`: what is drawn. */
  readonly seed?: number
}

/** A thread and its count. */
export interface BurstThread {
  readonly worker: Worker
  readonly index: number
  readonly name: string
  readonly ended: Promise<unknown>
}

/** Threads over one log. */
export class BurstThreads {
  readonly #log: Log
  readonly #progress: Int32Array
  /** How many entries the call takes that a thread is in, or was in last. */
  readonly #underWay: Int32Array
  readonly #stop = new Int32Array(new SharedArrayBuffer(4))
  readonly #threads: BurstThread[] = []

  constructor(log: Log, most: number) {
    this.#log = log
    this.#progress = new Int32Array(new SharedArrayBuffer(4 * most))
    this.#underWay = new Int32Array(new SharedArrayBuffer(4 * most)).fill(1)
  }

  /** Starts a thread; needs no turn of the caller's event loop. */
  start({ way = 'append', bytes = 40, limit = Infinity, pause = 0, seed = 0 }: BurstPlan = {}): BurstThread {
    const index = this.#threads.length
    const name = `thread-${index}`
    const workerData = { handle: this.#log.handle(), name, progress: this.#progress, underWay: this.#underWay, index, stop: this.#stop, bytes, limit, pause, way, seed }
    const worker = new Worker(SCRIPT, { workerData, execArgv: [] })
    const ended = once(worker, 'exit')
    // Who waits for its end is told that it failed; nobody may have begun to.
    ended.catch(() => undefined)
    const thread = { worker, index, name, ended }
    this.#threads.push(thread)
    return thread
  }

  accepted(thread: BurstThread): number {
    return Atomics.load(this.#progress, thread.index)
  }

  /** Resolves when `thread` has had an entry accepted. Rejects when it ends before that. */
  async untilFirst(thread: BurstThread): Promise<void> {
    let isEnded = false
    void thread.ended.catch(() => undefined).then(() => (isEnded = true))
    while (this.accepted(thread) === 0) {
      if (isEnded) throw new Error(`${thread.name} has ended without an entry`)
      await sleep(1)
    }
  }

  /** Blocks the calling thread until `thread` has had `count` more entries accepted; false after `limitMs`. */
  waitForMore(thread: BurstThread, count: number, limitMs = 20_000): boolean {
    const goal = this.accepted(thread) + count
    const endMs = performance.now() + limitMs
    for (;;) {
      const now = this.accepted(thread)
      if (now >= goal) return true
      if (performance.now() > endMs) return false
      Atomics.wait(this.#progress, thread.index, now, 1)
    }
  }

  /** Has the threads that still run stop by themselves, and waits for their end. */
  async stop(): Promise<void> {
    Atomics.store(this.#stop, 0, 1)
    Atomics.notify(this.#stop, 0)
    await this.untilEnded()
  }

  async untilEnded(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.ended))
  }

  /**
   * What is wrong with the log, which is flushed. Legal is: each thread's entries are those it counted, in order, once; or these and all of
   * the call that it was in (accepted, and killed before it was counted). Sequences are dense but for aborted ones, timestamps never fall.
   */
  async findFaults(): Promise<{ faults: string[]; entries: number; aborted: number }> {
    const faults: string[] = []
    const found = new Map<string, number>()
    let entries = 0
    let last = 0
    let lastTimestamp = 0
    for await (const batch of this.#log.readBatches()) {
      for (const entry of batch) {
        entries++
        if (entry.sequence <= last) faults.push(`sequence ${entry.sequence} comes after ${last}`)
        last = entry.sequence
        if (entry.timestamp < lastTimestamp) faults.push(`sequence ${last} has a timestamp below the one before`)
        lastTimestamp = entry.timestamp
        const [name, count] = entry.data.toString('latin1', 0, 40).split(' ')
        const next = found.get(name!) ?? 0
        if (Number(count) !== next) faults.push(`sequence ${last}: ${name} has ${count} where ${next} comes next`)
        found.set(name!, next + 1)
      }
    }
    for (const thread of this.#threads) {
      const count = found.get(thread.name) ?? 0
      const accepted = this.accepted(thread)
      if (count !== accepted && count !== accepted + Atomics.load(this.#underWay, thread.index)) faults.push(`${thread.name} had ${accepted} entries accepted, ${count} are there`)
    }
    const { aborted } = this.#log.stats()
    if (entries + aborted !== this.#log.lastSequence) {
      faults.push(`${entries} entries and ${aborted} aborted ones do not make ${this.#log.lastSequence} sequences`)
    }
    return { faults, entries, aborted }
  }
}
