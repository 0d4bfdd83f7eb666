/**
 * How vectors of fields meet: the one implementation of each interaction that click models are made of. Vectors are [B,
 * fields, d].
 */
import { init, Linear, Module, ModuleList } from '../nn/index.ts';
import { cat, einsum, F, Parameter, type Tensor, tensor, zeros } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { Dice } from './dice.ts';

/** Products of all pairs of field vectors, added up (Rendle 2010): [B]. */
export function pairwiseSum(vectors: Tensor): Tensor {
  const total = vectors.sum(1);
  return total.mul(total).sub(vectors.mul(vectors).sum(1)).sum(1).mul(0.5);
}

/** Positions of the elements below the diagonal of an n x n matrix, row by row. */
export function lowerTriangle(n: number): Tensor {
  const positions = Array.from({ length: n }, (_, i) => Array.from({ length: i }, (_, j) => i * n + j)).flat();
  return tensor(Int32Array.from(positions));
}

/**
 * Dot products of all pairs of field vectors, as `pairs` = lowerTriangle(fields) orders them (Naumov et al. 2019): [B,
 * pairs].
 */
export const pairwiseDots = (vectors: Tensor, pairs: Tensor): Tensor =>
  vectors.matmul(vectors.transpose(1, 2)).flatten(1).indexSelect(1, pairs);

/**
 * Field-aware products, added up (Juan et al. 2016): vectors [B, fields, fields * d], one vector per other field;
 * result [B].
 */
export function fieldAwareSum(vectors: Tensor): Tensor {
  const [size, fields, width] = vectors.shape as [number, number, number];
  const aware = vectors.reshape([size, fields, fields, width / fields]);
  const all = aware.mul(aware.transpose(1, 2)).sum([1, 2, 3]);
  const own = aware.diagonal(0, 1, 2);
  return all.sub(own.mul(own).sum([1, 2])).mul(0.5);
}

/** What stands behind the layers of a tower; `dice` is Dice, with state of its own. */
export type Activation = 'relu' | 'leakyRelu' | 'dice';

export interface TowerOptions {
  /** Share of the units dropped in training; 0 by default. */
  readonly dropout?: number;
  /** 'relu' by default; the slope of 'leakyRelu' is 0.01. */
  readonly activation?: Activation;
}

/** Linear layers with an activation after each: [..., inputs] -> [..., last of `hidden`]. */
export class Tower extends Module<[x: Tensor, counts?: Tensor]> {
  readonly layers: ModuleList<Linear>;
  /** One for each layer where the activation is Dice, else none. */
  readonly dice: ModuleList<Dice>;
  readonly dropout: number;
  readonly activation: Activation;
  /** Features of the result. */
  readonly width: number;

  constructor(inputs: number, hidden: readonly number[], options: TowerOptions = {}) {
    const { dropout = 0, activation = 'relu' } = checkOptions('Tower', options, ['dropout', 'activation']);
    super();
    this.layers = new ModuleList(hidden.map((n, i) => new Linear(i === 0 ? inputs : hidden[i - 1]!, n)));
    this.dice = new ModuleList(activation === 'dice' ? hidden.map(n => new Dice(n)) : []);
    this.dropout = dropout;
    this.activation = activation;
    this.width = hidden.at(-1) ?? inputs;
  }

  /**
   * Runs the layers.
   * @param counts [...]: 1 for each row that is there, 0 for padding, which Dice's statistics leave out
   */
  forward(x: Tensor, counts?: Tensor): Tensor {
    const dice = [...this.dice];
    let h = x;
    [...this.layers].forEach((layer, i) => {
      const sums = layer.call(h);
      const active = dice[i]?.call(sums, counts) ?? (this.activation === 'relu' ? sums.relu() : F.leakyRelu(sums));
      h = F.dropout(active, { p: this.dropout, training: this.training });
    });
    return h;
  }
}

/** x_{l+1} = x_0 (x_l · w) + b + x_l (Wang et al. 2017): [B, n] -> [B, n]. */
export class CrossNetwork extends Module {
  readonly layers: ModuleList<Linear>;
  readonly bias: Parameter;

  constructor(inputs: number, layers: number) {
    super();
    this.layers = new ModuleList(Array.from({ length: layers }, () => new Linear(inputs, 1, { bias: false })));
    this.bias = new Parameter(zeros([layers, inputs]));
  }

  forward(x: Tensor): Tensor {
    let h = x;
    [...this.layers].forEach((layer, i) => {
      h = x.mul(layer.call(h)).add(this.bias.select(0, i)).add(h);
    });
    return h;
  }
}

/** x_{l+1} = x_0 ⊙ (W x_l + b) + x_l (Wang et al. 2021): [B, n] -> [B, n]; W of rank `rank` where given. */
export class CrossNetworkV2 extends Module {
  readonly down: ModuleList<Linear>;
  readonly up: ModuleList<Linear>;

