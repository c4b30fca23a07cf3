/**
 * One owner at a time, and never a lock-out that lasts. Processes race for a directory, by the lock alone or as logs, some once and some until
 * they have it; they are killed while they acquire, hold and close. Who owned when is told by a ledger that knows nothing of the lock: a line
 * for all that an owner does, in the order in which the kernel took them. The same across pid namespaces, and with threads that are terminated.
 */

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { acquireDirectoryLock } from '../../dist/src/disk/directory-lock.js'
import type * as Library from '../../dist/src/index.js'
import { below, seededRandom, type Random } from '../model/random.js'
import type { Fault, ProveOptions, ProveResult } from './harness.js'
import { Racers, type Racer } from './racers.js'
import { within } from './time-limit.js'

const RACERS = 8
const ROUNDS = { quick: { race: 200, namespaces: 12, thread: 20 }, long: { race: 2000, namespaces: 60, thread: 200 } }
/** One round in so many is raced by whole logs, whose start takes so long that their locks seldom meet. */
const LOG_EVERY = 6
/** More than a socket's backlog holds: an owner whose event loop never runs takes none of them off. */
const QUESTIONS = 600
const UNSHARE = ['unshare', '--pid', '--fork', '--mount-proc']
/** How long one that waits for a dead writer may take to know it. */
const TOLD_MS = 20_000
const MODES = ['let be', 'kill while it holds', 'kill while it closes', 'kill some while they acquire', 'kill all'] as const
type Mode = typeof MODES[number]

/** What all parts work with. */
interface Scene {
  readonly library: typeof Library
  readonly lock: typeof acquireDirectoryLock
  readonly options: ProveOptions
  readonly faults: Fault[]
  readonly counts: Map<string, number>
  cases: number
}

export async function run(options: ProveOptions): Promise<ProveResult> {
  const load = async (path: string): Promise<unknown> => await import(pathToFileURL(join(options.build, 'src', path)).href)
  const scene: Scene = {
    library: await load('index.js') as typeof Library,
    lock: (await load('disk/directory-lock.js') as { acquireDirectoryLock: typeof acquireDirectoryLock }).acquireDirectoryLock,
    options, faults: [], counts: new Map(), cases: 0,
  }
  // The short ones first: what they find is found soon.
  await backlog(scene)
  await threads(scene)
  await namespaces(scene)
  await race(scene)
  options.say([...scene.counts].map(([what, times]) => `${what}: ${times}`).join(', '))
  return { cases: scene.cases, faults: scene.faults }
}

function count({ counts }: Scene, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1)
}

/** The rounds of a part that are to be run: all, or the one that `--case` names. Stops where something is wrong: what comes after it shows nothing new. */
function* casesOf({ options, faults }: Scene, part: 'race' | 'namespaces' | 'thread'): Generator<{ readonly round: number; readonly caseName: string; readonly random: Random }> {
  for (let round = 0; round < ROUNDS[options.long ? 'long' : 'quick'][part] && faults.length === 0; round++) {
    const caseName = `${part}/${round}`
    if (options.caseName === undefined || options.caseName === caseName) yield { round, caseName, random: seededRandom(options.seed + 7919 * round) }
  }
}

function placeFor({ options }: Scene, part: string): { readonly directory: string; readonly ledger: string } {
  mkdirSync(join(options.directory, part))
  return { directory: join(options.directory, part, 'log'), ledger: join(options.directory, part, 'ledger') }
}

/** Opens a log that nobody owns: it must be had at once. */
async function openAtOnce({ library, faults }: Scene, directory: string, caseName: string): Promise<void> {
  try {
    const log = await library.openLog({ directory, ringBytes: 64 * 1024, reserveBytes: 0 })
    await log.write('opened at once')
    await log.close()
  } catch (error) {
    faults.push({ caseName, what: `nobody owns it, and it cannot be opened: ${String(error)}` })
  }
}

