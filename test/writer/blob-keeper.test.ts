import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
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

test('a log whose place for uploaded files is taken by something else is not opened', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'blobs'), '')
  await expect(openLog({ directory })).rejects.toMatchObject({ code: 'ERR_WAL_IO', cause: { code: 'ENOTDIR' } })
  expect(readdirSync(directory)).toEqual(['blobs'])
})
