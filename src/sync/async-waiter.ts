/**
 * Waiting for an event count without blocking: one outstanding wait a thread, however many callers wait.
 *
 * `Atomics.waitAsync` does not keep a process alive, so a timer does while anybody waits. The same timer is the time
 * limit that no wait may be without.
 */

import { EVENT_EPOCH, prepareWait } from './event-count.js'
import type { AtomicsSeam } from './atomics-seam.js'

/** How often a waiting thread looks for itself whether the other side still lives. */
const TICK_MS = 250

/** Waits for one event count on behalf of one thread. */
export class AsyncWaiter {
  readonly #atomics: AtomicsSeam
  readonly #words: Int32Array
  readonly #base: number
  readonly #serve: () => boolean
  readonly #onTick: () => void
  #timer: ReturnType<typeof setInterval> | undefined
  #isWaiting = false

  /**
   * `serve` settles whoever got what they wait for, and tells whether somebody still waits. `onTick` runs every quarter of
   * a second while somebody does.
   */
  constructor(atomics: AtomicsSeam, words: Int32Array, base: number, serve: () => boolean, onTick: () => void) {
    this.#atomics = atomics
    this.#words = words
    this.#base = base
    this.#serve = serve
    this.#onTick = onTick
  }

  /** Somebody waits, or has stopped waiting: register, look again, then wait. */
  update(): void {
    for (;;) {
      const epoch = prepareWait(this.#atomics, this.#words, this.#base)
      if (!this.#serve()) return this.#stop()
      this.#timer ??= setInterval(() => this.#tick(), TICK_MS)
      // A wait that is already out is woken by the next event, whatever epoch it began with.
      if (this.#isWaiting) return
      const wait = Atomics.waitAsync(this.#words, this.#base + EVENT_EPOCH, epoch, 4 * TICK_MS)
      if (!wait.async) continue
      this.#isWaiting = true
      void wait.value.then(() => {
        this.#isWaiting = false
        if (this.#timer !== undefined) this.update()
      })
      return
    }
  }

  #tick(): void {
    this.#onTick()
    this.update()
  }

  #stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
