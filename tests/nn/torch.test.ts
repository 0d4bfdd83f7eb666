/**
 * Every layer against PyTorch in f64: state-dict keys and shapes, outputs, gradients of parameters and inputs, buffers.
 * Figures: python3 tests/support/torch_reference.py
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as nn from '../../src/nn/index.ts';
import { ones, Parameter, Tensor } from '../../src/tensor/index.ts';
import { formula, probe } from '../support/formula.ts';

interface Input {
  readonly shape: readonly number[];
  readonly kind: 'float' | 'int' | 'probability' | 'mask';
  readonly n?: number;
}

type Probe = readonly [number, number];

interface Case {
  readonly inputs: readonly Input[];
  readonly keys: Readonly<Record<string, readonly number[]>>;
  readonly outputs: readonly { readonly shape: readonly number[]; readonly probe: Probe }[];
  readonly grads: Readonly<Record<string, Probe>>;
  readonly input_grads: readonly (Probe | null)[];
  readonly buffers: Readonly<Record<string, Probe>>;
}

const CASES = JSON.parse(readFileSync(new URL('../fixtures/nn.json', import.meta.url), 'utf8')) as Record<string, Case>;

const transformer = { dimFeedforward: 8, dropout: 0 };

/** The same modules as in torch_reference.py. */
const MODULES: Readonly<Record<string, () => nn.AnyModule>> = {
  Linear: () => new nn.Linear(5, 3),
  Bilinear: () => new nn.Bilinear(3, 4, 2),
  Conv1d: () => new nn.Conv1d(4, 6, 3, { stride: 2, padding: 1, groups: 2 }),
  Conv2d: () => new nn.Conv2d(3, 4, [3, 2], { stride: [2, 1], padding: [1, 2], dilation: [1, 2] }),
  'Conv2d.same': () => new nn.Conv2d(2, 2, 3, { padding: 'same', bias: false }),
  Conv3d: () => new nn.Conv3d(2, 3, 2, { padding: 1 }),
  ConvTranspose1d: () => new nn.ConvTranspose1d(4, 2, 3, { stride: 2, padding: 1, outputPadding: 1, groups: 2 }),
  ConvTranspose2d: () => new nn.ConvTranspose2d(3, 2, 3, { stride: 2, padding: 1, outputPadding: 1 }),
  ConvTranspose3d: () => new nn.ConvTranspose3d(2, 2, 2, { stride: 2 }),
  BatchNorm1d: () => new nn.BatchNorm1d(4),
  BatchNorm2d: () => new nn.BatchNorm2d(3, { momentum: 0.3 }),
  'BatchNorm2d.average': () => new nn.BatchNorm2d(3, { momentum: null }),
  'BatchNorm2d.eval': () => new nn.BatchNorm2d(3).eval(),
  'BatchNorm3d.untracked': () => new nn.BatchNorm3d(2, { affine: false, trackRunningStats: false }),
  LayerNorm: () => new nn.LayerNorm([3, 4]),
  GroupNorm: () => new nn.GroupNorm(2, 6),
  InstanceNorm2d: () => new nn.InstanceNorm2d(3, { affine: true }),
  Embedding: () => new nn.Embedding(7, 3, { paddingIdx: 2 }),
  PReLU: () => new nn.PReLU({ numParameters: 3 }),
  GELU: () => new nn.GELU(),
  'GELU.tanh': () => new nn.GELU({ approximate: 'tanh' }),
  SiLU: () => new nn.SiLU(),
  Mish: () => new nn.Mish(),
  SELU: () => new nn.SELU(),
  CELU: () => new nn.CELU({ alpha: 1.5 }),
  ELU: () => new nn.ELU({ alpha: 0.7 }),
  Softplus: () => new nn.Softplus({ beta: 2 }),
  LogSigmoid: () => new nn.LogSigmoid(),
  Hardswish: () => new nn.Hardswish(),
  GLU: () => new nn.GLU(),
  ReLU6: () => new nn.Sequential(new nn.Linear(4, 3), new nn.ReLU6()),
  LeakyReLU: () => new nn.LeakyReLU({ negativeSlope: 0.2 }),
  Hardtanh: () => new nn.Hardtanh({ minVal: -0.4, maxVal: 0.3 }),
  Hardsigmoid: () => new nn.Hardsigmoid(),
  Softsign: () => new nn.Softsign(),
  Tanhshrink: () => new nn.Tanhshrink(),
  Softshrink: () => new nn.Softshrink({ lambda: 0.2 }),
  Hardshrink: () => new nn.Hardshrink({ lambda: 0.2 }),
  Threshold: () => new nn.Threshold(0.1, -2),
  Softmin: () => new nn.Softmin(1),
  Unflatten: () => new nn.Sequential(new nn.Flatten(), new nn.Unflatten(1, [2, 6])),
  MaxPool1d: () => new nn.MaxPool1d(3, { stride: 2, dilation: 2, ceilMode: true }),
  MaxPool3d: () => new nn.MaxPool3d(2),
  AvgPool1d: () => new nn.AvgPool1d(3, { stride: 2, padding: 1 }),
  AvgPool3d: () => new nn.AvgPool3d(2),
  AdaptiveMaxPool2d: () => new nn.AdaptiveMaxPool2d([3, 2]),
  AdaptiveAvgPool1d: () => new nn.AdaptiveAvgPool1d(3),
  LogSoftmax: () => new nn.LogSoftmax(1),
  MaxPool2d: () => new nn.MaxPool2d(3, { stride: 2, padding: 1 }),
  AvgPool2d: () => new nn.AvgPool2d(3, { stride: 2, padding: 1, countIncludePad: false }),
  AdaptiveAvgPool2d: () => new nn.AdaptiveAvgPool2d([2, 3]),
  RNN: () => new nn.RNN(3, 4, { numLayers: 2, nonlinearity: 'relu' }),
  LSTM: () => new nn.LSTM(3, 4, { numLayers: 2, bidirectional: true, batchFirst: true }),
  'LSTM.state': () => new nn.LSTM(3, 4),
  GRU: () => new nn.GRU(3, 4, { bidirectional: true, bias: false }),
  'GRU.single': () => new nn.GRU(3, 4),
  LSTMCell: () => new nn.LSTMCell(3, 4),
  GRUCell: () => new nn.GRUCell(3, 4),
  RNNCell: () => new nn.RNNCell(3, 4),
  MultiheadAttention: () => new nn.MultiheadAttention(6, 2),
  'MultiheadAttention.cross': () => new nn.MultiheadAttention(6, 3, { kdim: 5, vdim: 4, batchFirst: true }),
  TransformerEncoderLayer: () => new nn.TransformerEncoderLayer(6, 2, transformer),
  'TransformerEncoderLayer.normFirst': () =>
    new nn.TransformerEncoderLayer(6, 2, { ...transformer, activation: 'gelu', normFirst: true, batchFirst: true }),
  TransformerDecoderLayer: () => new nn.TransformerDecoderLayer(6, 2, transformer),
  TransformerEncoder: () =>
    new nn.TransformerEncoder(() => new nn.TransformerEncoderLayer(6, 2, transformer), 2, {
      norm: new nn.LayerNorm(6),
    }),
  TransformerDecoder: () =>
    new nn.TransformerDecoder(
      () => new nn.TransformerDecoderLayer(6, 2, { ...transformer, batchFirst: true, normFirst: true }),
      2,
    ),
  NLLLoss: () => new nn.NLLLoss({ ignoreIndex: 2 }),
  MSELoss: () => new nn.MSELoss(),
  L1Loss: () => new nn.L1Loss({ reduction: 'none' }),
  CrossEntropyLoss: () => new nn.CrossEntropyLoss({ labelSmoothing: 0.1 }),
  BCEWithLogitsLoss: () => new nn.BCEWithLogitsLoss(),
  SmoothL1Loss: () => new nn.SmoothL1Loss({ beta: 0.3 }),
  HuberLoss: () => new nn.HuberLoss({ delta: 0.3, reduction: 'sum' }),
  KLDivLoss: () => new nn.KLDivLoss({ reduction: 'batchmean' }),
};

