/**
 * A dead letter: an entry that failed for good, as it stands in its dead-letter log. Little-endian.
 *
 * ```
 *  0–3       'DEAD'
 *  4–7       bytes of the description, u32
 *  8–        description: JSON, UTF-8, see {@link DeadLetterInfo}
 *  then      the entry's own bytes, to the end
 * ```
 *
 * Valid iff (1) 8 bytes are there; (2) the letters stand; (3) the description fits in what is left; (4) it is a JSON object with
 * `consumer`, `sequence`, `timestamp`, `attempts` and `error` of their types.
 */

import { inspect } from 'node:util'

/** 'DEAD' read as a little-endian u32. */
const MAGIC = 0x44414544
const DESCRIPTION_LENGTH = 4
const DESCRIPTION = 8

/** What is told of a dead letter. */
export interface DeadLetterInfo {
  readonly consumer: string
  /** The entry's sequence and timestamp (ms since 1970) in the log that it came from. */
  readonly sequence: number
  readonly timestamp: number
  readonly attempts: number
  /** What the last attempt failed with. */
  readonly error: { readonly name: string; readonly message: string; readonly code?: string; readonly stack?: string }
}

/** A dead letter in code. */
export interface DeadLetter extends DeadLetterInfo {
  /** The entry's bytes. */
  readonly data: Buffer
}

/** The bytes of a dead letter. */
export function encodeDeadLetter(info: DeadLetterInfo, data: Uint8Array): Buffer {
  const description = Buffer.from(JSON.stringify(info))
  const bytes = Buffer.allocUnsafe(DESCRIPTION + description.length + data.length)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt32LE(description.length, DESCRIPTION_LENGTH)
  description.copy(bytes, DESCRIPTION)
  bytes.set(data, DESCRIPTION + description.length)
  return bytes
}

/** The dead letter in an entry's bytes; undefined when they are none. */
export function decodeDeadLetter(bytes: Buffer): DeadLetter | undefined {
  if (bytes.length < DESCRIPTION || bytes.readUInt32LE(0) !== MAGIC) return undefined
  const length = bytes.readUInt32LE(DESCRIPTION_LENGTH)
  if (length > bytes.length - DESCRIPTION) return undefined
  let info: unknown
  try {
    info = JSON.parse(bytes.toString('utf8', DESCRIPTION, DESCRIPTION + length))
  } catch {
    return undefined // Any bytes may stand there.
  }
  return isInfo(info) ? { ...info, data: bytes.subarray(DESCRIPTION + length) } : undefined
}

function isInfo(value: unknown): value is DeadLetterInfo {
  if (value === null || typeof value !== 'object') return false
  const { consumer, sequence, timestamp, attempts, error } = value as Partial<DeadLetterInfo>
  const isError = typeof error === 'object' && error !== null && typeof error.name === 'string' && typeof error.message === 'string'
    && ['undefined', 'string'].includes(typeof error.code) && ['undefined', 'string'].includes(typeof error.stack)
  return typeof consumer === 'string' && Number.isSafeInteger(sequence) && Number.isFinite(timestamp) && Number.isSafeInteger(attempts) && isError
}

/** UTF-16 units of each text of an error that are kept; in JSON at most six times as many bytes. */
const MAX_TEXT_LENGTH = 8192
const MAX_NAME_LENGTH = 256

/** What is kept of anything that was thrown: an error of any realm, or no error at all. Never throws. */
export function describeError(thrown: unknown): DeadLetterInfo['error'] {
  try {
    const { name, message, stack, code } = Object(thrown) as Record<string, unknown>
    if (typeof message !== 'string') return { name: 'Error', message: (typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 1 })).slice(0, MAX_TEXT_LENGTH) }
    return {
      name: typeof name === 'string' ? name.slice(0, MAX_NAME_LENGTH) : 'Error',
      message: message.slice(0, MAX_TEXT_LENGTH),
      ...(typeof code === 'string' && { code: code.slice(0, MAX_NAME_LENGTH) }),
      ...(typeof stack === 'string' && { stack: stack.slice(0, MAX_TEXT_LENGTH) }),
    }
  } catch {
    return { name: 'Error', message: 'what was thrown cannot be looked at' } // Getters and proxies may throw themselves.
  }
}