async function race(scene: Scene): Promise<void> {
  const { options } = scene
  const { directory, ledger } = placeFor(scene, 'race')
  mkdirSync(directory)
  const racers = new Racers(options.build, directory, ledger)
  try {
    for (const { round, caseName, random } of casesOf(scene, 'race')) {
      await Promise.all(Array.from({ length: RACERS - racers.all.length }, () => racers.start()))
      const mode = MODES[below(random, MODES.length)]!
      const way = round % LOG_EVERY === 0 ? 'log' : 'lock'
      await raceOnce(scene, racers, way, mode, random)
      racers.checkLedger()
      for (const what of racers.faults.splice(0)) scene.faults.push({ caseName, what: `${way}, ${mode}: ${what}` })
      if (mode === 'kill all' || round % 8 === 0) await openAtOnce(scene, directory, caseName)
      scene.cases++
      if (round % 50 === 49) options.say(`${round + 1} races, ${racers.terms} owners, ${scene.faults.length} faults`)
    }
    await racers.killAll()
    scene.counts.set('owners in races', racers.terms)
    await checkLog(scene, directory, racers).catch((error: unknown) => scene.faults.push({ caseName: 'race', what: `the log cannot be read: ${String(error)}` }))
  } finally {
    await racers.killAll()
  }
}

/** All try; who owns is killed, or closes; until everybody has had it, was refused, or is dead. */
async function raceOnce(scene: Scene, racers: Racers, way: 'lock' | 'log', mode: Mode, random: Random): Promise<void> {
  const moment = (mostMs: number): Promise<void> => sleep(random() * mostMs)
  const attacks: Promise<void>[] = []
  const strike = (victims: readonly Racer[], mostMs: number): void => {
    attacks.push(moment(mostMs).then(() => victims.forEach((victim) => victim.kill())))
  }
  count(scene, mode)
  for (const racer of racers.all) racer.open(way, below(random, 2) === 0 ? 0 : Infinity)
  const acquireMs = way === 'lock' ? 20 : 200
  if (mode === 'kill all') strike([...racers.all], acquireMs)
  if (mode === 'kill some while they acquire') strike(racers.all.filter(() => below(random, 3) === 0), acquireMs)
  let owners = 0
  await racers.settle(({ racer, got }) => {
    if (got === 'locked') count(scene, 'refused')
    if (got !== 'owner') return
    const isVictim = owners++ === 0
    if (isVictim && mode === 'kill while it holds') return strike([racer], 15)
    attacks.push(moment(5).then(() => racer.close()))
    if (isVictim && mode === 'kill while it closes') strike([racer], 10)
  })
  await Promise.all(attacks)
  // Nobody was in the way of all others.
  if (owners === 0 && !mode.startsWith('kill all') && !mode.startsWith('kill some')) racers.faults.push('nobody has become the owner')
}

/** Whatever an owner was told to be durable is there, once, and no two owners wrote at a time. */
async function checkLog({ library, faults }: Scene, directory: string, racers: Racers): Promise<void> {
  const log = await library.openLog({ directory })
  const ended = new Set<string>()
  let owner = ''
  let next = 1
  for await (const entry of log.read()) {
    const text = entry.text()
    const durable = racers.durable.get(entry.sequence)
    if (entry.sequence !== next) faults.push({ caseName: 'race', what: `sequence ${next} is followed by ${entry.sequence}` })
    if (durable !== undefined && durable !== text) faults.push({ caseName: 'race', what: `sequence ${entry.sequence}: ${text} where ${durable} was durable` })
    const term = text.split(' ', 1)[0]!
    if (term !== owner) {
      if (ended.has(term) && term !== 'opened') faults.push({ caseName: 'race', what: `sequence ${entry.sequence}: ${term} writes on after ${owner}` })
      ended.add(term)
      owner = term
    }
    next = entry.sequence + 1
  }
  const last = Math.max(0, ...racers.durable.keys())
  if (last >= next) faults.push({ caseName: 'race', what: `sequence ${last} was durable, and the log ends at ${next - 1}` })
  await log.close()
}

