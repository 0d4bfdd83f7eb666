/**
 * Losses and similarities between vectors and rankings.
 */
import { isFloat } from '../../graph/dtype.ts';
import { raised } from '../autocast.ts';
import { shapeText } from '../convert.ts';
import { arange, triuIndices } from '../creation.ts';
import { broadcastTensors } from '../joins.ts';
import { checkFloat, checkInt, checkTensor } from '../operands.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { checkSameShape, type LossOptions, reduceLoss } from './lossParts.ts';

/** x where target is 1, max(0, margin - x) where it is -1. */
export function hingeEmbeddingLoss(
  x: Tensor,
  target: Tensor,
  options: LossOptions & { readonly margin?: number } = {},
): Tensor {
  checkOptions('hingeEmbeddingLoss', options, ['reduction', 'margin']);
  checkTensor('hingeEmbeddingLoss', 'input', x);
  checkTensor('hingeEmbeddingLoss', 'target', target);
  x = raised(x);
  const { margin = 1, reduction } = options;
  const apart = target.ne(1).where(x.neg().add(margin).clampMin(0), 0);
  const close = target.ne(-1).where(x, 0);
  return reduceLoss('hingeEmbeddingLoss', apart.add(close), reduction);
}

/** max(0, -target * (x1 - x2) + margin): target 1 says that x1 should rank higher. */
export function marginRankingLoss(
  x1: Tensor,
  x2: Tensor,
  target: Tensor,
  options: LossOptions & { readonly margin?: number } = {},
): Tensor {
  checkOptions('marginRankingLoss', options, ['reduction', 'margin']);
  checkTensor('marginRankingLoss', 'input1', x1);
  checkTensor('marginRankingLoss', 'input2', x2);
  checkTensor('marginRankingLoss', 'target', target);
  x1 = raised(x1);
  x2 = raised(x2);
  if (x1.ndim !== x2.ndim || x1.ndim !== target.ndim)
    throw new RangeError(
      `marginRankingLoss: inputs and target must have as many dims: ${shapeText(x1.shape)}, ${shapeText(x2.shape)}, ${shapeText(target.shape)}`,
    );
  const { margin = 0, reduction } = options;
  const order = target.neg().mul(x1.sub(x2));
  const loss = (isFloat(order.dtype) ? order : order.to('f32')).add(margin).clampMin(0);
  return reduceLoss('marginRankingLoss', loss, reduction);
}

/** Cosine of the angle between vectors along `dim` (1); norms below eps count as eps. */
export function cosineSimilarity(
  x1: Tensor,
  x2: Tensor,
  options: { readonly dim?: number; readonly eps?: number } = {},
): Tensor {
  checkOptions('cosineSimilarity', options, ['dim', 'eps']);
  checkTensor('cosineSimilarity', 'x1', x1);
  checkTensor('cosineSimilarity', 'x2', x2);
  x1 = raised(x1);
  x2 = raised(x2);
  const { dim = 1, eps = 1e-8 } = options;
  const [a, b] = broadcastTensors([x1, x2]) as [Tensor, Tensor];
  const length = (x: Tensor): Tensor => x.norm(2, dim).clampMin(eps);
  return a
    .mul(b)
    .sum(dim)
    .div(length(a).mul(length(b)));
}

