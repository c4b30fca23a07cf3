/** What looks like a value of the right kind and is none is refused: in entries, where anybody may append any bytes, and in names. */

import { expect, test } from 'vitest'
import { decodeFileInfo, encodeFileInfo } from '../../dist/src/log/entry-file.js'
import { decodeDeadLetter, encodeDeadLetter } from '../../dist/src/queue/dead-letter-layout.js'
import { blobName, parseBlobName, parseReadyName } from '../../dist/src/segment/blob-name.js'

const INFO = { uuid: 'ab'.repeat(16), bytes: 5, sha256: 'cd'.repeat(32), metadata: null }
const LETTER = { consumer: 'c', sequence: 7, timestamp: 1.7e12, attempts: 2, error: { name: 'Error', message: 'no' } }

test('an entry that tells of a file has texts where texts belong, not lists that look like them', () => {
  expect(decodeFileInfo(encodeFileInfo(INFO))).toEqual(INFO)
  for (const wrong of [{ uuid: [INFO.uuid] }, { sha256: [INFO.sha256] }, { uuid: `${INFO.uuid}\n` }]) {
    expect(decodeFileInfo(encodeFileInfo({ ...INFO, ...wrong } as never))).toBeUndefined()
  }
})

test('a dead letter whose error has a code or a stack that is no text is none', () => {
  expect(decodeDeadLetter(encodeDeadLetter(LETTER, Buffer.alloc(0)))).toMatchObject(LETTER)
  for (const wrong of [{ code: 5 }, { stack: null }, { code: {} }]) {
    expect(decodeDeadLetter(encodeDeadLetter({ ...LETTER, error: { ...LETTER.error, ...wrong } as never }, Buffer.alloc(0)))).toBeUndefined()
  }
})

test('a blob whose number is no exact sequence is none: it would be taken for another one', () => {
  expect(parseBlobName(blobName(2 ** 53 - 1))).toBe(2 ** 53 - 1)
  expect(parseBlobName('9007199254740992.blob')).toBeUndefined()
  expect(parseBlobName('9999999999999999.blob')).toBeUndefined()
  expect(parseReadyName(`9999999999999999-${'ab'.repeat(16)}.blob`)).toBeUndefined()
})
