/**
 * Reading batches: loops over any loader, and the usual reading of a batch as [input, target].
 */
import type { AnyModule } from '../nn/index.ts';
import { Tensor } from '../tensor/index.ts';
import type { Loader } from './run.ts';

/** How a batch is put through a model; the defaults take batches [input, target]. */
export interface BatchReading<B> {
  /** The model's output; `model.call(batch[0])` by default. */
  readonly forward?: (batch: B) => Tensor;
  /** What the output is compared with; `batch[1]` by default. */
  readonly target?: (batch: B) => Tensor;
}

function element(batch: unknown, index: number, option: string): Tensor {
  const found: unknown = Array.isArray(batch) ? batch[index] : undefined;
  if (!(found instanceof Tensor))
    throw new Error(
      `fit: batches are not arrays [input, target] of tensors; say with the option \`${option}\` how to read them`,
    );
  return found;
}

/** The two functions, defaults filled in. */
export function readingOf<B>(model: AnyModule, { forward, target }: BatchReading<B>): Required<BatchReading<B>> {
  const call = (x: Tensor): Tensor => (model.call as (x: Tensor) => Tensor).call(model, x);
  return {
    forward: forward ?? (batch => call(element(batch, 0, 'forward'))),
    target: target ?? (batch => element(batch, 1, 'target')),
  };
}

/** The batches of one epoch, asynchronously where the loader can. */
export function batchesOf<B>(loader: Loader<B>): AsyncIterable<B> | Iterable<B> {
  if (loader[Symbol.asyncIterator]) return loader as AsyncIterable<B>;
  if (loader[Symbol.iterator]) return loader as Iterable<B>;
  throw new Error('fit: the loader is not iterable');
}

/** Samples in a batch: the first size of its first tensor. */
export function sampleCount(batch: unknown): number {
  const first = firstTensor(batch);
  if (!first || first.ndim === 0) throw new Error('fit: a batch holds no tensor with a batch dimension');
  return first.shape[0]!;
}

function firstTensor(tree: unknown): Tensor | null {
  if (tree instanceof Tensor) return tree;
  if (tree === null || typeof tree !== 'object') return null;
  for (const part of Object.values(tree)) {
    const found = firstTensor(part);
    if (found) return found;
  }
  return null;
}
