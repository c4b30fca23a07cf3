/** Bugs that let two own a directory, or nobody. */

import type { Patch } from './patch.js'
import type { SeededBug } from './seeded-bug.js'

const caughtBy = 'locks'
const CONTEST = 'disk/socket-contest.js'
const ASK = 'const answer = await ask(this.#address(name));'

function answers(from: string, to: string): Patch {
  return { file: 'disk/lock-server.js', from, to }
}

/** What the races for a lock must find. */
export const BUGS: readonly SeededBug[] = [
  {
    name: 'the lock is not checked',
    patches: [
      { file: CONTEST, from: 'if (first !== undefined)\n                return first;', to: '' },
      { file: CONTEST, from: "if (answer === 'alive' && first === undefined)", to: "if (answer === 'alive')" },
    ],
    caughtBy,
  },
  {
    name: 'a candidate looks for others before it has appeared, and not again',
    patches: [{ file: CONTEST, from: 'const [first] = await this.#rivals();\n        const answer', to: 'const [first] = [];\n        const answer' }],
    caughtBy,
  },
  {
    name: 'a lock is broken by its age',
    patches: [{ file: CONTEST, from: ASK, to: "const answer = Date.now() - parseInt(name.slice(5, 17), 16) > 10 ? 'refused' : await ask(this.#address(name));" }],
    caughtBy,
  },
  {
    name: 'an owner whose pid is not there counts as dead',
    patches: [{ file: CONTEST, from: ASK, to: "let answer = await ask(this.#address(name)); try { process.kill(Number(match[1]), 0); } catch { answer = 'refused'; }" }],
    caughtBy,
  },
  {
    name: 'the socket of a dead owner counts as alive',
    patches: [answers("ECONNREFUSED: 'refused'", "ECONNREFUSED: 'alive'")],
    caughtBy,
  },
  {
    name: 'an owner whose backlog is full counts as dead',
    patches: [answers("EAGAIN: 'alive'", "EAGAIN: 'refused'")],
    caughtBy,
  },
  {
    name: 'the directory is free while the writer still writes',
    patches: [{ file: 'writer/run-writer.js', from: 'writer.run();', to: 'void lock.release(); writer.run();' }],
    caughtBy,
  },
  {
    name: 'candidates do not withdraw for one another',
    patches: [{ file: CONTEST, from: "if (answer !== 'alive' || first.owns || first.name < own.name)\n            this.#withdraw();", to: '' }],
    caughtBy,
  },
  {
    name: 'who waits for a writer that has died is not told',
    patches: [{ file: 'log/blocking-wait.js', within: 'failIfWriterDied', from: 'if (!isThreadDead(identity) ||', to: 'if (true ||' }],
    caughtBy,
  },
]
