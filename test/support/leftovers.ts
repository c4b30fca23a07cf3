/** What a test, or a harness, must not leave behind: processes, mounts, directories. */

/** Takes one thing back. */
export type Undo = () => unknown

let waiting: Undo[] = []
let keep = (undo: Undo): void => void waiting.push(undo)

/** Takes something back when the calling test is over; outside of a test runner, when {@link undoAll} is called. */
export function whenOver(undo: Undo): void {
  keep(undo)
}

/** A test runner knows when a test is over: it is told what to do then. */
export function leaveTo(runner: (undo: Undo) => void): void {
  keep = runner
}

/** Takes back all that waits for it, the latest first. */
export async function undoAll(): Promise<void> {
  const all = waiting.reverse()
  waiting = []
  for (const undo of all) await undo()
}
