/** Row optimizers against PyTorch's for sparse gradients, and against their papers' formulas. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { tensor } from 'tenon';
import { EmbeddingTable, type RowOptimizer } from 'tenon/recsys';
import { describe, expect, it } from 'vitest';
import { hashSign } from '../../../src/recsys/table/hash.ts';
import { formula, probe } from '../../support/formula.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** PyTorch's figures for sparse tables (tests/support/torch_reference.py), in f64; rows are f32. */
describe('row optimizers agree with PyTorch', () => {
  const TRAJECTORIES = JSON.parse(
    readFileSync(new URL('../../fixtures/sparse.json', import.meta.url), 'utf8'),
  ) as Record<string, number[][]>;
  const OPTIMIZERS: Readonly<Record<string, (step: number) => RowOptimizer>> = {
    SGD: () => ({ type: 'sgd', lr: 0.5 }),
    // The fixture's rate decays as 0.1 / (1 + 0.1 t).
    Adagrad: step => ({ type: 'adagrad', lr: 0.1 / (1 + 0.1 * step), initialAccumulator: 0.1 }),
    SparseAdam: () => ({ type: 'adam', lr: 0.05, betas: [0.8, 0.95] }),
  };

  it.each(Object.keys(OPTIMIZERS))('%s', name => {
    const folder = temporaryFolder().path;
    const file = path.join(folder, 'table');
    let table = new EmbeddingTable({ dim: 3, optimizer: OPTIMIZERS[name]!(0) });
    const ids = Array.from({ length: 12 }, (_, i) => i);
    const start = formula(5, [12, 3]).data();
    for (const id of ids) {
      const row = table.insert(hashSign(0, id), 0, id);
      table.rows
        .segment(row)
        .f32.set([...start.slice(3 * id, 3 * id + 3)].map(Number), table.rows.at(row) + table.layout.vector);
    }
    const target = formula(6, [7, 3]).data();
    TRAJECTORIES[`${name} rows`]!.forEach((expected, step) => {
      if (step > 0 && name === 'Adagrad') {
        // The rate is the table's own: another rate is another table with the same rows.
        table.save(file, 'full');
        table = new EmbeddingTable({ dim: 3, optimizer: OPTIMIZERS[name]!(step) });
        table.load(file);
      }
      const batch = Array.from({ length: 7 }, (_, k) => (3 * k * k + step * k) % 10);
      const found = table.lookup(new Uint32Array(7), Uint32Array.from(batch), 7);
      const rows = new Float32Array(3 * found.unique);
      table.gather(found, rows);
      const gradients = new Float32Array(3 * found.unique);
      let loss = 0;
      // mean((tanh(w) - y)^2): slope 2 (tanh(w) - y) (1 - tanh(w)^2) / 21
      for (let k = 0; k < 7; k++)
        for (let d = 0; d < 3; d++) {
          const at = 3 * found.inverse[k]! + d;
          const y = Math.tanh(rows[at]!);
          const off = y - Number(target[3 * k + d]);
          loss += off ** 2 / 21;
          gradients[at] = gradients[at]! + (2 * off * (1 - y * y)) / 21;
        }
      table.push(found, gradients, new Float32Array(found.unique).fill(1), new Float32Array(found.unique));
      const all = ids.flatMap(id => [...table.row(id)!.weights]);
      const actual = [loss, ...probe(tensor(Float64Array.from(all), { shape: [12, 3] }))];
      for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(3e-6);
    });
  });
});

describe('row optimizers are their formulas', () => {
  const pushes = [
    { gradients: [0.5, -1], shows: 2 },
    { gradients: [-0.25, 3], shows: 1 },
    { gradients: [0, 0.75], shows: 4 },
    { gradients: [1.5, -0.125], shows: 3 },
  ];

  /** The two weights of a row after each push, from known starts. */
  function run(optimizer: RowOptimizer): number[][] {
    const table = new EmbeddingTable({ dim: 2, optimizer, init: { type: 'uniform', range: 0.5 } });
    return pushes.map(({ gradients, shows }) => {
      const found = table.lookup(Uint32Array.of(0), Uint32Array.of(7), 1);
      table.push(found, Float32Array.from(gradients), Float32Array.of(shows), Float32Array.of(0));
      return [...table.row(7)!.weights];
    });
  }
  const start = (): number[] => {
    const table = new EmbeddingTable({ dim: 2, init: { type: 'uniform', range: 0.5 } });
    const out = new Float32Array(2);
    table.gather(table.lookup(Uint32Array.of(0), Uint32Array.of(7), 1), out);
    return [...out];
  };
  const near = (got: readonly number[][], want: readonly number[][]): void =>
    got.forEach((weights, step) => {
      weights.forEach((w, d) => {
        expect(Math.abs(w - want[step]![d]!)).toBeLessThan(2e-6);
      });
    });

  it("rowAdagrad is PaddlePaddle's, with the gradient per show and weights bounded", () => {
    let w = start();
    let sum = 0;
    const want = pushes.map(({ gradients, shows }) => {
      const g = gradients.map(x => x / shows);
      w = w.map((x, d) => Math.min(0.6, Math.max(-0.6, x - 0.2 * g[d]! * Math.sqrt(3 / (3 + sum)))));
      sum += (g[0]! ** 2 + g[1]! ** 2) / 2;
      return w;
    });
    near(run({ type: 'rowAdagrad', lr: 0.2, bound: 0.6 }), want);
    expect(want.flat().some(x => Math.abs(x) === 0.6)).toBe(true);
  });

  it('ftrl is FTRL-Proximal, algorithm 1 of McMahan et al., started where its weight is the initial one', () => {
    const [alpha, beta, l1, l2] = [0.3, 1, 0.2, 0.1];
    let w = start();
    let n = [0, 0];
    let z = w.map(x => -x * (beta / alpha + l2) - Math.sign(x) * l1);
    const want = pushes.map(({ gradients }) => {
      const sigma = gradients.map((g, d) => (Math.sqrt(n[d]! + g * g) - Math.sqrt(n[d]!)) / alpha);
      z = z.map((x, d) => x + gradients[d]! - sigma[d]! * w[d]!);
      n = n.map((x, d) => x + gradients[d]! ** 2);
      w = z.map((x, d) =>
        Math.abs(x) <= l1 ? 0 : -(x - Math.sign(x) * l1) / ((beta + Math.sqrt(n[d]!)) / alpha + l2),
      );
      return w;
    });
    near(run({ type: 'ftrl', lr: alpha, beta, l1, l2 }), want);
  });

  it('sharedAdam keeps one pair of moments per row', () => {
    let w = start();
    let [m, v] = [0, 0];
    const want = pushes.map(({ gradients }, step) => {
      const t = step + 1;
      const firsts = gradients.map(g => 0.9 * m + 0.1 * g);
      const seconds = gradients.map(g => 0.99 * v + 0.01 * g * g);
      const rate = (0.1 * Math.sqrt(1 - 0.99 ** t)) / (1 - 0.9 ** t);
      w = w.map((x, d) => x - (rate * firsts[d]!) / (Math.sqrt(seconds[d]!) + 1e-8));
      m = (firsts[0]! + firsts[1]!) / 2;
      v = (seconds[0]! + seconds[1]!) / 2;
      return w;
    });
    near(run({ type: 'sharedAdam', lr: 0.1, betas: [0.9, 0.99] }), want);
  });
});
