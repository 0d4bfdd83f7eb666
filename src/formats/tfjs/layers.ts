/**
 * Keras layers as TensorFlow.js saves them: one rule per class name, from inputs, configuration and weights to the
 * output. Tensors have channels last (keras.io/api/layers, tfjs-layers/src/layers).
 */
import { cat, F, type Parameter, type Tensor } from '../../tensor/index.ts';
import type { Json } from '../json.ts';
import { recurrent } from './recurrent.ts';
import {
  avgPool,
  channelsLast,
  channelsSecond,
  conv,
  convTranspose,
  depthwiseConv,
  maxPool,
  type Window,
} from './windows.ts';

/** What a rule knows of its layer. */
export interface Layer {
  readonly name: string;
  readonly kind: string;
  readonly config: Config;
  readonly training: boolean;
  /** A weight by the last part of its name. @throws Error where the file has none */
  weight(name: string): Parameter;
  /** The layer inside of a wrapper, run with `weights` of ours whose name contains `scope`. */
  inner(x: Tensor, scope?: string): Tensor;
}

/** Fields of a layer's configuration, with Keras' defaults. */
export class Config {
  private readonly fields: { readonly [key: string]: Json };
  private readonly owner: string;

  constructor(owner: string, fields: { readonly [key: string]: Json }) {
    this.owner = owner;
    this.fields = fields;
  }

  get(key: string): Json | undefined {
    return this.fields[key];
  }

  private wrong(key: string, expected: string): never {
    throw new Error(`${this.owner}: ${key} is ${JSON.stringify(this.fields[key])}, expected ${expected}`);
  }

  number(key: string, absent?: number): number {
    const value = this.fields[key] ?? absent;
    return typeof value === 'number' ? value : this.wrong(key, 'a number');
  }

  flag(key: string, absent = false): boolean {
    const value = this.fields[key] ?? absent;
    return typeof value === 'boolean' ? value : this.wrong(key, 'true or false');
  }

  text(key: string, absent: string): string {
    const value = this.fields[key] ?? absent;
    return typeof value === 'string' ? value : this.wrong(key, 'a text');
  }

  /** One number per spatial dim; a single number stands for all. */
  sizes(key: string, dims: number, absent?: number): number[] {
    const value = this.fields[key] ?? absent;
    if (typeof value === 'number') return new Array<number>(dims).fill(value);
    if (Array.isArray(value) && value.length === dims && value.every(n => typeof n === 'number'))
      return value as number[];
    return this.wrong(key, `${dims} numbers`);
  }

  list(key: string): readonly Json[] {
    const value = this.fields[key];
    return Array.isArray(value) ? value : this.wrong(key, 'a list');
  }
}

/** By Keras' name; `activation` fields and Activation layers. */
const ACTIVATIONS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  linear: x => x,
  relu: x => x.relu(),
  relu6: F.relu6,
  elu: x => F.elu(x),
  selu: F.selu,
  sigmoid: F.sigmoid,
  hard_sigmoid: x => x.mul(0.2).add(0.5).clamp(0, 1),
  hardSigmoid: x => x.mul(0.2).add(0.5).clamp(0, 1),
  softmax: x => x.softmax(-1),
  log_softmax: x => x.logSoftmax(-1),
  logSoftmax: x => x.logSoftmax(-1),
  softplus: x => F.softplus(x),
  softsign: F.softsign,
  tanh: F.tanh,
  swish: F.silu,
  silu: F.silu,
  gelu: x => F.gelu(x),
  gelu_new: x => F.gelu(x, { approximate: 'tanh' }),
  mish: F.mish,
  exponential: x => x.exp(),
};

function activation({ name, config }: Layer, x: Tensor, key = 'activation'): Tensor {
  const kind = config.text(key, 'linear');
  const apply = ACTIVATIONS[kind];
  if (!apply) throw new Error(`${name}: the activation ${JSON.stringify(kind)} is not known`);
  return apply(x);
}

/** Bias where the layer has one, then its activation. */
const finished = (layer: Layer, y: Tensor): Tensor =>
  activation(layer, layer.config.flag('use_bias', true) ? y.add(layer.weight('bias')) : y);

