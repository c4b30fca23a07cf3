/** What is appended: drawn as plain values that shrink and print well, made into each kind of data that the log takes. */

import fc from 'fast-check'
import type { EntryData } from '../../../dist/src/index.js'
import type { Build } from './world.js'

/** Data to be. A stamp makes each one of its kind, where it has room for one. */
export type DataPlan =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'bytes' | 'words' | 'view' | 'message'; readonly size: number }
  | { readonly kind: 'json'; readonly text: string }

/** What is given to the log, what its bytes must be, and what its user does with it afterwards. */
export interface MadeData {
  readonly data: EntryData
  readonly bytes: Buffer
  spoil(): void
}

const SIZE = fc.oneof(
  { weight: 12, arbitrary: fc.nat({ max: 64 }) },
  { weight: 3, arbitrary: fc.nat({ max: 1500 }) },
  // Beyond a quarter of a small ring, and beyond all of it.
  { weight: 1, arbitrary: fc.integer({ min: 1024, max: 20_000 }) },
)
const TEXT = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  { weight: 2, arbitrary: fc.constantFrom('', '\ud83d\ude00', 'ä€', '\ud800', 'x\udc00y', '\0', 'line\n') },
  { weight: 1, arbitrary: fc.nat({ max: 3000 }).map((length) => 'é'.repeat(length)) },
)

/** Any data. */
export const DATA: fc.Arbitrary<DataPlan> = fc.oneof(
  fc.record({ kind: fc.constant('text' as const), text: TEXT }),
  fc.record({ kind: fc.constantFrom('bytes' as const, 'words' as const, 'view' as const, 'message' as const), size: SIZE }),
  fc.record({ kind: fc.constant('json' as const), text: TEXT }),
)

/** Makes the data; `stamp` is a number that nothing else was made with. */
export function makeData(plan: DataPlan, stamp: number, { LogMessage }: Build): MadeData {
  if (plan.kind === 'text') {
    const text = plan.text === '' ? '' : `${stamp} ${plan.text}`
    return { data: text, bytes: Buffer.from(text), spoil: () => undefined }
  }
  if (plan.kind === 'json') {
    const message = new LogMessage().json({ stamp, text: plan.text })
    return { data: message, bytes: Buffer.from(JSON.stringify({ stamp, text: plan.text })), spoil: () => void message.reset().write('spoilt') }
  }
  const size = plan.kind === 'words' ? plan.size & ~1 : plan.size
  const bytes = Buffer.alloc(size, `${stamp} `)
  if (plan.kind === 'message') return messageOf(bytes, new LogMessage())
  // Within a larger buffer, so that offsets count; at one that fits two-byte words.
  const memory = new Uint8Array(size + 6)
  memory.set(bytes, 4)
  const given = { bytes: memory.subarray(4, 4 + size), words: new Uint16Array(memory.buffer, 4, size / 2 | 0), view: new DataView(memory.buffer, 4, size) }
  return { data: given[plan.kind], bytes, spoil: () => void memory.fill(0xee) }
}

/** Written in two ways, in halves. */
function messageOf(bytes: Buffer, message: InstanceType<Build['LogMessage']>): MadeData {
  const half = bytes.length >> 1
  message.write('to be forgotten').reset()
  message.getSpan(half).set(bytes.subarray(0, half))
  message.advance(half)
  message.write(bytes.subarray(half))
  return { data: message, bytes, spoil: () => void message.reset().write('spoilt') }
}

/** As it stands in a program that is printed. */
export function showPlan(plan: DataPlan): string {
  return 'text' in plan ? `${plan.kind} ${JSON.stringify(plan.text.length > 30 ? `${plan.text.slice(0, 3)}… (${plan.text.length})` : plan.text)}` : `${plan.kind}(${plan.size})`
}
