/** Node processes that a test or a harness starts: a script, its arguments, how it ended. */

import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { whenOver } from './leftovers.js'

/** A process as it ended. */
export interface ChildEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly errors: string
}

/** Where and how a script is run. */
export interface ChildOptions {
  /** Put before the node command: `['sh', '-c', 'ulimit -f 64; exec "$@"', 'sh']`, say. */
  readonly prefix?: readonly string[]
  readonly nodeArguments?: readonly string[]
}

/** A running process; killed when the test or harness is over. */
export interface Child {
  readonly process: ChildProcess
  /** Resolves when stdout holds `text`. Rejects when the process ends before. */
  untilOutput(text: string): Promise<void>
  /** Resolves when it has ended and its output is complete. */
  readonly end: Promise<ChildEnd>
}

/** Starts `node script ...argumentList`. */
export function startChild(script: URL, argumentList: readonly string[], options: ChildOptions = {}): Child {
  const [command, ...rest] = [...(options.prefix ?? []), process.execPath, ...(options.nodeArguments ?? []), fileURLToPath(script), ...argumentList]
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  whenOver(() => void child.kill('SIGKILL'))
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const end = new Promise<ChildEnd>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, output, errors }))
  })
  const untilOutput = async (text: string): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (output.includes(text)) resolve()
      }
      child.stdout.on('data', look)
      child.once('close', () => (output.includes(text) ? resolve() : reject(new Error(`ended without saying ${text}; stderr: ${errors}`))))
      look()
    })
  }
  return { process: child, untilOutput, end }
}

/** Runs `node script ...argumentList` to its end. */
export async function runChild(script: URL, argumentList: readonly string[], options?: ChildOptions): Promise<ChildEnd> {
  return await startChild(script, argumentList, options).end
}
