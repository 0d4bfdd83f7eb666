/** Products of matrices and tensors, determinants. */
import { einsum, F, full, type Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { int64s } from '../values.ts';
import { multipliedQuantised } from './integers.ts';

const matMul: Rule = call => {
  const [a, b] = [call.x(0), call.x(1)];
  if (a.dtype !== 'u8' && a.dtype !== 'i8') return call.like(0, multipliedQuantised(call, a, b, false) ?? a.matmul(b));
  return call.like(0, a.to('i32').matmul(b.to('i32')));
};

function quantisedLinear(call: Call, weight: Tensor, bias: Tensor | null): Tensor | null {
  const product = multipliedQuantised(call, call.x(0), weight, true);
  return product && bias ? product.add(bias) : product;
}

const gemm: Rule = call => {
  const [weight, bias] = [call.x(1), call.optional(2)];
  const plain =
    !call.flag('transA') && call.flag('transB') && call.float('alpha', 1) === 1 && call.float('beta', 1) === 1;
  if (
    plain &&
    weight.ndim === 2 &&
    call.x(0).ndim === 2 &&
    call.isFloat() &&
    (bias === null || bias.shape.join() === String(weight.shape[0]))
  )
    return call.like(0, quantisedLinear(call, weight, bias) ?? F.linear(call.x(0), weight, bias));
  const a = call.flag('transA') ? call.x(0).transpose(0, 1) : call.x(0);
  const b = call.flag('transB') ? call.x(1).transpose(0, 1) : call.x(1);
  const [alpha, beta] = [call.float('alpha', 1), call.float('beta', 1)];
  const scaled = (x: Tensor, by: number): Tensor =>
    by === 1 ? x : Number.isInteger(by) ? x.mul(by) : x.mul(by).to(x.dtype);
  const product = scaled(a.matmul(b), alpha);
  const c = call.optional(2);
  return call.like(0, c && beta !== 0 ? product.add(scaled(c, beta)) : product);
};

/** The equation without spaces; capital letters are labels of their own. */
const einsumRule: Rule = call => {
  const equation = call.text('equation').replaceAll(' ', '');
  return call.like(0, einsum(equation, ...call.tensors()));
};

/**
 * The determinant of [..., n, n] by elimination with the largest pivot of each column on top; differentiable where it
 * is not 0.
 */
const det: Rule = call => {
  const x = call.x(0);
  const n = x.shape[x.ndim - 1]!;
  const lead = x.shape.slice(0, -2);
  const batch = lead.reduce((a, b) => a * b, 1);
  let matrix = x.reshape([batch, n, n]);
  let result: Tensor = full([batch], 1, { dtype: x.dtype });
  for (let size = n; size > 0; size--) {
    const column = matrix.select(2, 0).detach().abs();
    const pivot = column.argmax(1).reshape([batch, 1, 1]);
    const row = matrix.gather(1, pivot.expand([batch, 1, size]));
    const value = row.select(2, 0).reshape([batch]);
    const moved = pivot.reshape([batch]).remainder(2).eq(0);
    result = result.mul(moved.where(value, value.neg()));
    if (size === 1) break;
    // The rows that stay, in order: those before the pivot, then those after it.
    const at = arangeLike(size - 1).reshape([1, size - 1]);
    const rest = at
      .ge(pivot.reshape([batch, 1]))
      .where(at.add(1), at)
      .reshape([batch, size - 1, 1]);
    const others = matrix.gather(1, rest.expand([batch, size - 1, size]));
    const safe = value.eq(0).where(1, value).reshape([batch, 1, 1]);
    const factor = others.narrow(2, 0, 1).div(safe);
    matrix = others.narrow(2, 1, size - 1).sub(factor.mul(row.narrow(2, 1, size - 1)));
  }
  return call.like(0, result.reshape(lead));
};

const arangeLike = (n: number): Tensor => int64s(Array.from({ length: n }, (_, i) => i));

export const linear: OperatorTable = { Det: det, Einsum: einsumRule, Gemm: gemm, MatMul: matMul };