function inputOf({ shape, kind, n = 0 }: Input, index: number): Tensor {
  const u = formula(500 + index, shape);
  switch (kind) {
    case 'float':
      return new Parameter(u.mul(2));
    case 'int':
      return u.add(0.5).mul(n).floor().to('i64');
    case 'mask':
      return u.gt(0.2);
    case 'probability':
      return u.add(0.5);
  }
}

/** Forward with each case's own arguments. */
function call(name: string, module: nn.AnyModule, inputs: readonly Tensor[]): unknown {
  const [a, b, c, d] = inputs as [Tensor, Tensor, Tensor, Tensor];
  if (module instanceof nn.LSTM) return b ? module.call(a, [b, c]) : module.call(a);
  if (module instanceof nn.LSTMCell) return module.call(a, [b, c]);
  if (name === 'MultiheadAttention')
    return (module as nn.MultiheadAttention).call(a, a, a, { attnMask: ones([4, 4]).triu(1).to('bool') });
  if (name === 'MultiheadAttention.cross') {
    const mask = Tensor.from([0, 1, 1, 1]).to('bool').logicalAnd(d);
    return (module as nn.MultiheadAttention).call(a, b, c, { keyPaddingMask: mask });
  }
  return (module.forward as (...args: Tensor[]) => unknown).apply(module, [...inputs]);
}

