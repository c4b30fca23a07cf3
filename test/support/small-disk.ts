/** A real file system of a few MiB: an ext4 image, loop-mounted. Needs root and loop devices. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { whenOver } from './leftovers.js'

const MIB = 2 ** 20

/** Runs a command of the system; throws with what it said if it fails. */
export function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

const PAUSE_MS = 20
const MOST_PAUSES = 500

/**
 * Unmounts an image, and waits until it is: a process that has its own view of all mounts (made while this one was there) holds it as long as it
 * lives, and to mount it again would only show it as it was.
 */
export function unmountWholly(path: string, image: string): void {
  run('umount', path)
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let pauses = 0; execFileSync('losetup', ['-j', image], { encoding: 'utf8' }) !== ''; pauses++) {
    if (pauses === MOST_PAUSES) throw new Error(`${path} is unmounted, and somebody else still holds ${image}`)
    Atomics.wait(pause, 0, 0, PAUSE_MS)
  }
}

/** A mounted disk; gone when the test or harness is over, also when that failed. */
export class SmallDisk {
  readonly path: string
  readonly #image: string

  /** Its image lies in a directory of its own, or in `root`, where it stays. */
  constructor(mebibytes: number, root?: string) {
    const own = root === undefined ? mkdtempSync(join(tmpdir(), 'ringwal-disk-')) : undefined
    const image = join(root ?? own!, 'image')
    this.path = join(root ?? own!, 'mounted')
    this.#image = image
    let isMounted = false
    whenOver(() => {
      // Lazily: what a failed test left open is no reason to leave the disk.
      if (isMounted) run('umount', '-l', this.path)
      if (own !== undefined) rmSync(own, { recursive: true, force: true })
    })
    writeFileSync(image, '')
    truncateSync(image, mebibytes * MIB)
    run('mkfs.ext4', '-q', '-m', '0', image)
    run('mkdir', this.path)
    run('mount', '-o', 'loop', image, this.path)
    isMounted = true
  }

  /** As if the power went off: what was not synced is gone, the journal's last entries too. All operations fail from then on. */
  cutPower(): void {
    // FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH: /usr/include/linux/fs.h
    run('perl', '-e', 'open(my $f, "<", $ARGV[0]) or die $!; my $flags = pack("L", 2); ioctl($f, 0x8004587d, $flags) or die $!', this.path)
  }

  /** The power is on again. Nobody may have a file open. */
  restart(): void {
    unmountWholly(this.path, this.#image)
    run('mount', '-o', 'loop', this.#image, this.path)
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path)
    return bavail * bsize
  }

  /** Gives back some of what {@link fillUntil} took. */
  giveBack(bytes: number): void {
    const file = join(this.path, 'filler')
    truncateSync(file, Math.max(0, statSync(file).size - bytes))
  }

  /** Takes room away until only so much is left; returns what gives it back. */
  fillUntil(leftBytes: number): () => void {
    const file = join(this.path, 'filler')
    const chunk = Buffer.alloc(64 * 1024, 1)
    const left = (): number => this.freeBytes - leftBytes
    while (left() > 0) {
      try {
        writeFileSync(file, chunk.subarray(0, Math.min(chunk.length, left())), { flag: 'a', flush: true })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        break
      }
    }
    return () => rmSync(file)
  }
}

/** Why there can be no such disk here; undefined when there can. */
export function smallDiskObstacle(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'it takes root on Linux'
  const root = mkdtempSync(join(tmpdir(), 'ringwal-disk-'))
  try {
    const image = join(root, 'image')
    writeFileSync(image, '')
    truncateSync(image, 4 * MIB)
    run('mkfs.ext4', '-q', image)
    run('mkdir', join(root, 'mounted'))
    run('mount', '-o', 'loop', image, join(root, 'mounted'))
    run('umount', join(root, 'mounted'))
    return undefined
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr ?? error).trim()
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
