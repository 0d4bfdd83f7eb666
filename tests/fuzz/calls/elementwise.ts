/** Elementwise calls: functions of one tensor, of two with broadcasting and promotion, choices and comparisons. */
import { F, isFloat, special, type Tensor, where, xlogy } from '../../../src/index.ts';
import { call, type Maker } from './draw.ts';

type Function = (x: Tensor) => Tensor;

/** Brought inside of where the function is defined and tame. */
const positive = (x: Tensor): Tensor => x.abs().add(0.5);
const inside = (x: Tensor): Tensor => x.tanh().mul(0.9);
const low = (x: Tensor): Tensor => x.clamp(-3, 3);

/** Each as it is called, over all arguments that occur here. */
const UNARY: { readonly [name: string]: Function } = {
  abs: x => x.abs(),
  neg: x => x.neg(),
  sign: x => x.sign(),
  floor: x => x.floor(),
  ceil: x => x.ceil(),
  trunc: x => x.trunc(),
  round: x => x.round(),
  roundTo1: x => x.round({ decimals: 1 }),
  sqrt: x => positive(x).sqrt(),
  exp: x => low(x).exp(),
  expm1: x => low(x).expm1(),
  exp2: x => low(x).exp2(),
  log: x => positive(x).log(),
  log2: x => positive(x).log2(),
  log10: x => positive(x).log10(),
  log1p: x => positive(x).log1p(),
  sin: x => x.sin(),
  cos: x => x.cos(),
  tan: x => inside(x).tan(),
  asin: x => inside(x).asin(),
  acos: x => inside(x).acos(),
  atan: x => x.atan(),
  sinh: x => low(x).sinh(),
  cosh: x => low(x).cosh(),
  tanh: x => x.tanh(),
  asinh: x => x.asinh(),
  acosh: x => positive(x).add(0.6).acosh(),
  atanh: x => inside(x).atanh(),
  sigmoid: x => x.sigmoid(),
  erf: x => x.erf(),
  erfc: x => low(x).erfc(),
  erfinv: x => inside(x).erfinv(),
  erfcx: x => special.erfcx(low(x)),
  lgamma: x => positive(x).lgamma(),
  digamma: x => positive(x).digamma(),
  polygamma: x => positive(x).polygamma(1),
  rsqrt: x => positive(x).rsqrt(),
  reciprocal: x => positive(x).reciprocal(),
  square: x => x.square(),
  frac: x => x.frac(),
  sinc: x => x.sinc(),
  logit: x => x.sigmoid().logit(1e-3),
  deg2rad: x => x.deg2rad(),
  i0: x => low(x).i0(),
  i1: x => special.i1(low(x)),
  i0e: x => special.i0e(x),
  i1e: x => special.i1e(x),
  ndtr: x => special.ndtr(x),
  logNdtr: x => special.logNdtr(low(x)),
  ndtri: x => special.ndtri(x.sigmoid()),
  entr: x => special.entr(positive(x)),
  besselJ0: x => special.besselJ0(x),
  besselJ1: x => special.besselJ1(x),
  besselY0: x => special.besselY0(positive(x)),
  modifiedBesselK0: x => special.modifiedBesselK0(positive(x)),
  airyAi: x => special.airyAi(low(x)),
  zeta: x => special.zeta(positive(x).add(1), positive(x)),
  gammainc: x => special.gammainc(positive(x), positive(x).mul(1.5)),
  chebyshevPolynomialT: x => special.chebyshevPolynomialT(inside(x), 3),
  hermitePolynomialH: x => special.hermitePolynomialH(inside(x), 3),
  mvlgamma: x => positive(x).add(2).mvlgamma(2),
  frexp: x => x.frexp().mantissa,
  nanToNum: x => x.nanToNum(),
  relu: x => x.relu(),
  relu6: x => F.relu6(x),
  leakyRelu: x => F.leakyRelu(x, { negativeSlope: 0.2 }),
  elu: x => F.elu(x, { alpha: 0.7 }),
  selu: x => F.selu(x),
  celu: x => F.celu(x, { alpha: 1.5 }),
  gelu: x => F.gelu(x),
  geluTanh: x => F.gelu(x, { approximate: 'tanh' }),
  silu: x => F.silu(x),
  mish: x => F.mish(x),
  hardswish: x => F.hardswish(x),
  hardsigmoid: x => F.hardsigmoid(x),
  hardtanh: x => F.hardtanh(x, { minVal: -0.5, maxVal: 0.75 }),
  softplus: x => F.softplus(x, { beta: 2 }),
  softsign: x => F.softsign(x),
  softshrink: x => F.softshrink(x),
  hardshrink: x => F.hardshrink(x),
  tanhshrink: x => F.tanhshrink(x),
  threshold: x => F.threshold(x, 0.1, -0.3),
  logsigmoid: x => F.logsigmoid(x),
};
const UNARY_NAMES = Object.keys(UNARY);

