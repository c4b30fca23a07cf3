/** Every interleaving of the ring's and the cursors' own code, in small models with all their legal outcomes; `long` adds the models that take minutes. */

import type { Model, Report } from '../model/explore.js'
import { cursorModel, CURSOR_MODELS } from '../model/cursor-model.js'
import { exploreLegal, tellReport } from '../model/legal-outcomes.js'
import { ringModel } from '../model/ring-model.js'
import { LONG_RING_MODELS, RING_MODELS } from '../model/ring-scenarios.js'
import type { Fault, ProveOptions, ProveResult } from './harness.js'

interface NamedModel {
  readonly name: string
  readonly legal: readonly string[]
  make(): Promise<Model>
}

/** A case is a model: `ring: NAME` or `cursors: NAME`. The figure is that of runs to an end, or to a state that was known. */
export async function run({ build, long, caseName, stopAtFirst, say }: ProveOptions): Promise<ProveResult> {
  const faults: Fault[] = []
  let [executions, interleavings] = [0, 0]
  for (const { name, legal, make } of modelsOf(build, long || caseName !== undefined)) {
    if (caseName !== undefined && name !== caseName) continue
    const startMs = performance.now()
    try {
      const report: Report = exploreLegal(await make(), legal)
      executions += report.executions
      interleavings += report.interleavings
      say(`${name}: ${tellReport(report)}, ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
    } catch (error) {
      faults.push({ caseName: name, what: error instanceof Error ? error.message : String(error) })
      if (stopAtFirst) break
    }
  }
  say(`all: ${executions} executions for ${interleavings.toPrecision(3)} interleavings`)
  return { cases: executions, faults }
}

function modelsOf(build: string, long: boolean): NamedModel[] {
  const rings = Object.entries(long ? { ...RING_MODELS, ...LONG_RING_MODELS } : RING_MODELS)
  return [
    ...rings.map(([name, scenario]) => ({ name: `ring: ${name}`, legal: scenario.legal, make: () => ringModel(build, scenario) })),
    ...Object.entries(CURSOR_MODELS).map(([name, scenario]) => ({ name: `cursors: ${name}`, legal: scenario.legal, make: () => cursorModel(build, scenario) })),
  ]
}
