/**
 * Click models with a network over the fields' vectors. Each adds its interaction, from models/interactions, to that.
 */
import {
  BilinearInteraction,
  type BilinearKind,
  CompressedInteraction,
  CrossNetwork,
  CrossNetworkMix,
  CrossNetworkV2,
  FieldAttention,
  FieldExcitation,
  lowerTriangle,
  pairwiseDots,
  pairwiseSum,
  Tower,
} from '../../models/interactions.ts';
import { Linear, type Module, ModuleList } from '../../nn/index.ts';
import { cat, type Parameter, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import { type ModelOptions, type SparseInput, SparseModel, single } from './model.ts';
import { DEEP, MODEL } from './optionNames.ts';
import { LinearModel } from './shallow.ts';

export interface DeepOptions extends ModelOptions {
  /** Units of the hidden layers; [400, 400, 400] by default. */
  readonly hidden?: readonly number[];
  /** Share of the hidden units dropped in training; 0 by default. */
  readonly dropout?: number;
}

const HIDDEN: readonly number[] = [400, 400, 400];
const DIM = 10;

/** All vectors and dense columns side by side: [B, fields * dim + dense]. */
export const flatInput = ({ vectors, dense }: SparseInput): Tensor => cat([vectors.flatten(1), dense], 1);

/** Width of `flatInput`. */
export const flatWidth = ({ schema }: ModelOptions, fields: number, dim: number): number =>
  fields * dim + schema.dense.length;

/** Hidden layers over the flat input. */
const towerOf = (options: DeepOptions, inputs: number): Tower =>
  new Tower(inputs, options.hidden ?? HIDDEN, { dropout: options.dropout });

/**
 * A network over all vectors and dense columns: PaddleRec's CTR-DNN, and with 408 slots of 9 weights the slot-DNN of
 * production.
 */
export class DNN extends SparseModel {
  readonly tower: Tower;
  readonly out: Linear;

  constructor(options: DeepOptions) {
    const { schema, dim = DIM } = checkOptions(new.target.name, options, DEEP);
    super(schema, { dim, wide: false });
    this.tower = towerOf(options, flatWidth(options, this.fields.length, dim));
    this.out = new Linear(this.tower.width, 1);
  }

  forward(input: SparseInput): Tensor {
    return this.out.call(this.tower.call(flatInput(input)));
  }
}

/** The slot-DNN of production: sum-pooled slots of 9 weights, 512-256-128-128-128-1 with ReLU. */
export class SlotDNN extends DNN {
  constructor(options: DeepOptions) {
    super({ dim: 9, hidden: [512, 256, 128, 128, 128], ...options });
  }
}

/** A linear part and a network; what Wide & Deep, DeepFM and xDeepFM share. */
abstract class WideAndDeep extends LinearModel {
  readonly tower: Tower;
  readonly out: Linear;

  constructor(options: DeepOptions) {
    const dim = options.dim ?? DIM;
    super(options, { dim, wide: true });
    this.tower = towerOf(options, flatWidth(options, this.fields.length, dim));
    this.out = new Linear(this.tower.width, 1);
  }

  /** The wide part and the deep tower together, [B]. */
  protected sum(input: SparseInput): Tensor {
    return this.linear.call(input).add(this.out.call(this.tower.call(flatInput(input))).squeeze(1));
  }
}

/** Cheng et al. 2016. */
export class WideDeep extends WideAndDeep {
  constructor(options: DeepOptions) {
    super(checkOptions('WideDeep', options, DEEP));
  }

  forward(input: SparseInput): Tensor {
    return single(this.sum(input));
  }
}

/** Guo et al. 2017. */
export class DeepFM extends WideAndDeep {
  constructor(options: DeepOptions) {
    super(checkOptions('DeepFM', options, DEEP));
  }

  forward(input: SparseInput): Tensor {
    return single(this.sum(input).add(pairwiseSum(input.vectors)));
  }
}

export interface XDeepFMOptions extends DeepOptions {
  /** Maps of each layer of the compressed interaction network; [128, 128] by default. */
  readonly maps?: readonly number[];
}

/** Lian et al. 2018. */
export class XDeepFM extends WideAndDeep {
  readonly cin: CompressedInteraction;
  readonly cinOut: Linear;

  constructor(options: XDeepFMOptions) {
    super(checkOptions('XDeepFM', options, [...DEEP, 'maps']));
    this.cin = new CompressedInteraction(this.fields.length, options.maps ?? [128, 128]);
    this.cinOut = new Linear(this.cin.width, 1, { bias: false });
  }

  forward(input: SparseInput): Tensor {
    return single(this.sum(input).add(this.cinOut.call(this.cin.call(input.vectors)).squeeze(1)));
  }
}

export interface CrossOptions extends DeepOptions {
  /** Cross layers; 3 by default. */
  readonly crosses?: number;
}

/** Names of CrossOptions. */
const CROSS = [...DEEP, 'crosses'] as const;

/** How cross network and tower are put together: side by side, or the tower over the cross network's result. */
export type CrossStructure = 'parallel' | 'stacked';

/** What DCN and DCN-V2 share. */
abstract class CrossModel extends SparseModel {
  readonly cross: Module;
  readonly tower: Tower;
  readonly out: Linear;
  readonly structure: CrossStructure;

  constructor(options: CrossOptions, structure: CrossStructure, crossOf: (inputs: number, layers: number) => Module) {
    const dim = options.dim ?? DIM;
    super(options.schema, { dim, wide: false });
    const inputs = flatWidth(options, this.fields.length, dim);
    this.structure = structure;
    this.cross = crossOf(inputs, options.crosses ?? 3);
    this.tower = towerOf(options, inputs);
    this.out = new Linear(this.tower.width + (structure === 'parallel' ? inputs : 0), 1);
  }

  forward(input: SparseInput): Tensor {
    const x = flatInput(input);
    const crossed = this.cross.call(x);
    if (this.structure === 'stacked') return this.out.call(this.tower.call(crossed));
    return this.out.call(cat([crossed, this.tower.call(x)], 1));
  }
}

/** Deep & Cross (Wang et al. 2017): cross network and tower side by side. */
export class DCN extends CrossModel {
  constructor(options: CrossOptions) {
    checkOptions('DCN', options, CROSS);
    super(options, 'parallel', (inputs, layers) => new CrossNetwork(inputs, layers));
  }
}

export interface DCNv2Options extends CrossOptions {
  /** Rank of the cross matrices; full by default, 32 with `experts`. */
  readonly rank?: number;
  /** Low-rank experts mixed by a gate in each cross layer (DCN-Mix); 1, without a gate, by default. */
  readonly experts?: number;
  /** 'parallel' by default. */
  readonly structure?: CrossStructure;
}

/** DCN-V2 (Wang et al. 2021): cross layers with matrices of full rank, of low rank, or mixtures of low-rank experts. */
export class DCNv2 extends CrossModel {
  constructor(options: DCNv2Options) {
    checkOptions('DCNv2', options, [...CROSS, 'rank', 'experts', 'structure']);
    const { rank, experts = 1, structure = 'parallel' } = options;
    super(options, structure, (inputs, layers) =>
      experts > 1 ? new CrossNetworkMix(inputs, layers, rank ?? 32, experts) : new CrossNetworkV2(inputs, layers, rank),
    );
  }
}

export interface AutoIntOptions extends DeepOptions {
  /** Attention layers; 3 by default. */
  readonly layers?: number;
  /** 2 by default. */
  readonly heads?: number;
  /** Features of each head; 16 by default. */
  readonly headSize?: number;
}

/** AutoInt with a linear part and a network beside it (Song et al. 2019; the authors' AutoInt+). */
export class AutoInt extends WideAndDeep {
  readonly attention: ModuleList<FieldAttention>;
  readonly attentionOut: Linear;

  constructor(options: AutoIntOptions) {
    super(checkOptions('AutoInt', options, [...DEEP, 'layers', 'heads', 'headSize']));
    const { layers = 3, heads = 2, headSize = 16 } = options;
    const inputs = (i: number): number => (i === 0 ? this.needs.dim : heads * headSize);
    this.attention = new ModuleList(
      Array.from({ length: layers }, (_, i) => new FieldAttention(inputs(i), heads, headSize)),
    );
    this.attentionOut = new Linear(this.fields.length * inputs(layers), 1, { bias: false });
  }

  forward(input: SparseInput): Tensor {
    let h = input.vectors;
    for (const layer of this.attention) h = layer.call(h);
    return single(this.sum(input).add(this.attentionOut.call(h.flatten(1)).squeeze(1)));
  }
}

export interface FiBiNETOptions extends DeepOptions {
  /** Which pairs of fields share a bilinear matrix; 'all' by default. */
  readonly bilinear?: BilinearKind;
}

/**
 * FiBiNET (Huang et al. 2019): bilinear interactions of vectors and of vectors reweighted by squeeze and excitation,
 * then a network.
 */
export class FiBiNET extends LinearModel {
  readonly excitation: FieldExcitation;
  readonly bilinear: BilinearInteraction;
  readonly bilinearExcited: BilinearInteraction;
  readonly tower: Tower;
  readonly out: Linear;

  constructor(options: FiBiNETOptions) {
    const { dim = DIM } = checkOptions('FiBiNET', options, [...DEEP, 'bilinear']);
    super(options, { dim, wide: true });
    const fields = this.fields.length;
    this.excitation = new FieldExcitation(fields);
    this.bilinear = new BilinearInteraction(fields, dim, options.bilinear);
    this.bilinearExcited = new BilinearInteraction(fields, dim, options.bilinear);
    this.tower = towerOf(options, fields * (fields - 1) * dim + options.schema.dense.length);
    this.out = new Linear(this.tower.width, 1);
  }

  forward(input: SparseInput): Tensor {
    const { vectors, dense } = input;
    const parts = [this.bilinear.call(vectors), this.bilinearExcited.call(this.excitation.call(vectors)), dense];
    const deep = this.out.call(this.tower.call(cat(parts, 1)));
    return single(this.linear.call(input).add(deep.squeeze(1)));
  }
}

export interface DLRMOptions extends ModelOptions {
  /** Hidden layers over the dense columns, before the one of `dim`; [512, 256, 64] by default. */
  readonly bottom?: readonly number[];
  /** Hidden layers over the dot products; [512, 256] by default. */
  readonly top?: readonly number[];
}

/** DLRM (Naumov et al. 2019). Needs dense columns. */
export class DLRM extends SparseModel {
  readonly bottom: Tower;
  readonly top: Tower;
  readonly out: Linear;
  readonly pairs: Parameter;

  constructor(options: DLRMOptions) {
    const { schema, dim = 16 } = checkOptions('DLRM', options, [...MODEL, 'bottom', 'top']);
    super(schema, { dim, wide: false });
    const columns = options.schema.dense.length;
    const fields = this.fields.length;
    if (columns === 0 || fields === 0)
      throw new Error(`DLRM: ${columns} dense columns and ${fields} slots came, expected some of each`);
    this.bottom = new Tower(columns, [...(options.bottom ?? [512, 256, 64]), dim]);
    this.top = new Tower(dim + ((fields + 1) * fields) / 2, options.top ?? [512, 256]);
    this.out = new Linear(this.top.width, 1);
    this.pairs = this.registerBuffer('pairs', lowerTriangle(fields + 1), { persistent: false });
  }

  forward({ vectors, dense }: SparseInput): Tensor {
    const x = this.bottom.call(dense);
    const products = pairwiseDots(cat([x.unsqueeze(1), vectors], 1), this.pairs);
    return this.out.call(this.top.call(cat([x, products], 1)));
  }
}
