/**
 * Vision transformers (Dosovitskiy et al. 2021), with torchvision's parameter names.
 */

import {
  Conv2d,
  Dropout,
  GELU,
  init,
  LayerNorm,
  Linear,
  Module,
  MultiheadAttention,
  Sequential,
  Tanh,
} from '../../nn/index.ts';
import { shapeText } from '../../tensor/convert.ts';
import { cat, type Parameter, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import type { ClassifierOptions } from './blocks.ts';

export interface VisionTransformerOptions extends ClassifierOptions {
  /** Height and width of the images; 224 by default. */
  readonly imageSize?: number;
  /** Dropout of embeddings and of both parts of each layer; 0 by default. */
  readonly dropout?: number;
  /** Dropout of the attention weights; 0 by default. */
  readonly attentionDropout?: number;
  /** Features of a layer with tanh before the classifier; without it there is none. */
  readonly representationSize?: number;
}

export interface VisionTransformerConfig extends VisionTransformerOptions {
  /** Height and width of a patch. */
  readonly patchSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly hiddenDim: number;
  readonly mlpDim: number;
}

const OPTIONS = [
  ...(['imageSize', 'dropout', 'attentionDropout', 'representationSize', 'numClasses'] as const),
  ...(['patchSize', 'numLayers', 'numHeads', 'hiddenDim', 'mlpDim'] as const),
] as const;

const norm = (features: number): LayerNorm => new LayerNorm(features, { eps: 1e-6 });

/** Attention and a feed-forward network, each normalised before and added to its input. */
class EncoderBlock extends Module {
  readonly ln_1: LayerNorm;
  readonly selfAttention: MultiheadAttention;
  readonly dropout: Dropout;
  readonly ln_2: LayerNorm;
  readonly mlp: Sequential;

  constructor({ hiddenDim, numHeads, mlpDim, dropout = 0, attentionDropout = 0 }: VisionTransformerConfig) {
    super();
    this.ln_1 = norm(hiddenDim);
    this.selfAttention = new MultiheadAttention(hiddenDim, numHeads, { dropout: attentionDropout, batchFirst: true });
    this.dropout = new Dropout(dropout);
    this.ln_2 = norm(hiddenDim);
    const layers = [new Linear(hiddenDim, mlpDim), new Linear(mlpDim, hiddenDim)] as const;
    for (const { weight, bias } of layers) {
      init.xavierUniform_(weight);
      init.normal_(bias!, 0, 1e-6);
    }
    this.mlp = new Sequential(layers[0], new GELU(), new Dropout(dropout), layers[1], new Dropout(dropout));
  }

  forward(x: Tensor): Tensor {
    const normal = this.ln_1.call(x);
    const attended = x.add(this.dropout.call(this.selfAttention.call(normal, normal, normal)[0]));
    return attended.add(this.mlp.call(this.ln_2.call(attended)));
  }
}

/** Position embeddings and the layers: [N, L, hiddenDim] -> the same. */
class Encoder extends Module {
  readonly posEmbedding: Parameter;
  readonly dropout: Dropout;
  readonly layers: Sequential;
  readonly ln: LayerNorm;

  constructor(length: number, config: VisionTransformerConfig) {
    super();
    this.posEmbedding = init.normal_(init.blank([1, length, config.hiddenDim]), 0, 0.02);
    this.dropout = new Dropout(config.dropout ?? 0);
    this.layers = new Sequential();
    for (let i = 0; i < config.numLayers; i++) this.layers.append(new EncoderBlock(config), `encoder_layer_${i}`);
    this.ln = norm(config.hiddenDim);
  }

  forward(x: Tensor): Tensor {
    return this.ln.call(this.layers.call(this.dropout.call(x.add(this.posEmbedding))));
  }
}

/** Images [N, 3, imageSize, imageSize] -> [N, numClasses]. */
export class VisionTransformer extends Module {
  readonly classToken: Parameter;
  readonly convProj: Conv2d;
  readonly encoder: Encoder;
  heads: Sequential;
  readonly imageSize: number;

  constructor(config: VisionTransformerConfig) {
    super();
    checkOptions('VisionTransformer', config, OPTIONS);
    const { imageSize = 224, patchSize, hiddenDim, numClasses = 1000, representationSize } = config;
    if (imageSize % patchSize !== 0)
      throw new RangeError(`VisionTransformer: images of ${imageSize} do not split into patches of ${patchSize}`);
    this.imageSize = imageSize;
    this.classToken = init.blank([1, 1, hiddenDim]);
    this.convProj = new Conv2d(3, hiddenDim, patchSize, { stride: patchSize });
    init.truncNormal_(this.convProj.weight, 0, Math.sqrt(1 / (3 * patchSize ** 2)));
    init.zeros_(this.convProj.bias!);
    this.encoder = new Encoder((imageSize / patchSize) ** 2 + 1, config);
    this.heads = new Sequential();
    if (representationSize !== undefined) {
      const hidden = new Linear(hiddenDim, representationSize);
      init.truncNormal_(hidden.weight, 0, Math.sqrt(1 / hiddenDim));
      init.zeros_(hidden.bias!);
      this.heads.append(hidden, 'pre_logits').append(new Tanh(), 'act');
    }
    const head = new Linear(representationSize ?? hiddenDim, numClasses);
    init.zeros_(head.weight);
    init.zeros_(head.bias!);
    this.heads.append(head, 'head');
  }

  forward(x: Tensor): Tensor {
    if (x.ndim !== 4 || x.shape[2] !== this.imageSize || x.shape[3] !== this.imageSize)
      throw new RangeError(
        `VisionTransformer: input ${shapeText(x.shape)} came, expected [N, 3, ${this.imageSize}, ${this.imageSize}]`,
      );
    const patches = this.convProj.call(x).flatten(2).transpose(1, 2);
    const [n, , features] = patches.shape as [number, number, number];
    const tokens = cat([this.classToken.expand([n, 1, features]), patches], 1);
    return this.heads.call(this.encoder.call(tokens).select(1, 0));
  }
}

const BASE = { numLayers: 12, numHeads: 12, hiddenDim: 768, mlpDim: 3072 };
const LARGE = { numLayers: 24, numHeads: 16, hiddenDim: 1024, mlpDim: 4096 };
const HUGE = { numLayers: 32, numHeads: 16, hiddenDim: 1280, mlpDim: 5120 };

/** 86.6 million parameters. */
export const vitB16 = (options: VisionTransformerOptions = {}): VisionTransformer =>
  new VisionTransformer({ ...options, ...BASE, patchSize: 16 });
/** 88.2 million parameters. */
export const vitB32 = (options: VisionTransformerOptions = {}): VisionTransformer =>
  new VisionTransformer({ ...options, ...BASE, patchSize: 32 });
/** 304.3 million parameters. */
export const vitL16 = (options: VisionTransformerOptions = {}): VisionTransformer =>
  new VisionTransformer({ ...options, ...LARGE, patchSize: 16 });
/** 306.5 million parameters. */
export const vitL32 = (options: VisionTransformerOptions = {}): VisionTransformer =>
  new VisionTransformer({ ...options, ...LARGE, patchSize: 32 });
/** 632.0 million parameters. */
export const vitH14 = (options: VisionTransformerOptions = {}): VisionTransformer =>
  new VisionTransformer({ ...options, ...HUGE, patchSize: 14 });
