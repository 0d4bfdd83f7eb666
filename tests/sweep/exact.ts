/**
 * The functions in f64 arithmetic, where results need only be right for f32: V8's own (fdlibm), and the reference
 * backend's where JavaScript has none.
 */
import { digamma, erf, lgamma } from '../../src/backends/reference/special.ts';
import type { OracleUnary } from './oracle.ts';

/** DLMF 7.9.1 for the tail. */
function erfc(x: number): number {
  if (!(x >= 1)) return 1 - erf(x);
  if (x > 28) return 0;
  const head = Math.fround(x);
  let fraction = x;
  for (let k = Math.ceil(20 + 350 / (x * x)); k >= 1; k--) fraction = x + k / 2 / fraction;
  return (Math.exp(-head * head) * Math.exp(-(x - head) * (x + head))) / Math.sqrt(Math.PI) / fraction;
}

/** DLMF 7.9.1 where x is not small. */
function erfcx(x: number): number {
  if (x < -27) return Number.POSITIVE_INFINITY;
  if (x < 1) {
    const head = Math.fround(x);
    return Math.exp(head * head) * Math.exp((x - head) * (x + head)) * erfc(x);
  }
  let fraction = x;
  for (let k = Math.ceil(20 + 350 / (x * x)); k >= 1; k--) fraction = x + k / 2 / fraction;
  return 1 / fraction / Math.sqrt(Math.PI);
}

/** Newton's steps from Winitzki's approximation; towards 1 by erfc, as erf says nothing there. */
function erfinv(x: number): number {
  if (Math.abs(x) === 1) return x * Number.POSITIVE_INFINITY;
  if (x === 0 || !(Math.abs(x) < 1)) return x === 0 ? x : Number.NaN;
  const rest = 1 - Math.abs(x);
  const [w, a] = [Math.log1p(-x * x), 0.147];
  const t = w / 2 + 2 / (Math.PI * a);
  let y = Math.sqrt(Math.sqrt(t * t - w / a) - t);
  if (Math.abs(x) < 1e-3) y = (Math.abs(x) * Math.sqrt(Math.PI)) / 2;
  for (let i = 0; i < 3; i++) {
    const beyond = Math.abs(x) < 0.5 ? erf(y) - Math.abs(x) : rest - erfc(y);
    const step = (beyond * Math.exp(y * y) * Math.sqrt(Math.PI)) / 2;
    y -= step / (1 + y * step);
  }
  return Math.sign(x) * y;
}

export const EXACT: { readonly [F in OracleUnary]: (x: number) => number } = {
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  sigmoid: x => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  erf,
  atan: Math.atan,
  lgamma,
  digamma,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  sinh: Math.sinh,
  cosh: Math.cosh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  exp2: x => 2 ** x,
  log2: Math.log2,
  log10: Math.log10,
  erfc,
  erfcx,
  rsqrt: x => 1 / Math.sqrt(x),
  erfinv,
  logit: x => Math.log(x / (1 - x)),
};
