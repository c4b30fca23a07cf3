import { expect, test } from 'vitest'
import { createSegmentName, parseSegmentName } from '../../dist/src/format/segment-name.js'
import { createUuid, uuidFromHex, uuidToHex } from '../../dist/src/format/uuid.js'
import { parseName } from './independent-parser.mjs'

const TIMES = [0, 1, 1_706_933_106_789, Date.UTC(2026, 11, 31, 23, 59, 59, 999), 253_402_300_799_999]
const GOOD = '20240203040506-018d6d2438657a0bb1c2d3e4f5060708.wal'

/** Names that a directory may hold and that are not a segment's. */
const HOSTILE = [
  '', '.', '..', '.wal', 'lock-018d6d2438657a0bb1c2d3e4f5060708-1',
  ` ${GOOD}`, `${GOOD} `, `${GOOD}\n`, `\n${GOOD}`, `${GOOD}\0`, `${GOOD}.tmp`, `${GOOD}~`, `.${GOOD}`,
  `../${GOOD}`, `/etc/${GOOD}`, `a/${GOOD}`, `a\\${GOOD}`, `${GOOD}/..`,
  GOOD.toUpperCase(), GOOD.replace('.wal', '.WAL'), GOOD.replace('d', 'D'), GOOD.replace('.wal', ''), GOOD.replace('.wal', 'xwal'),
  GOOD.replace('-', '_'), GOOD.replace('-', '−'), GOOD.slice(1), `0${GOOD}`, GOOD.replace('7a0b', '4a0b'), GOOD.replace('7a0b', '0a0b'),
  GOOD.replace('b1c2', 'c1c2'), GOOD.replace('b1c2', '71c2'), GOOD.replace('0708', '070'), GOOD.replace('0708', '07080'), GOOD.replace('0708', '070g'),
  GOOD.replace('2024', '２０２４'), GOOD.replace('2024', '-024'), GOOD.replace('2024', '+024'), GOOD.replace('.wal', '․wal'),
  '20240203040506-018d6d24-3865-7a0b-b1c2-d3e4f5060708.wal',
  // Later than 9999.
  '99991231235959-e677d21fdc007a0bb1c2d3e4f5060708.wal', '99991231235959-ffffffffffff7fff8fffffffffffffff.wal',
]

test('a name carries its creation time twice, and parses back', () => {
  for (const ms of TIMES) {
    const created = createSegmentName(ms)
    expect(parseSegmentName(created.name)).toEqual(created)
    expect(created.createdMs).toBe(ms)
    expect(created.name.slice(0, 14)).toBe(new Date(ms).toISOString().replaceAll(/\D/g, '').slice(0, 14))
    expect(parseName(created.name)).toMatchObject({ createdMs: ms, uuid: uuidToHex(created.uuid) })
  }
})

test('names sort as they were created', () => {
  const names = TIMES.map((ms) => createSegmentName(ms).name)
  expect(names.toSorted()).toEqual(names)
})

test('no name is made that would be none', () => {
  expect(() => createSegmentName(253_402_300_800_000)).toThrow(expect.objectContaining({ code: 'ERR_WAL_INVARIANT' }))
})

test('no two names of one millisecond are the same', () => {
  expect(new Set(Array.from({ length: 1000 }, () => createSegmentName(5).name)).size).toBe(1000)
})

test('what is not exactly a name is none', () => {
  expect(parseSegmentName(GOOD)).toBeDefined()
  expect(HOSTILE.filter((name) => parseSegmentName(name) !== undefined)).toEqual([])
})

test('a UUID has version 7, the variant of RFC 9562 and its millisecond in front', () => {
  for (const ms of [0, 1, 2 ** 32, 2 ** 48 - 1, 1_706_933_106_789]) {
    const uuid = createUuid(ms)
    const hex = uuidToHex(uuid)
    expect(hex).toMatch(/^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/)
    expect(Number.parseInt(hex.slice(0, 12), 16)).toBe(ms)
    expect(uuidFromHex(hex)).toEqual(uuid)
  }
})

test('74 bits of a UUID are random', () => {
  const all = Array.from({ length: 256 }, () => createUuid(0))
  const varying = all[0]!.map((first, index) => all.reduce((bits, uuid) => bits | (uuid[index]! ^ first), 0))
  expect([...varying.subarray(0, 6)]).toEqual([0, 0, 0, 0, 0, 0])
  expect([...varying.subarray(6)].map((bits) => bits.toString(2).length)).toEqual([4, 8, 6, 8, 8, 8, 8, 8, 8, 8])
})
