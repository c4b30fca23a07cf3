/** One run of system-calls-child.mjs, with its threads in the hands of strace: what it told, what each thread asked of the kernel, how it ended. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('./system-calls-child.mjs', import.meta.url))
/** A bound, for what never ends: nothing here takes seconds. */
const LONGEST_RUN_MS = 30_000
/** How long a thread is held behind a call, in µs: it is killed there at once. */
const HELD_US = 60_000_000
/** So much of what is written that a frame's sequence can be seen. */
const DATA_BYTES = 32
const TRACED = [
  'openat', 'pwrite64', 'pwritev', 'pwritev2', 'fdatasync', 'fsync', 'ftruncate', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat',
  'mkdir', 'mkdirat', 'fchmod', 'chmod', 'fchmodat', 'socket', 'bind',
].map((name) => `?${name}`).join()

/** The threads that act on the log's directory: the caller's, the writer, and the one of Node's pool, which writes uploads. */
export const THREADS = ['main', 'writer', 'pool'] as const
export type ThreadName = typeof THREADS[number]

/** What happens to a call: it fails, or its thread's process is killed before it is made, or after it is done and before anybody knows. */
export type CallFault = { readonly error: string } | { readonly kill: 'before' | 'after' }

/** The `ordinal`-th call of that name on a thread, and what happens to it. */
export interface Injection {
  readonly thread: ThreadName
  readonly call: string
  readonly ordinal: number
  readonly fault: CallFault
}

/** What the program tells; see there. */
export type Told =
  | { readonly kind: 'threads'; readonly main: number; readonly pool: number }
  | { readonly kind: 'writer'; readonly thread: number }
  | { readonly kind: 'making'; readonly entries: readonly { readonly label: string; readonly crc: number }[] }
  | { readonly kind: 'uploading'; readonly label: string; readonly bytes: number; readonly sha256: string }
  | { readonly kind: 'refused'; readonly labels: readonly string[] }
  | { readonly kind: 'accepted' | 'acknowledged'; readonly first: number; readonly labels: readonly string[] }
  | { readonly kind: 'committing' | 'committed'; readonly sequence: number }
  | { readonly kind: 'done'; readonly step: string }
  | { readonly kind: 'failed'; readonly step: string; readonly error: { readonly isWalError: boolean; readonly codes: readonly string[]; readonly message: string } }
  | { readonly kind: 'end' }

/** One call, as strace tells it. */
export interface TracedCall {
  readonly name: string
  /** From 1, among the calls of that name on its thread. */
  readonly ordinal: number
  /** The path that it names first, or that its descriptor was opened by. */
  readonly path: string
  readonly text: string
  readonly failed: boolean
  /** Strace had its hand in. */
  readonly isInjected: boolean
}

/** How a run went. */
export interface ProgramEnd {
  readonly told: readonly Told[]
  readonly calls: ReadonlyMap<ThreadName, readonly TracedCall[]>
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly errors: string
  /** It had to be ended by force. */
  readonly isHung: boolean
}

/** A run to be. */
export interface ProgramOrder {
  readonly build: string
  readonly directory: string
  readonly scenario: 'fresh' | 'leave' | 'left'
  /** Threads to be traced. */
  readonly threads: readonly ThreadName[]
  readonly injection?: Injection
}

