import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { countDropped, droppedCount } from '../../dist/src/ring/dropped.js'
import { allocateRing, openRing } from '../../dist/src/ring/ring.js'

const MODULES = ['dropped', 'ring'].map((name) => new URL(`../../dist/src/ring/${name}.js`, import.meta.url).href)
const COUNT_BY_ONES = `
  const { workerData: { handle, times, modules } } = require('node:worker_threads')
  Promise.all(modules.map((url) => import(url))).then(([{ countDropped }, { openRing }]) => {
    const ring = openRing(handle)
    for (let i = 0; i < times; i++) countDropped(ring, 1)
  })`

describe('the count of drops', () => {
  test('carries from its low word into its high one', () => {
    const ring = openRing(allocateRing(4096, 16, 1000))
    for (const [more, total] of [[0, 0], [2 ** 31 - 1, 2 ** 31 - 1], [2, 2 ** 31 + 1], [2 ** 31, 2 ** 32 + 1], [2 ** 40, 2 ** 40 + 2 ** 32 + 1]] as const) {
      countDropped(ring, more)
      expect(droppedCount(ring)).toBe(total)
    }
  })

  test('misses none of three threads, while the carry happens', async () => {
    const times = 100_000
    const handle = allocateRing(4096, 16, 1000)
    const ring = openRing(handle)
    const start = 2 ** 32 - times
    countDropped(ring, start)
    const workers = [1, 2, 3].map(() => new Worker(COUNT_BY_ONES, { eval: true, workerData: { handle, times, modules: MODULES } }))
    await Promise.all(workers.map((worker) => once(worker, 'exit')))
    expect(droppedCount(ring)).toBe(start + 3 * times)
  })
})
