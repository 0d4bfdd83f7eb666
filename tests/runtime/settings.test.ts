/**
 * Wrong values in the environment end a program with one sentence: no stack, as the line that computed first has
 * nothing to do with it.
 */
import { afterEach, expect, it, vi } from 'vitest';

afterEach(() => {
  vi.unstubAllEnvs();
});

it.each([
  ['TENON_BACKEND', 'foo', 'TENON_BACKEND: unknown backend "foo": expected one of x86, wasm, reference'],
  ['TENON_NUM_THREADS', 'many', 'TENON_NUM_THREADS: "many" came, expected a whole number of at least 1'],
])('%s=%s', async (variable, value, sentence) => {
  vi.resetModules();
  vi.stubEnv(variable, value);
  const { tensor } = await import('../../src/index.ts');
  let thrown: unknown;
  try {
    tensor([1]).add(1).item();
  } catch (error) {
    thrown = error;
  }
  expect((thrown as Error).stack).toBe(`SettingError: ${sentence}`);
});

it('an instruction set that is none is not answered by computing elsewhere', async () => {
  vi.resetModules();
  const { whyUnavailable } = await import('../../src/runtime/index.ts');
  if (whyUnavailable('x86')) return;
  vi.resetModules();
  vi.stubEnv('TENON_ISA', 'mmx');
  const { tensor } = await import('../../src/index.ts');
  expect(() => tensor([1]).add(1).item()).toThrow('x86: TENON_ISA is mmx, expected one of avx2');
});
