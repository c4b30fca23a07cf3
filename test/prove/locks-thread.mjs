// A thread that owns a log and writes to it until it is terminated.
import { parentPort, workerData } from 'node:worker_threads'

const { build, directory } = workerData
const { openLog } = await import(`${build}/src/index.js`)
const log = await openLog({ directory, ringBytes: 64 * 1024, reserveBytes: 0, preallocateBytes: 4096 })
parentPort.postMessage(log.handle())
for (;;) await log.write('thread')
