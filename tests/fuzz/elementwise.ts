/** Elementwise steps of random graphs: every function of every dtype. */
import * as g from '../../src/graph/build.ts';
import { type DType, isFloat, isInt } from '../../src/graph/dtype.ts';
import type { Binary, Compare, Node, Unary } from '../../src/graph/node.ts';
import { type Draw, kept, type Step } from './draw.ts';
import { DTYPES, EPSILON, integer, type Value, WHOLE_LIMIT } from './values.ts';

/** Right to the bit on every backend. */
const JUMPS: readonly Unary[] = ['sign', 'floor', 'ceil', 'trunc', 'round'];
/** The largest slope where arguments end at 3, and the largest value for a bound. */
const SMOOTH: { readonly [F in Unary]?: readonly [slope: number, most: number] } = {
  exp: [21, 21],
  expm1: [21, 20],
  sin: [1, 1],
  cos: [1, 1],
  tan: [4, 2],
  tanh: [1, 1],
  sigmoid: [1, 1],
  erf: [1.2, 1],
  atan: [1, 2],
};

const likeNumber = (x: Node, value: number): Node => g.full(value, x.shape, x.dtype);

/** The inexact result of a function that is right to some units in the last place. */
function approximate(node: Node, x: Value, slope: number, most: number): Value {
  const error = slope * x.error + 8 * EPSILON[node.dtype]! * Math.max(1, most);
  return { node, exact: false, error, signed: false, whole: false, finite: x.finite, bound: most };
}

const unary: Step = ({ r }, x) => {
  const { node } = x;
  const { dtype } = node;
  if (dtype === 'bool') return integer(g.unary('not', node));
  if (isInt(dtype)) return integer(g.unary(r.pick(['neg', 'abs', 'sign', 'not'] as const), node));
  if (r.once(2)) {
    const fn = r.pick(x.exact ? ([...JUMPS, 'neg', 'abs', 'sqrt'] as const) : (['neg', 'abs'] as const));
    const whole = x.whole || JUMPS.includes(fn);
    // A square root is rounded correctly; of negative numbers it is NaN.
    if (fn === 'sqrt') return { ...x, node: g.unary(fn, node), whole: false, finite: false };
    return { ...x, node: g.unary(fn, node), whole };
  }
  if (x.exact && r.once(3)) {
    // At least 1/2, so that the zeros and poles are no matter of error bounds.
    const inside = g.binary('add', g.unary('abs', node), likeNumber(node, 0.5));
    const fn = r.pick(['log', 'log1p', 'lgamma', 'digamma'] as const);
    const most = fn === 'lgamma' ? 4 + x.bound * Math.log(x.bound + 2) : 4 + Math.log(x.bound + 2);
    return kept({ ...approximate(g.unary(fn, inside), x, 1, most), finite: false });
  }
  const fn = r.pick(Object.keys(SMOOTH) as (keyof typeof SMOOTH)[]);
  const [slope, most] = SMOOTH[fn]!;
  const grows = fn === 'exp' || fn === 'expm1';
  const turns = fn === 'sin' || fn === 'cos';
  const below3 = (): Node => g.binary('min', node, likeNumber(node, 3));
  const unit = (): Node => g.binary('max', g.binary('min', node, likeNumber(node, 1)), likeNumber(node, -1));
  const inner = grows ? below3() : fn === 'tan' ? unit() : node;
  return kept({ ...approximate(g.unary(fn, inner), x, slope, most), finite: x.finite || !(grows || turns) });
};

/** Integer operations with every case defined: no divisor, count or extreme is left out. */
const INTEGER: readonly Binary[] = [
  'add', 'sub', 'mul', 'div', 'floorDiv', 'mod', 'pow', 'min', 'max', 'and', 'or', 'xor', 'shl', 'shr',
]; // biome-ignore format: a table

