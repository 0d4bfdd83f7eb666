/**
 * Transformer encoder and decoder layers and their stacks, with PyTorch's parameter names.
 */
import { F, full, type Tensor } from '../tensor/index.ts';
import { checkChoice, checkOptions } from '../tensor/options.ts';
import { MultiheadAttention } from './attention.ts';
import { ModuleList } from './containers.ts';
import { Dropout } from './dropout.ts';
import { xavierUniform_ } from './init.ts';
import { Linear } from './linear.ts';
import { type AnyModule, Module } from './module.ts';
import { LayerNorm } from './norm.ts';
import { checkSizes } from './sizes.ts';

export interface TransformerLayerOptions {
  /** Hidden features of the feed-forward part; 2048 by default. */
  readonly dimFeedforward?: number;
  /** 0.1 by default. */
  readonly dropout?: number;
  /** 'relu' by default. */
  readonly activation?: 'relu' | 'gelu' | ((x: Tensor) => Tensor);
  /** 1e-5 by default. */
  readonly layerNormEps?: number;
  /** Whether sequences are [N, L, E] instead of [L, N, E]; false by default. */
  readonly batchFirst?: boolean;
  /** Whether normalisation comes before each part instead of after; false by default. */
  readonly normFirst?: boolean;
}

function activationOf(
  layer: string,
  activation: TransformerLayerOptions['activation'] = 'relu',
): (x: Tensor) => Tensor {
  if (typeof activation === 'function') return activation;
  checkChoice(layer, 'activation', activation, ['relu', 'gelu']);
  return activation === 'relu' ? x => x.relu() : x => F.gelu(x);
}

/** Names of TransformerLayerOptions. */
const LAYER = ['dimFeedforward', 'dropout', 'activation', 'layerNormEps', 'batchFirst', 'normFirst'] as const;

export interface EncoderMasks {
  /** `[L, L]`: see AttentionOptions.attnMask. */
  readonly mask?: Tensor;
  /** `[N, L]`: see AttentionOptions.keyPaddingMask. */
  readonly srcKeyPaddingMask?: Tensor;
}

/** Names of EncoderMasks. */
const ENCODER_MASKS = ['mask', 'srcKeyPaddingMask'] as const;

/** Self-attention, then a feed-forward network, each with a residual connection and layer normalisation. */
export class TransformerEncoderLayer extends Module<[src: Tensor, masks?: EncoderMasks]> {
  readonly selfAttn: MultiheadAttention;
  readonly linear1: Linear;
  readonly dropout: Dropout;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly dropout1: Dropout;
  readonly dropout2: Dropout;
  /** Between the two linear layers. */
  readonly activation: (x: Tensor) => Tensor;
  readonly normFirst: boolean;

  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    checkOptions('TransformerEncoderLayer', options, LAYER);
    super();
    const {
      dimFeedforward = 2048,
      dropout = 0.1,
      layerNormEps: eps = 1e-5,
      batchFirst = false,
      normFirst = false,
    } = options;
    this.selfAttn = new MultiheadAttention(dModel, nhead, { dropout, batchFirst });
    this.linear1 = new Linear(dModel, dimFeedforward);
    this.dropout = new Dropout(dropout);
    this.linear2 = new Linear(dimFeedforward, dModel);
    this.norm1 = new LayerNorm(dModel, { eps });
    this.norm2 = new LayerNorm(dModel, { eps });
    this.dropout1 = new Dropout(dropout);
    this.dropout2 = new Dropout(dropout);
    this.activation = activationOf(this.constructor.name, options.activation);
    this.normFirst = normFirst;
  }

  forward(src: Tensor, options: EncoderMasks = {}): Tensor {
    const { mask, srcKeyPaddingMask } = checkOptions('TransformerEncoderLayer.forward', options, ENCODER_MASKS);
    const attend = (x: Tensor): Tensor =>
      this.dropout1.call(this.selfAttn.call(x, x, x, { attnMask: mask, keyPaddingMask: srcKeyPaddingMask })[0]);
    const feed = (x: Tensor): Tensor =>
      this.dropout2.call(this.linear2.call(this.dropout.call(this.activation(this.linear1.call(x)))));
    if (this.normFirst) {
      const x = src.add(attend(this.norm1.call(src)));
      return x.add(feed(this.norm2.call(x)));
    }
    const x = this.norm1.call(src.add(attend(src)));
    return this.norm2.call(x.add(feed(x)));
  }
}

