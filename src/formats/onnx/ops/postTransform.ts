/** What classifiers of ai.onnx.ml do with their scores, and the labels they give. */
import type { Tensor } from '../../../tensor/index.ts';
import type { Call } from '../call.ts';
import { int64s, strings, typed, type Value } from '../values.ts';

const KINDS = ['NONE', 'SOFTMAX', 'LOGISTIC', 'SOFTMAX_ZERO', 'PROBIT'] as const;
export type PostTransform = (typeof KINDS)[number];

/** Nothing, a sigmoid, a softmax (of which zeros may stay out), a probit. */
export function transformed(scores: Tensor, kind: PostTransform): Tensor {
  switch (kind) {
    case 'LOGISTIC':
      return scores.sigmoid();
    case 'SOFTMAX':
      return scores.softmax(-1);
    case 'SOFTMAX_ZERO': {
      const zero = scores.abs().lt(1e-7);
      const exp = scores.sub(scores.amax(-1, { keepdim: true })).exp();
      const kept = zero.where(0, exp);
      const total = kept.sum(-1, { keepdim: true });
      return kept.div(total.eq(0).where(1, total));
    }
    case 'PROBIT':
      return scores.mul(2).sub(1).erfinv().mul(Math.SQRT2);
    case 'NONE':
      return scores;
  }
}

export const postTransform = (call: Call, scores: Tensor): Tensor =>
  transformed(scores, call.choice('post_transform', KINDS, 'NONE'));

/** Class labels at positions, strings or numbers. */
export function labelsAt(call: Call, positions: Tensor): Value {
  const texts = call.texts('classlabels_strings');
  if (texts && texts.length > 0) {
    const at = call.data(positions, 0);
    return strings(
      Array.from(at as ArrayLike<number | bigint>, i => texts[Number(i)] ?? ''),
      positions.shape,
    );
  }
  const numbers = call.ints('classlabels_int64s') ?? call.ints('classlabels_ints');
  if (!numbers || numbers.length === 0) return typed(positions.to('i64'), 'int64');
  return typed(int64s(numbers).indexSelect(0, positions.to('i64')), 'int64');
}
