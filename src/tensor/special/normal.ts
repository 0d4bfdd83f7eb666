/**
 * The normal distribution and the error function's relatives.
 */
import type { TensorLike } from '../operands.ts';
import type { Tensor } from '../tensor.ts';
import { chebyshev, elementwise } from './elementary.ts';
import { ERFCX, NDTRI_FAR, NDTRI_MIDDLE, NDTRI_TAIL } from './tables.ts';

type Unary = (x: TensorLike) => Tensor;

const TWO_OVER_ROOT_PI = 2 / Math.sqrt(Math.PI);

/**
 * scale * exp(-x^2), with the rounding of the square made good: x in two parts of which the first has an exact square. Its exponential is taken in two equal
 * factors, the smaller one last, so that only the result can underflow.
 */
function bell(x: Tensor, scale: Tensor | number = 1, sign: 1 | -1 = -1): Tensor {
  const size = x.abs().clamp(null, 30);
  const head = size.mul(16).round().div(16);
  const rest = size.sub(head).mul(size.add(head));
  const half = head
    .mul(head)
    .mul(sign * 0.5)
    .exp();
  return half.mul(rest.mul(sign).exp()).mul(scale).mul(half);
}

/** erfcx for x >= 0. */
const scaled = (x: Tensor): Tensor => {
  const far = x.clamp(null, 1e30);
  return chebyshev(far.sub(3.75).div(far.add(3.75)), ERFCX).div(far.mul(2).add(1));
};

/** exp(x^2) erfc(x), which does not underflow. */
export const erfcx: Unary = x =>
  elementwise(
    'special.erfcx',
    [x],
    y => {
      const size = y.abs();
      const right = scaled(size);
      const left = bell(size, 2, 1).sub(right);
      const value = y.lt(0).where(size.gt(27).where(Number.POSITIVE_INFINITY, left), right);
      // 2 x erfcx(x) - 2 / sqrt(pi)
      return y.isnan().where(y, value);
    },
    [([z], v) => z!.mul(v).mul(2).sub(TWO_OVER_ROOT_PI)],
  );

/** 1 - erf(x), with its small values' digits. */
export const erfc: Unary = x =>
  elementwise(
    'special.erfc',
    [x],
    y => {
      const tail = bell(y, scaled(y.clamp(0.5, null)));
      const value = y.gt(0.5).where(y.gt(27.5).where(0, tail), y.erf().neg().add(1));
      return y.isnan().where(y, value);
    },
    [([z]) => bell(z!, -TWO_OVER_ROOT_PI)],
  );

/** The area under the normal density up to x. */
export const ndtr: Unary = x =>
  elementwise('special.ndtr', [x], y => erfc(y.mul(-Math.SQRT1_2)).mul(0.5), [
    ([z]) =>
      z!
        .mul(z!)
        .mul(-0.5)
        .exp()
        .mul(1 / Math.sqrt(2 * Math.PI)),
  ]);

/** log(ndtr(x)), also where ndtr underflows. */
export const logNdtr: Unary = x =>
  elementwise(
    'special.logNdtr',
    [x],
    y => {
      const t = y.mul(Math.SQRT1_2);
      const low = t.clamp(null, -Math.SQRT1_2);
      const left = scaled(low.neg()).mul(0.5).log().sub(low.mul(low));
      const right = erfc(t.clamp(-1, null)).mul(-0.5).log1p();
      const value = y.lt(-1).where(left, right);
      // The density over ndtr: sqrt(2 / pi) / erfcx(-x / sqrt(2)).
      return y.isnan().where(y, value);
    },
    [
      ([z]) =>
        erfcx(z!.mul(-Math.SQRT1_2))
          .reciprocal()
          .mul(Math.sqrt(2 / Math.PI)),
    ],
  );

/** Where the middle series of ndtri ends: exp(-2) from either end. */
const EDGE = Math.exp(-2);

/** ndtri for 0 < p <= exp(-2), from z = sqrt(-2 log p): ndtri = (log z + series(1 / z)) / z - z. */
function quantileTail(z: Tensor): Tensor {
  const inverse = z.reciprocal();
  const part = (low: number, high: number, table: readonly number[]): Tensor =>
    chebyshev(inverse.sub((low + high) / 2).div((high - low) / 2), table);
  const series = z.lt(6).where(part(1 / 6, 1 / 2, NDTRI_TAIL), part(1 / 40, 1 / 6, NDTRI_FAR));
  return z.log().add(series).div(z).sub(z);
}

/** The inverse of ndtr: -Infinity at 0, Infinity at 1, NaN outside. */
export const ndtri: Unary = x =>
  elementwise(
    'special.ndtri',
    [x],
    p => {
      const upper = p.gt(0.5);
      const small = upper.where(p.neg().add(1), p);
      const y = p.sub(0.5);
      const scaledY = y.clamp(-0.5, 0.5).div(0.5 - EDGE);
      const middle = chebyshev(scaledY.mul(scaledY).mul(2).sub(1), NDTRI_MIDDLE).mul(y);
      const tail = quantileTail(small.clamp(0, EDGE).log().mul(-2).sqrt().clamp(2, 40));
      const value = small.gt(EDGE).where(middle, upper.where(tail.neg(), tail));
      const ends = small.eq(0).where(upper.where(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY), Number.NaN);
      const inside = small.gt(0);
      return inside.where(value, ends.to(p.dtype));
    },
    [
      (_, v) =>
        v
          .mul(v)
          .mul(0.5)
          .exp()
          .mul(Math.sqrt(2 * Math.PI)),
    ],
  );
