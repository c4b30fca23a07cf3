import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { below, runSeed, seededRandom } from '../model/random.js'
import { endCommands, ringwal, RunningCommand } from './ringwal-command.js'

let parent: string
let directory: string

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'ringwal-append-'))
  directory = join(parent, 'log')
})

afterEach(() => {
  endCommands()
  rmSync(parent, { recursive: true, force: true })
})

test('cat gives back what append took, byte for byte', async () => {
  const seed = runSeed()
  console.log(`SEED=${seed}`)
  const random = seededRandom(seed)
  const lines = Array.from({ length: 3000 }, () => Buffer.from(Uint8Array.from({ length: below(random, 200) }, () => below(random, 256)).filter((byte) => byte !== 10)))
  const input = Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]))
  expect(await ringwal(['append', directory], input)).toMatchObject({ status: 0, stderr: '', stdout: Buffer.from('3000 entries acknowledged: 1 to 3000\n') })
  const { stdout, status } = await ringwal(['cat', directory])
  expect(status).toBe(0)
  expect(stdout.equals(input)).toBe(true)
})

test('a character whose bytes come one by one stays whole', async () => {
  const command = new RunningCommand(['append', directory])
  const text = 'ä 🚀🧵 ½\r\n\nlast 🪵'
  for (const byte of Buffer.from(text)) {
    command.child.stdin.write(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  command.child.stdin.end()
  expect((await command.ended).stdout.toString()).toBe('3 entries acknowledged: 1 to 3\n')
  expect((await ringwal(['cat', directory])).stdout.toString()).toBe(`${text}\n`)
})

test('a last line without a newline counts, an empty input makes none', async () => {
  expect((await ringwal(['append', directory, '--json'], 'one\ntwo')).stdout.toString()).toBe('{"acknowledged":2,"firstSequence":1,"lastSequence":2}\n')
  expect((await ringwal(['append', directory], '')).stdout.toString()).toBe('0 entries acknowledged\n')
  expect((await ringwal(['append', directory], '\n')).stdout.toString()).toBe('1 entry acknowledged: 3 to 3\n')
  expect((await ringwal(['cat', directory])).stdout.toString()).toBe('one\ntwo\n\n')
})

test('more than the ring holds goes through it, with segments of the size asked for', async () => {
  const input = `${'x'.repeat(999)}\n`.repeat(40_000)
  expect((await ringwal(['append', directory, '--max-segment-bytes', '4M'], input)).stdout.toString()).toBe('40000 entries acknowledged: 1 to 40000\n')
  const { segments, totals } = JSON.parse((await ringwal(['inspect', directory, '--json'])).stdout.toString())
  expect(totals.entries).toBe(40_000)
  expect(segments.length).toBeGreaterThanOrEqual(10)
  expect((await ringwal(['cat', directory])).stdout.equals(Buffer.from(input))).toBe(true)
})

test.each([['SIGINT', 130], ['SIGTERM', 143]] as const)('%s ends the reading, not the log: what was read is durable and counted', async (signal, status) => {
  const command = new RunningCommand(['append', directory])
  command.child.stdin.write('one\ntwo\nunfinis')
  const follower = new RunningCommand(['tail', directory])
  // The directory is made by the writer; a follower that came before it says so, and tries again.
  await untilEntries(follower, 'one\ntwo\n')
  command.child.kill(signal)
  const ended = await command.ended
  expect(ended).toMatchObject({ status, signal: null, stdout: Buffer.from('2 entries acknowledged: 1 to 2\n') })
  expect(ended.stderr).toBe('ringwal: 7 bytes of an unfinished line were not appended\n')
  expect((await ringwal(['verify', directory])).status).toBe(0)
  expect((await ringwal(['cat', directory])).stdout.toString()).toBe('one\ntwo\n')
})

/** Waits until a follower has shown these entries; begins again when there was no directory yet. */
async function untilEntries(first: RunningCommand, text: string): Promise<void> {
  for (let follower = first; ; follower = new RunningCommand(['tail', directory])) {
    try {
      await follower.untilOutput((output) => output === text)
      follower.child.kill('SIGKILL')
      await follower.ended
      return
    } catch (error) {
      if (!String(error).includes('there is no such directory')) throw error
    }
  }
}

test('a line that is too long ends it; the lines before are safe', async () => {
  const ended = await ringwal(['append', directory, '--max-entry-bytes', '1K'], `short\n${'x'.repeat(2000)}\nnever\n`)
  expect(ended).toMatchObject({ status: 3, stderr: 'ringwal: line 2 is longer than 1024 bytes (--max-entry-bytes)\n' })
  expect(ended.stdout.toString()).toBe('1 entry acknowledged: 1 to 1\n')
  expect((await ringwal(['cat', directory])).stdout.toString()).toBe('short\n')
})

test('a second writer is refused with the first one named, or waits for it', async () => {
  const first = new RunningCommand(['append', directory])
  first.child.stdin.write('first\n')
  await untilEntries(new RunningCommand(['tail', directory]), 'first\n')
  const refused = await ringwal(['append', directory], 'second\n')
  expect(refused.status).toBe(3)
  expect(refused.stderr).toMatch(new RegExp(`^ringwal: .* is locked by process ${first.child.pid}.*\n$`))
  const waiting = ringwal(['append', directory, '--lock-wait', '1m'], 'second\n')
  first.child.stdin.end()
  expect((await first.ended).status).toBe(0)
  expect(await waiting).toMatchObject({ status: 0, stdout: Buffer.from('1 entry acknowledged: 2 to 2\n') })
})

test.each([
  ['--max-entry-bytes', '2G', 'maxEntryBytes'], ['--max-segment-bytes', '1K', 'maxSegmentBytes'], ['--max-age', '0ms', 'maxAgeMs'], ['--max-bytes', '1K', 'maxBytes'],
])('%s %s is wrong usage, and makes nothing', async (option, value, name) => {
  const ended = await ringwal(['append', directory, option, value], 'never\n')
  expect(ended.status).toBe(2)
  expect(ended.stderr).toMatch(new RegExp(`^ringwal: The value of "options\\.\\S*${name}" is out of range\\..*\n$`))
  expect(existsSync(directory)).toBe(false)
})

test('what cannot be a directory is said in one line', async () => {
  writeFileSync(join(parent, 'file'), '')
  const notDirectory = await ringwal(['append', join(parent, 'file')], 'x\n')
  expect(notDirectory.status).toBe(3)
  expect(notDirectory.stderr).toMatch(/^ringwal: cannot open the log in .*not a directory.*\n$/)
})
