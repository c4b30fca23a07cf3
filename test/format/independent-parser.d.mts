/** What the independent parser gives out. */

export interface IndependentCursor { readonly name: string; readonly sequence: number; readonly epoch: number }

export interface IndependentEntry { readonly kind: 'entry'; readonly sequence: number; readonly ticks: bigint; readonly data: Buffer; readonly offset: number }

export type IndependentFrame =
  | IndependentEntry
  | { readonly kind: 'aborted' | 'gap'; readonly first: number; readonly last: number; readonly offset: number }
  | {
    readonly kind: 'trailer'; readonly uuid: string; readonly offset: number; readonly batchStart: number; readonly first: number; readonly last: number
    readonly durable: number; readonly previousChecksum: number; readonly previousUuid: string; readonly cursors: readonly IndependentCursor[] | undefined
  }

export interface IndependentName { readonly name: string; readonly uuid: string; readonly createdMs: number }

export interface IndependentSegment extends IndependentName {
  readonly path: string
  readonly sealed: boolean
  readonly firstSequence: number
  /** Undefined when an open segment has not even a first trailer. */
  readonly lastSequence: number | undefined
  readonly durableSequence: number | undefined
  readonly previousUuid: string | undefined
  readonly firstTicks: bigint
  readonly lastTicks: bigint
  readonly entryCount: number
  readonly fileBytes: number
  readonly cursors: readonly IndependentCursor[] | undefined
  readonly index: readonly { readonly sequence: number; readonly ticks: bigint; readonly offset: number }[]
  /** What stands behind the last whole batch. */
  readonly tail: 'end' | 'zeros' | 'torn'
  readonly endOffset: number
  readonly endTicks: bigint
}

export interface IndependentDirectory {
  readonly directory: string
  readonly names: readonly string[]
  readonly others: readonly string[]
  /** Filled as `frames` or `entries` pass the segments. */
  readonly segments: readonly IndependentSegment[]
  frames(): Generator<IndependentFrame, void>
  entries(): Generator<IndependentEntry, void>
}

export class FormatError extends Error {
  readonly file: string
  readonly offset: number
  readonly rule: string
}

export function parseName(name: string): IndependentName | undefined
export function parseSegment(path: string, name: IndependentName, floorTicks?: bigint): Generator<IndependentFrame, IndependentSegment>
export function parseDirectory(directory: string): IndependentDirectory
