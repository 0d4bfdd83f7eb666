/**
 * K-FAC and Shampoo against their papers' formulas written out in f64. Figures: python3
 * tests/support/torch_reference.py
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import '../support/backend.ts';
import { Conv2d, Linear, Module } from '../../src/nn/index.ts';
import * as optim from '../../src/optim/index.ts';
import { compile, einsum, manualSeed, Parameter, randn, Tensor } from '../../src/tensor/index.ts';
import { formula, probe } from '../support/formula.ts';

const TRAJECTORIES = JSON.parse(
  readFileSync(new URL('../fixtures/second-order.json', import.meta.url), 'utf8'),
) as Record<string, number[][]>;

/** The network of torch_reference.py: a convolution, a linear layer, and a scale that no method knows. */
class Net extends Module {
  readonly conv = new Conv2d(2, 3, 2, { padding: 1 });
  readonly linear = new Linear(27, 2);
  readonly scale = new Parameter(formula(5, [2]));

  constructor() {
    super();
    this.to('f64');
    const own = [this.conv.weight, this.conv.bias!, this.linear.weight, this.linear.bias!];
    for (const [i, parameter] of own.entries()) parameter.assign(formula(i + 1, parameter.shape));
  }

  forward(x: Tensor): Tensor {
    const seen = this.conv.forward(x).tanh().narrow(2, 0, 3).narrow(3, 0, 3);
    return this.linear.call(seen.reshape([4, 27])).mul(this.scale);
  }
}

const KFAC: Readonly<Record<string, optim.KFACOptions>> = {
  KFAC: { lr: 0.05, damping: 0.01, inverseInterval: 1, klClip: null },
  'KFAC.interval': {
    lr: 0.1,
    momentum: 0.5,
    weightDecay: 0.1,
    damping: 0.05,
    statDecay: 0.8,
    inverseInterval: 4,
    klClip: null,
  },
  'KFAC.clip': { lr: 0.3, momentum: 0, damping: 0.001, statDecay: 0.5, inverseInterval: 2, klClip: 0.01 },
};

function kfacProblem(options: optim.KFACOptions) {
  const net = new Net();
  const optimizer = new optim.KFAC(net, options);
  const [x, y] = [formula(6, [4, 2, 3, 3], 2), formula(7, [4, 2])];
  const step = (): Tensor => {
    optimizer.zeroGrad();
    const loss = net.forward(x).sub(y).square().mean();
    loss.backward();
    optimizer.step();
    return loss;
  };
  const { conv, linear, scale } = net;
  return { optimizer, step, net, parameters: [conv.weight, conv.bias!, linear.weight, linear.bias!, scale] };
}

const SHAMPOO: Readonly<Record<string, optim.ShampooOptions>> = {
  Shampoo: { lr: 0.1, epsilon: 1e-2 },
  'Shampoo.blocks': { lr: 0.1, epsilon: 1e-2, blockSize: 2 },
  'Shampoo.interval': { lr: 0.05, momentum: 0.9, weightDecay: 0.1, epsilon: 1e-3, updateInterval: 3 },
};

function shampooProblem(options: optim.ShampooOptions) {
  const [w, b, t] = [[3, 4], [3], [3, 2, 2]].map((shape, i) => new Parameter(formula(i + 1, shape))) as [
    Parameter,
    Parameter,
    Parameter,
  ];
  const optimizer = new optim.Shampoo([w, b, t], options);
  const [x, y] = [formula(4, [5, 4]), formula(5, [5, 3])];
  const step = (): Tensor => {
    optimizer.zeroGrad();
    const hidden = x.matmul(w.T).add(b).tanh();
    const loss = einsum('bi,ijk->bjk', hidden, t).sum([1, 2]).unsqueeze(1).add(hidden).sub(y).square().mean();
    loss.backward();
    optimizer.step();
    return loss;
  };
  return { optimizer, step, parameters: [w, b, t] };
}

