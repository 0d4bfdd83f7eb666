/**
 * Operators of TensorFlow graphs as TensorFlow.js converts them: one rule per operator, from inputs and attributes to outputs
 * (tensorflow/core/ops/*.cc; the converter keeps these names). Numbers that decide shapes are read as values.
 */

import { arange, cat, type DType, einsum, F, full, isFloat, stack, Tensor, where } from '../../tensor/index.ts';
import { knownNumbers as numbers } from '../controlFlow.ts';
import { gatherNd } from '../gatherNd.ts';
import { LISTS } from './lists.ts';
import {
  avgPool,
  channelsLast,
  channelsSecond,
  conv,
  convTranspose,
  depthwiseConv,
  maxPool,
  type Window,
} from './windows.ts';

/** Attributes of one node, by TensorFlow's AttrValue. */
export interface Attributes {
  number(name: string, absent?: number): number;
  flag(name: string): boolean;
  text(name: string, absent?: string): string;
  numbers(name: string): readonly number[];
  texts(name: string): readonly string[];
  dtype(name: string, absent?: DType): DType;
}

export type Operator = (inputs: readonly Tensor[], attributes: Attributes) => Tensor | readonly Tensor[];

/** The numbers of a tensor that says sizes, axes or places. */
const number = (x: Tensor): number => numbers(x)[0]!;
const i32 = (values: readonly number[]): Tensor => Tensor.from(Int32Array.from(values), { shape: [values.length] });

const unary =
  (apply: (x: Tensor) => Tensor): Operator =>
  ([x]) =>
    apply(x!);
const binary =
  (apply: (a: Tensor, b: Tensor) => Tensor): Operator =>
  ([a, b]) =>
    apply(a!, b!);

const reduction =
  (reduce: (x: Tensor, dims: number[], keepdim: boolean) => Tensor): Operator =>
  ([x, axes], attributes) => {
    const dims = numbers(axes!).map(d => (d < 0 ? d + x!.ndim : d));
    return dims.length === 0 ? x! : reduce(x!, dims, attributes.flag('keep_dims'));
  };

function windowOf(attributes: Attributes): Window {
  if (attributes.text('data_format', 'NHWC') !== 'NHWC')
    throw new Error(`data_format ${attributes.text('data_format')} came, expected NHWC`);
  const padding = attributes.text('padding').toLowerCase();
  const dilations = attributes.numbers('dilations');
  const explicit = attributes.numbers('explicit_paddings');
  const window = {
    stride: attributes.numbers('strides').slice(1, 3),
    ...(dilations.length > 0 && { dilation: dilations.slice(1, 3) }),
  };
  if (padding === 'explicit')
    return {
      ...window,
      padding: [
        [explicit[2]!, explicit[3]!],
        [explicit[4]!, explicit[5]!],
      ],
    };
  if (padding !== 'same' && padding !== 'valid')
    throw new Error(`padding ${padding} came, expected SAME, VALID or EXPLICIT`);
  return { ...window, padding };
}

const conv2d: Operator = ([x, filter], attributes) =>
  conv(x!, filter!, windowOf(attributes), x!.shape[3]! / filter!.shape[2]!);
const depthwise: Operator = ([x, filter], attributes) => depthwiseConv(x!, filter!, windowOf(attributes));

/** What a fused operator does after its product: BiasAdd, FusedBatchNorm, an activation. */
const fused =
  (product: Operator): Operator =>
  (inputs, attributes) => {
    let y = product(inputs, attributes) as Tensor;
    let next = 2;
    for (const op of attributes.texts('fused_ops')) {
      if (op === 'BiasAdd') y = y.add(inputs[next++]!);
      else if (op === 'Prelu') y = prelu(y, inputs[next++]!);
      else if (op === 'LeakyRelu') y = F.leakyRelu(y, { negativeSlope: attributes.number('leakyrelu_alpha', 0.2) });
      else {
        const activation = OPERATORS[op];
        if (!activation) throw new Error(`the fused operator ${op} is not known`);
        y = activation([y], attributes) as Tensor;
      }
    }
    return y;
  };

