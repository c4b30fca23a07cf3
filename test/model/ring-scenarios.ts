/** The models of the ring that are explored, each with its legal outcomes. */

import type { Patch } from '../seeded/patch.js'
import type { Action, Scenario } from './ring-model.js'

/** All ways to run lists one within the other. */
function merges(...lists: readonly (readonly string[])[]): string[] {
  const rest = lists.filter((list) => list.length > 0)
  if (rest.length === 0) return ['']
  return rest.flatMap((list) => merges(...rest.map((other) => other === list ? list.slice(1) : other)).map((tail) => `${list[0]!} ${tail}`.trim()))
}

const A1 = { append: 'a1', ticks: 20 }
const B1 = { append: 'b1' }
const LARGE_A1 = { append: 'a1', bytes: 96 }
const LARGE_B1 = { append: 'b1', bytes: 96 }
const PAIR = { append: 'a1+a2', bytes: 64 }
const ONE_EACH = merges(['a1'], ['b1'])
/** A died before its claim, between claim and publish, or after it. */
const A_MAY_BE_ABORTED = ['b1', ...merges(['x'], ['b1']), ...ONE_EACH]
const dropping = <T extends object>(action: T): T & { full: 'drop' } => ({ ...action, full: 'drop' })
const waiting = <T extends object>(action: T): T & { full: 'wait' } => ({ ...action, full: 'wait' })
/** A table of so few records that threads contend for them. */
const ONE_RECORD: Patch = { file: 'ring/ring-layout.js', from: 'MAX_RECORDS = 1024', to: 'MAX_RECORDS = 1' }

