/**
 * Inverse functions with a branch point at 1, where they go as a square root: a series beside it, and the root added to
 * what is small last.
 */
import type { Tensor } from '../tensor.ts';
import { chebyshev, elementwise, type Unary } from './elementary.ts';
import { ACOSH, ASIN } from './tables.ts';

/** asin(root) as root and a small rest, for root^2 = square up to 1/4. */
const rest = (root: Tensor, square: Tensor): Tensor => chebyshev(square.mul(8).sub(1), ASIN).mul(square).mul(root);

/** pi / 2 as a float of the type and what it lacks. */
const quarter = (x: Tensor): readonly [high: number, low: number] =>
  x.dtype === 'f64'
    ? [Math.PI / 2, 6.123233995736766e-17]
    : [Math.fround(Math.PI / 2), Math.PI / 2 - Math.fround(Math.PI / 2)];

/** sqrt((1 - |x|) / 2), whose arc sine is half of acos |x|, and its square. */
function halfAngle(size: Tensor): { readonly root: Tensor; readonly square: Tensor } {
  const square = size.neg().add(1).mul(0.5);
  return { root: square.sqrt(), square };
}

/** sqrt(1 - x^2), its factors apart: the difference is exact where it matters. */
const slope = (x: Tensor): Tensor => x.neg().add(1).mul(x.add(1)).sqrt();

/** Arc sine, in radians; NaN beyond [-1, 1]. */
export const asin: Unary = x =>
  elementwise(
    'asin',
    [x],
    y => {
      const near = y.add(rest(y, y.mul(y)));
      const { root, square } = halfAngle(y.abs());
      const [high, low] = quarter(y);
      // pi / 2 - 2 asin(root), with what the first difference loses.
      const twice = root.mul(2);
      const most = twice.neg().add(high);
      const lost = most.neg().add(high).sub(twice);
      const size = most.add(lost.sub(rest(root, square).mul(2).sub(low)));
      return y.abs().le(0.5).where(near, y.lt(0).where(size.neg(), size));
    },
    [([z]) => slope(z!).reciprocal()],
  );

/** Arc cosine, in radians; NaN beyond [-1, 1]. */
export const acos: Unary = x =>
  elementwise(
    'acos',
    [x],
    y => {
      const [high, low] = quarter(y);
      const near = y
        .neg()
        .add(high)
        .sub(rest(y, y.mul(y)).sub(low));
      const { root, square } = halfAngle(y.abs());
      const small = rest(root, square);
      const right = root.add(small).mul(2);
      const left = root
        .mul(-2)
        .add(2 * high)
        .sub(small.sub(low).mul(2));
      return y.abs().le(0.5).where(near, y.lt(0).where(left, right));
    },
    [([z]) => slope(z!).reciprocal().neg()],
  );

/** From here on the square of a number swallows 1. */
const HUGE = 2 ** 28;

/** Inverse of cosh; NaN below 1. */
export const acosh: Unary = x =>
  elementwise(
    'acosh',
    [x],
    y => {
      const above = y.sub(1);
      const root = above.mul(2).sqrt();
      const near = root.add(chebyshev(above.mul(2).sub(1), ACOSH).mul(above).mul(root));
      const far = above.add(above.mul(above.add(2)).sqrt()).log1p();
      return y.lt(2).where(near, y.gt(HUGE).where(y.log().add(Math.LN2), far));
    },
    // Roots apart, as the product of large arguments overflows.
    [([z]) => z!.sub(1).sqrt().mul(z!.add(1).sqrt()).reciprocal()],
  );