/** 1 - cos where target is 1, max(0, cos - margin) where it is -1. */
export function cosineEmbeddingLoss(
  x1: Tensor,
  x2: Tensor,
  target: Tensor,
  options: LossOptions & { readonly margin?: number } = {},
): Tensor {
  checkOptions('cosineEmbeddingLoss', options, ['reduction', 'margin']);
  checkTensor('cosineEmbeddingLoss', 'input1', x1);
  checkTensor('cosineEmbeddingLoss', 'input2', x2);
  checkTensor('cosineEmbeddingLoss', 'target', target);
  x1 = raised(x1);
  x2 = raised(x2);
  const { margin = 0, reduction } = options;
  const fits = (target.ndim === 1 && x1.ndim === 2) || (target.ndim === 0 && x1.ndim === 1);
  if (!fits || x2.ndim !== x1.ndim)
    throw new RangeError(
      `cosineEmbeddingLoss: expected rows and one target each, got ${shapeText(x1.shape)}, ${shapeText(x2.shape)}, ${shapeText(target.shape)}`,
    );
  const dim = target.ndim;
  const eps = 1e-12;
  const cosine = x1
    .mul(x2)
    .sum(dim)
    .div(x1.mul(x1).sum(dim).add(eps).mul(x2.mul(x2).sum(dim).add(eps)).sqrt());
  const close = target.eq(1).where(cosine.neg().add(1), 0);
  const apart = target.eq(-1).where(cosine.sub(margin).clampMin(0), 0);
  return reduceLoss('cosineEmbeddingLoss', close.add(apart), reduction);
}

/** p-norm of x1 - x2 + eps along the last dim. */
export function pairwiseDistance(
  x1: Tensor,
  x2: Tensor,
  options: { readonly p?: number; readonly eps?: number; readonly keepdim?: boolean } = {},
): Tensor {
  checkOptions('pairwiseDistance', options, ['p', 'eps', 'keepdim']);
  checkTensor('pairwiseDistance', 'x1', x1);
  checkTensor('pairwiseDistance', 'x2', x2);
  const apart = raised(x1).sub(raised(x2));
  const { p = 2, eps = 1e-6, keepdim = false } = options;
  return (isFloat(apart.dtype) ? apart : apart.to('f32')).add(eps).norm(p, -1, { keepdim });
}

/**
 * max(0, d(anchor, positive) - d(anchor, negative) + margin); with `swap` the negative counts from the positive where
 * that is nearer.
 */
export function tripletMarginLoss(
  anchor: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: LossOptions & {
    readonly margin?: number;
    readonly p?: number;
    readonly eps?: number;
    readonly swap?: boolean;
  } = {},
): Tensor {
  checkOptions('tripletMarginLoss', options, ['reduction', 'margin', 'p', 'eps', 'swap']);
  checkTensor('tripletMarginLoss', 'anchor', anchor);
  checkTensor('tripletMarginLoss', 'positive', positive);
  checkTensor('tripletMarginLoss', 'negative', negative);
  const { margin = 1, p = 2, eps = 1e-6, swap = false, reduction } = options;
  if (anchor.ndim !== positive.ndim || anchor.ndim !== negative.ndim)
    throw new RangeError(
      `tripletMarginLoss: inputs must have as many dims: ${shapeText(anchor.shape)}, ${shapeText(positive.shape)}, ${shapeText(negative.shape)}`,
    );
  const near = pairwiseDistance(anchor, positive, { p, eps });
  let far = pairwiseDistance(anchor, negative, { p, eps });
  if (swap) far = far.minimum(pairwiseDistance(positive, negative, { p, eps }));
  return reduceLoss('tripletMarginLoss', near.sub(far).add(margin).clampMin(0), reduction);
}

/**
 * tripletMarginLoss with a distance of your own, of two batches of vectors to one number each; Euclidean by default.
 */
export function tripletMarginWithDistanceLoss(
  anchor: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: LossOptions & {
    readonly distanceFunction?: (a: Tensor, b: Tensor) => Tensor;
    readonly margin?: number;
    readonly swap?: boolean;
  } = {},
): Tensor {
  checkOptions('tripletMarginWithDistanceLoss', options, ['reduction', 'distanceFunction', 'margin', 'swap']);
  const op = 'tripletMarginWithDistanceLoss';
  for (const [name, x] of Object.entries({ anchor, positive, negative })) checkTensor(op, name, x);
  const { distanceFunction = pairwiseDistance, margin = 1, swap = false, reduction } = options;
  const near = distanceFunction(anchor, positive);
  let far = distanceFunction(anchor, negative);
  if (swap) far = far.minimum(distanceFunction(positive, negative));
  return reduceLoss(op, near.sub(far).add(margin).clampMin(0), reduction);
}