function windowOf({ config, name }: Layer, dims: number, stride = config.sizes('strides', dims, 1)): Window {
  const padding = config.text('padding', 'valid');
  if (padding !== 'same' && padding !== 'valid' && padding !== 'causal')
    throw new Error(`${name}: padding ${JSON.stringify(padding)} came, expected same, valid or causal`);
  if (config.text('data_format', 'channels_last') !== 'channels_last')
    throw new Error(`${name}: data_format is ${config.text('data_format', '')}, expected channels_last`);
  const dilation = config.sizes('dilation_rate', dims, 1);
  if (padding !== 'causal') return { stride, padding, dilation };
  const [kernel] = config.sizes('kernel_size', 1);
  return { stride, dilation, padding: [[(kernel! - 1) * dilation[0]!, 0]] };
}

const convolution =
  (dims: number): Rule =>
  ([x], layer) =>
    finished(layer, conv(x!, layer.weight('kernel'), windowOf(layer, dims), layer.config.number('groups', 1)));

const convolutionTranspose =
  (dims: 1 | 2): Rule =>
  ([x], layer) => {
    const window = windowOf(layer, dims);
    const kernel = layer.weight('kernel');
    const sizes = x!.shape.slice(1, -1).map((n, d) => {
      const reach = (kernel.shape[d]! - 1) * (window.dilation?.[d] ?? 1) + 1;
      return window.padding === 'same'
        ? n * window.stride[d]!
        : (n - 1) * window.stride[d]! + Math.max(reach, window.stride[d]!);
    });
    return finished(layer, convTranspose(x!, kernel, window, sizes));
  };

const pooling =
  (dims: number, pool: typeof maxPool): Rule =>
  ([x], layer) => {
    const size = layer.config.sizes('pool_size', dims, 2);
    const stride = layer.config.get('strides') ? layer.config.sizes('strides', dims) : size;
    return pool(x!, size, windowOf(layer, dims, stride));
  };

const globalPooling =
  (reduce: (x: Tensor, dims: number[], keepdim: boolean) => Tensor): Rule =>
  ([x], { config }) =>
    reduce(
      x!,
      x!.shape.slice(1, -1).map((_, d) => d + 1),
      config.flag('keepdims', false),
    );

const merging =
  (merge: (a: Tensor, b: Tensor) => Tensor): Rule =>
  inputs =>
    inputs.reduce(merge);

const batchNormalization: Rule = ([x], layer) => {
  const { config } = layer;
  const axis = Array.isArray(config.get('axis')) ? (config.list('axis')[0] as number) : config.number('axis', -1);
  const y = x!.movedim(axis, 1);
  const weight = config.flag('scale', true) ? layer.weight('gamma') : null;
  const bias = config.flag('center', true) ? layer.weight('beta') : null;
  const normal = F.batchNorm(y, layer.weight('moving_mean'), layer.weight('moving_variance'), weight, bias, {
    training: layer.training,
    momentum: 1 - config.number('momentum', 0.99),
    eps: config.number('epsilon', 1e-3),
  });
  return normal.movedim(1, axis);
};

const layerNormalization: Rule = ([x], layer) => {
  const { config } = layer;
  const axis = config.get('axis') ?? -1;
  const dims = (Array.isArray(axis) ? axis : [axis]).map(d => (Number(d) < 0 ? Number(d) + x!.ndim : Number(d)));
  const centred = x!.sub(x!.mean(dims, { keepdim: true }));
  const variance = centred.square().mean(dims, { keepdim: true });
  const y = centred.div(variance.add(config.number('epsilon', 1e-3)).sqrt());
  const shaped = (name: string): Tensor =>
    layer.weight(name).reshape(x!.shape.map((n, d) => (dims.includes(d) ? n : 1)));
  const scaled = config.flag('scale', true) ? y.mul(shaped('gamma')) : y;
  return config.flag('center', true) ? scaled.add(shaped('beta')) : scaled;
};

const dropout =
  (drop: (x: Tensor, options: { p: number; training: boolean }) => Tensor): Rule =>
  ([x], { config, training }) =>
    drop(x!, { p: config.number('rate'), training });

