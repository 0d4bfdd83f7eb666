/**
 * What special functions are written with: float operands, Chebyshev series, and values that say their own derivatives. Functions of this room are
 * computed in f32 or f64; halves are widened and rounded back.
 */
import * as build from '../../graph/build.ts';
import type { Node } from '../../graph/node.ts';
import { describe, floatDType, promoted, resultDType, type TensorLike } from '../operands.ts';
import { Tensor } from '../tensor.ts';

const wide = (dtype: Tensor['dtype']): Tensor['dtype'] => (dtype === 'f64' ? 'f64' : 'f32');

/** `fn` of operands in f32 or f64, broadcast to one shape; the result has the operands' float dtype. */
export function elementwise(op: string, values: readonly TensorLike[], fn: (...xs: Tensor[]) => Tensor): Tensor {
  values.forEach((value, i) => {
    if (!(value instanceof Tensor) && typeof value !== 'number')
      throw new TypeError(`${op}: argument ${i}: expected a tensor or a number, got ${describe(value)}`);
  });
  const dtype = floatDType(resultDType(op, values));
  const nodes = promoted(op, values, wide(dtype));
  return fn(...nodes.map(node => new Tensor(node))).to(dtype);
}

/**
 * `value`, an elementwise function of `xs`, with the given partial derivatives by each of them (null where there is none), of which each is a
 * function of xs and of the value.
 */
export function withPartials(
  value: Tensor,
  xs: readonly Tensor[],
  partials: readonly (((xs: readonly Tensor[], value: Tensor) => Tensor) | null)[],
): Tensor {
  const wrap = (nodes: readonly Node[]): Tensor[] => nodes.map(node => new Tensor(node));
  const rules = partials.map(
    partial => (nodes: readonly Node[], of: Node) => (partial ? partial(wrap(nodes), new Tensor(of)).node : null),
  );
  return new Tensor(
    build.partials(
      value.node,
      xs.map(x => x.node),
      rules,
    ),
  );
}

/** Sum of c[k] T_k(t) by Clenshaw's recurrence, with as many terms as the dtype can show. */
export function chebyshev(t: Tensor, c: readonly number[]): Tensor {
  const largest = Math.max(...c.map(Math.abs));
  const least = (t.dtype === 'f64' ? 1e-17 : 1e-9) * largest;
  let n = c.length;
  while (n > 2 && Math.abs(c[n - 1]!) < least) n--;
  const twice = t.mul(2);
  let after: Tensor | number = 0;
  let sum: Tensor | number = c[n - 1]!;
  for (let k = n - 2; k >= 1; k--) {
    const next: Tensor = twice.mul(sum).sub(after).add(c[k]!);
    after = sum;
    sum = next;
  }
  return t.mul(sum).sub(after).add(c[0]!);
}
