/**
 * Bessel and Airy functions of real arguments (DLMF 9, 10), from Chebyshev series: near 0 of the function itself or
 * what is left of it after its logarithm, pole or first zeros; far out of its amplitude and phase. Relative errors of a
 * few units in the last place, except beside zeros beyond the first two, where the error is absolute.
 */
import type { Tensor } from '../tensor.ts';
import { chebyshev, elementwise, type Unary } from './elementary.ts';
import * as tables from './tables.ts';

// ------------------------------------------------------------------------------------------------ modified, of order 0
// and 1

/** exp(-|x|) I(|x|) of order 0, or of order 1 with the sign of x. */
function scaledI(order: 0 | 1, x: Tensor): Tensor {
  const size = x.abs();
  const [small, large] = order === 0 ? [tables.I0_SMALL, tables.I0_LARGE] : [tables.I1_SMALL, tables.I1_LARGE];
  const inner = chebyshev(size.clamp(null, 8).div(4).sub(1), small);
  const far = size.clamp(8, null);
  const outer = chebyshev(far.reciprocal().mul(16).sub(1), large).div(far.sqrt());
  if (order === 0) return size.le(8).where(inner, outer);
  return size.le(8).where(inner.mul(x), x.sign().mul(outer));
}

/** The modified Bessel function I0, times exp(-|x|). */
export const i0e: Unary = x =>
  elementwise(
    'special.i0e',
    [x],
    y =>
      // I0' = I1
      scaledI(0, y),
    [([z], value) => i1e(z!).sub(z!.sign().mul(value))],
  );

/** The modified Bessel function I1, times exp(-|x|). */
export const i1e: Unary = x =>
  elementwise(
    'special.i1e',
    [x],
    y =>
      // I1' = I0 - I1 / x, 1/2 at 0
      scaledI(1, y),
    [([z], value) => slopeOfI1(z!, i0e(z!), value).sub(z!.sign().mul(value))],
  );

const slopeOfI1 = (x: Tensor, i0Value: Tensor, i1Value: Tensor): Tensor => {
  const zero = x.eq(0);
  return zero.where(0.5, i0Value.sub(i1Value.div(zero.where(1, x))));
};

/** The modified Bessel function of the first kind, order 0. */
export const i0: Unary = x => elementwise('special.i0', [x], y => scaledI(0, y).mul(y.abs().exp()), [([z]) => i1(z!)]);

/** The modified Bessel function of the first kind, order 1. */
export const i1: Unary = x =>
  elementwise('special.i1', [x], y => scaledI(1, y).mul(y.abs().exp()), [([z], value) => slopeOfI1(z!, i0(z!), value)]);

/** i0 under its other name. */
export const modifiedBesselI0: Unary = x => i0(x);
/** i1 under its other name. */
export const modifiedBesselI1: Unary = x => i1(x);

/** K of order 0 or 1 for x > 0, scaled by exp(x) or not; infinite at 0, NaN below. */
function besselK(order: 0 | 1, x: Tensor, scaled: boolean): Tensor {
  const [small, large] = order === 0 ? [tables.K0_SMALL, tables.K0_LARGE] : [tables.K1_SMALL, tables.K1_LARGE];
  const near = x.clamp(null, 2);
  const series = chebyshev(near.mul(near).div(2).sub(1), small);
  const logarithm = near.div(2).log();
  const growth = near.abs().exp();
  const inner =
    order === 0
      ? series.sub(logarithm.mul(scaledI(0, near).mul(growth)))
      : series.div(near).add(logarithm.mul(scaledI(1, near).mul(growth)));
  const far = x.clamp(2, null);
  const outer = chebyshev(far.reciprocal().mul(4).sub(1), large).div(far.sqrt());
  const value = scaled ? x.le(2).where(inner.mul(growth), outer) : x.le(2).where(inner, outer.mul(far.neg().exp()));
  const edge = x.eq(0).where(Number.POSITIVE_INFINITY, Number.NaN).to(x.dtype);
  return x.gt(0).where(value, edge);
}

/** The modified Bessel function of the second kind, order 0; infinite at 0, NaN below. */
export const modifiedBesselK0: Unary = x =>
  elementwise('special.modifiedBesselK0', [x], y => besselK(0, y, false), [([z]) => modifiedBesselK1(z!).neg()]);

