/** Being told of changes in a directory by another process, without spending CPU while there are none. */

import { watch, type FSWatcher } from 'node:fs'

/** Where the system cannot tell of changes (a network file system), they are looked for this often. */
const POLL_MS = 1000

/** Waits for changes in one directory. */
export class DirectoryWatch {
  readonly #watcher: FSWatcher | undefined
  #hasChanged = false
  #wake: (() => void) | undefined

  constructor(path: string) {
    const changed = (): void => {
      this.#hasChanged = true
      this.#wake?.()
    }
    try {
      this.#watcher = watch(path, changed)
      this.#watcher.on('error', changed)
    } catch {
      // No watches left, or none here: the poll below is enough.
    }
  }

  /** Resolves after a change since the last call, or after a second. Rejects with the signal's reason. */
  async next(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (!this.#hasChanged) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, POLL_MS)
        function done(): void {
          clearTimeout(timer)
          signal?.removeEventListener('abort', done)
          resolve()
        }
        this.#wake = done
        signal?.addEventListener('abort', done)
      })
      this.#wake = undefined
    }
    this.#hasChanged = false
    signal?.throwIfAborted()
  }

  close(): void {
    this.#watcher?.close()
  }
}
