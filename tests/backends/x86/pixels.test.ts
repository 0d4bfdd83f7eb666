/**
 * Convolutions of bf16 on matrix registers, pixel by pixel (src/compiler/contract/pixels), beside their definition: borders, strides, windows of any shape,
 * several blocks of channels and images, kernels that last, the same bits for any number of threads.
 */
import { describe, expect, it } from 'vitest';
import { suitsPixels } from '../../../src/compiler/contract/pixels/index.ts';
import { problemsOf } from '../../../src/compiler/contract/problem.ts';
import type { Target } from '../../../src/compiler/target.ts';
import { hostArray } from '../../../src/graph/dtype.ts';
import { AVX512, buildContract, expected } from '../../compiler/contract/run.ts';
import { buffersOf, type Case, type Conv, convolution, Random } from '../../compiler/contract/specs.ts';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { isas } from './available.ts';

const TARGET: Target = { ...AVX512, l2Bytes: 2 << 20, packedProducts: { bf16: 'tiles', int8: 'tiles' } };
const SMALL: Target = { ...TARGET, l2Bytes: 256 << 10 };
const conv: Omit<Conv, 'kind'> = {
  images: 32,
  groups: 1,
  inputs: 32,
  outputs: 32,
  height: 5,
  width: 3,
  kernel: [3, 3],
  stride: 1,
  padding: 1,
  dilation: 1,
  dtype: 'bf16',
  channelsInnermost: true,
};
const kinds = ['forward', 'inputGradient', 'weightGradient'] as const;
const shapes: readonly [string, Partial<Conv>, Target?][] = [
  ['a border', {}],
  ['two pixels apart', { stride: 2, height: 6, width: 5 }],
  ['two pixels apart, even', { stride: 2, height: 4, width: 4, outputs: 64 }],
  ['one tap, two pixels apart', { stride: 2, kernel: [1, 1], padding: 0, inputs: 64 }],
  ['three pixels apart', { stride: 3, height: 7, width: 8, padding: 2 }],
  ['windows of 2 x 5', { kernel: [2, 5], padding: 2, images: 64 }],
  ['taps two pixels apart', { dilation: 2, padding: 2 }],
  ['no border', { padding: 0, inputs: 96 }],
  ['a border wider than the image', { padding: 3, height: 2, width: 1, kernel: [5, 5] }],
  ['many channels', { inputs: 160, outputs: 192, height: 2, width: 2 }],
  ['many rows, a small cache', { height: 13, width: 2, outputs: 64 }, SMALL],
  ['many channels, a small cache', { inputs: 128, outputs: 160, height: 3, width: 2 }, SMALL],
];

const suits = ({ spec }: Case): boolean =>
  problemsOf(spec, 16, true)!
    .filter(p => p.k.every(d => p.dims[d]!.size > 0))
    .every(p => suitsPixels(p, TARGET));

/** Results of a case, as machine code: sums of exact products, in f32. */
function run(of: Case, target: Target, threads: number): Float32Array {
  const spec = { ...of.spec, out: { ...of.spec.out, dtype: 'f32' as const } };
  const buffers = buffersOf({ ...of, spec }, new Random(4));
  const { buffers: all, body } = buildContract(spec, buffers, target);
  const arrays = all.map((buffer, i) => {
    const array = buffers[i]?.data ?? hostArray(buffer.dtype, buffer.elements);
    if (i > 1) new Uint8Array(array.buffer).fill(0x7f);
    return array;
  });
  runX86Kernel({ name: 'convolution', buffers: all, body }, arrays, { threads, isa: 'amx' });
  const out = arrays[2] as Float32Array;
  if (threads === 1)
    for (const [index, sum, size] of expected(spec, arrays[0]!, arrays[1]!, 97))
      expect(Math.abs(out[index]! - sum), `element ${index} is ${out[index]}, expected ${sum}`).toBeLessThanOrEqual(
        1e-6 * size,
      );
  return out;
}

describe.skipIf(!isas.includes('amx')).each(kinds)('%s', kind => {
  it.each(shapes)('%s', (_, shape, target = TARGET) => {
    const of = convolution({ ...conv, ...shape, kind })!;
    expect(suits(of)).toBe(true);
    expect(run(of, target, 3)).toEqual(run(of, target, 1));
  });
});

describe.skipIf(!isas.includes('amx'))('kernels', () => {
  it('that last are packed ahead', () => {
    const of = convolution({ ...conv, outputs: 48, images: 16, kind: 'forward' })!;
    expect(suits(of)).toBe(true);
    run({ ...of, spec: { ...of.spec, b: { ...of.spec.b, lasting: true } } }, TARGET, 1);
  });
  it('of few channels, or images, are left to the rest', () => {
    for (const other of [
      { inputs: 16, outputs: 16 },
      { images: 8 },
      { channelsInnermost: false },
      { dtype: 'f32' as const },
    ])
      for (const kind of kinds)
        expect(suits(convolution({ ...conv, ...other, kind })!), JSON.stringify(other)).toBe(false);
  });
});