const prelu = (x: Tensor, alpha: Tensor): Tensor => x.relu().sub(alpha.mul(x.neg().relu()));

const matmul: Operator = ([a, b], attributes) => {
  const turned = (x: Tensor, ...names: string[]): Tensor =>
    names.some(name => attributes.flag(name)) ? x.transpose(-1, -2) : x;
  return turned(a!, 'transpose_a', 'adj_x').matmul(turned(b!, 'transpose_b', 'adj_y'));
};

/** (x, scale, offset, mean, variance) in inference; the other outputs are the statistics as they came. */
const batchNorm: Operator = ([x, scale, offset, mean, variance], attributes) => {
  const y = x!
    .sub(mean!)
    .mul(scale!.div(variance!.add(attributes.number('epsilon', 1e-4)).sqrt()))
    .add(offset!);
  return [y, mean!, variance!, mean!, variance!, mean!];
};

const resize =
  (mode: 'bilinear' | 'nearest'): Operator =>
  ([x, size], attributes) => {
    const out = numbers(size!);
    const halfPixel = attributes.flag('half_pixel_centers');
    const corners = attributes.flag('align_corners');
    const input = channelsSecond(isFloat(x!.dtype) ? x! : x!.to('f32'));
    if (mode === 'bilinear' && (halfPixel || corners))
      return channelsLast(F.interpolate(input, { size: out, mode, alignCorners: corners }));
    if (mode === 'nearest' && !halfPixel && !corners) return channelsLast(F.interpolate(input, { size: out, mode }));
    return channelsLast(sampled(input, out, mode, corners, halfPixel));
  };

/** Resampling dim by dim with TensorFlow's older conventions of where a pixel lies. */
function sampled(
  x: Tensor,
  out: readonly number[],
  mode: 'bilinear' | 'nearest',
  corners: boolean,
  halfPixel: boolean,
): Tensor {
  let y = x;
  out.forEach((size, d) => {
    const dim = 2 + d;
    const from = y.shape[dim]!;
    const scale = corners && size > 1 ? (from - 1) / (size - 1) : from / size;
    const places = Array.from({ length: size }, (_, i) =>
      halfPixel ? (i + 0.5) * scale - (mode === 'bilinear' ? 0.5 : 0) : i * scale,
    );
    const pick = (at: readonly number[]): Tensor =>
      y.indexSelect(
        dim,
        Tensor.from(
          at.map(p => Math.min(from - 1, Math.max(0, p))),
          { dtype: 'i64' },
        ),
      );
    if (mode === 'nearest') {
      // Ties away from zero with align_corners, as roundf.
      y = pick(places.map(p => (corners ? Math.floor(p + 0.5) : Math.floor(p))));
      return;
    }
    const low = places.map(p => Math.floor(Math.max(0, p)));
    const share = Tensor.from(places.map((p, i) => Math.max(0, p) - low[i]!)).reshape([
      size,
      ...y.shape.slice(dim + 1).map(() => 1),
    ]);
    const [a, b] = [pick(low), pick(low.map(p => p + 1))];
    y = a.add(b.sub(a).mul(share));
  });
  return y;
}

const stridedSlice: Operator = ([x, begin, end, strides], attributes) => {
  const [from, to, step] = [numbers(begin!), numbers(end!), numbers(strides!)];
  const bit = (name: string, i: number): boolean => ((attributes.number(name, 0) >> i) & 1) === 1;
  let y = x!;
  let dim = 0;
  const fresh = from.filter((_, i) => bit('new_axis_mask', i)).length;
  from.forEach((start, i) => {
    if (bit('ellipsis_mask', i)) {
      dim += x!.ndim - (from.length - 1 - fresh);
    } else if (bit('new_axis_mask', i)) {
      y = y.unsqueeze(dim++);
    } else if (bit('shrink_axis_mask', i)) {
      y = y.select(dim, start);
    } else {
      const s = step[i]!;
      const open = [bit('begin_mask', i), bit('end_mask', i)];
      const size = y.shape[dim]!;
      if (s > 0) y = y.slice(dim, open[0] ? null : start, open[1] ? null : to[i]!, s);
      else {
        // Backwards: the same places of the flipped dim.
        const turn = (p: number): number => size - 1 - (p < 0 ? p + size : Math.min(p, size - 1));
        const last = to[i]! < 0 ? to[i]! + size : to[i]!;
        y = y.flip(dim).slice(dim, open[0] ? null : turn(start), open[1] || last < 0 ? null : size - 1 - last, -s);
      }
      dim++;
    }
  });
  return y;
};

