/** Models of cursors: commits, seeks, and the writer that collects cursors and sleeps, on the ring's own code as generators (generators.ts). */

import type * as CursorsModule from '../../dist/src/ring/cursors.js'
import type { CursorHold } from '../../dist/src/ring/cursors.js'
import { addCursor, collectCursors, durableCursor, holdCursor, readCursor } from '../../dist/src/ring/cursors.js'
import { initializeRing, ringOver, type Ring } from '../../dist/src/ring/ring.js'
import { CONTROL_BYTES, CURSOR, CURSOR_BASE, CURSOR_STATE, SLOT_WORDS, WORD } from '../../dist/src/ring/ring-layout.js'
import { ModelMemory, note, type Ending, type Model, type ModelThread } from './explore.js'
import { loadStepping, step, type Stepping, type Steps } from './generators.js'

type SteppingModule<Module> = { [Name in keyof Module]: Stepping<Module[Name]> }
type Code =
  & Pick<SteppingModule<typeof CursorsModule>, 'addCursor' | 'commitCursor' | 'seekCursor' | 'removeCursor' | 'collectCursors' | 'markDurable'>
  & { sleepForCommand(ring: Ring, sequence: number, timeoutMs: number, hasWork: () => Steps<boolean>): Steps<void> }

/** Adding is done when there is none: at sequence 0, or where no cursor of the first name ever stands. */
type Action = { readonly commit: number } | { readonly seek: number } | 'remove' | 'add' | 'add another'

/** Who does what, and what may come of it: where the cursor stands at the end, as the writer has it, sequence and epoch. */
export interface CursorScenario {
  readonly threads: { readonly [name: string]: readonly Action[] }
  readonly legal: readonly string[]
}

const FIRST = 2 ** 32 - 2
const NAME = 'a'
const OTHER_NAME = 'b'
const OTHER_FIRST = FIRST + 100

/** The model of a scenario, over the code of a build. */
export async function cursorModel(build: string, { threads }: CursorScenario): Promise<Model> {
  const code = await loadStepping(build, ['ring/cursors.js', 'ring/wake.js']) as unknown as Code
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
  const hold = addCursor(ring, NAME, FIRST)
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
    else if (action === 'add') hold = yield* code.addCursor(ring, NAME, FIRST)
    else if (action === 'add another') hold = yield* code.addCursor(ring, OTHER_NAME, OTHER_FIRST)
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
      for (const { name, sequence } of cursors) {
        if ((name === OTHER_NAME) !== (sequence === OTHER_FIRST)) throw new Error(`${name} was collected where another cursor stood: ${sequence - FIRST}`)
      }
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

/** The models that are explored. */
export const CURSOR_MODELS: { readonly [name: string]: CursorScenario } = {
  'two threads commit': { threads: { A: [{ commit: 1 }, { commit: 3 }], B: [{ commit: 2 }] }, legal: ['3/1'] },
  'the later commit is the lower one': { threads: { A: [{ commit: 4 }], B: [{ commit: 1 }, { commit: 2 }] }, legal: ['4/1'] },
  'a seek beside a commit': { threads: { A: [{ commit: 3 }], S: [{ seek: 1 }] }, legal: ['1/2'] },
  'a seek, and a commit after it, beside one of before': { threads: { A: [{ commit: 4 }], S: [{ seek: 0 }, { commit: 2 }] }, legal: ['2/2'] },
  'a seek beside two threads that commit': { threads: { A: [{ commit: 3 }], B: [{ commit: 2 }], S: [{ seek: 1 }] }, legal: ['1/2'] },
  'a removal beside a commit': { threads: { A: [{ commit: 3 }], S: ['remove'] }, legal: ['none'] },
  'a removal, and another cursor of that name, beside a commit': { threads: { A: [{ commit: 3 }], S: ['remove', 'add'] }, legal: ['0/3'] },
  'a removal, and a cursor of another name in its place, beside a commit': { threads: { A: [{ commit: 3 }], S: ['remove', 'add another'] }, legal: ['100/3'] },
  'two seeks beside a commit': { threads: { A: [{ commit: 3 }], S: [{ seek: 5 }, { seek: 1 }] }, legal: ['1/3'] },
}
