/**
 * Ten steps of every optimizer against PyTorch in f64, written out by hand and compiled; state that comes back;
 * clipping. Figures: python3 tests/support/torch_reference.py
 */

import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as optim from '../../src/optim/index.ts';
import { compile, Parameter, Tensor, tensor } from '../../src/tensor/index.ts';
import { formula, probe } from '../support/formula.ts';

const TRAJECTORIES = JSON.parse(readFileSync(new URL('../fixtures/optim.json', import.meta.url), 'utf8')) as Record<
  string,
  number[][]
>;

/** The same optimizers as in torch_reference.py. */
const OPTIMIZERS: Readonly<Record<string, (params: Parameter[]) => optim.AnyOptimizer>> = {
  SGD: params => new optim.SGD(params, { lr: 0.1 }),
  'SGD.momentum': params => new optim.SGD(params, { lr: 0.05, momentum: 0.9, weightDecay: 0.1 }),
  'SGD.dampening': params => new optim.SGD(params, { lr: 0.05, momentum: 0.9, dampening: 0.3 }),
  'SGD.nesterov': params => new optim.SGD(params, { lr: 0.05, momentum: 0.9, nesterov: true }),
  Adam: params => new optim.Adam(params, { lr: 0.05 }),
  'Adam.amsgrad': params => new optim.Adam(params, { lr: 0.05, betas: [0.8, 0.95], weightDecay: 0.1, amsgrad: true }),
  AdamW: params => new optim.AdamW(params, { lr: 0.05, weightDecay: 0.2 }),
  Adagrad: params =>
    new optim.Adagrad(params, { lr: 0.1, lrDecay: 0.1, weightDecay: 0.05, initialAccumulatorValue: 0.1 }),
  'SGD.maximize': params => new optim.SGD(params, { lr: 0.02, momentum: 0.5, maximize: true }),
  'Adam.maximize': params => new optim.Adam(params, { lr: 0.02, weightDecay: 0.1, maximize: true }),
  'Adam.groups': ([w, b]) =>
    new optim.Adam(
      [
        { params: [w!], lr: 0.02, betas: [0.7, 0.9] },
        { params: [b!], weightDecay: 0.3 },
      ],
      { lr: 0.05 },
    ),
  Adadelta: params => new optim.Adadelta(params, { lr: 0.7, rho: 0.8, eps: 1e-3, weightDecay: 0.1 }),
  Adamax: params => new optim.Adamax(params, { lr: 0.03, betas: [0.8, 0.95], weightDecay: 0.1 }),
  NAdam: params => new optim.NAdam(params, { lr: 0.03, betas: [0.8, 0.95], weightDecay: 0.1, momentumDecay: 0.01 }),
  RAdam: params => new optim.RAdam(params, { lr: 0.05, betas: [0.8, 0.9], weightDecay: 0.1 }),
  'RAdam.default': params => new optim.RAdam(params, { lr: 0.05 }),
  Rprop: params => new optim.Rprop(params, { lr: 0.03, etas: [0.4, 1.3], stepSizes: [0.01, 0.05] }),
  ASGD: params => new optim.ASGD(params, { lr: 0.1, lambd: 0.05, alpha: 0.6, t0: 4, weightDecay: 0.1 }),
  LAMB: params => new optim.LAMB(params, { lr: 0.05, betas: [0.8, 0.95], weightDecay: 0.1 }),
  Lion: params => new optim.Lion(params, { lr: 0.01, betas: [0.8, 0.9], weightDecay: 0.1 }),
  RMSprop: params => new optim.RMSprop(params, { lr: 0.02 }),
  'RMSprop.centered': params =>
    new optim.RMSprop(params, { lr: 0.02, alpha: 0.9, weightDecay: 0.1, momentum: 0.5, centered: true }),
};

