/**
 * lmdb, as its documentation recommends for speed: puts that are not awaited one by one, which it gathers into transactions by itself; `flushed`
 * resolves when what was put is synced.
 */

import { open as openDatabase } from 'lmdb'

export async function open(directory) {
  const database = openDatabase({ path: `${directory}/data.mdb`, encoding: 'string', keyEncoding: 'uint32' })
  let last = 0
  let put
  return {
    database,
    add(line) {
      put = database.put(++last, line)
      return undefined
    },
    async durable() {
      const expected = last
      await put
      await database.flushed
      const count = database.getCount()
      if (count < expected) throw new Error(`expected ${expected} entries, got ${count}`)
    },
    close: () => database.close(),
  }
}
