/**
 * Convolutions of bf16 through transformed tiles (src/compiler/contract/winograd) as machine code, beside their
 * definition: sums are of f32 from operands that are exact, and have the same bits for any number of threads.
 */
import { describe, expect, it } from 'vitest';
import { problemsOf } from '../../../src/compiler/contract/problem.ts';
import { suitsWinograd, suitsWinogradInWords } from '../../../src/compiler/contract/winograd/index.ts';
import { lanesFor, type Target } from '../../../src/compiler/target.ts';
import { hostArray } from '../../../src/graph/dtype.ts';
import { AVX512, buildContract, expected } from '../../compiler/contract/run.ts';
import { buffersOf, type Case, type Conv, convolution, Random } from '../../compiler/contract/specs.ts';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { isas } from './available.ts';

const DOT: Target = { ...AVX512, packedProducts: { bf16: 'dot', int8: 'dot', f32: null }, shufflesStrides: true };
/** Results that are looked at. */
const SAMPLES = 300;
const conv: Omit<Conv, 'kind'> = {
  images: 14,
  groups: 1,
  inputs: 32,
  outputs: 48,
  height: 9,
  width: 7,
  kernel: [3, 3],
  stride: 1,
  padding: 1,
  dilation: 1,
  channelsInnermost: true,
  dtype: 'bf16',
};

function run(of: Case, target: Target, threads: number, tolerance = 1e-6): Float32Array {
  const spec = { ...of.spec, out: { ...of.spec.out, dtype: 'f32' as const } };
  const suits = target.roundsBf16 ? suitsWinogradInWords : suitsWinograd;
  expect(problemsOf(spec, lanesFor(target, 4), true)!.every(p => suits(p, target))).toBe(true);
  const buffers = buffersOf({ ...of, spec }, new Random(4));
  const { buffers: all, body } = buildContract(spec, buffers, target);
  const arrays = all.map((buffer, i) => buffers[i]?.data ?? hostArray(buffer.dtype, buffer.elements));
  for (const array of arrays.slice(2)) new Uint8Array(array.buffer).fill(0x7f);
  runX86Kernel({ name: 'convolution', buffers: all, body }, arrays, { threads, isa: 'avx512' });
  const out = arrays[2] as Float32Array;
  for (const [index, sum, size] of expected(spec, arrays[0]!, arrays[1]!, Math.ceil(out.length / SAMPLES) | 1))
    expect(Math.abs(out[index]! - sum), `element ${index}`).toBeLessThanOrEqual(tolerance * size);
  return out;
}

const SHAPES: readonly (readonly [string, Partial<Conv>])[] = [
  ['odd images', {}],
  ['even images, wide borders', { height: 36, width: 34, images: 1, padding: 2 }],
  ['no border', { height: 37, width: 35, images: 1, padding: 0 }],
  ['images of a tile', { height: 2, width: 2, images: 257 }],
  ['many channels', { inputs: 160, outputs: 192 }],
];

const KINDS = ['forward', 'inputGradient', 'weightGradient'] as const;
describe.skipIf(!isas.includes('avx512')).each(KINDS)('%s', kind => {
  it.each(SHAPES)('%s', (_, shape) => {
    const of = convolution({ ...conv, ...shape, kind })!;
    for (const l2Bytes of [128 << 10, 1 << 20]) {
      const target = { ...DOT, l2Bytes };
      expect(run(of, target, 3)).toEqual(run(of, target, 1));
    }
  });
});

// Transformed tiles and kernels that are rounded to words of bf16.
const WORDS: Target = { ...DOT, roundsBf16: true };
describe.skipIf(!isas.includes('avx512')).each(KINDS)('%s in words', kind => {
  it.each<readonly [string, Partial<Conv>]>([
    ...SHAPES,
    ['half a panel', { inputs: 64, outputs: 160 }],
    ['an odd number of tiles', { height: 18, width: 34, images: 1 }],
  ])('%s', (_, shape) => {
    const of = convolution({ ...conv, outputs: 96, ...shape, kind })!;
    for (const l2Bytes of [128 << 10, 1 << 20]) {
      const target = { ...WORDS, l2Bytes };
      expect(run(of, target, 3, 2e-3)).toEqual(run(of, target, 1, 2e-3));
    }
  });
});