/** The network of torch_reference.py; `withBias` says whether the bias gets a gradient in this step. */
function problem() {
  const w = new Parameter(formula(1, [3, 4]), { name: 'w' });
  const b = new Parameter(formula(2, [3]), { name: 'b' });
  const x = formula(3, [5, 4]);
  const y = formula(4, [5, 3]);
  const loss = (withBias = true): Tensor => {
    const d = x
      .matmul(w.T)
      .add(withBias ? b : b.detach())
      .tanh()
      .sub(y);
    return d.mul(d).mean();
  };
  return { w, b, loss };
}

type Problem = ReturnType<typeof problem>;

function train(
  { loss }: Problem,
  optimizer: optim.AnyOptimizer,
  steps: readonly number[],
  compiled: boolean,
): number[] {
  const step = (withBias: boolean): Tensor => {
    optimizer.zeroGrad();
    const value = loss(withBias);
    value.backward();
    optimizer.step();
    return value;
  };
  const run = compiled ? compile(step) : step;
  return steps.map(i => run(i !== 0 && i !== 4).item());
}

const close = (actual: readonly number[], expected: readonly number[], what: string): void =>
  actual.forEach((value, i) => {
    expect(Math.abs(value - expected[i]!), `${what}[${i}]: ${value} instead of ${expected[i]}`).toBeLessThan(
      1e-10 * (1 + Math.abs(expected[i]!)),
    );
  });

const TEN = Array.from({ length: 10 }, (_, i) => i);

describe('optimizers agree with PyTorch', () => {
  it('covers every case of the fixture', () => {
    expect(Object.keys(OPTIMIZERS).sort()).toEqual(Object.keys(TRAJECTORIES).sort());
  });

  describe.each([false, true])('compiled: %s', compiled => {
    it.each(Object.keys(TRAJECTORIES))('%s', name => {
      const own = problem();
      const optimizer = OPTIMIZERS[name]!([own.w, own.b]);
      for (const i of TEN) {
        const [loss] = train(own, optimizer, [i], compiled);
        const { tensors } = optimizer.stateDict();
        const averages = i === 9 ? ['0.ax', '1.ax'].flatMap(key => (tensors[key] ? probe(tensors[key]) : [])) : [];
        const found = [loss!, ...probe(own.w), ...probe(own.b), ...averages];
        expect(found).toHaveLength(TRAJECTORIES[name]![i]!.length);
        close(found, TRAJECTORIES[name]![i]!, `step ${i}`);
      }
    });
  });
});

describe('state', () => {
  it.each(Object.keys(OPTIMIZERS))('%s goes on to the bit after loadStateDict', name => {
    const first = problem();
    const optimizer = OPTIMIZERS[name]!([first.w, first.b]);
    train(first, optimizer, TEN.slice(0, 6), false);
    const { groups, tensors } = optimizer.stateDict();
    const copy = Object.fromEntries(
      Object.entries(tensors).map(([key, t]) => [key, Tensor.from(t.data() as Float64Array, { shape: t.shape })]),
    );
    const second = problem();
    second.w.assign(Tensor.from(first.w.data() as Float64Array, { shape: [3, 4] }));
    second.b.assign(Tensor.from(first.b.data() as Float64Array));
    const other = OPTIMIZERS[name]!([second.w, second.b]);
    other.loadStateDict({ groups, tensors: copy });
    train(first, optimizer, TEN.slice(6), false);
    train(second, other, TEN.slice(6), false);
    expect(second.w.data()).toEqual(first.w.data());
    expect(second.b.data()).toEqual(first.b.data());
  });

  it('refuses what belongs to other parameters', () => {
    const { w, b } = problem();
    const two = new optim.Adam([w, b]);
    expect(() => two.loadStateDict(new optim.Adam([w]).stateDict())).toThrow(
      'Adam.loadStateDict: groups of 1 parameters came, expected groups of 2',
    );
  });
});

