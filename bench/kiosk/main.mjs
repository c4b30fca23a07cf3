/**
 * The kiosk demo: a program that logs messages and uploads files is unplugged (SIGKILL) again and again, while its server comes and goes.
 * At the end the server has all of them at least once. `npm run demo:kiosk`
 *
 * Exit status 0 when every check holds, 1 otherwise.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { count } from '../demo/numbers.mjs'
import { checkTable } from '../demo/tables.mjs'
import { ComingAndGoing } from './server.mjs'

const UNPLUGGED = 8
const KIOSK = fileURLToPath(new URL('./kiosk.mjs', import.meta.url))

const root = mkdtempSync(join(tmpdir(), 'ringwal-kiosk-'))
/** One file for each life. */
const notes = []
let kiosk
process.once('exit', () => {
  kiosk?.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

/** Starts the kiosk; the promise resolves with how it ended. */
function start(...way) {
  notes.push(join(root, `notes-${notes.length}`))
  kiosk = spawn(process.execPath, [KIOSK, join(root, 'log'), server.url, notes.at(-1), ...way], { stdio: ['ignore', 'inherit', 'inherit'] })
  return once(kiosk, 'exit')
}

const server = new ComingAndGoing()
await server.start()
console.log(`A kiosk writes messages and pictures down and uploads them. It is unplugged ${UNPLUGGED} times at random; its server comes and goes ...`)
for (let time = 0; time < UNPLUGGED; time++) {
  const ended = start()
  await sleep(400 + Math.random() * 1200)
  kiosk.kill('SIGKILL')
  await ended
}
console.log('Now it is left alone until all is uploaded ...')
await server.stay()
const [status] = await start('drain')
await server.stop()

// A kill may cut the last line off where a page of the file ends.
const safe = notes.flatMap((file) => existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []).map((line) => line.split(' '))
const messages = safe.filter(([kind]) => kind === 'message').map(([, id]) => id)
const files = safe.filter(([kind]) => kind === 'file')
const twice = [...server.messages.values(), ...[...server.files.values()].map(({ times }) => times)].filter((times) => times > 1).length
const checks = [
  ['the kiosk ended with exit status', 0, status],
  ['messages that were safe, and never came', 0, messages.filter((id) => !server.messages.has(id)).length],
  ['files that were safe, and never came', 0, files.filter(([, id]) => !server.files.has(id)).length],
  ['files that came damaged', 0, files.filter(([, id, sha256]) => server.files.has(id) && server.files.get(id).sha256 !== sha256).length],
  ['something was uploaded', true, messages.length > 100 && files.length > 10],
]
console.log(`\n${checkTable(checks)}\n`)
console.log(`${count(messages.length)} messages and ${count(files.length)} files were safe on the kiosk's disk; the server, away ${server.times} times, has`
  + ` ${count(server.messages.size)} and ${count(server.files.size)}. ${count(twice)} came more than once.`)
process.exitCode = checks.every(([, expected, got]) => expected === got) ? 0 : 1
