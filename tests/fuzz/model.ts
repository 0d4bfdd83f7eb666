/**
 * Random models for whole training steps: images, sequences and tables through layers drawn from a seed, with a loss.
 * No number comes from a backend, so that all get the same.
 */
import { autocast, cond, F, randint, scan, Tensor, whileLoop, zeros } from '../../src/index.ts';
import * as nn from '../../src/nn/index.ts';
import type { Random } from './random.ts';

export interface RandomModel {
  readonly modules: readonly nn.AnyModule[];
  readonly inputs: readonly Tensor[];
  readonly loss: (...inputs: Tensor[]) => Tensor;
  /** The first dim of the inputs may be another one in another step. */
  readonly anyBatch?: boolean;
  /** Whether the loss is autocast to bf16. */
  readonly narrow?: boolean;
}

type Layer = (x: Tensor) => Tensor;

class Drawing {
  readonly r: Random;
  readonly dtype: 'f32' | 'f64';
  readonly modules: nn.AnyModule[] = [];
  /** Normalisations among them, which must not see other batches than those they are to learn from. */
  readonly keepsShape = new Set<Layer>();

  constructor(r: Random, dtype: 'f32' | 'f64') {
    this.r = r;
    this.dtype = dtype;
  }

  add<M extends nn.AnyModule>(module: M): M {
    module.to(this.dtype);
    for (const p of module.parameters()) {
      const scale = p.shape.length > 1 ? 1 / Math.sqrt(p.numel() / p.shape[0]!) : 1;
      p.assign(this.numbers(p.shape, () => scale * (2 * this.r.next() - 1)));
    }
    this.modules.push(module);
    return module;
  }

  /** A module of one tensor as a layer. */
  layer(module: nn.Module<[Tensor], Tensor>): Layer {
    this.add(module);
    return x => module.forward(x);
  }

  norm(module: nn.Module<[Tensor], Tensor>): Layer {
    const layer = this.layer(module);
    this.keepsShape.add(layer);
    return layer;
  }

  /** Numbers of no backend's making. */
  input(shape: readonly number[]): Tensor {
    return this.numbers(shape, () => 4 * this.r.next() - 2);
  }

  private numbers(shape: readonly number[], of: () => number): Tensor {
    const data = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, of);
    return Tensor.from(data, { shape, dtype: this.dtype });
  }

  activation(): Layer {
    return this.r.pick<Layer>([
      x => x.relu(),
      x => F.gelu(x),
      x => F.gelu(x, { approximate: 'tanh' }),
      x => F.silu(x),
      x => x.tanh(),
      x => x.sigmoid(),
      x => F.leakyRelu(x),
      x => F.softplus(x),
      x => F.mish(x),
      x => F.elu(x),
    ]);
  }
}

const CHANNELS = [1, 2, 3, 4, 5, 8, 13, 16, 17, 24, 33];
/** Work of one layer, in products. */
const MOST_WORK = 150_000;
/** The same where channels are many. */
const MOST_WIDE_WORK = 4_000_000;

function convolution(d: Drawing, [n, c, h, w]: readonly [number, number, number, number]): Layer | null {
  const { r } = d;
  const kernel = [1 + r.int(5), 1 + r.int(5)] as const;
  const dilation = 1 + r.int(2);
  const padding = [r.int(3), r.int(3)] as const;
  const fits = [h, w].every((size, i) => size + 2 * padding[i]! >= dilation * (kernel[i]! - 1) + 1);
  if (!fits) return null;
  const groups = r.once(3) ? c : r.once(3) && c % 2 === 0 ? 2 : 1;
  const out = groups > 1 ? groups * (1 + r.int(3)) : r.pick(CHANNELS);
  const options = { stride: 1 + r.int(2), padding, dilation, groups, bias: r.once(2) };
  if ((n * c * out * h * w * kernel[0] * kernel[1]) / groups > MOST_WORK) return null;
  const padded = padding[0] < h && padding[1] < w;
  const paddingMode = padded && r.once(5) ? r.pick(['reflect', 'replicate', 'circular'] as const) : 'zeros';
  return d.layer(new nn.Conv2d(c, out, kernel, { ...options, paddingMode }));
}

