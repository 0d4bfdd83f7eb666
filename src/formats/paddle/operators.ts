/**
 * Operators of Paddle's inference programs: one rule per type, from inputs and attributes to outputs (paddle/phi/api/yaml/ops.yaml and op_compat.yaml for
 * the names a program has). Programs are for inference, so gradients and training-only outputs are left out.
 */

import { arange, cat, type DType, F, full, stack, Tensor, where } from '../../tensor/index.ts';
import { dataIfKnown, knownNumbers as numbersOf } from '../controlFlow.ts';
import { gatherNd } from '../gatherNd.ts';

/** A value of a program: a tensor, and for ragged ones the offsets at which its sequences begin (level 0 of Paddle's LoD). */
export interface Value {
  readonly tensor: Tensor;
  readonly offsets?: readonly number[];
}

/** What a rule sees of its operator. */
export interface Call {
  readonly type: string;
  /** The first input of a parameter. @throws Error where there is none */
  input(parameter: string): Tensor;
  optional(parameter: string): Tensor | null;
  all(parameter: string): readonly Tensor[];
  offsets(parameter: string): readonly number[] | undefined;
  number(name: string, absent?: number): number;
  numbers(name: string, absent?: readonly number[]): readonly number[];
  text(name: string, absent?: string): string;
  flag(name: string, absent?: boolean): boolean;
  has(name: string): boolean;
  dtype(name: string): DType;
  /** What the output's variable holds before the operator runs. */
  current(parameter: string): Tensor | null;
  /** How many outputs the parameter has. */
  count(parameter: string): number;
}

/** Outputs by parameter; one that is not asked for may be left out. */
export type Outputs = Readonly<Record<string, Tensor | Value | readonly Tensor[]>>;
export type Rule = (call: Call) => Outputs;

/** Numbers of framework.proto's VarType.Type. */
export const DTYPES: Readonly<Record<number, DType>> = {
  0: 'bool', 1: 'i32', 2: 'i32', 3: 'i64', 4: 'f16', 5: 'f32', 6: 'f64', 20: 'u8', 21: 'i8', 22: 'bf16',
}; // biome-ignore format: a table

const normal = (dim: number, rank: number): number => (dim < 0 ? dim + rank : dim);

/** A list that is an attribute, or the value of an input, or several inputs of one number each. */
function listOf(call: Call, attribute: string, whole: string, parts: string): readonly number[] {
  const tensor = call.optional(whole);
  if (tensor) return numbersOf(tensor);
  const single = call.all(parts);
  return single.length > 0 ? single.map(x => numbersOf(x)[0]!) : call.numbers(attribute);
}

const unary =
  (apply: (x: Tensor, call: Call) => Tensor): Rule =>
  call => ({ Out: apply(call.input('X'), call) });

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

const reduction =
  (reduce: (x: Tensor, dims: number[], keepdim: boolean) => Tensor): Rule =>
  call => {
    const x = call.input('X');
    const listed = call.numbers('dim', [0]).map(d => normal(d, x.ndim));
    const dims = call.flag('reduce_all', false) || listed.length === 0 ? x.shape.map((_, d) => d) : listed;
    const y = dims.length === 0 ? x : reduce(x, dims, call.flag('keep_dim', false));
    const type = call.has('out_dtype') ? call.number('out_dtype') : -1;
    return { Out: type >= 0 ? y.to(call.dtype('out_dtype')) : y };
  };

/** Padding as pairs per spatial dim, from one number a dim, two, or the algorithm. */
function pads(
  call: Call,
  sizes: readonly number[],
  kernel: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): number[][] {
  const algorithm = call.text('padding_algorithm', 'EXPLICIT');
  if (algorithm === 'VALID') return sizes.map(() => [0, 0]);
  if (algorithm === 'SAME')
    return sizes.map((size, d) => {
      const reach = (kernel[d]! - 1) * dilation[d]! + 1;
      const total = Math.max(0, (Math.ceil(size / stride[d]!) - 1) * stride[d]! + reach - size);
      return [Math.floor(total / 2), total - Math.floor(total / 2)];
    });
  const given = call.numbers('paddings', [0]);
  if (given.length === 2 * sizes.length) return sizes.map((_, d) => [given[2 * d]!, given[2 * d + 1]!]);
  return sizes.map((_, d) => [given[d] ?? given[0]!, given[d] ?? given[0]!]);
}

