/** Bugs of the protocols in shared memory, each with the model that must show it. */

import type { Patch } from './patch.js'
import type { SeededBug } from './seeded-bug.js'

interface Mutation {
  readonly model: string
  /** How it must show. */
  readonly shows: RegExp
  readonly patches: readonly Patch[]
}

function mutate(file: string, within: string, from: string | RegExp, to: string): Patch {
  return { file: `${file}.js`, within, from, to }
}

const LOST_WAKE_UP = /lost wake-up/
const VIOLATION = /ring protocol violated/
/** Bytes of one entry stand where those of another are expected. */
const WRONG_BYTES = /found sequence|is not whole/

const RING_MUTATIONS: { readonly [name: string]: Mutation } = {
  'published before it is filled': {
    model: 'one entry each', shows: WRONG_BYTES,
    patches: [mutate('ring/append', 'appendThroughRing', /(stretch\.fill\(ring\.bytes[^;]*;)([^]*?)(publish\(ring[^;]*MARK\.entry\b[^;]*;)/, '$3 $1 $2')],
  },
  'start stored after the mark': {
    model: 'one entry each, plain accesses as steps', shows: VIOLATION,
    patches: [
      mutate('ring/claim', 'claimStretch', 'ring.slots[debt.slot + SLOT_START] = claim.start;', ''),
      mutate('ring/append', 'appendThroughRing', /publish\([^;]*;/, 'const { slot } = record.debt; $& ring.slots[slot] = claim.start;'),
    ],
  },
  'count of a group stored after the mark': {
    model: 'a group, plain accesses as steps', shows: VIOLATION,
    patches: [
      mutate('ring/claim', 'claimStretch', /if \(count > 1\)\s*ring\.slots[^;]*;/, ''),
      mutate('ring/append', 'appendThroughRing', /publish\([^;]*;/, 'const { slot } = record.debt; $& ring.slots[slot + SLOT_MARK + 1] = stretch.count;'),
    ],
  },
  'a checksum that neither computes': {
    model: 'one entry each', shows: WRONG_BYTES, patches: [mutate('ring/drain', 'drain', /if \(kind === MARK\.unsealedEntry\)\s*seal\([^;]*;/, '')],
  },
  'no wake': {
    model: 'one entry each', shows: LOST_WAKE_UP, patches: [mutate('ring/wake', 'wakeForSequence', 'wakeWriter(ring);', ';')],
  },
  'asleep without another look at the head': {
    model: 'one entry each', shows: LOST_WAKE_UP, patches: [mutate('ring/wake', 'sleepForSequence', 'mark === 0 && ', '')],
  },
  'asleep without another look at the commands': {
    model: 'close beside a claim', shows: LOST_WAKE_UP, patches: [mutate('ring/wake', 'sleepForSequence', ' && !hasWork()', '')],
  },
  'said for what it sleeps after the look at the head': {
    model: 'one entry each', shows: LOST_WAKE_UP,
    patches: [mutate('ring/wake', 'sleepForSequence', /(atomics\.store\(words, WORD\.sleepSequence[^;]*;)([^]*?)(const mark [^;]*;)/, '$2 $3 $1')],
  },
  'asleep without a time limit, behind one who died before it could wake': {
    model: 'one entry each, one producer dies', shows: /lost wake-up|is not freed/, patches: [mutate('ring/wake', 'sleepForSequence', 'WORD.asleep, 1, timeoutMs)', 'WORD.asleep, 1, Infinity)')],
  },
  'full without another look at the claim word': {
    model: 'full is said only of a full ring', shows: /never was/,
    patches: [mutate('ring/claim', 'placeStatus', /if \(atomics\.load\(words, WORD\.claim\) === low[^;]*return CLAIM_FULL;/, 'return CLAIM_FULL;')],
  },
  'full said of what was read plainly': {
    model: 'full is said only of a full ring', shows: /never was/,
    patches: [mutate('ring/claim', 'claimStretch', 'const status = placeStatus(ring, bytes, count);', 'const status = CLAIM_FULL;')],
  },
  'what was released, read once for all attempts': {
    model: 'full is said only of a full ring', shows: /does not end/,
    patches: [mutate('ring/claim', 'claimStretch', /(for \(;;\) \{)([^]*?)(const releasedPosition = [^;]*;)\s*(const releasedSequence = [^;]*;)/, '$3 $4 $1 $2')],
  },
  'slots not counted': {
    model: 'no slot, the entry dropped', shows: VIOLATION,
    patches: [mutate('ring/claim', 'claimStretch', / \|\| \(\(low \+ count - releasedSequence\) >>> 0\) > ring\.slotMask \+ 1/, '')],
  },
  'bytes not counted': {
    model: 'no bytes, the entry dropped', shows: WRONG_BYTES,
    patches: [mutate('ring/claim', 'claimStretch', 'backlog > ringBytes || ', '')],
  },
  'time floor raised after the claim': {
    model: 'one entry each', shows: /timestamp/,
    patches: [
      mutate('ring/claim', 'claimStretch', 'const floor = atomics.raise64(WORD.floor, ticks);', ''),
      mutate('ring/claim', 'claimStretch', 'claim.ticks = floor', 'claim.ticks = atomics.raise64(WORD.floor, ticks)'),
    ],
  },
  'no time floor': { model: 'one entry each', shows: /timestamp/, patches: [mutate('ring/claim', 'claimStretch', 'claim.ticks = floor', 'claim.ticks = ticks')] },
  'claimed after the end': {
    model: 'close beside a claim', shows: LOST_WAKE_UP, patches: [mutate('ring/claim', 'claimStretch', 'high < 0 || ', '')],
  },
  'released before it is cleared': {
    model: 'no slot, the entry dropped', shows: /lost wake-up|stretch starts/,
    patches: [mutate('ring/drain', 'release', /(const from = [^]*to - slots\.length\);)([^]*)\}$/, '$2 $1 }')],
  },
  'not cleared': {
    model: 'no slot, the entry dropped', shows: VIOLATION, patches: [mutate('ring/drain', 'release', /const from = [^]*to - slots\.length\);/, '')],
  },
  'released before it is written': {
    model: 'no bytes, the entry dropped', shows: WRONG_BYTES,
    patches: [mutate('ring/drain', 'drain', 'return batch;', `
      atomics.store(ring.words, WORD.releasedPosition, point.position)
      atomics.store(ring.words, WORD.releasedSequence, point.sequence | 0)
      return batch`)],
  },
  'drained for more than a lap': {
    model: 'all slots in flight', shows: VIOLATION,
    patches: [mutate('ring/drain', 'drain', / \|\| \(batch !== undefined && point\.sequence - batch\.firstSequence > slotMask\)/, '')],
  },
  'room not told': { model: 'no slot, the producer waits', shows: /waits for ever/, patches: [mutate('ring/drain', 'release', /signal\([^;]*;/, '')] },
  'durability not told': { model: 'a wait until durable', shows: /waits for ever/, patches: [mutate('ring/drain', 'acknowledge', /signal\([^;]*;/, '')] },
  'end not told': {
    model: 'failure beside a claim and a wait', shows: /waits for ever/, patches: [mutate('ring/life', 'announceEnd', /signal\([^;]*WORD\.durableEvent\);/, '')],
  },
  'arena taken by two': {
    model: 'two large entries, one dropped', shows: WRONG_BYTES,
    patches: [mutate('ring/append', 'appendThroughArena', 'atomics.compareExchange(words, WORD.arenaOwner, 0, record.index + 1) !== 0', 'false')],
  },
  'arena not given back': {
    model: 'a large entry', shows: /the arena is held/, patches: [mutate('ring/drain', 'release', 'atomics.store(words, WORD.arenaOwner, 0);', ';')],
  },
  'arena given back before it is written': {
    model: 'two large entries, one waits', shows: WRONG_BYTES,
    patches: [mutate('ring/drain', 'drain', 'return batch;', 'atomics.store(ring.words, WORD.arenaOwner, 0); return batch;')],
  },
  'arena of the dead not given back': {
    model: 'a large entry whose producer dies', shows: /the arena is held/,
    patches: [mutate('ring/dead-producers', 'sweep', /atomics\.compareExchange\(words, WORD\.arenaOwner, index \+ 1, 0\)/, '-1')],
  },
  'phase not odd while something is owed': {
    model: 'one entry each, one producer dies', shows: VIOLATION, patches: [mutate('ring/append', 'appendStretch', 'words[record.phaseIndex] = (record.phase + 1) | 0;', '')],
  },
  'phase odd when nothing is owed': {
    model: 'one entry each, one producer dies', shows: LOST_WAKE_UP,
    patches: [mutate('ring/append', 'appendStretch', 'atomics.store(words, record.phaseIndex, record.phase);', '')],
  },
  'phase odd after a throw': {
    model: 'a fill throws, and the other producer dies', shows: LOST_WAKE_UP, patches: [mutate('ring/append', 'appendStretch', 'words[record.phaseIndex] = record.phase;', '')],
  },
  'not aborted after a throw': {
    model: 'a fill throws', shows: VIOLATION, patches: [mutate('ring/append', 'appendStretch', /if \(debt\.count > 0\)\s*slots[^;]*;/, '')],
  },
  'arena not given back after a throw': {
    model: 'a large entry whose fill throws', shows: /waits for ever|the arena is held/, patches: [mutate('ring/append', 'appendStretch', /if \(debt\.hasArena\)\s*words[^;]*;/, '')],
  },
  'aborted without waiting for the living': {
    model: 'one entry each, one producer dies', shows: VIOLATION, patches: [mutate('ring/dead-producers', 'inquire', 'inquiry.suspects.length > 0 || ', '')],
  },
  'aborted after some time, without proof': {
    model: 'one entry each, one producer dies', shows: /aborted a published|lost its record/, patches: [mutate('ring/dead-producers', '#mayStillPublish', /if \(!isProvedDead\([^;]*;/, '')],
  },
  'phases noted before the claim word': {
    model: 'one entry each, one producer dies', shows: /aborted a published|should be/,
    patches: [
      mutate('ring/dead-producers', '#note', 'const noted', 'const suspects = this.#oddPhases(); const noted'),
      mutate('ring/dead-producers', '#note', 'suspects: this.#oddPhases()', 'suspects'),
    ],
  },
  'no other look before the abort': {
    model: 'one entry each, one producer dies', shows: VIOLATION,
    patches: [mutate('ring/dead-producers', 'inquire', ' || isPublished(this.#ring, point.sequence)', '')],
  },
  'aborted beyond the next published entry': {
    model: 'one entry each, one producer dies', shows: /aborted a published/,
    patches: [mutate('ring/dead-producers', '#findEnd', ' && !isPublished(this.#ring, next)', '')],
  },
  'record freed before its claims are drained': {
    model: 'a producer dies, the writer sweeps', shows: VIOLATION,
    patches: [mutate('ring/dead-producers', 'sweep', /if \(!sequenceReached\(point\.sequence, noted\.low\)\)\s*return true;/, '')],
  },
}

const WRITE_FRAME = 'writeFrame(get(TO), get(FROM), get(LENGTH), get(SEQUENCE), get(FLOOR), i32.load(word(WORD.tickBase)))'
const STORE_START = 'i32.store(get(SLOT), i32.and(get(START), constant(POSITION_MASK)), SLOT_START * 4)'

function mutateProgram(within: string, from: string | RegExp, to: string): Patch {
  return mutate('ring/append-program', within, from, to)
}

/** Bugs of the one operation. */
const PROGRAM_MUTATIONS: { readonly [name: string]: Mutation } = {
  'published before it is filled': {
    model: 'one entry each', shows: WRONG_BYTES,
    patches: [mutateProgram('fillFrame', `...${WRITE_FRAME},`, ''), mutateProgram('appendProgram', 'publish(),', `publish(), ${WRITE_FRAME},`)],
  },
  'start stored after the mark': {
    model: 'one entry each, plain accesses as steps', shows: VIOLATION,
    patches: [mutateProgram('claim', `, ${STORE_START}`, ''), mutateProgram('appendProgram', 'publish(),', `publish(), ${STORE_START},`)],
  },
  'a checksum that neither computes': {
    model: 'sequence and position wrap', shows: WRONG_BYTES, patches: [mutateProgram('fillFrame', 'i32.store(get(CRC.end), checksum(CRC.crc))', '[]')],
  },
  'no wake': { model: 'one entry each', shows: LOST_WAKE_UP, patches: [mutateProgram('appendProgram', 'wake(ringBytes),', '')] },
  // The two write to one place: what shows first is a frame of both.
  'a claim that another one took': {
    model: 'one entry each', shows: /found sequence|is not whole|ring protocol violated/,
    patches: [mutateProgram('claim', 'leaveIf(i64.notEqual(get(SEEN), get(CLAIM)), 0),', '')],
  },
  'the era read twice': {
    model: 'sequence and position wrap', shows: WRONG_BYTES, patches: [mutateProgram('claim', 'i32.shiftLeft(get(ERA), ', 'i32.shiftLeft(i32.load(word(WORD.era)), ')],
  },
  'slots not counted': {
    model: 'no slot, the entry dropped', shows: VIOLATION, patches: [mutateProgram('claim', /leaveIf\(i32\.greaterUnsigned\(i32\.subtract\([^]*?constant\(slotCount\)\), 1\),/, '')],
  },
  'bytes not counted': {
    model: 'no bytes, the entry dropped', shows: WRONG_BYTES, patches: [mutateProgram('claim', 'leaveIf(i32.greaterUnsigned(get(BACKLOG), constant(ringBytes)), 1),', '')],
  },
  'claimed after the end': {
    model: 'close beside a claim', shows: LOST_WAKE_UP, patches: [mutateProgram('claim', 'leaveIf(i64.less(get(CLAIM), constant64(0)), 1),', '')],
  },
  'no time floor': { model: 'one entry each', shows: /timestamp/, patches: [mutateProgram('claim', 'raise(word(WORD.floor), WANT, FLOOR, SEEN)', 'set(FLOOR, get(WANT))')] },
  'phase not odd while something is owed': {
    model: 'one entry each, one producer dies', shows: VIOLATION, patches: [mutateProgram('appendProgram', /\.\.\.i32\.store\(get\(RECORD_ADDRESS\), i32\.add[^\n]*/, '')],
  },
  'phase odd when nothing is owed': {
    model: 'one entry each, one producer dies', shows: LOST_WAKE_UP, patches: [mutateProgram('appendProgram', 'leaveRecord(), giveBack', 'giveBack')],
  },
  'phase odd after a throw': {
    model: 'a fill throws, and the other producer dies', shows: LOST_WAKE_UP, patches: [mutate('ring/append', 'appendShort', 'words[record.phaseIndex] = record.phase;', '')],
  },
  'not aborted after a throw': {
    model: 'a fill throws', shows: VIOLATION, patches: [mutate('ring/append', 'appendShort', /if \(owed !== 0\)\s*ring\.slots[^;]*;/, '')],
  },
}

const CURSOR_MUTATIONS: { readonly [name: string]: Mutation } = {
  'changes are noted before they are made': {
    model: 'two threads commit', shows: /lost wake-up/,
    patches: [{ file: 'ring/cursors.js', within: 'commitCursor', from: 'if (atomics.load(words, WORD.cursorsChanged) === 0)', to: 'if (false)' },
      { file: 'ring/cursors.js', within: 'commitCursor', from: 'for (;;) {', to: 'announce(ring); for (;;) {' }],
  },
  'changes are not noted': {
    model: 'two threads commit', shows: /lost wake-up/,
    patches: [{ file: 'ring/cursors.js', within: 'commitCursor', from: /if \(atomics\.load\(words, WORD\.cursorsChanged\) === 0\)\s*announce\(ring\);/, to: '' }],
  },
  'the flag is taken down after the places are read': {
    model: 'two threads commit', shows: /lost wake-up/,
    patches: [{
      file: 'ring/cursors.js', within: 'collectCursors', from: /return [^;]*;/,
      to: 'if (ring.atomics.load(ring.words, WORD.cursorsChanged) === 0) return undefined; const cursors = listCursors(ring); ring.atomics.store(ring.words, WORD.cursorsChanged, 0); return cursors;',
    }],
  },
  'the epoch is not compared': {
    model: 'a seek beside a commit', shows: /expected|legal|lost wake-up|told durable/,
    patches: [{ file: 'ring/cursors.js', within: 'isBelow', from: /\(\(high \^ bits\) & ~CURSOR_HIGH_MASK\) === 0 && /, to: '' }],
  },
  'a commit is stored, not compared': {
    model: 'the later commit is the lower one', shows: /legal/,
    patches: [{
      file: 'ring/cursors.js', within: 'commitCursor', from: 'if (atomics.compareExchange64(place, lowNow, highNow, low, high))',
      to: 'atomics.store(words, place, low); atomics.store(words, place + 1, high); if (true)',
    }],
  },
  'a "no" is said of a torn place': {
    model: 'two threads commit', shows: /legal/,
    patches: [{ file: 'ring/cursors.js', within: 'commitCursor', from: /const now = readPair\(ring, place\);\s*if \(!isBelow\(now\.low, now\.high, bits, sequence\)\)\s*return false;\s*continue;/, to: 'return false;' }],
  },
  'a removal is noted before it is done': {
    model: 'a removal beside a commit', shows: /lost wake-up/,
    patches: [{ file: 'ring/cursors.js', within: 'removeCursor', from: 'announce(ring);', to: '' }],
  },
  'a removed cursor leaves its epoch to the next': {
    model: 'a removal, and another cursor of that name, beside a commit', shows: /legal/,
    patches: [
      { file: 'ring/cursors.js', within: 'removeCursor', from: /seekCursor\([^;]*;/, to: '' },
      { file: 'ring/cursors.js', within: 'insert', from: '(atomics.load(words, base + CURSOR.epoch) + 1) >>> 0', to: 'atomics.load(words, base + CURSOR.epoch) >>> 0' },
    ],
  },
  'a name is taken without another look at the epoch': {
    model: 'a removal, and a cursor of another name in its place, beside a commit', shows: /was collected where another cursor stood/,
    patches: [{ file: 'ring/cursors.js', within: 'takeCursor', from: 'if (atomics.load(words, base + CURSOR.epoch) === epoch)', to: '' }],
  },
  'a new cursor gets its name before its epoch': {
    model: 'a removal, and a cursor of another name in its place, beside a commit', shows: /was collected where another cursor stood/,
    patches: [{ file: 'ring/cursors.js', within: 'insert', from: /(atomics\.store\(words, base \+ CURSOR\.epoch[^;]*;)\s*(setName\([^;]*;)/, to: '$2 $1' }],
  },
  'places are told durable without their epoch': {
    model: 'a seek beside a commit', shows: /told durable|legal/,
    patches: [{ file: 'ring/cursors.js', within: 'markDurable', from: 'highWord(sequence, epoch)', to: 'highWord(sequence, 1)' }],
  },
  'a seek is not noted': {
    model: 'a seek beside a commit', shows: /lost wake-up/,
    patches: [{ file: 'ring/cursors.js', within: 'seekCursor', from: 'announce(ring);', to: '' }],
  },
  'a seek raises the epoch after the place': {
    model: 'a seek beside a commit', shows: /legal|lost wake-up|told durable/,
    patches: [{ file: 'ring/cursors.js', within: 'seekCursor', from: /(setPair\(ring, base \+ CURSOR\.place, sequence \| 0, )highWord\(sequence, epoch\)\);/, to: '$1highWord(sequence, epoch - 1));' }],
  },
  'asleep without another look': {
    model: 'two threads commit', shows: /lost wake-up/, patches: [{ file: 'ring/wake.js', within: 'sleepForCommand', from: 'if (!hasWork())', to: '' }],
  },
}

function bugsOf(what: string, mutations: { readonly [name: string]: Mutation }): SeededBug[] {
  return Object.entries(mutations).map(([name, { model, shows, patches }]) => {
    return { name: `${what}: ${name}`, patches, caughtBy: 'interleavings', caseName: `${what}: ${model}`, shows }
  })
}

function inOneOperation(mutations: typeof PROGRAM_MUTATIONS): typeof PROGRAM_MUTATIONS {
  const named = (name: string): string => `${name}, in one operation`
  return Object.fromEntries(Object.entries(mutations).map(([name, mutation]) => [named(name), { ...mutation, model: named(mutation.model) }]))
}

/** All of them. */
export const BUGS: readonly SeededBug[] = [...bugsOf('ring', RING_MUTATIONS), ...bugsOf('ring', inOneOperation(PROGRAM_MUTATIONS)), ...bugsOf('cursors', CURSOR_MUTATIONS)]
