import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Disk, DiskFile } from '../../src/disk/disk.js'
import { nodeDisk } from '../../src/disk/node-disk.js'
import { MemoryDisk, PowerCut, systemError, type CrashOptions, type MemoryDiskOptions, type Operation } from './memory-disk.js'
import { below, runSeed, seededRandom } from './random.js'

const seed = runSeed()
console.log(`memory-disk: SEED=${seed}`)

const SECTOR = 8
const PATH = '/log/a'

/** A disk with small sectors, and on it, synced with its name, one file. */
function diskWith(content: string, options: MemoryDiskOptions = {}): { disk: MemoryDisk; file: DiskFile } {
  const disk = new MemoryDisk({ sectorBytes: SECTOR, ...options })
  disk.makeDirectory('/log')
  const file = disk.create(PATH)
  put(file, content, 0)
  file.sync()
  disk.syncDirectory('/log')
  return { disk, file }
}

function put(file: DiskFile, content: string, offset: number): void {
  file.write([Buffer.from(content, 'latin1')], offset)
}

/** The file's content with zeros as dots and noise as question marks; undefined if it is not there. */
function get(disk: Disk, path = PATH): string | undefined {
  if (!disk.list('/log').includes(path.slice(5))) return undefined
  const file = disk.open(path, 'read')
  const bytes = Buffer.alloc(file.size())
  expect(file.read(bytes, 0)).toBe(bytes.length)
  file.close()
  return bytes.toString('latin1').replaceAll('\0', '.').replaceAll(/[^ -~]/g, '?')
}

function states(disk: MemoryDisk, options: CrashOptions & { maxStates?: number } = {}, path = PATH): (string | undefined)[] {
  return [...disk.crashStates({ garbage: 'none', ...options })].map((state) => get(state, path)).sort()
}

function codeOf(act: () => unknown): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

/** Makes the `count`-th sync from now on fail. */
function failSync(disk: MemoryDisk, count = 1): void {
  let left = count
  disk.onOperation = ({ kind, path }) => {
    if (kind === 'sync' && --left === 0) throw systemError('EIO', 'fdatasync', path)
  }
}

