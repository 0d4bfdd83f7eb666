/**
 * Lookup tables: integers to vectors, and to sums of vectors.
 */
import { shapeText } from '../tensor/convert.ts';
import { arange, F, type Parameter, type Tensor, zeros } from '../tensor/index.ts';
import { checkNames, checkOptions } from '../tensor/options.ts';
import { blank, normal_ } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

export interface EmbeddingOptions {
  /** The index whose vector starts at zero and has no gradient; negative counts from the end. */
  readonly paddingIdx?: number;
  /** Vectors that are looked up are first shortened to this norm, in the table itself. */
  readonly maxNorm?: number;
  /** Degree of that norm; 2 by default. */
  readonly normType?: number;
  /** Whether a vector's gradient is divided by how often the batch looks it up; false by default. */
  readonly scaleGradByFreq?: boolean;
  /**
   * Whether Adam moves only the rows that were looked up, and their moments, as SparseAdam does; false by default. SGD
   * without momentum and Adagrad touch no other rows anyway, as that makes no difference to the values.
   */
  readonly sparse?: boolean;
}

const OPTIONS = ['paddingIdx', 'maxNorm', 'normType', 'scaleGradByFreq', 'sparse'] as const;

/** What the two tables share: the weight [numEmbeddings, embeddingDim] and what happens to it at a lookup. */
abstract class Table<In extends unknown[]> extends Module<In, Tensor> {
  weight: Parameter;
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  readonly paddingIdx: number | undefined;
  readonly maxNorm: number | undefined;
  readonly normType: number;
  readonly scaleGradByFreq: boolean;

  constructor(what: string, numEmbeddings: number, embeddingDim: number, options: EmbeddingOptions) {
    super();
    checkNames(what, options, what === 'Embedding' ? OPTIONS : [...OPTIONS, 'mode', 'includeLastOffset']);
    checkSizes(what, { numEmbeddings, embeddingDim });
    const { paddingIdx, maxNorm, normType = 2, scaleGradByFreq = false, sparse = false } = options;
    this.numEmbeddings = numEmbeddings;
    this.embeddingDim = embeddingDim;
    this.maxNorm = maxNorm;
    this.normType = normType;
    this.scaleGradByFreq = scaleGradByFreq;
    this.weight = normal_(blank([numEmbeddings, embeddingDim]));
    this.weight.sparse = sparse;
    if (paddingIdx !== undefined) {
      const index = paddingIdx < 0 ? paddingIdx + numEmbeddings : paddingIdx;
      if (!Number.isInteger(index) || index < 0 || index >= numEmbeddings)
        throw new Error(`${what}: paddingIdx ${paddingIdx} came for ${numEmbeddings} embeddings`);
      this.paddingIdx = index;
      this.weight.assign(arange(numEmbeddings).ne(index).unsqueeze(1).where(this.weight, 0));
    }
  }

  /** How often each row is looked up, [numEmbeddings]. */
  private counts(index: Tensor): Tensor {
    const ones = zeros([index.numel()], { dtype: this.weight.dtype }).add(1);
    return zeros([this.numEmbeddings], { dtype: this.weight.dtype }).indexAdd(0, index.reshape([-1]), ones);
  }

  /**
   * The table as this lookup sees it: rows in use shortened to maxNorm (and kept so), gradients divided by frequency.
   */
  protected tableFor(index: Tensor): Tensor {
    const { weight, maxNorm } = this;
    if (maxNorm === undefined && !this.scaleGradByFreq) return weight;
    const counts = this.counts(index).unsqueeze(1);
    if (maxNorm !== undefined) {
      const values = weight.detach();
      const norms = values.norm(this.normType, 1, { keepdim: true });
      // PyTorch's own margin, 1e-7, so that a second lookup finds nothing to shorten.
      const scale = norms.add(1e-7).reciprocal().mul(maxNorm);
      weight.assign(counts.gt(0).logicalAnd(norms.gt(maxNorm)).where(scale, 1).mul(values));
    }
    if (!this.scaleGradByFreq) return weight;
    const shared = weight.div(counts.clampMin(1));
    return weight.detach().add(shared.sub(shared.detach()));
  }
}

/** Vectors of a table [numEmbeddings, embeddingDim] by index: [...] integers -> [..., embeddingDim]. */
export class Embedding extends Table<[index: Tensor]> {
  constructor(numEmbeddings: number, embeddingDim: number, options: EmbeddingOptions = {}) {
    super('Embedding', numEmbeddings, embeddingDim, options);
  }

  /** A table of given vectors [numEmbeddings, embeddingDim]; frozen unless `freeze` is false. */
  static fromPretrained(vectors: Tensor, given: EmbeddingOptions & { readonly freeze?: boolean } = {}): Embedding {
    const { freeze = true, ...options } = checkOptions('Embedding.fromPretrained', given, [...OPTIONS, 'freeze']);
    if (vectors.ndim !== 2)
      throw new RangeError(`Embedding.fromPretrained: ${shapeText(vectors.shape)} came, expected 2 dimensions`);
    const table = new Embedding(vectors.shape[0]!, vectors.shape[1]!, options);
    table.weight.assign(vectors);
    table.weight.requiresGrad = !freeze;
    return table;
  }

  forward(index: Tensor): Tensor {
    return F.embedding(index, this.tableFor(index), { paddingIdx: this.paddingIdx });
  }
}

export interface EmbeddingBagOptions extends EmbeddingOptions {
  /** How a bag's vectors become one; 'mean' by default. */
  readonly mode?: 'sum' | 'mean' | 'max';
  /** Whether the last offset is the end of the last bag; false by default. */
  readonly includeLastOffset?: boolean;
}

/**
 * Sums, means or maxima of bags of vectors: integers [N, length], or one row of them with `offsets` [N] -> [N,
 * embeddingDim]. `perSampleWeights`, of the index's shape, are for sums.
 */
export class EmbeddingBag extends Table<[index: Tensor, offsets?: Tensor | null, perSampleWeights?: Tensor | null]> {
  readonly mode: 'sum' | 'mean' | 'max';
  readonly includeLastOffset: boolean;

  constructor(numEmbeddings: number, embeddingDim: number, options: EmbeddingBagOptions = {}) {
    super('EmbeddingBag', numEmbeddings, embeddingDim, options);
    this.mode = options.mode ?? 'mean';
    this.includeLastOffset = options.includeLastOffset ?? false;
  }

  forward(index: Tensor, offsets: Tensor | null = null, perSampleWeights: Tensor | null = null): Tensor {
    const { mode, includeLastOffset, paddingIdx } = this;
    const options = { mode, includeLastOffset, paddingIdx, offsets, perSampleWeights };
    return F.embeddingBag(index, this.tableFor(index), options);
  }
}
