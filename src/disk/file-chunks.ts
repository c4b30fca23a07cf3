/** Reading a file of the user's, of any size, a piece at a time. */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

const CHUNK_BYTES = 256 * 1024
const NONBLOCK = constants.O_NONBLOCK ?? 0

/**
 * The bytes of a regular file, 256 KiB at a time, without blocking the thread. Links are followed. Rejects with the operating system's
 * error; with `EINVAL` on what is no regular file.
 */
export async function* readFileChunks(path: string): AsyncGenerator<Buffer, void, undefined> {
  // O_NONBLOCK: opening a FIFO must fail the check below, not hang.
  const file = await open(path, constants.O_RDONLY | NONBLOCK)
  try {
    if (!(await file.stat()).isFile()) throw Object.assign(new Error(`EINVAL: not a regular file, open '${path}'`), { code: 'EINVAL', syscall: 'open', path })
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(CHUNK_BYTES), 0, CHUNK_BYTES)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}
