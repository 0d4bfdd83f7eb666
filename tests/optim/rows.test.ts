/**
 * Row-sparse gradients: PyTorch's figures for sparse tables, and rows that nobody looked up keep their bits.
 * Figures: python3 tests/support/torch_reference.py
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import { Embedding, EmbeddingBag } from '../../src/nn/index.ts';
import * as optim from '../../src/optim/index.ts';
import { rowGradient } from '../../src/optim/rows.ts';
import { arange, compile, F, Parameter, type Tensor, tensor } from '../../src/tensor/index.ts';
import { formula, probe } from '../support/formula.ts';

const TRAJECTORIES = JSON.parse(readFileSync(new URL('../fixtures/sparse.json', import.meta.url), 'utf8')) as Record<
  string,
  number[][]
>;

const OPTIMIZERS: Readonly<Record<string, (params: Parameter[]) => optim.AnyOptimizer>> = {
  SGD: params => new optim.SGD(params, { lr: 0.5 }),
  Adagrad: params => new optim.Adagrad(params, { lr: 0.1, lrDecay: 0.1, initialAccumulatorValue: 0.1 }),
  SparseAdam: params => new optim.SparseAdam(params, { lr: 0.05, betas: [0.8, 0.95] }),
};

/** Ids of step `step`, as in torch_reference.py. */
const idsOf = (step: number): Tensor => tensor(Int32Array.from({ length: 7 }, (_, k) => (3 * k * k + step * k) % 10));

describe.each([false, true])('sparse tables agree with PyTorch, compiled: %s', compiled => {
  it.each(Object.keys(TRAJECTORIES))('%s', name => {
    const [optimizerName, kind] = name.split(' ') as [string, string];
    const table = new Parameter(formula(5, [12, 3]));
    table.sparse = true;
    const optimizer = OPTIMIZERS[optimizerName]!([table]);
    const target = formula(6, [7, 3]);
    const step = (ids: Tensor): Tensor => {
      optimizer.zeroGrad();
      const rows =
        kind === 'bag'
          ? F.embeddingBag(ids.repeat([2]), table, { offsets: arange(0, 14, 2, { dtype: 'i32' }), mode: 'sum' })
          : F.embedding(ids, table);
      const d = rows.tanh().sub(target);
      const loss = d.mul(d).mean();
      loss.backward();
      optimizer.step();
      return loss;
    };
    const run = compiled ? compile(step) : step;
    TRAJECTORIES[name]!.forEach((expected, i) => {
      const actual = [run(idsOf(i)).item(), ...probe(table)];
      for (const [k, value] of actual.entries()) expect(Math.abs(value - expected[k]!)).toBeLessThan(1e-12);
    });
  });
});

describe('rows of a large table', () => {
  const ROWS = 400;
  const make: Readonly<Record<string, (params: Parameter[]) => optim.AnyOptimizer>> = {
    SGD: params => new optim.SGD(params, { lr: 0.3 }),
    Adagrad: params => new optim.Adagrad(params, { lr: 0.3 }),
  };

  /** Two lookups of one table, with an id in both; `dense` keeps the optimizer from seeing that it is lookups alone. */
  function train(name: string, dense: boolean, compiled: boolean): Parameter {
    const table = new Parameter(formula(7, [ROWS, 4]).float());
    const optimizer = make[name]!([table]);
    const step = (a: Tensor, b: Tensor): Tensor => {
      optimizer.zeroGrad();
      const x = F.embedding(a, table).sum(1).add(F.embedding(b, table).tanh().prod(1));
      const loss = dense ? x.square().sum().add(table.sum().mul(0)) : x.square().sum();
      loss.backward();
      optimizer.step();
      return loss;
    };
    const run = compiled ? compile(step) : step;
    for (let i = 0; i < 4; i++)
      run(tensor(Int32Array.of(5, 399, 5 + i, 0, 17)), tensor(Int32Array.of(i, 5, 399, 250, 250)));
    return table;
  }

  it.each(Object.keys(make))('%s gives the values of the dense update', name => {
    const start = formula(7, [ROWS, 4]).float().data() as Float32Array;
    const expected = train(name, true, false).data() as Float32Array;
    for (const compiled of [false, true]) {
      const actual = train(name, false, compiled).data() as Float32Array;
      const touched = new Set([0, 1, 2, 3, 5, 6, 7, 8, 17, 250, 399]);
      for (let row = 0; row < ROWS; row++)
        for (let d = 0; d < 4; d++) {
          const at = 4 * row + d;
          if (touched.has(row)) expect(Math.abs(actual[at]! - expected[at]!)).toBeLessThan(1e-6);
          else expect(actual[at]).toBe(start[at]);
        }
    }
  });

  it('an index out of range fails and changes nothing', () => {
    const table = new Parameter(formula(7, [ROWS, 4]).float());
    const optimizer = new optim.Adagrad([table], { lr: 0.3 });
    const step = compile((ids: Tensor) => {
      optimizer.zeroGrad();
      const loss = F.embedding(ids, table).square().sum();
      loss.backward();
      optimizer.step();
      return loss;
    });
    expect(() => step(tensor(Int32Array.of(1, 400))).item()).toThrow(
      'embedding: index 400 is out of range for 400 elements',
    );
    expect(table.data()).toEqual(formula(7, [ROWS, 4]).float().data());
  });
});

it('SparseAdam takes tables of sparse embeddings alone', () => {
  expect(() => new optim.SparseAdam(new Embedding(9, 2).parameters())).toThrow(
    /expected tables of embeddings with sparse: true$/,
  );
  const embedding = new Embedding(9, 2, { sparse: true });
  const optimizer = new optim.SparseAdam(embedding.parameters());
  embedding.weight.sum().backward();
  expect(() => optimizer.step()).toThrow(/is not one of lookups alone/);
});

describe.each(['sum', 'mean', 'max'] as const)('nn.EmbeddingBag, %s', mode => {
  const start = formula(7, [400, 4]).float();

  /**
   * Three steps over bags of one, none and several; `dense` keeps the optimizer from seeing that it is lookups alone.
   */
  function train(make: (params: Parameter[]) => optim.AnyOptimizer, dense: boolean): Float32Array {
    const bag = new EmbeddingBag(400, 4, { mode });
    bag.weight.write(start);
    const optimizer = make(bag.parameters());
    for (let i = 0; i < 3; i++) {
      optimizer.zeroGrad();
      const pooled = bag.call(tensor(Int32Array.of(5, 399, 5, 17, 5 + i, 0)), tensor(Int32Array.of(0, 1, 1)));
      const loss = pooled.square().sum();
      (dense ? loss.add(bag.weight.sum().mul(0)) : loss).backward();
      expect(rowGradient(bag.weight.grad!, false) === null).toBe(dense);
      optimizer.step();
    }
    return bag.weight.data() as Float32Array;
  }

  it.each([
    ['SGD', (params: Parameter[]): optim.AnyOptimizer => new optim.SGD(params, { lr: 0.5 })],
    ['Adagrad', (params: Parameter[]): optim.AnyOptimizer => new optim.Adagrad(params, { lr: 0.1 })],
  ] as const)('takes the path of rows with %s, and gives the values of the dense one', (_, make) => {
    const rows = train(make, false);
    const whole = train(make, true);
    for (let at = 0; at < rows.length; at++) expect(Math.abs(rows[at]! - whole[at]!)).toBeLessThan(1e-6);
    expect(rows.slice(4 * 20, 4 * 390)).toEqual((start.data() as Float32Array).slice(4 * 20, 4 * 390));
  });
});
