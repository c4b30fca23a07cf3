import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { acquireDirectoryLock, type DirectoryLock } from '../../dist/src/disk/directory-lock.js'

const HOLDER = fileURLToPath(new URL('./fixtures/lock-holder.mjs', import.meta.url))
const WORKER = new URL('./fixtures/lock-worker.mjs', import.meta.url)
const onLinux = process.platform === 'linux'

interface Answer { held?: boolean; pid?: number; code?: string; owner?: number; message?: string; fault?: string }

/** A process that obeys, see lock-holder.mjs. */
class Holder {
  readonly child: ChildProcess

  constructor(child: ChildProcess) {
    this.child = child
  }

  static async start(inDirectory: string, { marker = '', prefix = [] as string[] } = {}): Promise<Holder> {
    const [command, ...args] = [...prefix, process.execPath, HOLDER, inDirectory, ...(marker === '' ? [] : [marker])]
    const child = spawn(command!, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' })
    const holder = new Holder(child)
    holders.push(holder)
    await once(child, 'message')
    return holder
  }

  async ask(act: 'take' | 'free' | 'block', more: { waitMs?: number } = {}): Promise<Answer> {
    const answered = once(this.child, 'message')
    this.child.send({ act, ...more })
    const [answer] = await answered as [Answer]
    if (answer.fault !== undefined) throw new Error(answer.fault)
    return answer
  }

  async kill(): Promise<void> {
    const gone = this.child.exitCode === null && this.child.signalCode === null ? once(this.child, 'exit') : undefined
    this.child.kill('SIGKILL')
    await gone
  }
}

let root: string
let directory: string
const holders: Holder[] = []
const locks: DirectoryLock[] = []

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ringwal-lock-'))
  directory = join(root, 'log')
  mkdirSync(directory)
})

afterEach(async () => {
  await Promise.all(holders.splice(0).map((holder) => holder.kill()))
  await Promise.all(locks.splice(0).map((lock) => lock.release()))
  rmSync(root, { recursive: true, force: true })
})

async function take(waitMs = 0, signal?: AbortSignal, from = directory): Promise<DirectoryLock> {
  const lock = await acquireDirectoryLock(from, signal === undefined ? { waitMs } : { waitMs, signal })
  locks.push(lock)
  return lock
}

async function startWorker(): Promise<{ worker: Worker; answer: Answer }> {
  const worker = new Worker(WORKER, { workerData: directory })
  const [answer] = await once(worker, 'message') as [Answer]
  return { worker, answer }
}

const lockedBy = (pid: number | undefined) => expect.objectContaining({ code: 'ERR_WAL_LOCKED', owner: { pid } })

describe('one owner at a time', () => {
  test('a second call in the process is refused with its pid, and names the directory', async () => {
    await take()
    await expect(take()).rejects.toEqual(lockedBy(process.pid))
    await expect(take()).rejects.toThrow(directory)
  })

  test('another thread is refused', async () => {
    await take()
    const { worker, answer } = await startWorker()
    await worker.terminate()
    expect(answer).toEqual({ held: false, code: 'ERR_WAL_LOCKED', owner: process.pid })
  })

  test('another process is refused', async () => {
    await take()
    const holder = await Holder.start(directory)
    expect(await holder.ask('take')).toMatchObject({ held: false, code: 'ERR_WAL_LOCKED', owner: process.pid })
  })

  test('an owner that sits in Atomics.wait is alive, also once its backlog is full', async () => {
    const holder = await Holder.start(directory)
    await holder.ask('take')
    await holder.ask('block')
    for (let i = 0; i < 600; i++) await expect(take()).rejects.toEqual(lockedBy(holder.child.pid))
  })

  test('a cluster worker owns for itself, not through its primary', () => {
    const script = fileURLToPath(new URL('./fixtures/lock-cluster.mjs', import.meta.url))
    expect(String(execFileSync(process.execPath, [script, directory], { timeout: 20_000 }))).toBe('held\nERR_WAL_LOCKED\nheld\n')
  })

  test('a stopped owner is alive', async () => {
    const holder = await Holder.start(directory)
    await holder.ask('take')
    holder.child.kill('SIGSTOP')
    await expect(take()).rejects.toEqual(lockedBy(holder.child.pid))
  })

  test('eight racing processes have exactly one winner, 20 times', async () => {
    const marker = join(root, 'marker')
    const racers = await Promise.all(Array.from({ length: 8 }, () => Holder.start(directory, { marker })))
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(racers.map((racer) => racer.ask('take')))
      const winner = answers.findIndex((answer) => answer.held)
      const others = answers.filter((_, index) => index !== winner)
      const pid = racers[winner]?.child.pid
      expect(others.map(({ held, code, owner }) => ({ held, code, owner })))
        .toEqual(others.map(() => ({ held: false, code: 'ERR_WAL_LOCKED', owner: pid })))
      await racers[winner]!.ask('free')
    }
    expect(readdirSync(directory)).toEqual([])
  }, 60_000)

  test('eight waiting processes own one after the other', async () => {
    const marker = join(root, 'marker')
    const racers = await Promise.all(Array.from({ length: 8 }, () => Holder.start(directory, { marker })))
    await Promise.all(racers.map(async (racer) => {
      expect(await racer.ask('take', { waitMs: Infinity })).toMatchObject({ held: true })
      await racer.ask('free')
    }))
    expect(readdirSync(directory)).toEqual([])
  }, 60_000)

  test.runIf(onLinux)('an owner whose name is later than the candidate\'s, as after a clock set back, keeps it', async () => {
    await take()
    const [name] = readdirSync(directory)
    renameSync(join(directory, name!), join(directory, name!.replace(/^lock-.{12}/, 'lock-ffffffffffff')))
    const started = performance.now()
    await expect(take()).rejects.toEqual(lockedBy(process.pid))
    expect(performance.now() - started).toBeLessThan(1_000)
  })
})

