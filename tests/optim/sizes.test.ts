/**
 * Parameters of many sizes in one group, large enough to be shared between threads, with ends behind whole vectors and
 * tasks: against the update written out in f64, with the same bits for any number of threads.
 */
import { afterEach, expect, it } from 'vitest';
import * as optim from '../../src/optim/index.ts';
import { compile, numThreads, Parameter, setNumThreads, type Tensor } from '../../src/tensor/index.ts';
import { formula } from '../support/formula.ts';

const SHAPES = [[4096], [67, 61], [8191], [3, 29, 47], [130, 65], [24_577], [5]];
/** More steps than programs take to try all threads. */
const [LR, MOMENTUM, DECAY, STEPS] = [0.1, 0.9, 0.01, 12];

const threadsBefore = numThreads();
afterEach(() => setNumThreads(threadsBefore));

type Float = 'f32' | 'f64';

const start = (k: number, dtype: Float): Tensor => formula(2 * k, SHAPES[k]!).to(dtype);
const slope = (k: number, dtype: Float): Tensor => formula(2 * k + 1, SHAPES[k]!).to(dtype);
const numbers = (x: Tensor): Float64Array => Float64Array.from(x.data() as ArrayLike<number>);

function trained(dtype: Float, threads: number): Float64Array[] {
  setNumThreads(threads);
  const params = SHAPES.map((_, k) => new Parameter(start(k, dtype)));
  const slopes = SHAPES.map((_, k) => slope(k, dtype));
  const optimizer = new optim.SGD(params, { lr: LR, momentum: MOMENTUM, weightDecay: DECAY });
  const step = compile(() => {
    optimizer.zeroGrad();
    const loss = params.map((p, k) => p.mul(slopes[k]!).sum()).reduce((a, b) => a.add(b));
    loss.backward();
    optimizer.step();
    return loss;
  });
  for (let i = 0; i < STEPS; i++) step().item();
  return params.map(numbers);
}

it.each(['f32', 'f64'] as const)('SGD with momentum in %s, parameter by parameter', dtype => {
  const alone = trained(dtype, 1);
  for (const [k, found] of alone.entries()) {
    const p = numbers(start(k, dtype));
    const c = numbers(slope(k, dtype));
    const momentum = new Float64Array(p.length);
    for (let i = 0; i < STEPS; i++)
      for (let j = 0; j < p.length; j++) {
        momentum[j] = MOMENTUM * momentum[j]! + c[j]! + DECAY * p[j]!;
        p[j]! -= LR * momentum[j]!;
      }
    const furthest = found.reduce((most, x, j) => Math.max(most, Math.abs(x - p[j]!)), 0);
    expect(found.length).toBe(p.length);
    expect(furthest).toBeLessThan(dtype === 'f64' ? 1e-12 : 2e-6);
  }
  expect(trained(dtype, 2)).toEqual(alone);
});
