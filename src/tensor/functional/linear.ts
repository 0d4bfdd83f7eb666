/**
 * Linear layers and embeddings as functions. Imports the Tensor API only.
 */

import * as build from '../../graph/build.ts';
import { isInt } from '../../graph/dtype.ts';
import { lowered } from '../autocast.ts';
import { composite } from '../composite.ts';
import { shapeText } from '../convert.ts';
import { checkInt, checkTensor, checkWhole } from '../operands.ts';
import { coordinate, strictIndex } from '../ops/along.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

/** input @ matrix^T + bias: input [..., in], matrix [out, in] (or [in]), bias [out]; result [..., out]. */
export function linear(input: Tensor, matrix: Tensor, bias?: Tensor | null): Tensor {
  checkTensor('linear', 'input', input);
  checkTensor('linear', 'weight', matrix);
  const [x, weight] = [lowered(input), lowered(matrix)];
  if (weight.ndim !== 1 && weight.ndim !== 2)
    throw new RangeError(`linear: weight: expected 1 or 2 dims, got ${shapeText(weight.shape)}`);
  if (x.ndim === 0 || x.shape[x.ndim - 1] !== weight.shape[weight.ndim - 1])
    throw new RangeError(`linear: inner sizes differ: ${shapeText(x.shape)} x weight ${shapeText(weight.shape)}`);
  if (x.dtype !== weight.dtype) throw new TypeError(`linear: dtypes differ: input ${x.dtype}, weight ${weight.dtype}`);
  // Labels: the dims of x (the last one contracted), then the output's.
  const rows = x.shape.map((_, d) => d);
  const inner = x.ndim - 1;
  const out = weight.ndim === 2 ? [x.ndim] : [];
  const y = new Tensor(build.contract(x.node, weight.node, rows, [...out, inner], [...rows.slice(0, -1), ...out]));
  return composite('linear', [x, weight, bias], {}, bias ? y.add(lowered(bias)) : y);
}

/** x1^T W x2 + bias for each output: x1 [..., n], x2 [..., m], weight [out, n, m]; result [..., out]. */
export function bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  checkTensor('bilinear', 'input1', x1);
  checkTensor('bilinear', 'input2', x2);
  checkTensor('bilinear', 'weight', weight);
  const [out, n, m] = weight.shape;
  const sizes = `${shapeText(x1.shape)} x ${shapeText(x2.shape)} x weight ${shapeText(weight.shape)}`;
  if (weight.ndim !== 3 || x1.shape[x1.ndim - 1] !== n || x2.shape[x2.ndim - 1] !== m || x1.ndim !== x2.ndim)
    throw new RangeError(`bilinear: sizes do not match: ${sizes}`);
  const rows = x1.shape.slice(0, -1);
  const half = x1.reshape([-1, n!]).tensordot(weight, [[1], [1]]);
  const product = half
    .mul(x2.reshape([-1, 1, m!]))
    .sum(-1, { dtype: half.dtype })
    .reshape([...rows, out!]);
  return bias ? product.add(bias) : product;
}

export interface EmbeddingOptions {
  /** Row that gets no gradient; negative counts from the end. */
  readonly paddingIdx?: number | null;
}

/**
 * Rows of `weight` [n, dim] at `index` (integers of any shape): [...index, dim].
 *
 * @throws when the program runs and an index is outside [0, n).
 */
export function embedding(index: Tensor, weight: Tensor, options: EmbeddingOptions = {}): Tensor {
  checkOptions('embedding', options, ['paddingIdx']);
  checkInt('embedding', 'input', index);
  checkTensor('embedding', 'weight', weight);
  if (weight.ndim !== 2) throw new RangeError(`embedding: weight: expected 2 dims, got ${shapeText(weight.shape)}`);
  const { paddingIdx = null } = options;
  const rows = new Tensor(build.gather(weight.node, index.node, 0, 'embedding'));
  if (paddingIdx === null) return rows;
  const n = weight.shape[0]!;
  if (!Number.isInteger(paddingIdx) || paddingIdx < -n || paddingIdx >= n)
    throw new RangeError(`embedding: paddingIdx ${paddingIdx} is out of range for ${n} rows`);
  if (!weight.requiresGrad) return rows;
  const padding = index.eq(paddingIdx < 0 ? paddingIdx + n : paddingIdx).unsqueeze(-1);
  return padding.where(rows.detach(), rows);
}

/**
 * i64 [..., numClasses]: 1 at the class, 0 elsewhere. Without `numClasses` it is the largest class plus 1, read now.
 */
export function oneHot(x: Tensor, numClasses = -1): Tensor {
  checkTensor('oneHot', 'input', x);
  if (!isInt(x.dtype)) throw new TypeError(`oneHot: input: expected an integer tensor, got ${x.dtype}`);
  let classes = numClasses;
  if (classes === -1) {
    if (x.numel() === 0) throw new RangeError('oneHot: numClasses must be given for an empty tensor');
    classes = Number(x.amax().item()) + 1;
  }
  checkWhole('oneHot', 'numClasses', classes, 1);
  const shape = [...x.shape, classes];
  const index = build.cast(strictIndex(x.node, classes, 'oneHot'), 'i32');
  const spread = build.broadcastTo(build.reshape(index, [...x.shape, 1]), shape);
  const hot = build.compare('eq', spread, coordinate(shape, x.ndim, 1, 'i32'));
  return new Tensor(build.cast(hot, 'i64'));
}