describe('a dead owner', () => {
  test('killed by SIGKILL is replaced', async () => {
    const holder = await Holder.start(directory)
    await holder.ask('take')
    await holder.ask('block')
    await holder.kill()
    await take()
    if (onLinux) expect(readdirSync(directory)).toHaveLength(1)
  })

  test('thread, terminated while blocked, is replaced in the same process', async () => {
    const { worker, answer } = await startWorker()
    expect(answer).toEqual({ held: true })
    await expect(take()).rejects.toEqual(lockedBy(process.pid))
    await worker.terminate()
    await take()
    if (onLinux) expect(readdirSync(directory)).toHaveLength(1)
  })

  test('that ended by itself is replaced: the lock does not keep a process alive', () => {
    const url = new URL('../../dist/src/disk/directory-lock.js', import.meta.url).href
    const script = `await (await import('${url}')).acquireDirectoryLock(process.argv[1], { waitMs: 0 })`
    for (let i = 0; i < 2; i++) execFileSync(process.execPath, ['--input-type=module', '-e', script, directory], { timeout: 20_000 })
  })

  test('is replaced by exactly one of eight', async () => {
    const marker = join(root, 'marker')
    const racers = await Promise.all(Array.from({ length: 8 }, () => Holder.start(directory, { marker })))
    for (let round = 0; round < 5; round++) {
      const victim = await Holder.start(directory)
      expect(await victim.ask('take')).toMatchObject({ held: true })
      await victim.kill()
      const answers = await Promise.all(racers.map((racer) => racer.ask('take')))
      expect(answers.filter((answer) => answer.held)).toHaveLength(1)
      await racers[answers.findIndex((answer) => answer.held)]!.ask('free')
    }
  }, 60_000)
})

describe('waiting', () => {
  test('ends when the owner releases', async () => {
    const first = await take()
    const holder = await Holder.start(directory)
    const taken = holder.ask('take', { waitMs: Infinity })
    await expect(take(50)).rejects.toEqual(lockedBy(process.pid))
    await first.release()
    expect(await taken).toMatchObject({ held: true })
  })

  test('ends when the owner is killed', async () => {
    const holder = await Holder.start(directory)
    await holder.ask('take')
    const taken = take(Infinity)
    await holder.kill()
    await taken
  })

  test('ends after waitMs', async () => {
    await take()
    const started = performance.now()
    await expect(take(120)).rejects.toEqual(lockedBy(process.pid))
    expect(performance.now() - started).toBeGreaterThanOrEqual(119)
  })

  test('is ended by the signal, with its reason, and leaves nothing', async () => {
    const first = await take()
    const reason = new Error('enough')
    const controller = new AbortController()
    const taken = take(Infinity, controller.signal)
    setImmediate(() => controller.abort(reason))
    await expect(taken).rejects.toBe(reason)
    await expect(take(0, AbortSignal.abort(reason))).rejects.toBe(reason)
    await first.release()
    if (onLinux) expect(readdirSync(directory)).toEqual([])
  })
})

describe('release', () => {
  test('can be repeated, leaves no file, and takes nothing from the next owner', async () => {
    const first = await take()
    await first.release()
    if (onLinux) expect(readdirSync(directory)).toEqual([])
    await take()
    await first.release()
    await expect(take()).rejects.toEqual(lockedBy(process.pid))
  })

  test.runIf(onLinux)('leaks no file descriptor, nor does being refused', async () => {
    const long = join(root, ...Array.from({ length: 3 }, () => 'd'.repeat(200)))
    mkdirSync(long, { recursive: true })
    const cycle = async (from: string) => {
      const lock = await take(0, undefined, from)
      await expect(take(0, undefined, from)).rejects.toThrow('locked')
      await lock.release()
    }
    for (const from of [directory, long]) await cycle(from)
    const before = readdirSync('/proc/self/fd').length
    for (let i = 0; i < 50; i++) for (const from of [directory, long]) await cycle(from)
    expect(readdirSync('/proc/self/fd').length).toBeLessThan(before + 10)
  })
})

