/**
 * sin, cos and tan: x = n pi/2 + r, polynomials on r, and the quadrant n mod 4. Moderate arguments are reduced by four
 * parts of pi/2 (Cody and Waite), large ones in reduce-large.ts. The coefficients are minimax fits (Remez) of our own.
 * May import its neighbours; knows nothing of dtypes, graphs or machines.
 */
import type { Reg } from '../loops.ts';
import { reduceLarge } from './reduce-large.ts';
import { horner, inverse, type Scope } from './scope.ts';

interface TrigTable {
  readonly magic: number;
  /**
   * pi/2 in four parts. While |x| <= `moderate`, n times any of the first three is exact, and so are the differences
   * with the first two.
   */
  readonly parts: readonly [number, number, number, number];
  readonly moderate: number;
  /** (sin(r) / r - 1) / r^2, (cos(r) - 1 + r^2 / 2) / r^4 and (tan(r) / r - 1) / r^2, in r^2. */
  readonly sin: readonly number[];
  readonly cos: readonly number[];
  readonly tan: readonly number[];
}

const TABLES: { readonly f32: TrigTable; readonly f64: TrigTable } = {
  f32: {
    magic: 1.5 * 2 ** 23,
    parts: [1.570556640625, 0.0002396702766418457, 1.5890691429376602e-8, 2.5633440682570896e-12],
    moderate: 3200,
    sin: [2.718087898756494e-6, -0.00019839311426039785, 0.008333329111337662, -0.1666666716337204],
    cos: [2.4436285457341e-5, -0.0013887349050492048, 0.04166664555668831],
    tan: [
      0.0043816776014864445, 7.886831735959277e-5, 0.010843995958566666, 0.021279122680425644, 0.05406049266457558,
      0.13332659006118774, 0.33333349227905273,
    ],
  },
  f64: {
    magic: 1.5 * 2 ** 52,
    parts: [1.5707963267341256, 6.077094383272197e-11, 6.12323399538461e-17, 3.5215598651832e-27],
    moderate: 1_600_000,
    sin: [
      1.5895857997694575e-10, -2.5050742437457346e-8, 2.7557313595207365e-6, -0.0001984126982953971,
      0.008333333333322094, -0.1666666666666663,
    ],
    cos: [
      -1.1359005817670006e-11, 2.0875711273794074e-9, -2.755731426720003e-7, 2.4801587289199208e-5,
      -0.001388888888887369, 0.041666666666666595,
    ],
    tan: [
      9.734926295183284e-6, -2.398629195107139e-5, 4.805625195902686e-5, -2.4940670298195348e-5, 6.667494346218402e-5,
      8.385870586094327e-5, 0.00024363414659279235, 0.000588897275444009, 0.0014560390335956637, 0.0035921017907762035,
      0.008863237836012743, 0.021869488404610123, 0.05396825397271133, 0.13333333333325692, 0.3333333333333338,
    ],
  },
};

/** r + low in about [-pi/4, pi/4], low what rounding r lost, and the quadrant in the two low bits of an integer. */
export interface Reduced {
  readonly r: Reg;
  readonly low: Reg;
  readonly quadrant: Reg;
}

function reduce(s: Scope, x: Reg): Reduced {
  const { b } = s;
  const { magic, parts, moderate } = TABLES[s.float];
  const shifted = b.fma(x, s.c(2 / Math.PI), s.c(magic));
  const n = b.sub(shifted, s.c(magic));
  const [first, second, third, fourth] = parts;
  const exact = b.fma(n, s.c(-second), b.fma(n, s.c(-first), x));
  // What the third difference rounds away goes into the last sum, and what that rounds away into the functions.
  const minor = b.mul(n, s.c(third));
  const near = b.sub(exact, minor);
  const rest = b.fma(n, s.c(-fourth), b.sub(b.sub(exact, near), minor));
  const sum = b.add(near, rest);
  const r = b.copy(sum);
  const low = b.copy(b.sub(rest, b.sub(sum, near)));
  const quadrant = b.copy(b.bitcast(s.int, shifted));
  const magnitude = b.un('abs', x);
  const large = b.bin(
    'and',
    b.cmp('gt', magnitude, s.c(moderate)),
    b.cmp('lt', magnitude, s.c(Number.POSITIVE_INFINITY)),
  );
  b.if(b.anyTrue(large), () => {
    const far = reduceLarge(s, x);
    b.move(r, b.select(large, far.r, r));
    b.move(low, b.select(large, far.low, low));
    b.move(quadrant, b.select(large, far.quadrant, quadrant));
  });
  return { r, low, quadrant };
}

/**
 * sin(r + low + quadrant * pi/2): sums of a large part that is right and a small one, so that little more than the last
 * rounding is lost.
 */
export function sineOf(s: Scope, { r, low, quadrant }: Reduced): Reg {
  const { b } = s;
  const { sin, cos } = TABLES[s.float];
  const square = b.mul(r, r);
  const less = b.mul(square, s.c(0.5));
  const half = b.sub(s.c(1), less);
  const sine = b.add(r, b.fma(b.mul(square, r), horner(s, square, sin), b.mul(low, half)));
  const lost = b.sub(b.sub(b.sub(s.c(1), half), less), b.mul(r, low));
  const cosine = b.add(half, b.fma(b.mul(square, square), horner(s, square, cos), lost));
  const odd = b.cmp('ne', b.bin('and', quadrant, s.i(1)), s.i(0));
  const value = b.select(odd, cosine, sine);
  // Bit 1 of the quadrant becomes the sign.
  const sign = b.bin('shl', b.bin('and', quadrant, s.i(2)), s.i(s.int === 'i32' ? 30 : 62));
  return b.bitcast(s.float, b.bin('xor', b.bitcast(s.int, value), sign));
}

/** sin(x), NaN for infinite x; -0 stays. */
export function sin(s: Scope, x: Reg): Reg {
  // n = 0 leaves x itself, but x - 0 * pi/2 loses the sign of -0.
  return s.b.select(s.b.cmp('eq', x, s.c(0)), x, sineOf(s, reduce(s, x)));
}

/** cos(x), NaN for infinite x. */
export function cos(s: Scope, x: Reg): Reg {
  const reduced = reduce(s, x);
  return sineOf(s, { ...reduced, quadrant: s.b.add(reduced.quadrant, s.i(1)) });
}

/**
 * tan(x), NaN for infinite x; -0 stays. In odd quadrants -1 / tan(r), with what the sum of r and the small part has
 * lost.
 */
export function tan(s: Scope, x: Reg): Reg {
  const { b } = s;
  const { r, low, quadrant } = reduce(s, x);
  const square = b.mul(r, r);
  const cubic = b.mul(b.mul(square, r), horner(s, square, TABLES[s.float].tan));
  const near = b.add(r, cubic);
  // The derivative is 1 + tan^2.
  const small = b.add(cubic, b.fma(b.mul(near, near), low, low));
  const value = b.add(r, small);
  const lost = b.sub(small, b.sub(value, r));
  const quotient = inverse(s, value);
  const turned = b.fma(b.mul(quotient, quotient), lost, b.un('neg', quotient));
  const odd = b.cmp('ne', b.bin('and', quadrant, s.i(1)), s.i(0));
  return b.select(b.cmp('eq', x, s.c(0)), x, b.select(odd, turned, value));
}
