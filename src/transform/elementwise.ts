/**
 * Derivatives of elementwise primitives. The Jacobian of an elementwise function is diagonal, so it is its own
 * transpose: the same linear map takes tangents forward and cotangents back, and one table serves jvp and vjp. Null is
 * the zero map.
 */
import * as g from '../graph/build.ts';
import type { Binary, Node, Unary } from '../graph/node.ts';
import { add, and, div, equal, less, like, mul, neg, one, square, sub, zero } from './arithmetic.ts';
import { trigamma } from './trigamma.ts';

/** t -> dy/dx * t, where y = fn(x). */
type UnaryMap = (t: Node, x: Node, y: Node) => Node | null;
/** t -> dy/da * t, or dy/db * t, where y = fn(a, b). */
type BinaryMap = (t: Node, a: Node, b: Node, y: Node) => Node | null;

const flat = (): null => null;

export const UNARY: { readonly [F in Unary]: UnaryMap } = {
  neg: t => neg(t),
  // 0 at 0, as PyTorch has it
  abs: (t, x) => mul(t, g.unary('sign', x)),
  sign: flat,
  floor: flat,
  ceil: flat,
  trunc: flat,
  round: flat,
  sqrt: (t, _, y) => div(t, mul(like(y, 2), y)),
  exp: (t, _, y) => mul(t, y),
  expm1: (t, _, y) => mul(t, add(y, one(y))),
  log: (t, x) => div(t, x),
  log1p: (t, x) => div(t, add(x, one(x))),
  sin: (t, x) => mul(t, g.unary('cos', x)),
  cos: (t, x) => neg(mul(t, g.unary('sin', x))),
  tan: (t, _, y) => mul(t, add(one(y), square(y))),
  tanh: (t, _, y) => mul(t, sub(one(y), square(y))),
  sigmoid: (t, _, y) => mul(t, mul(y, sub(one(y), y))),
  // 2 / sqrt(pi) * exp(-x^2)
  erf: (t, x) => mul(t, mul(like(x, 2 / Math.sqrt(Math.PI)), g.unary('exp', neg(square(x))))),
  atan: (t, x) => div(t, add(one(x), square(x))),
  lgamma: (t, x) => mul(t, g.unary('digamma', x)),
  digamma: (t, x) => mul(t, trigamma(x)),
  not: flat,
};

const none: readonly [BinaryMap, BinaryMap] = [flat, flat];

/**
 * The whole t goes to the winner, a tie shares it evenly, and a NaN belongs to both: `loses` says where this side is
 * beaten.
 */
const share = (t: Node, a: Node, b: Node, loses: Node): Node =>
  g.where(equal(a, b), mul(t, like(t, 0.5)), g.where(loses, zero(t), t));

export const BINARY: { readonly [F in Binary]: readonly [BinaryMap, BinaryMap] } = {
  add: [t => t, t => t],
  sub: [t => t, t => neg(t)],
  mul: [(t, _, b) => mul(t, b), (t, a) => mul(t, a)],
  // y = a / b: dy/db = -a / b^2 = -y / b
  div: [(t, _, b) => div(t, b), (t, _, b, y) => neg(div(mul(t, y), b))],
  floorDiv: none,
  // y = a - b * floor(a / b)
  mod: [t => t, (t, a, b) => neg(mul(t, g.binary('floorDiv', a, b)))],
  pow: [
    // b * a^(b - 1), and 0 rather than 0 * infinity at 0^0
    (t, a, b) => {
      const exponent = g.uniformValue(b);
      if (exponent === 0) return null;
      if (exponent === 2) return mul(t, mul(b, a));
      const corner = and(equal(a, zero(a)), equal(b, zero(b)));
      const lower = sub(exponent === null ? g.where(corner, one(b), b) : b, one(b));
      return mul(t, mul(b, g.binary('pow', a, lower)));
    },
    // y * log(a), and 0 where a is 0 and b is not negative; the inner choice keeps log(0) out of higher derivatives
    (t, a, b, y) => {
      const vanishes = and(equal(a, zero(a)), g.compare('le', zero(b), b));
      return mul(t, mul(y, g.unary('log', g.where(vanishes, one(a), a))));
    },
  ],
  // y = the angle of (b, a): dy/da = b / (a^2 + b^2), dy/db = -a / (a^2 + b^2)
  atan2: [
    (t, a, b) => mul(t, div(b, add(square(a), square(b)))),
    (t, a, b) => neg(mul(t, div(a, add(square(a), square(b))))),
  ],
  min: [(t, a, b) => share(t, a, b, less(b, a)), (t, a, b) => share(t, a, b, less(a, b))],
  max: [(t, a, b) => share(t, a, b, less(a, b)), (t, a, b) => share(t, a, b, less(b, a))],
  and: none,
  or: none,
  xor: none,
  shl: none,
  shr: none,
};
