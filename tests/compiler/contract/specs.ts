/**
 * Support of the contraction tests: specs of matmuls and convolutions (grouped, strided, dilated, padded) with their
 * gradients, written from the definitions, and seeded values.
 */
import type { ContractOperand, ContractSpec, Role } from '../../../src/compiler/contract/index.ts';
import { type DType, type HostArray, hostArray } from '../../../src/graph/dtype.ts';
import { bf16Bits, f16Bits } from '../../../src/graph/half.ts';
import { axis } from '../../../src/graph/reindex.ts';
import type { NamedBuffer } from './run.ts';

/** A small generator of its own (Numerical Recipes' constants), so that a case is its seed. */
export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = (seed * 2654435761) >>> 0;
    for (let i = 0; i < 4; i++) this.unit();
  }
  unit(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return this.state / 2 ** 32;
  }
  /** An integer from lo to hi, both included. */
  int(lo: number, hi: number): number {
    return lo + Math.floor(this.unit() * (hi - lo + 1));
  }
  pick<T>(from: readonly T[]): T {
    return from[this.int(0, from.length - 1)]!;
  }
  values(dtype: DType, n: number): HostArray {
    const array = hostArray(dtype, n);
    for (let i = 0; i < n; i++) {
      if (dtype === 'i64') array[i] = BigInt(this.int(-9, 9)) as never;
      else if (dtype === 'i32') array[i] = this.int(-9, 9);
      else if (dtype === 'bf16') array[i] = bf16Bits(this.unit() * 2 - 1);
      else if (dtype === 'f16') array[i] = f16Bits(this.unit() * 2 - 1);
      else array[i] = this.unit() * 2 - 1;
    }
    return array;
  }
}

export interface Case {
  readonly spec: ContractSpec;
  readonly sizes: readonly [a: number, b: number, out: number];
}

/** Buffers a, b, out of a case, filled. */
export const buffersOf = ({ spec, sizes }: Case, random: Random): NamedBuffer[] => [
  { name: 'a', dtype: spec.a.dtype, data: random.values(spec.a.dtype, sizes[0]) },
  { name: 'b', dtype: spec.b.dtype, data: random.values(spec.b.dtype, sizes[1]) },
  { name: 'out', dtype: spec.out.dtype, data: hostArray(spec.out.dtype, sizes[2]) },
];

type Term = readonly [dim: number, coef: number];
const at = (terms: readonly Term[], size: number, stride: number, offset = 0, div = 1) => ({
  map: axis(terms, offset, div),
  size,
  stride,
});
const dense = (dims: readonly Term[], sizes: readonly number[]) =>
  dims.map(([d, stride]) => at([[d, 1]], sizes[d]!, stride));

/**
 * out[batch, m, n] = sum over k of a[batch, m, k] * b[batch, k, n], either operand (and the output) stored transposed.
 */
export function matmul(
  [M, N, K, batch]: readonly [number, number, number, number],
  options: { ta?: boolean; tb?: boolean; tout?: boolean; dtype?: DType } = {},
): Case {
  const { ta = false, tb = false, tout = false, dtype = 'f32' } = options;
  const sizes = [batch, M, N, K];
  const roles: Role[] = ['batch', 'm', 'n', 'k'];
  const a: Term[] = [
    [0, M * K],
    [1, ta ? 1 : K],
    [3, ta ? M : 1],
  ];
  const b: Term[] = [
    [0, K * N],
    [2, tb ? K : 1],
    [3, tb ? 1 : N],
  ];
  return {
    spec: {
      dims: sizes.map((size, i) => ({ size, role: roles[i]! })),
      a: { buffer: 0, dtype, axes: dense(a, sizes) },
      b: { buffer: 1, dtype, axes: dense(b, sizes) },
      out: { buffer: 2, dtype, strides: tout ? [M * N, 1, M, 0] : [M * N, N, 1, 0] },
    },
    sizes: [batch * M * K, batch * K * N, batch * M * N],
  };
}

export interface Conv {
  readonly kind: 'forward' | 'inputGradient' | 'weightGradient';
  readonly images: number;
  readonly groups: number;
  /** Channels per group. */
  readonly inputs: number;
  readonly outputs: number;
  readonly height: number;
  readonly width: number;
  readonly kernel: readonly [number, number];
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly dtype?: DType;
  /** Images as [height, width, images, channels] (of one group) instead of [images, channels, height, width]. */
  readonly channelsInnermost?: boolean;
}

