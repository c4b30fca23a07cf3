/**
 * The demo: a web server logs through ringwal, is killed in the middle, and nothing that it acknowledged is lost.
 *
 *     npm run demo
 *
 * Exit status 0 when every check holds, 1 otherwise.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openLog } from '../../dist/src/index.js'
import { count, ms } from './numbers.mjs'
import { drawPage } from './page.mjs'
import { ServerRun } from './server-run.mjs'
import { checkTable, figureTable } from './tables.mjs'
import { verify } from './verify.mjs'

const BASELINE_MS = 4000
/** The kill comes at a moment that nobody has chosen. */
const KILL_AFTER_MS = 5000 + Math.random() * 2000
const SECOND_RUN_MS = 4000
/** To see that the load went on up to the kill. */
const LAST_MS = 500
const PAGE = fileURLToPath(new URL('../results/demo.html', import.meta.url))

const say = (text) => console.log(text)

const directory = mkdtempSync(join(tmpdir(), 'ringwal-demo-'))
let running
process.once('exit', () => {
  running?.abandon()
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

say(`
ringwal demo. A web server logs each request with pino, and answers when the line is durable: synced to the disk.
Meanwhile two threads of a piscina pool compute primes and log from where they are. One log takes it all: ${directory}
`)

say(`1. For comparison: the same server and pool, and nothing logged (${BASELINE_MS / 1000} s under load of autocannon) ...`)
running = await ServerRun.start({ run: 'baseline' })
await sleep(BASELINE_MS)
await running.stop()
const baseline = running

say('2. Now with the log, under the same load, until SIGKILL ...')
running = await ServerRun.start({ run: 'first', directory })
await sleep(KILL_AFTER_MS)
const killed = running
const killedBy = await killed.kill()
const atTheEnd = killed.receipts.filter(({ atMs }) => atMs > killed.endMs - LAST_MS).length
say(`   Killed after ${killed.seconds.toFixed(1)} s. It had acknowledged ${count(killed.receipts.length)} entries,`
  + ` ${count(atTheEnd)} of them in its last ${LAST_MS} ms;\n   we hold a receipt with a digest for each.`)

say('3. Opening the log again and reading all of it ...')
const afterKill = await reopenAndVerify(killed.receipts)
say(`   ${describeRecovery(afterKill.recovery)}`)
say(`   ${count(afterKill.found.entries)} entries are there: the ${count(killed.receipts.length)} acknowledged,`
  + ` and ${count(afterKill.found.entries - killed.receipts.length)} that were on their way.`)

say(`4. The server starts again on the same log and goes on (${SECOND_RUN_MS / 1000} s), and is then closed as it should be ...`)
running = await ServerRun.start({ run: 'second', directory })
await sleep(SECOND_RUN_MS)
const second = running
const secondEnd = await second.stop()
running = undefined
const atEnd = await reopenAndVerify([...killed.receipts, ...second.receipts])

const checks = [
  ['the server was ended by', 'SIGKILL', killedBy],
  ['acknowledged before the kill, and missing', 0, afterKill.found.missing],
  ['acknowledged before the kill, and changed', 0, afterKill.found.changed],
  ['twice, skipped, or out of order, by source', 0, afterKill.found.outOfOrder],
  ['gaps in the sequences', 0, afterKill.found.gaps],
  ['the second run goes on behind the first', true, second.receipts.every(({ sequence }) => sequence > afterKill.recovery.lastSequence)],
  ['the second run closed with exit status', 0, secondEnd],
  ['the log says that it was closed', true, atEnd.recovery.cleanClose],
  ['both runs: missing or changed', 0, atEnd.found.missing + atEnd.found.changed],
  ['both runs: out of order, or gaps', 0, atEnd.found.outOfOrder + atEnd.found.gaps],
  ['both runs: something was acknowledged', true, killed.receipts.length > 0 && second.receipts.length > 0],
]
const failed = checks.filter(([, expected, got]) => expected !== got)

say(`\n${checkTable(checks)}\n`)
say(figureTable({ baseline, killed, second }))
mkdirSync(join(PAGE, '..'), { recursive: true })
writeFileSync(PAGE, drawPage({ baseline, killed, second, reopenedMs: afterKill.atMs }))
say(`\nThe curves, for a browser: ${PAGE}`)
say(failed.length === 0
  ? `Every one of ${count(atEnd.found.acknowledged)} acknowledged entries is there, in order, once.`
  : `FAILED: ${failed.map(([name, expected, got]) => `${name}: expected ${expected}, got ${got}`).join('; ')}`)
process.exitCode = failed.length === 0 ? 0 : 1

async function reopenAndVerify(receipts) {
  const log = await openLog({ directory })
  try {
    return { recovery: log.recovery, found: await verify(log, receipts), atMs: Date.now() }
  } finally {
    await log.close()
  }
}

function describeRecovery({ entries, segments, durationMs, cuts }) {
  const torn = cuts.filter(({ mayHaveBeenAcknowledged }) => mayHaveBeenAcknowledged)
  const cut = torn.length === 0 ? 'No batch was half written' : `Cut off as half written: ${torn.map(({ bytes }) => `${count(bytes)} bytes`).join(', ')}`
  return `Recovered ${count(entries)} entries in ${count(segments)} segment${segments === 1 ? '' : 's'} within ${ms(durationMs)}. ${cut}.`
}
