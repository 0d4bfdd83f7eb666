/**
 * Contractions of f32 in three parts of bf16 on matrix registers (AMX): against sums in f64, beside the loop of multiply-adds, whose error is not exceeded; layouts, borders, blocks of k, and what
 * cannot be cut into parts.
 */
import { describe, expect, it } from 'vitest';
import type { ContractSpec } from '../../../src/compiler/contract/index.ts';
import { lowerParts } from '../../../src/compiler/contract/packed/index.ts';
import { lowerPanels } from '../../../src/compiler/contract/panels.ts';
import { planOf } from '../../../src/compiler/contract/plan.ts';
import { type Problem, problemsOf } from '../../../src/compiler/contract/problem.ts';
import type { Scratch } from '../../../src/compiler/contract/spec.ts';
import { type Inst, type KernelBuffer, LoopBuilder } from '../../../src/compiler/loops.ts';
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

/** Error of every element as a share of the sum of its products' sizes: the root of the mean square, and the most. */
function errors({ spec }: Case, buffers: readonly NamedBuffer[]): { mean: number; most: number } {
  const [a, b, out] = buffers.map(x => x.data);
  const all = expected(spec, a!, b!).map(([index, sum, size]) => Math.abs(Number(out![index]) - sum) / (size || 1));
  return { mean: Math.hypot(...all) / Math.sqrt(all.length), most: Math.max(...all) };
}

/** Holds parts against f64 and against plain sums, and one thread against several. */
function check(of: Case, fill?: (buffers: readonly NamedBuffer[]) => void, target = AMX): void {
  const make = (): NamedBuffer[] => {
    const buffers = buffersOf(of, new Random(5));
    fill?.(buffers);
    return buffers;
  };
  const [ours, theirs] = [make(), make()];
  run(lowerParts, of.spec, ours, { target });
  run(plain, of.spec, theirs, { target });
  const [mine, their] = [errors(of, ours), errors(of, theirs)];
  expect(mine.most).toBeLessThan(Math.max(1.2 * their.most, 2 ** -23));
  expect(mine.mean).toBeLessThanOrEqual(Math.max(1.02 * their.mean, 2 ** -24));
  for (const threads of [2, 3, 5]) {
    const other = make();
    run(lowerParts, of.spec, other, { target, threads });
    expect(other[2]!.data).toEqual(ours[2]!.data);
  }
}

const SIZES = [1, 15, 16, 17, 31, 32, 33, 61];
const conv: Omit<Conv, 'kind'> = {
  images: 2, groups: 1, inputs: 5, outputs: 20, height: 9, width: 7, kernel: [3, 3], stride: 1, padding: 1, dilation: 1,
}; // biome-ignore format: a record

describe.skipIf(!isas.includes('amx'))('f32 in parts', () => {
  it.each(SIZES)('%i rows by odd sizes, in every layout', m => {
    for (const n of [1, 16, 33, 70])
      for (const k of [1, 31, 32, 33, 100])
        for (const [ta, tb, tout] of [
          [false, false, false],
          [true, false, true],
          [false, true, false],
          [true, true, false],
        ] as const)
          check(matmul([m, n, k, 1], { ta, tb, tout }));
  });

  it.each([AMX, SMALL])('several blocks of k', target => {
    for (const [ta, tb] of [
      [false, false],
      [true, true],
    ] as const) {
      check(matmul([70, 90, 1100, 1], { ta, tb }), undefined, target);
      check(matmul([130, 33, 613, 1], { ta, tb }), undefined, target);
    }
  });
});
