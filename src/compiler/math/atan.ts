/**
 * atan and atan2: one division brings the argument to [0, 1], one polynomial does the rest, and multiples of pi/2 are
 * added in two parts. The coefficients are minimax fits (Remez) of our own. May import scope.ts; knows nothing of
 * dtypes, graphs or machines.
 */
import type { Reg } from '../loops.ts';
import { horner, type Scope } from './scope.ts';

interface AtanTable {
  /** (atan(z) / z - 1) / z^2 in z^2. */
  readonly polynomial: readonly number[];
  readonly halfPi: readonly [number, number];
}

const TABLES: { readonly f32: AtanTable; readonly f64: AtanTable } = {
  f32: {
    polynomial: [
      -0.0018272192683070898, 0.011064461432397366, -0.03145572170615196, 0.05823454260826111, -0.08419456332921982,
      0.10957574099302292, -0.1426524519920349, 0.19998638331890106, -0.33333301544189453,
    ],
    halfPi: [1.5707963705062866, -4.371138828673793e-8],
  },
  f64: {
    polynomial: [
      5.67550470735909e-6, -7.09421574713714e-5, 0.0004223113868657856, -0.0015998879996832755, 0.004357421602913823,
      -0.009164390065849579, 0.015672388420137302, -0.022768023021260898, 0.029275328810977327, -0.034650704868509685,
      0.03909676382327012, -0.04319893334988635, 0.04754931543123001, -0.05261772750938691, 0.05882137935710428,
      -0.06666641189353387, 0.07692305458113127, -0.09090908951976479, 0.11111111105350459, -0.1428571428556949,
      0.1999999999999813, -0.33333333333333326,
    ],
    halfPi: [Math.PI / 2, 6.123233995736766e-17],
  },
};

/** atan(z) for z in [0, 1]. */
function atanUnit(s: Scope, z: Reg): Reg {
  const { b } = s;
  const square = b.mul(z, z);
  return b.fma(b.mul(square, z), horner(s, square, TABLES[s.float].polynomial), z);
}

/** turns * pi/2 + angle, rounded once. */
function quarterTurns(s: Scope, turns: Reg, angle: Reg): Reg {
  const [high, low] = TABLES[s.float].halfPi;
  // turns is 0, 1 or 2: both products are exact.
  return s.b.fma(turns, s.c(high), s.b.fma(turns, s.c(low), angle));
}

export function atan(s: Scope, x: Reg): Reg {
  const { b } = s;
  const magnitude = b.un('abs', x);
  const steep = b.cmp('gt', magnitude, s.c(1));
  const z = b.select(steep, b.bin('div', s.c(1), magnitude), magnitude);
  const angle = atanUnit(s, z);
  const folded = b.select(steep, b.un('neg', angle), angle);
  return b.bin('copysign', quarterTurns(s, b.select(steep, s.c(1), s.c(0)), folded), x);
}

/** The angle of the point (x, y): y comes first, as in C. All signs of zero and infinities as IEEE 754 recommends. */
export function atan2(s: Scope, y: Reg, x: Reg): Reg {
  const { b } = s;
  const zero = s.c(0);
  const one = s.c(1);
  const ax = b.un('abs', x);
  const ay = b.un('abs', y);
  const steep = b.cmp('gt', ay, ax);
  const ratio = b.bin('div', b.select(steep, ax, ay), b.select(steep, ay, ax));
  // Equal magnitudes, both zero or both infinite among them, have no usable quotient.
  const diagonal = b.select(b.cmp('eq', ax, zero), zero, one);
  const angle = atanUnit(s, b.select(b.cmp('eq', ax, ay), diagonal, ratio));
  const left = b.cmp('lt', b.bin('copysign', one, x), zero);
  const folded = b.select(b.bin('xor', steep, left), b.un('neg', angle), angle);
  const turns = b.select(steep, one, b.select(left, s.c(2), zero));
  return b.bin('copysign', quarterTurns(s, turns, folded), y);
}
