/**
 * Special functions against figures of mpmath, in f64 and f32, and their derivatives against finite differences.
 */
import { describe, expect, it, test } from 'vitest';
import { grad, special, Tensor, tensor } from '../../src/index.ts';
import { FIGURES } from './special-figures.ts';

type Special = (...args: (Tensor | number)[]) => Tensor;
const functions = special as unknown as { readonly [name: string]: Special };

/** Relative error in f64; beside zeros and where exponents cancel it is larger. */
const LOOSE: { readonly [name: string]: number } = {
  gammainc: 2e-11,
  gammaincc: 2e-11,
  besselJ0: 2e-12,
  besselJ1: 2e-12,
  airyAi: 5e-13,
  ndtr: 1e-13,
};

const call = (name: string, args: readonly number[], dtype: 'f32' | 'f64'): number => {
  const tensors = args.map(x => Tensor.from(x, { dtype }));
  // The order of polygamma is a number.
  return (name === 'polygamma' ? functions[name]!(args[0]!, tensors[1]!) : functions[name]!(...tensors)).item();
};

describe.each(Object.keys(FIGURES))('%s', name => {
  it('has the figures of mpmath', () => {
    for (const [arg, expected] of FIGURES[name]!) {
      const args = typeof arg === 'number' ? [arg] : arg;
      const got = call(name, args, 'f64');
      const error = Math.abs(got - expected) / Math.abs(expected);
      expect(error, `${name}(${args}) = ${got}, expected ${expected}`).toBeLessThanOrEqual(LOOSE[name] ?? 2e-14);
    }
  });
});

it('derivatives agree with finite differences in f64', () => {
  const points: { readonly [name: string]: readonly number[] } = {
    i0: [-3.2, 0.7, 9.5],
    i0e: [-3.2, 0.7, 9.5],
    i1: [-3.2, 0.7, 9.5],
    i1e: [-3.2, 0.7, 9.5],
    modifiedBesselK0: [0.7, 3.1],
    modifiedBesselK1: [0.7, 3.1],
    scaledModifiedBesselK0: [0.7, 3.1],
    scaledModifiedBesselK1: [0.7, 3.1],
    besselJ0: [-3.2, 0.7, 9.5],
    besselJ1: [-3.2, 0.7, 9.5],
    besselY0: [0.7, 9.5],
    besselY1: [0.7, 9.5],
    sphericalBesselJ0: [0.05, 2.5],
    erfcx: [-1.2, 0.4, 3],
    erfc: [-1.2, 0.4, 3],
    ndtr: [-1.2, 0.4, 3],
    logNdtr: [-5.5, -0.5, 1.4],
    ndtri: [0.1, 0.4, 0.9],
  };
  const step = 1e-5;
  for (const [name, xs] of Object.entries(points)) {
    const fn = functions[name]!;
    for (const x of xs) {
      const at = (y: number): number => fn(Tensor.from(y, { dtype: 'f64' })).item();
      const slope = grad((y: Tensor) => fn(y))(Tensor.from(x, { dtype: 'f64' })).item();
      const expected = (at(x + step) - at(x - step)) / (2 * step);
      expect(Math.abs(slope - expected), `${name} at ${x}`).toBeLessThanOrEqual(1e-8 * Math.max(1, Math.abs(expected)));
    }
  }
});

test('derivatives of sinc keep their digits near 0, and are there at 0', () => {
  const slope = grad((x: Tensor) => x.sinc().sum());
  // Its series: 1 - (pi x)^2 / 6 + (pi x)^4 / 120.
  for (const x of [1e-3, -1e-4, 1e-6])
    expect(slope(Tensor.from(x, { dtype: 'f32' })).item() / ((-(Math.PI ** 2) / 3) * x)).toBeCloseTo(1, 5);
  const second = grad((x: Tensor) => slope(x).sum());
  expect(second(Tensor.from(0, { dtype: 'f64' })).item()).toBeCloseTo(-(Math.PI ** 2) / 3, 14);
  // Where series and quotient meet, at 1 / pi.
  for (const x of [0.31830988, 0.318309887, -0.4, 2.5])
    expect(Tensor.from(x, { dtype: 'f64' }).sinc().item()).toBeCloseTo(Math.sin(Math.PI * x) / (Math.PI * x), 15);
});

test('sinc is 0 at whole numbers, and has its digits beside large ones', () => {
  const at = (x: number): number => Tensor.from(x, { dtype: 'f32' }).sinc().item();
  for (const x of [1, -2, 37, 2 ** 20, 2 ** 30]) expect(at(x)).toBeCloseTo(0, 40);
  // sin(pi / 4) and -sin(pi / 4) over pi x.
  for (const [x, sign] of [
    [1000.25, 1],
    [100_001.25, -1],
    [-100_000.25, 1],
  ] as const)
    expect((at(x) * Math.PI * Math.abs(x)) / (sign * Math.SQRT1_2)).toBeCloseTo(1, 6);
  expect(at(Number.POSITIVE_INFINITY)).toBeNaN();
});

test('logaddexp keeps what is far below 1', () => {
  const [a, b] = [tensor([0, -30, 0]), tensor([-20, 0, 0])];
  // log(1 + e^-20), log(1 + e^-30), log 2; and of powers of 2.
  const naturals = [2.061153620314381e-9, 9.357622968839299e-14, Math.LN2];
  const binary = [1.375860550841138e-6, 2 ** -30 / Math.LN2, 1];
  [...a.logaddexp(b).data()].forEach((value, i) => void expect(Number(value) / naturals[i]!).toBeCloseTo(1, 6));
  [...a.logaddexp2(b).data()].forEach((value, i) => void expect(Number(value) / binary[i]!).toBeCloseTo(1, 6));
  const slopes = grad((x: Tensor) => x.logaddexp(b).sum())(a).data();
  [1, 9.357622968839e-14, 0.5].forEach((value, i) => void expect(Number(slopes[i]) / value).toBeCloseTo(1, 6));
  const ends = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
  const both = (x: number, y: number): number =>
    tensor([x])
      .logaddexp(tensor([y]))
      .item();
  expect(ends.map(x => both(x, x))).toEqual(ends);
  expect(ends.map(x => both(x, 3))).toEqual([Number.POSITIVE_INFINITY, 3, Number.NaN]);
});

test('logcumsumexp holds where elements are further apart than the range of exp', () => {
  const x = tensor([-900, 0, 300, 300, -50]);
  // Sums of exponentials: the largest so far, and log 2 more where it stands twice.
  const want = [-900, 0, 300, 300 + Math.log(2), 300 + Math.log(2)];
  [...x.logcumsumexp(0).data()].forEach((value, i) => void expect(value).toBeCloseTo(want[i]!, 3));
  // Each sum's share of element 2 is 0, 0, 1, 1/2, 1/2; of element 0 it is 1 in the first alone.
  const slopes = grad((y: Tensor) => y.logcumsumexp(0).sum())(x).data();
  [1, 1, 2, 1, 0].forEach((value, i) => void expect(slopes[i]).toBeCloseTo(value, 5));
});