const padded = (x: Tensor, pairs: readonly (readonly number[])[], value = 0): Tensor =>
  pairs.every(([a, b]) => a === 0 && b === 0) ? x : x.constantPad([...pairs].reverse().flat(), value);

function channelsFirst(call: Call, name = 'data_format'): void {
  const format = call.text(name, 'NCHW');
  if (format === 'NHWC') throw new Error(`${name} NHWC came, expected NCHW`);
}

const convolution: Rule = call => {
  channelsFirst(call);
  const [x, filter] = [call.input('Input'), call.input('Filter')];
  const stride = call.numbers('strides', [1, 1]);
  const dilation = call.numbers('dilations', [1, 1]);
  const pairs = pads(call, x.shape.slice(2), filter.shape.slice(2), stride, dilation);
  const options = { stride, dilation, groups: call.number('groups', 1) };
  const conv = filter.ndim === 5 ? F.conv3d : F.conv2d;
  const y = conv(padded(x, pairs), filter, null, options);
  const bias = call.optional('Bias');
  return { Output: bias ? y.add(bias.reshape([1, -1, ...filter.shape.slice(2).map(() => 1)])) : y };
};

const convolutionTranspose: Rule = call => {
  channelsFirst(call);
  const [x, filter] = [call.input('Input'), call.input('Filter')];
  const stride = call.numbers('strides', [1, 1]);
  const dilation = call.numbers('dilations', [1, 1]);
  const pairs = pads(call, x.shape.slice(2), filter.shape.slice(2), stride, dilation);
  if (pairs.some(([a, b]) => a !== b)) throw new Error(`paddings ${JSON.stringify(pairs)} differ between the sides`);
  const padding = pairs.map(([a]) => a!);
  const size = call.numbers('output_size', []);
  const extra = call.numbers('output_padding', []);
  const natural = x.shape
    .slice(2)
    .map((n, d) => (n - 1) * stride[d]! - 2 * padding[d]! + dilation[d]! * (filter.shape[2 + d]! - 1) + 1);
  const outputPadding = size.length > 0 ? size.map((n, d) => n - natural[d]!) : extra.length > 0 ? extra : 0;
  return {
    Output: F.convTranspose2d(x, filter, null, {
      stride,
      padding,
      dilation,
      outputPadding,
      groups: call.number('groups', 1),
    }),
  };
};

const pooling: Rule = call => {
  channelsFirst(call);
  const x = call.input('X');
  const kind = call.text('pooling_type', 'max');
  const spatial = x.shape.slice(2);
  if (call.flag('global_pooling', false) || (call.flag('adaptive', false) && call.numbers('ksize').every(n => n === 1)))
    return { Out: kind === 'max' ? x.amax([2, 3], { keepdim: true }) : x.mean([2, 3], { keepdim: true }) };
  const kernel = call.numbers('ksize');
  if (call.flag('adaptive', false))
    return { Out: kind === 'max' ? (F.adaptiveMaxPool2d(x, kernel) as Tensor) : F.adaptiveAvgPool2d(x, kernel) };
  const stride = call.numbers('strides', [1, 1]);
  const pairs = pads(call, spatial, kernel, stride, [1, 1]);
  const ceilMode = call.flag('ceil_mode', false);
  if (kind === 'max')
    return { Out: F.maxPool2d(padded(x, pairs, Number.NEGATIVE_INFINITY), kernel, { stride, ceilMode }) as Tensor };
  if (!call.flag('exclusive', true)) return { Out: F.avgPool2d(padded(x, pairs), kernel, { stride, ceilMode }) };
  const sums = (t: Tensor): Tensor => F.avgPool2d(padded(t, pairs), kernel, { stride, ceilMode, divisorOverride: 1 });
  return { Out: sums(x).div(sums(full([1, 1, ...spatial], 1, { dtype: x.dtype }))) };
};

