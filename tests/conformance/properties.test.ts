/**
 * Properties of every operator, on a sample of PyTorch's cases: the same inside `compile` and under `vmap` as on its
 * own, and jvp agrees with vjp. All cases: npm run conformance -- torch FILE --property compile (vmap, jvp).
 */
import { expect } from 'vitest';
import type { Property } from '../../conformance/torch/properties.ts';
import { runOpinfo } from '../../conformance/torch/run.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';

const visible = ['..', 'conformance', 'torch-opinfo', 'opinfo-visible.jsonl.gz'].join('/');
/** One of so many cases. */
const EVERY = 18;
const backend = process.env['TENON_BACKEND'] ?? 'reference';

// Graphs are the same for every backend; what compile makes of them is not.
const properties: readonly Property[] = backend === 'reference' ? ['compile', 'vmap', 'jvp'] : ['compile'];

properties.forEach((property, k) => {
  testWithData(
    `every operator: ${property}`,
    visible,
    () => {
      const only = (_: string, place: number): boolean => place % EVERY === 6 * k;
      const results = runOpinfo(sharedData(visible), { only, property, backend });
      expect(results.filter(result => result.outcome === 'fail')).toEqual([]);
      expect(results.filter(result => result.outcome === 'pass').length).toBeGreaterThan(140);
    },
    120_000,
  );
});
