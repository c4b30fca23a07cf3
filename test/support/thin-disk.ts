/**
 * A real disk that has less room than it says, so that a sync fails: an ext4 image without journal, on a tmpfs that is too small. The kernel
 * tells of it once; the next sync of that file says that all is well, though what it should have written is nowhere. Needs root and loop devices.
 */

import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { whenOver } from './leftovers.js'
import { run, unmountWholly } from './small-disk.js'

const MIB = 2 ** 20
/** What the file system thinks it has. */
const CLAIMED_MIB = 64

/** A mounted disk; unmounted when the test or harness is over, also when that failed. */
export class ThinDisk {
  readonly path: string
  readonly #store: string
  readonly #image: string
  readonly #mounted = new Set<string>()

  /** `root`: an empty directory. */
  constructor(mebibytes: number, root: string) {
    this.#store = join(root, 'store')
    this.path = join(root, 'mounted')
    this.#image = join(this.#store, 'image')
    whenOver(() => this.unmount())
    run('mkdir', this.#store, this.path)
    run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', this.#store)
    this.#mounted.add(this.#store)
    writeFileSync(this.#image, '')
    truncateSync(this.#image, CLAIMED_MIB * MIB)
    run('mkfs.ext4', '-q', '-O', '^has_journal', '-m', '0', '-b', '4096', this.#image)
    this.#mount()
  }

  #mount(): void {
    run('mount', '-o', 'loop', this.#image, this.path)
    this.#mounted.add(this.path)
    // The loop driver takes a short write for a whole one; what is no larger than a page is written wholly or not at all.
    const device = basename(execFileSync('findmnt', ['-no', 'SOURCE', this.path], { encoding: 'utf8' }).trim())
    writeFileSync(`/sys/block/${device}/queue/max_sectors_kb`, '4')
  }

  /** From now on it has the room that it says it has. */
  grow(): void {
    run('mount', '-o', `remount,size=${2 * CLAIMED_MIB}m`, this.#store)
  }

  /** The page cache is emptied: what is read from now on is what the disk has. Nobody may have a file open. */
  forget(): void {
    unmountWholly(this.path, this.#image)
    this.#mounted.delete(this.path)
    this.#mount()
  }

  unmount(): void {
    for (const path of [this.path, this.#store]) if (this.#mounted.delete(path)) run('umount', '-l', path)
  }
}

const CHUNK_BYTES = 64 * 1024

/** Why there can be no such disk here; undefined when there can: a sync fails, the next one says that all is well, and what was synced before is there. */
export function thinDiskObstacle(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'it takes root on Linux'
  const root = mkdtempSync(join(tmpdir(), 'ringwal-disk-'))
  let disk: ThinDisk | undefined
  try {
    disk = new ThinDisk(4, root)
    const file = join(disk.path, 'file')
    const synced = fillUntilSyncFails(file)
    disk.grow()
    disk.forget()
    const kept = readFileSync(file)
    const lost = Array.from({ length: synced }, (_, chunk) => chunk).filter((chunk) => kept[chunk * CHUNK_BYTES + CHUNK_BYTES - 1] !== chunk + 1)
    return lost.length > 0 ? `it loses what it has synced: of ${synced} pieces ${lost.join()}` : undefined
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr ?? error).trim()
  } finally {
    disk?.unmount()
    rmSync(root, { recursive: true, force: true })
  }
}

/** How many pieces were synced before. */
function fillUntilSyncFails(path: string): number {
  const file = openSync(path, 'w')
  try {
    for (let chunk = 0; chunk < 2 * CLAIMED_MIB; chunk++) {
      writeSync(file, Buffer.alloc(CHUNK_BYTES, chunk + 1), 0, CHUNK_BYTES, chunk * CHUNK_BYTES)
      try {
        fdatasyncSync(file)
      } catch {
        fdatasyncSync(file)
        return chunk
      }
    }
    throw new Error('no sync fails')
  } finally {
    closeSync(file)
  }
}
