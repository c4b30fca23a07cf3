import { chmodSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { offsetOfEntry, segmentFiles, sizeOf, writeLog } from '../recovery/written-log.js'
import { endCommands, ringwal, RunningCommand, shell } from './ringwal-command.js'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-checking-'))
})

afterEach(() => {
  endCommands()
  rmSync(directory, { recursive: true, force: true })
})

function edit(file: string, change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(file)
  change(bytes)
  chmodSync(file, 0o600)
  writeFileSync(file, bytes)
}

async function verifyJson(): Promise<{ status: number | null; report: Record<string, unknown> & { damages: Record<string, unknown>[] } }> {
  const { stdout, stderr, status } = await ringwal(['verify', directory, '--json'])
  expect(stderr).toBe('')
  return { status, report: JSON.parse(stdout.toString()) }
}

describe('inspect', () => {
  test('tells segments, sizes and totals as JSON', async () => {
    writeLog(directory, { segments: [[10, 10], [7]], isOpen: true })
    const [first, second] = segmentFiles(directory)
    const { stdout, status } = await ringwal(['inspect', directory, '--json'])
    const ms = Date.UTC(2026, 0, 1)
    expect(status).toBe(0)
    expect(JSON.parse(stdout.toString())).toEqual({
      directory,
      segments: [
        { file: first, state: 'sealed', firstSequence: 1, lastSequence: 20, entries: 20, bytes: sizeOf(first!), firstTimestamp: ms + 1, lastTimestamp: ms + 20 },
        { file: second, state: 'open', firstSequence: 21, lastSequence: 27, entries: 7, bytes: sizeOf(second!), firstTimestamp: ms + 21, lastTimestamp: ms + 27 },
      ],
      cursors: [],
      totals: { segments: 2, entries: 27, bytes: sizeOf(first!) + sizeOf(second!), firstSequence: 1, lastSequence: 27 },
    })
  })

  test('makes a table for people, without colours', async () => {
    writeLog(directory, { segments: [[10, 10], [7]], isOpen: true })
    const text = (await ringwal(['inspect', directory])).stdout.toString()
    expect(text).toMatch(/^SEGMENT +STATE +SEQUENCES +ENTRIES +SIZE +FIRST ENTRY +LAST ENTRY\n/)
    expect(text).toMatch(/\.wal +sealed +1 to 20 +20 +\d\.\d KiB +2026-01-01T00:00:00\.001Z +2026-01-01T00:00:00\.020Z\n/)
    expect(text).toMatch(/2 segments, 27 entries, 1 to 27, \d+\.\d KiB\n$/)
    expect(text).not.toContain('\u001b')
  })

  test('still tells what there is when a segment is damaged', async () => {
    writeLog(directory, { segments: [[10], [10]] })
    edit(segmentFiles(directory)[0]!, (bytes) => { bytes[9]! ^= 1 })
    const { stdout, status } = await ringwal(['inspect', directory, '--json'])
    expect(status).toBe(0)
    expect(JSON.parse(stdout.toString()).totals.entries).toBe(20)
  })
})

describe('verify', () => {
  test('0: sound', async () => {
    writeLog(directory, { segments: [[10], [10]], isOpen: true })
    expect(await verifyJson()).toMatchObject({ status: 0, report: { status: 'sound', damages: [], repairs: [], lastSequence: 20 } })
    expect((await ringwal(['verify', directory])).stdout.toString()).toMatch(/: sound \(2 segments, 20 entries, last sequence 20, .*\)\n$/)
  })

  test('1: garbage behind the last batch, which opening cuts', async () => {
    writeLog(directory, { segments: [[10]], isOpen: true })
    const [file] = segmentFiles(directory)
    edit(file!, (bytes) => { bytes.write('MSG!garbage', bytes.lastIndexOf('CMT!') - 24 + 116) })
    expect(await verifyJson()).toMatchObject({ status: 1, report: { status: 'torn', repairs: [{ kind: 'cut', file, afterSequence: 10 }] } })
    const text = (await ringwal(['verify', directory])).stdout.toString()
    expect(text).toMatch(/\.wal +\d+ +\d+ +10 +cut an unfinished write \(.*\)\n/)
    const opened = await ringwal(['append', directory], 'next\n')
    expect(opened).toMatchObject({ status: 0, stdout: Buffer.from('1 entry acknowledged: 11 to 11\n') })
    expect(opened.stderr).toMatch(/^ringwal: opening cut \d+ bytes of an unfinished write/)
    expect((await verifyJson()).status).toBe(0)
  })

  test('2: a bit of an acknowledged entry, in a sealed segment and in the tail', async () => {
    for (const isOpen of [false, true]) {
      const last = writeLog(directory, { segments: [[10, 10]], isOpen })
      const file = segmentFiles(directory)[0]!
      const offset = offsetOfEntry(file, 5)
      edit(file, (bytes) => { bytes[offset + 30]! ^= 4 })
      const range = isOpen ? { firstSequence: 1, lastSequence: last } : { firstSequence: 5, lastSequence: 5 }
      const { status, report } = await verifyJson()
      expect({ status, damages: report.damages }).toMatchObject({ status: 2, damages: [{ file, offset, ...range }] })
      expect((await ringwal(['verify', directory])).stdout.toString()).toContain(`${file}`)
      unlinkSync(file)
    }
  })

  test('2: a missing segment', async () => {
    writeLog(directory, { segments: [[10], [10], [10]] })
    unlinkSync(segmentFiles(directory)[1]!)
    expect(await verifyJson()).toMatchObject({ status: 2, report: { damages: [{ firstSequence: 11, lastSequence: 20, reason: expect.stringContaining('missing') }] } })
  })

  test('its status stays what it is when the reader of its output goes away', async () => {
    writeLog(directory, { segments: [[10], [10], [10]] })
    unlinkSync(segmentFiles(directory)[1]!)
    expect(await shell(`ringwal verify '${directory}' | true`)).toMatchObject({ status: 2, stderr: '' })
  })

  test('a writer that was killed at work left no damage, whatever it left', async () => {
    const writer = new RunningCommand(['append', directory])
    const line = `${'x'.repeat(400)}\n`
    let isWriting = true
    const feed = (): void => {
      while (isWriting && writer.child.stdin.write(line.repeat(500)));
      if (isWriting) writer.child.stdin.once('drain', feed)
    }
    feed()
    const follower = new RunningCommand(['tail', directory, '--written', '--limit', '5000'])
    await follower.ended
    // While it writes: never corrupt, and the same again when it is dead.
    for (let round = 0; round < 5; round++) expect([0, 1]).toContain((await verifyJson()).status)
    isWriting = false
    writer.child.kill('SIGKILL')
    await writer.ended
    const { status, report } = await verifyJson()
    expect([0, 1]).toContain(status)
    const before = report['lastSequence'] as number
    const { stdout } = await ringwal(['append', directory, '--json'], 'next\n')
    expect(JSON.parse(stdout.toString())).toEqual({ acknowledged: 1, firstSequence: before + 1, lastSequence: before + 1 })
    expect((await verifyJson()).status).toBe(0)
  })

  test('a file that cannot be read is told by name, with status 3', async () => {
    writeLog(directory, { segments: [[10]] })
    await shell(`cd '${directory}' && mv *.wal real && ln -s real 20260101000000-019b76dac00070008000000000000001.wal`)
    const { status, stderr } = await ringwal(['verify', directory])
    expect(status).toBe(3)
    expect(stderr).toMatch(/^ringwal: cannot read the log in .*ELOOP.*\.wal'\n$/)
  })
})
