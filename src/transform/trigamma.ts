/**
 * The derivative of digamma, composed from primitives, so that it has derivatives itself. f64 accuracy to about 1e-12.
 */
import * as g from '../graph/build.ts';
import type { Node } from '../graph/node.ts';
import { add, div, less, like, mul, one, square, sub } from './arithmetic.ts';

/** Asymptotic series: 1/x + 1/(2 x^2) + sum of B(2k) / x^(2k + 1) (DLMF 5.15.8). */
const BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6];

/**
 * psi'(x), by reflection below 1/2 (DLMF 5.15.6), recurrence up to 8 (DLMF 5.15.5), and the asymptotic series from
 * there.
 */
export function trigamma(x: Node): Node {
  const left = less(x, like(x, 0.5));
  let shifted = g.where(left, sub(one(x), x), x);
  let sum = like(x, 0);
  for (let k = 0; k < 8; k++) {
    sum = add(sum, div(one(x), square(shifted)));
    shifted = add(shifted, one(x));
  }
  const inverse = div(one(x), shifted);
  const inverseSquare = square(inverse);
  let series = like(x, 0);
  for (const b of [...BERNOULLI].reverse()) series = mul(add(series, like(x, b)), inverseSquare);
  const right = add(sum, mul(inverse, add(one(x), add(mul(inverse, like(x, 0.5)), series))));
  // psi'(x) + psi'(1 - x) = (pi / sin(pi x))^2; sin is only taken where it is needed, so no pole leaks into the other
  // branch.
  const sine = g.unary('sin', mul(like(x, Math.PI), g.where(left, x, like(x, 0.5))));
  const reflected = sub(square(div(like(x, Math.PI), sine)), right);
  return g.where(left, reflected, right);
}
