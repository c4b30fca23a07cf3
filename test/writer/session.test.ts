/** The writer's own steps, on a disk in memory and in simulated time. */

import { expect, test } from 'vitest'
import { recover } from '../../dist/src/recovery/recover.js'
import { shippedCode } from '../crash/code-under-test.js'
import { CursorHistory } from '../crash/cursor-history.js'
import { History } from '../crash/history.js'
import { readImage } from '../crash/log-image.js'
import { LogSession, type SessionOptions } from '../crash/log-session.js'
import { sealedSegments } from '../crash/removals.js'
import { SimulatedTime } from '../crash/simulated-time.js'
import { MemoryDisk, systemError } from '../model/memory-disk.js'
import { seededRandom } from '../model/random.js'

const HOUR_MS = 3_600_000

/** Opens a log, lets `use` work with it, and closes it. Returns its disk. */
function run(options: Partial<SessionOptions['writer']>, use: (session: LogSession, time: SimulatedTime, disk: MemoryDisk) => void): MemoryDisk {
  const code = shippedCode()
  const time = new SimulatedTime(Date.UTC(2026, 10, 24))
  const disk = new MemoryDisk()
  disk.makeDirectory('/log')
  const writer: SessionOptions['writer'] = {
    directory: '/log', maxSegmentBytes: 65_536, maxSegmentEntries: 1000, maxSegmentAgeMs: 24 * HOUR_MS, durability: 'batch', lingerMs: 0,
    maxBatchBytes: 4096, preallocateBytes: 0, lockWaitMs: 0, salvages: false, reserveBytes: 0,
    retention: { maxBytes: 2 ** 40, maxAgeMs: Infinity, maxSegments: 1000, keepConsumed: true, whenOver: 'refuse', cleanupIntervalMs: HOUR_MS },
    ...options,
  }
  time.during(() => {
    const session = new LogSession(code, disk, { ringBytes: 4096, slots: 16, writer }, code.recover(disk, '/log'), time, new History(), new CursorHistory())
    use(session, time, disk)
    session.close(seededRandom(1))
  })
  return disk
}

const textsOf = (disk: MemoryDisk): (string | undefined)[] => readImage(disk, '/log').entries.map(({ data }) => data?.toString())

test('an entry whose filling throws, in a batch with others, stands as aborted between them, with a time that does not fall', () => {
  const disk = run({}, (session, time) => {
    for (const [text, fate] of [['first', 'whole'], ['second', 'throws'], ['third', 'whole']] as const) {
      time.advance(5)
      expect(session.append([Buffer.from(text)], fate)).toBe(true)
    }
    session.step()
    expect(session.durable).toBe(3)
  })
  expect(textsOf(disk)).toEqual(['first', undefined, 'third'])
})

test('what was never asked to be durable is so when the log is closed, whatever a power cut does then', () => {
  const disk = run({ durability: 'manual' }, (session) => {
    session.append([Buffer.from('not synced')], 'whole')
    while (session.step());
    expect(session.durable).toBe(0)
  })
  let states = 0
  for (const state of disk.crashStates()) {
    expect(textsOf(state)).toEqual(['not synced'])
    states++
  }
  expect(states).toBeGreaterThan(0)
})

test('a segment that has become as old as it may is sealed, without another entry', () => {
  const names: number[] = []
  const disk = run({ maxSegmentAgeMs: HOUR_MS }, (session, time, at) => {
    session.append([Buffer.from('old')], 'whole')
    const steps = (): void => { for (let step = 0; step < 5; step++) session.step() }
    for (const minutes of [0, 59, 2]) {
      time.advance(minutes * 60_000)
      steps()
      const [name] = at.list('/log')
      const file = at.open(`/log/${name}`, 'read')
      const header = Buffer.alloc(128)
      file.read(header, 0)
      file.close()
      names.push(header[56]!)
    }
    session.append([Buffer.from('new')], 'whole')
    steps()
  })
  expect(names).toEqual([0, 0, 1])
  expect([readImage(disk, '/log').names.length, textsOf(disk)]).toEqual([2, ['old', 'new']])
})

test('cursors that move without an entry fill a segment in the end: it is sealed, and they go on in another one', () => {
  const MOVES = 50
  const disk = run({ maxSegmentBytes: 4096 }, (session, time) => {
    session.append([Buffer.from('one')], 'whole')
    session.step()
    session.consumers.commit('reader', 1, 1, seededRandom(1))
    for (let move = 0; move < MOVES; move++) {
      session.consumers.seek('reader', move % 2)
      session.consumers.request()
      time.advance(20)
      for (let step = 0; step < 3; step++) session.step()
      session.consumers.look()
      expect(session.consumers.served).toBe(move + 1)
    }
  })
  const { names, cursors, entries } = readImage(disk, '/log')
  expect(names.length).toBeGreaterThan(1)
  expect([cursors, entries.length]).toEqual([[{ name: 'reader', sequence: (MOVES - 1) % 2, epoch: MOVES + 1 }], 1])
})

test('the reserve is there with the first entry, also where a cursor came before', () => {
  run({ reserveBytes: 8192 }, (session, time, disk) => {
    session.consumers.commit('reader', 0, 0, seededRandom(1))
    session.consumers.request()
    time.advance(20)
    for (let step = 0; step < 3; step++) session.step()
    expect(disk.list('/log').filter((name) => name.endsWith('.wal'))).toHaveLength(1)
    session.append([Buffer.from('one')], 'whole')
    session.step()
    expect([session.durable, disk.list('/log').includes('reserve')]).toEqual([1, true])
  })
})