/** Zeros around, or elements cut from, the spatial dims: a number, one per dim, or pairs. */
const bordering =
  (dims: number, key: string, sign: 1 | -1): Rule =>
  ([x], { config }) => {
    const value = config.get(key) ?? 1;
    const pairs =
      typeof value === 'number'
        ? new Array(dims).fill([value, value])
        : dims === 1
          ? [value]
          : (value as readonly Json[]).map(pair => (typeof pair === 'number' ? [pair, pair] : pair));
    const flat = [0, 0, ...[...pairs].reverse().flat()].map(n => sign * Number(n));
    return x!.constantPad(flat);
  };

const upSampling2d: Rule = ([x], { config }) => {
  const scale = config.sizes('size', 2, 2);
  const size = x!.shape.slice(1, 3).map((n, d) => n * scale[d]!);
  const bilinear = config.text('interpolation', 'nearest') === 'bilinear';
  const y = F.interpolate(channelsSecond(x!), { size, mode: bilinear ? 'bilinear' : 'nearest' });
  return channelsLast(y);
};

const dot: Rule = ([a, b], { config }) => {
  const axes = config.get('axes');
  const [left, right] = (Array.isArray(axes) ? axes : [axes, axes]).map((d, i) => {
    const dim = Number(d);
    return dim < 0 ? dim + (i === 0 ? a! : b!).ndim : dim;
  }) as [number, number];
  const unit = (x: Tensor, dim: number): Tensor =>
    config.flag('normalize', false) ? F.normalize(x, { dim, eps: 1e-12 }) : x;
  // Contracted dims at the end and in the middle, the batch in front.
  const x = unit(a!, left).movedim(left, -1);
  const y = unit(b!, right).movedim(right, 1);
  const flat = x.reshape([x.shape[0]!, -1, x.shape.at(-1)!]).matmul(y.reshape([y.shape[0]!, y.shape[1]!, -1]));
  const shape = [...x.shape.slice(0, -1), ...y.shape.slice(2)];
  return flat.reshape(shape.length > 1 ? shape : [shape[0]!, 1]);
};

/** A rule gives its layer's output for its inputs. */
export type Rule = (inputs: readonly Tensor[], layer: Layer) => Tensor;

const same: Rule = ([x]) => x!;

