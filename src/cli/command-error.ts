/** How a command ends other than well: a message on stderr, and an exit status. */

import { WalError } from '../errors.js'

/** Exit statuses. `verify` has its own meanings for 1 and 2. */
export const STATUS = {
  done: 0,
  torn: 1,
  corrupt: 2,
  usage: 2,
  failed: 3,
  interrupted: 130,
  terminated: 143,
} as const

/** Something that the user can do something about. */
export class CommandError extends Error {
  readonly status: number

  constructor(message: string, status: number = STATUS.failed, cause?: unknown) {
    super(message, { cause })
    this.name = 'CommandError'
    this.status = status
  }
}

/** For what opening a log rejects with: a value that it refuses came from the command line, and is wrong usage. */
export function blameUsage(error: unknown): never {
  const { code, message } = error as NodeJS.ErrnoException
  throw code === 'ERR_OUT_OF_RANGE' ? new CommandError(message, STATUS.usage, error) : error
}

const PLAIN_WORDS: Record<string, string> = {
  ENOENT: 'there is no such directory',
  ENOTDIR: 'it is not a directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
}

/** What the system's error means, in words where there are any. */
export function inPlainWords(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return PLAIN_WORDS[code ?? ''] ?? message
}

/** The message for any error: one line where it was to be expected, with a stack trace where it is a bug. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof CommandError || error instanceof WalError) return error.message
  return 'code' in error ? error.message : (error.stack ?? error.message)
}
