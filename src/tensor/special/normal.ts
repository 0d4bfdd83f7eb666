/**
 * The normal distribution and the error function's relatives.
 */
import type { Tensor } from '../tensor.ts';
import { chebyshev, elementwise, type Unary } from './elementary.ts';
import { ERFCX, ERFINV, ERFINV_FAR, NDTRI_FAR, NDTRI_MIDDLE, NDTRI_TAIL } from './tables.ts';

const TWO_OVER_ROOT_PI = 2 / Math.sqrt(Math.PI);

/** A value in two parts, main (1 + change): what the change is rounded by hardly counts. */
interface Parts {
  readonly main: Tensor;
  readonly change: Tensor;
}

const product = ({ main, change }: Parts): Tensor => main.add(main.mul(change));

/**
 * exp(sign x^2), with the rounding of the square made good: x in two parts of which the first has an exact square (a
 * multiple of 2^-8 in f32, of 2^-20 in f64), so that the change is below 0.05.
 */
function bell(x: Tensor, sign: 1 | -1 = -1): Parts {
  const size = x.abs().clamp(null, 30);
  const steps = x.dtype === 'f64' ? 2 ** 20 : 2 ** 8;
  const head = size.mul(steps).round().div(steps);
  const rest = size.sub(head).mul(size.add(head));
  return { main: head.mul(head).mul(sign).exp(), change: rest.mul(sign).expm1() };
}

/** From here on erfcx(x) is 1 / (x sqrt(pi)) to the last digit. */
const FAR = 1e30;

const [ERFCX_FIRST, ...ERFCX_REST] = ERFCX;
/** The first coefficient as an f32 and what it lacks. */
const ERFCX_HEAD = Math.fround(ERFCX_FIRST!);
const ERFCX_TAIL = ERFCX_FIRST! - ERFCX_HEAD;

/** x as a sum of two with half of its bits each, so that their products are exact (Veltkamp). */
function halves(x: Tensor): readonly [high: Tensor, low: Tensor] {
  const shifted = x.mul(2 ** (x.dtype === 'f64' ? 27 : 12) + 1);
  const high = shifted.sub(shifted.sub(x));
  return [high, x.sub(high)];
}

/** x y - product, exactly (Dekker). */
function lostBy(x: Tensor, y: Tensor, product: Tensor): Tensor {
  const [[a, b], [c, d]] = [halves(x), halves(y)];
  return a.mul(c).sub(product).add(a.mul(d)).add(b.mul(c)).add(b.mul(d));
}

/** erfcx for x >= 0: a series over x + 1/2, the change being what both sums and the quotient have lost by rounding. */
function scaled(x: Tensor): Parts {
  const far = x.clamp(null, FAR);
  const tail = chebyshev(far.sub(3.75).div(far.add(3.75)), [0, ...ERFCX_REST]).add(ERFCX_TAIL);
  const series = tail.add(ERFCX_HEAD);
  const seriesLost = tail.sub(series.sub(ERFCX_HEAD));
  const [dividend, divisor] = [series.mul(0.5), x.add(0.5)];
  const divisorLost = x.sub(divisor.sub(0.5));
  const main = dividend.div(divisor);
  const whole = main.mul(divisor);
  const rest = dividend.sub(whole).sub(lostBy(main, divisor, whole));
  const change = rest.add(seriesLost.mul(0.5)).div(dividend).sub(divisorLost.div(divisor));
  return { main, change: x.lt(FAR).where(change, 0) };
}

