/** What a process asked of the kernel, as `strace -f -xx` tells it, in order. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** One call by its beginning and end: places in the order of the trace. */
export interface SystemCall {
  readonly name: string
  readonly fd: number
  /** The first bytes of what was written. */
  readonly data: Buffer
  readonly beginsAt: number
  endsAt: number
  result: number
}

/** Command that runs what follows it under a trace into `file`. */
export function traced(file: string): string[] {
  return ['strace', '-f', '-qq', '-xx', '-s', '64', '-e', 'trace=write,writev,pwrite64,pwritev,pwritev2,fdatasync,fsync', '-o', file]
}

/** Why there can be no trace here; undefined when there can. */
export function traceObstacle(): string | undefined {
  try {
    execFileSync('strace', ['-qq', '-o', '/dev/null', 'true'], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return (error as Error).message.split('\n', 1)[0]!
  }
}

const WHOLE_OR_BEGUN = /^(\d+) +(\w+)\((\d+)(.*)$/
const RESUMED = /^(\d+) +<\.\.\. (\w+) resumed>.*= (-?\d+)/
const RESULT = /\) += (-?\d+)[^=]*$/
const FIRST_STRING = /"((?:\\x[0-9a-f]{2})*)"/

/** The calls in a trace. */
export function readTrace(file: string): SystemCall[] {
  const calls: SystemCall[] = []
  const begun = new Map<string, SystemCall>()
  readFileSync(file, 'latin1').split('\n').forEach((line, at) => {
    const resumed = RESUMED.exec(line)
    if (resumed !== null) {
      const call = begun.get(resumed[1]!)
      if (call !== undefined) Object.assign(call, { endsAt: at, result: Number(resumed[3]) })
      return
    }
    const match = WHOLE_OR_BEGUN.exec(line)
    if (match === null) return
    const [, thread, name, fd, rest] = match
    const data = Buffer.from((FIRST_STRING.exec(rest!)?.[1] ?? '').replaceAll('\\x', ''), 'hex')
    const call: SystemCall = { name: name!, fd: Number(fd), data, beginsAt: at, endsAt: Infinity, result: -1 }
    calls.push(call)
    if (rest!.includes('<unfinished')) begun.set(thread!, call)
    else Object.assign(call, { endsAt: at, result: Number(RESULT.exec(rest!)?.[1] ?? -1) })
  })
  return calls
}
