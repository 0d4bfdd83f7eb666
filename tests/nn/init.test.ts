/**
 * Initialisers: bounds, moments and PyTorch's defaults for layers. Samples are large enough that a right one fails once
 * in a million seeds, and the seed is fixed.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import * as nn from '../../src/nn/index.ts';
import { eye, manualSeed, Parameter, type Tensor, zeros } from '../../src/tensor/index.ts';

const { init } = nn;

function moments(tensor: Tensor): { mean: number; std: number; min: number; max: number } {
  const data = Array.from(tensor.data() as Float32Array);
  const mean = data.reduce((a, x) => a + x, 0) / data.length;
  const std = Math.sqrt(data.reduce((a, x) => a + (x - mean) ** 2, 0) / data.length);
  return { mean, std, min: Math.min(...data), max: Math.max(...data) };
}

beforeEach(() => {
  manualSeed(7);
});

/** Uniform in [-bound, bound]: mean 0, deviation bound / sqrt(3), and both ends nearly reached. */
function expectUniform(tensor: Tensor, bound: number): void {
  const { mean, std, min, max } = moments(tensor);
  const tolerance = (5 * bound) / Math.sqrt(3 * tensor.numel());
  expect(Math.abs(mean)).toBeLessThan(tolerance);
  expect(Math.abs(std - bound / Math.sqrt(3))).toBeLessThan(tolerance);
  expect(min).toBeGreaterThanOrEqual(-bound);
  expect(max).toBeLessThanOrEqual(bound);
  expect(max - min).toBeGreaterThan(1.9 * bound);
}

function expectNormal(tensor: Tensor, mean: number, std: number): void {
  const found = moments(tensor);
  const tolerance = (5 * std) / Math.sqrt(tensor.numel());
  expect(Math.abs(found.mean - mean)).toBeLessThan(tolerance);
  expect(Math.abs(found.std - std)).toBeLessThan(tolerance);
}

it('a layer without inputs has a bias of 0, as in PyTorch', () => {
  expect([...new nn.Linear(0, 3).bias!.data()]).toEqual([0, 0, 0]);
});

describe('initialisers', () => {
  const weight = () => init.blank([64, 32, 3]);
  // Fans of [64, 32, 3]: in 96, out 192.
  it('xavier', () => {
    expectUniform(init.xavierUniform_(weight()), Math.sqrt(6 / (96 + 192)));
    expectNormal(init.xavierNormal_(weight(), 2), 0, 2 * Math.sqrt(2 / (96 + 192)));
  });

  it('kaiming', () => {
    expectUniform(init.kaimingUniform_(weight(), { a: Math.sqrt(5) }), 1 / Math.sqrt(96));
    const outward = Math.sqrt(2 / 192);
    expectNormal(init.kaimingNormal_(weight(), { mode: 'fanOut', nonlinearity: 'relu' }), 0, outward);
    expectNormal(init.kaimingNormal_(weight(), { mode: 'fan_out', nonlinearity: 'leaky_relu' }), 0, outward);
  });

  it('constants and plain distributions', () => {
    expect(init.constant_(init.blank([2]), 3).toArray()).toEqual([3, 3]);
    expectUniform(init.uniform_(weight(), -2, 2), 2);
    expectNormal(init.normal_(weight(), 5, 0.1), 5, 0.1);
  });

  it('truncated normal stays inside and has the deviation of the truncated law', () => {
    const { mean, std, min, max } = moments(init.truncNormal_(weight(), 0, 1, -2, 2));
    expect([min >= -2, max <= 2]).toEqual([true, true]);
    expect(Math.abs(mean)).toBeLessThan(0.06);
    // Variance of a standard normal cut at ±2: 1 - 4 φ(2) / (2 Φ(2) - 1) = 0.7737.
    expect(Math.abs(std - Math.sqrt(0.7737))).toBeLessThan(0.04);
  });

  it('fans need a matrix', () => {
    expect(() => init.kaimingNormal_(init.blank([3]))).toThrow('init: a weight of at least 2 dimensions is needed');
  });
});

describe('defaults of layers', () => {
  it('linear and convolution', () => {
    const linear = new nn.Linear(100, 200);
    expectUniform(linear.weight, 0.1);
    expectUniform(linear.bias!, 0.1);
    const conv = new nn.Conv2d(25, 40, 2);
    expectUniform(conv.weight, 0.1);
    expect(moments(conv.bias!).max).toBeLessThanOrEqual(0.1);
  });

  it('embedding, recurrent, attention', () => {
    const embedding = new nn.Embedding(300, 20, { paddingIdx: -1 });
    expectNormal(embedding.weight.narrow(0, 0, 299), 0, 1);
    expect(moments(embedding.weight.narrow(0, 299, 1))).toEqual({ mean: 0, std: 0, min: 0, max: 0 });
    expectUniform((new nn.LSTM(30, 25).stateDict() as Record<string, Tensor>)['weight_ih_l0']!, 0.2);
    const attention = new nn.MultiheadAttention(48, 4);
    expectUniform(attention.inProjWeight!, Math.sqrt(6 / (48 + 144)));
    expect(moments(attention.inProjBias!).max).toBe(0);
  });

  it('a seed gives the same weights', () => {
    const first = new nn.Linear(3, 3).weight.toArray();
    manualSeed(7);
    expect(new nn.Linear(3, 3).weight.toArray()).toEqual(first);
  });
});

describe('matrices of a kind', () => {
  const filled = (shape: readonly number[], fill: (p: Parameter) => Parameter): Parameter =>
    fill(new Parameter(zeros(shape)));

  it('eye_ and dirac_ pass things on', () => {
    expect(filled([2, 3], init.eye_).toArray()).toEqual([[1, 0, 0], [0, 1, 0]]); // biome-ignore format: a matrix
    // The places of PyTorch's ones, for two groups.
    const dirac = filled([4, 3, 3], p => init.dirac_(p, 2));
    const places = [[0, 0, 1], [1, 1, 1], [2, 0, 1], [3, 1, 1]]; // biome-ignore format: a matrix
    expect(dirac.nonzero().toArray()).toEqual(places);
    expect(() => filled([3, 3, 3], p => init.dirac_(p, 2))).toThrow('init.dirac_: groups 2 do not divide');
    expect(() => filled([3], init.eye_)).toThrow('init.eye_: a matrix is expected, [3] came');
  });

  it('orthogonal_ has orthonormal rows or columns', () => {
    const wide = filled([3, 2, 4], p => init.orthogonal_(p, 2)).flatten(1);
    expect(wide.matmul(wide.mT).sub(eye(3, 3).mul(4)).abs().amax().item()).toBeLessThan(1e-5);
    const tall = filled([6, 3], init.orthogonal_);
    expect(tall.mT.matmul(tall).sub(eye(3, 3)).abs().amax().item()).toBeLessThan(1e-5);
  });

  it('sparse_ leaves so many zeros in every column', () => {
    const zerosOf = filled([10, 4], p => init.sparse_(p, 0.25))
      .eq(0)
      .sum(0);
    expect(zerosOf.toArray()).toEqual([3, 3, 3, 3]);
  });
});
