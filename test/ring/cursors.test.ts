import { expect, test } from 'vitest'
import { MAX_CURSORS } from '../../dist/src/format/trailer-layout.js'
import { addCursor, initializeCursors, listCursors, readCursor, removeCursor } from '../../dist/src/ring/cursors.js'
import { allocateRing, openRing } from '../../dist/src/ring/ring.js'

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