const batchNorm: Rule = call => {
  channelsFirst(call, 'data_layout');
  const y = F.batchNorm(
    call.input('X'),
    call.input('Mean'),
    call.input('Variance'),
    call.optional('Scale'),
    call.optional('Bias'),
    {
      training: false,
      eps: call.number('epsilon', 1e-5),
    },
  );
  return { Y: y };
};

const layerNorm: Rule = call => {
  const x = call.input('X');
  const from = call.number('begin_norm_axis', 1);
  const shape = x.shape.slice(from);
  const [scale, bias] = [call.optional('Scale'), call.optional('Bias')];
  return {
    Y: F.layerNorm(x, shape, scale?.reshape(shape) ?? null, bias?.reshape(shape) ?? null, call.number('epsilon', 1e-5)),
  };
};

const matmul: Rule = call => {
  const turned = (x: Tensor, ...names: string[]): Tensor =>
    x.ndim > 1 && names.some(name => call.flag(name, false)) ? x.transpose(-1, -2) : x;
  const y = turned(call.input('X'), 'transpose_X', 'trans_x').matmul(turned(call.input('Y'), 'transpose_Y', 'trans_y'));
  const alpha = call.number('alpha', 1);
  return { Out: alpha === 1 ? y : y.mul(alpha) };
};

const product = (sizes: readonly number[]): number => sizes.reduce((a, n) => a * n, 1);

/** The product of two tensors flattened to matrices. */
const mul: Rule = call => {
  const [x, y] = [call.input('X'), call.input('Y')];
  const [nx, ny] = [call.number('x_num_col_dims', 1), call.number('y_num_col_dims', 1)];
  const flat = x.reshape([product(x.shape.slice(0, nx)), -1]).matmul(y.reshape([product(y.shape.slice(0, ny)), -1]));
  return { Out: flat.reshape([...x.shape.slice(0, nx), ...y.shape.slice(ny)]) };
};

/** x W + b with an activation, as the inference passes of Paddle fuse it. */
const fc: Rule = call => {
  const x = call.input('Input');
  const dims = call.number('in_num_col_dims', 1);
  const flat = x.reshape([product(x.shape.slice(0, dims)), -1]).matmul(call.input('W'));
  const bias = call.optional('Bias');
  const y = (bias ? flat.add(bias.reshape([-1])) : flat).reshape([...x.shape.slice(0, dims), -1]);
  const activation = call.text('activation_type', '');
  if (activation !== '' && activation !== 'relu')
    throw new Error(`activation_type ${activation} came, expected relu or none`);
  return { Out: activation === 'relu' ? y.relu() : y };
};

/** Rows of the table; version 1 ids have a last dim of 1 that the row takes the place of. */
const lookup =
  (version: 1 | 2): Rule =>
  call => {
    const ids = call.input('Ids');
    const table = call.input('W');
    const shape = version === 1 && ids.shape.at(-1) === 1 ? ids.shape.slice(0, -1) : ids.shape;
    const index = ids.reshape([-1]).to('i64');
    const rows = F.embedding(index, table);
    const padding = call.number('padding_idx', -1);
    const y = padding < 0 ? rows : where(index.eq(padding).unsqueeze(-1), rows.mul(0), rows);
    const offsets = call.offsets('Ids');
    return { Out: { tensor: y.reshape([...shape, table.shape[1]!]), ...(offsets && { offsets }) } };
  };

/** One row per sequence: the sum, average, root-scaled sum, largest, first or last of its rows. */
const sequencePool: Rule = call => {
  const x = call.input('X');
  const offsets = call.offsets('X');
  if (!offsets) throw new Error('sequence_pool needs a ragged input: give { values, offsets } instead of a tensor');
  const kind = call.text('pooltype', 'AVERAGE');
  const empty = full([1, ...x.shape.slice(1)], call.number('pad_value', 0), { dtype: x.dtype });
  const rows = offsets.slice(1).map((end, i) => {
    const [begin, length] = [offsets[i]!, end - offsets[i]!];
    if (length === 0) return empty;
    const part = x.narrow(0, begin, length);
    const sum = (): Tensor => part.sum(0, { keepdim: true });
    if (kind === 'SUM') return sum();
    if (kind === 'AVERAGE') return sum().div(length);
    if (kind === 'SQRT') return sum().div(Math.sqrt(length));
    if (kind === 'MAX') return part.amax(0, { keepdim: true });
    if (kind === 'FIRST') return part.narrow(0, 0, 1);
    if (kind === 'LAST') return part.narrow(0, length - 1, 1);
    throw new Error(`pooltype ${kind} came, expected SUM, AVERAGE, SQRT, MAX, FIRST or LAST`);
  });
  return { Out: cat(rows, 0) };
};

