/** What every call of a log on its directory keeps to, whatever fails: nobody else may read, no link is followed, a new directory is there to stay. */

import { basename, dirname } from 'node:path'
import type { TracedCall } from './traced-program.js'

const FILE = /^reserve$|\.(wal|spare|part|blob)$/
/** Nothing for the group, and nothing for others. */
const PRIVATE_MODE = /\b0[0-7]00\b/

/** The calls of one thread, in order, that break a rule. `root` is the directory around the log's. */
export function brokenRules(calls: readonly TracedCall[], root: string): string[] {
  const ours = calls.filter(({ path }) => path.startsWith(root))
  return ours.flatMap((call, index) => {
    const broken = brokenRule(call, ours.slice(index + 1))
    return broken === undefined ? [] : [`${broken}: ${call.text}`]
  })
}

function brokenRule(call: TracedCall, later: readonly TracedCall[]): string | undefined {
  const { name, path, text, failed } = call
  const isNew = text.includes('O_CREAT')
  if (name === 'openat' && isNew && !text.includes('O_EXCL')) return 'a file that is there already would be taken for a new one'
  if (name === 'openat' && FILE.test(basename(path)) && !text.includes('O_NOFOLLOW')) return 'a link would be followed'
  if ((isNew || /^(mkdir|f?chmod)/.test(name)) && !PRIVATE_MODE.test(text)) return 'others may have access'
  if (name.startsWith('mkdir') && !failed && isUsedBeforeSync(path, later)) return 'a directory is used before its name is durable'
  return undefined
}

function isUsedBeforeSync(directory: string, later: readonly TracedCall[]): boolean {
  const synced = later.findIndex(({ name, path, failed }) => name === 'fsync' && path === dirname(directory) && !failed)
  return later.slice(0, synced < 0 ? undefined : synced).some(({ path, text }) => path.startsWith(`${directory}/`) && (text.includes('O_CREAT') || text.startsWith('mkdir')))
}
