/** The command `ringwal` as a child process. */

import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

export interface Ended {
  readonly stdout: Buffer
  readonly stderr: string
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
}

const running = new Set<ChildProcessWithoutNullStreams>()

/** Ends what a failed test left running. */
export function endCommands(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** A running command. */
export class RunningCommand {
  readonly child: ChildProcessWithoutNullStreams
  readonly ended: Promise<Ended>
  readonly #out: Buffer[] = []
  readonly #err: Buffer[] = []

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [MAIN, ...args])
    running.add(this.child)
    this.child.once('close', () => running.delete(this.child))
    this.child.stdout.on('data', (chunk: Buffer) => this.#out.push(chunk))
    this.child.stderr.on('data', (chunk: Buffer) => this.#err.push(chunk))
    // A command that ends early does not read what it was given.
    this.child.stdin.on('error', () => undefined)
    this.ended = once(this.child, 'close').then(([status, signal]) => ({
      stdout: Buffer.concat(this.#out), stderr: Buffer.concat(this.#err).toString(), status: status as number | null, signal: signal as NodeJS.Signals | null,
    }))
  }

  get output(): string {
    return Buffer.concat(this.#out).toString()
  }

  /** Resolves when the output so far holds that. Rejects when the command ends without. */
  async untilOutput(isThere: (output: string) => boolean): Promise<void> {
    while (!isThere(this.output)) {
      const ended = this.ended.then((end) => { throw new Error(`ended with ${end.status ?? end.signal}: ${end.stdout} ${end.stderr}`) })
      await Promise.race([once(this.child.stdout, 'data'), ended])
    }
  }
}

/** Runs a command to its end. */
export async function ringwal(args: readonly string[], input: string | Uint8Array = ''): Promise<Ended> {
  const command = new RunningCommand(args)
  command.child.stdin.end(input)
  return await command.ended
}

/** Runs a shell line in which `ringwal` is the command. */
export async function shell(line: string): Promise<Ended> {
  const child = spawn('bash', ['-c', `set -o pipefail; ringwal() { '${process.execPath}' '${MAIN}' "$@"; }; ${line}`])
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  child.stdin.end()
  const [status, signal] = await once(child, 'close')
  return { stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString(), status: status as number | null, signal: signal as NodeJS.Signals | null }
}
