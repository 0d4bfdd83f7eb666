/**
 * Deep copies of modules: what copy.deepcopy promises of a torch.nn.Module.
 */
import { describe, expect, it } from 'vitest';
import * as formats from '../../src/formats/index.ts';
import * as models from '../../src/models/index.ts';
import { refusePrivateMembers } from '../../src/nn/clone.ts';
import * as nn from '../../src/nn/index.ts';
import * as optim from '../../src/optim/index.ts';
import * as recsys from '../../src/recsys/index.ts';
import { compile, F, manualSeed, ones, Parameter, randn, type Tensor, tensor } from '../../src/tensor/index.ts';
import { MODULES } from './cases.ts';

class Tied extends nn.Module {
  readonly embed = new nn.Embedding(5, 4);
  readonly blocks = new nn.ModuleList([new nn.Linear(4, 4), new nn.Linear(4, 4)]);
  readonly norm = new nn.BatchNorm1d(4);
  readonly head = new nn.Linear(4, 5, { bias: false });
  readonly settings = { scale: 2, widths: [4, 4] };
  readonly scale = new Parameter(tensor([3]), { requiresGrad: false, name: 'scale' });

  constructor() {
    super();
    Object.assign(this.head, { weight: this.embed.weight });
  }

  forward(tokens: Tensor): Tensor {
    let x = this.embed.call(tokens);
    for (const block of this.blocks) x = block.call(x).relu();
    return this.head.call(this.norm.call(x).mul(this.scale).mul(this.settings.scale));
  }
}

const tokens = tensor([0, 1, 2, 3, 4], { dtype: 'i64' });

