/** The closing mark of the last batch, asked for at a process's end. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { parseSegmentName } from '../../dist/src/format/segment-name.js'
import type { Log } from '../../dist/src/index.js'
import { isSettled, wantSettle } from '../../dist/src/ring/commands.js'
import { openRing } from '../../dist/src/ring/ring.js'
import { scanSegment, type SegmentScan } from '../../dist/src/segment/scan.js'
import { fill, open, until } from '../support/filled-log.js'

function tailOf(log: Log): string {
  return readdirSync(log.directory).find((name) => name.endsWith('.wal'))!
}

function scanTail(log: Log): SegmentScan {
  const name = tailOf(log)
  const file = nodeDisk.open(join(log.directory, name), 'read')
  const scan = scanSegment(file, parseSegmentName(name)!.uuid, file.size())
  file.close()
  return scan
}

test('it waits for what is written and not synced, and then says that all of it is durable', async () => {
  const log = await open({ durability: 'manual' })
  const ring = openRing(log.handle().ring)
  log.append('not synced')
  await until(() => log.stats().batches === 1)
  wantSettle(ring)
  // Once another batch is there, the writer has looked.
  log.append('nor this one')
  await until(() => log.stats().batches === 2)
  expect([isSettled(ring), scanTail(log).durableSequence]).toEqual([false, 0])
  await log.flush()
  await until(() => isSettled(ring))
  expect(scanTail(log)).toMatchObject({ lastSequence: 2, durableSequence: 2 })
})

test('it is written once: who asks for it again finds it there', async () => {
  const log = await open()
  const ring = openRing(log.handle().ring)
  await fill(log, 3)
  wantSettle(ring)
  await until(() => isSettled(ring))
  const { endOffset, durableSequence } = scanTail(log)
  expect(durableSequence).toBe(3)
  for (let again = 0; again < 3; again++) {
    wantSettle(ring)
    await until(() => isSettled(ring))
  }
  expect(scanTail(log).endOffset).toBe(endOffset)
})
