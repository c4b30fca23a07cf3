/** ringwal, as it comes. A full ring makes the producer wait. */

import { openLog } from '../../dist/src/index.js'

export async function open(directory, options = {}) {
  const log = await openLog({ directory, whenFull: 'block', ...options })
  return {
    log,
    add(line) {
      log.append(line)
    },
    async durable() {
      const last = log.lastSequence
      await log.durable(last)
      if (log.durableSequence < last) throw new Error(`expected ${last} entries, got ${log.durableSequence}`)
    },
    close: () => log.close(),
  }
}
