/** The real side of a program: a log of the build under test, its consumers, a producer on another thread; crashes. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Consumer, Log, LogEntry, LogHandle, LogOptions } from '../../../dist/src/index.js'
import { promise, type ExpectedLog } from './expected-log.js'
import { OutsideReading } from './outside-reading.js'

/** What the build exports. */
export type Build = typeof import('../../../dist/src/index.js')

/** Options that a log is opened with, but its directory. */
export type Shape = Omit<LogOptions, 'directory'>

const THREAD = new URL('./thread.mjs', import.meta.url)
const VICTIM = fileURLToPath(new URL('./victim.mjs', import.meta.url))
/** How often a copy is tried again because the writer changed something meanwhile. */
const COPIES = 200

/** How a process that has a log open may end by itself. */
export type ProcessEnd = 'exits' | 'throws' | 'has nothing left to do'

/** Loads the library. */
export async function loadBuild(build: string): Promise<Build> {
  return await import(pathToFileURL(join(build, 'src/index.js')).href) as Build
}

/** The error codes of a log that may refuse an append for want of room. */
export function isFull(error: unknown): boolean {
  return (error as { code?: string }).code === 'ERR_WAL_FULL'
}

/** One program's log and all that hangs on it. */
export class World {
  readonly code: Build
  readonly build: string
  readonly root: string
  shape: Shape
  log!: Log
  #copies = 0
  directory: string
  #thread: ProducerThread | undefined
  #outside: OutsideReading | undefined

  constructor(code: Build, build: string, root: string, shape: Shape) {
    this.code = code
    this.build = build
    this.root = root
    this.shape = shape
    this.directory = join(root, 'log-0')
  }

  async open(shape = this.shape): Promise<void> {
    this.shape = shape
    this.log = await this.code.openLog({ ...shape, directory: this.directory })
  }

  /** The producer on another thread. */
  async thread(): Promise<ProducerThread> {
    this.#thread ??= await ProducerThread.start(this.build, this.log.handle())
    return this.#thread
  }

  /** The reading from outside. */
  get outside(): OutsideReading {
    return (this.#outside ??= new OutsideReading(this.code, this.directory))
  }

  /** Ends the reading from outside; the next one begins anew. */
  async endOutside(): Promise<void> {
    const outside = this.#outside
    this.#outside = undefined
    await outside?.end()
  }

  /** Ends the other thread, then the log. */
  async close(): Promise<void> {
    const thread = this.#thread
    this.#thread = undefined
    await thread?.end()
    await this.log.close()
  }

  /** The first sequence that the log still has, or will have. */
  get firstKept(): number {
    return this.log.segments()[0]?.firstSequence ?? 1
  }

  /** The consumer of that name; a new one begins at the earliest entry. */
  consumer(model: ExpectedLog, name: string): Consumer {
    const isNew = !model.consumers.has(name)
    const first = this.firstKept
    const consumer = this.log.consumer(name)
    if (isNew) model.setCursor(name, first - 1)
    return consumer
  }

  /**
   * The directory as a SIGKILL would leave it now: every file of one moment, without the lock. The writer cannot be stopped, so a copy during which
   * anything changed is no moment, and is made again.
   */
  copy(): string {
    const copy = join(this.root, `log-${++this.#copies}`)
    for (let tries = 0; tries < COPIES; tries++) {
      const before = filesOf(this.directory)
      try {
        for (const { path, mode } of before) {
          mkdirSync(join(copy, path, '..'), { recursive: true })
          // Not copyFile: in Node 20 it never ends when the file becomes shorter meanwhile, as a tail does that is sealed.
          writeFileSync(join(copy, path), readFileSync(join(this.directory, path)), { mode })
        }
        if (JSON.stringify(filesOf(this.directory)) === JSON.stringify(before)) return copy
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
      rmSync(copy, { recursive: true, force: true })
    }
    throw new Error(`the directory was never still: no copy of one moment in ${COPIES} tries`)
  }

  /** A process opens the log, appends groups and single entries as it is told, and is killed once it has reported so many. Tells what it reported last. */
  async kill(program: readonly (readonly string[])[], reports: number): Promise<number> {
    let last = 0
    let seen = 0
    const ended = await this.#runVictim(program, 'killed', (line, child) => {
      last = Number(line)
      if (++seen === reports) child.kill('SIGKILL')
    })
    promise(ended.signal === 'SIGKILL', () => 'the process that was to be killed ended by itself')
    return last
  }

