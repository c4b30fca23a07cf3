/** classic-level (LevelDB), as its documentation recommends: batches, and `sync` for those that must survive a power cut. */

import { ClassicLevel } from 'classic-level'

const OPERATIONS = 1000

export async function open(directory) {
  const database = new ClassicLevel(`${directory}/level`)
  await database.open()
  let last = 0
  let operations = []
  const end = () => {
    const batch = operations
    operations = []
    return database.batch(batch, { sync: true })
  }
  return {
    add(line) {
      operations.push({ type: 'put', key: String(++last).padStart(16, '0'), value: line })
      return operations.length === OPERATIONS ? end() : undefined
    },
    async durable() {
      if (operations.length > 0) await end()
    },
    close: () => database.close(),
  }
}