describe('what survives in a file', () => {
  it('a synced file with a synced name has one crash state: itself', () => {
    const { disk } = diskWith('0123456789')
    expect(states(disk)).toEqual(['0123456789'])
  })

  it('three unsynced sector writes into durable bytes have exactly eight crash states', () => {
    const { disk, file } = diskWith('a'.repeat(24))
    for (const at of [0, 8, 16]) put(file, 'BBBBBBBB', at)
    const pieces = ['aaaaaaaa', 'BBBBBBBB']
    const expected = pieces.flatMap((one) => pieces.flatMap((two) => pieces.map((three) => one + two + three))).sort()
    expect(states(disk)).toEqual(expected)
    expect(get(disk)).toBe('B'.repeat(24))
  })

  it('growth by three sectors may keep any size that ends with a sector, and any of the sectors within it', () => {
    const { disk, file } = diskWith('')
    put(file, 'aaaaaaaabbbbbbbbcccc', 0)
    const a = ['aaaaaaaa', '........']
    const b = ['bbbbbbbb', '........']
    const c = ['cccc', '....']
    const expected = ['', ...a, ...a.flatMap((one) => b.map((two) => one + two)),
      ...a.flatMap((one) => b.flatMap((two) => c.map((three) => one + two + three)))].sort()
    expect(states(disk)).toEqual(expected)
  })

  it('a sector is written wholly or not at all, and its other bytes stay as they were', () => {
    const { disk, file } = diskWith('abcdefghijklmnop')
    put(file, 'FGHIJ', 5)
    expect(states(disk)).toEqual(['abcdefghijklmnop', 'abcdefghIJklmnop', 'abcdeFGHijklmnop', 'abcdeFGHIJklmnop'].sort())
  })

  it('of two writes to one sector any subset survives, or only a prefix if so asked', () => {
    const { disk, file } = diskWith('abcdefgh')
    put(file, 'BC', 1)
    put(file, 'CD', 2)
    expect(states(disk)).toEqual(['abcdefgh', 'aBCdefgh', 'aBCDefgh', 'abCDefgh'].sort())
    expect(states(disk, { writes: 'prefix' })).toEqual(['abcdefgh', 'aBCdefgh', 'aBCDefgh'].sort())
  })

  it('garbage stands only in newly allocated sectors that had an unsynced write, or is asked for elsewhere', () => {
    const { disk, file } = diskWith('abcdefgh')
    put(file, 'BC', 1)
    put(file, 'ijklmnop', 8)
    const fresh = states(disk, { garbage: 'fresh' })
    expect(fresh).toHaveLength(2 + 2 * 3)
    expect(fresh.filter((content) => /[^.a-pBC]/.test(content!.slice(0, 8)))).toEqual([])
    expect(new Set(fresh.map((content) => content!.slice(8))).size).toBe(4) // cut, zeros, data, noise
    const starts = new Set(states(disk, { garbage: 'written' }).map((content) => content!.slice(0, 8)))
    expect(starts.size).toBe(3)
    for (const start of starts) expect(start).toMatch(/^a..defgh$/)
  })

  it('bytes of a removed file may turn up in a newly allocated sector', () => {
    const { disk } = diskWith('oldbytes')
    disk.remove(PATH)
    const file = disk.create('/log/b')
    disk.syncDirectory('/log')
    put(file, 'newbytes', 0)
    expect(states(disk, { garbage: 'fresh' }, '/log/b')).toContain('oldbytes')
    expect(states(disk, { garbage: 'none' }, '/log/b')).toEqual(['', '........', 'newbytes'])
  })

  it('an unsynced truncation may have happened or not, with whatever was written around it', () => {
    const { disk, file } = diskWith('abcdefghij')
    file.truncate(4)
    expect(get(disk)).toBe('abcd')
    expect(states(disk)).toEqual(['abcd', 'abcdefghij'])
    put(file, 'XY', 6)
    expect(get(disk)).toBe('abcd..XY')
    expect(states(disk)).toEqual(['abcd', 'abcd....', 'abcd..XY', 'abcdefXYij', 'abcdefghij'].sort())
    file.sync()
    expect(states(disk)).toEqual(['abcd..XY'])
  })

  it('a hole made by truncation holds zeros, and its size is not durable before a sync', () => {
    const { disk, file } = diskWith('abc')
    file.truncate(12)
    expect(states(disk)).toEqual(['abc', 'abc.........'])
  })

  it('synced bytes survive whatever else is being done to the file', () => {
    const random = seededRandom(seed)
    for (let round = 0; round < 200; round++) {
      const { disk, file } = diskWith('a'.repeat(64))
      for (let step = 0; step < 5; step++) put(file, 'B'.repeat(1 + below(random, 20)), 32 + below(random, 40))
      for (let draw = 0; draw < 20; draw++) {
        const content = get(disk.crash(random, { garbage: 'written' }))!
        expect(content.slice(0, 32)).toBe('a'.repeat(32))
        expect(content.length).toBeGreaterThanOrEqual(64)
      }
    }
  })
})

