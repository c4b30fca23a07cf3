/**
 * Every interleaving of commits, a seek, and the writer that collects cursors and sleeps, on the ring's own code (explore.ts). Then bugs are
 * seeded: each must be found. An outcome is where the cursor stands at the end, as the writer has it: sequence and epoch.
 */

import { describe, expect, test } from 'vitest'
import type * as CursorsModule from '../../dist/src/ring/cursors.js'
import type { CursorHold } from '../../dist/src/ring/cursors.js'
import { addCursor, collectCursors, durableCursor, holdCursor, readCursor } from '../../dist/src/ring/cursors.js'
import { initializeRing, ringOver, type Ring } from '../../dist/src/ring/ring.js'
import { CONTROL_BYTES, CURSOR, CURSOR_BASE, CURSOR_STATE, SLOT_WORDS, WORD } from '../../dist/src/ring/ring-layout.js'
import { explore, ModelFailure, ModelMemory, note, type Ending, type Model, type ModelThread } from './explore.js'
import { loadStepping, step, type Patch, type Stepping, type Steps } from './generators.js'

type SteppingModule<Module> = { [Name in keyof Module]: Stepping<Module[Name]> }
type Code =
  & Pick<SteppingModule<typeof CursorsModule>, 'addCursor' | 'commitCursor' | 'seekCursor' | 'removeCursor' | 'collectCursors' | 'markDurable'>
  & { sleepForCommand(ring: Ring, sequence: number, timeoutMs: number, hasWork: () => Steps<boolean>): Steps<void> }

/** Adding is done at sequence 0, when there is none. */
type Action = { readonly commit: number } | { readonly seek: number } | 'remove' | 'add'

interface Scenario {
  readonly threads: { readonly [name: string]: readonly Action[] }
  readonly legal: readonly string[]
  readonly patches?: readonly Patch[]
}

const FIRST = 2 ** 32 - 2

async function build({ threads, patches = [] }: Scenario): Promise<Model> {
  const code = await loadStepping(['ring/cursors.js', 'ring/wake.js'], patches) as unknown as Code
  const control = new ArrayBuffer(CONTROL_BYTES)
  const name = (index: number): string => {
    const word = Object.entries(WORD).find(([, at]) => at === index)?.[0]
    return word ?? `cursor.${Object.entries(CURSOR).find(([, at]) => at === index - CURSOR_BASE)?.[0] ?? index - CURSOR_BASE}`
  }
  const memory: ModelMemory = new ModelMemory(new Int32Array(control), name)
  const ring = ringOver(memory, control, new ArrayBuffer(8 * SLOT_WORDS * 4), new ArrayBuffer(64), new ArrayBuffer(64))
  memory.share(ring.words, name)
  memory.share(ring.slots, (index) => `slot[${index}]`)
  initializeRing(ring, { nextSequence: 1, tickBase: 1, floorTicks: 0, clockZeroNs: 0n, clockZeroTicks: 0 })
  // The low word wraps between two of the commits.
  const hold = addCursor(ring, 'reader', FIRST)
  collectCursors(ring)
  const all: ModelThread[] = Object.entries(threads).map(([threadName, actions]) => ({ name: threadName, start: () => consumer(code, ring, hold, actions) }))
  all.push({ name: 'W', start: () => writer(code, ring) })
  return {
    memory, threads: all, timeouts: false, earlyTimeouts: 0, plainSteps: false, reduced: true,
    judge: (endings) => judge(ring, hold, endings),
  }
}

function* consumer(code: Code, ring: Ring, first: CursorHold, actions: readonly Action[]): Steps<void> {
  let hold = first
  for (const [at, action] of actions.entries()) {
    yield note(JSON.stringify({ at, hold }), at)
    if (action === 'remove') yield* code.removeCursor(ring, hold.base)
    else if (action === 'add') hold = yield* code.addCursor(ring, 'reader', FIRST)
    else if ('commit' in action) yield* code.commitCursor(ring, hold, FIRST + action.commit)
    else hold = yield* code.seekCursor(ring, hold.base, FIRST + action.seek)
  }
}

