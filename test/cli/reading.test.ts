import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseTime } from '../../dist/src/cli/argument-values.js'
import { dataOf, writeLog } from '../recovery/written-log.js'
import { endCommands, ringwal, RunningCommand, shell } from './ringwal-command.js'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ringwal-reading-'))
})

afterEach(() => {
  endCommands()
  rmSync(directory, { recursive: true, force: true })
})

const FIRST_MS = Date.UTC(2026, 0, 1)

/** Lines of entries as cat writes them. */
function linesOf(first: number, last: number): string {
  return Array.from({ length: last - first + 1 }, (_, index) => `${dataOf(first + index, 20)}\n`).join('')
}

async function catText(...args: string[]): Promise<string> {
  const { stdout, stderr, status } = await ringwal(['cat', directory, ...args])
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  return stdout.toString()
}

describe('cat', () => {
  test('reads from a sequence, from a time, and up to a limit', async () => {
    writeLog(directory, { segments: [[10, 10], [10]], dataBytes: 20 })
    expect(await catText()).toBe(linesOf(1, 30))
    expect(await catText('--from', '15')).toBe(linesOf(15, 30))
    expect(await catText('--from', '15', '--limit', '9')).toBe(linesOf(15, 23))
    expect(await catText('--limit', '0')).toBe('')
    expect(await catText('--since', String(FIRST_MS + 12))).toBe(linesOf(12, 30))
    expect(await catText('--since', '2026-01-01T00:00:00.028Z')).toBe(linesOf(28, 30))
    expect(await catText('--since', '1h')).toBe('')
  })

  test('--json gives one object a line, text where it is text, else base64', async () => {
    const bytes = Buffer.concat([Buffer.from('ä"\\\t\n'), Buffer.from([0xff, 0xfe, 0, 10])])
    await ringwal(['append', directory], bytes)
    const objects = (await catText('--json')).trimEnd().split('\n').map((line) => JSON.parse(line))
    expect(objects).toEqual([
      { sequence: 1, timestamp: expect.any(Number), text: 'ä"\\\t' },
      { sequence: 2, timestamp: expect.any(Number), base64: Buffer.from([0xff, 0xfe, 0]).toString('base64') },
    ])
    expect(Math.abs(Date.now() - objects[0].timestamp)).toBeLessThan(600_000)
  })

  test('--written shows what is not known to be durable', async () => {
    writeLog(directory, { segments: [[5, 5]], isOpen: true, isSettled: false, dataBytes: 20 })
    expect(await catText()).toBe(linesOf(1, 5))
    expect(await catText('--written')).toBe(linesOf(1, 10))
  })

  test('a reader that has enough is no error', async () => {
    writeLog(directory, { segments: [[3000]], dataBytes: 1000 })
    expect(await shell(`ringwal cat '${directory}' | head -1`)).toMatchObject({ status: 0, stderr: '', stdout: Buffer.from(`${dataOf(1, 1000)}\n`) })
    expect(await shell(`ringwal cat --json '${directory}' | head -c 1 | wc -c`)).toMatchObject({ status: 0, stderr: '' })
  })

  test('an output that cannot be written is an error of one line', async () => {
    writeLog(directory, { segments: [[10]] })
    const { status, stderr } = await shell(`ringwal cat '${directory}' > /dev/full`)
    expect(status).toBe(3)
    expect(stderr).toMatch(/^ringwal: cannot write: ENOSPC.*\n$/)
  })

  test('damage is an error of one line, behind all the entries before it', async () => {
    writeLog(directory, { segments: [[10, 10]], dataBytes: 20 })
    await shell(`cd '${directory}'; chmod u+w *.wal; printf X | dd of=$(ls *.wal) bs=1 seek=700 conv=notrunc`)
    const { status, stderr, stdout } = await ringwal(['cat', directory])
    expect(status).toBe(3)
    expect(stderr).toMatch(/^ringwal: entry \d+ cannot be read \(.*\), at byte \d+ of .*\.wal\n$/)
    const next = Number(/entry (\d+)/.exec(stderr)![1])
    expect(stdout.toString()).toBe(next === 1 ? '' : linesOf(1, next - 1))
  })
})

