/**
 * What changes between two calls of a compiled function: everything in modules and optimizers is seen, as it is by the
 * same function in a plain loop.
 */
import { describe, expect, it, vi } from 'vitest';
import * as nn from '../../src/nn/index.ts';
import { Adam, SGD } from '../../src/optim/index.ts';
import {
  autocast,
  compile,
  F,
  manualSeed,
  noGrad,
  ones,
  Parameter,
  randn,
  type Tensor,
  tensor,
} from '../../src/tensor/index.ts';

/** A layer that multiplies by a constant. */
function times(factor: number): nn.Linear {
  const layer = new nn.Linear(2, 2, { bias: false });
  layer.weight.assign(tensor([[factor, 0], [0, factor]])); // biome-ignore format: a matrix
  return layer;
}

const x = tensor([[1, 2]]);
const values = (t: Tensor): unknown => t.toArray();

describe('a module that is replaced', () => {
  class Net extends nn.Module {
    fc: nn.Module = times(2);
    head: nn.Module | null = null;
    scale: Tensor = tensor(1);
    readonly layers = new nn.ModuleList([times(1), times(1)]);
    readonly tail = new nn.Sequential(times(1), new nn.ReLU());
    readonly named = new nn.ModuleDict({ one: times(1) });
    readonly extra = new nn.ParameterList([new Parameter(tensor(1))]);

    forward(input: Tensor): Tensor {
      let y = this.fc.forward(input).mul(this.scale);
      for (const layer of this.layers) y = layer.forward(y);
      for (const [, layer] of this.named.entries()) y = layer.forward(y);
      for (const factor of this.extra) y = y.mul(factor);
      y = this.tail.forward(y);
      return this.head ? this.head.forward(y) : y;
    }

    encode(input: Tensor): Tensor {
      return this.fc.forward(input);
    }
  }

  it.each<[string, (net: Net) => void, number]>([
    ['a field', net => (net.fc = times(3)), 3],
    ['a field that was null', net => (net.head = times(5)), 10],
    ['a tensor in a field', net => (net.scale = tensor(4)), 8],
    ['ModuleList.set', net => net.layers.set(1, times(7)), 14],
    ['ModuleList.append', net => net.layers.append(times(7)), 14],
    ['Sequential.set', net => net.tail.set(0, times(7)), 14],
    ['Sequential.append', net => net.tail.append(times(7)), 14],
    ['ModuleDict.set', net => net.named.set('one', times(7)), 14],
    ['ModuleDict.set under a new name', net => net.named.set('two', times(7)), 14],
    ['ParameterList.append', net => net.extra.append(new Parameter(tensor(7))), 14],
    ['a module far below', net => ((net.fc as nn.Linear) = new nn.Sequential(times(7)) as never), 7],
  ])('%s', (_, replace, factor) => {
    const net = new Net();
    const run = compile((input: Tensor) => net.forward(input));
    expect(values(run(x))).toEqual([[2, 4]]);
    replace(net);
    expect(values(run(x))).toEqual([[factor, 2 * factor]]);
    expect(values(net.forward(x))).toEqual([[factor, 2 * factor]]);
  });

  it('is seen by every method that was compiled', () => {
    const net = new Net();
    const encode = compile((input: Tensor) => net.encode(input));
    encode(x);
    net.fc = times(3);
    expect(values(encode(x))).toEqual([[3, 6]]);
  });

  it('trains where the optimizer knows it', () => {
    const net = new Net();
    const optimizer = new SGD([{ params: net.parameters() }], { lr: 0.1 });
    const step = compile((input: Tensor) => {
      optimizer.zeroGrad();
      net.forward(input).sum().backward();
      optimizer.step();
    });
    step(x);
    const fresh = times(3);
    net.fc = fresh;
    optimizer.addParamGroup({ params: fresh.parameters(), lr: 0.2 });
    const before = fresh.weight.toArray();
    step(x);
    expect(fresh.weight.toArray()).not.toEqual(before);
  });

  it('is recorded once, not in every call', () => {
    const net = new Net();
    let recordings = 0;
    const run = compile((input: Tensor) => {
      recordings++;
      return net.forward(input);
    });
    for (let i = 0; i < 3; i++) run(x);
    net.fc = times(3);
    for (let i = 0; i < 3; i++) run(x);
    expect(recordings).toBe(2);
  });
});