export interface DecoderMasks {
  /** [L, L] over the target. */
  readonly tgtMask?: Tensor;
  /** [L, S] from target to memory. */
  readonly memoryMask?: Tensor;
  /** [N, L] */
  readonly tgtKeyPaddingMask?: Tensor;
  /** [N, S] */
  readonly memoryKeyPaddingMask?: Tensor;
}

/** Names of DecoderMasks. */
const DECODER_MASKS = ['tgtMask', 'memoryMask', 'tgtKeyPaddingMask', 'memoryKeyPaddingMask'] as const;

/** Self-attention, attention to the encoder's output, then a feed-forward network. */
export class TransformerDecoderLayer extends Module<[tgt: Tensor, memory: Tensor, masks?: DecoderMasks]> {
  readonly selfAttn: MultiheadAttention;
  readonly multiheadAttn: MultiheadAttention;
  readonly linear1: Linear;
  readonly dropout: Dropout;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly norm3: LayerNorm;
  readonly dropout1: Dropout;
  readonly dropout2: Dropout;
  readonly dropout3: Dropout;
  /** Between the two linear layers. */
  readonly activation: (x: Tensor) => Tensor;
  readonly normFirst: boolean;

  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    checkOptions('TransformerDecoderLayer', options, LAYER);
    super();
    const {
      dimFeedforward = 2048,
      dropout = 0.1,
      layerNormEps: eps = 1e-5,
      batchFirst = false,
      normFirst = false,
    } = options;
    this.selfAttn = new MultiheadAttention(dModel, nhead, { dropout, batchFirst });
    this.multiheadAttn = new MultiheadAttention(dModel, nhead, { dropout, batchFirst });
    this.linear1 = new Linear(dModel, dimFeedforward);
    this.dropout = new Dropout(dropout);
    this.linear2 = new Linear(dimFeedforward, dModel);
    this.norm1 = new LayerNorm(dModel, { eps });
    this.norm2 = new LayerNorm(dModel, { eps });
    this.norm3 = new LayerNorm(dModel, { eps });
    this.dropout1 = new Dropout(dropout);
    this.dropout2 = new Dropout(dropout);
    this.dropout3 = new Dropout(dropout);
    this.activation = activationOf(this.constructor.name, options.activation);
    this.normFirst = normFirst;
  }

  forward(tgt: Tensor, memory: Tensor, masks: DecoderMasks = {}): Tensor {
    checkOptions('TransformerDecoderLayer.forward', masks, DECODER_MASKS);
    const attend = (x: Tensor): Tensor => {
      const options = { attnMask: masks.tgtMask, keyPaddingMask: masks.tgtKeyPaddingMask };
      return this.dropout1.call(this.selfAttn.call(x, x, x, options)[0]);
    };
    const cross = (x: Tensor): Tensor => {
      const options = { attnMask: masks.memoryMask, keyPaddingMask: masks.memoryKeyPaddingMask };
      return this.dropout2.call(this.multiheadAttn.call(x, memory, memory, options)[0]);
    };
    const feed = (x: Tensor): Tensor =>
      this.dropout3.call(this.linear2.call(this.dropout.call(this.activation(this.linear1.call(x)))));
    if (this.normFirst) {
      const attended = tgt.add(attend(this.norm1.call(tgt)));
      const crossed = attended.add(cross(this.norm2.call(attended)));
      return crossed.add(feed(this.norm3.call(crossed)));
    }
    const attended = this.norm1.call(tgt.add(attend(tgt)));
    const crossed = this.norm2.call(attended.add(cross(attended)));
    return this.norm3.call(crossed.add(feed(crossed)));
  }
}

/** Layers that `make` makes, each with weights of its own. */
function stackOf<L extends AnyModule>(name: string, make: () => L, count: number): ModuleList<L> {
  if (typeof make !== 'function')
    throw new TypeError(`${name}: layer: expected a function that makes a layer: () => new ${name}Layer(...)`);
  checkSizes(name, { numLayers: count });
  return new ModuleList(Array.from({ length: count }, make));
}

/** Encoder layers one after another. `layer` makes each of them, so all start from weights of their own. */
export class TransformerEncoder extends Module<[src: Tensor, masks?: EncoderMasks]> {
  readonly layers: ModuleList<TransformerEncoderLayer>;
  readonly norm: LayerNorm | null;

