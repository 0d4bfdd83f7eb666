/**
 * The contraction kernel against plain JavaScript loops: role mixes, odd sizes, convolutions and their gradients, dtypes, epilogues, threads.
 */
import { describe, expect, it } from 'vitest';
import type { ContractSpec } from '../../../src/compiler/contract/index.ts';
import { hostArray } from '../../../src/graph/dtype.ts';
import { axis } from '../../../src/graph/reindex.ts';
import { expected, type NamedBuffer, runContract } from './run.ts';

let seed = 1;
const random = (): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};
export const floats = (n: number): Float32Array => Float32Array.from({ length: n }, () => random() * 2 - 1);

function check(spec: ContractSpec, buffers: NamedBuffer[], threads = 1): void {
  runContract(spec, buffers, threads);
  const out = buffers[spec.out.buffer]!.data;
  for (const [index, sum, size] of expected(spec, buffers[spec.a.buffer]!.data, buffers[spec.b.buffer]!.data)) {
    const got = Number(out[index]);
    if (!(Math.abs(got - sum) <= 1e-5 * size + 1e-30)) expect(`element ${index}: ${got}`).toBe(`${sum}`);
  }
}

const plain = (dims: readonly (readonly [number, number])[], sizes: readonly number[]) =>
  dims.map(([d, stride]) => ({ map: axis([[d, 1]]), size: sizes[d]!, stride }));

export function matmul(
  M: number,
  N: number,
  K: number,
  ta = false,
  tb = false,
): { spec: ContractSpec; buffers: NamedBuffer[] } {
  const sizes = [M, N, K];
  const spec: ContractSpec = {
    dims: [
      { size: M, role: 'm' },
      { size: N, role: 'n' },
      { size: K, role: 'k' },
    ],
    a: {
      buffer: 0,
      dtype: 'f32',
      axes: plain(
        ta
          ? [
              [0, 1],
              [2, M],
            ]
          : [
              [0, K],
              [2, 1],
            ],
        sizes,
      ),
    },
    b: {
      buffer: 1,
      dtype: 'f32',
      axes: plain(
        tb
          ? [
              [1, K],
              [2, 1],
            ]
          : [
              [1, 1],
              [2, N],
            ],
        sizes,
      ),
    },
    out: { buffer: 2, dtype: 'f32', strides: [N, 1, 0] },
  };
  return {
    spec,
    buffers: [
      { name: 'a', dtype: 'f32', data: floats(M * K) },
      { name: 'b', dtype: 'f32', data: floats(K * N) },
      { name: 'out', dtype: 'f32', data: hostArray('f32', M * N) },
    ],
  };
}

describe('matmul', () => {
  for (const [M, N, K] of [
    [1, 1, 1],
    [1, 7, 3],
    [5, 1, 9],
    [6, 8, 4],
    [7, 9, 5],
    [13, 17, 19],
    [64, 48, 33],
    [3, 100, 50],
    [100, 3, 50],
    [31, 64, 700],
  ] as const)
    for (const [ta, tb] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const)
      it(`${M} x ${N} x ${K}${ta ? ' a transposed' : ''}${tb ? ' b transposed' : ''}`, () => {
        const { spec, buffers } = matmul(M, N, K, ta, tb);
        check(spec, buffers);
      });
});
