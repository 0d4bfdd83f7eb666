/**
 * Multi-head attention (Vaswani et al. 2017), with PyTorch's parameter names and layouts.
 */
import { shapeText } from '../tensor/convert.ts';
import { cat, F, type Parameter, type Tensor, zeros } from '../tensor/index.ts';
import { checkOptions } from '../tensor/options.ts';
import { blank, constant_, xavierNormal_, xavierUniform_ } from './init.ts';
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
  /** Whether a learned key and value are added to every sequence; false by default. */
  readonly addBiasKv?: boolean;
  /** Whether a key and a value of zeros are added to every sequence; false by default. */
  readonly addZeroAttn?: boolean;
  /** Whether sequences are [N, L, E] instead of [L, N, E]; false by default. */
  readonly batchFirst?: boolean;
}

const OPTIONS = ['dropout', 'bias', 'kdim', 'vdim', 'addBiasKv', 'addZeroAttn', 'batchFirst'] as const;

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
 * softmax(q kᵀ / sqrt(head size)) v over several heads. `forward` takes query [L, N, E], key [S, N, kdim] and value [S,
 * N, vdim] ([N, L, E] and so on when batchFirst) and returns the output, of the query's shape, and the attention
 * weights [N, L, S] ([N, heads, L, S] when not averaged), which cost nothing unless read.
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
  readonly biasK: Parameter | null;
  readonly biasV: Parameter | null;
  readonly outProj: Linear;
  readonly addZeroAttn: boolean;
  readonly embedDim: number;
  readonly numHeads: number;
  readonly dropout: number;
  readonly batchFirst: boolean;

  constructor(embedDim: number, numHeads: number, options: MultiheadAttentionOptions = {}) {
    super();
    checkOptions('MultiheadAttention', options, OPTIONS);
    const { dropout = 0, bias = true, kdim = embedDim, vdim = embedDim, batchFirst = false } = options;
    const { addBiasKv = false, addZeroAttn = false } = options;
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
    const extra = (): Parameter | null => (addBiasKv ? xavierNormal_(blank([1, 1, embedDim])) : null);
    this.biasK = extra();
    this.biasV = extra();
    this.addZeroAttn = addZeroAttn;
    this.outProj = new Linear(embedDim, embedDim, { bias });
    if (this.outProj.bias) constant_(this.outProj.bias, 0);
  }

  /** The three inputs through their projections; one matmul when they are the same tensor. */
  private project(query: Tensor, key: Tensor, value: Tensor): Tensor[] {
    if (this.inProjWeight && query === key && key === value)
      return F.linear(query, this.inProjWeight, this.inProjBias).chunk(3, -1);
    const weights = this.inProjWeight
      ? this.inProjWeight.chunk(3, 0)
      : [this.qProjWeight!, this.kProjWeight!, this.vProjWeight!];
    const biases = this.inProjBias?.chunk(3, 0);
    return [query, key, value].map((x, i) => F.linear(x, weights[i]!, biases?.[i] ?? null));
  }

  /**
   * Projected keys or values [N, heads, S, head size] with the learned and the zero entry after them, where there are
   * any.
   */
  private extended(x: Tensor, bias: Parameter | null): Tensor {
    const [n, heads, , headSize] = x.shape as [number, number, number, number];
    const parts = [x];
    if (bias) parts.push(bias.reshape([1, heads, 1, headSize]).expand([n, heads, 1, headSize]));
    if (this.addZeroAttn) parts.push(zeros([n, heads, 1, headSize], { dtype: x.dtype }));
    return parts.length === 1 ? x : cat(parts, 2);
  }

  forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: AttentionOptions = {},
  ): [output: Tensor, weights: Tensor] {
    checkOptions('MultiheadAttention', options, ['keyPaddingMask', 'attnMask', 'averageAttnWeights']);
    if (query.ndim === 2) return this.single(query, key, value, options);
    const { keyPaddingMask, attnMask, averageAttnWeights = true } = options;
    const [n, l, s] = this.batchFirst
      ? [query.shape[0]!, query.shape[1]!, key.shape[1]!]
      : [query.shape[1]!, query.shape[0]!, key.shape[0]!];
    if (query.ndim !== 3 || query.shape[2] !== this.embedDim)
      throw new Error(
        `MultiheadAttention: query ${shapeText(query.shape)} came, expected 3 dimensions (or 2 for one sequence) with ${this.embedDim} features last`,
      );
    const headSize = this.embedDim / this.numHeads;
    // To [N, heads, length, head size], whichever of batch and length comes first.
    const [q, k, v] = this.project(query, key, value).map(x => {
      const split = x.reshape([x.shape[0]!, x.shape[1]!, this.numHeads, headSize]);
      return this.batchFirst ? split.permute([0, 2, 1, 3]) : split.permute([1, 2, 0, 3]);
    }) as [Tensor, Tensor, Tensor];
    const [keys, values] = [this.extended(k, this.biasK), this.extended(v, this.biasV)];
    let scores = q.mul(1 / Math.sqrt(headSize)).matmul(keys.transpose(-2, -1));
    // Masks speak of the keys that were given; the ones added are open to all.
    const added = keys.shape[2]! - s;
    const mask = (given: Tensor): Tensor => additive(given, scores).constantPad([0, added]);
    if (attnMask)
      scores = scores.add(mask(attnMask.ndim === 3 ? attnMask.reshape([n, this.numHeads, l, s]) : attnMask));
    if (keyPaddingMask) scores = scores.add(mask(keyPaddingMask).reshape([n, 1, 1, s + added]));
    const weights = F.dropout(scores.softmax(-1), { p: this.dropout, training: this.training });
    const heads = weights.matmul(values);
    const joined = this.batchFirst
      ? heads.permute([0, 2, 1, 3]).reshape([n, l, this.embedDim])
      : heads.permute([2, 0, 1, 3]).reshape([l, n, this.embedDim]);
    return [this.outProj.call(joined), averageAttnWeights ? weights.mean(1) : weights];
  }

  /** One sequence: [L, E] in, [L, E] and [L, S] out. */
  private single(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: AttentionOptions,
  ): [output: Tensor, weights: Tensor] {
    const batch = this.batchFirst ? 0 : 1;
    const lifted = new Map([query, key, value].map(x => [x, x.unsqueeze(batch)]));
    const [output, weights] = this.forward(lifted.get(query)!, lifted.get(key)!, lifted.get(value)!, {
      ...options,
      keyPaddingMask: options.keyPaddingMask?.unsqueeze(0),
    });
    return [output.squeeze(batch), weights.squeeze(0)];
  }
}
