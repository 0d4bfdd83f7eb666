/**
 * Output layers that share their weight with an embedding (Press and Wolf 2017).
 */
import { type Embedding, Linear } from '../../nn/index.ts';

/** A Linear without bias, [..., features] -> [..., tokens], whose weight is the embedding's own parameter. */
export function tiedHead({ weight, embeddingDim, numEmbeddings }: Embedding): Linear {
  const head = new Linear(embeddingDim, numEmbeddings, { bias: false });
  Object.defineProperty(head, 'weight', { value: weight, enumerable: true, configurable: true, writable: true });
  return head;
}
