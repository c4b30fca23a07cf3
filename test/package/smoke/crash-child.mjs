// Appends for ever, and prints how far it is acknowledged.
import { openLog } from 'ringwal'

const log = await openLog({ directory: process.argv[2] })
for (;;) {
  let last = 0
  for (let i = 0; i < 10; i++) last = log.append(`entry ${log.lastSequence + 1}`)
  await log.durable(last)
  process.stdout.write(`${last}\n`)
}
