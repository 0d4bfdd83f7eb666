import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    testTimeout: 60_000,
    // Two cores in CI: more workers than cores only adds memory.
    maxWorkers: 2,
  },
});
