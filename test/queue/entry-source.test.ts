import { readdirSync, readlinkSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Log } from '../../dist/src/index.js'
import { EntrySource } from '../../dist/src/queue/entry-source.js'
import { fill, loseAllButTail, open, until } from '../support/filled-log.js'
import { oweEntry } from '../support/owed-entry.js'

/** Segment files of this log that this process has open. */
function openedFiles(log: Log): number {
  return readdirSync('/proc/self/fd').map(targetOf).filter((path) => path.startsWith(`${log.directory}/`) && path.includes('.wal')).length
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`)
  } catch {
    return '' // The listing's own.
  }
}

test('what a batch holds back while it waits for more is not committed before it is delivered', async () => {
  const log = await open()
  await log.write('first')
  const consumer = log.consumer('reader')
  const committedAtDelivery: number[] = []
  const running = consumer.runBatches(() => void committedAtDelivery.push(consumer.progress.committed), { maxEntries: 3, maxWaitMs: 60_000 })
  await log.write('second')
  // An aborted sequence behind makes the reading say once more how far it is.
  oweEntry(log).publishAborted()
  await log.flush()
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  expect(consumer.progress.committed).toBe(0)
  await log.write('third')
  await until(() => consumer.progress.committed === 4)
  expect(committedAtDelivery).toEqual([0])
  await consumer.stop()
  await running
})

test('sequences without an entry behind a batch that waited go with it', async () => {
  const log = await open()
  await log.write('first')
  const consumer = log.consumer('reader')
  const sizes: number[] = []
  const running = consumer.runBatches((entries) => void sizes.push(entries.length), { maxEntries: 3, maxWaitMs: 200 })
  oweEntry(log).publishAborted()
  await log.flush()
  await until(() => consumer.progress.lag === 0)
  expect(sizes).toEqual([1])
  await consumer.stop()
  await running
})

test('a run or an iteration that ends in the middle of a block leaves no file open, and no segment that cannot be freed', async () => {
  const log = await open({ maxSegmentEntries: 50 })
  await fill(log, 100)
  const consumer = log.consumer('reader')
  const before = openedFiles(log)
  for (let round = 0; round < 5; round++) {
    await consumer.run(() => void consumer.stop())
    await consumer.runBatches(() => void consumer.stop(), { maxEntries: 2 })
    for await (const entry of consumer) if (entry.sequence > 0) break
    await expect(consumer.run(() => { throw new Error('no') }, { retry: { maxAttempts: 1 } })).rejects.toThrow()
  }
  expect(openedFiles(log)).toBe(before)
  await consumer.run((entry) => { if (entry.sequence === 100) void consumer.stop() })
  await consumer.committed(100)
  await log.checkpoint()
  expect(log.segments()[0]!.firstSequence).toBeGreaterThan(50)
})

test('a seek leaves the segment that was read before', async () => {
  const log = await open({ maxSegmentEntries: 50 })
  await fill(log, 100)
  const before = openedFiles(log)
  const consumer = log.consumer('reader')
  const seen: number[] = []
  const running = consumer.run((entry) => {
    seen.push(entry.sequence)
    if (seen.length % 3 === 0 && seen.length <= 12) consumer.seek({ sequence: 1 })
  })
  await until(() => consumer.progress.lag === 0)
  expect(seen.length).toBe(112)
  await consumer.stop()
  await running
  expect(openedFiles(log)).toBe(before)
})

test.each(['before it is asked for entries', 'while it waits for the first'])('what is removed %s is told as lost', async (moment) => {
  const log = await open({ maxSegmentEntries: 10 })
  const lost: number[][] = []
  const caughtUp: number[] = []
  const source = new EntrySource(log, 1, false, {
    lost: ({ firstSequence, lastSequence, cause }) => lost.push([firstSequence, lastSequence, Number(cause.code === 'ERR_WAL_TRIMMED')]),
    caughtUp: (sequence) => caughtUp.push(sequence),
  })
  const early = moment === 'while it waits for the first' ? source.next() : undefined
  if (early !== undefined) await until(() => caughtUp.length > 0)
  const last = loseAllButTail(log)
  const entries = await (early ?? source.next())
  expect(entries!.map(({ sequence }) => sequence)[0]).toBe(last + 1)
  expect(lost).toEqual([[1, last, 1]])
  await source.close()
})
