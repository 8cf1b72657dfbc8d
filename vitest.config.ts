// How the tests run: every *.test.ts under src and test, and what the pure core must be covered by.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['test/support/global.ts'],
    pool: 'forks',
    maxWorkers: 2, // they wait for processes and servers more than they compute
    testTimeout: 30_000,
    coverage: {
      provider: 'v8',
      include: ['src/core/**/*.ts'],
      exclude: ['**/*.test.ts', 'src/core/wire.ts'], // wire.ts holds types only
      reporter: ['text'],
      thresholds: { 100: true },
    },
  },
})