describe('groups', () => {
  it('have rates and decay of their own', () => {
    const { w, b } = problem();
    const sgd = new optim.SGD(
      [
        { params: [w], weightDecay: 0.5 },
        { params: [b], lr: 1 },
      ],
      { lr: 0.1 },
    );
    w.grad = w.detach().mul(0);
    b.grad = b.detach().mul(0).add(1);
    const before = [w.data().slice(), b.data().slice()] as [Float64Array, Float64Array];
    sgd.step();
    // w shrinks by 0.1 * 0.5, b moves by 1 * 1.
    expect(Array.from(w.data() as Float64Array)).toEqual(Array.from(before[0], v => v - v * 0.5 * 0.1));
    expect(Array.from(b.data() as Float64Array)).toEqual(Array.from(before[1], v => v - 1));
  });

  it('a compiled step sees a new rate without being compiled again', () => {
    const p = new Parameter(tensor([1]));
    const sgd = new optim.SGD([p], { lr: 1 });
    let traced = 0;
    const step = compile(() => {
      traced++;
      sgd.zeroGrad();
      p.mul(2).sum().backward();
      sgd.step();
    });
    step();
    expect(p.item()).toBe(-1);
    sgd.lr = 0.25;
    step();
    expect(p.item()).toBe(-1.5);
    expect(traced).toBe(1);
  });

  it('are what the console shows', () => {
    const [a, b] = [new Parameter(tensor([1])), new Parameter(tensor([2]))];
    const optimizer = new optim.SGD([{ params: [a] }, { params: [b], lr: 0.5 }], { lr: 0.1, momentum: 0.9 });
    const others = 'momentum=0.9, dampening=0, weightDecay=0, nesterov=false, maximize=false';
    expect(inspect(optimizer)).toBe(
      `SGD(\n  (0): parameters=1, lr=0.1, ${others}\n  (1): parameters=1, lr=0.5, ${others}\n)`,
    );
  });

  it('complain about what cannot be', () => {
    const { w } = problem();
    expect(() => new optim.SGD([], { lr: 1 })).toThrow('SGD: no parameters came');
    expect(() => new optim.SGD([w, w], { lr: 1 })).toThrow('SGD: "w" came twice');
    expect(() => new optim.Adam([w], { lr: -1 })).toThrow('Adam: lr -1 came, expected at least 0');
    expect(() => new optim.Adam([w], { betas: [0.9, 1] })).toThrow('Adam: beta 1 came');
    expect(() => new optim.SGD([w], { lr: 1, nesterov: true })).toThrow('SGD: nesterov needs momentum');
  });
});

describe('clipping', () => {
  const pair = (): [Parameter, Parameter] => {
    const a = new Parameter(tensor([0, 0]));
    const b = new Parameter(tensor([0]));
    a.grad = tensor([3, 0]);
    b.grad = tensor([-4]);
    return [a, b];
  };

  it('by norm scales all gradients by one factor', () => {
    const [a, b] = pair();
    // The joint norm is 5, so 1 / 5 of each is left.
    expect(optim.clipGradNorm([a, b], 1).item()).toBe(5);
    expect(a.grad!.toArray()).toEqual([expect.closeTo(0.6, 6), 0]);
    expect(b.grad!.toArray()).toEqual([expect.closeTo(-0.8, 6)]);
  });

  it('by norm leaves small gradients alone', () => {
    const [a, b] = pair();
    optim.clipGradNorm([a, b], 10);
    expect(a.grad!.toArray()).toEqual([3, 0]);
    expect(optim.gradNorm([a, b], Number.POSITIVE_INFINITY).item()).toBe(4);
    expect(optim.gradNorm([a, b], 1).item()).toBe(7);
    expect(optim.gradNorm([a, b], { normType: 1 }).item()).toBe(7);
  });

  it('by value clamps each element', () => {
    const [a, b] = pair();
    optim.clipGradValue([a, b], 3.5);
    expect([a.grad!.toArray(), b.grad!.toArray()]).toEqual([[3, 0], [-3.5]]);
  });

  it('belongs into a compiled step, and its norm may be read after the step', () => {
    const { w, b, loss } = problem();
    const sgd = new optim.SGD([w, b], { lr: 0.1 });
    loss().backward();
    const norm = optim.clipGradNorm([w, b], 0.01);
    sgd.step();
    expect(norm.item()).toBeGreaterThan(0.01);
  });
});
