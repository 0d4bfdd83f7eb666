/** L-BFGS against PyTorch in f64, with and without line search. Figures: python3 tests/support/torch_reference.py */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import * as optim from '../../src/optim/index.ts';
import { compile, Parameter, Tensor, tensor } from '../../src/tensor/index.ts';
import { formula, probe } from '../support/formula.ts';

const TRAJECTORIES = JSON.parse(readFileSync(new URL('../fixtures/lbfgs.json', import.meta.url), 'utf8')) as Record<
  string,
  number[][]
>;

const SETTINGS: Readonly<Record<string, optim.LBFGSOptions>> = {
  LBFGS: { lr: 0.5, maxIter: 3 },
  'LBFGS.history': { lr: 0.8, maxIter: 4, historySize: 2 },
  'LBFGS.strongWolfe': { lr: 1, maxIter: 4, lineSearchFn: 'strong_wolfe' },
  'LBFGS.maxEval': { lr: 1, maxIter: 20, maxEval: 5, lineSearchFn: 'strong_wolfe' },
};

function problem(settings: optim.LBFGSOptions) {
  const w = new Parameter(formula(1, [3, 4]), { name: 'w' });
  const b = new Parameter(formula(2, [3]), { name: 'b' });
  const [x, y] = [formula(3, [5, 4]), formula(4, [5, 3])];
  const optimizer = new optim.LBFGS([w, b], settings);
  let evaluations = 0;
  const closure = (): Tensor => {
    evaluations++;
    optimizer.zeroGrad();
    const d = x.mul(3).matmul(w.T).add(b).tanh().sub(y);
    const loss = d.mul(d).mean();
    loss.backward();
    return loss;
  };
  return { w, b, optimizer, step: () => optimizer.step(closure).item(), count: () => evaluations };
}

const copyOf = (t: Tensor): Tensor => Tensor.from((t.data() as Float64Array).slice(), { shape: t.shape });

describe('LBFGS', () => {
  it.each(Object.keys(TRAJECTORIES))('%s goes PyTorch’s way, evaluation by evaluation', name => {
    const { w, b, step, count } = problem(SETTINGS[name]!);
    TRAJECTORIES[name]!.forEach((expected, i) => {
      const found = [step(), ...probe(w), ...probe(b)];
      expect(count(), `step ${i}: evaluations`).toBe(expected[5]);
      found.forEach((value, k) => {
        expect(Math.abs(value - expected[k]!), `step ${i}, number ${k}`).toBeLessThan(1e-8);
      });
    });
  });

  it.each(Object.keys(SETTINGS))('%s goes on to the bit after loadStateDict', name => {
    const first = problem(SETTINGS[name]!);
    for (let i = 0; i < 4; i++) first.step();
    const { groups, tensors } = first.optimizer.stateDict();
    const copy = Object.fromEntries(Object.entries(tensors).map(([key, t]) => [key, copyOf(t)]));
    const second = problem(SETTINGS[name]!);
    second.w.assign(copyOf(first.w));
    second.b.assign(copyOf(first.b));
    second.optimizer.loadStateDict({ groups, tensors: copy });
    for (let i = 0; i < 3; i++) expect(second.step()).toBe(first.step());
    expect(second.w.data()).toEqual(first.w.data());
  });

  it('finds the minimum of Rosenbrock’s function in f32', () => {
    const p = new Parameter(tensor([-1.2, 1]));
    const optimizer = new optim.LBFGS([p], { lineSearchFn: 'strong_wolfe', maxIter: 60 });
    optimizer.step(() => {
      optimizer.zeroGrad();
      const [x, y] = p.unbind() as [Tensor, Tensor];
      const loss = y.sub(x.square()).square().mul(100).add(x.neg().add(1).square());
      loss.backward();
      return loss;
    });
    for (const value of p.toArray() as number[]) expect(value).toBeCloseTo(1, 2);
  });

  it('says what cannot be', () => {
    const p = new Parameter(tensor([1]));
    const q = new Parameter(tensor([1]));
    const optimizer = new optim.LBFGS([p]);
    expect(() => optimizer.step()).toThrow('LBFGS: step: expected a function that computes the loss');
    expect(() => compile(() => optimizer.step(() => p.sum()))()).toThrow('LBFGS: step was called inside compile');
    expect(() => new optim.LBFGS([{ params: [p] }, { params: [q] }])).toThrow('LBFGS: 2 groups came, expected one');
    expect(() => new optim.LBFGS([p], { lineSearchFn: 'wolfe' as never })).toThrow('lineSearchFn wolfe came');
  });
});