/** Pairs in the dims' order as amounts from the last dim on. */
const amountsOf = (pairs: Tensor): number[] => {
  const flat = numbers(pairs);
  return Array.from({ length: flat.length / 2 }, (_, d) => flat.slice(2 * d, 2 * d + 2))
    .reverse()
    .flat();
};

const gatherAlong = (x: Tensor, index: Tensor, axis: number): Tensor => {
  const dim = axis < 0 ? axis + x.ndim : axis;
  const shape = [...x.shape.slice(0, dim), ...index.shape, ...x.shape.slice(dim + 1)];
  return x.indexSelect(dim, index.reshape([-1]).to('i64')).reshape(shape);
};

const spaceToBatch: Operator = ([x, block, pairs]) => {
  const sizes = numbers(block!);
  const flat = numbers(pairs!);
  const padding = sizes
    .map((_, d) => [flat[2 * d]!, flat[2 * d + 1]!])
    .reverse()
    .flat();
  const y = x!.constantPad([...new Array<number>(2 * (x!.ndim - 1 - sizes.length)).fill(0), ...padding]);
  const [n, ...rest] = y.shape as [number, ...number[]];
  const spatial = rest.slice(0, sizes.length);
  const tail = rest.slice(sizes.length);
  const cut = y.reshape([n, ...spatial.flatMap((s, d) => [s / sizes[d]!, sizes[d]!]), ...tail]);
  const blocks = sizes.map((_, d) => 2 + 2 * d);
  const places = sizes.map((_, d) => 1 + 2 * d);
  const tails = tail.map((_, d) => 1 + 2 * sizes.length + d);
  const count = sizes.reduce((a, s) => a * s, 1);
  return cut
    .permute([...blocks, 0, ...places, ...tails])
    .reshape([n * count, ...spatial.map((s, d) => s / sizes[d]!), ...tail]);
};

const batchToSpace: Operator = ([x, block, crops]) => {
  const sizes = numbers(block!);
  const [n, ...rest] = x!.shape as [number, ...number[]];
  const spatial = rest.slice(0, sizes.length);
  const tail = rest.slice(sizes.length);
  const count = sizes.reduce((a, s) => a * s, 1);
  const cut = x!.reshape([...sizes, n / count, ...spatial, ...tail]);
  const order = [
    sizes.length,
    ...sizes.flatMap((_, d) => [sizes.length + 1 + d, d]),
    ...tail.map((_, d) => 2 * sizes.length + 1 + d),
  ];
  let y = cut.permute(order).reshape([n / count, ...spatial.map((s, d) => s * sizes[d]!), ...tail]);
  const flat = numbers(crops!);
  sizes.forEach((_, d) => {
    y = y.narrow(1 + d, flat[2 * d]!, y.shape[1 + d]! - flat[2 * d]! - flat[2 * d + 1]!);
  });
  return y;
};

const depthToSpace: Operator = ([x], attributes) => {
  const b = attributes.number('block_size');
  const [n, h, w, c] = x!.shape as [number, number, number, number];
  return x!
    .reshape([n, h, w, b, b, c / (b * b)])
    .permute([0, 1, 3, 2, 4, 5])
    .reshape([n, h * b, w * b, c / (b * b)]);
};

const argument =
  (pick: (x: Tensor, dim: number) => Tensor): Operator =>
  ([x, axis], attributes) =>
    pick(x!, number(axis!)).to(attributes.dtype('output_type', 'i32'));

