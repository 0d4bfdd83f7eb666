/**
 * Contractions of f32 in three parts of bf16 on matrix registers (AMX): against sums in f64, beside the loop of
 * multiply-adds, whose error is not exceeded; layouts, borders, blocks of k, and what cannot be cut into parts.
 */
import { describe, expect, it } from 'vitest';
import type { ContractSpec } from '../../../src/compiler/contract/index.ts';
import { lowerParts } from '../../../src/compiler/contract/packed/index.ts';
import { lowerPanels } from '../../../src/compiler/contract/panels.ts';
import { planOf } from '../../../src/compiler/contract/plan.ts';
import { type Problem, problemsOf } from '../../../src/compiler/contract/problem.ts';
import type { Scratch } from '../../../src/compiler/contract/spec.ts';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import type { Inst, KernelBuffer } from '../../../src/compiler/loops.ts';
import type { Target } from '../../../src/compiler/target.ts';
import { hostArray } from '../../../src/graph/dtype.ts';
import { isas } from '../../backends/x86/available.ts';
import { runX86Kernel } from '../../support/run-x86-kernel.ts';
import { AVX512, expected, type NamedBuffer } from './run.ts';
import { buffersOf, type Case, type Conv, convolution, matmul, Random } from './specs.ts';

const AMX: Target = { ...AVX512, l2Bytes: 2 << 20, packedProducts: { bf16: 'tiles', int8: 'tiles', f32: 'tiles' } };
/** A cache that makes several blocks of everything. */
const SMALL: Target = { ...AMX, l1Bytes: 8 << 10, l2Bytes: 128 << 10 };

type Lower = (b: LoopBuilder, p: Problem, target: Target, scratch: Scratch) => void;
const plain: Lower = (b, p, target, scratch) => lowerPanels(b, p, planOf(p, target), scratch);

/** Runs `spec` in place on `buffers`. */
function run(
  lower: Lower,
  spec: ContractSpec,
  buffers: readonly NamedBuffer[],
  { threads = 1, target = AMX }: { threads?: number; target?: Target } = {},
): void {
  const all: KernelBuffer[] = buffers.map(x => ({
    name: x.name,
    dtype: x.dtype,
    elements: x.data.length,
    access: 'readwrite',
  }));
  const b = new LoopBuilder();
  const room: Scratch['room'] = (name, dtype, elements) => all.push({ name, dtype, elements, access: 'scratch' }) - 1;
  const ahead: Inst[] = [];
  for (const [i, p] of problemsOf(spec, 16, true)!.entries()) {
    if (i > 0) b.barrier();
    lower(b, p, target, { room, kept: room, prepare: fill => ahead.push(...b.separate(fill), { op: 'barrier' }) });
  }
  const scratch = all.slice(buffers.length).map(({ dtype, elements }) => {
    const array = hostArray(dtype, elements);
    new Uint8Array(array.buffer).fill(0x7f);
    return array;
  });
  const kernel = { name: 'parts', buffers: all, body: [...ahead, ...b.instructions] };
  runX86Kernel(kernel, [...buffers.map(x => x.data), ...scratch], { isa: 'amx', threads });
}

/** Elements that are held against f64, in all. */
const CHECKED = 700;

/** Error of elements as a share of the sum of its products' sizes: the root of the mean square, and the most. */
function errors({ spec }: Case, buffers: readonly NamedBuffer[]): { mean: number; most: number } {
  const [a, b, out] = buffers.map(x => x.data);
  const all = expected(spec, a!, b!, Math.ceil(out!.length / CHECKED) | 1).map(
    ([index, sum, size]) => Math.abs(Number(out![index]) - sum) / (size || 1),
  );
  return { mean: Math.hypot(...all) / Math.sqrt(all.length), most: Math.max(...all) };
}

type Fill = (buffers: readonly NamedBuffer[], of: Case) => void;

/** Buffers of `of`, the same whenever they are made. */
function made(of: Case, fill?: Fill): NamedBuffer[] {
  const buffers = buffersOf(of, new Random(5));
  fill?.(buffers, of);
  return buffers;
}

/** Holds parts against f64, their error against that of plain sums, and one thread against several. */
function check(
  of: Case,
  { fill, target = AMX, spec = of.spec }: { fill?: Fill; target?: Target; spec?: ContractSpec } = {},
): void {
  const [ours, theirs] = [made(of, fill), made(of, fill)];
  run(lowerParts, spec, ours, { target });
  run(plain, spec, theirs, { target });
  const [mine, their] = [errors(of, ours), errors(of, theirs)];
  // Where few products are summed, both err by the last rounding.
  expect(mine.most).toBeLessThan(Math.max(1.2 * their.most, 2 ** -22.5));
  expect(mine.mean).toBeLessThanOrEqual(Math.max(1.02 * their.mean, 2 ** -24));
  sameBits(of, ours, { fill, target, spec });
}

function sameBits(
  of: Case,
  ours: readonly NamedBuffer[],
  { fill, target, spec }: { fill?: Fill | undefined; target: Target; spec: ContractSpec },
): void {
  for (const threads of [2, 3, 5]) {
    const other = made(of, fill);
    run(lowerParts, spec, other, { target, threads });
    expect(other[2]!.data).toEqual(ours[2]!.data);
  }
}

const LAYOUTS = [
  { ta: false, tb: false, tout: false },
  { ta: true, tb: false, tout: true },
  { ta: false, tb: true, tout: false },
  { ta: true, tb: true, tout: false },
];
const conv: Omit<Conv, 'kind'> = {
  images: 2, groups: 1, inputs: 5, outputs: 20, height: 9, width: 7, kernel: [3, 3], stride: 1, padding: 1, dilation: 1,
}; // biome-ignore format: a record

