/** The calls that can go wrong, the ways in which each can, and what may come of it. */

import { join } from 'node:path'
import { TRAILER_BYTES } from '../../dist/src/format/trailer-layout.js'
import { below, seededRandom } from '../model/random.js'
import type { CallFault, Injection, ThreadName, TracedCall } from './traced-program.js'

/** The programs whose calls are tried: one that begins from nothing, one that begins with what a kill has left. */
export const SCENARIOS = ['fresh', 'left'] as const
export type Scenario = typeof SCENARIOS[number]

/** One call of one program, and what happens to it. */
export interface Point extends Injection {
  readonly scenario: Scenario
  /** What is done to what: calls of one kind are alike. */
  readonly kind: string
}

/** What may come of a call that fails, or is the last one. */
export type Outcome = 'went on' | 'opening refused' | 'step refused' | 'failed for good' | 'killed'

const NO_ROOM = 'ENOSPC'
const FROM_THE_DISK = ['EIO', 'EROFS', NO_ROOM]
/** The errors that a call can meet. EROFS: a file system that has found itself damaged takes no more. ENOSPC: on copy-on-write systems anything takes room. */
const ERRORS: Readonly<Record<string, readonly string[]>> = {
  openat: ['EIO', 'EMFILE'],
  'openat, new': [...FROM_THE_DISK, 'EMFILE'],
  socket: ['EMFILE'],
  fchmod: ['EIO', 'EROFS'],
  chmod: ['EIO', 'EROFS'],
}

/** A point's name, for `--case`. */
export function nameOf({ scenario, thread, call, ordinal, fault }: Point): string {
  return [scenario, thread, call, ordinal, 'error' in fault ? fault.error : `kill-${fault.kill}`].join('/')
}

/** The point of that name, as far as it is told without a run. */
export function pointOf(name: string): Point {
  const [scenario, thread, call, ordinal, what] = name.split('/') as [Scenario, ThreadName, string, string, string]
  const kill = /^kill-(before|after)$/.exec(what)?.[1] as 'before' | 'after' | undefined
  return { scenario, thread, call, ordinal: Number(ordinal), fault: kill === undefined ? { error: what } : { kill }, kind: call }
}

/** All points of the calls that a run without faults made. */
export function pointsOf(scenario: Scenario, root: string, calls: ReadonlyMap<ThreadName, readonly TracedCall[]>): Point[] {
  return [...calls].flatMap(([thread, ofThread]) => ofThread.filter((call) => isOurs(call, root)).flatMap((call, index, ours) => {
    const kind = kindOf(call, root) + syncedContent(call, ours.slice(0, index))
    return faultsOf(call).map((fault) => ({ scenario, thread, call: call.name, ordinal: call.ordinal, fault, kind: `${thread}: ${kind}` }))
  }))
}

/** The rest are Node's own, or those of the program to its parent. */
function isOurs({ name, path }: TracedCall, root: string): boolean {
  return path.startsWith(root) || name === 'socket'
}

function faultsOf(call: TracedCall): CallFault[] {
  const name = callKind(call)
  const faults: CallFault[] = (ERRORS[name] ?? FROM_THE_DISK).map((error) => ({ error }))
  return name === 'openat' || name === 'socket' ? faults : [...faults, { kill: 'before' }, { kill: 'after' }]
}

function callKind(call: TracedCall): string {
  return isNew(call) ? 'openat, new' : call.name
}

function isNew({ name, text }: TracedCall): boolean {
  return name === 'openat' && text.includes('O_CREAT')
}