const OTHERS: Readonly<Record<string, Operator>> = {
  Identity: unary(x => x),
  IdentityN: inputs => inputs,
  StopGradient: unary(x => x.detach()),
  PreventGradient: unary(x => x),
  Snapshot: unary(x => x),
  PlaceholderWithDefault: unary(x => x),
  ZerosLike: unary(x => x.mul(0)),
  OnesLike: unary(x => full(x.shape, 1, { dtype: x.dtype })),
  Cast: ([x], attributes) => x!.to(attributes.dtype('DstT')),
  Shape: unary(x => i32(x.shape)),
  ShapeN: inputs => inputs.map(x => i32(x.shape)),
  Size: unary(x => Tensor.from(Int32Array.of(x.numel()), { shape: [] })),
  Rank: unary(x => Tensor.from(Int32Array.of(x.ndim), { shape: [] })),
  Fill: ([size, value]) => value!.expand(numbers(size!)),
  Range: ([from, to, step]) => arange(number(from!), number(to!), number(step!), { dtype: from!.dtype }),
  LinSpace: ([from, to, count]) => {
    const [a, b, n] = [number(from!), number(to!), number(count!)];
    return Tensor.from(
      Float32Array.from({ length: n }, (_, i) => (n === 1 ? a : a + ((b - a) * i) / (n - 1))),
      { shape: [n] },
    );
  },
  OneHot: ([index, depth, on, off], attributes) => {
    const axis = attributes.number('axis', -1);
    const hot = F.oneHot(index!.to('i64'), number(depth!)).to('bool');
    const y = where(hot, on!, off!);
    return axis === -1 ? y : y.movedim(-1, axis);
  },
  Einsum: (inputs, attributes) => einsum(attributes.text('equation'), ...inputs),
};

const SHAPES: Readonly<Record<string, Operator>> = {
  Reshape: ([x, shape]) => x!.reshape(numbers(shape!)),
  Squeeze: ([x], attributes) => {
    const dims =
      attributes.numbers('squeeze_dims').length > 0 ? attributes.numbers('squeeze_dims') : attributes.numbers('axis');
    return dims.length > 0 ? x!.squeeze([...dims]) : x!.squeeze();
  },
  ExpandDims: ([x, axis]) => x!.unsqueeze(number(axis!)),
  Transpose: ([x, order]) => x!.permute(numbers(order!)),
  BroadcastTo: ([x, shape]) => x!.expand(numbers(shape!)),
  Tile: ([x, times]) => x!.tile(numbers(times!)),
  Concat: ([axis, ...parts]) => cat(parts, number(axis!)),
  ConcatV2: inputs => cat(inputs.slice(0, -1), number(inputs.at(-1)!)),
  Pack: (inputs, attributes) => stack(inputs, attributes.number('axis', 0)),
  Unpack: ([x], attributes) => x!.unbind(attributes.number('axis', 0)),
  Split: ([axis, x], attributes) => x!.chunk(attributes.number('num_split'), number(axis!)),
  SplitV: ([x, sizes, axis]) => {
    const dim = number(axis!);
    const wanted = numbers(sizes!);
    const rest = x!.shape.at(dim)! - wanted.filter(n => n >= 0).reduce((a, n) => a + n, 0);
    return x!.split(
      wanted.map(n => (n < 0 ? rest : n)),
      dim,
    );
  },
  Slice: ([x, begin, size]) => {
    const sizes = numbers(size!);
    return numbers(begin!).reduce(
      (y, from, d) => y.narrow(d, from, sizes[d]! < 0 ? y.shape[d]! - from : sizes[d]!),
      x!,
    );
  },
  StridedSlice: stridedSlice,
  Pad: ([x, pairs]) => x!.constantPad(amountsOf(pairs!)),
  PadV2: ([x, pairs, value]) => x!.constantPad(amountsOf(pairs!), number(value!)),
  MirrorPad: ([x, pairs], attributes) => {
    if (attributes.text('mode') !== 'REFLECT')
      throw new Error(`mode ${attributes.text('mode')} came, expected REFLECT`);
    // Batch and channels are not padded where this is used; the spatial dims move to the end.
    return channelsLast(F.pad(channelsSecond(x!), amountsOf(pairs!).slice(2, -2), { mode: 'reflect' }));
  },
  Reverse: ([x, dims]) => x!.flip(numbers(dims!)),
  ReverseV2: ([x, dims]) => x!.flip(numbers(dims!)),
  Gather: ([x, index]) => gatherAlong(x!, index!, 0),
  GatherV2: ([x, index, axis]) => gatherAlong(x!, index!, number(axis!)),
  GatherNd: binary(gatherNd),
  SpaceToBatchND: spaceToBatch,
  BatchToSpaceND: batchToSpace,
  DepthToSpace: depthToSpace,
};

