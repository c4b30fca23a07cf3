/**
 * A kiosk, alone in the world: it logs messages and takes pictures, and uploads both to a server that comes and goes. Whoever unplugs it loses
 * nothing: what it wrote down is uploaded after the next start.
 *
 *     node bench/kiosk/kiosk.mjs DIRECTORY SERVER NOTES [drain]
 *
 * NOTES is where it says what is safe: the proof that the demo holds against the server. With `drain` it makes nothing new, and ends when all
 * is uploaded.
 */

import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { openSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { openLog } from '../../dist/src/index.js'

const [, , directory, server, noteFile, way] = process.argv
const notes = openSync(noteFile, 'a')
const safe = (what) => writeSync(notes, `${what}\n`)

const log = await openLog({
  directory,
  // Nobody is there who could look into it: damage is passed over and told, and a copy kept.
  onCorrupt: 'salvage',
  whenFull: 'block',
  maxSegmentBytes: 256 * 1024,
  retention: { maxBytes: 64 * 1024 * 1024, whenOver: 'drop-oldest' },
})
const uploader = log.consumer('uploader')
uploader.on('lost', ({ firstSequence, lastSequence, cause }) => console.error(`entries ${firstSequence} to ${lastSequence} are lost: ${cause.message}`))

/** Throws unless the server has it. What is thrown is tried again, later. */
async function upload(entry, { signal }) {
  const { file } = entry
  const response = await fetch(file === undefined ? `${server}/message` : `${server}/file/${file.metadata.id}`, {
    method: 'POST', signal, duplex: 'half', body: file === undefined ? entry.text() : file.open(),
  })
  if (!response.ok) throw new Error(`the server said ${response.status}`)
}

const uploading = uploader.run(upload, {
  concurrency: 8,
  // A server that is away for a week is no reason to give an entry up.
  retry: { maxAttempts: 2 ** 31 - 1, initialDelayMs: 50, maxDelayMs: 500 },
  deadLetter: 'rejected',
})

if (way === 'drain') {
  while (uploader.progress.lag > 0) await sleep(5)
  await uploader.stop()
  await uploading
  await log.close()
  process.exit()
}

for (;;) {
  const id = randomUUID()
  if (Math.random() < 0.1) {
    const picture = randomBytes(Math.ceil(Math.random() * 200_000))
    await log.appendFile([picture], { metadata: { id } })
    safe(`file ${id} ${createHash('sha256').update(picture).digest('hex')}`)
  } else {
    await log.write(JSON.stringify({ id, message: 'somebody pressed a button', at: Date.now() }))
    safe(`message ${id}`)
  }
  await sleep(Math.random() * 4)
}
