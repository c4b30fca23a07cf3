import { syncBuiltinESMExports } from 'node:module'
import { takeCoverage } from 'node:v8'
import workerThreads, { type WorkerOptions } from 'node:worker_threads'
import { afterAll } from 'vitest'

/** The writer thread gets an empty environment; a thread writes its coverage only if its own names the place. */
class CoveredWorker extends workerThreads.Worker {
  constructor(file: string | URL, options: WorkerOptions = {}) {
    const { env } = options
    const NODE_V8_COVERAGE = process.env.NODE_V8_COVERAGE
    super(file, typeof env === 'object' && NODE_V8_COVERAGE !== undefined ? { ...options, env: { ...env, NODE_V8_COVERAGE } } : options)
  }
}

workerThreads.Worker = CoveredWorker
syncBuiltinESMExports()
afterAll(takeCoverage)
