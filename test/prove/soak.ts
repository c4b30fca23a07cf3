/**
 * Full load for long: two producers, one of them on a thread of its own, one consumer in batches, rolls, commits, checkpoints and recycled segments.
 * Memory, file descriptors and disk use must stay as they are, and appending as fast as it was. Writes the curves to `artifacts/prove/soak.html`.
 */

import { once } from 'node:events'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import type { Log } from '../../dist/src/index.js'
import type { Fault, ProveOptions, ProveResult } from './harness.js'

const QUICK_MS = 60_000
const LONG_MS = 2 * 3_600_000
const SAMPLE_MS = 500
/** What is still starting: threads, compiled code, the first segments. */
const WARM_UP = 0.2
/** The rate settles sooner; and what slows down does most of it early. */
const RATE_WARM_UP = 0.05
const ENTRY = 'x'.repeat(104)
const BURST = 200
/** Entries that may wait for the consumer; then the producers do. */
const MAX_LAG = 20_000
const MIB = 2 ** 20
const PAGE = fileURLToPath(new URL('../../artifacts/prove/soak.html', import.meta.url))
const THREAD = new URL('./soak/thread.mjs', import.meta.url)
const CURVES = new URL('./soak/curves.mjs', import.meta.url)

/** Words of the gate that the producer thread waits at. */
const GATE_OPEN = 0
const GATE_END = 1

/** One curve of the page: what it shows, and its points in seconds. */
export interface Curve {
  readonly label: string
  readonly points: readonly [seconds: number, value: number][]
}

interface Sample {
  readonly atMs: number
  readonly appended: number
  readonly values: Record<Measure, number>
}

type Measure = 'rss' | 'heap' | 'descriptors' | 'disk'

/** By how much the median of the second half may be above that of the first, and how it is shown. Noise is less, a leak in a minute is more. */
const BOUNDS: Record<Measure, { readonly growth: number; readonly unit: number; readonly label: string }> = {
  rss: { growth: 48 * MIB, unit: MIB, label: 'resident memory, MiB' },
  heap: { growth: MIB, unit: MIB, label: 'heap of the main thread after collection, MiB' },
  descriptors: { growth: 3, unit: 1, label: 'open file descriptors' },
  disk: { growth: 8 * MIB, unit: MIB, label: 'disk use, MiB' },
}
/** The rate of the last fifth, as a part of the first fifth's. Machines are noisy. A cost that grows with each entry leaves 0.4 of it. */
const LEAST_RATE = 0.5

/** Looks for what grows, and for what slows down. */
export async function run(options: ProveOptions): Promise<ProveResult> {
  if (process.platform !== 'linux') return { cases: 0, faults: [], skipped: 'it counts file descriptors in /proc' }
  const { openLog } = await import(pathToFileURL(join(options.build, 'src/index.js')).href) as typeof import('../../dist/src/index.js')
  const log = await openLog({ directory: join(options.directory, 'log'), maxSegmentBytes: MIB, ringBytes: MIB, whenFull: 'block', reserveBytes: 0 })
  const samples = await load(options, log)
  await log.close()
  const after = (share: number): Sample[] => samples.slice(Math.floor(samples.length * share))
  const warm = after(WARM_UP)
  const found = [...(Object.keys(BOUNDS) as Measure[]).map((measure) => checkFlat(measure, warm)), checkRate(after(RATE_WARM_UP))]
  mkdirSync(join(PAGE, '..'), { recursive: true })
  const { drawCurves } = await import(CURVES.href) as { drawCurves(found: string, curves: readonly Curve[]): string }
  writeFileSync(PAGE, drawCurves(`${found.map(({ line }) => line).join('; ')}.`, curvesOf(samples)))
  for (const { line } of found) options.say(line)
  const faults = found.filter(({ isFault }) => isFault).map(({ caseName, line }): Fault => ({ caseName, what: line }))
  return { cases: found.length, faults: options.caseName === undefined ? faults : faults.filter(({ caseName }) => caseName === options.caseName) }
}