  constructor(
    layer: () => TransformerEncoderLayer,
    numLayers: number,
    options: { readonly norm?: LayerNorm | null } = {},
  ) {
    const { norm = null } = checkOptions('TransformerEncoder', options, ['norm']);
    super();
    this.layers = stackOf('TransformerEncoder', layer, numLayers);
    this.norm = norm;
  }

  forward(src: Tensor, masks: EncoderMasks = {}): Tensor {
    checkOptions('TransformerEncoder.forward', masks, ENCODER_MASKS);
    let x = src;
    for (const layer of this.layers) x = layer.call(x, masks);
    return this.norm ? this.norm.call(x) : x;
  }
}

/** Decoder layers one after another. `layer` makes each of them. */
export class TransformerDecoder extends Module<[tgt: Tensor, memory: Tensor, masks?: DecoderMasks]> {
  readonly layers: ModuleList<TransformerDecoderLayer>;
  readonly norm: LayerNorm | null;

  constructor(
    layer: () => TransformerDecoderLayer,
    numLayers: number,
    options: { readonly norm?: LayerNorm | null } = {},
  ) {
    const { norm = null } = checkOptions('TransformerDecoder', options, ['norm']);
    super();
    this.layers = stackOf('TransformerDecoder', layer, numLayers);
    this.norm = norm;
  }

  forward(tgt: Tensor, memory: Tensor, masks: DecoderMasks = {}): Tensor {
    checkOptions('TransformerDecoder.forward', masks, DECODER_MASKS);
    let x = tgt;
    for (const layer of this.layers) x = layer.call(x, memory, masks);
    return this.norm ? this.norm.call(x) : x;
  }
}

export interface TransformerOptions extends TransformerLayerOptions {
  /** 6 by default. */
  readonly numEncoderLayers?: number;
  /** 6 by default. */
  readonly numDecoderLayers?: number;
}

export interface TransformerMasks extends DecoderMasks {
  /** [S, S] over the source. */
  readonly srcMask?: Tensor;
  /** [N, S] */
  readonly srcKeyPaddingMask?: Tensor;
}

/**
 * Encoder and decoder of "Attention is all you need" (Vaswani et al. 2017): source [S, N, E] and target [T, N, E] ->
 * [T, N, E].
 */
export class Transformer extends Module<[src: Tensor, tgt: Tensor, masks?: TransformerMasks]> {
  readonly encoder: TransformerEncoder;
  readonly decoder: TransformerDecoder;

  /** @param dModel features, 512 by default; @param nhead attention heads, 8 by default */
  constructor(dModel = 512, nhead = 8, options: TransformerOptions = {}) {
    checkOptions('Transformer', options, [...LAYER, 'numEncoderLayers', 'numDecoderLayers']);
    super();
    const { numEncoderLayers = 6, numDecoderLayers = 6, layerNormEps: eps = 1e-5, ...layer } = options;
    const norm = (): LayerNorm => new LayerNorm(dModel, { eps });
    const layerOptions = { ...layer, layerNormEps: eps };
    this.encoder = new TransformerEncoder(
      () => new TransformerEncoderLayer(dModel, nhead, layerOptions),
      numEncoderLayers,
      { norm: norm() },
    );
    this.decoder = new TransformerDecoder(
      () => new TransformerDecoderLayer(dModel, nhead, layerOptions),
      numDecoderLayers,
      { norm: norm() },
    );
    for (const parameter of this.parameters()) if (parameter.ndim > 1) xavierUniform_(parameter);
  }

  forward(src: Tensor, tgt: Tensor, masks: TransformerMasks = {}): Tensor {
    checkOptions('Transformer.forward', masks, [...DECODER_MASKS, 'srcMask', 'srcKeyPaddingMask']);
    const { srcMask, srcKeyPaddingMask, ...others } = masks;
    const memory = this.encoder.call(src, { mask: srcMask, srcKeyPaddingMask });
    return this.decoder.call(tgt, memory, others);
  }

  /** [size, size] of zeros, minus infinity above the diagonal: position i sees itself and those before it. */
  static generateSquareSubsequentMask(size: number): Tensor {
    return full([size, size], Number.NEGATIVE_INFINITY).triu(1);
  }
}
