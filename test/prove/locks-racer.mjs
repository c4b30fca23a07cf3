// A process that tries to own a directory on its parent's word, by the lock alone or as a log, and notes what it does while it owns it in a
// ledger that all share: one system call a line, which the kernel puts in order. Arguments: build, directory, ledger, its number.
import { openSync, writeSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'

const [build, directory, ledgerFile, number] = process.argv.slice(2)
const { openLog } = await import(`${build}/src/index.js`)
const { acquireDirectoryLock } = await import(`${build}/src/disk/directory-lock.js`)
const ledger = openSync(ledgerFile, 'a')
let terms = 0
/** Ends the term of whoever owns. */
let closeWanted = false

/** What is tried: each resolves with what is done while owning, and what gives the directory free. */
const ways = {
  async lock(waitMs) {
    const lock = await acquireDirectoryLock(directory, { waitMs })
    return { work: async (_term, note) => { note('beat'); await turn() }, end: () => lock.release() }
  },
  async log(waitMs) {
    const log = await openLog({
      directory, lockWaitMs: waitMs, ringBytes: 64 * 1024, maxSegmentBytes: 64 * 1024, preallocateBytes: 4096, reserveBytes: 0,
    })
    let count = 0
    const work = async (term, note) => {
      const text = `${term} ${count++}`
      const { sequence } = await log.write(text)
      note(`durable ${sequence} ${text}`)
    }
    return { work, end: () => log.close() }
  },
}

async function own(way, waitMs) {
  let held
  try {
    held = await ways[way](waitMs)
  } catch (error) {
    return process.send({ got: error.code === 'ERR_WAL_LOCKED' ? 'locked' : 'error', message: String(error) })
  }
  const term = `${number}.${terms++}`
  const note = (what) => writeSync(ledger, `${term} ${what}\n`)
  note('begin')
  closeWanted = false
  process.send({ got: 'owner' })
  while (!closeWanted) await held.work(term, note)
  // From here on another may own.
  note('end')
  await held.end()
  return process.send({ got: 'closed' })
}

process.on('message', ({ act, way, waitMs }) => {
  if (act === 'close') closeWanted = true
  else own(way, waitMs ?? Infinity).catch((error) => process.send({ got: 'error', message: String(error.stack) }))
})
process.on('disconnect', () => process.exit())
process.send({ got: 'started' })
