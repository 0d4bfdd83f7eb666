/**
 * Convolutions pixel by pixel, of bf16 on matrix registers and by dot products, and of f32 in vectors
 * (src/compiler/contract/pixels), beside their definition: borders, strides, windows of any shape, several blocks of
 * channels and images, kernels that last, the same bits for any number of threads.
 */
import { describe, expect, it } from 'vitest';
import type { Isa } from '../../../src/backends/x86/isa.ts';
import { suitsPixels } from '../../../src/compiler/contract/pixels/index.ts';
import { problemsOf } from '../../../src/compiler/contract/problem.ts';
import { lanesFor, type Target } from '../../../src/compiler/target.ts';
import { type HostArray, hostArray } from '../../../src/graph/dtype.ts';
import { bf16Bits } from '../../../src/graph/half.ts';
import { AVX2, AVX512, buildContract, expected } from '../../compiler/contract/run.ts';
import { buffersOf, type Case, type Conv, convolution, Random } from '../../compiler/contract/specs.ts';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { bf16Dots, isas } from './available.ts';

const TILES: Target = { ...AVX512, l2Bytes: 2 << 20, packedProducts: { bf16: 'tiles', int8: 'tiles', f32: 'tiles' } };
const DOTS: Target = { ...AVX512, packedProducts: { bf16: 'dot', int8: 'dot', f32: null }, shufflesStrides: true };
const MACHINES = [
  ['bf16', 'avx512', DOTS],
  ['bf16', 'amx', TILES],
  ['f32', 'amx', TILES],
  ['f32', 'avx512', AVX512],
  ['f32', 'avx2', AVX2],
] as const;
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
  channelsInnermost: true,
};
/** Results that are looked at. */
const SAMPLES = 150;
/** What sums of denormal products may be off by. */
const DENORMAL = 2 ** -140;
const kinds = ['forward', 'inputGradient', 'weightGradient'] as const;
const shapes: readonly [string, Partial<Conv>, number?][] = [
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
  ['many rows, a small cache', { height: 13, width: 2, outputs: 64 }, 256 << 10],
  ['many channels, a small cache', { inputs: 128, outputs: 160, height: 3, width: 2 }, 256 << 10],
];

/** Sets some numbers of an operand to `value`. */
const put = (of: HostArray, value: number, every = Number.POSITIVE_INFINITY): void => {
  for (let i = 77; i < of.length; i += every) of[i] = (of instanceof Uint16Array ? bf16Bits(value) : value) as never;
};
const scale = (of: HostArray, by: number): void => {
  for (const [i, x] of (of as Float32Array).entries()) of[i] = (x * by) as never;
};
const unusual: readonly Change[] = [
  a => put(a, Number.NaN),
  a => put(a, Number.POSITIVE_INFINITY),
  (_, b) => put(b, Number.NEGATIVE_INFINITY),
  (a, b) => {
    put(a, Number.POSITIVE_INFINITY);
    put(b, 0, 1);
  },
  (a, b) => {
    put(a, 3.4e38);
    scale(b, 2 ** -8);
  },
  (a, b) => {
    put(b, 3.4e38, 1000);
    scale(a, 2 ** -8);
  },
  (a, b) => {
    scale(a, 2 ** 61);
    scale(b, 2 ** 60);
  },
  a => scale(a, 2 ** -120),
  (_, b) => scale(b, 2 ** -140),
  (a, b) => {
    scale(a, 2 ** -80);
    scale(b, 2 ** -50);
  },
  a => put(a, 2 ** -112, 3),
  (_, b) => put(b, 1.2e-38, 5),
  (a, b) => {
    put(a, -3e-36, 7);
    put(b, 1e-40, 3);
  },
  a => scale(a, 1e-12),
  a => put(a, 0, 1),
];

const suits = ({ spec }: Case, target: Target): boolean =>
  problemsOf(spec, lanesFor(target, 4), target.masksMemory === true)!
    .filter(p => p.k.every(d => p.dims[d]!.size > 0))
    .every(p => suitsPixels(p, target));

/** What is done to the operands of a case, once they are filled. */
type Change = (a: HostArray, b: HostArray) => void;

/** Results of a case, as machine code: sums of exact products, in f32. */
function run(of: Case, isa: Isa, target: Target, threads: number, change: Change = () => {}): Float32Array {
  const spec = { ...of.spec, out: { ...of.spec.out, dtype: 'f32' as const } };
  const buffers = buffersOf({ ...of, spec }, new Random(4));
  change(buffers[0]!.data, buffers[1]!.data);
  const { buffers: all, body } = buildContract(spec, buffers, target);
  const arrays = all.map((buffer, i) => {
    const array = buffers[i]?.data ?? hostArray(buffer.dtype, buffer.elements);
    if (i > 1) new Uint8Array(array.buffer).fill(0x7f);
    return array;
  });
  runX86Kernel({ name: 'convolution', buffers: all, body }, arrays, { threads, isa });
  const out = arrays[2] as Float32Array;
  if (threads === 1)
    for (const [index, sum, size] of expected(spec, arrays[0]!, arrays[1]!, Math.ceil(out.length / SAMPLES) | 1)) {
      const seen = `element ${index} is ${out[index]}, expected ${sum}`;
      if (Number.isFinite(Math.fround(sum)))
        expect(Math.abs(out[index]! - sum), seen).toBeLessThanOrEqual(1e-6 * size + DENORMAL);
      else expect(out[index], seen).toBe(Math.fround(sum));
    }
  return out;
}

for (const [dtype, isa, target] of MACHINES)
  describe.skipIf(!isas.includes(isa) || (target === DOTS && !bf16Dots))(`${dtype}, ${isa}`, () => {
    describe.each(kinds)('%s', kind => {
      it.each(isa === 'avx2' ? shapes.slice(0, 4) : shapes)('%s', (_, shape, l2Bytes = target.l2Bytes) => {
        const of = convolution({ ...conv, ...shape, dtype, kind })!;
        expect(suits(of, target)).toBe(true);
        expect(run(of, isa, { ...target, l2Bytes }, 3)).toEqual(run(of, isa, { ...target, l2Bytes }, 1));
      });
    });
    it.each(kinds)('%s of what is infinite, undefined, huge or tiny', kind => {
      // Nothing is outside of the image: what is there would be skipped, not multiplied by 0.
      const padding = kind === 'inputGradient' ? 2 : 0;
      const of = convolution({ ...conv, dtype, kind, padding, height: 4, outputs: 64 })!;
      for (const change of dtype === 'f32' ? unusual : unusual.slice(0, 4))
        expect(run(of, isa, target, 3, change)).toEqual(run(of, isa, target, 1, change));
      // Some channels at a time.
      const wide = convolution({ ...conv, dtype, kind, padding, inputs: 96, outputs: 96, height: 3 })!;
      for (const change of unusual.slice(0, 3)) run(wide, isa, { ...target, l2Bytes: 128 << 10 }, 1, change);
    });
    it('packs kernels that last ahead', () => {
      const of = convolution({ ...conv, dtype, outputs: 48, images: 16, stride: 2, kind: 'forward' })!;
      expect(suits(of, target)).toBe(true);
      run({ ...of, spec: { ...of.spec, b: { ...of.spec.b, packedAhead: true } } }, isa, target, 1);
    });
    it('leaves few channels, or images, to the rest', () => {
      for (const other of [{ inputs: 16, outputs: 16 }, { images: 4 }, { channelsInnermost: false }])
        for (const kind of kinds)
          expect(suits(convolution({ ...conv, ...other, dtype, kind })!, target), JSON.stringify(other)).toBe(false);
    });
  });
