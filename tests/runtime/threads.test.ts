import { availableParallelism } from 'node:os';
import { afterEach, expect, it, vi } from 'vitest';
import { wantedThreads } from '../../src/compiler/processors.ts';

afterEach(() => vi.unstubAllEnvs());

it('one thread per processor, or as many as TENON_NUM_THREADS says', () => {
  vi.stubEnv('TENON_NUM_THREADS', '');
  expect(wantedThreads()).toBe(availableParallelism());
  vi.stubEnv('TENON_NUM_THREADS', '3');
  expect(wantedThreads()).toBe(3);
});

it.each(['abc', '0', '-1', '1.5'])('TENON_NUM_THREADS=%s is refused', text => {
  vi.stubEnv('TENON_NUM_THREADS', text);
  expect(wantedThreads).toThrow(`TENON_NUM_THREADS: "${text}" came, expected a whole number of at least 1`);
});