function* writer(code: Code, ring: Ring): Steps<void> {
  let taken = ''
  for (;;) {
    yield note(taken, 0, true)
    const cursors = yield* code.collectCursors(ring)
    if (cursors !== undefined) {
      for (const cursor of cursors) yield* code.markDurable(ring, cursor)
      taken = cursors.map(({ sequence, epoch }) => `${sequence - FIRST}/${epoch}`).join() || 'none'
      continue
    }
    yield* code.sleepForCommand(ring, 1, Infinity, function* () {
      return (yield step('load', ring.words, WORD.cursorsChanged)) !== 0
    })
  }
}

function judge(ring: Ring, hold: CursorHold, endings: readonly Ending[]): string {
  const { sequence, epoch } = readCursor(ring, hold.base)
  const isThere = ring.words[hold.base + CURSOR.state] === CURSOR_STATE.used
  const place = isThere ? `${sequence - FIRST}/${epoch}` : 'none'
  const { note: taken } = endings.find(({ name }) => name === 'W')!
  if (taken !== place) throw new Error(`lost wake-up: the cursor stands at ${place}, the writer has ${taken}`)
  if (isThere && durableCursor(ring, holdCursor(ring, hold.base)) !== sequence) throw new Error('what is told durable is not where it stands')
  return place
}

const MODELS: { readonly [name: string]: Scenario } = {
  'two threads commit': { threads: { A: [{ commit: 1 }, { commit: 3 }], B: [{ commit: 2 }] }, legal: ['3/1'] },
  'the later commit is the lower one': { threads: { A: [{ commit: 4 }], B: [{ commit: 1 }, { commit: 2 }] }, legal: ['4/1'] },
  'a seek beside a commit': { threads: { A: [{ commit: 3 }], S: [{ seek: 1 }] }, legal: ['1/2'] },
  'a seek, and a commit after it, beside one of before': { threads: { A: [{ commit: 4 }], S: [{ seek: 0 }, { commit: 2 }] }, legal: ['2/2'] },
  'a seek beside two threads that commit': { threads: { A: [{ commit: 3 }], B: [{ commit: 2 }], S: [{ seek: 1 }] }, legal: ['1/2'] },
  'a removal beside a commit': { threads: { A: [{ commit: 3 }], S: ['remove'] }, legal: ['none'] },
  'a removal, and another cursor of that name, beside a commit': { threads: { A: [{ commit: 3 }], S: ['remove', 'add'] }, legal: ['0/3'] },
  'two seeks beside a commit': { threads: { A: [{ commit: 3 }], S: [{ seek: 5 }, { seek: 1 }] }, legal: ['1/3'] },
}

