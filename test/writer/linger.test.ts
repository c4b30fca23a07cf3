import { expect, test } from 'vitest'
import { fill, open } from '../support/filled-log.js'

const ENTRIES = 50

test('with lingerMs a batch waits for more: entries of many turns of the loop become few batches', async () => {
  const log = await open({ lingerMs: 1000 })
  for (let number = 1; number <= ENTRIES; number++) {
    log.append(`entry ${number}`)
    await new Promise(setImmediate)
  }
  await log.durable(ENTRIES)
  expect(log.stats().batches).toBeLessThan(ENTRIES / 5)
})

test.each(['roll', 'checkpoint'] as const)('with lingerMs a %s does not wait for more', async (call) => {
  const log = await open({ lingerMs: 1000 })
  await fill(log, 3)
  log.append('one more')
  await log[call]()
  expect(log.stats().entries).toBeGreaterThanOrEqual(call === 'roll' ? 4 : 3)
})
