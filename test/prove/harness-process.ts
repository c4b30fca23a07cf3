/** Harnesses as processes: how one is started, and several at a time. */

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { HarnessEntry } from './harnesses.js'
import type { ProveResult } from './harness.js'
import type { HarnessOrder } from './run-harness.js'

const AT_ONCE = 2
/** What a harness that has taken too long has for taking back what it did. */
const GRACE_MS = 10_000
const SIGNALS = ['SIGINT', 'SIGTERM'] as const
const RUNNER = fileURLToPath(new URL('./run-harness.ts', import.meta.url))

/** The build that ships. */
export const BUILD = fileURLToPath(new URL('../../dist', import.meta.url))

/** How a harness's process ended. */
export interface HarnessEnd {
  /** Undefined: the harness itself failed. */
  readonly result: ProveResult | undefined
  readonly isLate: boolean
}

/** Runs a harness to its end, at most for so long. */
export async function runInChild(order: HarnessOrder, say: (line: string) => void, limitMs?: number): Promise<HarnessEnd> {
  const child = spawn(process.execPath, ['--import', 'tsx/esm', RUNNER, JSON.stringify(order)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  // One that takes down what it has mounted ends by itself; one that hangs does not.
  const stop = (): void => {
    child.kill('SIGTERM')
    setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref()
  }
  const stopBoth = (): void => {
    stop()
    void exit.then(() => process.exit(1))
  }
  let isLate = false
  const timer = limitMs === undefined ? undefined : setTimeout(() => {
    isLate = true
    stop()
  }, limitMs)
  for (const signal of SIGNALS) process.on(signal, stopBoth)
  let last = ''
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('{')) last = line
    else if (line !== '') say(line)
  }
  const code = await exit
  clearTimeout(timer)
  for (const signal of SIGNALS) process.off(signal, stopBoth)
  return { result: code === 0 && last !== '' ? JSON.parse(last) as ProveResult : undefined, isLate }
}

/** Runs `work` for every item, two at a time but for what needs the machine to itself. The results are in the order of the items. */
export async function forAll<Item, Result>(items: readonly Item[], entryOf: (item: Item) => HarnessEntry, work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const done = new Map<Item, Result>()
  const runSome = async (some: Item[], atOnce: number): Promise<void> => {
    const runNext = async (): Promise<void> => {
      for (let item = some.shift(); item !== undefined; item = some.shift()) done.set(item, await work(item))
    }
    await Promise.all(Array.from({ length: atOnce }, runNext))
  }
  await runSome(items.filter((item) => !entryOf(item).alone), AT_ONCE)
  await runSome(items.filter((item) => entryOf(item).alone), 1)
  return items.map((item) => done.get(item)!)
}
