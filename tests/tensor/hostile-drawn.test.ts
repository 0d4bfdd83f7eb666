/**
 * Indices, offsets, lengths, places and coordinates drawn from what data can hold (negative, just outside, 2^31, 2^53,
 * NaN, infinities), for everything that takes one: as a call and compiled, the outcome is the reference backend's, a
 * value or an error. Between guard pages (the project x86-guard) an access outside ends the process. More cases with
 * TENON_FUZZ.
 */
import { afterEach, describe, expect, it } from 'vitest';
import '../support/backend.ts';
import {
  compile,
  cond,
  F,
  manualSeed,
  onesLike,
  randn,
  scan,
  setBackend,
  Tensor,
  vjp,
  whileLoop,
} from '../../src/index.ts';
import { Random } from '../fuzz/random.ts';

const CASES = Number(process.env['TENON_FUZZ'] ?? 12);
const own = process.env['TENON_BACKEND'] ?? 'reference';
afterEach(() => setBackend(own));

/** What a case is made of: values that are drawn before any backend sees them, then given to the function. */
interface Case {
  readonly inputs: readonly Tensor[];
  readonly of: (...inputs: Tensor[]) => Tensor | readonly Tensor[];
  /** Where the shape of the result depends on data, so that it cannot be compiled. */
  readonly eager?: boolean;
}

const WIDE = [
  2n ** 31n - 1n,
  2n ** 31n,
  -(2n ** 31n) - 1n,
  2n ** 32n,
  2n ** 32n + 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  -(2n ** 63n),
];
const HOSTILE_FLOATS = [
  Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, -3e38, 2 ** 31, -(2 ** 31), 2 ** 63, 1e-45, -0, 1.0000001, -1.0000001,
]; // biome-ignore format: a table

class Draw {
  readonly r: Random;

  constructor(seed: number) {
    this.r = new Random(seed);
  }

  /** Integers for places in [-n, n): all of them good in half of the cases, else one that may be anything. */
  index(shape: readonly number[], n: number, least = -n): Tensor {
    const { r } = this;
    const size = shape.reduce((a, b) => a * b, 1);
    const values = Array.from({ length: size }, () => BigInt(least + r.int(n - least)));
    if (size > 0 && r.once(2))
      values[r.int(size)] = r.pick([...WIDE, BigInt(n), BigInt(least - 1), BigInt(-n - 1), BigInt(n + r.int(70))]);
    const dtype = r.once(3) ? r.pick(['i32', 'u8', 'i8'] as const) : 'i64';
    return Tensor.from(BigInt64Array.from(values), { shape }).to(dtype);
  }

  floats(shape: readonly number[]): Tensor {
    const size = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: size }, () =>
      this.r.once(3) ? this.r.pick(HOSTILE_FLOATS) : this.r.int(400) / 100 - 2,
    );
    return Tensor.from(values, { shape });
  }

  normal(shape: readonly number[]): Tensor {
    return randn(shape);
  }
}

/** The result, and the gradients of the first input, which is a float. */
const withGradient =
  (of: (...inputs: Tensor[]) => Tensor): Case['of'] =>
  (x, ...rest) => {
    const [y, pullback] = vjp((input: Tensor) => of(input, ...rest), x!);
    return [y, pullback(onesLike(y))[0]!];
  };

const SIZES = [1, 2, 7, 16, 33] as const;

