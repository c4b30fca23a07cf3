/** Committing for a consumer from another thread. */

import { WalError } from '../errors.js'
import { attachPort } from '../log/attach.js'
import { LogCursor } from '../log/cursor.js'
import type { Committer, ConsumerHandle } from './consumer.js'

/**
 * Commits for a consumer on the calling thread, for a log that was opened on any thread of this process. Give it what `consumer.handle()` returned.
 * Throws as `attachProducer` does.
 */
export function attachConsumer(handle: ConsumerHandle): Committer {
  const { name, hold } = handle ?? {}
  if (typeof name !== 'string' || typeof hold?.base !== 'number' || typeof hold.epochBits !== 'number') {
    throw new WalError('ERR_WAL_HANDLE', 'expected a handle from consumer.handle()')
  }
  const cursor = new LogCursor(attachPort(handle.log), name, hold)
  return {
    name,
    commit: (sequence) => cursor.commit(sequence),
    committed: (sequence, options) => cursor.untilDurable(sequence, options),
  }
}
