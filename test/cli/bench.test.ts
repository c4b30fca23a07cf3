import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { chooseMount, mountOf } from '../../dist/src/disk/mount.js'
import { endCommands, ringwal, RunningCommand } from './ringwal-command.js'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-cli-bench-'))
})

afterEach(() => {
  endCommands()
  rmSync(directory, { recursive: true, force: true })
})

const PERCENTILES = ['p50', 'p90', 'p99', 'p999', 'p9999', 'max'] as const

/** Percentiles rise, and something was measured. */
function expectLatencies(found: Record<string, number>): void {
  expect(found['count']).toBeGreaterThan(0)
  const values = PERCENTILES.map((name) => found[name]!)
  expect(values[0]).toBeGreaterThan(0)
  expect(values).toEqual(values.toSorted((a, b) => a - b))
}

/** Resolves when the command has made its own directory. */
async function untilItWorks(): Promise<void> {
  while (readdirSync(directory).length === 0) await new Promise((resolve) => setImmediate(resolve))
}

describe('bench', () => {
  test('tells latencies, throughput and the storage as JSON, and leaves nothing behind', async () => {
    const { stdout, status } = await ringwal(['bench', directory, '--time', '1500ms', '--json'])
    expect(status).toBe(0)
    const report = JSON.parse(stdout.toString())
    for (const found of [report.raw.preallocatedSync, report.raw.appendedSync, report.append, report.writeAndWait, report.sixteenWaiting, report.scheduled]) expectLatencies(found)
    expect(report.raw.bytesPerSecond).toBeGreaterThan(0)
    expect(report.entriesPerSecond).toBeGreaterThan(0)
    expect(report).toMatchObject({ directory, entryBytes: 104, scheduled: { rate: 10_000, count: 10_000 * 0.225 } })
    expect(report.storage.freeBytes).toBeGreaterThan(0)
    expect(readdirSync(directory)).toEqual([])
  })

  test('makes a table for people', async () => {
    const { stdout, status } = await ringwal(['bench', directory, '--time', '1s'])
    expect(status).toBe(0)
    expect(stdout.toString()).toMatch(/^storage: \S+ on \S+, mounted at \S+\n\nMICROSECONDS +P50 +P90 +P99 +P99\.9 +P99\.99 +MAX\n/)
    expect(stdout.toString()).toMatch(/\ndurable throughput, one producer, entries of 104 bytes: [\d,]+ entries\/s, \d+ MB\/s\n/)
  })

  test.each([['SIGINT', 130], ['SIGTERM', 143]] as const)('removes what it made when %s ends it', async (signal, status) => {
    const command = new RunningCommand(['bench', directory, '--time', '1h'])
    await untilItWorks()
    command.child.kill(signal)
    expect(await command.ended).toMatchObject({ status, stdout: Buffer.from(''), stderr: '' })
    expect(readdirSync(directory)).toEqual([])
  })

  test('a log in the directory is not touched', async () => {
    const own = join(directory, 'log')
    await ringwal(['append', own], 'one\n')
    const files = () => readdirSync(own).map((name) => [name, statSync(join(own, name)).size, statSync(join(own, name)).mtimeMs])
    const before = files()
    expect((await ringwal(['bench', own, '--time', '500ms'])).status).toBe(0)
    expect(files()).toEqual(before)
  })

  test('says plainly that there is no such directory', async () => {
    const missing = join(directory, 'missing')
    expect(await ringwal(['bench', missing])).toMatchObject({ status: 3, stderr: `ringwal: cannot measure in ${missing}: there is no such directory\n` })
  })

  test.skipIf(mountOf('/dev/shm')?.type !== 'tmpfs')('warns of memory that looks like a disk', async () => {
    const shared = mkdtempSync('/dev/shm/ringwal-cli-bench-')
    try {
      const { stderr, status } = await ringwal(['bench', shared, '--time', '500ms', '--json'])
      expect(status).toBe(0)
      expect(stderr).toMatch(/^ringwal: this is memory \(tmpfs\)/)
    } finally {
      rmSync(shared, { recursive: true, force: true })
    }
  })
})

describe('the mount that a path stands on', () => {
  const table = [
    '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
    '30 22 0:25 / /mnt/data rw shared:1 - xfs /dev/vdb rw',
    '31 22 0:26 / /mnt/with\\040blank rw - nfs4 host:/export rw',
    '32 30 0:27 / /mnt/data rw - tmpfs tmpfs rw',
    '',
  ].join('\n')

  test.each([
    ['/', 'ext4', '/'],
    ['/mnt/database', 'ext4', '/'],
    ['/mnt/data', 'tmpfs', '/mnt/data'],
    ['/mnt/data/log', 'tmpfs', '/mnt/data'],
    ['/mnt/with blank/log', 'nfs4', '/mnt/with blank'],
  ])('%s: %s', (path, type, point) => {
    expect(chooseMount(table, path)).toMatchObject({ type, point })
  })

  test('none where the table has none', () => {
    expect(chooseMount('', '/')).toBeUndefined()
  })
})
