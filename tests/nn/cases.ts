/**
 * The modules of torch_nn.py by the names of its cases, and how each is called.
 */
import * as nn from '../../src/nn/index.ts';
import { F, ones, Parameter, Tensor } from '../../src/tensor/index.ts';
import { formula } from '../support/formula.ts';

const transformer = { dimFeedforward: 8, dropout: 0 };

/** The same modules as in torch_reference.py. */
export const MODULES: Readonly<Record<string, () => nn.AnyModule>> = {
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
  'Conv2d.reflect': () => new nn.Conv2d(2, 3, 3, { padding: [2, 1], stride: 2, paddingMode: 'reflect' }),
  'Conv1d.circular': () => new nn.Conv1d(2, 3, 3, { padding: 2, paddingMode: 'circular' }),
  'Conv3d.replicate': () => new nn.Conv3d(2, 2, 2, { padding: 1, paddingMode: 'replicate' }),
  'Conv2d.sameEven': () => new nn.Conv2d(2, 2, [2, 4], { padding: 'same', dilation: [1, 3] }),
  'Conv2d.sameReflect': () => new nn.Conv2d(2, 2, [2, 4], { padding: 'same', paddingMode: 'reflect' }),
  'Conv2d.unbatched': () => new nn.Conv2d(2, 3, 3),
  'ConvTranspose2d.outputSize': () => new nn.ConvTranspose2d(2, 3, 3, { stride: 3, padding: 1 }),
  'BatchNorm1d.length': () => new nn.BatchNorm1d(3),
  'InstanceNorm1d.tracked': () => new nn.InstanceNorm1d(3, { affine: true, trackRunningStats: true, momentum: 0.3 }),
  'InstanceNorm2d.trackedEval': () => new nn.InstanceNorm2d(3, { trackRunningStats: true }).eval(),
  'InstanceNorm2d.unbatched': () => new nn.InstanceNorm2d(3),
  InstanceNorm3d: () => new nn.InstanceNorm3d(2, { eps: 1e-3 }),
  LocalResponseNorm: () => new nn.LocalResponseNorm(4, { alpha: 0.3, beta: 0.6, k: 2 }),
  CrossMapLRN2d: () => new nn.CrossMapLRN2d(3, { alpha: 0.3, beta: 0.6, k: 2 }),
  'CrossMapLRN2d.even': () => new nn.CrossMapLRN2d(4, { alpha: 0.3 }),
  'Embedding.maxNorm': () => new nn.Embedding(7, 3, { maxNorm: 0.4 }),
  'Embedding.scaleGradByFreq': () => new nn.Embedding(7, 3, { scaleGradByFreq: true }),
  EmbeddingBag: () => new nn.EmbeddingBag(7, 3),
  'EmbeddingBag.sum': () => new nn.EmbeddingBag(7, 3, { mode: 'sum', paddingIdx: 1 }),
  'EmbeddingBag.max': () => new nn.EmbeddingBag(7, 3, { mode: 'max', includeLastOffset: true }),
  ReLU: () => new nn.ReLU(),
  Sigmoid: () => new nn.Sigmoid(),
  Tanh: () => new nn.Tanh(),
  Softmax: () => new nn.Softmax(1),
  Softmax2d: () => new nn.Softmax2d(),
  'RReLU.eval': () => new nn.RReLU({ lower: 0.1, upper: 0.4 }).eval(),
  'PReLU.one': () => new nn.PReLU(),
  'GLU.dim': () => new nn.GLU(1),
  'Dropout.eval': () =>
    new nn.Sequential(new nn.Dropout(), new nn.Dropout1d(), new nn.AlphaDropout(), new nn.FeatureAlphaDropout()).eval(),
  Identity: () => new nn.Identity(),
  ConstantPad1d: () => new nn.ConstantPad1d([2, 1], 0.7),
  ConstantPad2d: () => new nn.ConstantPad2d([2, 1, 0, -1], 0.7),
  ConstantPad3d: () => new nn.ConstantPad3d(1, -2),
  ZeroPad2d: () => new nn.ZeroPad2d([0, 1, 2, 0]),
  ReflectionPad1d: () => new nn.ReflectionPad1d([2, 1]),
  ReflectionPad2d: () => new nn.ReflectionPad2d([2, 1, 0, 2]),
  ReflectionPad3d: () => new nn.ReflectionPad3d(1),
  ReplicationPad1d: () => new nn.ReplicationPad1d([5, 1]),
  ReplicationPad2d: () => new nn.ReplicationPad2d([2, 1, 0, 2]),
  ReplicationPad3d: () => new nn.ReplicationPad3d(1),
  'MaxPool2d.indices': () => new nn.MaxPool2d(2, { stride: 1, returnIndices: true }),
  AdaptiveAvgPool3d: () => new nn.AdaptiveAvgPool3d([2, null, 3]),
  AdaptiveMaxPool1d: () => new nn.AdaptiveMaxPool1d(3, { returnIndices: true }),
  AdaptiveMaxPool3d: () => new nn.AdaptiveMaxPool3d(2),
  LPPool1d: () => new nn.LPPool1d(2, 3, { stride: 2 }),
  LPPool2d: () => new nn.LPPool2d(2, [2, 3], { ceilMode: true }),
  MaxUnpool1d: () => new nn.MaxUnpool1d(2),
  MaxUnpool2d: () => new nn.MaxUnpool2d(2),
  MaxUnpool3d: () => new nn.MaxUnpool3d(2),
  PixelShuffle: () => new nn.PixelShuffle(2),
  PixelUnshuffle: () => new nn.PixelUnshuffle(2),
  Upsample: () => new nn.Upsample({ scaleFactor: 2 }),
  'Upsample.linear': () => new nn.Upsample({ size: 5, mode: 'linear' }),
  'Upsample.bilinear': () => new nn.Upsample({ scaleFactor: [1.5, 2], mode: 'bilinear' }),
  'Upsample.bicubic': () => new nn.Upsample({ size: [5, 7], mode: 'bicubic', alignCorners: true }),
  'Upsample.trilinear': () => new nn.Upsample({ scaleFactor: 2, mode: 'trilinear' }),
  UpsamplingNearest2d: () => new nn.UpsamplingNearest2d({ size: [5, 6] }),
  UpsamplingBilinear2d: () => new nn.UpsamplingBilinear2d({ scaleFactor: 2 }),
  Unfold: () => new nn.Unfold([2, 3], { dilation: [1, 2], padding: 1, stride: [2, 1] }),
  Fold: () => new nn.Fold([4, 5], [2, 3], { padding: 1, stride: 2 }),
  CosineSimilarity: () => new nn.CosineSimilarity({ dim: -1 }),
  PairwiseDistance: () => new nn.PairwiseDistance({ p: 3, keepdim: true }),
  'RNN.batchFirst': () => new nn.RNN(3, 4, { batchFirst: true }),
  'LSTM.proj': () => new nn.LSTM(3, 5, { numLayers: 2, projSize: 2, bidirectional: true }),
  'LSTM.projState': () => new nn.LSTM(3, 5, { projSize: 2 }),
  'LSTMCell.single': () => new nn.LSTMCell(3, 4),
  'GRUCell.single': () => new nn.GRUCell(3, 4, { bias: false }),
  'RNNCell.relu': () => new nn.RNNCell(3, 4, { nonlinearity: 'relu' }),
  'MultiheadAttention.biasKv': () => new nn.MultiheadAttention(6, 2, { addBiasKv: true, addZeroAttn: true }),
  'MultiheadAttention.single': () => new nn.MultiheadAttention(6, 2, { bias: false, batchFirst: true }),
  'MultiheadAttention.perHead': () => new nn.MultiheadAttention(4, 2),
  Transformer: () => new nn.Transformer(6, 2, { ...transformer, numEncoderLayers: 2, numDecoderLayers: 1 }),
  AdaptiveLogSoftmaxWithLoss: () => new nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], { divValue: 2, headBias: true }),
  BCELoss: () => new nn.BCELoss({ weight: formula(30, [4]).add(1) }),
  'BCEWithLogitsLoss.posWeight': () => new nn.BCEWithLogitsLoss({ posWeight: formula(31, [4]).add(1) }),
  'CrossEntropyLoss.weight': () => new nn.CrossEntropyLoss({ weight: formula(32, [4]).add(1), ignoreIndex: 1 }),
  'CrossEntropyLoss.probabilities': () => new nn.CrossEntropyLoss({ reduction: 'sum' }),
  SoftMarginLoss: () => new nn.SoftMarginLoss(),
  MultiLabelSoftMarginLoss: () => new nn.MultiLabelSoftMarginLoss(),
  MultiMarginLoss: () => new nn.MultiMarginLoss({ p: 2, margin: 0.5, weight: formula(33, [4]).add(1) }),
  HingeEmbeddingLoss: () => new nn.HingeEmbeddingLoss({ margin: 0.3 }),
  PoissonNLLLoss: () => new nn.PoissonNLLLoss({ full: true }),
  GaussianNLLLoss: () => new nn.GaussianNLLLoss({ full: true }),
  CosineEmbeddingLoss: () => new nn.CosineEmbeddingLoss({ margin: 0.1 }),
  MarginRankingLoss: () => new nn.MarginRankingLoss({ margin: 0.2 }),
  TripletMarginLoss: () => new nn.TripletMarginLoss({ margin: 0.7, swap: true }),
  TripletMarginWithDistanceLoss: () =>
    new nn.TripletMarginWithDistanceLoss({
      distanceFunction: (a, b) => F.pairwiseDistance(a, b, { p: 1 }),
      margin: 0.4,
      swap: true,
    }),
  MultiLabelMarginLoss: () => new nn.MultiLabelMarginLoss(),
  CTCLoss: () => new nn.CTCLoss({ blank: 1 }),
  'CTCLoss.infinite': () => new nn.CTCLoss({ reduction: 'sum', zeroInfinity: true }),
  FractionalMaxPool2d: () =>
    new nn.FractionalMaxPool2d([2, 3], {
      outputSize: [3, 2],
      returnIndices: true,
      randomSamples: formula(50, [2, 2, 2]).add(0.5),
    }),
  FractionalMaxPool3d: () =>
    new nn.FractionalMaxPool3d(2, { outputRatio: 0.5, randomSamples: formula(51, [1, 2, 3]).add(0.5) }),
  weightNorm: () => nn.weightNorm(new nn.Linear(4, 3)),
  'weightNorm.dim': () => nn.weightNorm(new nn.ConvTranspose1d(2, 3, 2), { dim: 1 }),
  'weightNorm.whole': () => nn.weightNorm(new nn.Linear(4, 3), { dim: null }),
  spectralNorm: () => nn.spectralNorm(new nn.Conv2d(2, 3, 2)),
  'spectralNorm.eval': () => nn.spectralNorm(new nn.Linear(4, 3)).eval(),
  'spectralNorm.transposed': () => nn.spectralNorm(new nn.ConvTranspose1d(2, 3, 2), { dim: 1, nPowerIterations: 2 }),
};

