/**
 * What special functions are written with: float operands, Chebyshev series, and values that say their own derivatives.
 * Functions of this room are computed in f32 or f64; halves are widened and rounded back.
 */
import * as build from '../../graph/build.ts';
import type { CustomRule, Node } from '../../graph/node.ts';
import { describe, floatDType, promoted, resultDType, type TensorLike } from '../operands.ts';
import { Tensor } from '../tensor.ts';

const wide = (dtype: Tensor['dtype']): Tensor['dtype'] => (dtype === 'f64' ? 'f64' : 'f32');

/** A function of one argument, element by element: floats keep their dtype, integers become f32. */
export type Unary = (x: TensorLike) => Tensor;

/** The partial derivative by one argument, from all arguments and the value. */
export type PartialDerivative = (xs: readonly Tensor[], value: Tensor) => Tensor;

/**
 * `fn` of operands in f32 or f64, broadcast to one shape; the result has the operands' float dtype. With `partials` the
 * function's derivatives by its arguments are those (null where there is none) instead of what comes from how it is
 * computed.
 */
export function elementwise(
  op: string,
  values: readonly TensorLike[],
  fn: (...xs: Tensor[]) => Tensor,
  partials?: readonly (PartialDerivative | null)[],
): Tensor {
  values.forEach((value, i) => {
    if (!(value instanceof Tensor) && typeof value !== 'number')
      throw new TypeError(`${op}: argument ${i}: expected a tensor or a number, got ${describe(value)}`);
  });
  const dtype = floatDType(resultDType(op, values));
  const xs = promoted(op, values, wide(dtype)).map(node => new Tensor(node));
  return (partials ? withPartials(fn, xs, partials) : fn(...xs)).to(dtype);
}

/** fn(...xs), a function element by element, with the given partial derivatives. */
export function withPartials(
  fn: (...xs: Tensor[]) => Tensor,
  xs: readonly Tensor[],
  partials: readonly (PartialDerivative | null)[],
): Tensor {
  const value = fn(...xs);
  if (!xs.some(x => x.requiresGrad)) return value;
  const wrap = (nodes: readonly Node[]): Tensor[] => nodes.map(node => new Tensor(node));
  /** Each direction times its partial derivative. The Jacobian is diagonal, so both modes multiply by the same. */
  const scaled = (
    args: readonly Node[],
    [result]: readonly Node[],
    directions: readonly (Node | null | undefined)[],
  ): (Tensor | null)[] =>
    partials.map((partial, i) => {
      const direction = directions[i];
      return partial && direction ? partial(wrap(args), new Tensor(result!)).mul(new Tensor(direction)) : null;
    });
  const rule: CustomRule = {
    count: 1,
    results: args => [fn(...wrap(args)).node],
    vjp: (args, results, [ct]) => {
      const directions = xs.map(() => ct);
      return scaled(args, results, directions).map(part => (part ? part.node : null));
    },
    jvp: (args, results, tangents) => {
      const parts = scaled(args, results, tangents).filter(part => part !== null);
      return [parts.length > 0 ? parts.reduce((a, b) => a.add(b)).node : null];
    },
  };
  return new Tensor(
    build.custom(
      value.node,
      xs.map(x => x.node),
      rule,
      0,
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
