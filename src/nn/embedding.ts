/**
 * Lookup tables: integers to vectors.
 */
import { arange, F, type Parameter, type Tensor } from '../tensor/index.ts';
import { blank, normal_ } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

export interface EmbeddingOptions {
  /** The index whose vector starts at zero and has no gradient; negative counts from the end. */
  readonly paddingIdx?: number;
}

/** Vectors of a table [numEmbeddings, embeddingDim] by index: [...] integers -> [..., embeddingDim]. */
export class Embedding extends Module {
  readonly weight: Parameter;
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  readonly paddingIdx: number | undefined;

  constructor(numEmbeddings: number, embeddingDim: number, { paddingIdx }: EmbeddingOptions = {}) {
    super();
    checkSizes('Embedding', { numEmbeddings, embeddingDim });
    this.numEmbeddings = numEmbeddings;
    this.embeddingDim = embeddingDim;
    this.weight = normal_(blank([numEmbeddings, embeddingDim]));
    if (paddingIdx !== undefined) {
      const index = paddingIdx < 0 ? paddingIdx + numEmbeddings : paddingIdx;
      if (!Number.isInteger(index) || index < 0 || index >= numEmbeddings)
        throw new Error(`Embedding: paddingIdx ${paddingIdx} came for ${numEmbeddings} embeddings`);
      this.paddingIdx = index;
      this.weight.assign(arange(numEmbeddings).ne(index).unsqueeze(1).where(this.weight, 0));
    }
  }

  forward(index: Tensor): Tensor {
    return F.embedding(index, this.weight, { paddingIdx: this.paddingIdx });
  }
}