function imageLayer(d: Drawing, shape: readonly [number, number, number, number]): Layer | null {
  const { r } = d;
  const [n, c, h, w] = shape;
  switch (r.int(14)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return convolution(d, shape);
    case 4: {
      const out = r.pick(CHANNELS.slice(0, 6));
      const kernel = 1 + r.int(3);
      if (n * c * out * h * w * kernel * kernel > MOST_WORK / 4 || h + w > 24 || h < 3 || w < 3) return null;
      const options = { stride: 1 + r.int(2), padding: r.int(kernel), dilation: 1 + r.int(2) };
      return d.layer(new nn.ConvTranspose2d(c, out, kernel, options));
    }
    case 5:
      return n * h * w > 4 ? d.norm(new nn.BatchNorm2d(c)) : null;
    case 6:
      return d.layer(new nn.GroupNorm(r.pick([1, 2, 3, c].filter(groups => c % groups === 0)), c));
    case 7: {
      const size = 2 + r.int(2);
      if (h < size || w < size) return null;
      const options = { stride: 1 + r.int(3), padding: r.int(2) };
      if (r.once(2)) return x => F.maxPool2d(x, size, options);
      return x => F.avgPool2d(x, size, { ...options, countIncludePad: false });
    }
    case 8: {
      const to = [1 + r.int(5), 1 + r.int(5)] as const;
      return r.once(2) ? x => F.adaptiveAvgPool2d(x, to) : x => F.adaptiveMaxPool2d(x, to);
    }
    case 9: {
      if (h * w * c > 600) return null;
      const mode = r.pick(['nearest', 'bilinear', 'bicubic'] as const);
      return x => F.interpolate(x, { scaleFactor: 2, mode });
    }
    case 10: {
      const inner = convolution(d, shape);
      if (!inner || inner(zeros(shape, { dtype: d.dtype })).shape.join() !== shape.join()) return null;
      return x => x.add(inner(x));
    }
    case 11:
      return x => x.transpose(2, 3);
    case 12:
      return h > 2 && w > 2 ? x => x.narrow(2, 1, h - 1).flip([3]) : null;
    default:
      return d.activation();
  }
}

function images(d: Drawing): RandomModel {
  const { r } = d;
  const n = 1 + r.int(5);
  let shape: readonly number[] = [n, r.pick([1, 2, 3, 8, 16]), 3 + r.int(12), 3 + r.int(12)];
  const input = d.input(shape);
  const layers: Layer[] = [];
  for (let i = 3 + r.int(6); i > 0; i--) {
    const layer = imageLayer(d, shape as [number, number, number, number]);
    if (!layer) continue;
    if (!d.keepsShape.has(layer)) shape = shapeAfter(layer, shape, d.dtype);
    layers.push(layer);
  }
  const model = classifier(d, input, x => layers.reduce((y, layer) => layer(y), x).flatten(1), shape.slice(1).reduce((a, b) => a * b, 1)); // biome-ignore format: short
  return { ...model, anyBatch: true };
}

/**
 * Small images of many channels, in batches that fill vectors: convolutions as networks train them in f32, and in bf16.
 */
