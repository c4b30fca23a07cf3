// Proves that the installed package works, on whatever Node runs this. Stands in a project that has it; needs nothing else.
// `node smoke.mjs [step…]` prints "ok" or "not ok" for each step, and ends with status 1 unless all are.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { attachProducer, LogMessage, openLog, readLog, WalError } from 'ringwal'

const HERE = dirname(fileURLToPath(import.meta.url))
const PACKAGE = createRequire(import.meta.url).resolve('ringwal/package.json')

async function textsOf(entries) {
  const texts = []
  for await (const entry of entries) texts.push(entry.text())
  return texts
}

const STEPS = {
  async 'append, durable, read, close, reopen'(directory) {
    const first = await openLog({ directory })
    assert.equal(first.append('one'), 1)
    assert.equal(first.appendGroup(['two', Buffer.from('three')]), 2)
    await first.durable(3)
    assert.equal((await first.write(new LogMessage().json({ four: 4 }))).sequence, 4)
    assert.deepEqual(await textsOf(first.read({ limit: 3 })), ['one', 'two', 'three'])
    await first.close()
    assert.throws(() => first.append('late'), (error) => error instanceof WalError && error.code === 'ERR_WAL_CLOSED')

    const second = await openLog({ directory })
    assert.equal(second.lastSequence, 4)
    assert.equal(second.append('five'), 5)
    await second.flush()
    assert.deepEqual((await second.get(4)).json(), { four: 4 })
    await second.close()
    assert.deepEqual(await textsOf(readLog(directory, { fromSequence: 5 })), ['five'])
  },

  async 'a worker thread appends by attachProducer'(directory) {
    const log = await openLog({ directory })
    assert.equal(attachProducer(log.handle()).append('from the main thread'), 1)
    const worker = new Worker(join(HERE, 'producer-worker.mjs'), { workerData: { handle: log.handle(), entries: 1000 } })
    const code = await new Promise((resolve, reject) => worker.once('error', reject).once('exit', resolve))
    assert.equal(code, 0)
    await log.flush()
    const texts = await textsOf(log.read())
    assert.equal(texts.length, 1001)
    assert.deepEqual(texts.slice(-2), ['worker 998', 'worker 999'])
    await log.close()
  },

  async 'kill -9 loses nothing that was acknowledged'(directory) {
    const child = spawn(process.execPath, [join(HERE, 'crash-child.mjs'), directory], { stdio: ['ignore', 'pipe', 'inherit'] })
    const gone = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)))
    let acknowledged = 0
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Math.max(acknowledged, Number(line))
      if (acknowledged >= 200) child.kill('SIGKILL')
    }
    assert.equal(await gone, 'SIGKILL')
    const log = await openLog({ directory })
    assert.ok(log.lastSequence >= acknowledged, `${acknowledged} acknowledged, ${log.lastSequence} found`)
    let expected = 1
    for await (const entry of log.read()) {
      assert.equal(entry.sequence, expected)
      assert.equal(entry.text(), `entry ${expected++}`)
    }
    assert.equal(expected, log.lastSequence + 1)
    await log.close()
  },

  async 'require() from CommonJS'(directory) {
    assert.equal(execFileSync(process.execPath, [join(HERE, 'required.cjs'), directory], { encoding: 'utf8' }), 'from CommonJS\n')
  },

  async 'the command line appends and prints'(directory) {
    const { bin, version } = JSON.parse(readFileSync(PACKAGE, 'utf8'))
    const run = (args, input) => execFileSync(process.execPath, [join(dirname(PACKAGE), bin.ringwal), ...args], { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] })
    assert.equal(run(['--version'], '').trim(), version)
    run(['append', directory], 'one\ntwo\n')
    assert.equal(run(['cat', directory], ''), 'one\ntwo\n')
  },
}

const asked = process.argv.slice(2)
for (const [name, step] of Object.entries(STEPS)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  const root = mkdtempSync(join(tmpdir(), 'ringwal-smoke-'))
  try {
    await step(join(root, 'log'))
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`not ok ${name}: ${error instanceof Error ? error.stack : error}`)
    process.exitCode = 1
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