const flat = (result: unknown): Tensor[] => (result instanceof Tensor ? [result] : (result as unknown[]).flatMap(flat));

function expectProbe(tensor: Tensor, [a, b]: Probe, what: string): void {
  const [x, y] = probe(tensor);
  expect(Math.abs(x - a), `${what}: ${x} instead of ${a}`).toBeLessThan(1e-9 * (1 + Math.abs(a)));
  expect(Math.abs(y - b), `${what}: ${y} instead of ${b}`).toBeLessThan(1e-9 * (1 + Math.abs(b)));
}

describe('layers that PyTorch 1.13 lacks', () => {
  it('RMSNorm divides by the root of the mean square', () => {
    const norm = new nn.RMSNorm(2, { eps: 0 }).to('f64');
    norm.weight!.assign(Tensor.from(new Float64Array([1, 2])));
    // Mean square of (3, 4) is 12.5.
    const [a, b] = norm.call(Tensor.from(new Float64Array([3, 4]))).toArray() as [number, number];
    expect(a).toBeCloseTo(3 / Math.sqrt(12.5), 12);
    expect(b).toBeCloseTo(8 / Math.sqrt(12.5), 12);
  });
});

describe('layers agree with PyTorch', () => {
  it('covers every case of the fixture', () => {
    expect(Object.keys(MODULES).sort()).toEqual(Object.keys(CASES).sort());
  });

  it.each(Object.keys(CASES))('%s', name => {
    const expected = CASES[name]!;
    const module = MODULES[name]!().to('f64');
    const shapes = Object.entries(module.stateDict()).map(([key, { shape }]) => [key, [...shape]]);
    expect(Object.fromEntries(shapes)).toEqual(expected.keys);

    module.namedParameters().forEach(([, parameter], i) => {
      parameter.assign(formula(i + 1, parameter.shape));
    });
    const inputs = expected.inputs.map(inputOf);
    const outputs = flat(call(name, module, inputs));
    const loss = outputs
      .map((output, i) => output.mul(formula(700 + i, output.shape)).sum())
      .reduce((a, b) => a.add(b));
    loss.backward();

    expect(outputs.map(output => [...output.shape])).toEqual(expected.outputs.map(({ shape }) => shape));
    const grads = module.namedParameters().map(([key, parameter]) => [key, parameter.grad!] as const);
    expect(grads.map(([key]) => key).sort()).toEqual(Object.keys(expected.grads).sort());
    outputs.forEach((output, i) => {
      expectProbe(output, expected.outputs[i]!.probe, `output ${i}`);
    });
    for (const [key, grad] of grads) expectProbe(grad, expected.grads[key]!, `gradient of ${key}`);
    expected.input_grads.forEach((grad, i) => {
      if (grad) expectProbe((inputs[i] as Parameter).grad!, grad, `gradient of input ${i}`);
    });
    for (const [key, buffer] of module.namedBuffers()) expectProbe(buffer, expected.buffers[key]!, `buffer ${key}`);
  });
});
