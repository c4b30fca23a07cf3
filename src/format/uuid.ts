/** UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then random bits; sorts by time of creation. */

import { randomFillSync } from 'node:crypto'

/** Bytes of a UUID. */
export const UUID_BYTES = 16

/** A new UUIDv7 for the given time (milliseconds since 1970, 0 to 2^48 - 1). */
export function createUuid(ms: number): Uint8Array {
  const uuid = randomFillSync(new Uint8Array(UUID_BYTES))
  const view = new DataView(uuid.buffer)
  view.setUint32(0, Math.floor(ms / 65536))
  view.setUint16(4, ms % 65536)
  uuid[6] = (uuid[6]! & 0x0f) | 0x70
  uuid[8] = (uuid[8]! & 0x3f) | 0x80
  return uuid
}

/** 32 lower-case hex digits, without dashes. */
export function uuidToHex(uuid: Uint8Array): string {
  return Buffer.from(uuid.buffer, uuid.byteOffset, UUID_BYTES).toString('hex')
}

/** The UUID of 32 hex digits. */
export function uuidFromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}