const scale: Rule = call => {
  const x = call.input('X');
  const factor = call.optional('ScaleTensor') ?? call.number('scale', 1);
  const bias = call.number('bias', 0);
  const y = call.flag('bias_after_scale', true) ? x.mul(factor).add(bias) : x.add(bias).mul(factor);
  return { Out: y.to(x.dtype) };
};

const reshape: Rule = call => {
  const x = call.input('X');
  const shape = listOf(call, 'shape', 'Shape', 'ShapeTensor');
  return { Out: x.reshape(shape.map((n, d) => (n === 0 ? x.shape[d]! : n))) };
};

const slice: Rule = call => {
  const axes = call.numbers('axes');
  const starts = listOf(call, 'starts', 'StartsTensor', 'StartsTensorList');
  const ends = listOf(call, 'ends', 'EndsTensor', 'EndsTensorList');
  const steps =
    call.type === 'strided_slice' ? listOf(call, 'strides', 'StridesTensor', 'StridesTensorList') : axes.map(() => 1);
  let y = call.input('Input');
  axes.forEach((axis, i) => {
    y = y.slice(axis, starts[i]!, ends[i]!, steps[i]!);
  });
  const dropped = call.numbers('decrease_axis', []);
  return { Out: dropped.length > 0 ? y.squeeze([...dropped]) : y };
};

const split: Rule = call => {
  const x = call.input('X');
  const axis = normal(
    call.optional('AxisTensor') ? numbersOf(call.input('AxisTensor'))[0]! : call.number('axis', 0),
    x.ndim,
  );
  const sections = call.numbers('sections', []);
  const parts = call.number('num', 0);
  if (sections.length === 0) return { Out: x.split(x.shape[axis]! / (parts || call.count('Out')), axis) };
  const rest = x.shape[axis]! - sections.filter(n => n >= 0).reduce((a, n) => a + n, 0);
  return {
    Out: x.split(
      sections.map(n => (n < 0 ? rest : n)),
      axis,
    ),
  };
};

const interpolation =
  (mode: 'nearest' | 'bilinear'): Rule =>
  call => {
    channelsFirst(call, 'data_layout');
    const x = call.input('X');
    const scales = call.numbers('scale', []);
    const given = listOf(call, 'out_shape', 'OutSize', 'SizeTensor');
    const attributes = [call.number('out_h', -1), call.number('out_w', -1)];
    const size =
      scales.length > 0 && scales[0]! > 0
        ? x.shape.slice(2).map((n, d) => Math.floor(n * (scales[d] ?? scales[0]!)))
        : given.length > 0
          ? given
          : attributes;
    if (mode === 'nearest') return { Out: F.interpolate(x, { size, mode }) };
    const corners = call.flag('align_corners', true);
    // align_mode 1 without corners places pixels at multiples of the scale.
    if (!corners && call.number('align_mode', 1) === 1)
      throw new Error('align_mode 1 without align_corners is not known');
    return { Out: F.interpolate(x, { size, mode, alignCorners: corners }) };
  };

const filled: Rule = call => {
  const shape = listOf(call, 'shape', 'ShapeTensor', 'ShapeTensorList');
  const text = call.text('str_value', '');
  const given = call.optional('ValueTensor');
  const value = given ? numbersOf(given)[0]! : text !== '' ? Number(text) : call.number('value', 0);
  return { Out: full([...shape], value, { dtype: call.dtype('dtype') }) };
};

