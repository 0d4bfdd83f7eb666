/**
 * What every module does: finding its parts, modes, state dicts, freezing, conversion, the summary.
 */
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as nn from '../../src/nn/index.ts';
import { SGD } from '../../src/optim/index.ts';
import { compile, manualSeed, ones, Parameter, randn, type Tensor, tensor, zeros } from '../../src/tensor/index.ts';

class Net extends nn.Module {
  readonly conv1 = new nn.Conv2d(1, 2, 3, { padding: 1 });
  readonly bn1 = new nn.BatchNorm2d(2);
  readonly blocks = new nn.ModuleList([new nn.Linear(8, 8), new nn.Linear(8, 8)]);
  readonly heads = new nn.ModuleDict({ someName: new nn.Linear(8, 3) });
  readonly ln_1 = new nn.LayerNorm(8);
  readonly logitScale = new Parameter(tensor([2]));

  forward(x: Tensor): Tensor {
    let y = this.bn1.call(this.conv1.call(x)).flatten(1);
    for (const block of this.blocks) y = block.call(y).relu();
    return this.heads.get('someName')!.call(this.ln_1.call(y)).mul(this.logitScale);
  }
}

const KEYS = [
  'logit_scale',
  'conv1.weight',
  'conv1.bias',
  'bn1.weight',
  'bn1.bias',
  'bn1.running_mean',
  'bn1.running_var',
  'bn1.num_batches_tracked',
  'blocks.0.weight',
  'blocks.0.bias',
  'blocks.1.weight',
  'blocks.1.bias',
  'heads.someName.weight',
  'heads.someName.bias',
  'ln_1.weight',
  'ln_1.bias',
];

