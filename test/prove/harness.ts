/**
 * What a harness is: something that looks for faults in a build of the library, in as many cases as its size says, each case reached again by
 * its name and the run's seed.
 */

/** What a harness is run with. */
export interface ProveOptions {
  /** All that is random is drawn from it. */
  readonly seed: number
  /** Nightly size rather than the quick one. */
  readonly long: boolean
  /** One fault is enough: a seeded bug is looked for. */
  readonly stopAtFirst: boolean
  /** Only this case, as a fault named it. */
  readonly caseName: string | undefined
  /** The build under test: a directory with `src/` and `workers/` in it, `dist` or a copy with a seeded bug. */
  readonly build: string
  /** A directory for what the harness writes. It stays when something is found. */
  readonly directory: string
  /** One line of progress. */
  say(line: string): void
}

/** Something that must not be. */
export interface Fault {
  /** Names the case for `--case`. */
  readonly caseName: string
  readonly what: string
}

/** What a harness found. */
export interface ProveResult {
  readonly cases: number
  readonly faults: readonly Fault[]
  /** Why it could not run here: it needs root, or a tool that is not there. */
  readonly skipped?: string
}

/** A harness. Each runs in a process of its own. */
export interface Harness {
  run(options: ProveOptions): Promise<ProveResult>
}
