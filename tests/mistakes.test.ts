/**
 * Typical mistakes of a first day, many of them only possible from JavaScript: each has to end in one sentence that
 * says what to write instead, not in a failure somewhere inside, and above all not in a wrong number.
 */
import { describe, expect, it, test, vi } from 'vitest';
import * as data from '../src/data/index.ts';
import * as formats from '../src/formats/index.ts';
import { Tensor } from '../src/index.ts';
import * as metrics from '../src/metrics/index.ts';
import * as models from '../src/models/index.ts';
import * as nn from '../src/nn/index.ts';
import * as optim from '../src/optim/index.ts';
import * as recsys from '../src/recsys/index.ts';
import * as tenon from '../src/tensor/index.ts';
import * as train from '../src/train/index.ts';

/** The modules as JavaScript sees them: nothing is checked before it runs. */
// biome-ignore lint/suspicious/noExplicitAny: these are the calls that types would refuse
type Untyped = any;
const [T, N, O, D, M, F, R, fit]: Untyped[] = [tenon, nn, optim, data, metrics, formats, recsys, train.fit];
const a: Untyped = tenon.ones([2, 3]);
const model: Untyped = new nn.Linear(3, 2);
const gpt: Untyped = new models.GPT2LMHeadModel({ vocabSize: 4, nPositions: 8, nEmbd: 4, nLayer: 1, nHead: 1 });
const sgd = (): Untyped => new optim.SGD(model.parameters(), { lr: 0.1 });

