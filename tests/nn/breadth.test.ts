/**
 * That every public class of torch.nn exists here, or is left out for a reason; and the layers that no PyTorch figure
 * covers.
 */
import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import * as nn from '../../src/nn/index.ts';
import { compile, manualSeed, ones, Parameter, randn, type Tensor, tensor } from '../../src/tensor/index.ts';

beforeEach(() => {
  manualSeed(11);
});

/** Classes of torch.nn 1.13 without a counterpart, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  Container: 'deprecated alias of Module',
  NLLLoss2d: 'deprecated alias of NLLLoss',
  DataParallel: 'several GPUs in one process',
  SyncBatchNorm: 'statistics across CUDA processes',
  RNNBase: 'abstract base',
  RNNCellBase: 'abstract base',
  UninitializedBuffer: 'lazy modules have no parameters before their first call',
  UninitializedParameter: 'lazy modules have no parameters before their first call',
};

describe('torch.nn', () => {
  const classes = JSON.parse(
    readFileSync(new URL('../fixtures/torch-nn-classes.json', import.meta.url), 'utf8'),
  ) as string[];

  it('has no class that is neither here nor left out for a reason', () => {
    expect(classes).toHaveLength(158);
    expect(classes.filter(name => !(name in nn) && !(name in LEFT_OUT))).toEqual([]);
    expect(Object.keys(LEFT_OUT).filter(name => name in nn || !classes.includes(name))).toEqual([]);
  });
});

describe('lazy modules', () => {
  it.each([
    ['LazyLinear', () => new nn.LazyLinear(3), new nn.Linear(5, 3), [2, 5]],
    ['LazyConv1d', () => new nn.LazyConv1d(3, 2), new nn.Conv1d(4, 3, 2), [2, 4, 5]],
    ['LazyConv2d', () => new nn.LazyConv2d(3, 2, { bias: false }), new nn.Conv2d(4, 3, 2, { bias: false }), [4, 5, 5]],
    ['LazyConv3d', () => new nn.LazyConv3d(3, 1), new nn.Conv3d(4, 3, 1), [2, 4, 2, 2, 2]],
    ['LazyConvTranspose1d', () => new nn.LazyConvTranspose1d(3, 2), new nn.ConvTranspose1d(4, 3, 2), [2, 4, 5]],
    ['LazyConvTranspose2d', () => new nn.LazyConvTranspose2d(3, 2), new nn.ConvTranspose2d(4, 3, 2), [2, 4, 5, 5]],
    ['LazyConvTranspose3d', () => new nn.LazyConvTranspose3d(3, 1), new nn.ConvTranspose3d(4, 3, 1), [2, 4, 2, 2, 2]],
    ['LazyBatchNorm1d', () => new nn.LazyBatchNorm1d(), new nn.BatchNorm1d(4), [3, 4]],
    ['LazyBatchNorm2d', () => new nn.LazyBatchNorm2d(), new nn.BatchNorm2d(4), [3, 4, 2, 2]],
    ['LazyBatchNorm3d', () => new nn.LazyBatchNorm3d(), new nn.BatchNorm3d(4), [3, 4, 2, 2, 2]],
    [
      'LazyInstanceNorm1d',
      () => new nn.LazyInstanceNorm1d({ affine: true }),
      new nn.InstanceNorm1d(4, { affine: true }),
      [3, 4, 5],
    ],
    ['LazyInstanceNorm2d', () => new nn.LazyInstanceNorm2d(), new nn.InstanceNorm2d(4), [3, 4, 5, 2]],
    ['LazyInstanceNorm3d', () => new nn.LazyInstanceNorm3d(), new nn.InstanceNorm3d(4), [3, 4, 5, 2, 2]],
  ] as const)('%s becomes the layer it stands for', (name, make, layer, shape) => {
    const lazy: nn.AnyModule = make();
    expect(() => lazy.parameters()).toThrow(`${name} has no parameters yet`);
    const x = ones(shape);
    const y = (lazy.forward as (x: Tensor) => Tensor)(x);
    expect(lazy.constructor).toBe(layer.constructor);
    const shapes = (module: nn.AnyModule): unknown =>
      Object.entries(module.stateDict()).map(([key, value]) => [key, [...value.shape]]);
    expect(shapes(lazy)).toEqual(shapes(layer));
    expect(lazy.buffers()).toHaveLength(layer.buffers().length);
    expect([...y.shape]).toEqual([...layer.call(x).shape]);
    expect((lazy.forward as (x: Tensor) => Tensor)(x).toArray()).toEqual(y.toArray());
  });

  it('refuse to be first called inside compile', () => {
    const lazy = new nn.LazyLinear(2);
    expect(() => compile((x: Tensor) => lazy.call(x))(ones([1, 2]))).toThrow(
      'call the model once before it is compiled',
    );
  });
});

describe('hooks', () => {
  it('see and replace arguments and outputs, until removed', () => {
    const double = new nn.Identity();
    const before = double.registerForwardPreHook((_, [x]) => [x.add(1)]);
    const after = double.registerForwardHook((_, __, y) => y.mul(2));
    expect(double.call(tensor([1, 2])).toArray()).toEqual([4, 6]);
    before.remove();
    expect(double.call(tensor([1, 2])).toArray()).toEqual([2, 4]);
    after.remove();
    expect(double.call(tensor([1, 2])).toArray()).toEqual([1, 2]);
  });

  it('reach a function that was compiled before them', () => {
    const layer = new nn.Identity();
    const run = compile((x: Tensor) => layer.call(x));
    expect(run(ones([1])).toArray()).toEqual([1]);
    layer.registerForwardHook((_, __, y) => y.mul(3));
    expect(run(ones([1])).toArray()).toEqual([3]);
  });

  it('collect features', () => {
    const net = new nn.Sequential({ fc1: new nn.Linear(2, 3), fc2: new nn.Linear(3, 1) });
    const features: Tensor[] = [];
    net.getSubmodule('fc1').registerForwardHook<readonly [Tensor], Tensor>((_, __, y) => {
      features.push(y);
      return undefined;
    });
    net.call(ones([4, 2]));
    expect(features.map(({ shape }) => shape)).toEqual([[4, 3]]);
  });
});

describe('finding by key', () => {
  const net = new nn.Sequential({ body: new nn.Sequential(new nn.Linear(2, 3)), head: new nn.Linear(3, 1) });

  it('modules and parameters', () => {
    expect(net.getSubmodule('body.0')).toBeInstanceOf(nn.Linear);
    expect(net.getParameter('head.bias').shape).toEqual([1]);
    expect(Object.keys(net.stateDict())).toEqual(['body.0.weight', 'body.0.bias', 'head.weight', 'head.bias']);
    expect(() => net.getSubmodule('tail')).toThrow('getSubmodule: Sequential has no module "tail"');
    expect(() => net.getParameter('head.scale')).toThrow('getParameter: Sequential has no parameter "head.scale"');
  });

  it('names that the class needs are refused', () => {
    expect(() => new nn.Sequential({ forward: new nn.Linear(1, 1) })).toThrow('the name "forward" is taken');
  });
});

describe('parameter containers', () => {
  it('keep their keys', () => {
    class Net extends nn.Module {
      readonly list = new nn.ParameterList([new Parameter(ones([2])), new Parameter(ones([3]))]);
      readonly dict = new nn.ParameterDict({ someName: new Parameter(ones([4])) });
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    const net = new Net();
    expect(net.namedParameters().map(([key]) => key)).toEqual(['list.0', 'list.1', 'dict.someName']);
    expect(net.list.at(-1)!.shape).toEqual([3]);
    expect(net.dict.get('someName')!.shape).toEqual([4]);
    expect([...net.list].map(p => p.numel())).toEqual([2, 3]);
    // What takes a parameter's place is what the containers give from then on.
    net.to('f64');
    expect([net.list.at(0)!.dtype, net.dict.get('someName')!.dtype, ...[...net.list].map(p => p.dtype)]).toEqual(
      new Array(4).fill('f64'),
    );
    expect(net.parameters()).toEqual([...net.list, net.dict.get('someName')]);
  });
});

describe('reparametrisations', () => {
  it('give the weight back when removed', () => {
    for (const split of [nn.weightNorm, nn.spectralNorm]) {
      const linear = split(new nn.Linear(4, 3)).eval();
      const x = randn([2, 4]);
      const before = linear.call(x).toArray() as number[][];
      const remove = split === nn.weightNorm ? nn.removeWeightNorm : nn.removeSpectralNorm;
      remove(linear);
      expect(Object.keys(linear.stateDict()).sort()).toEqual(['bias', 'weight']);
      const after = linear.call(x).toArray() as number[][];
      after.flat().forEach((value, i) => {
        expect(value).toBeCloseTo(before.flat()[i]!, 5);
      });
    }
  });

  it('are refused where there is nothing to split', () => {
    expect(() => nn.weightNorm(new nn.ReLU())).toThrow('weightNorm: ReLU.weight is no parameter of the module');
    const twice = nn.weightNorm(new nn.Linear(2, 2));
    expect(() => nn.weightNorm(twice)).toThrow('weightNorm: Linear.weight is parametrised already');
    expect(() => nn.removeWeightNorm(new nn.Linear(2, 2))).toThrow('is not parametrised');
  });

  it('the weight has spectral norm 1 once the iteration has settled', () => {
    const linear = nn.spectralNorm(new nn.Linear(4, 3), { nPowerIterations: 50 });
    linear.call(ones([1, 4])).eval();
    linear.eval();
    // The largest singular value squared is the largest eigenvalue of w wᵀ: iterate on it.
    const w = (linear.weight as Tensor).detach();
    let v = ones([3, 1]);
    for (let i = 0; i < 100; i++) {
      const next = w.matmul(w.T).matmul(v);
      v = next.div(next.norm()).eval();
    }
    expect(w.T.matmul(v).norm().item()).toBeCloseTo(1, 4);
  });
});

describe('vectors of parameters', () => {
  it('go and come back', () => {
    const linear = new nn.Linear(2, 3);
    const vector = nn.parametersToVector(linear.parameters());
    expect(vector.shape).toEqual([9]);
    nn.vectorToParameters(vector.mul(2), linear.parameters());
    expect(nn.parametersToVector(linear.parameters()).toArray()).toEqual(vector.mul(2).toArray());
    expect(() => nn.vectorToParameters(ones([8]), linear.parameters())).toThrow('[8] came, expected [9]');
  });
});

describe('layers beyond PyTorch 1.13', () => {
  it('circular padding continues the content periodically', () => {
    expect(new nn.CircularPad1d([2, 1]).call(tensor([[[1, 2, 3]]])).toArray()).toEqual([[[2, 3, 1, 2, 3, 1]]]);
    expect(
      new nn.CircularPad2d([0, 1, 1, 0])
        .call(
          tensor([
            [
              [1, 2],
              [3, 4],
            ],
          ]),
        )
        .toArray(),
    ).toEqual([
      [
        [3, 4, 3],
        [1, 2, 1],
        [3, 4, 3],
      ],
    ]);
    expect(new nn.CircularPad3d(1).call(ones([1, 1, 2, 2, 2])).shape).toEqual([1, 1, 4, 4, 4]);
    expect(new nn.ZeroPad1d(1).call(ones([1, 1, 1])).toArray()).toEqual([[[0, 1, 0]]]);
    expect(
      new nn.ZeroPad3d(1)
        .call(ones([1, 1, 1, 1]))
        .sum()
        .item(),
    ).toBe(1);
    expect(() => new nn.ZeroPad2d([1, 2])).toThrow(
      'ZeroPad2d: padding [1,2] came, expected a whole number or 4 of them',
    );
  });

  it('channels are dealt in turn', () => {
    const x = tensor([0, 1, 2, 3, 4, 5]).reshape([1, 6, 1]);
    expect(new nn.ChannelShuffle(2).call(x).flatten().toArray()).toEqual([0, 3, 1, 4, 2, 5]);
    expect(() => new nn.ChannelShuffle(4).call(x)).toThrow(
      'channelShuffle: input: expected at least 3 dims with channels that split into 4 groups',
    );
  });
});

describe('random layers', () => {
  it('random leaky ReLU draws slopes within its bounds in training', () => {
    const slopes = new nn.RReLU({ lower: 0.2, upper: 0.4 }).call(ones([1000]).neg()).neg();
    expect([slopes.amin().item() >= 0.2, slopes.amax().item() <= 0.4]).toEqual([true, true]);
    expect(slopes.amax().sub(slopes.amin()).item()).toBeGreaterThan(0.19);
    expect(new nn.RReLU().call(ones([3])).toArray()).toEqual([1, 1, 1]);
  });

  it('fractional pooling draws its windows anew', () => {
    const x = randn([1, 1, 9, 9]);
    const pool = new nn.FractionalMaxPool2d(2, { outputRatio: 0.5 });
    expect(pool.call(x).shape).toEqual([1, 1, 4, 4]);
    const draws = Array.from({ length: 6 }, () => JSON.stringify(pool.call(x)));
    expect(new Set(draws).size).toBeGreaterThan(1);
    expect(() => new nn.FractionalMaxPool2d(2, {})).toThrow('exactly one of outputSize and outputRatio');
  });

  it('feature alpha dropout drops whole channels and keeps mean and variance', () => {
    const x = randn([200, 50, 4]);
    const y = new nn.FeatureAlphaDropout(0.3).call(x);
    const dropped = y.sub(y.select(2, 0).unsqueeze(2)).abs().amax(2).eq(0).to('f32').mean().item();
    expect(Math.abs(dropped - 0.3)).toBeLessThan(0.02);
    expect(Math.abs(y.mean().item())).toBeLessThan(0.05);
    expect(Math.abs(y.var().item() - 1)).toBeLessThan(0.1);
  });
});

describe('embeddings', () => {
  it('of given vectors are frozen unless asked', () => {
    const vectors = tensor([
      [1, 2],
      [3, 4],
    ]);
    const frozen = nn.Embedding.fromPretrained(vectors);
    expect(frozen.weight.requiresGrad).toBe(false);
    expect(frozen.call(tensor([1], { dtype: 'i64' })).toArray()).toEqual([[3, 4]]);
    expect(nn.Embedding.fromPretrained(vectors, { freeze: false }).weight.requiresGrad).toBe(true);
  });
});

describe('adaptive softmax', () => {
  it('its log-probabilities add up to 1 and say what predict says', () => {
    const softmax = new nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7]);
    const x = randn([5, 8]);
    const logs = softmax.logProb(x);
    for (const total of logs.exp().sum(1).toArray() as number[]) expect(total).toBeCloseTo(1, 5);
    expect(softmax.predict(x).toArray()).toEqual(logs.argmax(1).toArray());
    expect(() => new nn.AdaptiveLogSoftmaxWithLoss(8, 12, [7, 3])).toThrow('cutoffs [7,3] came');
  });
});
