import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    // Tests and the documentation's snippets import the package by its public names and get the sources.
    alias: [
      { find: /^tenon$/, replacement: source('index.ts') },
      { find: /^tenon\/(.+)$/, replacement: source('$1/index.ts') },
    ],
  },
  test: {
    include: ['tests/**/*.test.ts'],
    testTimeout: 60_000,
    // Two cores in CI: more workers than cores only adds memory.
    maxWorkers: 2,
  },
});
