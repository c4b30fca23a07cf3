/** Locking by a name that one at a time can hold: an abstract socket, a pipe, or a file that is locked as it is opened. */

import { createHash } from 'node:crypto'
import {
  closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, realpathSync, unlinkSync, writeFileSync, writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { CANDIDATE_MODE, codeOf, heldLock, ignoreFailure, type DirectoryLock, type Rival } from './lock-contest.js'
import { createLockServer, listen } from './lock-server.js'

/** A plain file with the owner's pid, where the lock itself cannot tell it. On macOS and BSD also what is locked. */
const NOTE_NAME = 'lock'
/** O_EXLOCK of macOS and all BSDs, which Node passes on but does not name: open and flock in one. */
const O_EXLOCK = 0x20

/** Linux, where the file system cannot hold sockets: reaches no further than one network namespace. */
export function holdAbstract(directory: string): Promise<DirectoryLock | Rival> {
  // Kept open: some of these file systems give a directory a new number when nobody uses it.
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  const { dev, ino } = fstatSync(fd, { bigint: true })
  return holdAddress(directory, `\0ringwal-${dev}-${ino}`, () => closeSync(fd))
}

/** Windows. */
export function holdPipe(directory: string): Promise<DirectoryLock | Rival> {
  const pipe = `\\\\?\\pipe\\ringwal-${createHash('sha256').update(realpathSync.native(directory)).digest('hex')}`
  return holdAddress(directory, pipe, () => {})
}

/** A name outside the file system, which one server at a time can have. */
async function holdAddress(directory: string, address: string, free: () => void): Promise<DirectoryLock | Rival> {
  const note = join(directory, NOTE_NAME)
  const server = createLockServer()
  try {
    await listen(server, address)
  } catch (error) {
    free()
    if (['EADDRINUSE', 'EACCES'].includes(codeOf(error))) return notedOwner(note)
    throw error
  }
  ignoreFailure(() => writeFileSync(note, `${process.pid}\n`, { mode: CANDIDATE_MODE })) // Then others are not told who it is.
  return heldLock(() => {
    ignoreFailure(() => unlinkSync(note))
    server.close()
    free()
  })
}

/** macOS and BSD. The file stays when it is given free: to unlink it would let two lock two files of one name. */
export function holdFile(directory: string): DirectoryLock | Rival {
  const { O_RDWR, O_CREAT, O_NONBLOCK, O_NOFOLLOW } = constants
  const note = join(directory, NOTE_NAME)
  try {
    const fd = openSync(note, O_RDWR | O_CREAT | O_NONBLOCK | O_NOFOLLOW | O_EXLOCK, CANDIDATE_MODE)
    ignoreFailure(() => { ftruncateSync(fd); writeSync(fd, `${process.pid}\n`) }) // As above.
    return heldLock(() => closeSync(fd))
  } catch (error) {
    if (['EAGAIN', 'EWOULDBLOCK'].includes(codeOf(error))) return notedOwner(note)
    throw error
  }
}

function notedOwner(note: string): Rival {
  let pid = 0
  ignoreFailure(() => { pid = Number(/^([1-9][0-9]{0,9})\n$/.exec(readFileSync(note, 'latin1'))?.[1] ?? 0) })
  return { owns: true, ...(pid > 0 && { pid }) }
}