/** The same in JavaScript and in one operation. */
const MODELS: { readonly [name: string]: Scenario } = {
  'one entry each': { producers: { A: [A1], B: [B1] }, legal: ONE_EACH },
  'one entry each, plain accesses as steps': { producers: { A: [A1], B: [B1] }, plainSteps: true, legal: ONE_EACH },
  'one entry each, one producer dies': { victim: 'A', producers: { A: [A1], B: [B1] }, legal: A_MAY_BE_ABORTED },
  'one of two entries in a batch': { entriesPerBatch: 1, producers: { A: [A1], B: [B1] }, legal: ONE_EACH },
  'two entries of a producer that dies': { victim: 'A', producers: { A: [A1, { append: 'a2' }] }, legal: ['', 'x', 'a1', 'a1 x', 'a1 a2'] },
  'all slots in flight': { slots: 2, producers: { A: [A1], B: [B1] }, legal: ONE_EACH },
  'no slot, the entry dropped': { slots: 1, producers: { A: [dropping(A1)], B: [dropping(B1)] }, legal: [...ONE_EACH, 'a1 b1:full', 'b1 a1:full'] },
  'no slot, the entry dropped, the other producer dies': {
    victim: 'A', slots: 1, producers: { A: [dropping(A1)], B: [dropping(B1)] }, legal: [...A_MAY_BE_ABORTED, 'a1 b1:full', 'x b1:full', 'b1 a1:full'],
  },
  'no slot, the producer waits': { slots: 1, producers: { A: [waiting(A1)], B: [waiting(B1)] }, legal: ONE_EACH },
  'no bytes, the entry dropped': {
    ringBytes: 32, maxStretchBytes: 32, producers: { A: [dropping(A1)], B: [dropping(B1)] }, legal: [...ONE_EACH, 'a1 b1:full', 'b1 a1:full'],
  },
  'no bytes, the producer waits': { ringBytes: 32, maxStretchBytes: 32, producers: { A: [waiting(A1)], B: [waiting(B1)] }, legal: ONE_EACH },
  'the second entry starts at the next lap': {
    ringBytes: 64, maxStretchBytes: 64, producers: { A: [waiting({ ...A1, bytes: 48 })], B: [waiting({ ...B1, bytes: 48 })] }, legal: ONE_EACH,
  },
  'the second entry starts at the next lap, one producer dies': {
    victim: 'A', ringBytes: 128, maxStretchBytes: 64, from: [1, 64], producers: { A: [{ ...A1, bytes: 48 }], B: [{ ...B1, bytes: 48 }] }, legal: A_MAY_BE_ABORTED,
  },
  'sequence and position wrap': {
    from: [2 ** 32 - 1, 2 ** 31 - 48], ringBytes: 128, maxStretchBytes: 64, producers: { A: [{ ...A1, bytes: 48 }], B: [B1] }, legal: ONE_EACH,
  },
  'full is said only of a full ring': {
    slots: 4, producers: { A: [PAIR, 'released', { ...PAIR, append: 'a3+a4' }], B: [B1] }, legal: merges(['a1+a2', 'a3+a4'], ['b1']),
  },
  'a producer dies, the writer sweeps': { victim: 'A', eagerSweep: true, producers: { A: [A1, { append: 'a2' }] }, legal: ['', 'x', 'a1', 'a1 x', 'a1 a2'] },
  'a group': { producers: { A: [PAIR], B: [B1] }, legal: merges(['a1+a2'], ['b1']) },
  'a group, plain accesses as steps': { plainSteps: true, producers: { A: [PAIR], B: [B1] }, legal: merges(['a1+a2'], ['b1']) },
  'a group whose producer dies': {
    victim: 'A', producers: { A: [PAIR], B: [B1] }, legal: ['b1', 'x x b1', 'b1 x x', ...merges(['a1+a2'], ['b1'])],
  },
  'a large entry': { producers: { A: [LARGE_A1], B: [B1] }, legal: ONE_EACH },
  'a large entry whose producer dies': { victim: 'A', producers: { A: [LARGE_A1], B: [B1] }, legal: A_MAY_BE_ABORTED },
  'two large entries, one dropped': { producers: { A: [dropping(LARGE_A1)], B: [dropping(LARGE_B1)] }, legal: [...ONE_EACH, 'a1 b1:full', 'b1 a1:full'] },
  'two large entries, one waits': { producers: { A: [waiting(LARGE_A1)], B: [waiting(LARGE_B1)] }, legal: ONE_EACH },
  'a large entry whose fill throws': {
    producers: { A: [waiting({ ...LARGE_A1, throws: true })], B: [waiting(LARGE_B1)] }, legal: merges(['x'], ['b1']),
  },
  'a fill throws': { producers: { A: [{ ...A1, throws: true }], B: [B1] }, legal: merges(['x'], ['b1']) },
  'a fill throws, and the other producer dies': {
    victim: 'B', producers: { A: [{ ...A1, throws: true }], B: [B1] }, legal: ['x', 'x x', ...merges(['x'], ['b1'])],
  },
  'close beside a claim': { producers: { A: [A1], C: ['close'] }, legal: ['a1', 'a1:refused'] },
  'close beside a claim, the producer dies': { victim: 'A', producers: { A: [A1], C: ['close'] }, legal: ['', 'x', 'a1', 'a1:refused'] },
  'a wait until durable': { producers: { A: [A1, 'durable'] }, legal: ['a1'] },
  'failure beside a claim and a wait': { producers: { A: [A1, 'durable'], C: ['fail'] }, legal: ['a1', 'a1:refused', 'a1:failed'] },
  'one detaches, one attaches': { producers: { A: [A1, 'detach'], B: ['attach', B1] }, legal: ONE_EACH },
  'one detaches, and dies': { victim: 'A', producers: { A: [A1, 'detach'] }, legal: ['', 'x', 'a1'] },
  'two large entries, one waits, the other producer dies': {
    victim: 'A', producers: { A: [dropping(LARGE_A1)], B: [waiting(LARGE_B1)] }, legal: [...A_MAY_BE_ABORTED, 'b1 a1:full'],
  },
  'both wait until durable': { producers: { A: [A1, 'durable'], B: [B1, 'durable'] }, legal: ONE_EACH },
  'the arena is given back without use, one waits': {
    slots: 1, before: { append: 'z1' }, producers: { A: [dropping(LARGE_A1)], B: [waiting(LARGE_B1)] },
    legal: [...merges(['a1'], ['b1']).map((after) => `z1 ${after}`), 'z1 b1 a1:full'],
  },
  'one record, its owner detaches': { patches: [ONE_RECORD], producers: { A: [A1, 'detach'], B: ['attach', B1] }, legal: ['a1 B:unattached', 'a1 b1'] },
  'one record, two threads attach': {
    patches: [ONE_RECORD], producers: { B: ['attach', B1], C: ['attach', { append: 'c1' }] }, legal: ['b1 C:unattached', 'c1 B:unattached'],
  },
  'one record, its owner dies': {
    victim: 'A', patches: [ONE_RECORD], producers: { A: [A1], B: ['attach', B1] }, legal: ['b1', 'B:unattached', 'a1 B:unattached', 'x B:unattached'],
  },
  'one record, its owner dies and is seen to': {
    victim: 'A', eagerSweep: true, patches: [ONE_RECORD], producers: { A: [A1], B: ['attach', B1], D: ['mark dead'] },
    legal: ['b1', 'a1 b1', 'x b1', 'B:unattached', 'a1 B:unattached', 'x B:unattached'],
  },
}