describe('the directory', () => {
  test('may have a path longer than a socket address', async () => {
    const long = join(directory, ...Array.from({ length: 5 }, () => 'ä'.repeat(100)))
    mkdirSync(long, { recursive: true })
    const first = await take(0, undefined, long)
    await expect(take(0, undefined, long)).rejects.toEqual(lockedBy(process.pid))
    const holder = await Holder.start(long)
    expect(await holder.ask('take')).toMatchObject({ held: false, owner: process.pid })
    await first.release()
    expect(await holder.ask('take')).toMatchObject({ held: true })
    await holder.kill()
    await take(0, undefined, long)
  })

  test('must exist', async () => {
    const missing = join(directory, 'missing')
    await expect(take(0, undefined, missing)).rejects.toMatchObject({ code: 'ERR_WAL_IO', file: missing, cause: { code: 'ENOENT' } })
  })

  test.runIf(onLinux)('keeps what is named like a lock and is none', async () => {
    const name = (letter: string) => `lock-${letter.repeat(32)}-1`
    const outside = createServer()
    const outsidePath = join(root, 's')
    await listening(outside, outsidePath)
    mkdirSync(join(directory, name('a')))
    writeFileSync(join(directory, name('b')), 'garbage')
    symlinkSync(outsidePath, join(directory, name('c')))
    symlinkSync('nowhere', join(directory, name('d')))
    writeFileSync(join(directory, `lock-${'e'.repeat(32)}.tmp`), 'garbage')
    writeFileSync(join(directory, `x${name('f')}`), 'garbage')
    const before = readdirSync(directory).sort()
    const lock = await take()
    await lock.release()
    expect(readdirSync(directory).sort()).toEqual(before)
    expect(existsSync(outsidePath)).toBe(true)
    outside.close()
  })

  test.runIf(onLinux)('is cleared of what died before it had appeared', async () => {
    const server = createServer()
    await listening(server, join(directory, 'x'))
    renameSync(join(directory, 'x'), join(directory, `lock-${'0'.repeat(32)}.tmp`))
    server.close()
    await take()
    expect(readdirSync(directory)).toEqual([expect.stringMatching(/^lock-[0-9a-f]{32}-\d+$/)])
  })

  test.runIf(onLinux)('gets sockets that only the user can reach', async () => {
    await take()
    const [name] = readdirSync(directory)
    expect(statSync(join(directory, name!)).mode & 0o077).toBe(0)
  })

  test.runIf(onLinux && process.getuid?.() === 0)('that may not be asked counts as locked, and is left alone', async () => {
    await take()
    chmodSync(root, 0o755)
    chmodSync(directory, 0o777)
    const url = new URL('../../dist/src/disk/directory-lock.js', import.meta.url).href
    const script = `process.setgid(65534); process.setuid(65534)
      acquireDirectoryLock(process.argv[1], { waitMs: 0 }).catch((error) => console.log(error.code, error.owner.pid, error.cause.code))`
    const text = execFileSync(process.execPath, ['--input-type=module', '-e', `import { acquireDirectoryLock } from '${url}'\n${script}`, directory])
    expect(String(text)).toBe(`ERR_WAL_LOCKED ${process.pid} EACCES\n`)
    await expect(take()).rejects.toEqual(lockedBy(process.pid))
  })
})

describe('namespaces', () => {
  const unshare = ['unshare', '-p', '-n', '-f', '--mount-proc', '--kill-child']

  test('two pid and network namespaces exclude each other, though their pids say nothing', async ({ skip }) => {
    if (!works(unshare)) return skip('needs root and unshare(1) to make namespaces')
    const one = await Holder.start(directory, { prefix: unshare })
    const two = await Holder.start(directory, { prefix: unshare })
    const first = await one.ask('take')
    expect(first).toMatchObject({ held: true, pid: 1 })
    expect(await two.ask('take')).toMatchObject({ held: false, code: 'ERR_WAL_LOCKED', owner: 1 })
    await expect(take()).rejects.toEqual(lockedBy(1))
    await one.kill()
    expect(await two.ask('take', { waitMs: Infinity })).toMatchObject({ held: true, pid: 1 })
  })

  test('where sockets cannot be, the kernel still lets one in', async ({ skip }) => {
    // sysfs can be listed and holds no sockets: it stands in for such a file system.
    const refusal = await listening(createServer(), '/sys/ringwal').then(() => 'none', (error) => error.code)
    if (refusal !== 'EPERM') return skip('needs root and a /sys that can be written')
    const lock = await take(0, undefined, '/sys')
    await expect(take(0, undefined, '/sys')).rejects.toMatchObject({ code: 'ERR_WAL_LOCKED' })
    await lock.release()
    await take(0, undefined, '/sys')
  })
})

function works(prefix: string[]): boolean {
  try {
    execFileSync(prefix[0]!, [...prefix.slice(1), 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function listening(server: Server, path: string): Promise<void> {
  await once(server.listen(path), 'listening')
}
