/**
 * Activations and arithmetic, element by element.
 */
import { F, type Tensor } from '../../../tensor/index.ts';
import { type Rule, unary } from './rule.ts';

/** y stands at dim `axis` of x and is broadcast over the rest; -1 is NumPy's rule. */
const elementwise =
  (apply: (x: Tensor, y: Tensor) => Tensor): Rule =>
  call => {
    const x = call.input('X');
    const y = call.input('Y');
    const axis = call.number('axis', -1);
    if (axis === -1 || x.ndim <= y.ndim) return { Out: apply(x, y) };
    // Trailing ones of y are left out where it is placed.
    const shape = [...y.shape];
    while (shape.length > 0 && axis + shape.length > x.ndim && shape.at(-1) === 1) shape.pop();
    const placed = y.reshape([...shape, ...new Array<number>(Math.max(0, x.ndim - axis - shape.length)).fill(1)]);
    return { Out: apply(x, placed) };
  };

const scale: Rule = call => {
  const x = call.input('X');
  const factor = call.optional('ScaleTensor') ?? call.number('scale', 1);
  const bias = call.number('bias', 0);
  const y = call.flag('bias_after_scale', true) ? x.mul(factor).add(bias) : x.add(bias).mul(factor);
  return { Out: y.to(x.dtype) };
};

export const ACTIVATIONS: Readonly<Record<string, Rule>> = {
  relu: unary(x => x.relu()),
  relu6: unary(F.relu6),
  sigmoid: unary(x => x.sigmoid()),
  tanh: unary(x => x.tanh()),
  gelu: unary((x, call) => F.gelu(x, { approximate: call.flag('approximate', false) ? 'tanh' : 'none' })),
  leaky_relu: unary((x, call) => F.leakyRelu(x, { negativeSlope: call.number('alpha', 0.02) })),
  elu: unary((x, call) => F.elu(x, { alpha: call.number('alpha', 1) })),
  silu: unary(F.silu),
  swish: unary((x, call) => x.mul(x.mul(call.number('beta', 1)).sigmoid())),
  mish: unary(F.mish),
  softplus: unary((x, call) =>
    F.softplus(x, { beta: call.number('beta', 1), threshold: call.number('threshold', 20) }),
  ),
  softsign: unary(F.softsign),
  hard_swish: unary((x, call) =>
    x.mul(x.add(call.number('offset', 3)).clamp(0, call.number('threshold', 6))).div(call.number('scale', 6)),
  ),
  hard_sigmoid: unary((x, call) => x.mul(call.number('slope', 0.2)).add(call.number('offset', 0.5)).clamp(0, 1)),
  prelu: call => {
    const [x, alpha] = [call.input('X'), call.input('Alpha')];
    const spread =
      call.text('mode', 'all') === 'channel' ? alpha.reshape([1, -1, ...x.shape.slice(2).map(() => 1)]) : alpha;
    return { Out: x.relu().sub(spread.mul(x.neg().relu())) };
  },
  softmax: unary((x, call) => x.softmax(call.number('axis', -1))),
  log_softmax: unary((x, call) => x.logSoftmax(call.number('axis', -1))),
};

export const ARITHMETIC: Readonly<Record<string, Rule>> = {
  elementwise_add: elementwise((x, y) => x.add(y)),
  elementwise_sub: elementwise((x, y) => x.sub(y)),
  elementwise_mul: elementwise((x, y) => x.mul(y)),
  elementwise_div: elementwise((x, y) => x.div(y)),
  elementwise_max: elementwise((x, y) => x.maximum(y)),
  elementwise_min: elementwise((x, y) => x.minimum(y)),
  elementwise_pow: elementwise((x, y) => x.pow(y)),
  elementwise_mod: elementwise((x, y) => x.remainder(y)),
  elementwise_floordiv: elementwise((x, y) => x.div(y, { roundingMode: 'floor' })),
  equal: elementwise((x, y) => x.eq(y)),
  not_equal: elementwise((x, y) => x.ne(y)),
  less_than: elementwise((x, y) => x.lt(y)),
  less_equal: elementwise((x, y) => x.le(y)),
  greater_than: elementwise((x, y) => x.gt(y)),
  greater_equal: elementwise((x, y) => x.ge(y)),
  logical_and: elementwise((x, y) => x.logicalAnd(y)),
  logical_or: elementwise((x, y) => x.logicalOr(y)),
  logical_not: unary(x => x.logicalNot()),
  logical_xor: elementwise((x, y) => x.logicalXor(y)),
  increment: unary((x, call) => x.add(call.number('step', 1)).to(x.dtype)),
  exp: unary(x => x.exp()),
  log: unary(x => x.log()),
  log1p: unary(x => x.log1p()),
  sqrt: unary(x => x.sqrt()),
  rsqrt: unary(x => x.rsqrt()),
  square: unary(x => x.square()),
  abs: unary(x => x.abs()),
  sign: unary(x => x.sign()),
  floor: unary(x => x.floor()),
  ceil: unary(x => x.ceil()),
  round: unary(x => x.round()),
  reciprocal: unary(x => x.reciprocal()),
  sin: unary(x => x.sin()),
  cos: unary(x => x.cos()),
  erf: unary(x => x.erf()),
  pow: unary((x, call) => x.pow(call.number('factor', 1))),
  clip: unary((x, call) =>
    x.clamp(call.optional('Min') ?? call.number('min', 0), call.optional('Max') ?? call.number('max', 0)),
  ),
  scale,
  sum: call => ({ Out: call.all('X').reduce((a, b) => a.add(b)) }),
};
