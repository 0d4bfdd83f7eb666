/**
 * Convolutions through transformed tiles, beside their definition: odd sizes, borders of every width, both gradients,
 * kernels that last, tiles transformed by the task that needs them and ahead of all tasks.
 */
import { describe, expect, it } from 'vitest';
import { problemsOf } from '../../../src/compiler/contract/problem.ts';
import { suitsWinograd } from '../../../src/compiler/contract/winograd/index.ts';
import { lanesFor, type Target } from '../../../src/compiler/target.ts';
import { AVX2, AVX512, expected, runContract, WASM } from './run.ts';
import { buffersOf, type Case, type Conv, convolution, Random } from './specs.ts';

const conv: Omit<Conv, 'kind'> = {
  images: 2,
  groups: 1,
  inputs: 32,
  outputs: 32,
  height: 9,
  width: 7,
  kernel: [3, 3],
  stride: 1,
  padding: 1,
  dilation: 1,
  channelsInnermost: true,
};
const kinds = ['forward', 'inputGradient', 'weightGradient'] as const;
const suits = ({ spec }: Case, target: Target): boolean =>
  problemsOf(spec, lanesFor(target, 4), target.masksMemory === true)!.every(p => suitsWinograd(p, target));

const shapes: readonly [string, Partial<Conv>][] = [
  ['odd images', {}],
  ['even images, wide borders', { height: 12, width: 14, images: 1, padding: 2 }],
  ['one image without a border', { height: 13, width: 15, images: 1, padding: 0 }],
  ['borders on small images', { height: 2, width: 2, images: 33 }],
];

for (const target of [WASM, AVX2, AVX512])
  describe(target.name, () => {
    for (const kind of kinds)
      for (const [name, shape] of target === AVX2 ? shapes.slice(0, 1) : shapes)
        it(`${kind}, ${name}: right, and the same for 3 threads`, () => {
          const of = convolution({ ...conv, ...shape, kind })!;
          expect(suits(of, target)).toBe(true);
          const buffers = buffersOf(of, new Random(4));
          runContract(of.spec, buffers, 1, target);
          const out = buffers[2]!.data;
          for (const [index, sum, size] of expected(of.spec, buffers[0]!.data, buffers[1]!.data))
            expect(Math.abs(Number(out[index]) - sum), `element ${index}`).toBeLessThanOrEqual(1e-6 * size);
          const again = buffersOf(of, new Random(4));
          runContract(of.spec, again, 3, target);
          expect(again[2]!.data).toEqual(out);
        });
  });

// A second cache so small that blocks, chunks and panels are many.
const SMALL: Target = { ...AVX512, name: 'small', l2Bytes: 128 * 1024, shufflesStrides: true };
describe.each([SMALL, { ...AVX512, l2Bytes: 64 * 1024 * 1024 }])('a second cache of $l2Bytes bytes', target => {
  it.each(kinds)('%s', kind => {
    const of = convolution({ ...conv, kind, height: 9, width: 8, outputs: 80 })!;
    const buffers = buffersOf(of, new Random(5));
    runContract({ ...of.spec, b: { ...of.spec.b, packedAhead: kind !== 'weightGradient' } }, buffers, 2, target);
    const out = buffers[2]!.data;
    for (const [index, sum, size] of expected(of.spec, buffers[0]!.data, buffers[1]!.data))
      expect(Math.abs(Number(out[index]) - sum), `element ${index}`).toBeLessThanOrEqual(1e-6 * size);
  });
});

it('takes bf16 beside dot products, where tiles are many, and for gradients of kernels', () => {
  const dot: Target = { ...AVX512, packedProducts: { bf16: 'dot', int8: 'dot', f32: null } };
  const tiles: Target = { ...AVX512, packedProducts: { bf16: 'tiles', int8: 'tiles', f32: null } };
  for (const kind of kinds) {
    const [few, many] = [2, 20].map(images => convolution({ ...conv, dtype: 'bf16', images, kind })!);
    expect(
      [few!, many!].map(of => suits(of, dot)),
      kind,
    ).toEqual([kind === 'weightGradient', true]);
    for (const target of [AVX512, tiles, WASM]) expect(suits(many!, target), kind).toBe(false);
  }
});

it('leaves other windows, few channels and other types to the rest', () => {
  const others: Partial<Conv>[] = [
    { stride: 2 },
    { dilation: 2, padding: 2 },
    { kernel: [3, 5] },
    { inputs: 16 },
    { outputs: 40 },
    { dtype: 'f64' },
    { channelsInnermost: false },
    { images: 1, height: 4, width: 4 },
  ];
  for (const other of others)
    for (const kind of kinds)
      expect(suits(convolution({ ...conv, ...other, kind })!, AVX512), JSON.stringify(other)).toBe(false);
});