/** The load, sampled until it is over. */
async function load(options: ProveOptions, log: Log): Promise<Sample[]> {
  const gate = new Int32Array(new SharedArrayBuffer(8))
  gate[GATE_OPEN] = 1
  const thread = new Worker(THREAD, { workerData: { build: pathToFileURL(join(options.build, 'src/index.js')).href, handle: log.handle(), gate, entry: ENTRY, burst: BURST } })
  const threadEnd = once(thread, 'exit')
  const consumer = log.consumer('soak')
  let consumed = 0
  const consuming = consumer.runBatches((entries) => {
    consumed = entries.at(-1)!.sequence
    setGate(gate, log.lastSequence - consumed < MAX_LAG)
  }, { maxEntries: 2000 })
  let isOver = false
  const producing = (async () => {
    while (!isOver) {
      if (log.lastSequence - consumed < MAX_LAG) for (let count = 0; count < BURST; count++) log.append(ENTRY)
      else setGate(gate, false)
      await new Promise(setImmediate)
    }
  })()
  const samples = await sample(log, options.long ? LONG_MS : QUICK_MS)
  isOver = true
  Atomics.store(gate, GATE_END, 1)
  setGate(gate, true)
  await Promise.all([producing, threadEnd])
  await log.flush()
  await consumer.committed(log.lastSequence)
  await consumer.stop()
  await consuming
  return samples
}

function setGate(gate: Int32Array, isOpen: boolean): void {
  Atomics.store(gate, GATE_OPEN, Number(isOpen))
  Atomics.notify(gate, GATE_OPEN)
}

async function sample(log: Log, forMs: number): Promise<Sample[]> {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  const startMs = performance.now()
  const samples: Sample[] = []
  for (let atMs = 0; atMs < forMs; atMs = performance.now() - startMs) {
    // Beside the load: what reads, seals and frees.
    for (let back = 1; back <= 20; back++) await log.get(Math.max(1, log.durableSequence - 100 * back))
    if (samples.length % 4 === 0) await log.roll()
    await log.checkpoint()
    collectGarbage()
    const { rss, heapUsed } = process.memoryUsage()
    const values = { rss, heap: heapUsed, descriptors: readdirSync('/proc/self/fd').length, disk: diskUse(log.directory) }
    samples.push({ atMs, appended: log.lastSequence, values })
    await sleep(SAMPLE_MS)
  }
  return samples
}

function diskUse(directory: string): number {
  return readdirSync(directory).reduce((sum, name) => sum + (statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0), 0)
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1]!
}

interface Finding {
  readonly caseName: string
  readonly isFault: boolean
  readonly line: string
}

function checkFlat(measure: Measure, samples: readonly Sample[]): Finding {
  const { growth, unit, label } = BOUNDS[measure]
  const half = samples.length >> 1
  const [first, second] = [samples.slice(0, half), samples.slice(half)].map((part) => median(part.map(({ values }) => values[measure]))) as [number, number]
  const line = `${label}: ${(first / unit).toFixed(1)}, then ${(second / unit).toFixed(1)} (at most ${growth / unit} more)`
  return { caseName: measure, isFault: second - first > growth, line }
}

function checkRate(samples: readonly Sample[]): Finding {
  const rates = ratesOf(samples).map(([, rate]) => rate)
  const fifth = Math.ceil(rates.length / 5)
  const [first, last] = [median(rates.slice(0, fifth)), median(rates.slice(-fifth))]
  return { caseName: 'rate', isFault: last < LEAST_RATE * first, line: `entries a second: ${Math.round(first)}, at the end ${Math.round(last)} (at least ${LEAST_RATE} of it)` }
}

function ratesOf(samples: readonly Sample[]): [number, number][] {
  return samples.slice(1).map(({ atMs, appended }, index) => [atMs / 1000, (appended - samples[index]!.appended) / (atMs - samples[index]!.atMs) * 1000])
}

function curvesOf(samples: readonly Sample[]): Curve[] {
  const measures = Object.entries(BOUNDS) as [Measure, typeof BOUNDS[Measure]][]
  return [
    ...measures.map(([measure, { unit, label }]): Curve => ({ label, points: samples.map(({ atMs, values }) => [atMs / 1000, values[measure] / unit]) })),
    { label: 'entries appended a second', points: ratesOf(samples) },
  ]
}
