import { describe, expect, onTestFinished, test } from 'vitest'
import { openLog, type Log, type LogOptions } from '../../dist/src/index.js'
import { entriesOf, textsOf } from '../support/log-contents.js'
import { oweEntry } from '../support/owed-entry.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

async function openSmall(options: Partial<LogOptions> = {}): Promise<Log> {
  const log = await openLog({ ringBytes: 4096, maxEntryBytes: 256 * 1024, ...options, directory: temporaryDirectory() })
  onTestFinished(() => log.close())
  return log
}

/** Appends until the ring is full; the writer is slower than this thread. */
function fill(log: Log, most = 1_000_000): number {
  for (let count = 0; count < most; count++) {
    try {
      if (log.append(`fill ${count} `.padEnd(500, '.')) === 0) return count
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_WAL_FULL' })
      return count
    }
  }
  return expect.unreachable('the ring was never full')
}

describe('a full ring', () => {
  test("throws ERR_WAL_FULL by default, and what was refused never appears", async () => {
    const log = await openSmall()
    const count = fill(log)
    await log.flush()
    const texts = await textsOf(log)
    expect(texts).toHaveLength(count)
    expect(texts.at(-1)).toMatch(new RegExp(`^fill ${count - 1} `))
  })

  test("with 'drop' returns 0 and counts, groups by their entries", async () => {
    const log = await openSmall({ whenFull: 'drop' })
    let dropped = 0
    for (let round = 0; round < 50; round++) {
      fill(log)
      dropped++
      if (log.appendGroup(['a'.repeat(900), 'b', 'c']) === 0) dropped += 3
    }
    expect(log.stats().dropped).toBe(dropped)
    await log.flush()
    expect(await entriesOf(log)).toHaveLength(log.lastSequence)
  })

  test("with 'block' waits for room, and nothing is lost", async () => {
    const log = await openSmall({ whenFull: 'block' })
    const texts = Array.from({ length: 3000 }, (_, index) => `${index} `.padEnd(index % 900, '.'))
    for (const text of texts) log.append(text)
    await log.flush()
    expect(await textsOf(log)).toEqual(texts)
  })

  test("with 'block' gives up after blockTimeoutMs when nothing moves, and goes on when it moves again", async () => {
    const log = await openSmall({ whenFull: 'block', blockTimeoutMs: 50 })
    // A claim that stays owed by a living thread: the writer has to wait for it.
    const owed = oweEntry(log)
    expect(() => {
      for (;;) log.append('x'.repeat(500))
    }).toThrow(expect.objectContaining({ code: 'ERR_WAL_FULL', message: expect.stringContaining('blockTimeoutMs') as string }))
    expect(log.flushSync({ timeoutMs: 50 })).toBe('timeout')
    owed.publishAborted()
    await log.flush()
    expect(log.append('after')).toBeGreaterThan(owed.sequence)
    await log.flush()
  })

  test('ready resolves when there is room, and the append after it is taken', async () => {
    const log = await openSmall()
    for (let round = 0; round < 200; round++) {
      fill(log)
      await log.ready(1000)
      expect(log.append('r'.repeat(1000))).toBe(log.lastSequence)
    }
  })

  test('writes wait for room in order, and no later append of the same producer overtakes them', async () => {
    const log = await openSmall({ whenFull: 'block' })
    const writes: ReturnType<Log['write']>[] = []
    for (let index = 0; index < 300; index++) {
      writes.push(log.write(`${2 * index} `.padEnd(700, '.')))
      if (index % 10 === 9) log.append(`${2 * index + 1} `)
    }
    const sequences = (await Promise.all(writes)).map(({ sequence }) => sequence)
    await log.flush()
    const numbers = (await textsOf(log)).map((text) => Number.parseInt(text))
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    expect(numbers).toHaveLength(330)
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b))
  })

  test.each([['throw'], ['drop']] as const)('while writes are in line, a small append does not overtake them: %s', async (whenFull) => {
    const log = await openSmall({ whenFull })
    const owed = oweEntry(log)
    const accepted = fill(log)
    // Through the ring: an entry of a quarter of the ring would take the arena, and not wait.
    const write = log.write('w'.repeat(900))
    if (whenFull === 'throw') expect(() => log.append('')).toThrow(expect.objectContaining({ code: 'ERR_WAL_FULL' }))
    else expect(log.append('')).toBe(0)
    owed.publishAborted()
    expect((await write).sequence).toBe(owed.sequence + accepted + 1)
    expect(log.append('')).toBe(owed.sequence + accepted + 2)
  })

  test('with every slot taken and bytes to spare loses nothing', async () => {
    const log = await openSmall({ ringSlots: 16, ringBytes: 65_536, whenFull: 'block' })
    const texts = Array.from({ length: 5000 }, (_, index) => String(index))
    await Promise.all(texts.map((text, index) => (index % 2 === 0 ? log.append(text) : log.write(text))))
    await log.flush()
    expect(await textsOf(log)).toEqual(texts)
  })
})
