/**
 * The contraction's schedules for vectors of 8 and 16 lanes, interpreted: the same loop IR that a native backend will
 * translate.
 */
import { describe, expect, it } from 'vitest';
import { AVX2, AVX512, expected, runContract } from './run.ts';
import { buffersOf, type Case, convolution, matmul, Random } from './specs.ts';

const conv = {
  images: 2,
  groups: 1,
  inputs: 3,
  outputs: 5,
  height: 9,
  width: 20,
  kernel: [3, 3],
  stride: 1,
  padding: 1,
  dilation: 1,
} as const;
const cases: readonly [string, Case][] = [
  ['matmul', matmul([17, 37, 29, 1])],
  ['matmul of several tiles', matmul([30, 70, 21, 1], { tb: true })],
  ['matmul, a transposed, of several blocks', matmul([31, 33, 500, 1], { ta: true })],
  ['batched matmul', matmul([16, 16, 18, 3], { tb: true })],
  ['matrix by vector', matmul([1, 40, 70, 1], { tb: true })],
  ['vector by matrix', matmul([1, 40, 30, 1])],
  ['convolution', convolution({ ...conv, kind: 'forward' })!],
  ['convolution of many channels', convolution({ ...conv, kind: 'forward', inputs: 2, outputs: 70, height: 4 })!],
  ['input gradient', convolution({ ...conv, kind: 'inputGradient' })!],
  ['weight gradient', convolution({ ...conv, kind: 'weightGradient' })!],
  ['strided convolution', convolution({ ...conv, kind: 'forward', stride: 2 })!],
  // The last panel has whole vectors behind the last row.
  [
    'strided, whole rows',
    convolution({ ...conv, kind: 'forward', stride: 2, images: 11, height: 2, width: 32, outputs: 40 })!,
  ],
  ['strided input gradient', convolution({ ...conv, kind: 'inputGradient', stride: 2 })!],
  ['strided weight gradient', convolution({ ...conv, kind: 'weightGradient', stride: 2 })!],
  ['depthwise convolution', convolution({ ...conv, kind: 'forward', groups: 4, inputs: 1, outputs: 1 })!],
];

for (const target of [AVX2, AVX512])
  describe(target.name, () => {
    for (const [name, of] of cases)
      it(`${name}: right, in bounds, and the same for 3 threads`, () => {
        const buffers = buffersOf(of, new Random(4));
        runContract(of.spec, buffers, 1, target);
        const out = buffers[2]!.data;
        for (const [index, sum, size] of expected(of.spec, buffers[0]!.data, buffers[1]!.data))
          expect(Math.abs(Number(out[index]) - sum), `element ${index}`).toBeLessThanOrEqual(2e-6 * size);
        const again = buffersOf(of, new Random(4));
        runContract(of.spec, again, 3, target);
        expect(again[2]!.data).toEqual(out);
      });
  });
