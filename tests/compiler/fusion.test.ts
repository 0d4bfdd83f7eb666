import { describe, expect, it } from 'vitest';
import { compileSteps } from '../../src/compiler/compile.ts';
import { printKernels } from '../../src/compiler/debug.ts';
import * as g from '../../src/graph/build.ts';
import type { Node } from '../../src/graph/node.ts';
import { Variable } from '../../src/graph/storage.ts';
import { adam, convolution, layerNorm, softmax, values } from './graphs.ts';
import { both, programOf, TARGET } from './support.ts';

const printed = (outputs: Node[], updates: { leaf: Node; node: Node }[] = []): string =>
  `\n${printKernels(compileSteps(programOf(outputs, updates), TARGET))}\n`;

const variable = (shape: number[], seed: number): Node =>
  g.variable(new Variable(shape, 'f32', values(shape, seed).value!));

const close = (outputs: Node[], updates: { leaf: Node; node: Node }[] = []): void => {
  const { compiled, reference } = both(outputs, updates);
  compiled.forEach((x, i) => {
    const expected = reference[i]!;
    let scale = 1;
    for (const y of expected) scale = Math.max(scale, Math.abs(Number(y)));
    x.forEach((value, j) => {
      expect(Math.abs(Number(value) - Number(expected[j]))).toBeLessThan(1e-5 * scale);
    });
  });
};

