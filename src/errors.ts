/**
 * Every error that leaves the library, and the only place that carries errors between threads.
 *
 * A structured clone drops `code`, and shared memory holds bytes, not objects; so an error
 * crosses as an {@link ErrorRecord} and is made anew on the other side.
 */

/** The codes of {@link WalError}. Stable within a major version. */
export type WalErrorCode =
  /** The log was closed; the call came after `close()`. */
  | 'ERR_WAL_CLOSED'
  /** The log failed for good (a failed write or sync, or the writer thread died); `cause` says why. */
  | 'ERR_WAL_FAILED'
  /** The ring has no room and `whenFull` is `'throw'`, or `'block'` ran into `blockTimeoutMs`. */
  | 'ERR_WAL_FULL'
  /** The disk is full, or the log has reached `retention.maxBytes` and may drop nothing; appends go on by themselves once there is room. */
  | 'ERR_WAL_DISK_FULL'
  /** Another process or another log of this process holds the directory. */
  | 'ERR_WAL_LOCKED'
  /** Provably acknowledged data is damaged or missing; `file`, `offset`, `firstSequence`, `lastSequence` say what. */
  | 'ERR_WAL_CORRUPT'
  /** The entries that were asked for have been removed from the log. */
  | 'ERR_WAL_TRIMMED'
  /** The operating system refused a file operation; `cause` is its error. */
  | 'ERR_WAL_IO'
  /** More than 1,024 threads are attached to one log. */
  | 'ERR_WAL_TOO_MANY_PRODUCERS'
  /** The log has 4,096 consumers. */
  | 'ERR_WAL_TOO_MANY_CONSUMERS'
  /** A consumer's cursor was sought or removed while somebody waited for its commit. */
  | 'ERR_WAL_CURSOR'
  /** A consumer's handler failed `maxAttempts` times with an entry, and there is no dead-letter log; `cause` is the last failure. */
  | 'ERR_WAL_HANDLER'
  /** A consumer runs already: one `run`, `runBatches` or iteration at a time. */
  | 'ERR_WAL_BUSY'
  /** The uploaded file of an entry is missing or damaged; `file` and `firstSequence` say which. */
  | 'ERR_WAL_BLOB'
  /** A handle is from another version of this package, or not a handle. */
  | 'ERR_WAL_HANDLE'
  /** A rule of the ring protocol was broken: a bug here, or foreign code writing to the shared memory. */
  | 'ERR_WAL_PROTOCOL'
  /** Something that cannot happen has happened: a bug in this package. */
  | 'ERR_WAL_INVARIANT'

/** Where and what, for the errors that know it. */
export interface WalErrorDetails {
  /** The file concerned, as a path. */
  readonly file?: string
  /** Byte offset within `file`. */
  readonly offset?: number
  /** First sequence concerned. */
  readonly firstSequence?: number
  /** Last sequence concerned. */
  readonly lastSequence?: number
  /** The holder of a locked directory. */
  readonly owner?: LockOwner
}

/** Who holds the lock of a directory, as its lock file tells. */
export interface LockOwner {
  /** Process id, in the owner's own pid namespace. */
  readonly pid: number
}

/** An error of the log. `code` tells which; the details tell where. */
export class WalError extends Error {
  readonly code: WalErrorCode
  declare readonly file?: string
  declare readonly offset?: number
  declare readonly firstSequence?: number
  declare readonly lastSequence?: number
  declare readonly owner?: LockOwner

  constructor(code: WalErrorCode, message: string, details: WalErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'WalError'
    this.code = code
    Object.assign(this, details)
  }
}

/** What the operating system refused, as `ERR_WAL_IO`: `what` begins the message, `file` is told where the system names none. Any other error as it is. */
export function asIoError(error: unknown, what: string, file: string): unknown {
  if (error instanceof WalError || typeof (error as NodeJS.ErrnoException | undefined)?.syscall !== 'string') return error
  const { message, path } = error as NodeJS.ErrnoException
  return new WalError('ERR_WAL_IO', `${what}: ${message}`, { file: path ?? file }, error)
}

/** Throws `ERR_WAL_INVARIANT` unless `condition` holds. Guards the impossible; stays on in production. */
export function invariant(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new WalError('ERR_WAL_INVARIANT', `invariant broken: ${claim}`)
}

/** An error as plain data, to be carried between threads. */
export interface ErrorRecord {
  readonly name: string
  readonly code?: string
  readonly message: string
  readonly details: WalErrorDetails & { readonly syscall?: string; readonly path?: string; readonly errno?: number }
  readonly cause?: ErrorRecord
}

const CARRIED = ['file', 'offset', 'firstSequence', 'lastSequence', 'owner', 'syscall', 'path', 'errno'] as const

/** Turns any thrown value into a record. Never throws. */
export function toErrorRecord(error: unknown, depth = 0): ErrorRecord {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), details: {} }
  const source = error as Error & Record<string, unknown>
  const details: Record<string, unknown> = {}
  for (const key of CARRIED) if (source[key] !== undefined) details[key] = source[key]
  return {
    name: error.name,
    message: error.message,
    details,
    ...(typeof source.code === 'string' ? { code: source.code } : {}),
    ...(error.cause !== undefined && depth < 4 ? { cause: toErrorRecord(error.cause, depth + 1) } : {}),
  }
}

/** Makes the error of a record: a {@link WalError} where it was one, else an `Error` with the same code and details. */
export function fromErrorRecord(record: ErrorRecord): Error {
  const cause = record.cause === undefined ? undefined : fromErrorRecord(record.cause)
  if (record.name === 'WalError' && record.code !== undefined) {
    return new WalError(record.code as WalErrorCode, record.message, record.details, cause)
  }
  const error = new Error(record.message, cause === undefined ? undefined : { cause })
  error.name = record.name
  return Object.assign(error, record.details, record.code === undefined ? {} : { code: record.code })
}

/** A `TypeError` in Node's own form: the argument's name, what was expected, what came. */
export function wrongType(name: string, expected: string, actual: unknown): TypeError {
  const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${describe(actual)}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' })
}

/** A `RangeError` in Node's own form. */
export function outOfRange(name: string, expected: string, actual: unknown): RangeError {
  const error = new RangeError(`The value of "${name}" is out of range. It must be ${expected}. Received ${describe(actual)}`)
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' })
}

/** A `TypeError` for a value of the right type that is not one of the allowed ones. */
export function wrongValue(name: string, expected: string, actual: unknown): TypeError {
  const error = new TypeError(`The argument "${name}" must be ${expected}. Received ${describe(actual)}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' })
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return `type string (${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)})`
  if (typeof value === 'function') return `function ${value.name}`
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`
  return `type ${typeof value} (${String(value)})`
}