const ARITHMETIC: Readonly<Record<string, Operator>> = {
  Add: binary((a, b) => a.add(b)),
  AddV2: binary((a, b) => a.add(b)),
  BiasAdd: binary((a, b) => a.add(b)),
  AddN: inputs => inputs.reduce((a, b) => a.add(b)),
  Sub: binary((a, b) => a.sub(b)),
  Mul: binary((a, b) => a.mul(b)),
  RealDiv: binary((a, b) => a.div(b)),
  Div: binary((a, b) => (isFloat(a.dtype) ? a.div(b) : a.div(b, { roundingMode: 'trunc' }))),
  DivNoNan: binary((a, b) => b.eq(0).where(b.mul(0), a.div(b))),
  FloorDiv: binary((a, b) => a.div(b, { roundingMode: 'floor' })),
  FloorMod: binary((a, b) => a.remainder(b)),
  Mod: binary((a, b) => a.remainder(b)),
  Maximum: binary((a, b) => a.maximum(b)),
  Minimum: binary((a, b) => a.minimum(b)),
  Pow: binary((a, b) => a.pow(b)),
  SquaredDifference: binary((a, b) => a.sub(b).square()),
  Atan2: binary((a, b) => a.atan2(b)),
  Neg: unary(x => x.neg()),
  Abs: unary(x => x.abs()),
  Sign: unary(x => x.sign()),
  Floor: unary(x => x.floor()),
  Ceil: unary(x => x.ceil()),
  Round: unary(x => x.round()),
  Exp: unary(x => x.exp()),
  Expm1: unary(x => x.expm1()),
  Log: unary(x => x.log()),
  Log1p: unary(x => x.log1p()),
  Sqrt: unary(x => x.sqrt()),
  Rsqrt: unary(x => x.rsqrt()),
  Square: unary(x => x.square()),
  Reciprocal: unary(x => x.reciprocal()),
  Inv: unary(x => x.reciprocal()),
  Sin: unary(x => x.sin()),
  Cos: unary(x => x.cos()),
  Tan: unary(x => x.tan()),
  Asin: unary(x => x.asin()),
  Acos: unary(x => x.acos()),
  Atan: unary(x => x.atan()),
  Sinh: unary(x => x.sinh()),
  Cosh: unary(x => x.cosh()),
  Erf: unary(x => x.erf()),
  IsNan: unary(x => x.isnan()),
  IsInf: unary(x => x.isinf()),
  IsFinite: unary(x => x.isfinite()),
  ClipByValue: ([x, low, high]) => x!.maximum(low!).minimum(high!),
  Greater: binary((a, b) => a.gt(b)),
  GreaterEqual: binary((a, b) => a.ge(b)),
  Less: binary((a, b) => a.lt(b)),
  LessEqual: binary((a, b) => a.le(b)),
  Equal: binary((a, b) => a.eq(b)),
  NotEqual: binary((a, b) => a.ne(b)),
  LogicalAnd: binary((a, b) => a.logicalAnd(b)),
  LogicalOr: binary((a, b) => a.logicalOr(b)),
  LogicalNot: unary(x => x.logicalNot()),
  Select: ([condition, a, b]) =>
    where(condition!.reshape([...condition!.shape, ...new Array<number>(a!.ndim - condition!.ndim).fill(1)]), a!, b!),
  SelectV2: ([condition, a, b]) => where(condition!, a!, b!),
};