describe('kernels', () => {
  it('softmax is one: exponentials wait in the result', () => {
    const y = softmax(values([100, 70]));
    expect(printed([y])).toMatchInlineSnapshot(`
      "
      k0 reduce [100 | 70]
        for i < 100, j < 70 (summed), vectors of 4 along j
        t0 = max(leaf0[70*i + j])
        t1 = exp((leaf0[70*i + j] - t0))
        t2 = sum(t1)
        v7[70*i + j] = (t1 / t2)
      "
    `);
    close([y]);
  });

  it('layer norm is one', () => {
    const y = layerNorm(values([100, 70]), values([70], 2), values([70], 3));
    expect(printed([y])).toMatchInlineSnapshot(`
      "
      k0 reduce [100 | 70]
        for i < 100, j < 70 (summed), vectors of 4 along j
        t0 = sum(leaf0[70*i + j])
        t1 = (leaf0[70*i + j] - (t0 * 0.014285714365541935))
        t2 = sum((t1 * t1))
        v21[70*i + j] = (((t1 / sqrt(((t2 * 0.014285714365541935) + 0.000009999999747378752))) * leaf1[j]) + leaf2[j])
      "
    `);
    close([y]);
  });

  it('normalisation over the batch is one, in vectors along the features', () => {
    const y = layerNorm(values([50, 64]), values([64], 2), values([64], 3), [0]);
    expect(printed([y])).toMatchInlineSnapshot(`
      "
      k0 reduce [64 | 50]
        for i < 64, j < 50 (summed), vectors of 4 along i
        t0 = sum(leaf0[64*j + i])
        t1 = (leaf0[64*j + i] - (t0 * 0.019999999552965164))
        t2 = sum((t1 * t1))
        v21[64*j + i] = (((t1 / sqrt(((t2 * 0.019999999552965164) + 0.000009999999747378752))) * leaf1[i]) + leaf2[i])
      "
    `);
    close([y]);
  });

  it('an Adam step is one, and writes in place', () => {
    const [p, m, v] = [variable([600], 1), variable([600], 2), variable([600], 3)] as const;
    // The second moment is not negative.
    const square = (v as Node<'variable'>).attrs.variable.read();
    square.forEach((x, i) => {
      square[i] = Number(x) ** 2;
    });
    const next = adam(p, m, v, values([600], 4));
    const updates = [
      { leaf: p, node: next.p },
      { leaf: m, node: next.m },
      { leaf: v, node: next.v },
    ];
    expect(printed([], updates)).toMatchInlineSnapshot(`
      "
      k0 map [600]
        for i < 600, vectors of 4 along i
        t0 = ((leaf1[i] * 0.8999999761581421) + (leaf2[i] * 0.10000000149011612))
        t1 = ((leaf3[i] * 0.9990000128746033) + ((leaf2[i] * leaf2[i]) * 0.0010000000474974513))
        v9[i] = t0
        v21[i] = t1
        v27[i] = (leaf0[i] - ((t0 * 0.009999999776482582) / (sqrt(t1) + 9.99999993922529e-9)))
      "
    `);
    const { program } = both([], updates);
    expect(program.arenaBytes).toBe(0);
    expect(program.kernels.map(k => k.commits)).toEqual([true]);
    close([], updates);
  });

  it('convolution, bias and relu are one', () => {
    const y = convolution(values([2, 3, 9, 9]), values([4, 3, 3, 3], 2), values([4], 3));
    expect(printed([y])).toMatchInlineSnapshot(`
      "
      k0 contract [162 x 4 x 27]
        for i < 2 (m), j < 4 (n), k < 9 (m), l < 9 (m), m < 3 (k), n < 3 (k), o < 3 (k)
        acc = sum leaf0[i, m, k + n + -1, l + o + -1] * leaf1[j, m, n, o]
        v9[324*i + 9*k + l + 81*j] = max((acc + leaf2[j]), 0)
      "
    `);
    close([y]);
  });

  it('parts side by side become loops of their own', () => {
    const [a, b] = [values([64, 40]), values([64, 24], 2)];
    const y = g.binary('add', g.pad(a, [0, 0], [0, 24]), g.pad(b, [0, 40], [0, 0]));
    expect(printed([y])).toMatchInlineSnapshot(`
      "
      k0 map [64x64] in 2 pieces
        for i < 64, j < 40, vectors of 4 along j
        v4[64*i + j] = (leaf0[40*i + j] + 0)
        for i < 64, j < 24, vectors of 4 along j
        v4[64*i + j + 40] = (0 + leaf1[24*i + j])
      "
    `);
    close([y]);
  });

  it('what is a cheap step from memory is computed again, what is costly is kept', () => {
    // gelu and its gradient: the cube and 1 + tanh follow from x and tanh.
    const x = g.contract(values([32, 40]), values([40, 48], 2), [0, 1], [1, 2], [0, 2]);
    const like = (value: number): Node => g.full(value, x.shape, 'f32');
    const square = g.binary('mul', x, x);
    const t = g.unary('tanh', g.binary('add', x, g.binary('mul', square, x)));
    const raised = g.binary('add', t, like(1));
    const y = g.contract(g.binary('mul', x, raised), values([48, 40], 3), [0, 1], [1, 2], [0, 2]);
    const back = g.contract(y, values([48, 40], 4), [0, 1], [2, 1], [0, 2]);
    const bend = g.binary('mul', g.binary('mul', back, square), g.binary('sub', like(1), g.binary('mul', t, t)));
    const gradient = g.binary('add', g.binary('mul', back, raised), g.binary('mul', bend, x));
    const steps = compileSteps(programOf([gradient]), TARGET);
    expect(steps.map(step => step.kernel.stores.map(v => `${v.op} ${(v.attrs as { fn?: string }).fn ?? ''}`))).toEqual([
      ['contract ', 'unary tanh', 'binary mul'],
      ['contract '],
      ['binary add'],
    ]);
    close([gradient]);
  });

  it('a sum of everything is done in chunks, then in order', () => {
    const y = g.reduce('sum', values([300, 400]), [0, 1]);
    const { program } = both([y]);
    const [kernel] = program.kernels;
    expect(program.kernels.length).toBe(1);
    expect(kernel!.kernel.body.map(inst => inst.op).filter(op => op !== 'addr' && op !== 'const')).toEqual([
      'parallel',
      'barrier',
      'once',
    ]);
  });
});
