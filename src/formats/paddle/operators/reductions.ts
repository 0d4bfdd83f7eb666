/**
 * Reductions, positions of extremes, running sums.
 */
import type { Tensor } from '../../../tensor/index.ts';
import { knownNumbers as numbersOf } from '../../controlFlow.ts';
import { type Call, normal, type Outputs, type Rule, unary } from './rule.ts';

const reduction =
  (reduce: (x: Tensor, dims: number[], keepdim: boolean) => Tensor): Rule =>
  call => {
    const x = call.input('X');
    const listed = call.numbers('dim', [0]).map(d => normal(d, x.ndim));
    const dims = call.flag('reduce_all', false) || listed.length === 0 ? x.shape.map((_, d) => d) : listed;
    const y = dims.length === 0 ? x : reduce(x, dims, call.flag('keep_dim', false));
    const type = call.has('out_dtype') ? call.number('out_dtype') : -1;
    return { Out: type >= 0 ? y.to(call.dtype('out_dtype')) : y };
  };

function argument(x: Tensor, call: Call, pick: (x: Tensor, dim: number) => Tensor): Tensor {
  const flat = call.flag('flatten', false) ? x.reshape([-1]) : x;
  const dim = normal(call.number('axis', -1), flat.ndim);
  const y = pick(flat, dim);
  const kept = call.flag('keepdims', false) ? y.unsqueeze(dim) : y;
  return call.has('dtype') && call.number('dtype') >= 0 ? kept.to(call.dtype('dtype')) : kept;
}

function topk(call: Call, dim: number): Outputs {
  const k = call.optional('K') ? numbersOf(call.input('K'))[0]! : call.number('k', 1);
  const { values, indices } = call.input('X').topk(k, dim, { largest: call.flag('largest', true) });
  return { Out: values, Indices: indices };
}

export const REDUCTIONS: Readonly<Record<string, Rule>> = {
  reduce_sum: reduction((x, dims, keepdim) => x.sum(dims, { keepdim })),
  reduce_mean: reduction((x, dims, keepdim) => x.mean(dims, { keepdim })),
  reduce_max: reduction((x, dims, keepdim) => x.amax(dims, { keepdim })),
  reduce_min: reduction((x, dims, keepdim) => x.amin(dims, { keepdim })),
  reduce_all: reduction((x, dims, keepdim) => x.all(dims, { keepdim })),
  reduce_any: reduction((x, dims, keepdim) => x.any(dims, { keepdim })),
  reduce_prod: reduction((x, dims, keepdim) => {
    const kept = dims.reduce((y, d) => y.prod(d, { keepdim: true }), x);
    return keepdim ? kept : kept.squeeze(dims);
  }),
  mean: unary(x => x.mean()),
  arg_max: unary((x, call) => argument(x, call, (y, dim) => y.argmax(dim))),
  arg_min: unary((x, call) => argument(x, call, (y, dim) => y.argmin(dim))),
  top_k: call => topk(call, -1),
  top_k_v2: call => topk(call, call.number('axis', -1)),
  p_norm: unary((x, call) =>
    x.norm(call.number('porder', 2), call.number('axis', -1), { keepdim: call.flag('keepdim', false) }),
  ),
  cumsum: unary((x, call) => {
    const dim = call.number('axis', -1);
    const turned = call.flag('reverse', false) ? x.flip(dim) : x;
    const sums = turned.cumsum(dim);
    const y = call.flag('exclusive', false) ? sums.sub(turned) : sums;
    return call.flag('reverse', false) ? y.flip(dim) : y;
  }),
};