function floatBinary(draw: Draw, x: Value, y: Value): Value | null {
  const { r } = draw;
  const { dtype } = x.node;
  const both = x.exact && y.exact;
  const compatible = both || (x.finite && y.finite);
  const fn = r.pick(
    both
      ? (['add', 'sub', 'mul', 'min', 'max', 'div', 'mod'] as const)
      : (['add', 'sub', 'mul', 'min', 'max'] as const),
  );
  const node = g.binary(fn, x.node, y.node);
  const rounding = (bound: number): number => (both ? 0 : 2 * EPSILON[dtype]! * bound);
  const common = {
    node,
    exact: both,
    signed: x.signed && y.signed,
    whole: x.whole && y.whole,
    finite: x.finite && y.finite,
  };
  switch (fn) {
    case 'add':
    case 'sub': {
      const bound = x.bound + y.bound;
      const whole = common.whole && bound <= WHOLE_LIMIT[dtype]!;
      return kept({ ...common, whole, bound, error: x.error + y.error + rounding(bound) });
    }
    case 'mul': {
      if (!compatible) return null;
      const bound = x.bound * y.bound;
      const whole = common.whole && bound <= WHOLE_LIMIT[dtype]!;
      const error = x.error * y.bound + y.error * (x.bound + x.error) + rounding(bound);
      return kept({ ...common, whole, bound, error });
    }
    case 'min':
    case 'max':
      return kept({ ...common, bound: Math.max(x.bound, y.bound), error: Math.max(x.error, y.error) });
    default:
      // Of zeros without a sign a quotient does not know its own.
      if (!common.signed) return null;
      // Quotients by small numbers are anything: only their magnitudes under 1 go on.
      return { ...common, whole: false, finite: false, bound: Number.POSITIVE_INFINITY, error: 0 };
  }
}

const binary: Step = (draw, x) => {
  const { node } = x;
  const { dtype } = node;
  const y = draw.partner(node.shape, dtype);
  const [a, b] = draw.r.once(2) ? [x, y] : [y, x];
  if (dtype === 'bool') return integer(g.binary(draw.r.pick(['and', 'or', 'xor'] as const), a.node, b.node));
  if (isInt(dtype)) return integer(g.binary(draw.r.pick(INTEGER), a.node, b.node));
  return floatBinary(draw, a, b);
};

/** pow and atan2 of exact operands that are no matter of error bounds. */
const power: Step = ({ r, values }, x) => {
  const { node } = x;
  if (!isFloat(node.dtype) || !x.exact || !x.finite || x.bound > 8) return null;
  const y = values.find(
    v => v.exact && v.finite && v.bound <= 4 && v.node.dtype === node.dtype && v.node.size === node.size,
  );
  if (!y) return null;
  const exponent = g.reshape(y.node, node.shape);
  const base = g.binary('add', g.unary('abs', node), likeNumber(node, 0.5));
  if (r.once(2)) return kept(approximate(g.binary('atan2', base, exponent), { ...x, error: 0 }, 1, 4));
  return kept(approximate(g.binary('pow', base, exponent), { ...x, error: 0 }, 1, 9 ** 4));
};

const choose: Step = (draw, x) => {
  const { node } = x;
  const y = draw.partner(node.shape, node.dtype);
  const compared = x.exact && y.exact && draw.r.once(2);
  const condition = compared
    ? g.compare(draw.r.pick<Compare>(['eq', 'lt', 'le']), node, y.node)
    : draw.mask(node.shape);
  if (compared && draw.r.once(3)) return integer(condition);
  return kept({
    node: g.where(condition, node, y.node),
    exact: x.exact && y.exact,
    signed: x.signed && y.signed,
    whole: x.whole && y.whole,
    finite: x.finite && y.finite,
    bound: Math.max(x.bound, y.bound),
    error: Math.max(x.error, y.error),
  });
};

const cast: Step = ({ r }, x) => {
  const { node } = x;
  const to: DType = r.pick(DTYPES);
  const result = g.cast(node, to);
  if (!isFloat(node.dtype) && !isFloat(to)) return integer(result);
  // Truncation and "not zero" jump.
  if (!isFloat(to)) return x.exact ? integer(result) : null;
  if (!isFloat(node.dtype)) {
    const bound = { bool: 1, u8: 255, i8: 128, i32: 2 ** 31, i64: 2 ** 63 }[node.dtype as 'bool'];
    return kept({ ...integer(result), whole: bound <= WHOLE_LIMIT[to]!, finite: to !== 'f16', bound });
  }
  const error = x.exact ? 0 : x.error + 2 * EPSILON[to]! * x.bound;
  const finite = x.finite && x.bound < 6e4;
  return kept({ ...x, node: result, whole: x.whole && x.bound <= WHOLE_LIMIT[to]!, finite, error });
};

/** Bits of floats and back; a NaN's payload is nobody's promise. */
const bitcast: Step = (_, x) => {
  const { node } = x;
  if (!x.exact || !x.signed || !x.finite) return null;
  if (node.dtype === 'f32') return integer(g.bitcast(node, 'i32'));
  if (node.dtype === 'f64') return integer(g.bitcast(node, 'i64'));
  return null;
};

export const ELEMENTWISE: readonly Step[] = [
  unary,
  unary,
  binary,
  binary,
  binary,
  binary,
  power,
  choose,
  cast,
  bitcast,
];
