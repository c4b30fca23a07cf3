/** ringwal, as it comes. A full ring makes the producer wait. */

import { openLog } from 'ringwal'
import { lines } from './lines.mjs'

export async function open(directory) {
  const log = await openLog({ directory, whenFull: 'block' })
  return {
    /** Resolves when all are synced. */
    async append(count) {
      const last = log.lastSequence + count
      for (let index = 0; index < count; index++) log.append(lines[index & (lines.length - 1)])
      await log.durable(log.lastSequence)
      if (log.durableSequence !== last) throw new Error(`expected ${last} entries, got ${log.durableSequence}`)
    },
    close: () => log.close(),
  }
}
