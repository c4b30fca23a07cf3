// A thread with a producer of its own, which does what it is told, one thing after the other: see world.ts.
import { parentPort, workerData } from 'node:worker_threads'

const { attachConsumer, attachProducer } = await import(workerData.build)
const producer = attachProducer(workerData.handle)

const acts = {
  // The sequence of each; 0 where there was no room.
  appendEach: (entries) => entries.map((data) => {
    try {
      return producer.append(data)
    } catch (error) {
      if (error.code === 'ERR_WAL_FULL') return 0
      throw error
    }
  }),
  writeEach: (entries) => Promise.all(entries.map((data) => producer.write(data))),
  flushSync: () => producer.flushSync(),
  commit: ({ handle, sequence }) => attachConsumer(handle).commit(sequence),
}

parentPort.on('message', async ({ act, argument }) => {
  try {
    parentPort.postMessage({ value: await acts[act](argument) })
  } catch (error) {
    parentPort.postMessage({ error: { code: error.code, message: error.message } })
  }
})
parentPort.postMessage('ready')