test('a reserve that was given up for a first entry is not made again before that entry is written', () => {
  run({ reserveBytes: 8192 }, (session, _time, disk) => {
    const MOST_MAKINGS = 10
    let makings = 0
    // As with a quota: a batch is taken whole or not at all, and there is room for it or for the reserve.
    disk.onOperation = ({ kind, path, offset = 0 }) => {
      if (kind === 'create' && path.endsWith('/reserve') && ++makings > MOST_MAKINGS) throw systemError('EIO', 'open', path)
      if (kind === 'write' && path.endsWith('.wal') && offset > 0 && disk.list('/log').includes('reserve')) throw systemError('ENOSPC', 'write', path)
    }
    session.append([Buffer.from('one')], 'whole')
    session.step()
    disk.onOperation = undefined
    expect([session.durable, makings]).toEqual([1, 1])
  })
})

test('a checkpoint goes by what is committed when it is asked for, also just behind a commit that was written', () => {
  const keepsNothing = { maxBytes: 2 ** 40, maxAgeMs: Infinity, maxSegments: 1000, keepConsumed: false, whenOver: 'refuse', cleanupIntervalMs: HOUR_MS } as const
  run({ retention: keepsNothing }, (session, _time, disk) => {
    const segments = (): string[] => disk.list('/log').filter((name) => name.endsWith('.wal'))
    session.append([Buffer.from('one')], 'whole')
    session.step()
    session.roll()
    session.consumers.commit('reader', 0, 0, seededRandom(1))
    session.step()
    const [oldest] = segments()
    session.consumers.commit('reader', 1, 1, seededRandom(1))
    session.checkpoint()
    for (let step = 0; step < 3; step++) session.step()
    expect(session.checkpointsServed).toBe(1)
    expect(segments()).not.toContain(oldest)
  })
})

test('a commit is written to a full disk if it finds room, also when more is published behind the batch that waits', () => {
  run({ maxBatchBytes: 800 }, (session, time, disk) => {
    session.append([Buffer.from('one')], 'whole')
    session.step()
    session.consumers.commit('reader', 0, 0, seededRandom(1))
    disk.onOperation = ({ kind, path, bytes = 0 }) => {
      if (kind === 'write' && bytes > 500) throw systemError('ENOSPC', 'write', path)
    }
    for (let number = 0; number < 2; number++) session.append([Buffer.alloc(700)], 'whole')
    session.step()
    session.consumers.commit('reader', 1, 1, seededRandom(1))
    for (let step = 0; step < 2; step++) {
      time.advance(20)
      session.step()
    }
    expect([session.durable, session.isDiskFull, recover(disk.clone(), '/log').cursors]).toMatchObject([1, true, [{ name: 'reader', sequence: 1 }]])
    disk.onOperation = undefined
  })
})

test('a roll that is asked for while another one is on its way seals what was appended in between, too', () => {
  run({ maxBatchBytes: 800 }, (session, _time, disk) => {
    const append = (): unknown => session.append([Buffer.alloc(700)], 'whole')
    for (let number = 0; number < 3; number++) append()
    session.roll()
    session.step()
    append()
    session.roll()
    for (let step = 0; step < 5; step++) session.step()
    expect(sealedSegments(disk, '/log').map(({ lastSequence }) => lastSequence)).toEqual([3, 4])
  })
})

test('an entry waits for its segment while no file can be opened; the reserve and what is there stay', () => {
  const dropsOldest = { maxBytes: 2 ** 40, maxAgeMs: Infinity, maxSegments: 1000, keepConsumed: true, whenOver: 'drop-oldest', cleanupIntervalMs: HOUR_MS } as const
  const disk = run({ reserveBytes: 8192, retention: dropsOldest }, (session, time, at) => {
    session.append([Buffer.from('one')], 'whole')
    session.step()
    session.roll()
    session.step()
    const before = at.list('/log')
    at.onOperation = ({ kind, path }) => {
      if (kind === 'create') throw systemError('EMFILE', 'open', path)
    }
    session.append([Buffer.from('two')], 'whole')
    for (let step = 0; step < 3; step++) {
      expect(session.step()).toBe(false)
      time.advance(200)
    }
    expect([session.durable, at.list('/log')]).toEqual([1, before])
    at.onOperation = undefined
    session.catchUp()
    expect([session.durable, session.isDiskFull]).toEqual([2, false])
  })
  expect(textsOf(disk)).toEqual(['one', 'two'])
})

test('so it does where the file is there, and none can be opened any more to sync its name', () => {
  const disk = run({}, (session, time, at) => {
    session.append([Buffer.from('one')], 'whole')
    let created = ''
    at.onOperation = ({ kind, path }) => {
      if (kind === 'create') created = path
      // With the new file closed there is one that can be opened.
      if (kind === 'syncDirectory' && at.list('/log').some((name) => created.endsWith(name))) throw systemError('EMFILE', 'open', path)
    }
    for (let step = 0; step < 3; step++) {
      expect(session.step()).toBe(false)
      time.advance(200)
    }
    expect([session.durable, at.list('/log')]).toEqual([0, []])
    at.onOperation = undefined
    session.catchUp()
    expect([session.durable, session.isDiskFull]).toEqual([1, false])
  })
  expect(textsOf(disk)).toEqual(['one'])
})

test('a directory that cannot be opened for its sync has not been synced, and that is not made up for', () => {
  run({}, (session, _time, disk) => {
    disk.onOperation = ({ kind, path }) => {
      if (kind === 'syncDirectory') throw systemError('EMFILE', 'open', path)
    }
    session.append([Buffer.from('one')], 'whole')
    expect(() => session.step()).toThrow(expect.objectContaining({ code: 'EMFILE' }))
    disk.onOperation = undefined
  })
})