describe('settings', () => {
  it('a probability, and the training flag itself', () => {
    const dropout = new nn.Dropout(0.5);
    const run = compile((input: Tensor) => dropout.forward(input));
    manualSeed(1);
    expect(
      run(ones([400]))
        .gt(0)
        .sum()
        .item(),
    ).toBeLessThan(300);
    Object.assign(dropout, { p: 0 });
    expect(
      run(ones([400]))
        .sum()
        .item(),
    ).toBe(400);
    Object.assign(dropout, { p: 0.5 });
    dropout.training = false;
    expect(
      run(ones([400]))
        .sum()
        .item(),
    ).toBe(400);
  });

  it('what a module writes while it runs is no reason to record again', () => {
    let recordings = 0;
    class Counting extends nn.Module {
      calls = 0;
      last: Tensor | null = null;
      forward(input: Tensor): Tensor {
        this.calls++;
        this.last = input.mul(2);
        recordings++;
        return this.last;
      }
    }
    const net = new Counting();
    const [f, g] = [
      compile((input: Tensor) => net.forward(input)),
      compile((input: Tensor) => net.forward(input).sum()),
    ];
    for (let i = 0; i < 3; i++) [f(x), g(x)];
    expect(recordings).toBe(2);
  });

  it('a field that changes in every call is named', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    class Annealed extends nn.Module {
      temperature = 1;
      forward(input: Tensor): Tensor {
        return input.div(this.temperature);
      }
    }
    const net = new Annealed();
    const run = compile((input: Tensor) => net.forward(input));
    for (let i = 1; i <= 20; i++) {
      net.temperature = i;
      expect(run(tensor([1])).item()).toBeCloseTo(1 / i, 6);
    }
    expect(warn.mock.calls.flat().filter(line => String(line).includes('Annealed.temperature'))).toHaveLength(1);
    warn.mockRestore();
  });
});

describe('hyperparameters of an optimizer change between calls of a compiled step', () => {
  /** Five steps of f(w) = sum of w^3 with a change after the second; eager or compiled. */
  function run(
    compiled: boolean,
    make: (params: Parameter[]) => Adam | SGD,
    change: (optimizer: Adam | SGD) => void,
  ): unknown {
    const w = new Parameter(tensor([1, -2]));
    const optimizer = make([w]);
    const body = (): void => {
      optimizer.zeroGrad();
      w.pow(3).sum().backward();
      optimizer.step();
    };
    const step = compiled ? compile(body) : body;
    for (let i = 0; i < 5; i++) {
      if (i === 2) change(optimizer);
      step();
    }
    return Array.from(w.data(), Number);
  }

  const sgd = (params: Parameter[]): SGD => new SGD(params, { lr: 0.01, momentum: 0.5 });
  const adam = (params: Parameter[]): Adam => new Adam(params, { lr: 0.01 });

  it.each<[string, (params: Parameter[]) => Adam | SGD, (optimizer: Adam | SGD) => void]>([
    ['lr of a group', sgd, o => (o.paramGroups[0]!.lr = 0.1)],
    ['lr of all', adam, o => (o.lr = 0.1)],
    ['momentum', sgd, o => (o.paramGroups[0]!.momentum = 0.9)],
    ['weightDecay', sgd, o => (o.paramGroups[0]!.hyper.weightDecay = 0.5)],
    ['maximize', sgd, o => (o.paramGroups[0]!.hyper.maximize = true)],
    ['betas', adam, o => ((o as Adam).paramGroups[0]!.hyper.betas = [0.5, 0.6])],
    ['eps', adam, o => ((o as Adam).paramGroups[0]!.hyper.eps = 1)],
    ['a field that was not there', adam, o => Object.assign(o.paramGroups[0]!.hyper, { maximize: true })],
    ['a group that goes', sgd, o => o.paramGroups.pop()],
  ])('%s', (_, make, change) => {
    const eager = run(false, make, change) as number[];
    const compiled = run(true, make, change) as number[];
    for (const [i, value] of compiled.entries()) expect(value).toBeCloseTo(eager[i]!, 6);
    const unchanged = run(true, make, () => {}) as number[];
    expect(unchanged).not.toEqual(compiled);
  });

  it('a group that comes, and settings that are taken back', () => {
    const [a, b] = [new Parameter(tensor([0])), new Parameter(tensor([0]))];
    const optimizer = new SGD([a], { lr: 1 });
    const step = compile(() => {
      optimizer.zeroGrad();
      a.add(b).sum().backward();
      optimizer.step();
    });
    const moved = (): number[] => {
      const before = [a.item(), b.item()];
      for (let i = 0; i < 3; i++) step();
      return [a.item() - before[0]!, b.item() - before[1]!];
    };
    expect(moved()).toEqual([-3, 0]);
    optimizer.addParamGroup({ params: [b], lr: 2 });
    expect(moved()).toEqual([-3, -6]);
    const { hyper } = optimizer.paramGroups[1]!;
    hyper.maximize = true;
    expect(moved()).toEqual([-3, 6]);
    Reflect.deleteProperty(hyper, 'maximize');
    expect(moved()).toEqual([-3, -6]);
    hyper.maximize = true;
    expect(moved()).toEqual([-3, 6]);
  });
});

