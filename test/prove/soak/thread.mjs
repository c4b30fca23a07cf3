// A producer of the soak test: appends in bursts while the gate is open, until it is told to end. See soak.ts.
import { workerData } from 'node:worker_threads'

const { build, handle, gate, entry, burst } = workerData
const { attachProducer } = await import(build)
const producer = attachProducer(handle)
while (Atomics.load(gate, 1) === 0) {
  Atomics.wait(gate, 0, 0)
  for (let count = 0; count < burst; count++) producer.append(entry)
  await producer.ready(entry.length)
}
await producer.close()
