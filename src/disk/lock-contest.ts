/** What the ways to lock a directory have in common: the caller's attempts, who is in the way, and what is won. */

/** A directory that is held. */
export interface DirectoryLock {
  /** Gives the directory free, at once; can be repeated, never rejects. The owner's last act on the directory. */
  release(): Promise<void>
}

/** One caller's attempts to get one directory. */
export interface Contest {
  /** Tries once; if the directory cannot be had now, tells who is in the way. */
  attempt(): Promise<DirectoryLock | Rival>
  /** Leaves nothing behind but the lock, if it was won. */
  end(): void
}

/** Who is in the way. */
export interface Rival {
  readonly pid?: number
  /** False for one that has yet to win or withdraw. */
  readonly owns: boolean
  /** Why it could not be asked, if so. */
  readonly cause?: Error
}

/** The mode of a file that shows who holds, or wants, the lock. */
export const CANDIDATE_MODE = 0o600

/** A lock that `free` gives free, once. */
export function heldLock(free: () => void): DirectoryLock {
  let held = true
  return {
    async release() {
      if (held) free()
      held = false
    },
  }
}

/** Does what the caller can do without. */
export function ignoreFailure(act: () => void): void {
  try {
    act()
  } catch { /* Nothing is lost. */ }
}

/** The system's code of an error; empty when it has none. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}
