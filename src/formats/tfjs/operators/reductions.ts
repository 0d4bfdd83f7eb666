/**
 * Reductions, running sums, and where the largest elements stand.
 */
import type { Tensor } from '../../../tensor/index.ts';
import { knownNumbers as numbers } from '../../controlFlow.ts';
import { number, type Operator, type Operators } from './operator.ts';

const reduction =
  (reduce: (x: Tensor, dims: number[], keepdim: boolean) => Tensor): Operator =>
  ([x, axes], attributes) => {
    const dims = numbers(axes!).map(d => (d < 0 ? d + x!.ndim : d));
    return dims.length === 0 ? x! : reduce(x!, dims, attributes.flag('keep_dims'));
  };

const argument =
  (pick: (x: Tensor, dim: number) => Tensor): Operator =>
  ([x, axis], attributes) =>
    pick(x!, number(axis!)).to(attributes.dtype('output_type', 'i32'));

const reduced = (x: Tensor, dims: readonly number[], keepdim: boolean): number[] =>
  keepdim ? x.shape.map((n, d) => (dims.includes(d) ? 1 : n)) : x.shape.filter((_, d) => !dims.includes(d));

export const REDUCTIONS: Operators = {
  Sum: reduction((x, dims, keepdim) => x.sum(dims, { keepdim, dtype: x.dtype })),
  Mean: reduction((x, dims, keepdim) => x.mean(dims, { keepdim })),
  Max: reduction((x, dims, keepdim) => x.amax(dims, { keepdim })),
  Min: reduction((x, dims, keepdim) => x.amin(dims, { keepdim })),
  Prod: reduction((x, dims, keepdim) =>
    dims.reduce((y, d) => y.prod(d, { keepdim: true }), x).reshape(reduced(x, dims, keepdim)),
  ),
  All: reduction((x, dims, keepdim) => x.all(dims, { keepdim })),
  Any: reduction((x, dims, keepdim) => x.any(dims, { keepdim })),
  ArgMax: argument((x, dim) => x.argmax(dim)),
  ArgMin: argument((x, dim) => x.argmin(dim)),
  TopKV2: ([x, k]) => {
    const { values, indices } = x!.topk(number(k!));
    return [values, indices.to('i32')];
  },
  Cumsum: ([x, axis], attributes) => {
    const dim = number(axis!);
    const turned = attributes.flag('reverse') ? x!.flip(dim) : x!;
    const sums = turned.cumsum(dim, { dtype: x!.dtype });
    const y = attributes.flag('exclusive') ? sums.sub(turned) : sums;
    return attributes.flag('reverse') ? y.flip(dim) : y;
  },
};
