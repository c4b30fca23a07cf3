import { describe, expect, test } from 'vitest'
import { openLog, type WalError } from '../../dist/src/index.js'
import { runChild, startChild, type ChildEnd } from '../support/child-process.js'
import { entriesOf, reopenAndRead, textsOf } from '../support/log-contents.js'
import { ProducerThread } from '../support/producer-thread.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

const CHILD = new URL('./fixtures/life-child.mjs', import.meta.url)
const BURST = Array.from({ length: 20_000 }, (_, index) => `entry ${index}`)

async function endIn(way: string, directory: string): Promise<ChildEnd> {
  return await runChild(CHILD, [way, directory])
}

describe('what keeps a process alive', () => {
  test('an idle log does not', async () => {
    expect(await endIn('idle', temporaryDirectory())).toMatchObject({ code: 0, signal: null, errors: '' })
  })

  test.each([['durablePending', 'durable\n'], ['flushPending', 'flushed\n'], ['followPending', 'later\n']])('%s does', async (way, output) => {
    expect(await endIn(way, temporaryDirectory())).toMatchObject({ code: 0, output, errors: '' })
  })
})

describe('the end of a process', () => {
  test.each([
    ['naturalEnd', 0], ['exit', 3], ['manualExit', 3], ['queuedExit', 3], ['uncaught', 1], ['rejection', 1], ['exitWithThread', 3],
  ])('%s keeps everything that was appended', async (way, code) => {
    const directory = temporaryDirectory()
    expect((await endIn(way, directory)).code).toBe(code)
    const { log, entries } = await reopenAndRead(directory)
    expect(entries).toHaveLength(BURST.length)
    expect(entries.map((entry) => entry.text)).toEqual(BURST)
    expect(entries.map((entry) => entry.sequence)).toEqual(BURST.map((_, index) => index + 1))
    expect(log.recovery.cuts.filter((cut) => cut.mayHaveBeenAcknowledged)).toEqual([])
  })

  test('appends in exit listeners land, whether the listener was there before the log or came after it', async () => {
    const directory = temporaryDirectory()
    expect(await endIn('exitListeners', directory)).toMatchObject({ code: 3, output: 'outcome durable\n', errors: '' })
    const { entries } = await reopenAndRead(directory)
    expect(entries.map((entry) => entry.text)).toEqual([
      'before the end', 'listener before openLog', 'listener after openLog', 'group 1', 'group 2', 'last of all',
    ])
  })

  test('more than the ring holds can be appended in an exit listener', async () => {
    const directory = temporaryDirectory()
    expect(await endIn('exitListenersWhenFull', directory)).toMatchObject({ code: 3, errors: '' })
    expect((await reopenAndRead(directory)).entries).toHaveLength(500)
  })

  test.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('%s without a handler loses nothing that was acknowledged', async (signal) => {
    const directory = temporaryDirectory()
    const child = startChild(CHILD, ['acknowledging', directory])
    await child.untilOutput('ack 200\n')
    child.process.kill(signal)
    const { output } = await child.end
    const acknowledged = output.trimEnd().split('\n').length
    const { entries } = await reopenAndRead(directory)
    expect(entries.length).toBeGreaterThanOrEqual(acknowledged)
    expect(entries).toEqual(entries.map((_, index) => ({ sequence: index + 1, text: `entry ${index}` })))
  })
})

describe('close', () => {
  test('twice is fine, and the directory is free at once', async () => {
    const directory = temporaryDirectory()
    const log = await openLog({ directory })
    log.append('one')
    const first = log.close()
    expect(log.close()).toBe(first)
    await first
    await log.close()
    await log[Symbol.asyncDispose]()
    const again = await openLog({ directory })
    expect(await textsOf(again)).toEqual(['one'])
    await again.close()
  })

  test('afterwards every call that needs the log says ERR_WAL_CLOSED, on attached threads too', async () => {
    const log = await openLog({ directory: temporaryDirectory() })
    const thread = await ProducerThread.start(log.handle())
    await thread.ask('write', 'theirs')
    await log.close()
    const closed = expect.objectContaining({ name: 'WalError', code: 'ERR_WAL_CLOSED' })
    expect(() => log.append('late')).toThrow(closed)
    expect(() => log.appendGroup(['late', 'later'])).toThrow(closed)
    await expect(log.write('late')).rejects.toThrow(closed)
    await expect(log.ready(1)).rejects.toThrow(closed)
    await expect(log.roll()).rejects.toThrow(closed)
    for (const [act, argument] of [['append', 'late'], ['appendGroup', ['a', 'b']], ['write', 'late'], ['ready', 1]] as const) {
      expect(await thread.askFailing(act, argument)).toMatchObject({ code: 'ERR_WAL_CLOSED' })
    }
    await log.durable(1)
    await log.flush()
    expect(log.flushSync()).toBe('durable')
    expect(await textsOf(log)).toEqual(['theirs'])
    const other = await ProducerThread.start(log.handle()).then(() => 'attached', (error: WalError) => error.code)
    expect(other).toBe('ERR_WAL_CLOSED')
  })

  test('waits for writes that are in line for room, and they are acknowledged', async () => {
    const log = await openLog({ directory: temporaryDirectory(), ringBytes: 4096 })
    const writes = Array.from({ length: 200 }, (_, index) => log.write(`${index} `.padEnd(900, '.')))
    const close = log.close()
    const receipts = await Promise.all(writes)
    await close
    expect(receipts.map((receipt) => receipt.sequence)).toEqual(receipts.map((_, index) => index + 1))
    expect((await entriesOf(log)).map((entry) => Number.parseInt(entry.text))).toEqual(receipts.map((_, index) => index))
  })

  test('with a follower waiting, the follower ends without an error', async () => {
    const log = await openLog({ directory: temporaryDirectory() })
    log.append('one')
    const seen: string[] = []
    const following = (async () => {
      for await (const entry of log.read({ follow: true })) {
        seen.push(entry.text())
        void log.close()
      }
    })()
    await following
    await log.close()
    expect(seen).toEqual(['one'])
  })
})