/** The modified Bessel function of the second kind, order 1; infinite at 0, NaN below. */
export const modifiedBesselK1: Unary = x =>
  elementwise(
    'special.modifiedBesselK1',
    [x],
    y =>
      // K1' = -K0 - K1 / x
      besselK(1, y, false),
    [([z], value) => modifiedBesselK0(z!).add(value.div(z!)).neg()],
  );

/** exp(x) K0(x). */
export const scaledModifiedBesselK0: Unary = x =>
  elementwise('special.scaledModifiedBesselK0', [x], y => besselK(0, y, true), [
    ([z], value) => value.sub(scaledModifiedBesselK1(z!)),
  ]);

/** exp(x) K1(x). */
export const scaledModifiedBesselK1: Unary = x =>
  elementwise('special.scaledModifiedBesselK1', [x], y => besselK(1, y, true), [
    ([z], value) => value.sub(scaledModifiedBesselK0(z!)).sub(value.div(z!)),
  ]);

// ------------------------------------------------------------------------------------------------ J and Y of order 0
// and 1

const NEAR = 8;

/** (x^2 - r^2) for a zero r known in two parts, exact beside it. */
const beside = (x: Tensor, [head, tail]: readonly [number, number]): Tensor => x.sub(head).sub(tail).mul(x.add(head));

/**
 * P and Q of J = sqrt(2 / (pi x)) (P cos(chi) - Q sin(chi)), Y = sqrt(2 / (pi x)) (P sin(chi) + Q cos(chi)) for x >= 8.
 */
function amplitudes(order: 0 | 1, x: Tensor): { readonly p: Tensor; readonly q: Tensor } {
  const [p, q] = order === 0 ? [tables.P0, tables.Q0] : [tables.P1, tables.Q1];
  const inverse = x.reciprocal().mul(NEAR);
  const t = inverse.mul(inverse).mul(2).sub(1);
  return { p: chebyshev(t, p), q: chebyshev(t, q).mul(inverse) };
}

/** J or Y for x >= 8, with chi = x - pi/4 or x - 3 pi/4 by addition theorems, so that x keeps its digits. */
function oscillating(order: 0 | 1, kind: 'j' | 'y', x: Tensor): Tensor {
  const { p, q } = amplitudes(order, x);
  const [sin, cos] = [x.sin(), x.cos()];
  const [cosChi, sinChi] = order === 0 ? [sin.add(cos), sin.sub(cos)] : [sin.sub(cos), sin.add(cos).neg()];
  const wave = kind === 'j' ? p.mul(cosChi).sub(q.mul(sinChi)) : p.mul(sinChi).add(q.mul(cosChi));
  return wave.mul(x.mul(Math.PI).rsqrt());
}

/** J for 0 <= x <= 8. */
function nearJ(order: 0 | 1, x: Tensor): Tensor {
  const [first, second] = order === 0 ? tables.J0_ZEROS : tables.J1_ZEROS;
  const series = chebyshev(x.mul(x).div(32).sub(1), order === 0 ? tables.J0_SMALL : tables.J1_SMALL);
  const value = series.mul(beside(x, first)).mul(beside(x, second));
  return order === 0 ? value : value.mul(x);
}

function besselJ(order: 0 | 1, x: Tensor): Tensor {
  const size = x.abs();
  const value = size
    .le(NEAR)
    .where(nearJ(order, size.clamp(null, NEAR)), oscillating(order, 'j', size.clamp(NEAR, null)));
  const tame = size.eq(Number.POSITIVE_INFINITY).where(0, value);
  return order === 0 ? tame : x.lt(0).where(tame.neg(), tame);
}

function besselY(order: 0 | 1, x: Tensor): Tensor {
  const near = x.clamp(null, NEAR);
  const t = near.mul(near).div(32).sub(1);
  const logarithm = near
    .log()
    .mul(nearJ(order, near))
    .mul(2 / Math.PI);
  const inner =
    order === 0
      ? chebyshev(t, tables.Y0_SMALL).add(logarithm)
      : chebyshev(t, tables.Y1_SMALL)
          .mul(near)
          .add(logarithm)
          .sub(near.reciprocal().mul(2 / Math.PI));
  const value = x.le(NEAR).where(inner, oscillating(order, 'y', x.clamp(NEAR, null)));
  const edge = x.eq(0).where(Number.NEGATIVE_INFINITY, Number.NaN).to(x.dtype);
  return x.gt(0).where(x.eq(Number.POSITIVE_INFINITY).where(0, value), edge);
}

