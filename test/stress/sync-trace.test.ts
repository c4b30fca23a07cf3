import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runChild } from '../support/child-process.js'
import { temporaryDirectory } from '../support/temporary-directory.js'
import { readTrace, traced, traceObstacle, type SystemCall } from './system-call-trace.js'

const CHILD = new URL('./fixtures/sync-child.mjs', import.meta.url)
const FRAME_SEQUENCE = 8
const obstacle = traceObstacle()
if (obstacle !== undefined) console.log(`sync-trace: skipped, system calls cannot be traced here: ${obstacle}`)

async function traceOf(way: string): Promise<SystemCall[]> {
  const root = temporaryDirectory()
  const file = join(root, 'trace')
  const end = await runChild(CHILD, [way, join(root, 'log')], { prefix: traced(file) })
  expect(end).toMatchObject({ code: 0, errors: '' })
  return readTrace(file)
}

interface Batch {
  readonly firstSequence: number
  readonly write: SystemCall
}

function batchesOf(calls: readonly SystemCall[]): Batch[] {
  return calls
    .filter(({ name, data }) => name.startsWith('pwrite') && data.toString('latin1', 0, 4) === 'MSG!')
    .map((write) => ({ firstSequence: Number(write.data.readBigUInt64LE(FRAME_SEQUENCE)), write }))
    .filter(({ firstSequence }) => firstSequence > 0)
}

/** For each acknowledgement: its batch must be written, then a sync of that file begun and ended, before it was made. */
function prematureOnes(calls: readonly SystemCall[]): { acknowledged: number; premature: number[] } {
  const batches = batchesOf(calls)
  const syncs = calls.filter(({ name, result }) => name === 'fdatasync' && result === 0)
  const premature: number[] = []
  let acknowledged = 0
  for (const call of calls) {
    const match = call.name === 'write' ? /^ACK (\d+)\n$/.exec(call.data.toString('latin1')) : null
    if (match === null) continue
    acknowledged++
    const batch = batches.findLast(({ firstSequence }) => firstSequence <= Number(match[1]))
    const isSynced = batch !== undefined && syncs.some((sync) => sync.fd === batch.write.fd && sync.beginsAt > batch.write.endsAt && sync.endsAt < call.beginsAt)
    if (!isSynced) premature.push(Number(match[1]))
  }
  return { acknowledged, premature }
}

describe.skipIf(obstacle !== undefined)('as the kernel sees it', () => {
  test('200 sequential writes make at least 200 syncs, and each is acknowledged after its own', async () => {
    const calls = await traceOf('sequential')
    const syncs = calls.filter(({ name, result }) => name === 'fdatasync' && result === 0).length
    expect(syncs).toBeGreaterThanOrEqual(200)
    expect(prematureOnes(calls)).toEqual({ acknowledged: 200, premature: [] })
    console.log(`sync-trace: 200 sequential writes, ${syncs} syncs`)
  })

  test('with many in flight no acknowledgement precedes its sync', async () => {
    expect(prematureOnes(await traceOf('pipelined'))).toEqual({ acknowledged: 2000, premature: [] })
  })

  test('100,000 appends in a burst make fewer than 2,000 syncs', async () => {
    const calls = await traceOf('burst')
    const syncs = calls.filter(({ name }) => name === 'fdatasync').length
    expect(syncs).toBeLessThan(2000)
    expect(prematureOnes(calls)).toEqual({ acknowledged: 1, premature: [] })
    console.log(`sync-trace: 100,000 appends in a burst, ${syncs} syncs`)
  })

  test('an acknowledgement moved before its sync would be seen', async () => {
    const calls = await traceOf('sequential')
    const batch = batchesOf(calls).find(({ firstSequence }) => firstSequence === 100)!
    const early = calls.map((call) => (call.data.toString('latin1') === 'ACK 100\n' ? { ...call, beginsAt: batch.write.endsAt } : call))
    expect(prematureOnes(early).premature).toEqual([100])
  })
})