function manyChannels(d: Drawing): RandomModel {
  const { r } = d;
  const n = r.pick([8, 16, 32, 32, 64]);
  let shape: readonly number[] = [n, 3, 2 + r.int(5), 2 + r.int(5)];
  const input = d.input(shape);
  const layers: Layer[] = [];
  const add = (layer: Layer): void => {
    shape = shapeAfter(layer, shape, d.dtype);
    layers.push(layer);
  };
  add(d.layer(new nn.Conv2d(3, r.pick([32, 64]), 3, { padding: 1 })));
  for (let i = 2 + r.int(4); i > 0; i--) {
    const [, c, h, w] = shape as [number, number, number, number];
    const usual = !r.once(3);
    const kernel = usual ? ([3, 3] as const) : ([1 + r.int(3), 1 + r.int(4)] as const);
    const padding = usual ? ([1, 1] as const) : ([r.int(3), r.int(3)] as const);
    const dilation = !usual && r.once(3) ? 2 : 1;
    const stride = usual && !r.once(3) ? 1 : 1 + r.int(3);
    const out = r.pick([16, 32, 32, 48, 64, 64]);
    const reach = kernel.map((k, j) => [h, w][j]! + 2 * padding[j]! - dilation * (k - 1));
    if (reach.some(left => left < 1) || n * c * out * h * w * kernel[0] * kernel[1] > MOST_WIDE_WORK) continue;
    const conv = d.layer(new nn.Conv2d(c, out, kernel, { stride, padding, dilation, bias: r.once(3) }));
    const keeps = shapeAfter(conv, shape, d.dtype).join() === shape.join();
    add(keeps && r.once(2) ? x => x.add(conv(x)) : conv);
    const [, channels, height, width] = shape as [number, number, number, number];
    if (r.once(2) && n * height * width > 16) layers.push(d.norm(new nn.BatchNorm2d(channels)));
    if (r.once(2)) layers.push(d.activation());
  }
  const features = shape.slice(1).reduce((a, b) => a * b, 1);
  const model = classifier(d, input, x => layers.reduce((y, layer) => layer(y), x).flatten(1), features);
  if (d.dtype === 'f64' || r.once(2)) return model;
  return { ...model, narrow: true, loss: (...of) => autocast({ dtype: 'bf16' }, () => model.loss(...of)) };
}

/** Known without computing. */
const shapeAfter = (layer: Layer, shape: readonly number[], dtype: 'f32' | 'f64'): readonly number[] =>
  layer(zeros(shape, { dtype })).shape;

/** Features [N, features] to a loss. */
function classifier(d: Drawing, input: Tensor, body: Layer, features: number): RandomModel {
  const { r } = d;
  const n = input.shape[0]!;
  const classes = r.pick([1, 2, 3, 10, 17]);
  const head = d.layer(new nn.Linear(features, classes));
  if (r.once(2)) {
    const smooth = r.once(2) ? 0.1 : 0;
    const loss = (x: Tensor, y: Tensor): Tensor => F.crossEntropy(head(body(x)), y, { labelSmoothing: smooth });
    return { modules: d.modules, inputs: [input, randint(0, classes, [n])], loss };
  }
  const of = r.pick([F.mseLoss, F.smoothL1Loss, F.huberLoss]);
  return { modules: d.modules, inputs: [input, d.input([n, classes])], loss: (x, y) => of(head(body(x)), y) };
}

/** One layer on [N, T, features]. */
function sequenceLayer(d: Drawing, features: number): Layer {
  const { r } = d;
  switch (r.int(9)) {
    case 0: {
      const lstm = d.add(new nn.LSTM(features, features, { batchFirst: true, numLayers: 1 + r.int(2) }));
      return x => lstm.forward(x)[0];
    }
    case 1: {
      const gru = d.add(new nn.GRU(features, features, { batchFirst: true }));
      return x => gru.forward(x)[0];
    }
    case 2: {
      const nhead = r.pick([1, 2, 4].filter(heads => features % heads === 0));
      const options = { dimFeedforward: r.pick([8, 31, 64]), dropout: 0, normFirst: r.once(2), batchFirst: true };
      const layer = d.add(new nn.TransformerEncoderLayer(features, nhead, options));
      return x => layer.forward(x);
    }
    case 3: {
      const isCausal = r.once(2);
      return x => x.add(F.scaledDotProductAttention(x, x, x, { isCausal }));
    }
    case 4:
      return d.layer(r.once(2) ? new nn.LayerNorm(features) : new nn.RMSNorm(features));
    case 5: {
      const conv = d.layer(new nn.Conv1d(features, features, 3, { padding: 1 }));
      return x => conv(x.transpose(1, 2)).transpose(1, 2);
    }
    case 6:
      return d.layer(new nn.Linear(features, features));
    case 7:
      return x => x.softmax(-1).add(x.cumsum(1).mul(0.1));
    default:
      return d.activation();
  }
}

