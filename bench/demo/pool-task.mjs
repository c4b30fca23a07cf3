/** A task for the pool: counts primes, some hundred milliseconds of pure computing, and logs on the way from its own thread. */

import { threadId } from 'node:worker_threads'
import { attachProducer } from '../../dist/src/index.js'
import { digest } from './digest.mjs'

const CHUNKS = 200
const CHUNK_CANDIDATES = 500

/** Lines of this thread so far: the log must have each number once, in order. */
let lines = 0
let candidate = 1_000_001

/** @returns {Promise<object[]>} what has been made durable */
export default async function countPrimes({ handle, run }) {
  const producer = handle === undefined ? undefined : attachProducer(handle)
  const source = `${run}/pool-${threadId}`
  const receipts = []
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    const primes = countChunk()
    if (producer === undefined) continue
    const number = ++lines
    const line = JSON.stringify({ source, number, below: candidate, primes })
    receipts.push({ source, number, sequence: producer.append(line), digest: digest(line) })
  }
  // The last one durable: then all before it are.
  if (producer !== undefined) await producer.durable(receipts.at(-1).sequence)
  return receipts
}

function countChunk() {
  let primes = 0
  for (const end = candidate + 2 * CHUNK_CANDIDATES; candidate < end; candidate += 2) if (isPrime(candidate)) primes++
  return primes
}

function isPrime(odd) {
  for (let divisor = 3; divisor * divisor <= odd; divisor += 2) if (odd % divisor === 0) return false
  return true
}
