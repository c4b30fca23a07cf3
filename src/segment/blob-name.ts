/**
 * Names of uploaded files. A *blob* is `blobs/{sequence, 16 digits}.blob`, named by the entry that tells of it. While it is written it is
 * `blobs/incoming/{32 hex digits}.part`; when it is complete and its entry is about to be appended,
 * `blobs/incoming/{sequence, 16 digits}-{32 hex digits}.blob`, with a sequence that the entry's is not below.
 *
 * Only what matches exactly is looked at; no path is ever taken from data.
 */

/** Below the log's directory. */
export const BLOBS = 'blobs'
/** Below {@link BLOBS}. */
export const INCOMING = 'incoming'

const BLOB_NAME = /^(\d{16})\.blob$/
const PART_NAME = /^[0-9a-f]{32}\.part$/
const READY_NAME = /^(\d{16})-([0-9a-f]{32})\.blob$/

/** The file name of the blob of an entry. */
export function blobName(sequence: number): string {
  return `${digits(sequence)}.blob`
}

/** The sequence in a blob's file name; undefined when it is none. */
export function parseBlobName(name: string): number | undefined {
  return sequenceOf(BLOB_NAME.exec(name)?.[1])
}

/** The name of a blob that is being written. */
export function partName(uuid: string): string {
  return `${uuid}.part`
}

/** Whether a file name is that of a blob that is being written. */
export function isPartName(name: string): boolean {
  return PART_NAME.test(name)
}

/** The name of a complete blob whose entry will have `fromSequence` or a later one. */
export function readyName(fromSequence: number, uuid: string): string {
  return `${digits(fromSequence)}-${uuid}.blob`
}

/** What the name of a complete blob says; undefined when it is none. */
export function parseReadyName(name: string): { readonly fromSequence: number; readonly uuid: string } | undefined {
  const match = READY_NAME.exec(name)
  const fromSequence = sequenceOf(match?.[1])
  return match === null || fromSequence === undefined ? undefined : { fromSequence, uuid: match[2]! }
}

/** Sixteen digits may be more than a number can tell exactly: then it is no sequence. */
function sequenceOf(text: string | undefined): number | undefined {
  const sequence = Number(text)
  return Number.isSafeInteger(sequence) ? sequence : undefined
}

function digits(sequence: number): string {
  return String(sequence).padStart(16, '0')
}
