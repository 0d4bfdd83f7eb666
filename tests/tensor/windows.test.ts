/**
 * Windows for spectra, grids of affine maps and draws from categories, against figures of PyTorch 1.13 or what defines
 * them.
 */
import { expect, test } from 'vitest';
import '../support/backend.ts';
import {
  bartlettWindow,
  blackmanWindow,
  functional,
  grad,
  hammingWindow,
  hannWindow,
  kaiserWindow,
  manualSeed,
  promoteTypes,
  resultType,
  Tensor,
  type WindowOptions,
  zeros,
} from '../../src/index.ts';

const F64 = { dtype: 'f64' } as const;

function expectNear(got: Tensor, want: readonly number[]): void {
  const values = Array.from(got.data(), Number);
  expect(values).toHaveLength(want.length);
  values.forEach((value, i) => {
    expect(value).toBeCloseTo(want[i]!, 9);
  });
}

test.each<[string, (n: number, options: WindowOptions) => Tensor, number[], number[]]>([
  ['bartlett', bartlettWindow, [0, 0.4, 0.8, 0.8, 0.4], [0, 0.6666666667, 0.6666666667, 0]],
  ['hann', hannWindow, [0, 0.3454915028, 0.9045084972, 0.9045084972, 0.3454915028], [0, 0.75, 0.75, 0]],
  ['hamming', hammingWindow, [0.08, 0.3978521826, 0.9121478174, 0.9121478174, 0.3978521826], [0.08, 0.77, 0.77, 0.08]],
  ['blackman', blackmanWindow, [0, 0.2007701433, 0.8492298567, 0.8492298567, 0.2007701433], [0, 0.63, 0.63, 0]],
  ['kaiser', kaiserWindow, [5.27734e-5, 0.1017196877, 0.7929398341, 0.7929398341, 0.1017196877], [5.27734e-5, 0.5188447217, 0.5188447217, 5.27734e-5]],
])('the %s window, periodic and symmetric', (name, window, periodic, symmetric) => {
  const values = (x: Tensor): number[] => Array.from(x.data(), Number);
  expectNear(window(5, F64), periodic);
  expectNear(window(4, { ...F64, periodic: false }), symmetric);
  expect(window(3, {}).dtype).toBe('f32');
  expect([values(window(0, {})), values(window(1, {}))]).toEqual([[], [1]]);
  expect(() => window(-1, {})).toThrow(`${name}Window: windowLength`);
}); // biome-ignore format: a table

test('windows with parameters of their own', () => {
  expectNear(hammingWindow(4, { ...F64, alpha: 0.6, beta: 0.4 }), [0.2, 0.6, 1, 0.6]);
  expectNear(kaiserWindow(4, { ...F64, beta: 2.5 }), [0.3039662294153687, 0.779166974770787, 1, 0.779166974770787]);
});

test('affine grids', () => {
  const theta = Tensor.from([1, 0.5, 0.25, -0.5, 1, 0], { shape: [1, 2, 3], dtype: 'f64' });
  const edges = [-4, -1, 0, -3, 4, -5, -1, 5, 3, 3, 7, 1].map(v => v / 6);
  expectNear(functional.affineGrid(theta, [1, 3, 2, 3]), edges);
  const corners = [-1.25, -0.5, -0.25, -1, 0.75, -1.5, -0.25, 1.5, 0.75, 1, 1.75, 0.5];
  expectNear(functional.affineGrid(theta, [1, 3, 2, 3], { alignCorners: true }), corners);
  const solid = Tensor.from(Float64Array.from({ length: 12 }, (_, i) => i / 4), { shape: [1, 3, 4] });
  expectNear(functional.affineGrid(solid, [1, 1, 2, 1, 2]), [0.5, 0.5, 0.5, 0.5, 1.5, 2.5, 1, 2, 3, 1, 3, 5]);
  expect(() => functional.affineGrid(theta, [2, 3, 2, 3])).toThrow('affineGrid: theta: expected [2, 2, 3], got [1, 2, 3]');
}); // biome-ignore format: figures

test('the Gumbel softmax draws categories as often as they are probable, and has a gradient', () => {
  manualSeed(3);
  const logits = Tensor.from([0.2, 0.3, 0.5]).log().expand([20_000, 3]);
  const drawn = functional.gumbelSoftmax(logits, { hard: true });
  expect(drawn.sum(1).sub(1).abs().amax().item()).toBeLessThan(1e-6);
  const share = drawn.mean(0).data();
  [0.2, 0.3, 0.5].forEach((p, i) => {
    expect(Math.abs(Number(share[i]) - p)).toBeLessThan(0.015);
  });
  const slope = grad((x: Tensor) => functional.gumbelSoftmax(x, { hard: true, tau: 2 }).select(0, 0))(zeros([3]));
  expect(slope.sum().item()).toBeCloseTo(0, 5);
  expect(slope.abs().amax().item()).toBeGreaterThan(0);
  expect(() => functional.gumbelSoftmax(logits, { tau: 0 })).toThrow('gumbelSoftmax: tau');
});

test('types that meet', () => {
  expect(promoteTypes('bf16', 'f16')).toBe('f32');
  expect([resultType(zeros([2]).to('f16'), 2.5), resultType(zeros([2], { dtype: 'i32' }), zeros([], F64))]).toEqual(['f16', 'f64']);
}); // biome-ignore format: short
