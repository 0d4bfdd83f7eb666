/** Draws of operators that work element by element, or reduce: see draw.ts. */
import { A, codeOf, type Draw, type Drawn, FLOATS, type Input, NUMBERS, type Operator, SIGNED, SINCE, type Type, UNSIGNED } from './draw.ts'; // biome-ignore format: one line

const ALL = SINCE(7);

const unary = (types: readonly Type[], low = -3, high = 3, attributes: (d: Draw) => Drawn['attributes'] = () => []): Operator => ({
  opsets: ALL,
  entry: d => ({ inputs: [d.tensor(d.pick(types), d.shape(0), low, high)], attributes: attributes(d)! }),
}); // biome-ignore format: one line

const pair = (d: Draw, type: Type, low = -3, high = 3): Input[] => {
  const dims = d.shape(0);
  const [a, b] = [d.tensor(type, dims, low, high), d.tensor(type, d.broadcast(dims), low, high)];
  return d.flag() ? [a, b] : [b, a];
};
const binary = (types: readonly Type[], opsets = ALL, low = -3, high = 3): Operator => ({
  opsets,
  entry: d => ({ inputs: pair(d, d.pick(types), low, high) }),
});
const variadic: Operator = {
  opsets: SINCE(8),
  entry: d => {
    const [type, dims] = [d.pick(FLOATS), d.shape(0)];
    return { inputs: Array.from({ length: d.int(1, 4) }, (_, i) => d.tensor(type, i === 0 ? dims : d.broadcast(dims))) }; // biome-ignore format: one line
  },
};
const extreme: Operator = {
  opsets: SINCE(13),
  entry: d => {
    const [type, dims] = [d.pick(NUMBERS), d.shape(0)];
    return { inputs: Array.from({ length: d.int(1, 3) }, (_, i) => d.tensor(type, i === 0 ? dims : d.broadcast(dims), -9, 9)) }; // biome-ignore format: one line
  },
};

/** Axes as an attribute before `since`, as an input from then on. */
const reduction = (since: number, types: readonly Type[] = [...FLOATS, 'int32', 'int64'], low = -3): Operator => ({
  opsets: ALL,
  entry: d => {
    const x = d.tensor(d.pick(types), d.shape(1), low, 3);
    const axes = d.some(x.dims.map((_, i) => i)).map(axis => (d.flag() ? axis : axis - x.dims.length));
    const attributes = d.maybe(A.int('keepdims', d.flag()));
    if (d.opset < since) return { inputs: [x], attributes: axes.length > 0 ? [...attributes, A.ints('axes', axes)] : attributes }; // biome-ignore format: one line
    return { inputs: [x, d.flag() ? d.int64s(axes) : null], attributes: [...attributes, ...d.maybe(A.int('noop_with_empty_axes', d.flag()))] }; // biome-ignore format: one line
  },
});

const argExtreme: Operator = {
  opsets: ALL,
  entry: d => {
    // Few values, so that the extreme comes more than once.
    const x = d.tensor(d.pick([...FLOATS, 'int8', 'uint8', 'int32', 'int64']), d.shape(1), -2, 2);
    const whole = { ...x, data: x.data };
    return {
      inputs: [whole],
      attributes: [
        ...d.maybe(A.int('axis', d.opset < 11 ? d.int(0, x.dims.length - 1) : d.axis(x.dims.length)), A.int('keepdims', d.flag())), // biome-ignore format: one line
        ...(d.opset >= 12 ? d.maybe(A.int('select_last_index', d.flag())) : []),
      ],
    };
  },
};

const soft: Operator = {
  opsets: ALL,
  entry: d => {
    const x = d.tensor(d.pick(FLOATS), d.shape(1));
    return { inputs: [x], attributes: d.maybe(A.int('axis', d.opset < 11 ? d.int(0, x.dims.length - 1) : d.axis(x.dims.length))) }; // biome-ignore format: one line
  },
};

const running: Operator = {
  opsets: SINCE(11),
  entry: d => {
    const x = d.tensor(d.pick(['float', 'double', 'int32', 'int64', 'float16']), d.shape(1));
    return {
      inputs: [x, d.scalar(d.pick(['int32', 'int64']), d.axis(x.dims.length))],
      attributes: d.maybe(A.int('exclusive', d.flag()), A.int('reverse', d.flag())),
    };
  },
};