  constructor(inputs: number, layers: number, rank?: number) {
    super();
    const list = (make: () => Linear): ModuleList<Linear> => new ModuleList(Array.from({ length: layers }, make));
    this.down = rank === undefined ? new ModuleList([]) : list(() => new Linear(inputs, rank, { bias: false }));
    this.up = list(() => new Linear(rank ?? inputs, inputs));
  }

  forward(x: Tensor): Tensor {
    const down = [...this.down];
    let h = x;
    [...this.up].forEach((up, i) => {
      const low = down[i] ? down[i].call(h) : h;
      h = x.mul(up.call(low)).add(h);
    });
    return h;
  }
}

/**
 * Mixture of low-rank cross layers (Wang et al. 2021, section 3.3): x_{l+1} = sum_i G_i(x_l) E_i(x_l) + x_l with gates
 * G = softmax(W x_l) and experts E_i(x_l) = x_0 ⊙ (U_i tanh(C_i tanh(V_i x_l)) + b): [B, n] -> [B, n].
 */
export class CrossNetworkMix extends Module {
  /** Per layer: V of all experts one below the other. */
  readonly down: ModuleList<Linear>;
  readonly gates: ModuleList<Linear>;
  /** [layers, experts, rank, rank], [layers, experts, n, rank], [layers, n]: C, U and b. */
  readonly core: Parameter;
  readonly up: Parameter;
  readonly bias: Parameter;

  constructor(inputs: number, layers: number, rank: number, experts: number) {
    super();
    const list = (outputs: number): ModuleList<Linear> =>
      new ModuleList(Array.from({ length: layers }, () => new Linear(inputs, outputs, { bias: false })));
    const uniform = (shape: readonly number[]): Parameter =>
      init.uniform_(new Parameter(zeros(shape)), -1 / Math.sqrt(rank), 1 / Math.sqrt(rank));
    this.down = list(experts * rank);
    this.gates = list(experts);
    this.core = uniform([layers, experts, rank, rank]);
    this.up = uniform([layers, experts, inputs, rank]);
    this.bias = new Parameter(zeros([layers, inputs]));
  }

  forward(x: Tensor): Tensor {
    const [, experts, rank] = this.core.shape as [number, number, number];
    let h = x;
    [...this.down].forEach((down, l) => {
      const low = down.call(h).tanh().reshape([-1, experts, rank]);
      const mixed = einsum('ber,esr->bes', low, this.core.select(0, l)).tanh();
      const wide = einsum('bes,ens->ben', mixed, this.up.select(0, l)).add(this.bias.select(0, l));
      const gates = this.gates.at(l)!.call(h).softmax(1).unsqueeze(2);
      h = wide.mul(gates).sum(1).mul(x).add(h);
    });
    return h;
  }
}

/**
 * Compressed interaction network (Lian et al. 2018): layer k holds maps X^k_h = sum_ij W^k_hij (X^{k-1}_i ⊙ X^0_j);
 * each map summed over d. [B, fields, d] -> [B, sum of maps].
 */
export class CompressedInteraction extends Module {
  readonly layers: ModuleList<Linear>;
  readonly width: number;

  constructor(fields: number, maps: readonly number[]) {
    super();
    if (maps.length === 0) throw new Error('CompressedInteraction: maps: none came, expected at least one layer');
    this.layers = new ModuleList(
      maps.map((n, i) => new Linear((i === 0 ? fields : maps[i - 1]!) * fields, n, { bias: false })),
    );
    this.width = maps.reduce((a, n) => a + n, 0);
  }

  forward(vectors: Tensor): Tensor {
    const [size, , d] = vectors.shape as [number, number, number];
    let h = vectors;
    const sums: Tensor[] = [];
    for (const layer of this.layers) {
      const products = h.unsqueeze(2).mul(vectors.unsqueeze(1)).reshape([size, -1, d]);
      h = layer.call(products.transpose(1, 2)).transpose(1, 2);
      sums.push(h.sum(2));
    }
    return cat(sums, 1);
  }
}

/**
 * Self-attention between fields with a residual (Song et al. 2019, AutoInt): [B, fields, inputs] -> [B, fields, heads *
 * size].
 */
export class FieldAttention extends Module {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly residual: Linear;
  readonly heads: number;
  readonly width: number;

  constructor(inputs: number, heads: number, size: number) {
    super();
    this.heads = heads;
    this.width = heads * size;
    const map = (): Linear => new Linear(inputs, this.width, { bias: false });
    this.query = map();
    this.key = map();
    this.value = map();
    this.residual = map();
  }

  forward(vectors: Tensor): Tensor {
    const [size, fields] = vectors.shape as [number, number];
    const split = (x: Tensor): Tensor => x.reshape([size, fields, this.heads, -1]).transpose(1, 2);
    const scores = split(this.query.call(vectors)).matmul(split(this.key.call(vectors)).transpose(2, 3));
    const mixed = scores.softmax(-1).matmul(split(this.value.call(vectors)));
    return mixed.transpose(1, 2).reshape([size, fields, -1]).add(this.residual.call(vectors)).relu();
  }
}

