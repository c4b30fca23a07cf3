/** One producer thread of benchmarks/throughput.mjs: appends its share when the gate opens, as often as asked. */

import { workerData } from 'node:worker_threads'
import { attachProducer } from '../dist/src/index.js'
import { makeLines } from './entries.mjs'

const { handle, gate, bytes, count, rounds } = workerData
const [READY, ROUND, DONE] = [0, 1, 2]
const lines = makeLines(bytes)
const mask = lines.length - 1
const producer = attachProducer(handle)

for (let round = 1; round <= rounds; round++) {
  Atomics.add(gate, READY, 1)
  Atomics.notify(gate, READY)
  while (Atomics.load(gate, ROUND) < round) Atomics.wait(gate, ROUND, round - 1)
  for (let index = 0; index < count; index++) producer.append(lines[index & mask])
  Atomics.add(gate, DONE, 1)
  Atomics.notify(gate, DONE)
}
