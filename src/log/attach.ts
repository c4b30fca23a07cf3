/** Joining a log from another thread. */

import { WalError } from '../errors.js'
import { endError } from '../ring/life.js'
import { LogProducer } from './log-producer.js'
import type { LogHandle, Producer } from './producer.js'

const attached = new Map<string, LogProducer>()

/**
 * A producer on the calling thread, for a log that was opened on any thread of this process. Give it what `log.handle()` returned, by
 * `workerData`, `postMessage` or a pool's task. As often as one likes: a thread has one producer for each log.
 *
 * Throws `ERR_WAL_HANDLE` on anything else, `ERR_WAL_CLOSED` or `ERR_WAL_FAILED` when the log has ended, `ERR_WAL_TOO_MANY_PRODUCERS`
 * when 1,024 threads are attached. A thread that ends without `close()`, or with `process.exit()`, loses nothing that it appended; what
 * still waited for room in its own memory, of `write` or of a destination, goes with it.
 */
export function attachProducer(handle: LogHandle): Producer {
  return attachPort(handle)
}

/** {@link attachProducer}, as the library itself uses it. */
export function attachPort(handle: LogHandle): LogProducer {
  const id = handle?.settings?.id
  if (typeof id !== 'string') throw new WalError('ERR_WAL_HANDLE', 'expected a handle from log.handle()')
  for (const [other, producer] of attached) if (endError(producer.ring) !== undefined) attached.delete(other)
  const known = attached.get(id)
  if (known !== undefined) return known
  const producer = new LogProducer(handle, () => attached.delete(id))
  const error = endError(producer.ring)
  if (error !== undefined) {
    void producer.close()
    throw error
  }
  attached.set(id, producer)
  return producer
}
