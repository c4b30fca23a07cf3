import { defineConfig } from 'vitest/config'

// Threads and processes of their own are what most tests are about: one test file at a time on each core, no isolation tricks.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/test-end.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The built package is loaded as Node loads it, not rewritten on the way: what is tested, timed and covered is what ships.
    server: { deps: { external: [/\/dist\/(src|workers)\//] } },
  },
})
