/**
 * What is swept: the transcendental functions of one tensor, where each is defined, and arguments that say something.
 */
import type { Tensor } from '../../src/index.ts';
import * as special from '../../src/tensor/special/index.ts';
import type { OracleUnary } from './oracle.ts';

export interface Swept {
  readonly of: (x: Tensor) => Tensor;
  /** Where it is real and finite. */
  readonly domain: readonly [from: number, to: number];
  /** Where it is neither 0, 1, infinite nor its argument, for closer looks. */
  readonly lively: readonly [from: number, to: number];
}

/** Units in the last place from the exact value; the correctly rounded one is at most 2 away then. */
export const LIMIT = 2;

const ALL = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const;
const POSITIVE = [0, Number.POSITIVE_INFINITY] as const;
const UNIT = [-1, 1] as const;

/**
 * Negative arguments of lgamma and digamma are left out: there the error is relative to the larger of two terms that
 * meet.
 */
export const SWEPT: { readonly [F in OracleUnary]: Swept } = {
  exp: { of: x => x.exp(), domain: ALL, lively: [-746, 710] },
  expm1: { of: x => x.expm1(), domain: ALL, lively: [-40, 710] },
  log: { of: x => x.log(), domain: POSITIVE, lively: [0.3, 3] },
  log1p: { of: x => x.log1p(), domain: [-1, Number.POSITIVE_INFINITY], lively: [-1, 3] },
  sin: { of: x => x.sin(), domain: ALL, lively: [-30, 30] },
  cos: { of: x => x.cos(), domain: ALL, lively: [-30, 30] },
  tanh: { of: x => x.tanh(), domain: ALL, lively: [-20, 20] },
  sigmoid: { of: x => x.sigmoid(), domain: ALL, lively: [-746, 40] },
  erf: { of: x => x.erf(), domain: ALL, lively: [-6, 6] },
  atan: { of: x => x.atan(), domain: ALL, lively: [-4, 4] },
  lgamma: { of: x => x.lgamma(), domain: POSITIVE, lively: [0.01, 20] },
  digamma: { of: x => x.digamma(), domain: POSITIVE, lively: [0.01, 20] },
  tan: { of: x => x.tan(), domain: ALL, lively: [-30, 30] },
  asin: { of: x => x.asin(), domain: UNIT, lively: UNIT },
  acos: { of: x => x.acos(), domain: UNIT, lively: UNIT },
  sinh: { of: x => x.sinh(), domain: ALL, lively: [-711, 711] },
  cosh: { of: x => x.cosh(), domain: ALL, lively: [-711, 711] },
  asinh: { of: x => x.asinh(), domain: ALL, lively: [-4, 4] },
  acosh: { of: x => x.acosh(), domain: [1, Number.POSITIVE_INFINITY], lively: [1, 4] },
  atanh: { of: x => x.atanh(), domain: UNIT, lively: UNIT },
  exp2: { of: x => x.exp2(), domain: ALL, lively: [-1075, 1024] },
  log2: { of: x => x.log2(), domain: POSITIVE, lively: [0.3, 3] },
  log10: { of: x => x.log10(), domain: POSITIVE, lively: [0.3, 3] },
  erfc: { of: x => x.erfc(), domain: ALL, lively: [-6, 27.5] },
  erfcx: { of: x => special.erfcx(x), domain: [-26.6, Number.POSITIVE_INFINITY], lively: [-9, 30] },
  erfinv: { of: x => x.erfinv(), domain: UNIT, lively: UNIT },
  logit: { of: x => x.logit(), domain: [0, 1], lively: [0, 1] },
  rsqrt: { of: x => x.rsqrt(), domain: POSITIVE, lively: [0.1, 4] },
};

/** The functions asked for by TENON_SWEEP_FUNCTIONS (npm run sweep -- --functions), all by default. */
export const SWEPT_NAMES = ((): OracleUnary[] => {
  const all = Object.keys(SWEPT) as OracleUnary[];
  const asked = process.env['TENON_SWEEP_FUNCTIONS'];
  if (!asked) return all;
  return asked.split(',').map(name => {
    const found = all.find(known => known === name);
    if (!found) throw new Error(`sweep: ${name} is not one of ${all.join(', ')}`);
    return found;
  });
})();
