import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { WalError } from '../../dist/src/errors.js'
import { endError, failLog } from '../../dist/src/ring/life.js'
import { allocateRing, openRing } from '../../dist/src/ring/ring.js'
import { FAILURE_MAX_BYTES, STATE, WORD } from '../../dist/src/ring/ring-layout.js'

const MODULES = ['life', 'ring'].map((name) => new URL(`../../dist/src/ring/${name}.js`, import.meta.url).href)
/** Fails the log, and takes its time between writing down the cause and saying so. */
const FAIL_SLOWLY = `
  const { workerData: { handle, modules, stateWord, failed } } = require('node:worker_threads')
  Promise.all(modules.map((url) => import(url))).then(([{ failLog }, { openRing }]) => {
    const ring = openRing(handle)
    const store = (words, index, value) => {
      if (index === stateWord && value === failed) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
      ring.atomics.store(words, index, value)
    }
    failLog({ ...ring, atomics: { ...ring.atomics, store } }, new Error('the disk is gone'))
  })`

test('who looks while another thread is still failing the log gets the cause all the same', async () => {
  const handle = allocateRing(4096, 16, 1000)
  const ring = openRing(handle)
  const worker = new Worker(FAIL_SLOWLY, { eval: true, workerData: { handle, modules: MODULES, stateWord: WORD.state, failed: STATE.failed } })
  onTestFinished(async () => void (await worker.terminate()))
  while (ring.atomics.load(ring.words, WORD.state) === STATE.open) await new Promise(setImmediate)
  expect(endError(ring)).toMatchObject({ code: 'ERR_WAL_FAILED', cause: { message: 'the disk is gone' } })
})

test('who looks after a thread has died while it was failing the log is told of the failure, without a cause', () => {
  const ring = openRing(allocateRing(4096, 16, 1000))
  ring.atomics.store(ring.words, WORD.state, STATE.failing)
  expect(endError(ring)).toMatchObject({ code: 'ERR_WAL_FAILED', message: 'the log has failed' })
})

test('a cause that is too long for the place it has is told by its beginning', () => {
  const ring = openRing(allocateRing(4096, 16, 1000))
  const deep = new WalError('ERR_WAL_IO', `it is long: ${'x'.repeat(FAILURE_MAX_BYTES)}`, { file: 'data' })
  failLog(ring, deep)
  expect(endError(ring)).toMatchObject({ code: 'ERR_WAL_FAILED', cause: { message: deep.message.slice(0, 512) } })
})