const MUTATIONS: { readonly [name: string]: { readonly model: string; readonly shows: RegExp; readonly patches: readonly Patch[] } } = {
  'changes are noted before they are made': {
    model: 'two threads commit', shows: /lost wake-up/,
    patches: [{ file: 'ring/cursors.js', within: 'commitCursor', find: 'if (atomics.load(words, WORD.cursorsChanged) === 0)', replace: 'if (false)' },
      { file: 'ring/cursors.js', within: 'commitCursor', find: 'for (;;) {', replace: 'announce(ring); for (;;) {' }],
  },
  'changes are not noted': {
    model: 'two threads commit', shows: /lost wake-up/,
    patches: [{ file: 'ring/cursors.js', within: 'commitCursor', find: /if \(atomics\.load\(words, WORD\.cursorsChanged\) === 0\)\s*announce\(ring\);/, replace: '' }],
  },
  'the flag is taken down after the places are read': {
    model: 'two threads commit', shows: /lost wake-up/,
    patches: [{
      file: 'ring/cursors.js', within: 'collectCursors', find: /return [^;]*;/,
      replace: 'if (ring.atomics.load(ring.words, WORD.cursorsChanged) === 0) return undefined; const cursors = listCursors(ring); ring.atomics.store(ring.words, WORD.cursorsChanged, 0); return cursors;',
    }],
  },
  'the epoch is not compared': {
    model: 'a seek beside a commit', shows: /expected|legal|lost wake-up|told durable/,
    patches: [{ file: 'ring/cursors.js', within: 'isBelow', find: /\(\(high \^ bits\) & ~CURSOR_HIGH_MASK\) === 0 && /, replace: '' }],
  },
  'a commit is stored, not compared': {
    model: 'the later commit is the lower one', shows: /legal/,
    patches: [{
      file: 'ring/cursors.js', within: 'commitCursor', find: 'if (atomics.compareExchange64(place, lowNow, highNow, low, high))',
      replace: 'atomics.store(words, place, low); atomics.store(words, place + 1, high); if (true)',
    }],
  },
  'a "no" is said of a torn place': {
    model: 'two threads commit', shows: /legal/,
    patches: [{ file: 'ring/cursors.js', within: 'commitCursor', find: /const now = readPair\(ring, place\);\s*if \(!isBelow\(now\.low, now\.high, bits, sequence\)\)\s*return false;\s*continue;/, replace: 'return false;' }],
  },
  'a removal is noted before it is done': {
    model: 'a removal beside a commit', shows: /lost wake-up/,
    patches: [{ file: 'ring/cursors.js', within: 'removeCursor', find: 'announce(ring);', replace: '' }],
  },
  'a removed cursor leaves its epoch to the next': {
    model: 'a removal, and another cursor of that name, beside a commit', shows: /legal/,
    patches: [
      { file: 'ring/cursors.js', within: 'removeCursor', find: /seekCursor\([^;]*;/, replace: '' },
      { file: 'ring/cursors.js', within: 'insert', find: '(atomics.load(words, base + CURSOR.epoch) + 1) >>> 0', replace: 'atomics.load(words, base + CURSOR.epoch) >>> 0' },
    ],
  },
  'places are told durable without their epoch': {
    model: 'a seek beside a commit', shows: /told durable|legal/,
    patches: [{ file: 'ring/cursors.js', within: 'markDurable', find: 'highWord(sequence, epoch)', replace: 'highWord(sequence, 1)' }],
  },
  'a seek is not noted': {
    model: 'a seek beside a commit', shows: /lost wake-up/,
    patches: [{ file: 'ring/cursors.js', within: 'seekCursor', find: 'announce(ring);', replace: '' }],
  },
  'a seek raises the epoch after the place': {
    model: 'a seek beside a commit', shows: /legal|lost wake-up|told durable/,
    patches: [{ file: 'ring/cursors.js', within: 'seekCursor', find: /(setPair\(ring, base \+ CURSOR\.place, sequence \| 0, )highWord\(sequence, epoch\)\);/, replace: '$1highWord(sequence, epoch - 1));' }],
  },
  'asleep without another look': {
    model: 'two threads commit', shows: /lost wake-up/, patches: [{ file: 'ring/wake.js', within: 'sleepForCommand', find: 'if (!hasWork())', replace: '' }],
  },
}

function run(model: Model, legal: readonly string[]): string {
  const { states, steps, interleavings, outcomes } = explore(model)
  const found = [...outcomes.keys()].sort()
  if (JSON.stringify(found) !== JSON.stringify([...legal].sort())) throw new Error(`legal: ${legal.join()}, found: ${found.join()}`)
  return `${states} states, ${steps} steps, ${interleavings.toPrecision(2)} interleavings`
}

describe('every interleaving of commits is right', () => {
  test.each(Object.entries(MODELS))('%s', { timeout: 180_000 }, async (name, scenario) => {
    console.log(`${name}: ${run(await build(scenario), scenario.legal)}`)
  })
})

describe('the explorer catches', () => {
  test.each(Object.entries(MUTATIONS))('%s', { timeout: 180_000 }, async (_name, { model, patches, shows }) => {
    const scenario = MODELS[model]!
    const mutated = await build({ ...scenario, patches })
    let message = ''
    try {
      run(mutated, scenario.legal)
    } catch (error) {
      message = error instanceof ModelFailure || error instanceof Error ? error.message : String(error)
    }
    expect(message).toMatch(shows)
    expect(message).not.toMatch(/TypeError|ReferenceError|is not a function|is not iterable/)
  })
})