describe.skipIf(!isas.includes('amx'))('f32 in parts', () => {
  it.each([1, 15, 16, 17, 31, 32, 33, 61])('%i rows by odd sizes, in every layout', m => {
    for (const [i, [n, k]] of (
      [
        [1, 31],
        [16, 32],
        [33, 33],
        [70, 100],
        [37, 1],
      ] as const
    ).entries())
      check(matmul([m, n, k, 1], LAYOUTS[(i + m) % 4]!));
  });

  it.each([AMX, SMALL])('several blocks of k, a cache of $l2Bytes bytes', target => {
    for (const layout of LAYOUTS) {
      check(matmul([70, 90, 1100, 1], layout), { target });
      check(matmul([130, 33, 613, 1], layout), { target });
      check(matmul([33, 200, 64, 1], layout), { target });
    }
  });

  it('batches, and operands packed ahead', () => {
    check(matmul([40, 50, 70, 3], LAYOUTS[2]!));
    for (const layout of LAYOUTS) {
      const of = matmul([70, 90, 600, 1], layout);
      check(of, { spec: { ...of.spec, b: { ...of.spec.b, packedAhead: true } } });
      check(of, { spec: { ...of.spec, a: { ...of.spec.a, packedAhead: true } }, target: SMALL });
    }
  });

  it.each(['forward', 'inputGradient', 'weightGradient'] as const)('windows of images, %s', kind => {
    for (const stride of [1, 2])
      for (const target of [AMX, SMALL]) check(convolution({ ...conv, kind, stride })!, { target });
    check(convolution({ ...conv, kind, inputs: 33, channelsInnermost: true })!);
  });

  it('a prologue and an epilogue', () => {
    const of = matmul([37, 45, 80, 1]);
    const spec: ContractSpec = {
      ...of.spec,
      a: { ...of.spec.a, prologue: (b, x) => b.add(x, b.const('f32', 1, x.type.lanes)) },
      epilogue: (b, acc) => b.mul(acc, b.const('f32', 0.5, acc.type.lanes)),
    };
    const buffers = made(of);
    run(lowerParts, spec, buffers);
    const [a, b, out] = buffers.map(x => x.data);
    for (const [index, sum, size] of expected(
      of.spec,
      (a as Float32Array).map(x => x + 1),
      b!,
    ))
      expect(Math.abs(Number(out![index]) - sum / 2)).toBeLessThan(2 ** -22 * size);
  });

  it('the error is not larger than that of plain sums: cancelling, positive and wide numbers', () => {
    const each =
      (value: (x: number, i: number) => number): Fill =>
      ([a, b]) => {
        for (const { data } of [a!, b!]) for (let i = 0; i < data.length; i++) data[i] = value(Number(data[i]), i);
      };
    const fills: Fill[] = [
      each(Math.abs),
      each((x, i) => (i % 2 === 0 ? 1 : -1) * (1 + x / 1024)),
      each((x, i) => x * 2 ** (((i * 7) % 40) - 20)),
      each(x => x * 1e-12),
      each((x, i) => (i % 3 === 0 ? x : 0)),
    ];
    for (const fill of fills) check(matmul([64, 64, 640, 1], LAYOUTS[2]!), { fill });
  });
});

/**
 * Values that cannot be cut into parts, or whose parts would be denormal, put into one place of an operand, one line of
 * it, or everywhere.
 */
const UNUSUAL = [
  Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 3.4e38, -1.9e38, 2 ** 126, 2 ** 64, 2 ** -64, 2 ** -105, 1e-34, -1e-38, 1e-40, 2 ** -149,
]; // biome-ignore format: a list

describe.skipIf(!isas.includes('amx'))('what cannot be in parts', () => {
  const of = matmul([40, 50, 70, 1], { tb: true });
  const K = 70;
  const places: readonly (readonly [string, (value: number) => Fill])[] = (['a', 'b'] as const).flatMap((side, s) => {
    const put =
      (at: (i: number) => boolean) =>
      (value: number): Fill =>
      buffers => {
        const { data } = buffers[s]!;
        for (let i = 0; i < data.length; i++) if (at(i)) data[i] = value * (1 + (i % 5) / 8);
      };
    return [
      [`one element of ${side}`, put(i => i === 33 * K + 41)],
      [`one line of ${side}`, put(i => Math.floor(i / K) === 33)],
      [`all of ${side}`, put(() => true)],
    ] as const;
  });

  it.each(places)('%s', (_, fillWith) => {
    for (const value of UNUSUAL) {
      const fill = fillWith(value);
      const [ours, theirs] = [made(of, fill), made(of, fill)];
      run(lowerParts, of.spec, ours);
      run(plain, of.spec, theirs);
      const [x, y] = [ours[2]!.data as Float32Array, theirs[2]!.data as Float32Array];
      const sizes = expected(of.spec, ours[0]!.data, ours[1]!.data);
      for (const [index, , size] of sizes) {
        if (!Number.isFinite(y[index]!)) expect(x[index]).toBe(y[index]);
        // Of a line beside larger ones its own size counts; denormal sums have few bits.
        else expect(Math.abs(x[index]! - y[index]!)).toBeLessThanOrEqual(2 ** -19 * size + 2 ** -149 * K);
      }
      sameBits(of, ours, { fill, target: AMX, spec: of.spec });
    }
  });
});
