/**
 * better-sqlite3, as its documentation recommends: WAL, a prepared statement, many rows to a transaction. `synchronous = FULL` syncs at
 * every commit; with the NORMAL that is usual in WAL mode the last transactions would be lost with the power.
 */

import Database from 'better-sqlite3'

const ROWS = 1000

export async function open(directory) {
  const database = new Database(`${directory}/data.sqlite`)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.exec('CREATE TABLE entry (sequence INTEGER PRIMARY KEY, data TEXT NOT NULL)')
  const insert = database.prepare('INSERT INTO entry (data) VALUES (?)')
  const begin = database.prepare('BEGIN')
  const commit = database.prepare('COMMIT')
  let rows = 0
  const end = () => {
    if (rows > 0) commit.run()
    rows = 0
  }
  return {
    database,
    add(line) {
      if (rows === 0) begin.run()
      insert.run(line)
      if (++rows === ROWS) end()
      return undefined
    },
    async durable() {
      end()
    },
    async close() {
      database.close()
    },
  }
}
