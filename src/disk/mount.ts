/** What a directory is stored on, as the kernel's table of mounts has it. */

import { readFileSync } from 'node:fs'

/** One mount. */
export interface Mount {
  /** Where it is mounted. */
  readonly point: string
  /** Type of the file system, such as `ext4`, `tmpfs` or `nfs4`. */
  readonly type: string
  /** What is mounted: a device, or a name. */
  readonly source: string
}

/** The mount that an absolute path without links stands on; undefined where the system has no `/proc/self/mountinfo`. */
export function mountOf(path: string): Mount | undefined {
  let table: string
  try {
    table = readFileSync('/proc/self/mountinfo', 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return chooseMount(table, path)
}

/** The longest mount point above `path`; of several mounts on one point the last, which covers the others. */
export function chooseMount(table: string, path: string): Mount | undefined {
  let chosen: Mount | undefined
  for (const line of table.split('\n')) {
    // ID parent major:minor root point options [optional fields] - type source options
    const [before, after] = line.split(' - ').map((part) => part.split(' '))
    const [point, type, source] = [before?.[4], after?.[0], after?.[1]]
    if (point === undefined || type === undefined || source === undefined) continue
    const mount = { point: unescapeOctal(point), type, source: unescapeOctal(source) }
    const prefix = mount.point.endsWith('/') ? mount.point : `${mount.point}/`
    if (`${path}/`.startsWith(prefix) && mount.point.length >= (chosen?.point.length ?? 0)) chosen = mount
  }
  return chosen
}

/** Blanks and the like stand there as `\040`. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}
