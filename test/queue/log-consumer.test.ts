import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openLog, type LogOptions } from '../../dist/src/index.js'
import { DeadLetters } from '../../dist/src/queue/dead-letters.js'
import { fill, open, until } from '../support/filled-log.js'
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

test('committed() takes a signal, and nothing else for one', async () => {
  const log = await open()
  const consumer = log.consumer('reader')
  await expect(consumer.committed(1, { signal: {} as AbortSignal })).rejects.toMatchObject({ name: 'TypeError', message: expect.stringContaining('"options.signal"') })
  const reason = new Error('before')
  await expect(consumer.committed(0, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  const abort = new AbortController()
  const waiting = consumer.committed(1, { signal: abort.signal })
  abort.abort(reason)
  await expect(waiting).rejects.toBe(reason)
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

test('after a seek back in a handler, what comes after the entry that is being handled cannot be committed', async () => {
  const log = await open()
  await fill(log, 5)
  const consumer = log.consumer('reader')
  const seen: number[] = []
  let letGo!: () => void
  const held = new Promise<void>((resolve) => (letGo = resolve))
  const running = consumer.run((entry) => {
    seen.push(entry.sequence)
    if (seen.length === 3) consumer.seek({ sequence: 1 })
    return seen.length < 3 ? undefined : held
  })
  await until(() => seen.length === 4)
  // The next one has been read, and waits for its place.
  for (let round = 0; round < 10; round++) await turn()
  expect(seen).toEqual([1, 2, 3, 1])
  for (const sequence of [2, 4]) expect(() => consumer.commit(sequence)).toThrow(RangeError)
  expect(consumer.commit(1)).toBe(true)
  letGo()
  await consumer.stop()
  await running
})

test('what is delivered for a cursor after it was sought elsewhere counts for nobody', async () => {
  const log = await open()
  await fill(log, 5)
  const cursor = log.cursors.add('reader', 0)
  const before = cursor.inThisEpoch()
  cursor.seek(1)
  before.noteDelivered(5)
  expect(() => cursor.commit(5)).toThrow(RangeError)
})

test('a deleted consumer can be neither sought nor run, and tells how far it was, whoever has its place now', async () => {
  const log = await open()
  await fill(log, 10)
  const deleted = log.consumer('deleted')
  for await (const entry of deleted) if (entry.sequence === 3) break
  deleted.commit(2)
  await log.deleteConsumer('deleted')
  const other = log.consumer('other', { start: { sequence: 5 } })
  expect(() => deleted.seek({ sequence: 9 })).toThrow(expect.objectContaining({ code: 'ERR_WAL_CURSOR' }))
  await expect(deleted.run(() => undefined)).rejects.toMatchObject({ code: 'ERR_WAL_CURSOR' })
  expect(deleted.commit(3)).toBe(false)
  expect(deleted.progress).toMatchObject({ committed: 2, lag: 8 })
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