/** p-norm distances of all pairs of rows of [n, d], in the order of the upper triangle: [n (n - 1) / 2]. */
export function pdist(x: Tensor, p = 2): Tensor {
  checkFloat('pdist', 'input', x);
  x = raised(x);
  if (x.ndim !== 2) throw new RangeError(`pdist: input: expected 2 dims, got ${shapeText(x.shape)}`);
  const [rows, cols] = triuIndices(x.shape[0]!, x.shape[0]!, { offset: 1 }).unbind(0);
  return x.indexSelect(0, rows!).sub(x.indexSelect(0, cols!)).norm(p, 1);
}

/** Mean over classes of max(0, margin - x[target] + x[class])^p, the target's own left out; x [N, C] or [C]. */
export function multiMarginLoss(
  x: Tensor,
  target: Tensor,
  options: LossOptions & { readonly p?: 1 | 2; readonly margin?: number; readonly weight?: Tensor | null } = {},
): Tensor {
  checkOptions('multiMarginLoss', options, ['reduction', 'p', 'margin', 'weight']);
  checkFloat('multiMarginLoss', 'input', x);
  checkInt('multiMarginLoss', 'target', target);
  x = raised(x);
  const { p = 1, margin = 1, weight, reduction } = options;
  if (p !== 1 && p !== 2) throw new RangeError(`multiMarginLoss: p: expected 1 or 2, got ${String(p)}`);
  const rows = x.ndim === 2 ? x : x.reshape([1, -1]);
  const classes = rows.shape[1]!;
  if (x.ndim > 2 || target.numel() !== rows.shape[0])
    throw new RangeError(
      `multiMarginLoss: target: expected [${rows.shape[0]}], got ${shapeText(target.shape)} for input ${shapeText(x.shape)}`,
    );
  const place = target.reshape([-1, 1]).long();
  const gap = rows.sub(rows.gather(1, place)).add(margin).clampMin(0);
  const hot = place.eq(arange(classes));
  const terms = hot.where(0, p === 2 ? gap.mul(gap) : gap);
  const weighted = weight ? terms.mul(weight.gather(0, place.reshape([-1])).unsqueeze(1)) : terms;
  const loss = weighted.sum(1).div(classes);
  return reduceLoss('multiMarginLoss', x.ndim === 2 ? loss : loss.reshape([]), reduction);
}

/**
 * For each row of x [N, C] (or [C]) the mean over all classes of the hinge max(0, 1 - (x[y] - x[i])), summed over its
 * labels y and all classes i that are none. target holds the labels in its row, up to the first -1.
 */
export function multilabelMarginLoss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('multilabelMarginLoss', options, ['reduction']);
  const op = 'multilabelMarginLoss';
  checkFloat(op, 'input', x);
  checkInt(op, 'target', target);
  checkSameShape(op, x, target);
  if (x.ndim > 2) throw new RangeError(`${op}: input: expected at most 2 dims, got ${shapeText(x.shape)}`);
  const classes = x.ndim === 0 ? 1 : x.shape.at(-1)!;
  const [rows, labels] = [x.reshape([-1, classes]), target.long().reshape([-1, classes])];
  const valid = labels.ge(0).long().cumprod(1).bool();
  const safe = valid.where(labels, 0);
  const range = arange(classes, { dtype: 'i64' });
  // [N, label, class]
  const isLabel = safe.unsqueeze(2).eq(range).logicalAnd(valid.unsqueeze(2)).any(1);
  const counts = valid.unsqueeze(2).logicalAnd(isLabel.logicalNot().unsqueeze(1));
  const at = rows.gather(1, safe).unsqueeze(2);
  const hinge = rows.unsqueeze(1).sub(at).add(1).relu();
  const loss = counts.where(hinge, 0).sum([1, 2]).div(classes);
  return reduceLoss(op, x.ndim === 2 ? loss : loss.reshape([]), options.reduction);
}
