import { expect, onTestFinished, test, vi } from 'vitest'
import { openLog, type LogOptions } from '../../dist/src/index.js'
import { DeadLetters } from '../../dist/src/queue/dead-letters.js'
import { fill, open } from '../support/filled-log.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

test.each<LogOptions['durability']>(['batch', 'manual', { intervalMs: 60_000 }])('committed() may be asked before the commit, with durability %j', async (durability) => {
  const log = await open({ durability: durability! })
  await fill(log, 3)
  const consumer = log.consumer('reader')
  for await (const entry of consumer) if (entry.sequence === 3) break
  const committed = consumer.committed(3)
  expect(consumer.commit(3)).toBe(true)
  await committed
})

test.each([-1, 1.5, Number.NaN, '3', undefined])('committed(%j) is refused', async (sequence) => {
  const log = await open()
  await expect(log.consumer('reader').committed(sequence as number)).rejects.toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })
})

test('a commit by hand of what was handed out before a seek is void, not wrong', async () => {
  const log = await open()
  await fill(log, 6)
  const consumer = log.consumer('reader')
  const seen: number[] = []
  for await (const entry of consumer) {
    seen.push(entry.sequence)
    if (seen.length === 5) {
      consumer.seek({ sequence: 3 })
      expect(consumer.commit(5)).toBe(false)
      expect(consumer.progress.committed).toBe(2)
    } else {
      consumer.commit(entry.sequence)
    }
    if (entry.sequence === 6) break
  }
  expect(seen).toEqual([1, 2, 3, 4, 5, 3, 4, 5, 6])
  expect(consumer.progress.committed).toBe(6)
})

test('a deleted consumer can be neither sought nor run, whoever has its place now', async () => {
  const log = await open()
  await fill(log, 10)
  const deleted = log.consumer('deleted')
  await log.deleteConsumer('deleted')
  const other = log.consumer('other', { start: { sequence: 5 } })
  expect(() => deleted.seek({ sequence: 9 })).toThrow(expect.objectContaining({ code: 'ERR_WAL_CURSOR' }))
  await expect(deleted.run(() => undefined)).rejects.toMatchObject({ code: 'ERR_WAL_CURSOR' })
  expect(deleted.commit(1)).toBe(false)
  expect(other.progress.committed).toBe(4)
})

test('after close() there are neither consumers nor runs', async () => {
  const log = await open()
  await fill(log, 3)
  const consumer = log.consumer('reader')
  await log.close()
  const closed = expect.objectContaining({ name: 'WalError', code: 'ERR_WAL_CLOSED' })
  expect(() => log.consumer('reader')).toThrow(closed)
  expect(() => log.consumer('new')).toThrow(closed)
  await expect(consumer.run(() => expect.unreachable())).rejects.toThrow(closed)
  await expect(consumer[Symbol.asyncIterator]().next()).rejects.toThrow(closed)
})

test('options of a consumer that are none are named', async () => {
  const log = await open()
  expect(() => log.consumer('reader', { strat: 'latest' } as never)).toThrow(expect.objectContaining({ name: 'TypeError', message: expect.stringContaining('"options.strat"') }))
  expect(() => log.consumer('reader', null as never)).toThrow(expect.objectContaining({ name: 'TypeError', message: expect.stringContaining('"options"') }))
  expect(log.consumers()).toEqual([])
})

test('a dead-letter log that fails to close does not keep the log from closing, and is told', async () => {
  const log = await openLog({ directory: temporaryDirectory(), reserveBytes: 0 })
  const failure = new Error('the dead letters are gone')
  const close = vi.spyOn(DeadLetters.prototype, 'close').mockRejectedValueOnce(failure)
  onTestFinished(() => close.mockRestore())
  await expect(log.close()).rejects.toBe(failure)
  // The directory is free.
  await (await openLog({ directory: log.directory, reserveBytes: 0 })).close()
})
