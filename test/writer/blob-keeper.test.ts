import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { nodeDisk } from '../../dist/src/disk/node-disk.js'
import { openLog } from '../../dist/src/index.js'
import { blobName } from '../../dist/src/segment/blob-name.js'
import { BlobKeeper } from '../../dist/src/writer/blob-keeper.js'
import { temporaryDirectory } from '../support/temporary-directory.js'

test('bytes of uploaded files are counted as they are found, also when somebody has removed one by hand', () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'blobs'))
  const put = (sequence: number, bytes: number): void => writeFileSync(join(directory, 'blobs', blobName(sequence)), Buffer.alloc(bytes))
  put(3, 30)
  put(7, 700)
  put(12, 1)
  const blobs = new BlobKeeper(nodeDisk, directory, 11)
  expect(readdirSync(join(directory, 'blobs'))).toEqual([blobName(3), blobName(7)])
  blobs.refresh()
  expect([2, 3, 6, 7, 99].map((sequence) => blobs.bytesUpTo(sequence))).toEqual([0, 30, 30, 730, 730])
  nodeDisk.remove(join(directory, 'blobs', blobName(3)))
  put(9, 9000)
  blobs.refresh()
  expect([2, 3, 6, 7, 99].map((sequence) => blobs.bytesUpTo(sequence))).toEqual([0, 0, 0, 700, 9700])
})

test('what is no file, or has been removed by somebody else, is none of the uploaded files', () => {
  const directory = temporaryDirectory()
  const blobs = join(directory, 'blobs')
  mkdirSync(blobs)
  for (const sequence of [1, 2]) writeFileSync(join(blobs, blobName(sequence)), 'abc')
  for (const sequence of [3, 13]) symlinkSync(join(blobs, blobName(1)), join(blobs, blobName(sequence)))
  for (const sequence of [4, 14]) mkdirSync(join(blobs, blobName(sequence)))
  const keeper = new BlobKeeper(nodeDisk, directory, 11)
  keeper.refresh()
  expect(keeper.bytesUpTo(Infinity)).toBe(6)
  nodeDisk.remove(join(blobs, blobName(1)))
  keeper.removeBelow(10)
  expect([keeper.bytesUpTo(Infinity), readdirSync(blobs).sort()]).toEqual([0, [3, 4, 13, 14].map(blobName)])
})

test('a log whose place for uploaded files is taken by something else is not opened', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'blobs'), '')
  await expect(openLog({ directory })).rejects.toMatchObject({ code: 'ERR_WAL_IO', cause: { code: 'ENOTDIR' } })
  expect(readdirSync(directory)).toEqual(['blobs'])
})
