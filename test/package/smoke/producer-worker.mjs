import { workerData } from 'node:worker_threads'
import { attachProducer } from 'ringwal'

const producer = attachProducer(workerData.handle)
let last = 0
for (let i = 0; i < workerData.entries; i++) last = producer.append(`worker ${i}`)
await producer.durable(last)
