import { mergeConfig } from 'vitest/config'
import base from '../../vitest.config.js'

// Vitest ends its processes by a signal, and then Node writes no coverage; so each test file has it written.
export default mergeConfig(base, { test: { setupFiles: ['test/coverage/take-coverage.ts'] } })