const NETWORKS: Readonly<Record<string, Operator>> = {
  Relu: unary(x => x.relu()),
  Relu6: unary(F.relu6),
  Elu: unary(x => F.elu(x)),
  Selu: unary(F.selu),
  LeakyRelu: ([x], attributes) => F.leakyRelu(x!, { negativeSlope: attributes.number('alpha', 0.2) }),
  Prelu: binary(prelu),
  Sigmoid: unary(x => x.sigmoid()),
  Tanh: unary(x => x.tanh()),
  Softplus: unary(x => F.softplus(x)),
  Softmax: unary(x => x.softmax(-1)),
  LogSoftmax: unary(x => x.logSoftmax(-1)),
  MatMul: matmul,
  BatchMatMul: matmul,
  BatchMatMulV2: matmul,
  _FusedMatMul: fused(matmul),
  Conv2D: conv2d,
  _FusedConv2D: fused(conv2d),
  DepthwiseConv2d: depthwise,
  DepthwiseConv2dNative: depthwise,
  FusedDepthwiseConv2dNative: fused(depthwise),
  Conv1D: ([x, filter], attributes) =>
    conv(x!, filter!, {
      stride: [attributes.number('stride', 1)],
      padding: attributes.text('padding').toLowerCase() as 'same' | 'valid',
    }),
  Conv2DBackpropInput: ([size, filter, y], attributes) =>
    convTranspose(y!, filter!, windowOf(attributes), numbers(size!).slice(1, 3)),
  MaxPool: ([x], attributes) => maxPool(x!, attributes.numbers('ksize').slice(1, 3), windowOf(attributes)),
  AvgPool: ([x], attributes) => avgPool(x!, attributes.numbers('ksize').slice(1, 3), windowOf(attributes)),
  FusedBatchNorm: batchNorm,
  FusedBatchNormV2: batchNorm,
  FusedBatchNormV3: batchNorm,
  ResizeBilinear: resize('bilinear'),
  ResizeNearestNeighbor: resize('nearest'),
};

const REDUCTIONS: Readonly<Record<string, Operator>> = {
  Sum: reduction((x, dims, keepdim) => x.sum(dims, { keepdim, dtype: x.dtype })),
  Mean: reduction((x, dims, keepdim) => x.mean(dims, { keepdim })),
  Max: reduction((x, dims, keepdim) => x.amax(dims, { keepdim })),
  Min: reduction((x, dims, keepdim) => x.amin(dims, { keepdim })),
  Prod: reduction((x, dims, keepdim) =>
    dims.reduce((y, d) => y.prod(d, { keepdim: true }), x).reshape(reduced(x, dims, keepdim)),
  ),
  All: reduction((x, dims, keepdim) => x.all(dims, { keepdim })),
  Any: reduction((x, dims, keepdim) => x.any(dims, { keepdim })),
  ArgMax: argument((x, dim) => x.argmax(dim)),
  ArgMin: argument((x, dim) => x.argmin(dim)),
  TopKV2: ([x, k]) => {
    const { values, indices } = x!.topk(number(k!));
    return [values, indices.to('i32')];
  },
  Cumsum: ([x, axis], attributes) => {
    const dim = number(axis!);
    const turned = attributes.flag('reverse') ? x!.flip(dim) : x!;
    const sums = turned.cumsum(dim, { dtype: x!.dtype });
    const y = attributes.flag('exclusive') ? sums.sub(turned) : sums;
    return attributes.flag('reverse') ? y.flip(dim) : y;
  },
};

const reduced = (x: Tensor, dims: readonly number[], keepdim: boolean): number[] =>
  keepdim ? x.shape.map((n, d) => (dims.includes(d) ? 1 : n)) : x.shape.filter((_, d) => !dims.includes(d));

/** Every operator that can be run, by TensorFlow's name. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  ...OTHERS,
  ...SHAPES,
  ...ARITHMETIC,
  ...NETWORKS,
  ...REDUCTIONS,
  ...LISTS,
};