/** exp(x^2) erfc(x), which does not underflow. */
export const erfcx: Unary = x =>
  elementwise(
    'special.erfcx',
    [x],
    y => {
      const size = y.abs();
      const right = product(scaled(size));
      // The large part is added last, so that it is rounded once; doubled after that, or it would be infinite before
      // its change is taken off.
      const { main, change } = bell(size, 1);
      const left = main.add(main.mul(change).sub(right.mul(0.5))).mul(2);
      const near = product({ main: y.erf().neg().add(1), change: y.mul(y).expm1() });
      // From here on 2 exp(x^2) is infinite.
      const steep = size.gt(y.dtype === 'f64' ? 26.63 : 9.4);
      const away = y.lt(0).where(steep.where(Number.POSITIVE_INFINITY, left), right);
      // Below -0.515 the value is above 2, and its last place twice as large: the difference on the left is good enough.
      const value = y.gt(-0.52).logicalAnd(y.lt(0.5)).where(near, away);
      // 2 x erfcx(x) - 2 / sqrt(pi)
      return y.isnan().where(y, value);
    },
    [([z], v) => z!.mul(v).mul(2).sub(TWO_OVER_ROOT_PI)],
  );

/** Keeps what small products lose a normal number. */
const LIFT = 2 ** 64;

/** 1 - erf(x), with its small values' digits. */
export const erfc: Unary = x =>
  elementwise(
    'special.erfc',
    [x],
    y => {
      const density = bell(y);
      const { main, change } = scaled(y.clamp(0.5, null));
      const raised = density.main.mul(LIFT);
      const whole = raised.mul(main);
      const lost = lostBy(raised, main, whole);
      const tail = whole.add(whole.mul(change.add(density.change)).add(lost)).mul(1 / LIFT);
      const value = y.gt(0.5).where(y.gt(27.5).where(0, tail), y.erf().neg().add(1));
      return y.isnan().where(y, value);
    },
    [([z]) => product(bell(z!)).mul(-TWO_OVER_ROOT_PI)],
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
      const left = product(scaled(low.neg())).mul(0.5).log().sub(low.mul(low));
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

/** erfinv's slope at 0, as an f32 and what it lacks. */
const ERFINV_SLOPE = 0.5 * Math.sqrt(Math.PI);
const ERFINV_HEAD = Math.fround(ERFINV_SLOPE);
const ERFINV_TAIL = ERFINV_SLOPE - ERFINV_HEAD;

/** Where erfinv changes from a series over w = -log(1 - x^2) to one over its root, and the root's largest. */
const ERFINV_FROM = 5;
const ERFINV_TO = 6.1;

/** y (main + more), with what the sum has lost and a little beside it. */
function timesSum(y: Tensor, main: Tensor | number, more: Tensor, little = 0): Tensor {
  const sum = more.add(main);
  return y.mul(sum).add(y.mul(more.sub(sum.sub(main)).add(little)));
}

/** The inverse of erf: infinite at -1 and 1, NaN beyond. */
export const erfinv: Unary = x =>
  elementwise(
    'special.erfinv',
    [x],
    y => {
      const size = y.abs();
      // Giles' variable, in which erfinv(y) / y hardly bends; 1 - |y| is exact where it is little.
      const outer = size.neg().add(1).mul(size.add(1));
      const w = size.lt(0.5).where(y.mul(y).neg().log1p(), outer.log()).neg();
      const nearW = w.clamp(null, ERFINV_FROM);
      const more = nearW.mul(chebyshev(nearW.mul(2 / ERFINV_FROM).sub(1), ERFINV));
      const near = timesSum(y, ERFINV_HEAD, more, ERFINV_TAIL);
      const from = Math.sqrt(ERFINV_FROM);
      const root = w.clamp(ERFINV_FROM, ERFINV_TO ** 2).sqrt();
      const t = root.sub((ERFINV_TO + from) / 2).mul(2 / (ERFINV_TO - from));
      const far = timesSum(y, root, chebyshev(t, ERFINV_FAR));
      const inside = y.eq(0).where(y, w.lt(ERFINV_FROM).where(near, far));
      return size.eq(1).where(y.mul(Number.POSITIVE_INFINITY), w.isnan().where(w, inside));
    },
    [(_, v) => v.mul(v).exp().mul(ERFINV_SLOPE)],
  );
