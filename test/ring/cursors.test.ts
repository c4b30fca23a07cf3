import { expect, test } from 'vitest'
import { MAX_CURSORS } from '../../dist/src/format/trailer-layout.js'
import {
  addCursor, collectCursors, commitCursor, findCursor, holdCursor, initializeCursors, listCursors, readCursor, removeCursor, seekCursor,
} from '../../dist/src/ring/cursors.js'
import { allocateRing, openRing } from '../../dist/src/ring/ring.js'
import { CURSOR, WORD } from '../../dist/src/ring/ring-layout.js'

test('a log has room for 4,096 consumers; one more is refused until one goes, whose place it gets in an epoch of its own', () => {
  const ring = openRing(allocateRing(4096, 16, 1000))
  initializeCursors(ring, Array.from({ length: MAX_CURSORS }, (_, index) => ({ name: `consumer ${index}`, sequence: index, epoch: 3 })))
  expect(() => addCursor(ring, 'one more', 0)).toThrow(expect.objectContaining({ code: 'ERR_WAL_TOO_MANY_CONSUMERS' }))
  const all = listCursors(ring)
  expect([MAX_CURSORS, all.length]).toEqual([4096, 4096])
  const { base, epoch } = all[4000]!
  removeCursor(ring, base)
  const hold = addCursor(ring, 'one more', 7)
  expect([hold.base, readCursor(ring, base)]).toEqual([base, { name: 'one more', sequence: 7, epoch: epoch + 2 }])
  expect(() => addCursor(ring, 'and another', 0)).toThrow(expect.objectContaining({ code: 'ERR_WAL_TOO_MANY_CONSUMERS' }))
})

test('a commit that sees half of a seek looks again, before it says that the cursor has been sought', () => {
  const ring = openRing(allocateRing(4096, 16, 1000))
  initializeCursors(ring, [{ name: 'reader', sequence: 5, epoch: 3 }])
  const { base } = listCursors(ring)[0]!
  // The writer knows already that some cursor has moved.
  ring.atomics.store(ring.words, WORD.cursorsChanged, 1)
  const hold = holdCursor(ring, base)
  let looks = 0
  // The first plain look at the high word is at one of another epoch.
  const words = new Proxy(ring.words, { get: (target, key) => (key === String(base + CURSOR.place + 1) && ++looks === 1 ? -1 : Reflect.get(target, key)) })
  const load = (_words: Int32Array, index: number): number => ring.atomics.load(ring.words, index)
  expect(commitCursor({ ...ring, words, atomics: { ...ring.atomics, load } }, hold, 7)).toBe(true)
  expect([looks, readCursor(ring, base)]).toEqual([2, { name: 'reader', sequence: 7, epoch: 3 }])
  seekCursor(ring, base, 6)
  expect(commitCursor(ring, hold, 8)).toBe(false)
})

test('what the writer collects beside a removal, and another cursor in its place, is one of the two, where that stood', () => {
  const found = new Set<string>()
  for (let stop = 0, isOver = false; !isOver; stop++) {
    const ring = openRing(allocateRing(4096, 16, 1000))
    initializeCursors(ring, [{ name: 'before', sequence: 1000, epoch: 3 }])
    seekCursor(ring, findCursor(ring, 'before')!, 1000)
    let step = 0
    const load = (_words: Int32Array, index: number): number => {
      if (step++ === stop) {
        removeCursor(ring, findCursor(ring, 'before')!)
        addCursor(ring, 'a later one', 7)
      }
      return ring.atomics.load(ring.words, index)
    }
    found.add(JSON.stringify(collectCursors({ ...ring, atomics: { ...ring.atomics, load } })?.map(({ name, sequence, epoch }) => [name, sequence, epoch])))
    isOver = step <= stop
  }
  expect([...found].sort()).toEqual(['[["a later one",7,6]]', '[["before",1000,4]]'])
})
