/** One harness in a process of its own: `run-harness.ts OPTIONS`, where OPTIONS is JSON. Its last line is its result as JSON. */

import { HARNESSES } from './harnesses.js'
import type { ProveOptions } from './harness.js'

/** {@link ProveOptions} as they are handed over, with the harness's name. */
export type HarnessOrder = Omit<ProveOptions, 'say'> & { readonly name: string }

const order = JSON.parse(process.argv[2]!) as HarnessOrder
const entry = HARNESSES.find(({ name }) => name === order.name)
if (entry === undefined) throw new Error(`no harness "${order.name}"`)
const harness = await entry.load()
const result = await harness.run({ ...order, say: (line) => console.log(line) })
console.log(`\n${JSON.stringify(result)}`)