/** Every class that can be run. */
export const LAYERS: Readonly<Record<string, Rule>> = {
  InputLayer: same,
  Dense: ([x], layer) => finished(layer, x!.matmul(layer.weight('kernel'))),
  Activation: ([x], layer) => activation(layer, x!),
  Dropout: dropout(F.dropout),
  SpatialDropout1D: ([x], layer) => dropout(F.dropout1d)([x!.movedim(-1, 1)], layer).movedim(1, -1),
  SpatialDropout2D: ([x], layer) => channelsLast(dropout(F.dropout2d)([channelsSecond(x!)], layer)),
  AlphaDropout: dropout(F.alphaDropout),
  // Noise is for training, which these leave out.
  GaussianNoise: same,
  GaussianDropout: same,
  ActivityRegularization: same,
  Flatten: ([x]) => x!.reshape([x!.shape[0]!, -1]),
  Reshape: ([x], { config }) => x!.reshape([x!.shape[0]!, ...config.list('target_shape').map(n => Number(n ?? -1))]),
  Permute: ([x], { config }) => x!.permute([0, ...config.list('dims').map(Number)]),
  RepeatVector: ([x], { config }) => x!.unsqueeze(1).expand([x!.shape[0]!, config.number('n'), x!.shape[1]!]),
  Embedding: ([x], layer) => F.embedding(x!.to('i64'), layer.weight('embeddings')),
  Conv1D: convolution(1),
  Conv2D: convolution(2),
  Conv3D: convolution(3),
  Conv1DTranspose: convolutionTranspose(1),
  Conv2DTranspose: convolutionTranspose(2),
  DepthwiseConv2D: ([x], layer) =>
    finished(layer, depthwiseConv(x!, layer.weight('depthwise_kernel'), windowOf(layer, 2))),
  SeparableConv2D: ([x], layer) => {
    const spread = depthwiseConv(x!, layer.weight('depthwise_kernel'), windowOf(layer, 2));
    return finished(layer, conv(spread, layer.weight('pointwise_kernel'), { stride: [1, 1], padding: 'valid' }));
  },
  MaxPooling1D: pooling(1, maxPool),
  MaxPooling2D: pooling(2, maxPool),
  MaxPooling3D: pooling(3, maxPool),
  AveragePooling1D: pooling(1, avgPool),
  AveragePooling2D: pooling(2, avgPool),
  AveragePooling3D: pooling(3, avgPool),
  GlobalAveragePooling1D: globalPooling((x, dims, keepdim) => x.mean(dims, { keepdim })),
  GlobalAveragePooling2D: globalPooling((x, dims, keepdim) => x.mean(dims, { keepdim })),
  GlobalMaxPooling1D: globalPooling((x, dims, keepdim) => x.amax(dims, { keepdim })),
  GlobalMaxPooling2D: globalPooling((x, dims, keepdim) => x.amax(dims, { keepdim })),
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  Add: merging((a, b) => a.add(b)),
  Subtract: merging((a, b) => a.sub(b)),
  Multiply: merging((a, b) => a.mul(b)),
  Average: inputs => inputs.reduce((a, b) => a.add(b)).div(inputs.length),
  Maximum: merging((a, b) => a.maximum(b)),
  Minimum: merging((a, b) => a.minimum(b)),
  Concatenate: (inputs, { config }) => cat(inputs, config.number('axis', -1)),
  Dot: dot,
  ReLU: ([x], { config }) => {
    const slope = config.get('negative_slope') ? config.number('negative_slope') : 0;
    const from = config.get('threshold') ? config.number('threshold') : 0;
    const below = x!.sub(from).mul(slope);
    const y = x!.ge(from).where(x!, below);
    return config.get('max_value') === null || config.get('max_value') === undefined
      ? y
      : y.clampMax(config.number('max_value'));
  },
  LeakyReLU: ([x], { config }) =>
    F.leakyRelu(x!, {
      negativeSlope:
        config.get('negative_slope') === undefined ? config.number('alpha', 0.3) : config.number('negative_slope'),
    }),
  ELU: ([x], { config }) => F.elu(x!, { alpha: config.number('alpha', 1) }),
  PReLU: ([x], layer) => x!.relu().sub(layer.weight('alpha').mul(x!.neg().relu())),
  ThresholdedReLU: ([x], { config }) => x!.gt(config.number('theta', 1)).where(x!, 0),
  Softmax: ([x], { config }) => x!.softmax(config.number('axis', -1)),
  ZeroPadding1D: bordering(1, 'padding', 1),
  ZeroPadding2D: bordering(2, 'padding', 1),
  Cropping1D: bordering(1, 'cropping', -1),
  Cropping2D: bordering(2, 'cropping', -1),
  UpSampling1D: ([x], { config }) => x!.repeatInterleave(config.number('size', 2), 1),
  UpSampling2D: upSampling2d,
  Rescaling: ([x], { config }) => x!.mul(config.number('scale')).add(config.number('offset', 0)),
  SimpleRNN: recurrent('SimpleRNN', ACTIVATIONS),
  LSTM: recurrent('LSTM', ACTIVATIONS),
  GRU: recurrent('GRU', ACTIVATIONS),
  TimeDistributed: ([x], layer) => {
    const [n, steps, ...rest] = x!.shape as [number, number, ...number[]];
    const y = layer.inner(x!.reshape([n * steps, ...rest]));
    return y.reshape([n, steps, ...y.shape.slice(1)]);
  },
  Bidirectional: ([x], layer) => {
    const ahead = layer.inner(x!, 'forward');
    const sequences = ahead.ndim === 3;
    const reversed = layer.inner(x!.flip(1), 'backward');
    const behind = sequences ? reversed.flip(1) : reversed;
    const mode = layer.config.text('merge_mode', 'concat');
    if (mode === 'concat') return cat([ahead, behind], -1);
    if (mode === 'sum') return ahead.add(behind);
    if (mode === 'mul') return ahead.mul(behind);
    if (mode === 'ave') return ahead.add(behind).div(2);
    throw new Error(`${layer.name}: merge_mode ${JSON.stringify(mode)} came, expected concat, sum, mul or ave`);
  },
};
