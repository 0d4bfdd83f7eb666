/**
 * Values read after `optimizer.step()` in a plain loop, as PyTorch's tutorials read them: right, although the
 * parameters they came from have changed.
 */
import { describe, expect, it } from 'vitest';
import * as nn from '../../src/nn/index.ts';
import { Adam, clipGradNorm, SGD } from '../../src/optim/index.ts';
import {
  compile,
  F,
  grad,
  manualSeed,
  noGrad,
  Parameter,
  randint,
  randn,
  type Tensor,
  tensor,
  vmap,
} from '../../src/tensor/index.ts';

/** What `step` gives after the update, read late in a plain loop, and from a compiled step. */
function bothWays(make: () => { step: (x: Tensor) => Tensor[]; x: Tensor }): [unknown[], unknown[]] {
  const run = (compiled: boolean): unknown[] => {
    manualSeed(3);
    const { step, x } = make();
    const call = compiled ? compile(step) : step;
    return Array.from({ length: 3 }, () => call(x).map(value => value.toArray()));
  };
  return [run(false), run(true)];
}

function close(a: unknown, b: unknown): void {
  const [left, right] = [a, b].map(tree => (tree as unknown[]).flat(9) as number[]);
  expect(left!.length).toBe(right!.length);
  for (const [i, value] of left!.entries()) expect(value).toBeCloseTo(right![i]!, 4);
}

describe('values read after the step', () => {
  it("a model's output, a metric of it, and parts of the loss", () => {
    const [eager, compiled] = bothWays(() => {
      const net = new nn.Sequential(new nn.Linear(4, 8), new nn.Tanh(), new nn.Linear(8, 3));
      const labels = randint(0, 3, [10]);
      const adam = new Adam(net.parameters(), { lr: 0.1 });
      const step = (x: Tensor): Tensor[] => {
        adam.zeroGrad();
        const logits = net.forward(x);
        const correct = logits.argmax(1).eq(labels).sum();
        const penalty = net.parameters().map(p => p.square().sum()).reduce((a, b) => a.add(b)); // biome-ignore format: one line
        const entropy = F.crossEntropy(logits, labels);
        const loss = entropy.add(penalty.mul(0.01));
        loss.backward();
        const norm = clipGradNorm(net.parameters(), 1);
        adam.step();
        return [loss, entropy, penalty, norm, correct, logits, logits.argmax(1)];
      };
      return { step, x: randn([10, 4]) };
    });
    close(eager, compiled);
  });

  it('a state that is carried on, several outputs, and a value under noGrad', () => {
    const [eager, compiled] = bothWays(() => {
      const lstm = new nn.LSTM(3, 5);
      const head = new nn.Linear(5, 2);
      const sgd = new SGD([...lstm.parameters(), ...head.parameters()], { lr: 0.1 });
      const step = (x: Tensor): Tensor[] => {
        sgd.zeroGrad();
        const [outputs, [h, c]] = lstm.call(x) as [Tensor, [Tensor, Tensor]];
        const probe = noGrad(() => head.call(h).mean());
        head.call(outputs).square().mean().backward();
        sgd.step();
        return [h.detach(), c, probe];
      };
      return { step, x: randn([4, 2, 3]) };
    });
    close(eager, compiled);
  });

  it('a gradient penalty, and what vmap gives', () => {
    const [eager, compiled] = bothWays(() => {
      const critic = new nn.Sequential(new nn.Linear(3, 6), new nn.Softplus(), new nn.Linear(6, 1));
      const sgd = new SGD(critic.parameters(), { lr: 0.1 });
      const step = (x: Tensor): Tensor[] => {
        sgd.zeroGrad();
        const slopes = grad((v: Tensor) => critic.call(v).sum())(x);
        const penalty = slopes.norm(2, 1).sub(1).square().mean();
        const each = vmap((v: Tensor) => critic.call(v).sum())(x);
        const total = each.sum();
        each.mean().add(penalty).backward();
        sgd.step();
        return [penalty, total];
      };
      return { step, x: randn([5, 3]) };
    });
    close(eager, compiled);
  });

  it('what is out of date already is left alone, and others are read all the same', () => {
    const w = new Parameter(tensor([2, 3]));
    const sgd = new SGD([w], { lr: 1 });
    const step = (): Tensor => {
      sgd.zeroGrad();
      const square = w.mul(w);
      square.sum().backward();
      sgd.step();
      return square;
    };
    const late = step().sqrt(); // of what the step did not keep
    const square = step();
    expect(() => late.toArray()).toThrow(/before an update/);
    expect(() => square.toArray()).toThrow(/before an update/);
    expect(w.toArray()).toEqual([2, 3]);
  });

  it('gradients through a value that was kept still need the old parameters, and say so', () => {
    const w = new Parameter(tensor([2]));
    const sgd = new SGD([w], { lr: 1 });
    const net = new nn.Sequential(new nn.Identity());
    const y = net.call(w.mul(w));
    y.sum().backward();
    sgd.step();
    expect(y.item()).toBe(4);
    w.grad = null;
    expect(() => {
      y.mul(3).sum().backward();
      w.grad!.item();
    }).toThrow(/before an update/);
  });
});