function sequences(d: Drawing): RandomModel {
  const { r } = d;
  const [n, t] = [1 + r.int(4), r.pick([1, 2, 5, 8, 13, 17, 33])];
  const features = r.pick([4, 8, 12, 16, 31, 32]);
  const vocabulary = r.pick([2, 7, 50]);
  const table = d.add(new nn.Embedding(vocabulary, features));
  const layers = Array.from({ length: 1 + r.int(4) }, () => sequenceLayer(d, features));
  const body = (x: Tensor): Tensor => layers.reduce((y, layer) => layer(y), table.forward(x));
  const tokens = randint(0, vocabulary, [n, t]);
  if (r.once(2)) return classifier(d, tokens, x => body(x).mean(1), features);
  // A language model whose output layer shares the table.
  const loss = (x: Tensor, y: Tensor): Tensor =>
    F.crossEntropy(
      body(x)
        .matmul(table.weight.t())
        .reshape([n * t, vocabulary]),
      y.reshape([n * t]),
    );
  return { modules: d.modules, inputs: [tokens, randint(0, vocabulary, [n, t])], loss };
}

/** One layer on [N, features] that keeps the shape; sorts, gathers, scatters and loops among them. */
function tableLayer(d: Drawing, n: number, features: number): Layer {
  const { r } = d;
  switch (r.int(11)) {
    case 0:
    case 1:
      return d.layer(new nn.Linear(features, features, { bias: r.once(2) }));
    case 2:
      return n > 2 ? d.layer(new nn.BatchNorm1d(features)) : d.activation();
    case 3: {
      const dim = r.int(2);
      return x => x.sort(dim).values;
    }
    case 4: {
      const index = randint(0, n, [n]);
      return x => x.indexSelect(0, index).add(x);
    }
    case 5: {
      const index = randint(0, n, [n]);
      return x => x.add(x.mul(0).indexAdd(0, index, x.mul(0.5)));
    }
    case 6:
      return x => x.add(x.topk(1, 1).values);
    case 7: {
      const step = d.layer(new nn.Linear(features, features));
      return x => {
        const carry = x.mul(0).sum(0);
        return scan((state: Tensor, row: Tensor) => {
          const next = step(row.add(state)).tanh();
          return [next, next] as const;
        }, carry, x)[1];
      }; // biome-ignore format: one loop
    }
    case 8:
      return x =>
        whileLoop(
          ([, left]: readonly [Tensor, Tensor]) => left.gt(0),
          ([y, left]: readonly [Tensor, Tensor]) => [y.mul(0.5).add(0.1), left.sub(1)] as const,
          [x, x.detach().sum().mul(0).add(2)] as const,
          { maxSteps: 4 },
        )[0];
    case 9:
      // Not by the sum: behind a normalisation it is 0, and rounding would choose.
      return x => cond(x.detach().abs().sum().gt(0.5 * n * features), (y: Tensor) => y.mul(2), (y: Tensor) => y.sub(1), x); // biome-ignore format: short
    default:
      return d.activation();
  }
}

function tables(d: Drawing): RandomModel {
  const { r } = d;
  const n = r.pick([1, 2, 3, 8, 13, 16, 31, 33]);
  const features = r.pick([1, 3, 7, 16, 17, 33, 64, 65]);
  const layers = Array.from({ length: 2 + r.int(5) }, () => tableLayer(d, n, features));
  return classifier(d, d.input([n, features]), x => layers.reduce((y, layer) => layer(y), x), features);
}

export function randomModel(r: Random, dtype: 'f32' | 'f64'): RandomModel {
  return r.pick([images, images, manyChannels, sequences, tables])(new Drawing(r, dtype));
}