describe('what survives of names', () => {
  it('a synced file whose name was not synced may be gone', () => {
    const { disk } = diskWith('x')
    const file = disk.create('/log/b')
    put(file, 'synced', 0)
    file.sync()
    expect(states(disk, {}, '/log/b')).toEqual(['synced', undefined])
    disk.syncDirectory('/log')
    expect(states(disk, {}, '/log/b')).toEqual(['synced'])
  })

  it('a synced name does not make content durable', () => {
    const { disk } = diskWith('x')
    put(disk.create('/log/b'), 'lost', 0)
    disk.syncDirectory('/log')
    expect(states(disk, {}, '/log/b')).toEqual(['', '....', 'lost'])
  })

  it('an unsynced rename leaves the old name or the new one, never both or none', () => {
    const { disk } = diskWith('x')
    disk.rename(PATH, '/log/b')
    expect([...disk.crashStates()].map((state) => state.list('/log')).sort()).toEqual([['a'], ['b']])
  })

  it('an unsynced move to another directory leaves the old name, the new one or both, never none', () => {
    const move = (): MemoryDisk => {
      const { disk } = diskWith('x')
      disk.makeDirectory('/log/d')
      disk.rename(PATH, '/log/d/a')
      return disk
    }
    const found = (disk: MemoryDisk): string[] => {
      return [...disk.crashStates()].map((state) => `${state.list('/log').filter((name) => name !== 'd')} ${state.list('/log/d')}`).sort()
    }
    expect(found(move())).toEqual([' a', 'a ', 'a a'])
    const there = move()
    there.syncDirectory('/log/d')
    expect(found(there)).toEqual([' a', 'a a'])
    there.remove('/log/d/a')
    expect(found(there)).toEqual([' ', ' a', 'a ', 'a a'])
    there.syncDirectory('/log/d')
    there.syncDirectory('/log')
    expect(found(there)).toEqual([' '])
    const away = move()
    away.syncDirectory('/log')
    expect(found(away)).toEqual([' a'])
  })

  it('two names that a move between directories left are one file: renaming one to the other does nothing, removing one keeps it', () => {
    const { disk } = diskWith('x')
    disk.makeDirectory('/log/d')
    disk.rename(PATH, '/log/d/a')
    const both = [...disk.crashStates()].find((state) => state.list('/log').includes('a') && state.list('/log/d').includes('a'))!
    both.rename(PATH, '/log/d/a')
    expect([both.list('/log').sort(), both.list('/log/d')]).toEqual([['a', 'd'], ['a']])
    both.remove('/log/d/a')
    both.syncDirectory('/log/d')
    expect(get(both)).toBe('x')
    expect([...both.crashStates()].map((state) => get(state))).toEqual(['x'])
  })

  it('an unsynced removal may be undone, and a rename over a file brings back the old content', () => {
    const { disk } = diskWith('old')
    const file = disk.create('/log/b')
    put(file, 'new', 0)
    file.sync()
    disk.rename('/log/b', PATH)
    expect(disk.list('/log')).toEqual(['a'])
    const found = [...disk.crashStates()].map((state) => `${get(state)} ${get(state, '/log/b')}`).sort()
    expect(found).toEqual(['new undefined', 'old new', 'old undefined'])
    disk.syncDirectory('/log')
    disk.remove(PATH)
    expect(states(disk)).toEqual(['new', undefined])
  })

  it('moves of several names survive in any subset, or in order if so asked', () => {
    const { disk } = diskWith('x')
    for (const name of ['b', 'c']) disk.create(`/log/${name}`)
    const namesUnder = (names: 'any' | 'ordered'): string[] => {
      return [...disk.crashStates({ names })].map((state) => state.list('/log').sort().join('')).sort()
    }
    expect(namesUnder('any')).toEqual(['a', 'ab', 'abc', 'ac'])
    expect(namesUnder('ordered')).toEqual(['a', 'ab', 'abc'])
  })

  it('made directories stay', () => {
    const disk = new MemoryDisk()
    disk.makeDirectory('/one/two')
    expect(disk.crash(seededRandom(1)).list('/one')).toEqual(['two'])
    expect(disk.operations.map(({ path }) => path)).toEqual(['/one', '/one/two'])
  })
})

