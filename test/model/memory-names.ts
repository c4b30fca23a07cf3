/** The names in the directories of a simulated disk: what is durable, what is cached, and what a power cut may make of the difference. */

import { dirname } from 'node:path'

/** A name that appears, disappears, or (with both) is renamed. */
export interface Move {
  readonly inode: number
  readonly from?: string
  readonly to?: string
  /** A file that comes from another directory, over whatever has that name. */
  readonly isArrival?: boolean
  /** Of a file that leaves for another directory: its move there. */
  readonly arrival?: Move
}

/** Paths and the inodes that they name. */
export type Names = ReadonlyMap<string, number>

/** One directory. */
export interface Directory { readonly durable: Names; readonly cached: Names; readonly moves: readonly Move[] }

/** An empty directory. */
export const NO_NAMES: Directory = { durable: new Map(), cached: new Map(), moves: [] }

/** Up to so many independent losses every combination is made; above, the telling ones. */
const MAX_EXHAUSTIVE_LOSSES = 6

/** Whether the change with that index survives. */
export type Survives = (index: number) => boolean
const survivalLists = new Map<string, readonly Survives[]>()

/** The ways in which `count` changes may survive; the first is none, the last all. */
export function survivals(count: number, model: 'subset' | 'prefix'): readonly Survives[] {
  const name = `${model} ${count}`
  let list = survivalLists.get(name)
  if (list === undefined) {
    const upTo = Array.from({ length: count + 1 }, (_, first): Survives => (index) => index < first)
    const each = Array.from({ length: count }, (_, one): Survives[] => {
      return [(index) => index === one, (index) => index !== one, (index) => index > one]
    })
    if (model === 'prefix') list = upTo
    else if (count > MAX_EXHAUSTIVE_LOSSES) list = [...upTo.slice(0, -1), ...each.flat(), upTo.at(-1)!]
    else list = Array.from({ length: 2 ** count }, (_, bits): Survives => (index) => (bits >> index & 1) === 1)
    survivalLists.set(name, list)
  }
  return list
}

/** What may remain of a directory's names, and the moves that survived. A move that needs one that was lost is lost too. */
export function namings({ durable, moves }: Directory, model: 'any' | 'ordered'): readonly { names: Names; survived: readonly Move[] }[] {
  if (moves.length === 0) return [{ names: durable, survived: [] }]
  return survivals(moves.length, model === 'any' ? 'subset' : 'prefix').flatMap((survives) => {
    const names = new Map(durable)
    const survived = moves.filter((_, index) => survives(index))
    return survived.every((change) => move(names, change)) ? { names, survived } : []
  })
}

/** Carries out a move; false when it makes no sense. */
export function move(names: Map<string, number>, { inode, from, to, isArrival = false }: Move): boolean {
  if (from === undefined ? names.has(to!) && !isArrival : names.get(from) !== inode) return false
  if (from !== undefined) names.delete(from)
  if (to !== undefined) names.set(to, inode)
  return true
}

/** The other half of an arrival: the old name goes. */
export function depart(arrival: Move, from: string): Move {
  return { inode: arrival.inode, from, arrival }
}

/** The moves of a directory become durable: so do the arrivals elsewhere that they go with, for a move between directories never loses the file. */
export function settleArrivals(directories: Map<string, Directory>, moves: readonly Move[]): void {
  for (const { arrival } of moves) {
    const path = arrival === undefined ? undefined : dirname(arrival.to!)
    const target = path === undefined ? undefined : directories.get(path)
    if (target === undefined || !target.moves.includes(arrival!)) continue
    const durable = new Map(target.durable)
    move(durable, arrival!)
    directories.set(path!, { ...target, durable, moves: target.moves.filter((each) => each !== arrival) })
  }
}

/** Whether an inode has a name there, or may have one after a power cut. */
export function isAbout({ durable, cached, moves }: Directory, inode: number): boolean {
  return [...durable.values(), ...cached.values(), ...moves.map((each) => each.inode)].includes(inode)
}