/** A 2-d convolution or one of its gradients; null when the output would be empty. */
export function convolution(c: Conv): Case | null {
  const {
    images,
    groups,
    inputs: I,
    outputs: O,
    height: H,
    width: W,
    stride: s,
    padding: p,
    dilation: d,
    dtype = 'f32',
    channelsInnermost = false,
  } = c;
  const [R, S] = c.kernel;
  const P = Math.floor((H + 2 * p - d * (R - 1) - 1) / s) + 1;
  const Q = Math.floor((W + 2 * p - d * (S - 1) - 1) / s) + 1;
  if (P < 1 || Q < 1) return null;
  const C = groups * I;
  const K = groups * O;
  const make = (
    sizes: readonly number[],
    roles: readonly Role[],
    x: ContractOperand['axes'],
    y: ContractOperand['axes'],
    out: readonly number[],
    elements: Case['sizes'],
  ): Case => ({
    spec: {
      dims: sizes.map((size, i) => ({ size, role: roles[i]! })),
      a: { buffer: 0, dtype, axes: x },
      b: { buffer: 1, dtype, axes: y },
      out: { buffer: 2, dtype, strides: out },
    },
    sizes: elements,
  });
  const image = images * C * H * W;
  const result = images * K * P * Q;
  const weight = K * I * R * S;
  /** Strides of images of `channels` x `height` x `width`: of image, channel, row and pixel. */
  const strides = (channels: number, height: number, width: number): readonly [number, number, number, number] =>
    channelsInnermost
      ? [channels, 1, width * images * channels, images * channels]
      : [channels * height * width, height * width, width, 1];
  const [xn, xc, xh, xw] = strides(C, H, W);
  const [yn, yc, yh, yw] = strides(K, P, Q);
  if (c.kind === 'forward') {
    // g b p q o | i r s
    const sizes = [groups, images, P, Q, O, I, R, S];
    return make(
      sizes, ['batch', 'm', 'm', 'm', 'n', 'k', 'k', 'k'],
      [at([[1, 1]], images, xn), at([[0, I], [5, 1]], C, xc), at([[2, s], [6, d]], H, xh, -p), at([[3, s], [7, d]], W, xw, -p)],
      [at([[0, O], [4, 1]], K, I * R * S), at([[5, 1]], I, R * S), at([[6, 1]], R, S), at([[7, 1]], S, 1)],
      [O * yc, yn, yh, yw, yc, 0, 0, 0], [image, weight, result],
    ); // biome-ignore format: one row per operand
  }
  if (c.kind === 'inputGradient') {
    // g b h w i | o r s: dx at h gathers dy at (h + p - r d) / s
    const sizes = [groups, images, H, W, I, O, R, S];
    return make(
      sizes, ['batch', 'm', 'm', 'm', 'n', 'k', 'k', 'k'],
      [at([[1, 1]], images, yn), at([[0, O], [5, 1]], K, yc), at([[2, 1], [6, -d]], P, yh, p, s), at([[3, 1], [7, -d]], Q, yw, p, s)],
      [at([[0, O], [5, 1]], K, I * R * S), at([[4, 1]], I, R * S), at([[6, 1]], R, S), at([[7, 1]], S, 1)],
      [I * xc, xn, xh, xw, xc, 0, 0, 0], [result, weight, image],
    ); // biome-ignore format: one row per operand
  }
  // g o i r s | b p q
  const sizes = [groups, O, I, R, S, images, P, Q];
  return make(
    sizes, ['batch', 'm', 'n', 'n', 'n', 'k', 'k', 'k'],
    [at([[5, 1]], images, yn), at([[0, O], [1, 1]], K, yc), at([[6, 1]], P, yh), at([[7, 1]], Q, yw)],
    [at([[5, 1]], images, xn), at([[0, I], [2, 1]], C, xc), at([[6, s], [3, d]], H, xh, -p), at([[7, s], [4, d]], W, xw, -p)],
    [O * I * R * S, I * R * S, R * S, S, 1, 0, 0, 0], [result, image, weight],
  ); // biome-ignore format: one row per operand
}