describe('the state around a call', () => {
  it('requiresGrad of one parameter', () => {
    const [a, b] = [new Parameter(tensor([1])), new Parameter(tensor([1]))];
    const optimizer = new SGD([a, b], { lr: 1 });
    const step = compile(() => {
      optimizer.zeroGrad();
      a.add(b).sum().backward();
      optimizer.step();
    });
    step();
    b.requiresGrad = false;
    step();
    b.requiresGrad = true;
    step();
    expect([a.item(), b.item()]).toEqual([-2, -1]);
  });

  it('autocast around the call, on and off', () => {
    const layer = new nn.Linear(2, 2);
    const run = compile((input: Tensor) => layer.forward(input));
    const seen = [run(x).dtype, autocast({ dtype: 'bf16' }, () => run(x)).dtype, run(x).dtype];
    expect(seen).toEqual(['f32', 'bf16', 'f32']);
  });

  it('noGrad around the call: backward() inside is refused as it is without compile', () => {
    const w = new Parameter(tensor([2]));
    const body = (): void => w.square().sum().backward();
    const step = compile(body);
    step();
    expect(w.grad!.item()).toBe(4);
    const refusal = (fn: () => void): string => {
      try {
        noGrad(fn);
        return 'none';
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(refusal(step)).toBe(refusal(body));
    w.grad = null;
    step();
    expect(w.grad!.item()).toBe(4);
  });

  it('other batch sizes and dtypes', () => {
    const w = new Parameter(tensor([[2, 1]]));
    const run = compile((input: Tensor) => F.linear(input.to('f32'), w).sum());
    expect(run(ones([3, 2])).item()).toBe(9);
    expect(run(ones([5, 2])).item()).toBe(15);
    expect(run(ones([3, 2], { dtype: 'i64' })).item()).toBe(9);
    expect(run(ones([3, 2])).item()).toBe(9);
  });

  it('module.to gives a module other parameters', () => {
    const layer = times(2);
    const run = compile((input: Tensor) => layer.forward(input.to(layer.weight.dtype)));
    expect(run(x).dtype).toBe('f32');
    layer.to('f64');
    expect([run(x).dtype, run(x).toArray()]).toEqual(['f64', [[2, 4]]]);
  });

  it('a variable that was closed over is fixed, as documented; an argument is not', () => {
    let scale = randn([1]);
    const first = scale.item() as number;
    const closed = compile((input: Tensor) => input.mul(scale));
    const given = compile((input: Tensor, factor: Tensor) => input.mul(factor));
    expect(closed(tensor([1])).item()).toBe(first);
    scale = tensor([5]);
    expect(closed(tensor([1])).item()).toBe(first);
    expect([given(tensor([1]), tensor([3])).item(), given(tensor([1]), scale).item()]).toEqual([3, 5]);
  });
});

describe('fields of every kind', () => {
  class Plain extends nn.Module {
    a = 1;
    b = 2;
    c?: number;
    forward(input: Tensor): Tensor {
      return input.mul(this.a + this.b + (this.c ?? 0));
    }
  }
  class Reading extends Plain {
    constructor() {
      super();
      Object.defineProperty(this, 'late', { get: () => this.b, enumerable: true, configurable: true });
    }
  }
  class Counting extends Plain {
    calls = 0;
    override forward(input: Tensor): Tensor {
      this.calls++;
      return super.forward(input);
    }
  }
  class Numbered extends Plain {
    readonly 0 = new nn.Identity();
  }

  it.each<[string, typeof Plain]>([
    ['all held', Plain],
    ['one with a getter', Reading],
    ['one that the module writes', Counting],
    ['one under a number', Numbered],
  ])('%s', (_, Class) => {
    const net = new Class();
    const run = compile((input: Tensor) => net.forward(input));
    const value = (): unknown => run(tensor([1])).item();
    expect(value()).toBe(3);
    net.b = 5;
    expect(value()).toBe(6);
    net.a = Number.NaN;
    expect(value()).toBeNaN();
    net.a = 2;
    expect(value()).toBe(7);
    Object.defineProperty(net, 'b', { get: () => 10, enumerable: true });
    expect(value()).toBe(12);
  });

  it('a field that is added, or taken away', () => {
    const net = new Plain();
    const run = compile((input: Tensor) => net.forward(input));
    expect(run(tensor([1])).item()).toBe(3);
    delete net.c;
    expect(run(tensor([1])).item()).toBe(3);
    net.c = 4;
    expect(run(tensor([1])).item()).toBe(7);
  });
});
