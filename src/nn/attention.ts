/**
 * Multi-head attention (Vaswani et al. 2017), with PyTorch's parameter names and layouts.
 */
import { F, type Parameter, type Tensor, zeros } from '../tensor/index.ts';
import { blank, constant_, xavierUniform_ } from './init.ts';
import { Linear } from './linear.ts';
import { Module } from './module.ts';

export interface MultiheadAttentionOptions {
  /** Dropout on the attention weights, in training; 0 by default. */
  readonly dropout?: number;
  /** true by default. */
  readonly bias?: boolean;
  /** Features of keys and of values; `embedDim` by default. */
  readonly kdim?: number;
  readonly vdim?: number;
  /** Whether sequences are [N, L, E] instead of [L, N, E]; false by default. */
  readonly batchFirst?: boolean;
}

export interface AttentionOptions {
  /** Bool [N, S], true where a key is padding; or floats to be added to the scores. */
  readonly keyPaddingMask?: Tensor;
  /** Bool [L, S] or [N * heads, L, S], true where attention is forbidden; or floats to be added to the scores. */
  readonly attnMask?: Tensor;
  /** Whether the returned weights are the mean over heads; true by default. */
  readonly averageAttnWeights?: boolean;
}

/** A mask as numbers to add to scores: minus infinity where a bool mask is true. */
const additive = (mask: Tensor, like: Tensor): Tensor =>
  mask.dtype === 'bool'
    ? zeros(mask.shape, { dtype: like.dtype }).maskedFill(mask, Number.NEGATIVE_INFINITY)
    : mask.to(like.dtype);

/**
 * softmax(q kᵀ / sqrt(head size)) v over several heads. `forward` takes query [L, N, E], key [S, N, kdim] and value [S, N, vdim]
 * ([N, L, E] and so on when batchFirst) and returns the output, of the query's shape, and the attention weights [N, L, S]
 * ([N, heads, L, S] when not averaged), which cost nothing unless read.
 */
export class MultiheadAttention extends Module<
  [query: Tensor, key: Tensor, value: Tensor, options?: AttentionOptions],
  [output: Tensor, weights: Tensor]
> {
  readonly inProjWeight: Parameter | null = null;
  readonly qProjWeight: Parameter | null = null;
  readonly kProjWeight: Parameter | null = null;
  readonly vProjWeight: Parameter | null = null;
  readonly inProjBias: Parameter | null;
  readonly outProj: Linear;
  readonly embedDim: number;
  readonly numHeads: number;
  readonly dropout: number;
  readonly batchFirst: boolean;

  constructor(embedDim: number, numHeads: number, options: MultiheadAttentionOptions = {}) {
    super();
    const { dropout = 0, bias = true, kdim = embedDim, vdim = embedDim, batchFirst = false } = options;
    if (embedDim % numHeads !== 0)
      throw new Error(`MultiheadAttention: ${embedDim} features do not split into ${numHeads} heads`);
    this.embedDim = embedDim;
    this.numHeads = numHeads;
    this.dropout = dropout;
    this.batchFirst = batchFirst;
    const projection = (rows: number, columns: number): Parameter => xavierUniform_(blank([rows, columns]));
    if (kdim === embedDim && vdim === embedDim) this.inProjWeight = projection(3 * embedDim, embedDim);
    else {
      this.qProjWeight = projection(embedDim, embedDim);
      this.kProjWeight = projection(embedDim, kdim);
      this.vProjWeight = projection(embedDim, vdim);
    }
    this.inProjBias = bias ? blank([3 * embedDim]) : null;
    this.outProj = new Linear(embedDim, embedDim, { bias });
    if (this.outProj.bias) constant_(this.outProj.bias, 0);
  }

  /** The three inputs through their projections; one matmul when they are the same tensor. */
  #project(query: Tensor, key: Tensor, value: Tensor): Tensor[] {
    if (this.inProjWeight && query === key && key === value)
      return F.linear(query, this.inProjWeight, this.inProjBias).chunk(3, -1);
    const weights = this.inProjWeight
      ? this.inProjWeight.chunk(3, 0)
      : [this.qProjWeight!, this.kProjWeight!, this.vProjWeight!];
    const biases = this.inProjBias?.chunk(3, 0);
    return [query, key, value].map((x, i) => F.linear(x, weights[i]!, biases?.[i] ?? null));
  }

  forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: AttentionOptions = {},
  ): [output: Tensor, weights: Tensor] {
    const { keyPaddingMask, attnMask, averageAttnWeights = true } = options;
    const [n, l, s] = this.batchFirst
      ? [query.shape[0]!, query.shape[1]!, key.shape[1]!]
      : [query.shape[1]!, query.shape[0]!, key.shape[0]!];
    if (query.ndim !== 3 || query.shape[2] !== this.embedDim)
      throw new Error(
        `MultiheadAttention: query [${query.shape}] came, expected 3 dimensions with ${this.embedDim} features last`,
      );
    const headSize = this.embedDim / this.numHeads;
    // To [N, heads, length, head size], whichever of batch and length comes first.
    const [q, k, v] = this.#project(query, key, value).map(x => {
      const split = x.reshape([x.shape[0]!, x.shape[1]!, this.numHeads, headSize]);
      return this.batchFirst ? split.permute([0, 2, 1, 3]) : split.permute([1, 2, 0, 3]);
    }) as [Tensor, Tensor, Tensor];
    let scores = q.mul(1 / Math.sqrt(headSize)).matmul(k.transpose(-2, -1));
    if (attnMask) {
      const perHead = attnMask.ndim === 3 ? attnMask.reshape([n, this.numHeads, l, s]) : attnMask;
      scores = scores.add(additive(perHead, scores));
    }
    if (keyPaddingMask) scores = scores.add(additive(keyPaddingMask, scores).reshape([n, 1, 1, s]));
    const weights = F.dropout(scores.softmax(-1), { p: this.dropout, training: this.training });
    const heads = weights.matmul(v);
    const joined = this.batchFirst
      ? heads.permute([0, 2, 1, 3]).reshape([n, l, this.embedDim])
      : heads.permute([2, 0, 1, 3]).reshape([l, n, this.embedDim]);
    return [this.outProj.call(joined), averageAttnWeights ? weights.mean(1) : weights];
  }
}