const INTEGER_UNARY: { readonly [name: string]: Function } = {
  abs: x => x.abs(),
  neg: x => x.neg(),
  sign: x => x.sign(),
  bitwiseNot: x => x.bitwiseNot(),
  square: x => x.square(),
  sqrt: x => x.abs().sqrt(),
  sigmoid: x => x.sigmoid(),
  relu: x => x.relu(),
};

const unary: Maker = ({ r }, x) => {
  if (x.dtype === 'bool') return call('logicalNot', null, [x], a => a.logicalNot());
  if (!isFloat(x.dtype)) {
    const name = r.pick(Object.keys(INTEGER_UNARY));
    return call(name, null, [x], INTEGER_UNARY[name]!);
  }
  const name = r.pick(UNARY_NAMES);
  return call(name, null, [x], UNARY[name]!);
};

const BINARY: { readonly [name: string]: (x: Tensor, y: Tensor) => Tensor } = {
  add: (x, y) => x.add(y),
  addScaled: (x, y) => x.add(y, { alpha: 2 }),
  sub: (x, y) => x.sub(y),
  rsub: (x, y) => x.rsub(y),
  mul: (x, y) => x.mul(y),
  div: (x, y) => x.div(positive(y)),
  divFloor: (x, y) => x.div(positive(y), { roundingMode: 'floor' }),
  divTrunc: (x, y) => x.div(positive(y), { roundingMode: 'trunc' }),
  floorDivide: (x, y) => x.floorDivide(positive(y)),
  remainder: (x, y) => x.remainder(positive(y)),
  fmod: (x, y) => x.fmod(positive(y)),
  maximum: (x, y) => x.maximum(y),
  minimum: (x, y) => x.minimum(y),
  fmax: (x, y) => x.fmax(y),
  fmin: (x, y) => x.fmin(y),
  atan2: (x, y) => x.atan2(positive(y)),
  pow: (x, y) => positive(x).pow(low(y)),
  floatPower: (x, y) => positive(low(x)).floatPower(low(y)),
  hypot: (x, y) => x.hypot(positive(y)),
  copysign: (x, y) => x.copysign(y),
  logaddexp: (x, y) => x.logaddexp(y),
  logaddexp2: (x, y) => x.logaddexp2(y),
  xlogy: (x, y) => xlogy(x, positive(y)),
  heaviside: (x, y) => x.heaviside(y),
  nextafter: (x, y) => x.nextafter(y),
  lerp: (x, y) => x.lerp(y, 0.3),
  addcmul: (x, y) => x.addcmul(y, x, { value: 0.5 }),
  addcdiv: (x, y) => x.addcdiv(y, positive(y), { value: 0.5 }),
  clampBy: (x, y) => x.clamp(y.abs().neg(), y.abs()),
  clampMax: (x, y) => x.clampMax(y),
};
const INTEGER_BINARY: { readonly [name: string]: (x: Tensor, y: Tensor) => Tensor } = {
  add: (x, y) => x.add(y),
  sub: (x, y) => x.sub(y),
  mul: (x, y) => x.mul(y),
  div: (x, y) => x.div(y.abs().add(1)),
  floorDivide: (x, y) => x.floorDivide(y.abs().add(1)),
  divTrunc: (x, y) => x.div(y.abs().add(1), { roundingMode: 'trunc' }),
  remainder: (x, y) => x.remainder(y.abs().add(1)),
  fmod: (x, y) => x.fmod(y.abs().add(1)),
  maximum: (x, y) => x.maximum(y),
  minimum: (x, y) => x.minimum(y),
  bitwiseAnd: (x, y) => x.bitwiseAnd(y),
  bitwiseOr: (x, y) => x.bitwiseOr(y),
  bitwiseXor: (x, y) => x.bitwiseXor(y),
  bitwiseLeftShift: (x, y) => x.bitwiseLeftShift(y.remainder(4)),
  bitwiseRightShift: (x, y) => x.bitwiseRightShift(y.remainder(4)),
  gcd: (x, y) => x.gcd(y),
  lcm: (x, y) => x.lcm(y),
  pow: (x, y) => x.pow(y.remainder(3)),
};

