/** What is wanted of every model: all its legal outcomes come about, and no others. */

import { explore, type Model, type Report } from './explore.js'

/** Explores a model. Throws on a run that goes wrong, on an outcome that is not legal, and on a legal one that never comes about. */
export function exploreLegal(model: Model, legal: readonly string[]): Report {
  const report = explore(model)
  const found = [...report.outcomes.keys()].sort()
  if (JSON.stringify(found) !== JSON.stringify([...legal].sort())) throw new Error(`legal: ${legal.join()}, found: ${found.join()}`)
  return report
}

/** A line of what was explored. */
export function tellReport({ states, steps, executions, interleavings }: Report): string {
  return `${states} states, ${steps} steps, ${executions} executions for ${interleavings.toPrecision(2)} interleavings`
}