/** Operators by name. */
export const ELEMENTS: Readonly<Record<string, Operator>> = {
  Abs: unary(NUMBERS, -9, 9),
  Acos: unary(FLOATS, -1, 1),
  Acosh: unary(FLOATS, 1, 4),
  Add: binary(NUMBERS, ALL, -100, 100),
  And: binary(['bool']),
  ArgMax: argExtreme,
  ArgMin: argExtreme,
  Asin: unary(FLOATS, -1, 1),
  Asinh: unary(FLOATS),
  Atan: unary(FLOATS),
  Atanh: unary(FLOATS, -0.9, 0.9),
  BitShift: {
    opsets: SINCE(11),
    entry: d => ({ inputs: pair(d, d.pick(UNSIGNED), 0, 9), attributes: [A.text('direction', d.pick(['LEFT', 'RIGHT']))] }), // biome-ignore format: one line
  },
  BitwiseAnd: binary([...SIGNED, ...UNSIGNED], SINCE(18), -100, 100),
  BitwiseNot: { opsets: SINCE(18), entry: unary([...SIGNED, ...UNSIGNED], -100, 100).entry },
  BitwiseOr: binary([...SIGNED, ...UNSIGNED], SINCE(18), -100, 100),
  BitwiseXor: binary([...SIGNED, ...UNSIGNED], SINCE(18), -100, 100),
  Ceil: unary(FLOATS),
  Celu: unary(FLOATS, -3, 3, d => d.maybe(A.float('alpha', d.real(0.5, 2)))),
  Clip: {
    opsets: ALL,
    entry: d => {
      if (d.opset < 11) return { inputs: [d.tensor(d.pick(FLOATS), d.shape(0))], attributes: d.maybe(A.float('min', -1), A.float('max', 1)) }; // biome-ignore format: one line
      const type = d.opset < 12 ? 'float' : d.pick(NUMBERS);
      return { inputs: [d.tensor(type, d.shape(0), -9, 9), d.flag() ? d.scalar(type, 1) : null, d.flag() ? d.scalar(type, 5) : null] }; // biome-ignore format: one line
    },
  },
  BitCast: { opsets: [26], entry: d => {
    const [from, to] = d.pick([['float', 'int32'], ['int64', 'double'], ['uint8', 'int8'], ['int16', 'uint16'], ['uint32', 'float']] as const);
    return { inputs: [d.tensor(from, d.shape(0), 0, 9)], attributes: [A.int('to', codeOf(to))] };
  } }, // biome-ignore format: as it is
  Cos: unary(FLOATS),
  Cosh: unary(FLOATS),
  CumProd: { opsets: [26], entry: running.entry },
  CumSum: running,
  Div: binary(NUMBERS, SINCE(14), 1, 100),
  Elu: unary(FLOATS, -3, 3, d => d.maybe(A.float('alpha', d.real(0.5, 2)))),
  Equal: binary([...NUMBERS, 'bool', 'string'], SINCE(11), -1, 1),
  Erf: { opsets: SINCE(9), entry: unary(FLOATS).entry },
  Exp: unary(FLOATS),
  Floor: unary(FLOATS),
  Gelu: { opsets: SINCE(20), entry: unary(FLOATS, -3, 3, d => d.maybe(A.text('approximate', d.pick(['none', 'tanh'])))).entry }, // biome-ignore format: one line
  Greater: binary(NUMBERS, SINCE(9), -2, 2),
  GreaterOrEqual: binary(NUMBERS, SINCE(12), -2, 2),
  HardSigmoid: unary(FLOATS, -3, 3, d => d.maybe(A.float('alpha', 0.3), A.float('beta', 0.4))),
  HardSwish: { opsets: SINCE(14), entry: unary(FLOATS, -4, 4).entry },
  Hardmax: soft,
  IsInf: { opsets: SINCE(10), entry: d => ({ inputs: [d.of(d.pick(['float', 'double']), [4], [1, Infinity, -Infinity, Number.NaN])], attributes: d.maybe(A.int('detect_negative', d.flag()), A.int('detect_positive', d.flag())) }) }, // biome-ignore format: one line
  IsNaN: { opsets: SINCE(9), entry: d => ({ inputs: [d.of(d.pick(FLOATS), [3], [1, Number.NaN, -2])] }) },
  LeakyRelu: unary(FLOATS, -3, 3, d => d.maybe(A.float('alpha', 0.2))),
  Less: binary(NUMBERS, SINCE(9), -2, 2),
  LessOrEqual: binary(NUMBERS, SINCE(12), -2, 2),
  Log: unary(FLOATS, 0.1, 9),
  LogSoftmax: soft,
  Max: extreme,
  Mean: variadic,
  Min: extreme,
  Mish: { opsets: SINCE(18), entry: unary(FLOATS).entry },
  Mod: {
    opsets: SINCE(10),
    entry: d => {
      const type = d.pick(NUMBERS);
      const dims = d.shape(0);
      const sign = type.startsWith('u') || d.flag() ? 1 : -1;
      const by = d.tensor(type, d.broadcast(dims), 1, 7);
      const divisor = sign > 0 ? by : { ...by, data: by.data.map(v => (typeof v === 'bigint' ? -v : -Number(v)) as never) as never }; // biome-ignore format: one line
      return { inputs: [d.tensor(type, dims, -20, 20), type === 'float16' ? by : divisor], attributes: FLOATS.includes(type) ? [A.int('fmod', 1)] : d.maybe(A.int('fmod', d.flag())) }; // biome-ignore format: one line
    },
  },
  Mul: binary(NUMBERS, SINCE(14), -9, 9),
  Neg: unary([...FLOATS, ...SIGNED], -9, 9),
  Not: unary(['bool']),
  Or: binary(['bool']),
  PRelu: {
    opsets: SINCE(9),
    entry: d => {
      const [type, dims] = [d.pick(FLOATS), d.shape(1)];
      return { inputs: [d.tensor(type, dims), d.tensor(type, d.broadcast(dims))] };
    },
  },
  Pow: {
    opsets: SINCE(12),
    entry: d => {
      const dims = d.shape(0);
      const exponent = d.pick(['float', 'double', 'int32', 'int64'] as const);
      return { inputs: [d.tensor(d.pick(['float', 'double', 'int32', 'int64']), dims, 1, 4), d.tensor(exponent, d.broadcast(dims), 0, 3)] }; // biome-ignore format: one line
    },
  },
  Reciprocal: unary(FLOATS, 0.5, 3),
  ReduceL1: reduction(18),
  ReduceL2: reduction(18),
  ReduceLogSum: reduction(18, FLOATS, 0.5),
  ReduceLogSumExp: reduction(18, FLOATS),
  ReduceMax: reduction(18, ['float', 'double', 'int8', 'uint8', 'int32', 'int64']),
  ReduceMean: reduction(18),
  ReduceMin: reduction(18, ['float', 'double', 'int8', 'uint8', 'int32', 'int64']),
  ReduceProd: reduction(18),
  ReduceSum: reduction(13),
  ReduceSumSquare: reduction(18),
  Relu: unary([...FLOATS, 'int8', 'int32'], -9, 9),
  Round: { opsets: SINCE(11), entry: d => ({ inputs: [d.of(d.pick(FLOATS), [8], [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.3, -2.7])] }) }, // biome-ignore format: one line
  Selu: unary(FLOATS, -3, 3, d => d.maybe(A.float('alpha', 1.5), A.float('gamma', 1.2))),
  Shrink: { opsets: SINCE(9), entry: unary([...FLOATS, 'int32', 'uint8', 'int8'], -5, 5, d => d.maybe(A.float('lambd', 1), A.float('bias', 2))).entry }, // biome-ignore format: one line
  Sigmoid: unary(FLOATS),
  Sign: { opsets: SINCE(9), entry: unary(NUMBERS, -2, 2).entry },
  Sin: unary(FLOATS),
  Sinh: unary(FLOATS),
  Softmax: soft,
  Softplus: unary(FLOATS, -30, 30),
  Softsign: unary(FLOATS),
  Sqrt: unary(FLOATS, 0, 9),
  Sub: binary(NUMBERS, SINCE(14), -100, 100),
  Sum: variadic,
  Tan: unary(FLOATS, -1.2, 1.2),
  Tanh: unary(FLOATS),
  ThresholdedRelu: { opsets: SINCE(10), entry: unary(FLOATS, -3, 3, d => d.maybe(A.float('alpha', 0.5))).entry },
  Xor: binary(['bool']),
};
