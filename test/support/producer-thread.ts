/** Other threads of a test or a harness, each with a producer of its own, obeying one call at a time or several at once. */

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { LogHandle } from '../../dist/src/index.js'
import { whenOver } from './leftovers.js'

const SCRIPT = new URL('./producer-thread.mjs', import.meta.url)

/** What another thread was asked for failed there. */
export interface RemoteError {
  readonly name: string
  readonly code?: string
  readonly message: string
  readonly cause?: string
}

/** A call that failed on the other thread. */
export class RemoteFailure extends Error {
  readonly remote: RemoteError
  constructor(remote: RemoteError) {
    super(`${remote.code ?? remote.name}: ${remote.message}`)
    this.remote = remote
  }
}

/** A thread that obeys; terminated when the test or harness is over. */
export class ProducerThread {
  readonly worker: Worker
  #nextId = 1
  readonly #pending = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()

  static async start(handle?: LogHandle): Promise<ProducerThread> {
    const thread = new ProducerThread(new Worker(SCRIPT, { workerData: { handle } }))
    whenOver(async () => void (await thread.worker.terminate()))
    await once(thread.worker, 'message')
    return thread
  }

  private constructor(worker: Worker) {
    this.worker = worker
    worker.on('message', ({ id, value, error }: { id: number; value: never; error?: RemoteError }) => {
      const pending = this.#pending.get(id)
      this.#pending.delete(id)
      if (error === undefined) pending?.resolve(value)
      else pending?.reject(new RemoteFailure(error))
    })
    worker.on('error', () => undefined)
  }

  /** Has the thread do something; resolves with what it returned. */
  async ask<Value = unknown>(act: string, argument?: unknown): Promise<Value> {
    return await new Promise<Value>((resolve, reject) => {
      const id = this.#nextId++
      this.#pending.set(id, { resolve: resolve as (value: never) => void, reject })
      this.worker.postMessage({ id, act, argument })
    })
  }

  /** {@link ask} for something that must fail; resolves with the error as it was there. */
  async askFailing(act: string, argument?: unknown): Promise<RemoteError> {
    try {
      await this.ask(act, argument)
    } catch (error) {
      return (error as RemoteFailure).remote
    }
    throw new Error(`${act} was to fail, and did not`)
  }
}