/** The holder in one pid namespace, those who want it in another and in this one: they know each other's pids not at all, or by wrong numbers. */
async function namespaces(scene: Scene): Promise<void> {
  try {
    execFileSync(UNSHARE[0]!, [...UNSHARE.slice(1), 'true'], { stdio: 'ignore' })
  } catch {
    scene.options.say('namespaces: skipped, it takes root and unshare(1) to make them')
    return
  }
  const { directory, ledger } = placeFor(scene, 'namespaces')
  mkdirSync(directory)
  const racers = new Racers(scene.options.build, directory, ledger)
  try {
    for (const { round, caseName, random } of casesOf(scene, 'namespaces')) {
      const [one, two, here] = [await racers.start(UNSHARE), await racers.start(UNSHARE), await racers.start()]
      const turns = [[one, two, here], [two, here, one], [here, one, two]][round % 3]!
      const [holder, waiter, passer] = turns as [Racer, Racer, Racer]
      let owners = 0
      holder.open('log', 0)
      await racers.settle(({ racer, got }) => {
        if (got === 'locked' && racer !== passer) racers.faults.push(`racer ${racer.number} was refused, and was to be the owner, or to wait`)
        if (racer === passer && got === 'locked') setTimeout(() => holder.kill(), random() * 30)
        if (got !== 'owner') return
        owners++
        if (racer !== holder) return racer.close()
        waiter.open('log', Infinity)
        passer.open('log', 0)
      })
      if (owners !== 2) racers.faults.push(`${owners} have become the owner, where the holder and one that waits were to`)
      await racers.killAll()
      racers.checkLedger()
      for (const what of racers.faults.splice(0)) scene.faults.push({ caseName, what })
      await openAtOnce(scene, directory, caseName)
      count(scene, 'holders killed in another pid namespace')
      scene.cases++
    }
  } finally {
    await racers.killAll()
  }
}

/** A thread that opens a log, or has it, is terminated: whoever waits for it on another thread is told, and the directory is free as soon as the thread is gone. */
async function threads(scene: Scene): Promise<void> {
  const { directory } = placeFor(scene, 'thread')
  for (const { round, caseName, random } of casesOf(scene, 'thread')) {
    const worker = new Worker(new URL('./locks-thread.mjs', import.meta.url), { workerData: { build: scene.options.build, directory }, execArgv: [] })
    // One in two may be in the middle of opening.
    const told = round % 2 === 0 ? writeUntilRefused(scene, (await once(worker, 'message') as [Library.LogHandle])[0]) : undefined
    await sleep(random() * (round % 2 === 0 ? 20 : 150))
    await worker.terminate()
    if (told !== undefined) {
      const code = await within(TOLD_MS, told).catch(String)
      if (code !== 'ERR_WAL_FAILED') scene.faults.push({ caseName, what: `who wrote from another thread when the owner's was terminated was told ${code}` })
    }
    await openAtOnce(scene, directory, caseName)
    count(scene, 'threads terminated')
    scene.cases++
  }
}

/** Writes one after the other; tells the code of what ends it. */
async function writeUntilRefused({ library }: Scene, handle: Library.LogHandle): Promise<string> {
  const producer = library.attachProducer(handle)
  try {
    for (;;) await producer.write('from another thread')
  } catch (error) {
    return (error as Library.WalError).code
  }
}

/** An owner that is asked more often than its backlog holds is alive, all the same. */
async function backlog(scene: Scene): Promise<void> {
  if ((scene.options.caseName ?? 'backlog') !== 'backlog' || scene.faults.length > 0) return
  const { directory, ledger } = placeFor(scene, 'backlog')
  mkdirSync(directory)
  const racers = new Racers(scene.options.build, directory, ledger)
  try {
    const owner = await racers.start()
    owner.open('log', 0)
    if ((await racers.next())?.got !== 'owner') throw new Error('nobody owned the directory, and it could not be had')
    for (let question = 0; question < QUESTIONS && scene.faults.length === 0; question++) {
      const code = await scene.lock(directory, { waitMs: 0 }).then((lock) => lock.release().then(() => 'had'), (error: { code: string }) => error.code)
      if (code !== 'ERR_WAL_LOCKED') scene.faults.push({ caseName: 'backlog', what: `question ${question + 1} of a living owner: ${code}` })
    }
    scene.counts.set('questions to one owner', QUESTIONS)
    scene.cases++
  } finally {
    await racers.killAll()
  }
}