describe('a first mistake is answered in one sentence', () => {
  const cases: readonly (readonly [code: string, run: () => unknown, sentence: string])[] = [
    ['a + b', () => a + a, 'tensors have no operators: write a.add(b) for a + b'],
    ['2 * a', () => 2 * a, 'tensors have no operators'],
    ['a < 1', () => a < 1, 'a.lt(b) for a < b'],
    ['sum({ dim })', () => a.sum({ dim: 1 }), 'sum: dim: expected a whole number or an array of them, got object'],
    ['softmax without dim', () => a.softmax(), 'softmax: dim: expected a whole number, got undefined'],
    ['permute("1, 0")', () => a.permute('1, 0'), 'permute: order: expected an array of whole numbers, got string 1, 0'],
    ['reshape(6, undefined)', () => a.reshape(6, undefined), 'reshape: shape: expected an array of whole numbers, got'],
    ['zeros(2, "f32")', () => T.zeros(2, 'f32'), 'zeros: options: expected an object of { dtype }, got string f32'],
    [
      'randn(2, { type })',
      () => T.randn(2, { type: 'f64' }),
      'randn: unknown option type, expected { dtype, generator }',
    ],
    [
      'index([[0, 1]])',
      () => a.index([[0, 1]]),
      "index: index: expected numbers, slices, null, '...' or tensors, got an array",
    ],
    [
      'index({ from })',
      () => a.index({ from: 1 }),
      'index: index: unknown option from, expected { start, stop, step }',
    ],
    ['clamp({ low })', () => a.clamp({ low: 1 }), 'clamp: unknown option low, expected { min, max }'],
    ['compile(model)', () => T.compile(model), 'compile: expected a function of tensors, got object (for a module: '],
    ['Parameter([1])', () => new T.Parameter([1]), 'Parameter: expected a tensor, got an array'],
    [
      'dropout(x, "0.5")',
      () => T.F.dropout(a, '0.5'),
      'dropout: p: expected a probability from 0 to 1, got string 0.5',
    ],
    ['elu(x, null)', () => T.F.elu(a, null), 'elu: options: expected an object of { alpha }, got null'],
    [
      'tensor([1], { requiresGrad })',
      () => T.tensor([1], { requiresGrad: true }),
      'tensor: unknown option requiresGrad, expected { dtype, shape }; what has a gradient is a Parameter: new Parameter(tensor(...))',
    ],
    [
      'zeros({ device })',
      () => T.zeros([1], { device: 'cuda' }),
      'expected { dtype }; tensors live where the backend computes',
    ],
    ['zeros(n)', () => T.zeros(undefined), 'zeros: shape: expected an array of sizes, got undefined'],
    ['to("float64")', () => a.to('float64'), 'to: dtype: expected f32, f64, '],
    ['catenate without an array', () => T.cat(a, a), 'cat: expected an array of tensors, got a tensor f32 [2, 3]'],
    ['manualSeed("x")', () => T.manualSeed('x'), 'manualSeed: seed: expected a whole number, got x'],
    ['Linear(3)', () => new N.Linear(3), 'Linear: outFeatures undefined came, expected a whole number of at least 0'],
    [
      'Conv2d(3, 8)',
      () => new N.Conv2d(3, 8),
      'Conv2d kernelSize: expected a number or one per dimension, got undefined',
    ],
    ['Embedding(10)', () => new N.Embedding(10), 'Embedding: embeddingDim undefined came'],
    [
      'Sequential([layers])',
      () => new N.Sequential([model]),
      'Sequential: layer 0 is an array: pass the modules one by one',
    ],
    [
      'Linear(3, 2, false)',
      () => new N.Linear(3, 2, false),
      'Linear: options: expected an object of { bias }, got bool',
    ],
    [
      'Conv2d({ pad })',
      () => new N.Conv2d(3, 2, 3, { pad: 1 }),
      'Conv2d: unknown option pad, expected { stride, padding',
    ],
    ['LSTM({ batch_first })', () => new N.LSTM(3, 2, { batch_first: true }), 'LSTM: unknown option batch_first'],
    ['MaxPool2d({ strides })', () => new N.MaxPool2d(2, { strides: 2 }), 'MaxPool2d: unknown option strides'],
    ['BatchNorm2d(3, 0.1)', () => new N.BatchNorm2d(3, 0.1), 'BatchNorm2d: options: expected an object of { eps'],
    [
      'label_smoothing',
      () => T.F.crossEntropy(a, T.tensor([0n, 1n]), { label_smoothing: 0.1 }),
      'crossEntropy: unknown option label_smoothing',
    ],
    [
      'tensor({ dType })',
      () => T.tensor([1], { dType: 'f64' }),
      'tensor: unknown option dType, expected { dtype, shape }',
    ],
    ['resnet18({ classes })', () => models.resnet18({ classes: 3 } as Untyped), 'ResNet: unknown option classes'],
    [
      'EarlyStopping({ patence })',
      () => new train.EarlyStopping({ patence: 3 } as Untyped),
      'EarlyStopping: unknown option patence',
    ],
    ['compile(model)', () => T.compile(model), 'compile: expected a function of tensors, got object'],
    ['saveSafetensors of arrays', () => F.safetensorsChunks({ w: [1] }), 'safetensors: "w" is no tensor'],
    ['onnx.export of a function', () => F.onnx.export((x: Tensor) => x, a), 'export: module: expected a Module'],
    [
      'onnx.export without inputs',
      () => F.onnx.export(model),
      'export: exampleInputs: expected the arguments of forward',
    ],
    [
      'metadata of numbers',
      () => F.safetensorsChunks({ w: a }, { epoch: 3 }),
      'safetensors: metadata epoch: expected a string, got number 3',
    ],
    [
      'generate of a text',
      () => gpt.generate('Once upon'),
      'GPT2LMHeadModel: prompt: expected an array of tokens, got',
    ],
    ['a deviation of 0', () => D.normalize([0.5], [0]), 'normalize: std: 0 came, expected numbers above 0'],
    [
      'a bigint in a config',
      () => new R.EmbeddingTable({ dim: 8n }),
      'EmbeddingTable: dim: "8" came, expected a whole',
    ],
    [
      'GPT(blockSize)',
      () => new models.GPT({ blockSize: 8 } as Untyped),
      'GPT: unknown option blockSize, expected { block',
    ],
    [
      'GPT without heads',
      () => new models.GPT({ block: 8, layers: 1, d: 4 } as Untyped),
      'GPT: heads: expected a whole',
    ],
    ['Checkpoint({})', () => new train.Checkpoint({} as Untyped), 'Checkpoint: folder: expected a path, got undefined'],
    ['DeepFM without a schema', () => new R.DeepFM({ dim: 8 }), 'DeepFM: schema: expected what the batches hold'],
    ['SparseTrainer({})', () => new R.SparseTrainer({}), 'SparseTrainer: model: expected a model of tenon/recsys'],
    ['a number for a tensor', () => model.forward([1, 2, 3]), 'linear: input: expected a tensor, got an array'],
    ['Adam(model)', () => new O.Adam(model), 'Adam: params: expected parameters, for instance model.parameters()'],
    ['Adam([tensor])', () => new O.Adam([a]), 'Adam: params: expected Parameters'],
    ['Adam(params, 0.1)', () => new O.Adam(model.parameters(), 0.1), 'Adam: options: expected an object of { lr, '],
    [
      'weight_decay',
      () => new O.AdamW(model.parameters(), { weight_decay: 0.1 }),
      'AdamW: unknown option weight_decay, expected { lr, betas, eps, weightDecay, amsgrad, maximize }',
    ],
    ['lr of text', () => new O.SGD(model.parameters(), { lr: '0.1' }), 'SGD: lr 0.1 came, expected at least 0'],
    [
      'a layer for a function that makes layers',
      () => new N.TransformerEncoder(new N.TransformerEncoderLayer(4, 2), 2),
      'TransformerEncoder: layer: expected a function that makes a layer: () => new TransformerEncoderLayer(...)',
    ],
    [
      'class indices as floats',
      () => T.F.crossEntropy(a, T.tensor([0, 1])),
      "crossEntropy: target: f32 [2] came for an input [2, 3]: expected probabilities of its shape, or class indices as integers, target.to('i64')",
    ],
    [
      'DataLoader(set, 2)',
      () => new D.DataLoader(D.arrayDataset([1]), 2),
      'DataLoader: options: expected an object of { batchSize',
    ],
    [
      'batch_size',
      () => new D.DataLoader(D.arrayDataset([1]), { batch_size: 2 }),
      'DataLoader: unknown option batch_size, expected { batchSize',
    ],
    [
      'samples of different lengths',
      () => [...new D.DataLoader(D.arrayDataset([[1, 2], [3]]), { batchSize: 2 })],
      'collate: samples differ: an array of 1 and an array of 2',
    ],
    ['DataLoader(array)', () => new D.DataLoader([1, 2]), 'for an array, arrayDataset(samples)'],
    ['meshgrid(a, b)', () => T.meshgrid(a, a), 'meshgrid: expected an array of tensors, got a tensor f32 [2, 3]'],
    ['weight.assign(3)', () => model.weight.assign(3), 'assign: parameter: expected a tensor, got number 3'],
    ['Softmax()', () => new N.Softmax(), 'Softmax: dim: expected a whole number, got undefined'],
    ['noGrad()', () => T.noGrad(), 'noGrad: expected a function, got undefined'],
    [
      'noGrad(async)',
      () => T.noGrad(async () => a),
      'noGrad: the function returned a promise; only what it does before',
    ],
    ['profile(async)', () => T.profile(async () => a.sum().item()), 'profile: the function returned a promise'],
    ['grad(x)', () => T.grad(a), 'grad: expected a function, got a tensor f32 [2, 3]'],
    ['vmap()', () => T.vmap(), 'vmap: expected a function, got undefined'],
    ['checkpoint(model)', () => T.checkpoint(model), 'checkpoint: expected a function, got object'],
    ['clipGradNorm(model)', () => O.clipGradNorm(model, 1), 'clipGradNorm: params: expected parameters, for instance '],
    ['clipGradNorm(layers)', () => O.clipGradNorm(new N.Sequential(model), 1), 'model.parameters(), got object'],
    ['StepLR(model)', () => new O.StepLR(model, 2), 'StepLR: optimizer: expected an optimizer, got object'],
    [
      'StepLR({ gamma })',
      () => new O.StepLR(sgd(), 2, { gamma: '0.1' }),
      'StepLR: gamma: expected a number, got string',
    ],
    ['MultiStepLR(30)', () => new O.MultiStepLR(sgd(), 30), 'MultiStepLR: milestones: expected an array of steps, got'],
    ['LambdaLR()', () => new O.LambdaLR(sgd()), 'LambdaLR: expected a function of the step, or one per group, got'],
    [
      'ReduceLROnPlateau mode',
      () => new O.ReduceLROnPlateau(sgd(), { mode: 'smallest' }),
      'ReduceLROnPlateau: mode: expected min or max, got smallest',
    ],
    [
      'plateau.step(loss)',
      () => new O.ReduceLROnPlateau(sgd()).step(a.sum()),
      'ReduceLROnPlateau.step: metric: expected a number, got a tensor f32 []',
    ],
    [
      'OneCycleLR cosine',
      () => new O.OneCycleLR(sgd(), { maxLr: 1, totalSteps: 3, annealStrategy: 'cosine' }),
      'OneCycleLR: annealStrategy: expected cos or linear, got cosine',
    ],
    [
      'lr = undefined',
      () => {
        sgd().lr = undefined;
      },
      'lr: expected a number, got undefined',
    ],
    [
      'betas',
      () => new O.Adam(model.parameters(), { betas: 0.9 }),
      'Adam: betas: expected two numbers, got number 0.9',
    ],
    [
      'AveragedModel(params)',
      () => new O.AveragedModel([model.weight]),
      'AveragedModel: model: expected a module, got',
    ],
    [
      'RNN sigmoid',
      () => new N.RNN(2, 2, { nonlinearity: 'sigmoid' }),
      'RNN: nonlinearity: expected tanh or relu, got',
    ],
    [
      'kaimingNormal_ mode',
      () => N.init.kaimingNormal_(model.weight, { mode: 'in' }),
      'init.kaimingNormal_: mode: expected fanIn, fanOut, fan_in or fan_out, got in',
    ],
    [
      'TransformerEncoderLayer swish',
      () => new N.TransformerEncoderLayer(4, 2, { activation: 'swish' }),
      'TransformerEncoderLayer: activation: expected relu or gelu, got swish',
    ],
    [
      'TransformerEncoder of no number',
      () => new N.TransformerEncoder(() => new N.TransformerEncoderLayer(4, 2)),
      'TransformerEncoder: numLayers undefined came',
    ],
    ['BatchNorm2d()', () => new N.BatchNorm2d(), 'BatchNorm2d: numFeatures undefined came, expected a whole number'],
    [
      'Sequential of a class',
      () => new N.Sequential(N.ReLU),
      'layer 0: expected a module, got the class ReLU: new ReLU',
    ],
    ['ModuleList of numbers', () => new N.ModuleList([1]), 'ModuleList: module 0: expected a module, got number 1'],
    ['ModuleList(a, b)', () => new N.ModuleList(model, model), 'ModuleList: expected an array of modules, got object'],
    [
      'a promise of weights',
      () => model.loadStateDict(Promise.resolve({})),
      'loadStateDict: state: expected tensors by name, got a promise of them: await it',
    ],
    [
      'a file of weights',
      () => model.loadStateDict({ tensors: {}, metadata: {} }),
      'loadStateDict: state: expected tensors by name, got object for "tensors"',
    ],
    [
      'a sample that is not there',
      () => new D.TensorDataset(a).get(2),
      'TensorDataset: index 2 is out of range for 2 samples',
    ],
    [
      'EarlyStopping mode',
      () => new train.EarlyStopping({ mode: 'less' } as Untyped),
      'EarlyStopping: mode: expected min',
    ],
    [
      'LogLoss from',
      () => new M.LogLoss({ from: 'logits' }),
      'LogLoss: from: expected probability or logit, got logits',
    ],
    [
      'Accuracy of other rows',
      () => new M.Accuracy().update(a, tenon.ones([4])),
      'Accuracy: 2 predictions for 4 targets',
    ],
  ];
  test.each(cases)('%s', (_, run, sentence) => {
    expect(run).toThrow(sentence);
  });

  it('modules and parameters where nobody finds them', () => {
    class Hidden extends nn.Module {
      layers: unknown;
      constructor(layers: unknown) {
        super();
        this.layers = layers;
      }
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    const p = new tenon.Parameter(a);
    const said = (layers: unknown) => () => new Hidden(layers).parameters();
    expect(said([model])).toThrow(
      'Hidden.layers is a plain array of modules, whose parameters nobody would find: wrap it in ModuleList',
    );
    expect(said(new Map([['a', model]]))).toThrow(
      'Hidden.layers is a plain Map of modules, whose parameters nobody would find: wrap it in ModuleDict',
    );
    expect(said([p])).toThrow(
      'a plain array of parameters, whose parameters nobody would find: wrap it in ParameterList',
    );
    expect(said({ width: 3, names: ['a'], known: new Map([['a', 1]]) })()).toEqual([]);
  });

  it('fit with an optimizer of another model', async () => {
    const other = new O.SGD(new N.Linear(3, 2).parameters(), { lr: 1 });
    await expect(
      fit(model, [[a, tenon.ones([2, 2])]], { loss: tenon.F.mseLoss, optimizer: other, epochs: 1 }),
    ).rejects.toThrow('fit: the loss depends on no parameter of the optimizer');
  });

  it('fit without a loss, without an optimizer', async () => {
    await expect(fit(model, [])).rejects.toThrow('fit: loss: expected a function of output and target');
    await expect(fit(model, [], { loss: tenon.F.mseLoss, epochs: 1 })).rejects.toThrow('fit: optimizer: expected');
    const settings = { loss: tenon.F.mseLoss, optimizer: sgd(), epochs: 1 };
    const said = (wrong: object, sentence: string) =>
      expect(fit(model, [], { ...settings, ...wrong })).rejects.toThrow(sentence);
    await said({ loss: new N.MSELoss() }, 'for instance F.crossEntropy, (output, target) => loss.call(output, target)');
    await said(
      { optimizer: 'adam' },
      'fit: optimizer: expected an optimizer, or several over different parameters, got',
    );
    await said({ scheduler: 'cosine' }, 'fit: scheduler: expected a schedule of tenon/optim, got string cosine');
    await said({ scheduleBy: 'batch' }, 'fit: scheduleBy: expected epoch or step, got batch');
    await said({ metrics: ['accuracy'] }, 'fit: metrics: 0: expected a metric, such as new Accuracy(), got string');
    await said({ callbacks: new train.ProgressBar() }, 'fit: callbacks: expected an array of callbacks, got object');
    await said({ epochs: -1 }, 'fit: epochs: expected a whole number of at least 0, got number -1');
    const misspelt = { loss: tenon.F.mseLoss, optimizer: new O.SGD(model.parameters(), { lr: 1 }), clipGrad: 1 };
    await expect(fit(model, [], misspelt)).rejects.toThrow('fit: unknown option clipGrad, expected { loss, optimizer');
  });
});

it('a target of another shape is noticed, once', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const lossOf = (rows: number): number => tenon.F.mseLoss(tenon.ones([rows, 1]), tenon.ones([rows])).item();
  expect([lossOf(3), lossOf(3), lossOf(4)]).toEqual([0, 0, 0]);
  tenon.F.mseLoss(tenon.ones([5]), tenon.ones([5])).item();
  const sentences = warn.mock.calls.map(([sentence]) => sentence as string);
  warn.mockRestore();
  expect(sentences).toHaveLength(2);
  expect(sentences[0]).toBe(
    "tenon: mseLoss: the target's shape [3] is not the input's [3, 1]: the loss is of all [3, 3] pairs, which is hardly meant",
  );
});

it('templates and JSON show values', () => {
  const x = Tensor.from([[1, 2.5]]);
  expect(`${x}`).toBe('tensor([[1.0000, 2.5000]], f32 [1, 2])');
  expect(JSON.stringify({ x, mask: x.gt(2) })).toBe('{"x":[[1,2.5]],"mask":[[false,true]]}');
});
