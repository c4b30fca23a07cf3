/** Every interleaving of commits, a seek, and the writer that collects cursors and sleeps (cursor-model.ts): no outcome but the legal ones, and each of those. */

import { fileURLToPath } from 'node:url'
import { describe, test } from 'vitest'
import { cursorModel, CURSOR_MODELS } from './cursor-model.js'
import { exploreLegal, tellReport } from './legal-outcomes.js'

const BUILT = fileURLToPath(new URL('../../dist', import.meta.url))

describe('every interleaving of commits is right', () => {
  test.each(Object.entries(CURSOR_MODELS))('%s', { timeout: 180_000 }, async (name, scenario) => {
    console.log(`${name}: ${tellReport(exploreLegal(await cursorModel(BUILT, scenario), scenario.legal))}`)
  })
})