describe('a failing sync', () => {
  it('leaves bytes that read as intact, that the next sync passes over, and that may be lost', () => {
    const { disk, file } = diskWith('aaaaaaaabbbbbbbb')
    put(file, 'XXXXXXXX', 0)
    failSync(disk)
    expect(codeOf(() => file.sync())).toBe('EIO')
    expect(codeOf(() => file.sync())).toBe(undefined)
    expect(get(disk)).toBe('XXXXXXXXbbbbbbbb')
    expect(states(disk)).toEqual(['XXXXXXXXbbbbbbbb', 'aaaaaaaabbbbbbbb'])
  })

  it('is made good only for the bytes that are written again and synced', () => {
    const { disk, file } = diskWith('aaaaaaaabbbbbbbb')
    put(file, 'XXXXXXXXXX', 0)
    failSync(disk)
    expect(codeOf(() => file.sync())).toBe('EIO')
    put(file, 'XXXX', 0)
    file.sync()
    expect(states(disk)).toEqual(['XXXXXXXXXXbbbbbb', 'XXXXXXXXbbbbbbbb', 'XXXXaaaaXXbbbbbb', 'XXXXaaaabbbbbbbb'].sort())
    put(file, 'YYYYYY', 4)
    file.sync()
    expect(states(disk)).toEqual(['XXXXYYYYYYbbbbbb'])
  })

  it('leaves a grown size in doubt until a later write reaches it, and a truncation until the next sync', () => {
    const { disk, file } = diskWith('aaaa')
    put(file, 'bbbb', 4)
    failSync(disk)
    expect(codeOf(() => file.sync())).toBe('EIO')
    put(file, 'A', 0)
    file.sync()
    expect(states(disk)).toEqual(['Aaaa', 'Aaaa....', 'Aaaabbbb'].sort())
    file.truncate(6)
    file.sync()
    expect(states(disk)).toEqual(['Aaaa..', 'Aaaabb'].sort())
  })

  it('looks to the next process like intact content, until the power is cut', () => {
    const { disk, file } = diskWith('aaaa')
    put(file, 'bbbb', 0)
    failSync(disk)
    expect(codeOf(() => file.sync())).toBe('EIO')
    const next = disk.clone()
    const again = next.open(PATH, 'write')
    again.sync()
    expect(get(next)).toBe('bbbb')
    expect(states(next)).toEqual(['aaaa', 'bbbb'])
    put(again, 'bbbb', 0)
    again.sync()
    expect(states(next)).toEqual(['bbbb'])
    expect(states(disk)).toEqual(['aaaa', 'bbbb'])
  })
})

describe('the hook', () => {
  it('sees every mutating operation, numbered as in the list of operations', () => {
    const { disk, file } = diskWith('x')
    const seen: [number, Operation][] = []
    disk.onOperation = (operation, index) => seen.push([index, operation])
    put(file, 'abc', 2)
    file.truncate(4)
    file.protect()
    disk.rename(PATH, '/log/b')
    disk.remove('/log/b')
    expect(seen.map(([, operation]) => operation)).toEqual([
      { kind: 'write', path: PATH, offset: 2, bytes: 3 }, { kind: 'truncate', path: PATH, bytes: 4 }, { kind: 'protect', path: PATH },
      { kind: 'rename', path: PATH, to: '/log/b' }, { kind: 'remove', path: '/log/b' },
    ])
    for (const [index, operation] of seen) expect(disk.operations[index]).toBe(operation)
  })

  it('a thrown error is raised and nothing is done, but for the bytes that it says were written', () => {
    const { disk, file } = diskWith('aaaaaaaa')
    disk.onOperation = ({ path }) => { throw Object.assign(systemError('EIO', 'write', path), { writtenBytes: 3 }) }
    expect(codeOf(() => file.write([Buffer.from('B'), Buffer.from('CDEF')], 2))).toBe('EIO')
    expect(codeOf(() => disk.rename(PATH, '/log/b'))).toBe('EIO')
    expect(codeOf(() => file.truncate(0))).toBe('EIO')
    expect(get(disk)).toBe('aaBCDaaa')
  })

  it('a power cut stops everything, in the middle of a write too', () => {
    const { disk, file } = diskWith('aaaaaaaa')
    disk.onOperation = ({ kind }) => { if (kind === 'write') throw new PowerCut(2) }
    expect(() => put(file, 'BBBB', 0)).toThrow(PowerCut)
    const calls = [
      () => file.read(Buffer.alloc(1), 0), () => file.close(), () => file.size(), () => file.sync(),
      () => disk.list('/log'), () => disk.open(PATH, 'read'), () => disk.create('/log/b'), () => disk.syncDirectory('/log'),
    ]
    for (const call of calls) expect(call).toThrow(PowerCut)
    expect(states(disk)).toEqual(['BBaaaaaa', 'aaaaaaaa'])
    expect(get(disk.clone())).toBe('BBaaaaaa')
  })
})

