/**
 * One measurement in a process of its own: `measure-append.mjs MODULE DIRECTORY COUNT` prints the milliseconds that COUNT lines took,
 * in a store that is open and has taken as many before.
 */

import { LINE_BYTES, lines } from './lines.mjs'

const [, , module, directory, countText] = process.argv
const count = Number(countText)

if (lines.some((line) => Buffer.byteLength(line) !== LINE_BYTES)) throw new Error(`expected lines of ${LINE_BYTES} bytes`)

/** @type {{ open: (directory: string) => Promise<{ append: (count: number) => Promise<void>, close: () => Promise<void> }> }} */
const { open } = await import(module)

const store = await open(directory)
await store.append(count)
const startMs = performance.now()
await store.append(count)
console.log(performance.now() - startMs)
await store.close()