/** Runs the program to its end. */
export async function runProgram(order: ProgramOrder): Promise<ProgramEnd> {
  const child = spawn(process.execPath, [CHILD, order.build, order.directory, order.scenario], {
    stdio: ['pipe', 'ignore', 'pipe', 'pipe', 'pipe'], env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
  })
  const told: Told[] = []
  const tracers: Tracer[] = []
  let errors = ''
  let isHung = false
  const bound = setTimeout(() => { isHung = true; child.kill('SIGKILL') }, LONGEST_RUN_MS)
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const trace = async (thread: ThreadName, id: number): Promise<void> => {
    if (!order.threads.includes(thread)) return
    const tracer = new Tracer(thread, id, order.injection?.thread === thread ? order.injection : undefined, child)
    tracers.push(tracer)
    await tracer.attached
  }
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const [firstGate, writerGate] = [child.stdin!, child.stdio[4] as Writable]
  for (const gate of [firstGate, writerGate]) gate.on('error', () => undefined) // A child that is dead waits at no gate.
  for await (const line of createInterface({ input: child.stdio[3] as Readable })) {
    const item = JSON.parse(line) as Told
    told.push(item)
    if (item.kind === 'threads') {
      await Promise.all([trace('main', item.main), trace('pool', item.pool)])
      firstGate.end('\n')
    } else if (item.kind === 'writer') {
      if (!tracers.some(({ thread }) => thread === 'writer')) await trace('writer', item.thread)
      writerGate.end('\n')
    }
  }
  const [code, signal] = await ended
  clearTimeout(bound)
  await Promise.all(tracers.map(({ ended: end }) => end))
  return { told, calls: new Map(tracers.map(({ thread, calls }) => [thread, calls])), code, signal, errors, isHung }
}

/** Why no thread can be taken hold of here; undefined when one can. */
export async function tracerObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'system calls are made to fail by strace, on Linux'
  const sleeper = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { stdio: 'ignore' })
  try {
    await once(sleeper, 'spawn')
    const tracer = new Tracer('main', sleeper.pid!, undefined, sleeper)
    const end = tracer.ended.then(() => 'it ended')
    return await Promise.race([tracer.attached.then(() => undefined), end.then((text) => `no thread can be traced: ${tracer.complaint || text}`)])
  } catch (error) {
    return `no thread can be traced: ${(error as Error).message}`
  } finally {
    sleeper.kill('SIGKILL')
  }
}

/** An strace of one thread. */
class Tracer {
  readonly thread: ThreadName
  readonly calls: TracedCall[] = []
  /** What strace says of itself. */
  complaint = ''
  readonly attached: Promise<void>
  readonly ended: Promise<void>
  readonly #counts = new Map<string, number>()

  constructor(thread: ThreadName, id: number, injection: Injection | undefined, child: ChildProcess) {
    this.thread = thread
    const process = spawn('strace', [
      '-y', '-xx', '-s', String(DATA_BYTES), '-e', `trace=${TRACED}`, ...(injection === undefined ? [] : ['-e', expression(injection)]), '-p', String(id),
    ], { stdio: ['ignore', 'ignore', 'pipe'] })
    const lines = createInterface({ input: process.stderr })
    this.attached = new Promise((resolve, reject) => {
      process.once('error', reject)
      lines.on('line', (line) => {
        if (/^strace: Process \d+ attached/.test(line)) resolve()
        else if (line.startsWith('strace: ')) this.complaint ||= line
        else this.#take(line)
        // Strace sleeps while it holds a thread: the dead are reaped once it is gone.
        if (line.includes('(DELAYED)') && child.kill('SIGKILL')) process.kill('SIGKILL')
      })
    })
    this.ended = new Promise((resolve) => process.once('close', () => resolve()).once('error', () => resolve()))
  }

  #take(line: string): void {
    const text = line.replaceAll(/(?:\\x[0-9a-f]{2})+/g, (bytes) => Buffer.from(bytes.replaceAll('\\x', ''), 'hex').toString('latin1'))
    const name = /^(\w+)\(/.exec(text)?.[1]
    if (name === undefined) return
    const ordinal = (this.#counts.get(name) ?? 0) + 1
    this.#counts.set(name, ordinal)
    const path = /^\w+\((?:AT_FDCWD(?:<[^>]*>)?, |\d+<(?!\/))?[^"<]*["<]([^">]*)[">]/.exec(text)?.[1] ?? ''
    this.calls.push({ name, ordinal, path, text, failed: / = -1 /.test(text), isInjected: /\((?:INJECTED|DELAYED)\)/.test(text) })
  }
}

function expression({ call, ordinal, fault }: Injection): string {
  const what = 'error' in fault ? `error=${fault.error}` : fault.kill === 'before' ? 'signal=KILL' : `delay_exit=${HELD_US}`
  return `inject=${call}:${what}:when=${ordinal}`
}