describe('tail', () => {
  test('begins with the last ten entries, and goes on with those that a live writer adds', async () => {
    await ringwal(['append', directory], Array.from({ length: 25 }, (_, index) => `old ${index + 1}\n`).join(''))
    const follower = new RunningCommand(['tail', directory])
    const old = Array.from({ length: 10 }, (_, index) => `old ${index + 16}\n`).join('')
    await follower.untilOutput((output) => output === old)
    const writer = new RunningCommand(['append', directory])
    writer.child.stdin.write('new 1\nnew 2\n')
    await follower.untilOutput((output) => output === `${old}new 1\nnew 2\n`)
    writer.child.stdin.write('new 3\n')
    await follower.untilOutput((output) => output === `${old}new 1\nnew 2\nnew 3\n`)
    follower.child.kill('SIGTERM')
    expect(await follower.ended).toMatchObject({ signal: 'SIGTERM', stderr: '' })
    writer.child.stdin.end()
    await writer.ended
  })

  test('begins where it is told to, and ends at the limit', async () => {
    writeLog(directory, { segments: [[10, 10], [3]], isOpen: true, dataBytes: 20 })
    const tail = async (...args: string[]): Promise<string> => (await ringwal(['tail', directory, ...args])).stdout.toString()
    expect(await tail('--limit', '4')).toBe(linesOf(14, 17))
    expect(await tail('--last', '2', '--limit', '2')).toBe(linesOf(22, 23))
    expect(await tail('--from', '5', '--limit', '3')).toBe(linesOf(5, 7))
    expect(await tail('--since', String(FIRST_MS + 20), '--limit', '4')).toBe(linesOf(20, 23))
  })

  test('a directory without segments is one to wait in', async () => {
    const follower = new RunningCommand(['tail', directory, '--json', '--limit', '1'])
    const { stdout } = await ringwal(['append', directory], 'first\n')
    expect(stdout.toString()).toBe('1 entry acknowledged: 1 to 1\n')
    expect(JSON.parse((await follower.ended).stdout.toString())).toMatchObject({ sequence: 1, text: 'first' })
  })
})

describe('usage', () => {
  test('wrong usage ends with 2, of verify with 3, and names what was wrong', async () => {
    const wrong = [
      [['cat'], /missing required argument 'dir'/], [['cat', directory, '--from', '0'], /Expected an integer from 1/],
      [['cat', directory, '--since', 'noon'], /Expected an ISO date/], [['nothing'], /unknown command 'nothing'/],
      [['append', directory, '--max-segment-bytes', 'x'], /Expected bytes/], [['inspect', directory, '--colour'], /unknown option '--colour'/],
    ] as const
    for (const [args, message] of wrong) {
      const { status, stderr } = await ringwal(args)
      expect({ args, status }).toEqual({ args, status: 2 })
      expect(stderr).toMatch(message)
      expect(stderr).toMatch(/^ringwal: /)
    }
    expect((await ringwal(['verify', '--x'])).status).toBe(3)
    expect((await ringwal(['append', directory, '--max-segment-bytes', '1'])).status).toBe(2)
  })

  test('help tells the exit statuses, and is no error', async () => {
    for (const args of [['--help'], ['verify', '--help'], ['help', 'verify']]) {
      expect(await ringwal(args)).toMatchObject({ status: 0, stderr: '' })
      expect((await ringwal(args)).stdout.toString()).toMatch(/Exit status[\s\S]*1 torn/)
    }
    expect((await ringwal(['--version'])).stdout.toString()).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  test('a directory that is not there, or not one, or not a log, is said in plain words', async () => {
    writeFileSync(join(directory, 'file'), '')
    mkdirSync(join(directory, 'empty'))
    for (const command of ['cat', 'tail', 'inspect', 'verify']) {
      const missing = await ringwal([command, join(directory, 'none')])
      expect(missing).toMatchObject({ status: 3, stderr: `ringwal: cannot read the log in ${join(directory, 'none')}: there is no such directory\n` })
      const file = await ringwal([command, join(directory, 'file')])
      expect(file).toMatchObject({ status: 3, stderr: `ringwal: cannot read the log in ${join(directory, 'file')}: it is not a directory\n` })
    }
    for (const command of ['cat', 'inspect', 'verify']) {
      const empty = await ringwal([command, join(directory, 'empty')])
      expect(empty).toMatchObject({ status: 0, stderr: `ringwal: there are no segments in ${join(directory, 'empty')}\n` })
    }
    appendFileSync(join(directory, 'file'), 'other files are not looked at')
    expect((await ringwal(['verify', directory])).status).toBe(0)
  })

  test('times are dates, milliseconds, or spans before now', () => {
    const now = Date.UTC(2026, 5, 1)
    expect(parseTime('1700000000000', now)).toBe(1_700_000_000_000)
    expect(parseTime('2026-05-31', now)).toBe(now - 86_400_000)
    expect(parseTime('2026-05-31T12:00:00+02:00', now)).toBe(now - 14 * 3_600_000)
    expect(['90s', '10m', '2h', '1d', '1.5h', '1w', '5ms'].map((text) => now - parseTime(text, now))).toEqual([90_000, 600_000, 7_200_000, 86_400_000, 5_400_000, 604_800_000, 5])
    for (const wrong of ['', 'noon', '10x', '2026-13-01', '99999999999999999', '-', '1e3']) expect(() => parseTime(wrong, now), wrong).toThrow('ISO date')
  })
})
