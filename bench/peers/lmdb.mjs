/** lmdb, as its documentation recommends for speed: puts that are not awaited one by one, which it gathers into transactions by itself. */

import { open as openDatabase } from 'lmdb'
import { lines } from '../lines.mjs'

export async function open(directory) {
  const database = openDatabase({ path: `${directory}/data.mdb`, encoding: 'string', keyEncoding: 'uint32' })
  let last = 0
  return {
    /** Resolves when all are synced. */
    async append(count) {
      let put
      for (let index = 0; index < count; index++) put = database.put(++last, lines[index & (lines.length - 1)])
      await put
      await database.flushed
      if (database.getCount() !== last) throw new Error(`expected ${last} entries, got ${database.getCount()}`)
    },
    close: () => database.close(),
  }
}