const problemOf = (name: string) =>
  name.startsWith('KFAC') ? kfacProblem(KFAC[name]!) : shampooProblem(SHAMPOO[name]!);

describe('second-order methods agree with their formulas', () => {
  it('covers every case of the fixture', () => {
    expect([...Object.keys(KFAC), ...Object.keys(SHAMPOO)].sort()).toEqual(Object.keys(TRAJECTORIES).sort());
  });

  describe.each([false, true])('compiled: %s', compiled => {
    it.each(Object.keys(TRAJECTORIES))('%s', name => {
      const { step, parameters } = problemOf(name);
      const run = compiled ? compile(step) : step;
      TRAJECTORIES[name]!.forEach((expected, i) => {
        const found = [run().item(), ...parameters.flatMap(parameter => probe(parameter))];
        found.forEach((value, k) => {
          expect(
            Math.abs(value - expected[k]!),
            `step ${i}, number ${k}: ${value}, expected ${expected[k]}`,
          ).toBeLessThan(1e-8);
        });
      });
    });
  });

  it.each(Object.keys(TRAJECTORIES))('%s goes on to the bit after loadStateDict', name => {
    const first = problemOf(name);
    for (let i = 0; i < 5; i++) first.step().eval();
    const copyOf = (t: Tensor): Tensor => Tensor.from((t.data() as Float64Array).slice(), { shape: t.shape });
    const { groups, tensors } = first.optimizer.stateDict();
    const saved = Object.fromEntries(Object.entries(tensors).map(([key, t]) => [key, copyOf(t)]));
    const second = problemOf(name);
    for (const [i, parameter] of second.parameters.entries()) parameter.assign(copyOf(first.parameters[i]!));
    second.optimizer.loadStateDict({ groups, tensors: saved });
    for (let i = 0; i < 4; i++) expect(second.step().item()).toBe(first.step().item());
  });
});

describe('K-FAC', () => {
  it('needs far fewer steps than gradient descent where inputs are badly scaled', () => {
    manualSeed(3);
    const scales = Tensor.from([1, 10, 0.1, 3], { dtype: 'f64' });
    const x = randn([64, 4], { dtype: 'f64' }).mul(scales).eval();
    const y = x.div(scales).sum(1, { keepdim: true }).eval();
    const lossAfter = (make: (layer: Linear) => optim.AnyOptimizer, steps: number): number => {
      const layer = new Linear(4, 1).to('f64');
      for (const parameter of layer.parameters()) parameter.assign(parameter.mul(0));
      const optimizer = make(layer);
      const step = compile(() => {
        optimizer.zeroGrad();
        const loss = layer.forward(x).sub(y).square().mean();
        loss.backward();
        optimizer.step();
        return loss;
      });
      for (let i = 0; i < steps; i++) step();
      return step().item();
    };
    const kfac = lossAfter(layer => new optim.KFAC(layer, { lr: 0.5, momentum: 0, damping: 1e-4, klClip: null }), 40);
    const best = Math.min(
      ...[0.003, 0.006, 0.009].map(lr => lossAfter(layer => new optim.SGD(layer.parameters(), { lr }), 400)),
    );
    expect(kfac).toBeLessThan(best / 10);
  });

  it('lets go of the model, and leaves evaluation and layers with groups alone', () => {
    const { optimizer, net, step } = kfacProblem(KFAC['KFAC']!);
    step().eval();
    optimizer.dispose();
    expect(Object.getOwnPropertyNames(net.linear)).not.toContain('forward');
    expect(Object.keys(optimizer.stateDict().tensors).filter(key => key.endsWith('Factor'))).toHaveLength(4);
    expect(() => new optim.KFAC(net, { damping: 0 })).toThrow('KFAC: damping 0 came, expected above 0');
    expect(() => new optim.Shampoo([net.scale], { epsilon: 0 })).toThrow('Shampoo: epsilon 0 came');
  });
});