const binary: Maker = (d, x) => {
  const y = d.partner(x);
  const [a, b] = d.r.once(2) ? [x, y] : [y, x];
  if (a.dtype === 'bool' && b.dtype === 'bool') {
    const name = d.r.pick(['logicalAnd', 'logicalOr', 'logicalXor', 'bitwiseAnd', 'mul', 'maximum'] as const);
    return call(name, null, [a, b], (p, q) => p[name](q));
  }
  const table = isFloat(a.dtype) || isFloat(b.dtype) ? BINARY : INTEGER_BINARY;
  const name = d.r.pick(Object.keys(table));
  return call(name, null, [a, b], table[name]!);
};

const scalar: Maker = ({ r }, x) => {
  const name = r.pick(['add', 'sub', 'mul', 'div', 'maximumOf', 'rsub', 'pow', 'clamp', 'lerp'] as const);
  const value = isFloat(x.dtype) ? r.pick([0.5, -1.25, 2, 3]) : r.pick([1, 2, 3]);
  const of: { readonly [N in typeof name]: Function } = {
    add: a => a.add(value),
    sub: a => a.sub(value),
    mul: a => a.mul(value),
    div: a => a.div(value),
    rsub: a => a.rsub(value),
    maximumOf: a => a.clampMin(value),
    pow: a => a.pow(2),
    clamp: a => a.clamp(-Math.abs(value), Math.abs(value)),
    lerp: a => a.lerp(a.neg(), 0.25),
  };
  return call(name, [value], [x], of[name]);
};

const compared: Maker = (d, x) => {
  const name = d.r.pick(['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'isclose'] as const);
  return call(name, null, [x, d.partner(x, x.dtype)], (a, b) => a[name](b));
};

const chosen: Maker = (d, x) => {
  const mask = d.like(d.r.once(2) ? x.shape : x.shape.map(n => (d.r.once(2) ? 1 : n)), 'bool');
  if (d.r.once(3)) return call('maskedFill', [0.5], [x, mask], (a, m) => a.maskedFill(m, isFloat(a.dtype) ? 0.5 : 1));
  return call('where', null, [mask, x, d.partner(x)], (m, a, b) => where(m, a, b));
};

const cast: Maker = (d, x) => {
  const dtype = d.dtype();
  return call('to', [dtype], [x], a => a.to(dtype));
};

const prelu: Maker = (d, x) => {
  if (!isFloat(x.dtype) || x.shape.length < 2) return null;
  const w = d.like([d.r.once(2) ? 1 : x.shape[1]!], x.dtype);
  return call('prelu', null, [x, w], (a, b) => F.prelu(a, b));
};

export const ELEMENTWISE: readonly Maker[] = [
  unary, unary, unary, unary, binary, binary, binary, binary, scalar, compared, chosen, cast, prelu,
]; // biome-ignore format: a table
