/**
 * Names of segment files: `{yyyyMMddHHmmss}-{UUIDv7, 32 hex digits}.wal`, UTC.
 *
 * Both parts come from one creation time, so names sort as they were created. Only what matches exactly is
 * looked at; no path is ever taken from data. A file that is freed and not used again yet is `{32 hex digits}.spare`.
 */

import { invariant } from '../errors.js'
import { createUuid, uuidFromHex, uuidToHex } from './uuid.js'

/** 9999-12-31: a stamp has four digits for the year. */
const MAX_DATE_MS = 253_402_300_799_999
const SPARE_NAME = /^[0-9a-f]{32}\.spare$/
const SEGMENT_NAME = /^\d{14}-([0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15})\.wal$/

/** A segment's file name and what it tells. */
export interface SegmentName {
  readonly name: string
  readonly uuid: Uint8Array
  /** Creation time in milliseconds since 1970, out of the UUID. */
  readonly createdMs: number
}

/** A new name for a creation time in milliseconds since 1970, in the year 9999 at the latest: under a later one nobody would find the segment again. */
export function createSegmentName(createdMs: number): SegmentName {
  invariant(createdMs <= MAX_DATE_MS, 'a new segment is begun in the year 9999 at the latest')
  return nameOf(createUuid(createdMs), createdMs)
}

/** The name of the segment with that UUID; undefined when a segment's can not be. */
export function segmentNameOf(uuid: Uint8Array): SegmentName | undefined {
  const createdMs = Number.parseInt(uuidToHex(uuid).slice(0, 12), 16)
  const name = createdMs > MAX_DATE_MS ? undefined : nameOf(uuid, createdMs)
  return name !== undefined && SEGMENT_NAME.test(name.name) ? name : undefined
}

function nameOf(uuid: Uint8Array, createdMs: number): SegmentName {
  const stamp = new Date(createdMs).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)
  return { name: `${stamp}-${uuidToHex(uuid)}.wal`, uuid, createdMs }
}

/** What a file name says, or undefined when it is not a segment's. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const hex = SEGMENT_NAME.exec(name)?.[1]
  if (hex === undefined) return undefined
  const createdMs = Number.parseInt(hex.slice(0, 12), 16)
  return createdMs > MAX_DATE_MS ? undefined : { name, uuid: uuidFromHex(hex), createdMs }
}

/** The name that a segment's file has while it is freed and waits to be used again. */
export function spareName({ uuid }: SegmentName): string {
  return `${uuidToHex(uuid)}.spare`
}

/** Whether a file name is that of a spare. */
export function isSpareName(name: string): boolean {
  return SPARE_NAME.test(name)
}
