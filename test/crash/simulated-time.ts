/** Time as a crash run wants it: it moves only when told, so that a run is a function of its seed. */

import { performance } from 'node:perf_hooks'

/** A wall clock that can be set, and a monotonic one. In milliseconds. */
export class SimulatedTime {
  #wallMs: number
  #monotonicMs = 1000

  constructor(wallMs: number) {
    this.#wallMs = wallMs
  }

  get wallMs(): number {
    return this.#wallMs
  }

  get monotonicMs(): number {
    return this.#monotonicMs
  }

  /** Time goes by. */
  advance(ms: number): void {
    this.#wallMs += ms
    this.#monotonicMs += ms
  }

  /** Somebody sets the clock, forward or back. */
  setWall(ms: number): void {
    this.#wallMs = ms
  }

  /** Runs `act` with `Date.now` and `performance.now` telling this time. */
  during<Value>(act: () => Value): Value {
    const realNow = Date.now
    Date.now = () => Math.floor(this.#wallMs)
    const own = Object.getOwnPropertyDescriptor(performance, 'now')
    Object.defineProperty(performance, 'now', { configurable: true, writable: true, value: () => this.#monotonicMs })
    try {
      return act()
    } finally {
      Date.now = realNow
      if (own === undefined) delete (performance as { now?: unknown }).now
      else Object.defineProperty(performance, 'now', own)
    }
  }
}
