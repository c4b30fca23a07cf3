/** A reading that goes on beside whatever a program does, by the files alone, as another process would read them. */

import { setImmediate as turn } from 'node:timers/promises'
import type { LogEntry } from '../../../dist/src/index.js'
import type { Build } from './world.js'

/** How long news of a change may be on its way, in turns of the event loop; what comes later is seen the next time. */
const TURNS = 20

/** The reading. It follows the log until {@link end}, or until it fails. */
export class OutsideReading {
  /** The sequence that comes next; undefined before the first. */
  expected: number | undefined
  readonly #entries: AsyncGenerator<LogEntry, void, undefined>
  readonly #ending = new AbortController()
  #coming: Promise<LogEntry | undefined> | undefined
  #isWaiting = false
  #whenWaiting = (): void => undefined

  constructor(code: Build, directory: string) {
    this.#entries = code.readLog(directory, { follow: true, signal: this.#ending.signal, onCaughtUp: () => {
      this.#isWaiting = true
      this.#whenWaiting()
    } })
  }

  /** The next entry; undefined: it knows of none. Rejects with what ends the reading. */
  async next(): Promise<LogEntry | undefined> {
    if (this.#coming === undefined) {
      this.#isWaiting = false
      this.#coming = this.#entries.next().then(({ value }) => value ?? undefined)
    }
    let isHere = false
    const coming = this.#coming.finally(() => {
      isHere = true
    })
    const caughtUp = new Promise<void>((resolve) => {
      this.#whenWaiting = resolve
      if (this.#isWaiting) resolve()
    })
    await Promise.race([coming, caughtUp])
    for (let turns = 0; turns < TURNS && !isHere; turns++) await turn()
    if (!isHere) return undefined
    this.#coming = undefined
    return await coming
  }

  async end(): Promise<void> {
    this.#ending.abort()
    await this.#coming?.catch(() => undefined)
    await this.#entries.return()
  }
}