  /** A process opens the log, appends groups and single entries, and ends by itself without waiting for any. What it says at its end must be that all is durable. */
  async endProcess(program: readonly (readonly string[])[], end: ProcessEnd, last: number): Promise<void> {
    let said = ''
    const { code } = await this.#runVictim(program, end, (line) => {
      said = line
    })
    promise(said === `durable ${last}`, () => `a process that ${end} says at its end: ${said}; it accepted entries up to ${last}`)
    promise(code === (end === 'throws' ? 1 : 0), () => `a process that ${end} ended with ${code}`)
  }

  async #runVictim(
    program: readonly (readonly string[])[], end: ProcessEnd | 'killed', onLine: (line: string, child: ChildProcess) => void,
  ): Promise<{ code: number | null; signal: string | null }> {
    const { whenFull: _, ...shape } = this.shape
    const order = JSON.stringify({ build: this.build, program, end, options: { ...shape, whenFull: 'block', directory: this.directory } })
    const child = spawn(process.execPath, [VICTIM, order], { stdio: ['ignore', 'pipe', end === 'throws' ? 'ignore' : 'inherit'] })
    const exit = once(child, 'exit')
    for await (const line of createInterface({ input: child.stdout })) onLine(line, child)
    const [code, signal] = await exit as [number | null, string | null]
    return { code, signal }
  }

  /** Runs a reading again if segments were freed meanwhile: then it began, or ended, too early. */
  async whileKept<Value>(model: ExpectedLog, read: (first: number) => Promise<Value>): Promise<Value> {
    for (;;) {
      const first = model.checkSegments(this.log.segments())
      try {
        return await read(first)
      } catch (error) {
        if (model.checkSegments(this.log.segments()) === first) throw error
      }
    }
  }
}

/** All regular files below a directory, with what shows that one has changed. */
function filesOf(directory: string): { path: string; mode: number; changed: string }[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true }).filter((file) => file.isFile()).map((file) => {
    const path = join(file.parentPath, file.name)
    const { ino, size, mode, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
    return { path: path.slice(directory.length + 1), mode: Number(mode & 0o777n), changed: `${ino} ${size} ${mtimeNs} ${ctimeNs}` }
  }).toSorted((one, other) => one.path < other.path ? -1 : 1)
}

/** Entries of a reading. */
export async function collect(reading: AsyncIterable<readonly LogEntry[]> | AsyncIterable<LogEntry>): Promise<LogEntry[]> {
  const entries: LogEntry[] = []
  for await (const one of reading) entries.push(...[one].flat())
  return entries
}

/** A thread with a producer of its own, obeying one call at a time. See thread.mjs. */
export class ProducerThread {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  static async start(build: string, handle: LogHandle): Promise<ProducerThread> {
    const worker = new Worker(THREAD, { workerData: { build: pathToFileURL(join(build, 'src/index.js')).href, handle } })
    await once(worker, 'message')
    return new ProducerThread(worker)
  }

  /** Has the thread do something. */
  async ask<Value>(act: string, argument?: unknown): Promise<Value> {
    const answer = once(this.#worker, 'message') as Promise<[{ value: Value; error?: { code?: string; message: string } }]>
    this.#worker.postMessage({ act, argument })
    const [{ value, error }] = await answer
    if (error !== undefined) throw Object.assign(new Error(`on the other thread: ${error.message}`), { code: error.code })
    return value
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}
