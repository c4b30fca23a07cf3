// A thread that does with its producer what it is told, and answers: see producer-thread.ts.
import { parentPort, workerData } from 'node:worker_threads'
import { load } from './library.mjs'

const { attachProducer, openLog } = await load('index.js')
let producer = workerData.handle === undefined ? undefined : attachProducer(workerData.handle)

const acts = {
  attach: () => void (producer = attachProducer(workerData.handle)),
  open: async (options) => (producer = await openLog(options)).handle(),
  append: (data) => producer.append(data),
  appendGroup: (entries) => producer.appendGroup(entries),
  write: (data) => producer.write(data),
  durable: (sequence) => producer.durable(sequence),
  ready: (bytes) => producer.ready(bytes),
  flush: () => producer.flush(),
  flushSync: (options) => producer.flushSync(options),
  close: () => producer.close(),
  // Appends `count` texts in one turn of the loop; returns their sequences.
  appendMany: ({ prefix, count }) => Array.from({ length: count }, (_, index) => producer.append(`${prefix}${index}`)),
  exit: () => process.exit(),
  fail: () => void setImmediate(() => { throw new Error('the thread fails') }),
}

function report(error) {
  return { name: error.name, code: error.code, message: error.message, cause: error.cause?.code ?? error.cause?.message }
}

parentPort.on('message', async ({ id, act, argument }) => {
  try {
    parentPort.postMessage({ id, value: await acts[act](argument) })
  } catch (error) {
    parentPort.postMessage({ id, error: report(error) })
  }
})
parentPort.postMessage({ id: 0 })
