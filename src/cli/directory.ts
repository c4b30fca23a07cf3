/** The directory that a reading command was given. */

import { resolve } from 'node:path'
import { nodeDisk } from '../disk/node-disk.js'
import { parseSegmentName } from '../format/segment-name.js'
import { CommandError, inPlainWords } from './command-error.js'

/** The directory's path, and how many segments it has. Fails in plain words when it cannot be read. */
export function findLog(directory: string): { readonly path: string; readonly segments: number } {
  const path = resolve(directory)
  try {
    const names = nodeDisk.list(path)
    return { path, segments: names.filter((name) => parseSegmentName(name) !== undefined).length }
  } catch (error) {
    throw new CommandError(`cannot read the log in ${path}: ${inPlainWords(error)}`, undefined, error)
  }
}

/** {@link findLog}, with a word about a directory without segments: an empty log, or a wrong path. */
export function findSegments(directory: string, warn: (message: string) => void): string {
  const { path, segments } = findLog(directory)
  if (segments === 0) warn(`there are no segments in ${path}`)
  return path
}
