/** Power cuts of a real file system under load: what was not synced is gone, and what was acknowledged must not be. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SmallDisk } from '../support/small-disk.js'
import { liveThrough, type Scene } from './queue-oracle.js'

/** The longest that a child runs once its log is open, in ms. */
const LIFE_MS = 250
const CONTENT = 'x'.repeat(10_000)

/** Whether a cut takes what was never synced, and only that: else it shows nothing. */
export function losesUnsynced(disk: SmallDisk): boolean {
  const isThere = (name: string): boolean => existsSync(join(disk.path, name)) && readFileSync(join(disk.path, name), 'utf8') === CONTENT
  writeFileSync(join(disk.path, 'synced'), CONTENT, { flush: true })
  writeFileSync(join(disk.path, 'not synced'), CONTENT)
  disk.cutPower()
  disk.restart()
  return isThere('synced') && !isThere('not synced')
}

/** Cuts the power of the disk that the scene's log is on, `count` times. */
export async function cutAgainAndAgain(disk: SmallDisk, scene: Scene, count: number): Promise<void> {
  await liveThrough(scene, {
    count, lifeMs: LIFE_MS, end: async (child) => {
      disk.cutPower()
      child.process.kill('SIGKILL')
      await child.end
      disk.restart()
    },
  })
}