/** The derivative of a function of order 1 from those of order 0 and 1: f0 - f1 / x. */
const slopeOfOrder1 = (x: Tensor, zeroth: Tensor, first: Tensor, atZero: number): Tensor => {
  const zero = x.eq(0);
  return zero.where(atZero, zeroth.sub(first.div(zero.where(1, x))));
};

/** The Bessel function of the first kind, order 0. */
export const besselJ0: Unary = x =>
  elementwise('special.besselJ0', [x], y => besselJ(0, y), [([z]) => besselJ1(z!).neg()]);

/** The Bessel function of the first kind, order 1. */
export const besselJ1: Unary = x =>
  elementwise('special.besselJ1', [x], y => besselJ(1, y), [
    ([z], value) => slopeOfOrder1(z!, besselJ0(z!), value, 0.5),
  ]);

/** The Bessel function of the second kind, order 0; -Infinity at 0, NaN below. */
export const besselY0: Unary = x =>
  elementwise('special.besselY0', [x], y => besselY(0, y), [([z]) => besselY1(z!).neg()]);

/** The Bessel function of the second kind, order 1; -Infinity at 0, NaN below. */
export const besselY1: Unary = x =>
  elementwise('special.besselY1', [x], y => besselY(1, y), [
    ([z], value) => slopeOfOrder1(z!, besselY0(z!), value, Number.POSITIVE_INFINITY),
  ]);

/** sin(x) / x, 1 at 0. */
export const sphericalBesselJ0: Unary = x =>
  elementwise(
    'special.sphericalBesselJ0',
    [x],
    y => {
      const zero = y.eq(0);
      const safe = zero.where(1, y);
      const value = y.isinf().where(0, safe.sin().div(safe));
      return zero.where(1, value);
    }, // (cos x - j0) / x, by its series beside 0
    [
      ([z], j0) => {
        const near = z!.abs().lt(0.1);
        const square = z!.mul(z!);
        const series = square
          .div(840)
          .neg()
          .add(1 / 30)
          .mul(square)
          .sub(1 / 3)
          .mul(z!);
        const far = near.where(1, z!);
        return near.where(series, far.cos().sub(j0).div(far));
      },
    ],
  );

// ------------------------------------------------------------------------------------------------ Airy

/** z = 2/3 |x|^(3/2) at the ends of the middle series. */
const zOf = (x: number): number => (2 / 3) * x ** 1.5;

function airy(x: Tensor): Tensor {
  const middle = chebyshev(x.clamp(-4, 2).add(1).div(3), tables.AIRY_MIDDLE);
  const right = x.clamp(2, null);
  const z = right.mul(right.sqrt()).mul(2 / 3);
  const decaying = chebyshev(
    z
      .reciprocal()
      .mul(2 * zOf(2))
      .sub(1),
    tables.AIRY_POSITIVE,
  )
    .mul(z.neg().exp())
    .div(
      right
        .sqrt()
        .sqrt()
        .mul(2 * Math.sqrt(Math.PI)),
    );
  const left = x.clamp(null, -4).neg();
  const phase = left.mul(left.sqrt()).mul(2 / 3);
  const inverse = phase.reciprocal().mul(zOf(4));
  const t = inverse.mul(inverse).mul(2).sub(1);
  const [f, g] = [chebyshev(t, tables.AIRY_F), chebyshev(t, tables.AIRY_G).mul(inverse)];
  const [sin, cos] = [phase.sin(), phase.cos()];
  // cos(z - pi/4) and sin(z - pi/4), without the factor 1 / sqrt(2)
  const wave = cos
    .add(sin)
    .mul(f)
    .add(sin.sub(cos).mul(g))
    .div(
      left
        .sqrt()
        .sqrt()
        .mul(Math.sqrt(2 * Math.PI)),
    );
  return x.gt(2).where(decaying, x.lt(-4).where(wave, middle));
}

/** The Airy function Ai. */
export const airyAi: Unary = x => elementwise('special.airyAi', [x], airy);