describe('finding the parts', () => {
  it('keys follow the one rule, in order of definition', () => {
    expect(Object.keys(new Net().stateDict())).toEqual(KEYS);
  });

  it('buffers are no parameters', () => {
    const net = new Net();
    expect(net.namedBuffers().map(([key]) => key)).toEqual(
      KEYS.filter(key => key.includes('running') || key.includes('num_')),
    );
    expect(net.parameters().every(parameter => parameter.requiresGrad)).toBe(true);
    expect(net.parameters().length + net.buffers().length).toBe(KEYS.length);
  });

  it('a shared module is one module, under both keys in the state', () => {
    const linear = new nn.Linear(2, 2);
    const pair = new nn.Sequential(linear, linear);
    expect(pair.parameters()).toHaveLength(2);
    expect(pair.modules()).toHaveLength(2);
    expect(Object.keys(pair.stateDict())).toEqual(['0.weight', '0.bias', '1.weight', '1.bias']);
  });

  it('buffers that are not persistent stay out of the state', () => {
    class WithMask extends nn.Module {
      readonly mask: Parameter;
      constructor() {
        super();
        this.mask = this.registerBuffer('mask', ones([3]), { persistent: false });
      }
      forward(x: Tensor): Tensor {
        return x.mul(this.mask);
      }
    }
    const module = new WithMask();
    expect(module.stateDict()).toEqual({});
    expect(module.buffers()).toEqual([module.mask]);
    expect(module.parameters()).toEqual([]);
  });

  it('a plain array of modules is refused, not ignored', () => {
    class Lost extends nn.Module {
      readonly layers = [new nn.Linear(1, 1)];
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    expect(() => new Lost().parameters()).toThrow('Lost.layers is a plain array of modules');
  });

  it('apply visits children before their parents', () => {
    const names: string[] = [];
    new nn.Sequential(new nn.Linear(1, 1), new nn.ReLU()).apply(module => names.push(module.constructor.name));
    expect(names).toEqual(['Linear', 'ReLU', 'Sequential']);
  });
});

describe('state dicts', () => {
  it('carry all values over', () => {
    manualSeed(1);
    const [a, b] = [new Net(), new Net()];
    const x = randn([2, 1, 2, 2]);
    a.call(x);
    expect(b.loadStateDict(a.stateDict())).toEqual({ missing: [], unexpected: [] });
    a.eval();
    b.eval();
    expect(b.call(x).toArray()).toEqual(a.call(x).toArray());
    expect(b.bn1.numBatchesTracked!.item()).toBe(1);
  });

  it('say in one sentence what does not fit, and change nothing', () => {
    const linear = new nn.Linear(2, 3);
    const before = linear.weight.toArray();
    const state = { weight: zeros([3, 4]), wieght: zeros([3, 2]) };
    expect(() => linear.loadStateDict(state)).toThrow(
      'loadStateDict: the state does not fit Linear: missing: bias; unexpected: wieght; wrong shapes: weight is [3, 4] instead of [3, 2]',
    );
    expect(linear.weight.toArray()).toEqual(before);
    const loose = linear.loadStateDict({ weight: ones([3, 2]), more: ones([1]) }, { strict: false });
    expect(loose).toEqual({ missing: ['bias'], unexpected: ['more'] });
    expect(linear.weight.toArray()).toEqual([
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
  });

  it('convert dtypes', () => {
    const linear = new nn.Linear(1, 1);
    linear.loadStateDict({ weight: tensor([[0.5]], { dtype: 'f64' }), bias: tensor([2], { dtype: 'i64' }) });
    expect([linear.weight.dtype, linear.weight.item(), linear.bias!.item()]).toEqual(['f32', 0.5, 2]);
  });
});

describe('modes', () => {
  it('reach every module below', () => {
    const net = new Net().eval();
    expect(net.modules().map(({ training }) => training)).toEqual(net.modules().map(() => false));
    net.train();
    expect(net.modules().every(({ training }) => training)).toBe(true);
  });

  it('are noticed by compiled functions', () => {
    manualSeed(2);
    const dropout = new nn.Dropout(0.5);
    const run = compile((x: Tensor) => dropout.call(x));
    const x = ones([1000]);
    const kept = run(x)
      .data()
      .filter(value => value !== 0);
    expect(kept.length).toBeGreaterThan(400);
    expect(kept.length).toBeLessThan(600);
    expect(kept[0]).toBe(2);
    // Each call draws anew.
    expect(run(x).toArray()).not.toEqual(run(x).toArray());
    dropout.eval();
    expect(run(x).toArray()).toEqual(x.toArray());
    dropout.train();
    expect(run(x).toArray()).not.toEqual(x.toArray());
  });

  it('going to and fro records each mode once', () => {
    const net = new nn.Sequential(new nn.Linear(2, 2), new nn.Dropout());
    let recorded: string[] = [];
    const named = (name: string): ((x: Tensor) => Tensor) =>
      compile((x: Tensor) => {
        recorded.push(name);
        return net.call(x);
      });
    const [training, evaluating] = [named('training'), named('evaluating')];
    const x = ones([1, 2]);
    for (let epoch = 0; epoch < 3; epoch++) {
      training(x);
      net.eval();
      evaluating(x);
      net.train();
    }
    expect(recorded).toEqual(['training', 'evaluating']);
    // Another module's switch in between, or a freeze, is a new mode.
    recorded = [];
    net.at(1)!.eval();
    training(x);
    net.eval();
    net.at(1)!.train();
    training(x);
    net.requiresGrad_(false);
    training(x);
    expect(recorded).toEqual(['training', 'training', 'training']);
  });

  it('a frozen module gets no gradients, and its compiled step follows', () => {
    const net = new nn.Sequential(new nn.Linear(2, 2), new nn.Linear(2, 1));
    net.at(0)!.requiresGrad_(false);
    net
      .call(ones([1, 2]))
      .sum()
      .backward();
    expect(net.parameters().map(({ grad }) => grad !== null)).toEqual([false, false, true, true]);
    net.zeroGrad();
    expect(net.parameters().every(({ grad }) => grad === null)).toBe(true);
  });
});

describe('fine-tuning', () => {
  it('a parameter frozen after a step was compiled stays as it is', () => {
    const layer = new nn.Linear(2, 1);
    const optimizer = new SGD(layer.parameters(), { lr: 0.1 });
    let recorded = 0;
    const step = compile((x: Tensor) => {
      recorded++;
      optimizer.zeroGrad();
      layer.call(x).sum().backward();
      optimizer.step();
    });
    const x = ones([1, 2]);
    step(x);
    layer.weight.requiresGrad_(false);
    const [weight, bias] = [layer.weight.toArray(), layer.bias!.item() as number];
    step(x);
    expect(layer.weight.toArray()).toEqual(weight);
    expect(layer.bias!.item()).toBeCloseTo(bias - 0.1, 6);
    layer.weight.requiresGrad = true;
    step(x);
    expect(layer.weight.toArray()).not.toEqual(weight);
    expect(recorded).toBe(3);
    expect(() => new Parameter(tensor([1n])).requiresGrad_()).toThrow('only floats have gradients, not i64');
  });

  it('a layer of a Sequential is replaced under its key, also in compiled functions', () => {
    const net = new nn.Sequential({ body: new nn.Linear(2, 3), head: new nn.Linear(3, 4) });
    const run = compile((x: Tensor) => net.call(x));
    expect(run(ones([1, 2])).shape).toEqual([1, 4]);
    net.set(-1, new nn.Linear(3, 2));
    expect(run(ones([1, 2])).shape).toEqual([1, 2]);
    expect(Object.keys(net.stateDict())).toEqual(['body.weight', 'body.bias', 'head.weight', 'head.bias']);
    expect(net.stateDict()['head.weight']!.shape).toEqual([2, 3]);
    expect(() => net.set(2, new nn.ReLU())).toThrow('Sequential.set: index 2 is out of range for 2 modules');
  });
});

describe('batch norm', () => {
  it('updates its statistics in training only, also from a compiled function', () => {
    const bn = new nn.BatchNorm1d(1, { momentum: 0.5 });
    const run = compile((x: Tensor) => bn.call(x));
    // Mean 2, unbiased variance 2: running mean 0.5 * 0 + 0.5 * 2, running variance 0.5 * 1 + 0.5 * 2.
    run(tensor([[1], [3]]));
    expect([bn.runningMean!.item(), bn.runningVar!.item()]).toEqual([1, 1.5]);
    run(tensor([[1], [3]]));
    expect([bn.runningMean!.item(), bn.runningVar!.item(), bn.numBatchesTracked!.item()]).toEqual([1.5, 1.75, 2]);
    bn.eval();
    run(tensor([[10], [30]]));
    expect(bn.runningMean!.item()).toBe(1.5);
  });

  it('refuses inputs of another rank or width', () => {
    expect(() => new nn.BatchNorm2d(3).call(zeros([2, 3]))).toThrow(
      'BatchNorm2d: input [2, 3] came, expected 4 dimensions with 3 channels in dimension 1',
    );
  });
});

describe('conversion', () => {
  it('to f64 keeps sharing and integer buffers', () => {
    const linear = new nn.Linear(2, 2);
    const net = new nn.Sequential(linear, linear).to('f64');
    expect(net.parameters()).toHaveLength(2);
    expect(linear.weight.dtype).toBe('f64');
    const bn = new nn.BatchNorm1d(2).to('f64');
    expect([bn.runningMean!.dtype, bn.numBatchesTracked!.dtype]).toEqual(['f64', 'i64']);
    expect(bn.buffers()).toHaveLength(3);
  });
});

describe('summary', () => {
  it('shows layers, output shapes and counts', () => {
    const model = new nn.Sequential(
      new nn.Conv2d(1, 6, 5),
      new nn.ReLU(),
      new nn.Flatten(),
      new nn.Linear(6 * 576, 10),
    );
    model.at(0)!.requiresGrad_(false);
    expect(model.summary([2, 1, 28, 28])).toBe(
      [
        'Layer       Output          Parameters',
        '--------------------------------------',
        '0: Conv2d   [2, 6, 24, 24]         156',
        '1: ReLU     [2, 6, 24, 24]           0',
        '2: Flatten  [2, 3456]                0',
        '3: Linear   [2, 10]             34,570',
        '--------------------------------------',
        '34,726 parameters, 34,570 of them trained',
      ].join('\n'),
    );
    expect(model.training).toBe(true);
    expect(Object.hasOwn(model, 'forward')).toBe(false);
  });
});

/** As most language models are written. */
class Tied extends nn.Module {
  readonly embedding = new nn.Embedding(5, 3);
  readonly dropout = new nn.Dropout(0.5);
  readonly out = new nn.Linear(3, 5, { bias: false });

  constructor() {
    super();
    this.out.weight = this.embedding.weight;
  }

  forward(tokens: Tensor): Tensor {
    return this.out.call(this.dropout.call(this.embedding.call(tokens)));
  }
}

describe('weights tied by assignment', () => {
  it('are one parameter, which gets the gradients of both uses and one update', () => {
    const model = new Tied();
    model.dropout.p = 0;
    const { weight } = model.embedding;
    weight.assign(ones([5, 3]));
    expect(model.parameters()).toEqual([weight]);
    expect(Object.keys(model.stateDict())).toEqual(['embedding.weight', 'out.weight']);
    // The sum of all logits of token 2 is sum_jd w[2, d] w[j, d]: of d/dw[2, d] = 5 + 1, of d/dw[j, d] = 1 elsewhere.
    const optimizer = new SGD(model.parameters(), { lr: 0.5 });
    model
      .call(tensor([2n]))
      .sum()
      .backward();
    optimizer.step();
    expect(weight.narrow(1, 0, 1).flatten().toArray()).toEqual([0.5, 0.5, -2, 0.5, 0.5]);
    expect(model.out.weight).toBe(weight);
  });
});

describe('errors name the layer and the sizes', () => {
  it.each([
    [() => new nn.Conv2d(3, 4, 3, { groups: 2 }), 'Conv2d: 3 input and 4 output channels do not split into 2 groups'],
    [() => new nn.Conv2d(3, 4, [3, 3, 3]), 'Conv2d kernelSize: 3 numbers came for 2 dimensions'],
    [() => new nn.MultiheadAttention(6, 4), 'MultiheadAttention: 6 features do not split into 4 heads'],
    [() => new nn.GroupNorm(4, 6), 'GroupNorm: 6 channels do not split into 4 groups'],
    [() => new nn.Embedding(3, 2, { paddingIdx: 3 }), 'Embedding: paddingIdx 3 came for 3 embeddings'],
    [() => new nn.Dropout(1.5), 'Dropout: p: expected a probability from 0 to 1, got number 1.5'],
    [() => new nn.LSTM(3, 4).call(zeros([5, 2, 4])), 'LSTM: input [5, 2, 4] came'],
    [() => new nn.GRU(3, 4).call(zeros([5, 2, 3]), zeros([2, 2, 4])), 'GRU: state [2, 2, 4] came, expected [1, 2, 4]'],
  ])('%#', (act, message) => {
    expect(act).toThrow(message);
  });
});

describe('printing', () => {
  it('shows the tree with its settings, and blocks that are alike once', () => {
    const net = new Net();
    expect(String(net)).toBe(
      [
        'Net(',
        "  (conv1): Conv2d(inChannels=1, outChannels=2, kernelSize=[3, 3], stride=[1, 1], padding=[1, 1], dilation=[1, 1], groups=1, paddingMode='zeros')",
        '  (bn1): BatchNorm2d(numFeatures=2, eps=0.00001, momentum=0.1)',
        '  (blocks): ModuleList(',
        '    (0-1): 2 x Linear(inFeatures=8, outFeatures=8)',
        '  )',
        '  (heads): ModuleDict(',
        '    (someName): Linear(inFeatures=8, outFeatures=3)',
        '  )',
        '  (ln_1): LayerNorm(normalizedShape=[8], eps=0.00001)',
        ')',
      ].join('\n'),
    );
    expect(String(new nn.Linear(2, 3, { bias: false }))).toBe('Linear(inFeatures=2, outFeatures=3, bias=false)');
  });

  it('is what the console shows, and can be said otherwise by a module', () => {
    class Scale extends nn.Module {
      readonly by = new Parameter(tensor([2, 3]));
      forward(x: Tensor): Tensor {
        return x.mul(this.by);
      }
    }
    class Named extends Scale {
      override extraRepr(): string {
        return 'twice';
      }
    }
    expect(inspect(new Scale())).toBe('Scale(by=[2])');
    expect(`${new Named()}`).toBe('Named(twice)');
  });
});
