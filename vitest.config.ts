import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

/** Suites that compute through the public API: every one runs on every backend. */
const onEveryBackend = ['tensor', 'nn', 'optim', 'train', 'models', 'metrics', 'conformance'].map(
  room => `tests/${room}/**/*.test.ts`,
);

/** Models and programs of public calls against the reference backend: everywhere but there. */
const fuzz = ['training', 'calls', 'transforms', 'products'].map(name => `tests/fuzz/${name}.test.ts`);

const project = (name: string, include: string[], exclude: string[], env: Record<string, string>) => ({
  extends: true as const,
  test: { name, include, exclude, env },
});

/** Machine code as this processor runs it best, and as one without AVX-512 runs it. */
const machineCode =
  process.arch === 'x64' && process.platform === 'linux'
    ? [
        project('x86', [...onEveryBackend, ...fuzz], [], { TENON_BACKEND: 'x86' }),
        project(
          'x86-avx2',
          ['tests/tensor/**/*.test.ts', 'tests/conformance/**/*.test.ts', ...fuzz, 'tests/recsys/kernels.test.ts'],
          [],
          {
            TENON_BACKEND: 'x86',
            TENON_ISA: 'avx2',
          },
        ),
        // Every kernel between pages that nobody may touch.
        project(
          'x86-guard',
          ['tests/tensor/**/*.test.ts', 'tests/conformance/opinfo.test.ts', 'tests/recsys/kernels.test.ts'],
          [],
          {
            TENON_BACKEND: 'x86',
            TENON_DEBUG: 'guard',
          },
        ),
      ]
    : [];

/** By Node.js for Windows, which `npm run test:windows` has made ready. */
const underWine = process.env['TENON_WINDOWS'] ? [project('windows', ['tests/windows/*.test.ts'], [], {})] : [];

export default defineConfig({
  resolve: {
    // Tests and the documentation's snippets import the package by its public names and get the sources.
    alias: [
      { find: /^tenon$/, replacement: source('index.ts') },
      { find: /^tenon\/(.+)$/, replacement: source('$1/index.ts') },
    ],
  },
  test: {
    testTimeout: 60_000,
    // Processes that tests start compile the package anew; tests/launch tests the cache.
    env: { TENON_CACHE: 'off' },
    // Two cores in CI: more workers than cores only adds memory.
    maxWorkers: 2,
    projects: [
      project('reference', onEveryBackend, [], { TENON_BACKEND: 'reference' }),
      project('wasm', [...onEveryBackend, ...fuzz], [], { TENON_BACKEND: 'wasm' }),
      ...machineCode,
      ...underWine,
      project('general', ['tests/**/*.test.ts'], [...onEveryBackend, ...fuzz, 'tests/windows/**'], {}),
    ],
  },
});