const isShort = (action: Action): boolean => typeof action === 'object' && !action.append.includes('+') && (action.bytes ?? 32) <= 48

/** What is not the same: after the operation a thread has still to read its timestamp, and may die there; one that throws has begun with the checksum. */
const OTHERWISE_IN_ONE: { readonly [name: string]: Partial<Scenario> } = {
  'one record, its owner dies': { legal: ['b1', 'B:unattached', 'a1 b1', 'a1 B:unattached', 'x B:unattached'] },
  'a fill throws': { ringBytes: 128, maxStretchBytes: 64 },
  'a fill throws, and the other producer dies': { ringBytes: 128, maxStretchBytes: 64 },
}

/** Those with short entries, each of them appended in one operation. */
const IN_ONE: { readonly [name: string]: Scenario } = Object.fromEntries(Object.entries(MODELS)
  .filter(([, { producers }]) => Object.values(producers).flat().some(isShort))
  .map(([name, scenario]) => [`${name}, in one operation`, { ...scenario, ...OTHERWISE_IN_ONE[name], inOne: true }]))

/** With more than a million states. */
const LARGE = [
  'no slot, the entry dropped, the other producer dies', 'no slot, the producer waits', 'the second entry starts at the next lap, one producer dies',
  'full is said only of a full ring', 'a group whose producer dies', 'a large entry whose producer dies',
].map((name) => `${name}, in one operation`)

/** Models that take a few seconds at most. */
export const RING_MODELS: { readonly [name: string]: Scenario } = { ...MODELS, ...Object.fromEntries(Object.entries(IN_ONE).filter(([name]) => !LARGE.includes(name))) }

/** Models that take minutes. */
export const LONG_RING_MODELS: { readonly [name: string]: Scenario } = {
  ...Object.fromEntries(LARGE.map((name) => [name, IN_ONE[name]!])),
  'two entries and one': { producers: { A: [A1, { append: 'a2', ticks: 30 }], B: [B1] }, legal: merges(['a1', 'a2'], ['b1']) },
  'two entries each': {
    producers: { A: [A1, { append: 'a2', ticks: 30 }], B: [B1, { append: 'b2', ticks: 40 }] }, legal: merges(['a1', 'a2'], ['b1', 'b2']),
  },
  'one entry each, one producer dies, a wait ends too early, plain accesses as steps': {
    victim: 'A', earlyTimeouts: 1, plainSteps: true, producers: { A: [A1], B: [B1] }, legal: A_MAY_BE_ABORTED,
  },
  'one entry each, one producer dies, the writer sweeps': { victim: 'A', eagerSweep: true, producers: { A: [A1], B: [B1] }, legal: A_MAY_BE_ABORTED },
  'close beside two claims': {
    producers: { A: [A1], B: [B1], C: ['close'] }, legal: [...ONE_EACH, 'a1 b1:refused', 'b1 a1:refused', 'a1:refused b1:refused'],
  },
}