const int = (...values: readonly number[]): Tensor => Tensor.from([...values], { dtype: 'i64' });

/** Every sequence keeps its first key. */
const seen = (mask: Tensor): Tensor => {
  const rest = ones([mask.shape[1]!]).cumsum(0).gt(1);
  return mask.logicalAnd(rest);
};

type Call = (module: never, ...inputs: [Tensor, Tensor, Tensor, Tensor]) => unknown;

/** How a case calls its module where that is not with its inputs one after another. */
const CALLS: Readonly<Record<string, Call>> = {
  'LSTM.state': (m: nn.LSTM, x, h, c) => m.call(x, [h, c]),
  'LSTM.projState': (m: nn.LSTM, x, h, c) => m.call(x, [h, c]),
  LSTMCell: (m: nn.LSTMCell, x, h, c) => m.call(x, [h, c]),
  'LSTMCell.single': (m: nn.LSTMCell, x, h, c) => m.call(x, [h, c]),
  MultiheadAttention: (m: nn.MultiheadAttention, x) => m.call(x, x, x, { attnMask: ones([4, 4]).triu(1).to('bool') }),
  'MultiheadAttention.cross': (m: nn.MultiheadAttention, q, k, v, mask) =>
    m.call(q, k, v, { keyPaddingMask: seen(mask) }),
  'MultiheadAttention.biasKv': (m: nn.MultiheadAttention, q, k, v, mask) => m.call(q, k, v, { keyPaddingMask: mask }),
  'MultiheadAttention.perHead': (m: nn.MultiheadAttention, q, k, v, mask) =>
    m.call(q, k, v, { attnMask: mask, averageAttnWeights: false }),
  Transformer: (m: nn.Transformer, src, tgt, mask) =>
    m.call(src, tgt, {
      tgtMask: nn.Transformer.generateSquareSubsequentMask(3),
      srcKeyPaddingMask: seen(mask),
      memoryKeyPaddingMask: seen(mask),
    }),
  'ConvTranspose2d.outputSize': (m: nn.ConvTranspose2d, x) => m.call(x, [9, 5]),
  'EmbeddingBag.sum': (m: nn.EmbeddingBag, index) => m.call(index, int(0, 5, 5), formula(40, [12])),
  'EmbeddingBag.max': (m: nn.EmbeddingBag, index) => m.call(index, int(0, 3, 4, 12)),
  MultiLabelMarginLoss: (m: nn.MultiLabelMarginLoss, x) => {
    const target = int(3, 0, -1, 1, 2, -1, 0, 0, -1, 0, 1, 2).reshape([3, 4]);
    return m.call(x, target);
  },
  CTCLoss: (m: nn.CTCLoss, x) => m.call(x.logSoftmax(2), int(0, 2, 2, 3, 0, 0).reshape([2, 3]), [6, 5], [3, 1]),
  'CTCLoss.infinite': (m: nn.CTCLoss, x) => m.call(x.logSoftmax(2), int(1, 1, 1, 2), [3, 3], [3, 1]),
  PoissonNLLLoss: (m: nn.PoissonNLLLoss, x, counts) => m.call(x, counts.to('f64')),
  MaxUnpool1d: (m: nn.MaxUnpool1d, x) => {
    const { values, indices } = F.maxPool1d(x, 2, { returnIndices: true });
    return m.call(values, indices, [7]);
  },
  MaxUnpool2d: (m: nn.MaxUnpool2d, x) => {
    const { values, indices } = F.maxPool2d(x, 2, { returnIndices: true });
    return m.call(values, indices, [5, 4]);
  },
  MaxUnpool3d: (m: nn.MaxUnpool3d, x) => {
    const { values, indices } = F.maxPool3d(x, 2, { returnIndices: true });
    return m.call(values, indices);
  },
};

/** What a case of the fixture gives its module. */
export interface Input {
  readonly shape: readonly number[];
  readonly kind: 'float' | 'int' | 'probability' | 'unit' | 'sign' | 'mask';
  readonly n?: number;
}

export function inputOf({ shape, kind, n = 0 }: Input, index: number): Tensor {
  const u = formula(500 + index, shape);
  switch (kind) {
    case 'float':
      return new Parameter(u.mul(2));
    case 'int':
      return u.add(0.5).mul(n).floor().to('i64');
    case 'mask':
      return u.gt(0.2);
    case 'sign':
      return u.gt(0).where(1, -1).to('f64');
    case 'unit':
      return new Parameter(u.add(0.5));
    case 'probability':
      return u.add(0.5);
  }
}

/** Runs the module of a case on its inputs. */
export function callCase(name: string, module: nn.AnyModule, inputs: readonly Tensor[]): unknown {
  const call = CALLS[name];
  if (call) return call(module as never, ...(inputs as [Tensor, Tensor, Tensor, Tensor]));
  return (module.forward as (...args: Tensor[]) => unknown)(...inputs);
}