describe('clone', () => {
  it('computes the same, and shares no parameter, buffer or setting', () => {
    manualSeed(1);
    const net = new Tied();
    net.norm.eval();
    const copy = net.clone();
    expect(copy).toBeInstanceOf(Tied);
    expect(copy.blocks).toBeInstanceOf(nn.ModuleList);
    expect(copy.forward(tokens).toArray()).toEqual(net.forward(tokens).toArray());
    expect(Object.keys(copy.stateDict())).toEqual(Object.keys(net.stateDict()));
    const own = new Set<unknown>([...net.parameters(), ...net.buffers(), ...net.modules(), net.settings.widths]);
    for (const part of [...copy.parameters(), ...copy.buffers(), ...copy.modules(), copy.settings.widths])
      expect(own.has(part)).toBe(false);
    expect([copy.norm.training, copy.blocks.training]).toEqual([false, true]);
    expect([copy.scale.requiresGrad, copy.scale.name, String(copy)]).toEqual([false, 'scale', String(net)]);
  });

  it('keeps tied weights tied, in the copy alone', () => {
    const net = new Tied();
    const copy = net.clone();
    expect(copy.head.weight).toBe(copy.embed.weight);
    expect(copy.parameters().length).toBe(net.parameters().length);
    const before = net.forward(tokens).toArray();
    copy.embed.weight.assign(ones([5, 4]));
    copy.norm.runningMean!.assign(ones([4]));
    expect(net.forward(tokens).toArray()).toEqual(before);
  });

  it('has the weights of now, and no gradients', () => {
    const net = new nn.Linear(2, 1);
    const optimizer = new optim.SGD(net.parameters(), { lr: 0.1 });
    net
      .forward(ones([3, 2]))
      .sum()
      .backward();
    optimizer.step();
    net
      .forward(ones([3, 2]))
      .sum()
      .backward();
    const copy = net.clone();
    expect(copy.weight.toArray()).toEqual(net.weight.toArray());
    expect([copy.weight.grad, net.weight.grad !== null]).toEqual([null, true]);
  });

  it('has the hooks, and adds its own to itself alone', () => {
    const net = new nn.Linear(2, 2);
    const seen: unknown[] = [];
    const hook = net.registerForwardHook(module => {
      seen.push(module);
      return undefined;
    });
    const copy = net.clone();
    hook.remove();
    net.call(ones([1, 2]));
    copy.call(ones([1, 2]));
    expect(seen).toEqual([copy]);
  });

  it('copies pruned, normed, recurrent and lazy modules', () => {
    manualSeed(2);
    const x = randn([3, 4, 4]);
    const normed = nn.weightNorm(new nn.Linear(4, 4));
    const pruned = nn.prune.l1Unstructured(new nn.Linear(4, 4), 'weight', 0.5);
    const spectral = nn.spectralNorm(new nn.Linear(4, 4)).eval();
    const net = new nn.Sequential(normed, pruned, spectral);
    const copy = net.clone();
    expect(copy.forward(x).toArray()).toEqual(net.forward(x).toArray());
    for (const value of Object.values(copy.stateDict())) (value as Parameter).assign(value.mul(0));
    expect(net.forward(x).abs().sum().item()).toBeGreaterThan(0);
    nn.removeWeightNorm(copy.at(0) as nn.Linear);
    expect(Object.keys(net.stateDict())).toContain('0.weight_g');

    const lstm = new nn.LSTM(4, 4, { bidirectional: true, numLayers: 2 });
    expect(lstm.clone().forward(x)[0].toArray()).toEqual(lstm.forward(x)[0].toArray());
    const lazy = new nn.LazyLinear(3);
    const both = [lazy.clone(), lazy];
    expect(both.map(module => module.forward(x).shape)).toEqual([[3, 4, 3], [3, 4, 3]]); // biome-ignore format: one line
  });

  it.each<[string, () => nn.Module, readonly number[]]>([
    ['LeNet', () => new models.LeNet(), [2, 1, 28, 28]],
    ['transformer', () => new nn.TransformerEncoder(() => new nn.TransformerEncoderLayer(8, 2), 2), [2, 3, 8]],
  ])('copies %s', (_, make, shape) => {
    manualSeed(3);
    const net = make().eval();
    const x = randn(shape);
    expect(net.clone().forward(x).toArray()).toEqual(net.forward(x).toArray());
  });

  it('copies GPT, whose copy trains on its own inside a compiled step', () => {
    manualSeed(4);
    const net = new models.GPT({ vocab: 11, block: 8, layers: 1, heads: 2, d: 8 }).eval();
    const copy = net.clone();
    const sgd = new optim.SGD(copy.parameters(), { lr: 0.5 });
    const input = tensor([[1, 2, 3, 4]], { dtype: 'i64' });
    const step = compile((ids: Tensor) => {
      sgd.zeroGrad();
      const loss = F.crossEntropy(copy.forward(ids).flatten(0, 1), ids.flatten());
      loss.backward();
      sgd.step();
      return { loss, teacher: net.forward(ids) };
    });
    const before = net.forward(input).toArray();
    const [first, second] = [step(input), step(input)];
    expect(second.loss.item() as number).toBeLessThan(first.loss.item() as number);
    expect(second.teacher.toArray()).toEqual(first.teacher.toArray());
    expect(net.forward(input).toArray()).toEqual(before);
  });

  it('no class of the package has a member that cannot be copied', () => {
    const spaces = [nn, models, optim, recsys, formats, formats.onnx];
    const classes = spaces.flatMap(space =>
      Object.values(space).filter(
        (member): member is new () => nn.AnyModule =>
          typeof member === 'function' && member.prototype instanceof nn.Module,
      ),
    );
    expect(classes.length).toBeGreaterThan(200);
    for (const { prototype } of classes) refusePrivateMembers(Object.create(prototype), nn.Module.prototype);
  });

  it.each(Object.keys(MODULES))('%s', name => {
    const module = MODULES[name]!();
    const copy = module.clone();
    expect([String(copy), Object.keys(copy.stateDict())]).toEqual([String(module), Object.keys(module.stateDict())]);
    const own = new Set<unknown>(Object.values(module.stateDict()));
    for (const [key, value] of Object.entries(copy.stateDict())) {
      expect(own.has(value), key).toBe(false);
      expect(value.toArray(), key).toEqual(module.stateDict()[key]!.toArray());
    }
  });

  it('says which member cannot be copied', () => {
    class Hidden extends nn.Module {
      readonly #factor = 2;
      forward(x: Tensor): Tensor {
        return x.mul(this.#factor);
      }
    }
    expect(() => new nn.Sequential(new Hidden()).clone()).toThrow(
      "clone: Hidden.#factor is private to its class, so that no copy can have it: declare it with TypeScript's private",
    );
  });
});