const OPERATIONS: { readonly [name: string]: (d: Draw) => Case } = {
  indexSelect: d => {
    const n = d.r.pick(SIZES);
    return {
      inputs: [d.normal([n, 5]), d.index([d.r.pick(SIZES)], n)],
      of: withGradient((x, i) => x!.indexSelect(0, i!)),
    };
  },
  'indexSelect of the innermost dim': d => {
    const n = d.r.pick(SIZES);
    return {
      inputs: [d.normal([3, n]), d.index([d.r.pick(SIZES)], n)],
      of: withGradient((x, i) => x!.indexSelect(1, i!)),
    };
  },
  gather: d => {
    const n = d.r.pick(SIZES);
    return { inputs: [d.normal([3, n]), d.index([3, 4], n)], of: withGradient((x, i) => x!.gather(1, i!.long())) };
  },
  take: d => ({ inputs: [d.normal([4, 5]), d.index([d.r.pick(SIZES)], 20)], of: withGradient((x, i) => x!.take(i!)) }),
  takeAlongDim: d => ({
    inputs: [d.normal([4, 5]), d.index([4, 2], 5)],
    of: withGradient((x, i) => x!.takeAlongDim(i!.long(), 1)),
  }),
  'index by tensors': d => ({
    inputs: [d.normal([4, 5, 3]), d.index([6], 4), d.index([6], 5)],
    of: withGradient((x, i, j) => x!.index([i!.long(), j!.long()])),
  }),
  'narrow at a start that data decides': d => ({
    inputs: [d.normal([9, 3]), d.index([], 9)],
    of: (x, i) => x!.narrow(0, i!.long(), 4),
  }),
  indexPut: d => ({
    inputs: [d.normal([4, 5]), d.index([6], 4), d.index([6], 5), d.normal([6])],
    of: (x, i, j, v) => [
      x!.indexPut([i!.long(), j!.long()], v!),
      x!.indexPut([i!.long(), j!.long()], v!, { accumulate: true }),
    ],
  }),
  indexAdd: d => ({
    inputs: [d.normal([7, 3]), d.index([5], 7), d.normal([5, 3])],
    of: withGradient((x, i, s) => x!.indexAdd(0, i!, s!)),
  }),
  indexCopy: d => ({
    inputs: [d.normal([7, 3]), d.index([1], 7), d.normal([1, 3])],
    of: (x, i, s) => x!.indexCopy(0, i!, s!),
  }),
  indexFill: d => ({ inputs: [d.normal([7, 3]), d.index([5], 7)], of: (x, i) => x!.indexFill(0, i!, 5) }),
  indexReduce: d => ({
    inputs: [d.normal([7, 3]), d.index([5], 7), d.normal([5, 3])],
    of: (x, i, s) => x!.indexReduce(0, i!, s!, 'amax'),
  }),
  scatter: d => ({
    inputs: [d.normal([7, 3]), d.index([1, 3], 7), d.normal([1, 3])],
    of: (x, i, s) => x!.scatter(0, i!.long(), s!),
  }),
  scatterAdd: d => ({
    inputs: [d.normal([7, 3]), d.index([5, 3], 7), d.normal([5, 3])],
    of: withGradient((x, i, s) => x!.scatterAdd(0, i!.long(), s!)),
  }),
  scatterReduce: d => ({
    inputs: [d.normal([7, 3]), d.index([5, 3], 7), d.normal([5, 3])],
    of: (x, i, s) => x!.scatterReduce(0, i!.long(), s!, 'amin'),
  }),
  embedding: d => {
    const n = d.r.pick(SIZES);
    return { inputs: [d.normal([n, 6]), d.index([2, 3], n)], of: withGradient((w, i) => F.embedding(i!, w!)) };
  },
  'embeddingBag, offsets': d => ({
    inputs: [d.normal([7, 4]), d.index([9], 7, 0), d.index([3], 9, 0)],
    of: (w, i, o) => F.embeddingBag(i!.long(), w!, { offsets: o!.long(), mode: 'sum' }),
  }),
  'embeddingBag, max': d => ({
    inputs: [d.normal([7, 4]), d.index([2, 5], 7)],
    of: (w, i) => F.embeddingBag(i!, w!, { mode: 'max' }),
  }),
  oneHot: d => ({ inputs: [d.index([6], 5, 0)], of: i => F.oneHot(i!.long(), 5) }),
  crossEntropy: d => ({
    inputs: [d.normal([6, 9]), d.index([6], 9, 0)],
    of: withGradient((x, t) => F.crossEntropy(x!, t!.long())),
  }),
  'crossEntropy with weights': d => ({
    inputs: [d.normal([6, 9]), d.index([6], 9, 0), d.normal([9])],
    of: (x, t, w) => F.crossEntropy(x!, t!.long(), { weight: w!, labelSmoothing: 0.1 }),
  }),
  nllLoss: d => ({
    inputs: [d.normal([6, 9, 2]), d.index([6, 2], 9, 0)],
    of: withGradient((x, t) => F.nllLoss(x!, t!.long())),
  }),
  multiMarginLoss: d => ({
    inputs: [d.normal([6, 9]), d.index([6], 9, 0)],
    of: (x, t) => F.multiMarginLoss(x!, t!.long()),
  }),
  multilabelMarginLoss: d => ({
    inputs: [d.normal([6, 9]), d.index([6, 9], 9, -1)],
    of: (x, t) => F.multilabelMarginLoss(x!, t!.long()),
  }),
  ctcLoss: d => ({
    inputs: [d.normal([11, 2, 6]), d.index([2, 4], 6, 1), d.index([2], 12, 1), d.index([2], 5, 0)],
    of: (x, t, n, m) => F.ctcLoss(x!.logSoftmax(2), t!.long(), n!.long(), m!.long(), { reduction: 'none' }),
  }),
  maxUnpool1d: d => ({
    inputs: [d.normal([1, 2, 5]), d.index([1, 2, 5], 10, 0)],
    of: (x, i) => F.maxUnpool1d(x!, i!.long(), 2),
  }),
  maxUnpool2d: d => ({
    inputs: [d.normal([1, 2, 3, 3]), d.index([1, 2, 3, 3], 36, 0)],
    of: (x, i) => F.maxUnpool2d(x!, i!.long(), 2),
  }),
  maxUnpool3d: d => ({
    inputs: [d.normal([1, 1, 2, 2, 2]), d.index([1, 1, 2, 2, 2], 64, 0)],
    of: (x, i) => F.maxUnpool3d(x!, i!.long(), 2),
  }),
  bincount: d => ({
    inputs: [d.index([9], 6, 0).clamp(-1, 300)],
    of: i => i!.long().bincount({ minlength: 6 }),
    eager: true,
  }),
  repeatInterleave: d => ({
    inputs: [d.normal([4, 2]), d.index([4], 3, 0).clamp(-1, 300)],
    of: (x, n) => x!.repeatInterleave(n!.long(), 0),
    eager: true,
  }),
  searchsorted: d => ({ inputs: [d.floats([33]), d.floats([17])], of: (x, v) => x!.sort(0).values.searchsorted(v!) }),
  histc: d => ({ inputs: [d.floats([40])], of: x => x!.histc({ bins: 7, min: -1, max: 1 }) }),
  'places from floats': d => ({
    inputs: [d.normal([7, 3]), d.floats([9])],
    of: (x, p) => x!.indexSelect(0, p!.mul(3).long()),
  }),
  'places from floats, clamped': d => ({
    inputs: [d.normal([7, 3]), d.floats([9])],
    of: (x, p) => x!.indexSelect(0, p!.mul(3).clamp(0, 6).long()),
  }),
  'places that the step computes, clamped': d => ({
    inputs: [d.normal([7, 3]), d.index([9], 7)],
    of: (x, i) => x!.indexSelect(0, i!.long().mul(3).add(1).clamp(0, 6)),
  }),
  'a choice between gathers': d => ({
    inputs: [d.normal([7, 3]), d.index([4], 7), d.floats([])],
    of: (x, i, c) =>
      cond(
        c!.gt(0),
        (y: Tensor, j: Tensor) => y.indexSelect(0, j),
        (y: Tensor, j: Tensor) => y.indexSelect(0, j.clamp(0, 2)),
        x!,
        i!.long(),
      ),
  }),
  'a loop that gathers': d => ({
    inputs: [d.normal([7, 7]), d.index([4], 7)],
    of: (x, i) =>
      whileLoop(
        ([k]) => k.lt(4),
        ([k, sum]) => [k.add(1), sum.add(x!.indexSelect(0, i!.long().narrow(0, k, 1)))] as [Tensor, Tensor],
        [Tensor.from(0n), x!.narrow(0, 0, 1)] as [Tensor, Tensor],
      )[1],
  }),
  'a scan that gathers': d => ({
    inputs: [d.normal([7, 3]), d.index([5], 7)],
    of: (x, i) =>
      scan(
        (carry: Tensor, j: Tensor) => [carry.add(x!.indexSelect(0, j.reshape([1]))), j] as const,
        x!.narrow(0, 0, 1),
        i!.long(),
      )[0],
  }),
};
for (const mode of ['bilinear', 'nearest', 'bicubic'] as const)
  for (const paddingMode of ['zeros', 'border', 'reflection'] as const)
    (OPERATIONS as Record<string, (d: Draw) => Case>)[`gridSample, ${mode}, ${paddingMode}`] = d => {
      const alignCorners = d.r.once(2);
      return {
        inputs: [d.normal([1, 2, 5, 6]), d.floats([1, 3, 4, 2])],
        of: withGradient((x, grid) => F.gridSample(x!, grid!, { mode, paddingMode, alignCorners })),
      };
    };