describe('crash states', () => {
  it('can be written to and crashed again', () => {
    const { disk, file } = diskWith('aaaaaaaa')
    put(file, 'BBBBBBBB', 0)
    const all = new Set<string | undefined>()
    for (const state of disk.crashStates()) {
      const again = state.open(PATH, 'write')
      put(again, 'CC', 2)
      for (const content of states(state)) all.add(content)
    }
    expect([...all].sort()).toEqual(['BBBBBBBB', 'BBCCBBBB', 'aaCCaaaa', 'aaaaaaaa'].sort())
    expect(get(disk)).toBe('BBBBBBBB')
    expect(states(disk)).toEqual(['BBBBBBBB', 'aaaaaaaa'])
  })

  it('are distinct, and every drawn one is among the enumerated ones', () => {
    const random = seededRandom(seed)
    for (let round = 0; round < 60; round++) {
      const { disk, file } = diskWith('abcdefghijklmnop')
      for (let step = 0; step < 3; step++) {
        const act = below(random, 6)
        if (act === 0) file.truncate(below(random, 30))
        else if (act === 1) disk.rename(disk.list('/log')[0]!.replace(/^/, '/log/'), `/log/${step}`)
        else if (act === 2) failSync(disk)
        else put(file, 'XYZ'.repeat(1 + below(random, 4)), below(random, 20))
        if (act === 2) codeOf(() => file.sync())
      }
      const prints = [...disk.crashStates({ maxStates: 50_000 })].map((state) => state.fingerprint())
      const known = new Set(prints)
      expect(known.size).toBe(prints.length)
      for (let draw = 0; draw < 50; draw++) expect(known.has(disk.crash(random).fingerprint())).toBe(true)
    }
  })

  it('of random writes and truncations are just those that a naive model of lost changes allows', () => {
    const random = seededRandom(seed)
    for (let round = 0; round < 400; round++) {
      const { disk, file } = diskWith('abcdefghijklmnopqrst'.slice(0, below(random, 20)))
      const changes = Array.from({ length: 1 + below(random, 4) }, (_, step) => ({
        at: below(random, 24), content: ['', '1', '2', '3'][below(random, 4)] && String(step).repeat(1 + below(random, 12)),
      }))
      const before = get(disk)!
      for (const { at, content } of changes) content ? put(file, content, at) : file.truncate(at)
      expect(states(disk, { maxStates: Infinity }), JSON.stringify({ before, changes })).toEqual(naiveStates(before, changes))
    }
  })

  it('are a repeatable draw within the limit when there are too many', () => {
    const { disk, file } = diskWith('')
    put(file, 'a'.repeat(40 * SECTOR), 0)
    const draw = (drawn: number): number[] => [...disk.crashStates({ maxStates: 100, seed: drawn })].map((state) => state.fingerprint())
    expect(draw(1)).toEqual(draw(1))
    expect(draw(1)).not.toEqual(draw(2))
    expect(draw(1).length).toBeLessThanOrEqual(100)
    expect(draw(1).length).toBeGreaterThan(50)
    expect(states(disk, { maxStates: 500 })).toEqual(expect.arrayContaining(['', 'a'.repeat(40 * SECTOR)]))
  })

  it('show whether a protocol syncs what it must: each seeded omission loses what was acknowledged', () => {
    const steps = {
      'write the temporary file': (disk: MemoryDisk) => put(disk.create('/log/new'), 'N'.repeat(20), 0),
      'sync it': (disk: MemoryDisk) => disk.open('/log/new', 'write').sync(),
      'rename it': (disk: MemoryDisk) => disk.rename('/log/new', PATH),
      'sync the directory': (disk: MemoryDisk) => disk.syncDirectory('/log'),
    }
    const outcomes = (omitted?: string): Set<string | undefined> => {
      const { disk } = diskWith('old')
      for (const [name, step] of Object.entries(steps)) if (name !== omitted) step(disk)
      return new Set(states(disk))
    }
    expect(outcomes()).toEqual(new Set(['N'.repeat(20)]))
    expect(outcomes('sync the directory')).toEqual(new Set(['N'.repeat(20), 'old']))
    expect(outcomes('sync it').has('')).toBe(true)
  })
})

