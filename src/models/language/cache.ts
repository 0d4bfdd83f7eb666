/**
 * Attention over a cache of keys and values of fixed size, so that one compiled program serves every step of a
 * generation.
 */
import { arange, Parameter, type Tensor, zeros } from '../../tensor/index.ts';

/** Keys and values of one layer for all positions, [batch, key-value heads, capacity, head size] each. */
export interface LayerCache {
  readonly keys: Parameter;
  readonly values: Parameter;
}

/** One layer's cache after another. */
export type KeyValueCache = readonly LayerCache[];

export interface CacheShape {
  readonly layers: number;
  readonly batch: number;
  /** Heads of keys and values. */
  readonly heads: number;
  /** Positions. */
  readonly capacity: number;
  readonly headSize: number;
  readonly dtype: Tensor['dtype'];
}

/** An empty cache. */
export function newCache({ layers, batch, heads, capacity, headSize, dtype }: CacheShape): KeyValueCache {
  const empty = (): Parameter =>
    new Parameter(zeros([batch, heads, capacity, headSize], { dtype }), { requiresGrad: false });
  return Array.from({ length: layers }, () => ({ keys: empty(), values: empty() }));
}

/** The cache's rows from `position` on replaced by `fresh` [batch, heads, length, head size]. */
function place(cached: Parameter, fresh: Tensor, at: Tensor, position: Tensor): void {
  const length = fresh.shape[2]!;
  const offset = at.sub(position);
  if (length === 1) {
    cached.assign(offset.eq(0).unsqueeze(1).where(fresh, cached));
    return;
  }
  const inside = offset.ge(0).logicalAnd(offset.lt(length)).unsqueeze(1);
  const rows = fresh.indexSelect(2, offset.clamp(0, length - 1).long());
  cached.assign(inside.where(rows, cached));
}

export interface AttentionShape {
  /** Factor of the scores; 1 / sqrt(head size) by default. */
  readonly scale?: number;
  /** How many positions back a token sees; all by default. */
  readonly window?: number;
  /** Applied to the weights, for dropout. */
  readonly drop?: (weights: Tensor) => Tensor;
}

/**
 * softmax(q kᵀ) v where a token sees itself and those before it: q [B, heads, T, D], k and v [B, key-value heads, S,
 * D], of which each serves heads / key-value heads of q (Ainslie et al. 2023) -> [B, T, heads * D]. The first of the T
 * tokens is at `position`.
 */
export function causalAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  position: Tensor | number,
  { scale, window, drop = weights => weights }: AttentionShape = {},
): Tensor {
  const [batch, heads, length, size] = q.shape as [number, number, number, number];
  const [, shared, keys] = k.shape as [number, number, number];
  const group = heads / shared;
  // The heads that share keys are rows of one matrix.
  const rows = q.mul(scale ?? 1 / Math.sqrt(size)).reshape([batch, shared, group * length, size]);
  const scores = rows.matmul(k.transpose(-2, -1)).reshape([batch, shared, group, length, keys]);
  const here = arange(length, { dtype: 'i32' }).add(position).unsqueeze(1);
  const there = arange(keys, { dtype: 'i32' });
  let hidden = there.gt(here);
  if (window !== undefined) hidden = hidden.logicalOr(there.le(here.sub(window)));
  const weights = drop(scores.maskedFill(hidden, Number.NEGATIVE_INFINITY).softmax(-1));
  return weights
    .reshape([batch, shared, group * length, keys])
    .matmul(v)
    .reshape([batch, heads, length, size])
    .transpose(1, 2)
    .reshape([batch, length, heads * size]);
}

/**
 * causalAttention over the cache, into which `k` and `v` [B, key-value heads, T, D] are put first, from `position` (an
 * integer scalar) on.
 */
export function cachedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  cache: LayerCache,
  position: Tensor,
  shape: AttentionShape = {},
): Tensor {
  const start = position.to('i32');
  const at = arange(cache.keys.shape[2]!, { dtype: 'i32' });
  place(cache.keys, k, at, start);
  place(cache.values, v, at, start);
  return causalAttention(q, cache.keys, cache.values, start, shape);
}