/** Squeeze and excitation over fields (Huang et al. 2019, FiBiNET): each field's vector times a learnt weight. */
export class FieldExcitation extends Module {
  readonly squeeze: Linear;
  readonly excite: Linear;

  constructor(fields: number, reduction = 3) {
    super();
    const inner = Math.max(1, Math.floor(fields / reduction));
    this.squeeze = new Linear(fields, inner, { bias: false });
    this.excite = new Linear(inner, fields, { bias: false });
  }

  forward(vectors: Tensor): Tensor {
    const weights = this.excite.call(this.squeeze.call(vectors.mean(2)).relu()).relu();
    return vectors.mul(weights.unsqueeze(2));
  }
}

/** Which pairs of fields share a matrix in a bilinear interaction: all, those with the same first field, none. */
export type BilinearKind = 'all' | 'each' | 'interaction';

/** (v_i W) ⊙ v_j for all pairs i < j (FiBiNET, section 3.3): [B, fields, d] -> [B, pairs * d]. */
export class BilinearInteraction extends Module {
  /** [matrices, d, d] */
  readonly weight: Parameter;
  readonly first: Parameter;
  readonly second: Parameter;
  readonly kind: BilinearKind;

  constructor(fields: number, d: number, kind: BilinearKind = 'all') {
    super();
    const pairs = Array.from({ length: fields }, (_, i) =>
      Array.from({ length: fields - i - 1 }, (_, k) => [i, i + 1 + k] as const),
    ).flat();
    const matrices = { all: 1, each: fields - 1, interaction: pairs.length }[kind];
    if (matrices === undefined)
      throw new Error(`BilinearInteraction: kind "${kind}" came, expected all, each or interaction`);
    const bound = 1 / Math.sqrt(d);
    this.kind = kind;
    this.weight = init.uniform_(new Parameter(zeros([matrices, d, d])), -bound, bound);
    const positions = (side: 0 | 1): Tensor => tensor(Int32Array.from(pairs, pair => pair[side]));
    this.first = this.registerBuffer('first', positions(0), { persistent: false });
    this.second = this.registerBuffer('second', positions(1), { persistent: false });
  }

  forward(vectors: Tensor): Tensor {
    const { kind, weight, first, second } = this;
    const right = vectors.indexSelect(1, second);
    if (kind === 'all') return vectors.matmul(weight.select(0, 0)).indexSelect(1, first).mul(right).flatten(1);
    const own = kind === 'each' ? weight.indexSelect(0, first) : weight;
    return einsum('bpd,pde->bpe', vectors.indexSelect(1, first), own).mul(right).flatten(1);
  }
}

/**
 * Attention of a target over a history (Zhou et al. 2018, DIN): a network over [history, target, difference, product]
 * gives each step's weight, not normalised. history [B, L, d], mask [B, L] of 0 and 1, target [B, d], counts [B] (1 for
 * an example, 0 for padding) -> weights [B, L].
 */
export class TargetAttention extends Module<[history: Tensor, mask: Tensor, target: Tensor, counts?: Tensor]> {
  readonly tower: Tower;
  readonly out: Linear;

  constructor(d: number, hidden: readonly number[] = [80, 40], options: TowerOptions = {}) {
    super();
    this.tower = new Tower(4 * d, hidden, options);
    this.out = new Linear(this.tower.width, 1);
  }

  forward(history: Tensor, mask: Tensor, target: Tensor, counts?: Tensor): Tensor {
    const wide = target.unsqueeze(1).expand(history.shape);
    const pairs = cat([history, wide, history.sub(wide), history.mul(wide)], 2);
    const there = counts ? mask.mul(counts.unsqueeze(1)) : mask;
    return this.out.call(this.tower.call(pairs, there)).squeeze(2).mul(mask);
  }
}

/** Weights [B, L] over a history [B, L, d]: the weighted sum [B, d]. */
export const weightedSum = (history: Tensor, weights: Tensor): Tensor => einsum('bld,bl->bd', history, weights);

/**
 * Experts mixed by softmax gates (Ma et al. 2018, MMoE): inputs of each expert are one tensor [B, n]; result [B, expert
 * width] per gate.
 */
export class GatedExperts extends Module<[x: Tensor, gates: readonly Tensor[]], Tensor[]> {
  readonly experts: ModuleList<Tower>;
  readonly width: number;

  constructor(inputs: number, experts: number, hidden: readonly number[]) {
    super();
    this.experts = new ModuleList(Array.from({ length: experts }, () => new Tower(inputs, hidden)));
    this.width = hidden.at(-1) ?? inputs;
  }

  /** `gates`: per mixture, scores [B, experts] before softmax. */
  forward(x: Tensor, gates: readonly Tensor[]): Tensor[] {
    const outputs = [...this.experts].map(expert => expert.call(x).unsqueeze(1));
    const stacked = cat(outputs, 1);
    return gates.map(scores => weightedSum(stacked, scores.softmax(1)));
  }
}