describe('as a file system', () => {
  it('a full disk takes what fits and needs no room for what is there', () => {
    const { disk, file } = diskWith('a'.repeat(2 * SECTOR), { capacityBytes: 4 * SECTOR })
    expect(codeOf(() => put(file, 'b'.repeat(4 * SECTOR), SECTOR))).toBe('ENOSPC')
    expect(get(disk)).toBe('a'.repeat(SECTOR) + 'b'.repeat(3 * SECTOR))
    expect(codeOf(() => put(file, 'c'.repeat(4 * SECTOR), 0))).toBe(undefined)
    const other = disk.create('/log/b')
    expect(codeOf(() => put(other, 'd', 0))).toBe('ENOSPC')
    expect(other.size()).toBe(0)
    file.truncate(SECTOR)
    expect(codeOf(() => put(other, 'd', 0))).toBe(undefined)
    disk.remove(PATH)
    disk.syncDirectory('/log')
    expect(codeOf(() => put(other, 'd'.repeat(4 * SECTOR), 0))).toBe('ENOSPC') // the removed file is still open
    expect(codeOf(() => put(disk.clone().open('/log/b', 'write'), 'd'.repeat(4 * SECTOR), 0))).toBe(undefined)
    file.close()
    expect(codeOf(() => put(other, 'd'.repeat(4 * SECTOR), 0))).toBe(undefined)
  })

  it('a protected file cannot be opened for writing, where that is asked for; its mode is durable by no sync', () => {
    const { disk, file } = diskWith('x', { enforceProtection: true })
    file.protect()
    expect(codeOf(() => put(file, 'y', 0))).toBe(undefined)
    file.sync()
    expect(codeOf(() => disk.open(PATH, 'write'))).toBe('EACCES')
    expect(codeOf(() => disk.open(PATH, 'read'))).toBe(undefined)
    expect([...disk.crashStates()].map((state) => codeOf(() => state.open(PATH, 'write')))).toEqual([undefined, 'EACCES'])
    const lax = diskWith('x')
    lax.file.protect()
    expect(codeOf(() => lax.disk.open(PATH, 'write'))).toBe(undefined)
  })

  it('a clone goes its own way', () => {
    const { disk, file } = diskWith('aaaa')
    const copy = disk.clone()
    expect(copy.fingerprint()).toBe(disk.fingerprint())
    put(file, 'b', 0)
    expect(states(copy)).toEqual(['aaaa'])
    copy.rename(PATH, '/log/c')
    expect(get(disk)).toBe('baaa')
    expect(get(copy, '/log/c')).toBe('aaaa')
    expect(copy.fingerprint()).not.toBe(disk.fingerprint())
  })

  it('answers a random script of operations as the real disk does, error codes included', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'no/a', 'a/b', 'd')
    const slot = fc.nat(2)
    const step = fc.oneof(
      fc.record({ kind: fc.constantFrom('create', 'openRead', 'openWrite', 'remove', 'make', 'list', 'syncDirectory'), name, slot }),
      fc.record({ kind: fc.constant('rename'), name, to: name, slot }),
      fc.record({ kind: fc.constantFrom('sync', 'size', 'protect', 'close'), slot }),
      fc.record({ kind: fc.constantFrom('read', 'truncate'), slot, at: fc.nat(1500), bytes: fc.nat(1500) }),
      fc.record({ kind: fc.constant('write'), slot, at: fc.nat(1500), parts: fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 3 }) }),
    )
    const readBack = ['a', 'b', 'c'].flatMap((last) => {
      return [{ kind: 'openRead', name: last, slot: 0 }, { kind: 'read', slot: 0, at: 0, bytes: 5000 }]
    })
    fc.assert(fc.property(fc.array(step, { minLength: 5, maxLength: 30 }), (script) => {
      const root = mkdtempSync(join(tmpdir(), 'ringwal-disk-'))
      const disk = new MemoryDisk()
      disk.makeDirectory(join(root, 'd'))
      nodeDisk.makeDirectory(join(root, 'd'))
      const real = actor(nodeDisk, root)
      const model = actor(disk, root)
      try {
        for (const each of [...script, ...readBack]) {
          expect(model.act(each), JSON.stringify(each)).toEqual(real.act(each))
        }
      } finally {
        real.end()
        rmSync(root, { recursive: true })
      }
    }), { seed, numRuns: 150 })
  })
})

