/** One measurement in a process of its own: `measure-append.mjs MODULE DIRECTORY COUNT` prints the milliseconds that COUNT lines took. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { LINE_BYTES, lines } from './lines.mjs'

const [, , module, directory, countText] = process.argv
const count = Number(countText)

if (lines.some((line) => Buffer.byteLength(line) !== LINE_BYTES)) throw new Error(`expected lines of ${LINE_BYTES} bytes`)

/** @type {{ open: (directory: string) => Promise<{ append: (count: number) => Promise<void>, close: () => Promise<void> }> }} */
const { open } = await import(module)

async function timed(name, lineCount) {
  const place = join(directory, name)
  mkdirSync(place)
  const store = await open(place)
  const startMs = performance.now()
  await store.append(lineCount)
  const tookMs = performance.now() - startMs
  await store.close()
  return tookMs
}

await timed('warm-up', Math.ceil(count / 5))
console.log(await timed('measured', count))
