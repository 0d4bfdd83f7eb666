/**
 * Contractions of narrow types on words of packed elements: tiles (AMX) and dot products (AVX512_BF16, VNNI), against
 * f64 (i32) products by the plain schedules, over layouts, odd sizes, several blocks of k and every convolution
 * gradient.
 */
import { describe, expect, it } from 'vitest';
import { createWasmBackend } from '../../../src/backends/wasm/index.ts';
import { createX86Backend } from '../../../src/backends/x86/index.ts';
import type { Backend } from '../../../src/compiler/program.ts';
import type { HostArray } from '../../../src/graph/dtype.ts';
import { type DType, F, manualSeed, randint, randn, type Tensor, vjp } from '../../../src/index.ts';
import { programOf } from '../../compiler/support.ts';
import { isas } from './available.ts';

/** Runs what `tensors` are on a backend, on so many threads. */
function run(backend: Backend, tensors: readonly Tensor[], threads: number): HostArray[] {
  const program = programOf(tensors.map(t => t.node));
  const bindings = program.leaves.map(leaf => (leaf.is('variable') ? leaf.attrs.variable : leaf.value!));
  backend.threads = threads;
  const executable = backend.compile(program);
  try {
    return executable.run(bindings);
  } finally {
    executable.free();
  }
}

/** Machine code without such words, which other tests hold against the reference. */
const oracle = isas.length > 0 ? createX86Backend({ isa: 'avx2' }) : createWasmBackend();

/** A tensor that has its value, so that it is a leaf of every program. */
const leaf = (x: Tensor): Tensor => {
  x.data();
  return x;
};
const random = (shape: readonly number[], dtype: DType): Tensor =>
  leaf(
    dtype === 'bf16'
      ? randn(shape).to('bf16')
      : randint(dtype === 'u8' ? 0 : -128, dtype === 'u8' ? 256 : 128, shape).to(dtype),
  );

/** `narrow` on the backend for one and two threads (to the bit), against `exact` on the reference. */
function check(backend: Backend, narrow: Tensor[], exact: Tensor[], tolerance: number): void {
  const one = run(backend, narrow, 1);
  expect(run(backend, narrow, 2)).toEqual(one);
  const want = run(oracle, exact, 1);
  for (const [i, values] of want.entries()) {
    let scale = 1e-30;
    for (const x of values) scale = Math.max(scale, Math.abs(Number(x)));
    for (let k = 0; k < values.length; k++) {
      const off = Math.abs(Number(one[i]![k]) - Number(values[k]));
      if (!(off <= tolerance * scale)) expect.fail(`output ${i}: element ${k} is ${one[i]![k]}, expected ${values[k]}`);
    }
  }
}

const SIZES = [
  [64, 64, 64],
  [33, 65, 100],
  [17, 40, 37],
  [5, 300, 64],
  [130, 33, 1100],
  [40, 96, 2100],
] as const;
const CONVOLUTIONS = [
  { images: 2, inputs: 16, outputs: 20, size: 16, kernel: 3, stride: 1, padding: 1 },
  { images: 2, inputs: 8, outputs: 16, size: 14, kernel: 3, stride: 2, padding: 1 },
  { images: 3, inputs: 16, outputs: 32, size: 8, kernel: 3, stride: 1, padding: 1 },
  { images: 2, inputs: 32, outputs: 16, size: 4, kernel: 1, stride: 1, padding: 0 },
  { images: 2, inputs: 3, outputs: 16, size: 15, kernel: 7, stride: 2, padding: 3 },
] as const;

describe.each(isas.filter(isa => isa !== 'avx2'))('%s', isa => {
  const backend = createX86Backend({ isa, allThreads: true });

  // Sums of exact products, in f32: the order of additions is all that differs.
  it.each(SIZES)('bf16 products of [%i, %i, %i] in every layout', (m, n, k) => {
    manualSeed(3);
    for (const [ta, tb] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]) {
      const [a, b] = [random(ta ? [k, m] : [m, k], 'bf16'), random(tb ? [n, k] : [k, n], 'bf16')];
      const product = (of: DType): Tensor => {
        const [x, y] = [a.to(of), b.to(of)];
        return (ta ? x.t() : x).matmul(tb ? y.t() : y);
      };
      check(backend, [product('f32')], [product('f64')], 1e-5);
    }
  });

  it('bf16 rows that lie apart, in batches, at odd places', () => {
    manualSeed(8);
    const [a, w] = [random([3, 48, 2100], 'bf16'), random([3, 2051, 40], 'bf16')];
    const product = (of: DType, first: number, count: number): Tensor => {
      const rows = a.to(of).narrow(2, first, count);
      return rows.matmul(w.to(of).narrow(1, first, count));
    };
    for (const [first, count] of [
      [0, 64],
      [1, 2050],
      [3, 101],
    ] as const)
      check(backend, [product('f32', first, count)], [product('f64', first, count)], 1e-5);
  });

  it('a bf16 result is rounded once, also behind what follows', () => {
    manualSeed(4);
    const [a, b, c] = [random([40, 70], 'bf16'), random([70, 50], 'bf16'), random([50], 'bf16')];
    const rounded = a.to('f64').matmul(b.to('f64')).to('bf16');
    check(backend, [a.matmul(b).to('f32')], [rounded.to('f32')], 8e-3);
    check(backend, [a.matmul(b).add(c).relu().to('f32')], [rounded.add(c).relu().to('f32')], 8e-3);
  });

  it.each(CONVOLUTIONS)(
    'bf16 convolution and its gradients: $inputs to $outputs channels, $kernel x $kernel on $size',
    of => {
      manualSeed(5);
      const { images, inputs, outputs, size, kernel, stride, padding } = of;
      const [x, w] = [random([images, inputs, size, size], 'bf16'), random([outputs, inputs, kernel, kernel], 'bf16')];
      const side = Math.floor((size + 2 * padding - kernel) / stride) + 1;
      const up = random([images, outputs, side, side], 'bf16');
      const results = (dtype: DType): Tensor[] => {
        const [y, pullback] = vjp(
          (p: Tensor, q: Tensor) => F.conv2d(p, q, null, { stride, padding }),
          x.to(dtype),
          w.to(dtype),
        );
        return [y, ...pullback(up.to(dtype))].map(t => t.to('f64'));
      };
      check(backend, results('bf16'), results('f64'), 8e-3);
    },
  );

  it.each([
    ['i8', 'i8'],
    ['i8', 'u8'],
    ['u8', 'i8'],
    ['u8', 'u8'],
  ] as const)('%s by %s, summed in i32, exactly', (p, q) => {
    manualSeed(6);
    for (const [m, n, k] of [
      [64, 48, 64],
      [33, 37, 101],
      [20, 40, 2100],
    ] as const)
      for (const transposed of [false, true]) {
        const a = random([m, k], p);
        const b = transposed ? random([n, k], q).t() : random([k, n], q);
        const product = a.to('i32').matmul(b.to('i32'));
        check(backend, [product], [product], 0);
      }
    const [x, w] = [random([2, 12, 9, 9], p), random([20, 12, 3, 3], q)];
    const y = F.conv2d(x.to('i32'), w.to('i32'), null, { padding: 1 });
    check(backend, [y], [y], 0);
  });
});
