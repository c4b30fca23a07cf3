/** What of a build's code has run, by V8's precise block coverage: the guide by which a fuzzer keeps inputs. */

import { Session, type Profiler } from 'node:inspector'
import { pathToFileURL } from 'node:url'

/** Takes coverage of all code below one directory, and remembers what was reached before. */
export class CoverageGuide {
  readonly #session = new Session()
  readonly #prefix: string
  /** For each script the characters that have run. */
  readonly #reached = new Map<string, Uint8Array>()
  #reachedCount = 0

  constructor(directory: string) {
    this.#prefix = pathToFileURL(directory).href
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Characters of source that have run so far. */
  get reached(): number {
    return this.#reachedCount
  }

  /** Forgets what has run since the last look, so that the next one is about what comes now. */
  skip(): void {
    this.#take()
  }

  /** Whether something has run since the last look that had not before. With `keeps` it has from now on. */
  look(keeps: boolean): boolean {
    let isNew = false
    for (const { url, functions } of this.#take()) {
      const ranges = functions.flatMap((each) => each.ranges)
      if (url.startsWith(this.#prefix) && ranges.length > 0) isNew = this.#paint(url, ranges, keeps) || isNew
    }
    return isNew
  }

  close(): void {
    this.#session.post('Profiler.stopPreciseCoverage')
    this.#session.disconnect()
  }

  /** The callback of a session of the same thread is called at once. */
  #take(): readonly Profiler.ScriptCoverage[] {
    let taken: readonly Profiler.ScriptCoverage[] = []
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error
      taken = result
    })
    return taken
  }

  /** Inner ranges count instead of what they lie in. */
  #paint(url: string, ranges: Profiler.CoverageRange[], keeps: boolean): boolean {
    ranges.sort((a, b) => (b.endOffset - b.startOffset) - (a.endOffset - a.startOffset))
    const length = ranges.reduce((most, { endOffset }) => Math.max(most, endOffset), 0)
    const now = new Uint8Array(length)
    for (const { startOffset, endOffset, count } of ranges) now.fill(count > 0 ? 1 : 0, startOffset, endOffset)
    const before = this.#reached.get(url) ?? new Uint8Array(0)
    let added = 0
    for (let at = 0; at < length; at++) if (now[at] === 1 && before[at] !== 1) added++
    if (keeps && added > 0) {
      const merged = new Uint8Array(Math.max(length, before.length))
      merged.set(before)
      for (let at = 0; at < length; at++) if (now[at] === 1) merged[at] = 1
      this.#reached.set(url, merged)
      this.#reachedCount += added
    }
    return added > 0
  }
}