const ACTIVATIONS: Readonly<Record<string, Rule>> = {
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

const ARITHMETIC: Readonly<Record<string, Rule>> = {
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
  matmul,
  matmul_v2: matmul,
  bmm: matmul,
  mul,
  fc,
  dot: call => ({ Out: call.input('X').mul(call.input('Y')).sum(-1) }),
};

const REDUCTIONS: Readonly<Record<string, Rule>> = {
  reduce_sum: reduction((x, dims, keepdim) => x.sum(dims, { keepdim })),
  reduce_mean: reduction((x, dims, keepdim) => x.mean(dims, { keepdim })),
  reduce_max: reduction((x, dims, keepdim) => x.amax(dims, { keepdim })),
  reduce_min: reduction((x, dims, keepdim) => x.amin(dims, { keepdim })),
  reduce_all: reduction((x, dims, keepdim) => x.all(dims, { keepdim })),
  reduce_any: reduction((x, dims, keepdim) => x.any(dims, { keepdim })),
  reduce_prod: reduction((x, dims, keepdim) => {
    const kept = dims.reduce((y, d) => y.prod(d, { keepdim: true }), x);
    return keepdim ? kept : kept.squeeze(dims);
  }),
  mean: unary(x => x.mean()),
  arg_max: unary((x, call) => argument(x, call, (y, dim) => y.argmax(dim))),
  arg_min: unary((x, call) => argument(x, call, (y, dim) => y.argmin(dim))),
  top_k: call => topk(call, -1),
  top_k_v2: call => topk(call, call.number('axis', -1)),
  p_norm: unary((x, call) =>
    x.norm(call.number('porder', 2), call.number('axis', -1), { keepdim: call.flag('keepdim', false) }),
  ),
  cumsum: unary((x, call) => {
    const dim = call.number('axis', -1);
    const turned = call.flag('reverse', false) ? x.flip(dim) : x;
    const sums = turned.cumsum(dim);
    const y = call.flag('exclusive', false) ? sums.sub(turned) : sums;
    return call.flag('reverse', false) ? y.flip(dim) : y;
  }),
};

function argument(x: Tensor, call: Call, pick: (x: Tensor, dim: number) => Tensor): Tensor {
  const flat = call.flag('flatten', false) ? x.reshape([-1]) : x;
  const dim = normal(call.number('axis', -1), flat.ndim);
  const y = pick(flat, dim);
  const kept = call.flag('keepdims', false) ? y.unsqueeze(dim) : y;
  return call.has('dtype') && call.number('dtype') >= 0 ? kept.to(call.dtype('dtype')) : kept;
}

function topk(call: Call, dim: number): Outputs {
  const k = call.optional('K') ? numbersOf(call.input('K'))[0]! : call.number('k', 1);
  const { values, indices } = call.input('X').topk(k, dim, { largest: call.flag('largest', true) });
  return { Out: values, Indices: indices };
}

const SHAPES: Readonly<Record<string, Rule>> = {
  reshape,
  reshape2: reshape,
  transpose: unary((x, call) => x.permute(call.numbers('axis'))),
  transpose2: unary((x, call) => x.permute(call.numbers('axis'))),
  flatten: unary((x, call) => x.reshape([product(x.shape.slice(0, call.number('axis', 1))), -1])),
  flatten2: unary((x, call) => x.reshape([product(x.shape.slice(0, call.number('axis', 1))), -1])),
  flatten_contiguous_range: unary((x, call) => x.flatten(call.number('start_axis', 1), call.number('stop_axis', -1))),
  squeeze: unary(squeezed),
  squeeze2: unary(squeezed),
  unsqueeze: call => ({ Out: unsqueezed(call) }),
  unsqueeze2: call => ({ Out: unsqueezed(call) }),
  slice,
  strided_slice: slice,
  split,
  concat: call => ({
    Out: cat(
      call.all('X'),
      call.optional('AxisTensor') ? numbersOf(call.input('AxisTensor'))[0]! : call.number('axis', 0),
    ),
  }),
  stack: call => ({ Y: stack(call.all('X'), call.number('axis', 0)) }),
  unstack: call => ({ Y: call.input('X').unbind(call.number('axis', 0)) }),
  expand_v2: call => ({ Out: call.input('X').expand([...listOf(call, 'shape', 'Shape', 'expand_shapes_tensor')]) }),
  expand: call => ({
    Out: call.input('X').tile([...listOf(call, 'expand_times', 'ExpandTimes', 'expand_times_tensor')]),
  }),
  tile: call => ({
    Out: call.input('X').tile([...listOf(call, 'repeat_times', 'RepeatTimes', 'repeat_times_tensor')]),
  }),
  expand_as_v2: call => ({ Out: call.input('X').expand([...call.numbers('target_shape')]) }),
  shape: call => ({
    Out: Tensor.from(Int32Array.from(call.input('Input').shape), { shape: [call.input('Input').ndim] }),
  }),
  cast: unary((x, call) => x.to(call.dtype('out_dtype'))),
  assign: unary(x => x),
  share_data: unary(x => x),
  print: unary(x => x),
  fill_constant: filled,
  fill_any_like: call => ({
    Out: full(call.input('X').shape, call.number('value', 0), {
      dtype: call.number('dtype', -1) < 0 ? call.input('X').dtype : call.dtype('dtype'),
    }),
  }),
  fill_constant_batch_size_like: call => {
    const shape = [...call.numbers('shape')];
    shape[call.number('output_dim_idx', 0)] = call.input('Input').shape[call.number('input_dim_idx', 0)]!;
    return { Out: full(shape, call.number('value', 0), { dtype: call.dtype('dtype') }) };
  },
  assign_value: call => {
    const lists = ['values', 'fp32_values', 'int32_values', 'int64_values', 'bool_values', 'fp64_values'];
    const values = lists.map(name => call.numbers(name, [])).find(list => list.length > 0) ?? [];
    return { Out: Tensor.from([...values], { shape: [...call.numbers('shape')], dtype: call.dtype('dtype') }) };
  },
  range: call => {
    const [from, to, step] = ['Start', 'End', 'Step'].map(name => numbersOf(call.input(name))[0]!) as [
      number,
      number,
      number,
    ];
    return { Out: arange(from, to, step, { dtype: call.input('Start').dtype }) };
  },
  gather: call => {
    const axis = call.optional('Axis') ? numbersOf(call.input('Axis'))[0]! : call.number('axis', 0);
    return { Out: call.input('X').indexSelect(axis, call.input('Index').reshape([-1]).to('i64')) };
  },
  gather_nd: call => ({ Out: gatherNd(call.input('X'), call.input('Index')) }),
  index_select: call => ({ Out: call.input('X').indexSelect(call.number('dim', 0), call.input('Index').to('i64')) }),
  where: call => ({ Out: where(call.input('Condition'), call.input('X'), call.input('Y')) }),
  one_hot: call => ({ Out: oneHot(call, call.input('X').squeeze(-1)) }),
  one_hot_v2: call => ({ Out: oneHot(call, call.input('X')) }),
  pad: unary((x, call) => {
    const flat = call.numbers('paddings');
    return padded(
      x,
      x.shape.map((_, d) => [flat[2 * d]!, flat[2 * d + 1]!]),
      call.number('pad_value', 0),
    );
  }),
  pad3d: unary((x, call) => padded5d(x, call)),
  tril_triu: unary((x, call) =>
    call.flag('lower', true) ? x.tril(call.number('diagonal', 0)) : x.triu(call.number('diagonal', 0)),
  ),
  roll: unary((x, call) => {
    const dims = call.numbers('axis', []);
    return dims.length > 0 ? x.roll(call.numbers('shifts'), dims) : x.roll(call.numbers('shifts')[0]!);
  }),
  flip: unary((x, call) => x.flip(call.numbers('axis'))),
};

function squeezed(x: Tensor, call: Call): Tensor {
  const dims = call.numbers('axes', []);
  return dims.length > 0 ? x.squeeze(dims.map(d => normal(d, x.ndim))) : x.squeeze();
}

function unsqueezed(call: Call): Tensor {
  return listOf(call, 'axes', 'AxesTensor', 'AxesTensorList').reduce((y, d) => y.unsqueeze(d), call.input('X'));
}

const oneHot = (call: Call, ids: Tensor): Tensor => {
  const depth = call.optional('depth_tensor') ? numbersOf(call.input('depth_tensor'))[0]! : call.number('depth', -1);
  return F.oneHot(ids.to('i64'), depth).to(call.has('dtype') ? call.dtype('dtype') : 'f32');
};

/** Amounts from the last dim on, as PyTorch's. */
function padded5d(x: Tensor, call: Call): Tensor {
  if (call.text('data_format', 'NCDHW') !== 'NCDHW')
    throw new Error(`data_format ${call.text('data_format')} came, expected NCDHW`);
  const mode = call.text('mode', 'constant');
  if (mode === 'constant') return F.pad(x, call.numbers('paddings'), { value: call.number('value', 0) });
  if (mode !== 'reflect' && mode !== 'replicate' && mode !== 'circular')
    throw new Error(`mode ${mode} came, expected constant, reflect, replicate or circular`);
  return F.pad(x, call.numbers('paddings'), { mode });
}

const NETWORKS: Readonly<Record<string, Rule>> = {
  conv2d: convolution,
  depthwise_conv2d: convolution,
  conv3d: convolution,
  conv2d_transpose: convolutionTranspose,
  depthwise_conv2d_transpose: convolutionTranspose,
  pool2d: pooling,
  batch_norm: batchNorm,
  sync_batch_norm: batchNorm,
  layer_norm: layerNorm,
  instance_norm: call => ({
    Y: F.instanceNorm(call.input('X'), {
      weight: call.optional('Scale'),
      bias: call.optional('Bias'),
      eps: call.number('epsilon', 1e-5),
    }),
  }),
  group_norm: call => ({
    Y: F.groupNorm(
      call.input('X'),
      call.number('groups'),
      call.optional('Scale'),
      call.optional('Bias'),
      call.number('epsilon', 1e-5),
    ),
  }),
  // In inference: upscale_in_train is the identity, downgrade_in_infer scales.
  dropout: unary((x, call) =>
    call.text('dropout_implementation', 'downgrade_in_infer') === 'upscale_in_train'
      ? x
      : x.mul(1 - call.number('dropout_prob', 0.5)),
  ),
  lookup_table: lookup(1),
  lookup_table_v2: lookup(2),
  sequence_pool: sequencePool,
  nearest_interp: interpolation('nearest'),
  nearest_interp_v2: interpolation('nearest'),
  bilinear_interp: interpolation('bilinear'),
  bilinear_interp_v2: interpolation('bilinear'),
  pixel_shuffle: unary((x, call) => F.pixelShuffle(x, call.number('upscale_factor', 1))),
};

/** Arrays of tensors of one shape, which loops fill: one tensor with the elements along its first dim. */
const ARRAYS: Readonly<Record<string, Rule>> = {
  write_to_array: call => {
    const [array, item, index] = [call.current('Out'), call.input('X').unsqueeze(0), call.input('I').reshape([1])];
    if (!array) return { Out: item };
    const known = dataIfKnown(index);
    if (known && Number(known[0]) >= array.shape[0]!) return { Out: cat([array, item], 0) };
    return { Out: array.indexCopy(0, index.to('i64'), item) };
  },
  read_from_array: call => ({
    Out: call
      .input('X')
      .indexSelect(0, call.input('I').reshape([1]).to('i64'))
      .squeeze(0),
  }),
  lod_array_length: call => ({ Out: full([1], call.input('X').shape[0]!, { dtype: 'i64' }) }),
  tensor_array_to_tensor: call => {
    const x = call.input('X');
    const axis = call.number('axis', 0);
    const joined = call.flag('use_stack', false) ? stack(x.unbind(0), axis) : cat(x.unbind(0), axis);
    return { Out: joined, OutIndex: full([x.shape[0]!], x.shape[axis + 1] ?? 1, { dtype: 'i32' }) };
  },
};

/** Every operator that can be run; feed and fetch are the program's own, as is control flow. */
export const OPERATORS: Readonly<Record<string, Rule>> = {
  ...ACTIVATIONS,
  ...ARITHMETIC,
  ...REDUCTIONS,
  ...SHAPES,
  ...NETWORKS,
  ...ARRAYS,
};