/** A call with what it is about: `fdatasync segment`. */
export function kindOf(call: TracedCall, root: string): string {
  const path = call.path === root ? 'parent' : call.path.slice(join(root, 'log').length).replace(/^\//, '')
  const files: readonly (readonly [RegExp, string])[] = [
    [/^lock-/, 'lock'], [/\.wal$/, 'segment'], [/\.spare$/, 'spare'], [/^reserve$/, 'reserve'], [/\.part$/, 'half upload'],
    [/^blobs\/incoming\/.*\.blob$/, 'whole upload'], [/\.blob$/, 'blob'], [/^(parent|blobs(\/incoming)?)?$/, `directory ${path}`],
  ]
  const file = call.name === 'socket' ? '' : files.find(([pattern]) => pattern.test(path))?.[1] ?? path
  return `${callKind(call)} ${file}${file === 'segment' ? contentOf(call) : ''}`.trim()
}

/** What is written to a segment, by its first bytes. A mark that is longer than others carries cursors. */
function contentOf({ name, text }: TracedCall): string {
  if (!name.startsWith('pwrite')) return ''
  if (text.includes('WAL!')) return ', header'
  if (/"[^"]*MSG![^]{20}IDX!/.test(text)) return ', index'
  if (/^\w+\([^"]*"MSG![^]{20}CMT!/.test(text)) return Number(/ = (\d+)/.exec(text)?.[1] ?? 0) > TRAILER_BYTES ? ', commit' : ', mark'
  return text.includes('MSG!') ? ', entries' : ', zeros'
}

/** What a sync is for: what was written last to that segment. */
function syncedContent({ name, path }: TracedCall, before: readonly TracedCall[]): string {
  if (name !== 'fdatasync' || !path.endsWith('.wal')) return ''
  const write = before.findLast((call) => call.path === path && call.name.startsWith('pwrite'))
  return write === undefined ? '' : contentOf(write)
}

/**
 * Of each kind of changing call the first one, with all its faults but the one that differs from another in its number only; the last one with
 * its errors, since nothing later removes what these may have left; and of all others as many as `most` allows,
 * drawn at random.
 */
export function samplePoints(points: readonly Point[], most: number, seed: number): Point[] {
  const firsts = new Map<string, number>()
  const lasts = new Map(points.map((point) => [`${point.scenario} ${point.kind}`, point.ordinal]))
  const [always, others]: [Point[], Point[]] = [[], []]
  for (const point of points) {
    const key = `${point.scenario} ${point.kind}`
    if (!firsts.has(key)) firsts.set(key, point.ordinal)
    const isLikeAnother = 'error' in point.fault && (point.fault.error === 'EROFS' || isLook(point))
    const isLast = lasts.get(key) === point.ordinal && 'error' in point.fault
    ;((firsts.get(key) === point.ordinal || isLast) && !isLikeAnother ? always : others).push(point)
  }
  const random = seededRandom(seed)
  const drawn = new Set(always)
  while (drawn.size < Math.min(points.length, most)) drawn.add(others[below(random, others.length)]!)
  return points.filter((point) => drawn.has(point))
}

/** A call that changes nothing by itself. */
function isLook({ kind }: Point): boolean {
  return /: openat /.test(kind)
}

/** What may come of it. `call` is the one that was hit. */
export function legalOutcomes({ thread, fault }: Point, call: TracedCall, root: string): readonly Outcome[] {
  if ('kill' in fault) return ['killed']
  const isLock = call.path.startsWith(join(root, 'log', 'lock-'))
  // A dead lock is in nobody's way, nor is its temporary name; one's own goes with its socket.
  if (isLock && call.name.startsWith('unlink')) return ['went on']
  // Before its entry is accepted an upload that finds no room is refused as any append is, and the program repeats it.
  const isRoomForUpload = call.name === 'mkdir' || (call.path.endsWith('.part') && ['openat', 'pwrite64', 'rename'].includes(call.name))
  if (thread !== 'writer' && fault.error === NO_ROOM && isRoomForUpload) return ['went on']
  // One thread of the pool and the caller's write uploads, read, and settle what a crash left of uploads: the log goes on.
  if (thread !== 'writer') return ['step refused', 'opening refused']
  if (fault.error === NO_ROOM && !call.name.includes('sync')) return isLock ? ['opening refused'] : ['went on', 'opening refused']
  // What is begun, or looked at, can be so later; a directory that could not be opened for its sync has not been synced.
  if (fault.error === 'EMFILE' && call.name === 'openat' && !isLock) return ['went on', 'opening refused', ...(isNew(call) ? [] : ['failed for good'] as const)]
  return ['failed for good', 'opening refused']
}