type Outcome = { readonly error: string } | { readonly values: readonly (readonly number[])[] };

/** What says that a value of an operand is none that may be. */
const REFUSAL = /^\w+: (index -?\d+ is out of range for \d+ elements|\w+: -?\d+ came, .*|\w+: expected .*)$/;

/** The values, or what is wrong: of several values that may not be any may be named, in each by what reads it. */
function outcome(run: (...inputs: Tensor[]) => Tensor | readonly Tensor[], inputs: readonly Tensor[]): Outcome {
  try {
    const results = run(...inputs);
    return { values: [results].flat().map(t => Array.from((t as Tensor).data(), Number)) };
  } catch (error) {
    return { error: (error as Error).message.replace(REFUSAL, 'refused') };
  }
}

function expectSame(got: Outcome, want: Outcome, name: string): void {
  if ('error' in want) {
    expect(got, name).toEqual(want);
    return;
  }
  expect('error' in got ? got.error : null, name).toBeNull();
  const { values } = got as { values: number[][] };
  for (const [i, expected] of want.values.entries())
    for (const [k, value] of expected.entries()) {
      const other = values[i]![k]!;
      const near =
        Object.is(other, value) || other === value || Math.abs(other - value) <= 1e-4 * (1 + Math.abs(value));
      expect(near, `${name}, result ${i}, element ${k}: ${other}, expected ${value}`).toBe(true);
    }
}

describe.each(Object.entries(OPERATIONS))('%s', (name, make) => {
  it(`${CASES} cases`, () => {
    for (let seed = 1; seed <= CASES; seed++) {
      manualSeed(seed);
      const { inputs, of, eager = false } = make(new Draw(seed * 7919 + name.length));
      for (const input of inputs) input.data();
      setBackend('reference');
      const want = outcome(of, inputs);
      setBackend(own);
      expectSame(outcome(of, inputs), want, `seed ${seed}`);
      if (eager) continue;
      expectSame(
        outcome(
          compile((...given: Tensor[]) => of(...given)),
          inputs,
        ),
        want,
        `seed ${seed}, compiled`,
      );
    }
  });
});
