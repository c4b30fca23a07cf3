/** One harness in a process of its own: `run-harness.ts OPTIONS`, where OPTIONS is JSON. Its last line is its result as JSON. */

import { undoAll } from '../support/leftovers.js'
import { HARNESSES } from './harnesses.js'
import type { ProveOptions } from './harness.js'

/** {@link ProveOptions} as they are handed over, with the harness's name. */
export type HarnessOrder = Omit<ProveOptions, 'say'> & { readonly name: string }

const order = JSON.parse(process.argv[2]!) as HarnessOrder
const entry = HARNESSES.find(({ name }) => name === order.name)
if (entry === undefined) throw new Error(`no harness "${order.name}"`)
// For what is loaded by its address: threads, other processes (test/support/library.mjs).
process.env['RINGWAL_BUILD'] = order.build
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void undoAll().finally(() => process.exit(1)))
}
try {
  const harness = await entry.load()
  const result = await harness.run({ ...order, say: (line) => console.log(line) })
  // What is not with the kernel yet goes with the process: a long one was cut.
  await new Promise((resolve) => process.stdout.write(`\n${JSON.stringify(result)}\n`, resolve))
} finally {
  await undoAll()
}
// A seeded bug may have left a thread that waits for ever.
process.exit()