/** What may be left of `before`: each change and each sector of it made or lost, each growth in full, in part or lost. */
function naiveStates(before: string, changes: readonly { at: number; content?: string | undefined }[]): string[] {
  let disks = new Map([['', { bytes: [...before], size: before.length }]])
  const keep = (list: { bytes: string[]; size: number }[]): void => { disks = new Map(list.map((each) => [JSON.stringify(each), each])) }
  for (const { at, content } of changes) {
    if (!content) {
      const cut = (bytes: string[]): string[] => bytes.slice(0, at)
      keep([...disks.values()].flatMap((each) => [each, { bytes: cut(each.bytes), size: at }]))
      continue
    }
    for (let from = at; from < at + content.length;) {
      const to = Math.min(at + content.length, (Math.floor(from / SECTOR) + 1) * SECTOR)
      const part = content.slice(from - at, to - at)
      const start = from
      const write = (bytes: string[]): string[] => {
        return Array.from({ length: Math.max(bytes.length, to) }, (_, i) => (i >= start && i < to ? part[i - start] : bytes[i]) ?? '.')
      }
      keep([...disks.values()].flatMap(({ bytes, size }) => {
        return [bytes, write(bytes)].flatMap((data) => [size, Math.max(size, to)].map((grown) => ({ bytes: data, size: grown })))
      }))
      from = to
    }
  }
  const contents = [...disks.values()].map(({ bytes, size }) => Array.from({ length: size }, (_, i) => bytes[i] ?? '.').join(''))
  return [...new Set(contents)].sort()
}

interface Step { kind: string; name?: string; to?: string; slot: number; at?: number; bytes?: number; parts?: Uint8Array[] }

/** Carries out steps on a disk; every answer is a plain value or an error code. */
function actor(disk: Disk, root: string): { act: (step: Step) => unknown; end: () => void } {
  const files: (DiskFile | undefined)[] = []
  const isDirectory = (path: string): boolean => codeOf(() => disk.list(path)) === undefined
  const isFile = (path: string): boolean => codeOf(() => disk.open(path, 'read').close()) === undefined
  const act = ({ kind, name = '', to = '', slot, at = 0, bytes = 0, parts = [] }: Step): unknown => {
    const path = join(root, name)
    const file = files[slot]
    const keep = (opened: DiskFile): void => {
      files[slot]?.close()
      files[slot] = opened
    }
    if (kind === 'create') return keep(disk.create(path))
    if (kind === 'openRead') return keep(disk.open(path, 'read'))
    if (kind === 'openWrite') return keep(disk.open(path, 'write'))
    if (kind === 'remove') return disk.remove(path)
    if (kind === 'make') return disk.makeDirectory(path)
    if (kind === 'list') return disk.list(path).sort()
    if (kind === 'syncDirectory') return isFile(path) ? undefined : disk.syncDirectory(path)
    if (kind === 'rename') {
      const isModelled = !isDirectory(path) && !isDirectory(join(root, to))
      return isModelled ? disk.rename(path, join(root, to)) : undefined
    }
    if (file === undefined) return 'no file'
    if (kind === 'write') return file.write(parts, at)
    if (kind === 'truncate') return file.truncate(bytes)
    if (kind === 'sync') return file.sync()
    if (kind === 'size') return file.size()
    if (kind === 'protect') return file.protect()
    if (kind === 'read') {
      const buffer = new Uint8Array(bytes)
      return [file.read(buffer, at), Buffer.from(buffer).toString('hex')]
    }
    files[slot] = undefined
    return file.close()
  }
  return {
    act: (step) => {
      try {
        return act(step)
      } catch (error) {
        return (error as NodeJS.ErrnoException).code ?? error
      }
    },
    end: () => files.forEach((file) => file?.close()),
  }
}
