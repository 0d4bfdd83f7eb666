/**
 * What tests of the loop IR's instructions share: awkward values of every type, and kernels that apply one formula to
 * all of them.
 */
import { expect } from 'vitest';
import { LoopBuilder } from '../../../src/compiler/loop-builder.ts';
import type { LoopKernel, Reg } from '../../../src/compiler/loops.ts';
import { bytesOf, type DType, type HostArray, hostArray } from '../../../src/graph/dtype.ts';
import type { KernelRun } from '../../support/run-kernel.ts';

export type Num = 'i32' | 'i64' | 'f32' | 'f64';
export const NUMS: readonly Num[] = ['i32', 'i64', 'f32', 'f64'];
export const INTS: readonly Num[] = ['i32', 'i64'];
export const FLOATS: readonly Num[] = ['f32', 'f64'];

/** Runs a kernel over arrays, which it may write. */
export type RunKernel = (kernel: LoopKernel, buffers: readonly HostArray[]) => KernelRun;

/** Awkward values, a multiple of four of them, so that each lane sees each kind. */
export const SAMPLES: { readonly [T in Num]: readonly (number | bigint)[] } = {
  f32: [0, -0, 1, -1, 2.5, -2.5, 3.5, 1e-40, -1e-40, 3e38, -3e38, Infinity, -Infinity, NaN, 0.1, 7e9].map(Math.fround),
  f64: [0, -0, 1, -1, 2.5, -2.5, 3.5, 1e-310, -1e-310, 1e308, -1e308, Infinity, -Infinity, NaN, 0.1, 7e20],
  i32: [0, 1, -1, 2, -2, 7, -7, 100, -100, 65536, 2 ** 31 - 1, -(2 ** 31), 31, 33, 123456789, -987654321],
  i64: [
    0n,
    1n,
    -1n,
    2n,
    -2n,
    7n,
    -7n,
    100n,
    -100n,
    1n << 32n,
    (1n << 63n) - 1n,
    -(1n << 63n),
    63n,
    65n,
    1234567890123456789n,
    -987654321987n,
  ],
};

export const array = (type: DType, values: readonly (number | bigint)[]): HostArray => {
  const out = hostArray(type, values.length);
  for (const [i, v] of values.entries()) (out as { [i: number]: number | bigint })[i] = v;
  return out;
};

/** Every sample with every other, padded to whole vectors. */
export function pairs(type: Num, keep: (a: number | bigint, b: number | bigint) => boolean = () => true) {
  const a: (number | bigint)[] = [];
  const b: (number | bigint)[] = [];
  for (const x of SAMPLES[type])
    for (const y of SAMPLES[type])
      if (keep(x, y)) {
        a.push(x);
        b.push(y);
      }
  while (a.length % 16 !== 0) {
    a.push(a[0]!);
    b.push(b[0]!);
  }
  return { a, b };
}

export type Any = number | bigint;
export const f = (fn: (x: number) => number) => (x: Any) => fn(x as number);
export const nearest = (x: number): number => {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x;
  const down = Math.floor(x);
  const rest = x - down;
  const even = down % 2 === 0 ? down : down + 1;
  const r = rest < 0.5 ? down : rest > 0.5 ? down + 1 : even;
  return r === 0 && (x < 0 || Object.is(x, -0)) ? -0 : r;
};
/** Wraps to the type; JavaScript's own typed arrays do that on writing, and bigint needs it before comparisons only. */
export const wrap = (type: Num, x: Any): Any =>
  typeof x === 'bigint' ? BigInt.asIntN(64, x) : type === 'i32' ? x | 0 : type === 'f32' ? Math.fround(x) : x;
export const unsigned = (type: Num, x: Any): bigint => BigInt.asUintN(type === 'i64' ? 64 : 32, BigInt(x));

/** A backend's way of running kernels, on vectors of `vectorBytes` bytes. */
export interface Subject {
  readonly runKernel: RunKernel;
  readonly vectorBytes: number;
  /** Lane counts a type may have; f32 and i32 also come as half vectors. */
  lanesOf(type: DType): readonly number[];
  /** Applies `make` to vectors of the inputs and stores what it returns; checks every element against `expected`. */
  check(
    name: string,
    inputs: readonly (readonly [DType, readonly (number | bigint)[]])[],
    output: DType,
    lanes: number,
    make: (b: LoopBuilder, values: readonly Reg[]) => Reg,
    expected: (...values: (number | bigint)[]) => number | bigint,
  ): void;
}

export function subject(runKernel: RunKernel, vectorBytes: number): Subject {
  const lanesOf = (type: DType): readonly number[] =>
    bytesOf(type) === 8 ? [1, vectorBytes / 8] : [1, vectorBytes / 8, vectorBytes / 4];

  function check(
    name: string,
    inputs: readonly (readonly [DType, readonly (number | bigint)[]])[],
    output: DType,
    lanes: number,
    make: (b: LoopBuilder, values: readonly Reg[]) => Reg,
    expected: (...values: (number | bigint)[]) => number | bigint,
  ): void {
    const n = inputs[0]![1].length;
    const b = new LoopBuilder();
    b.for(0, n, lanes, i => {
      const values = inputs.map(([type], k) => b.load(type, b.addr(k, i), 0, lanes));
      b.store(output, b.addr(inputs.length, i), make(b, values));
    });
    const kernel: LoopKernel = {
      name,
      buffers: [
        ...inputs.map(([dtype], k) => ({ name: `in${k}`, dtype, elements: n, access: 'read' as const })),
        { name: 'out', dtype: output, elements: n, access: 'write' as const },
      ],
      body: b.instructions,
    };
    const arrays = inputs.map(([type, values]) => array(type, values));
    const got = hostArray(output, n);
    runKernel(kernel, [...arrays, got]);
    const want = array(
      output,
      Array.from({ length: n }, (_, i) => expected(...arrays.map(a => a[i]!))),
    );
    for (let i = 0; i < n; i++) {
      if (Object.is(got[i], want[i])) continue;
      expect.fail(`${name} x${lanes}: of ${arrays.map(a => a[i])} came ${got[i]}, expected ${want[i]}`);
    }
  }
  return { runKernel, vectorBytes, lanesOf, check };
}
