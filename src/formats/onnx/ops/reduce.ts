/**
 * Reductions, running sums, arg-extremes and the softmax family. Axes were an attribute until opset 13 (ReduceSum) or
 * 18 (the others) and are an input since.
 */
import { isFloat } from '../../../graph/dtype.ts';
import { full, type Tensor } from '../../../tensor/index.ts';
import type { Call, OperatorTable, Rule } from '../call.ts';
import { integerRange, TYPES } from '../elementTypes.ts';

type Reduction = (x: Tensor, dims: number[]) => Tensor;

/** The axes to reduce, or null for none at all (an empty list with noop_with_empty_axes). */
function axesOf(call: Call, rank: number): number[] | null {
  const given = call.ints('axes') ?? (call.has(1) ? call.numbers(1) : []);
  if (given.length > 0) return given.map(axis => call.axis(axis, rank));
  if (call.flag('noop_with_empty_axes')) return null;
  return Array.from({ length: rank }, (_, d) => d);
}

/** `fn` over the axes, which keep size 1 unless keepdims is 0. Halves accumulate in f32. */
const reduction =
  (fn: Reduction): Rule =>
  call => {
    const input = call.x(0);
    const axes = axesOf(call, input.ndim);
    const half = input.dtype === 'f16' || input.dtype === 'bf16';
    const x = half ? input.to('f32') : input;
    // No axes: every element is a group of its own.
    if (axes === null || input.ndim === 0) return call.like(0, fn(x.unsqueeze(x.ndim), [x.ndim]));
    const kept = x.shape.map((n, d) => (axes.includes(d) ? 1 : n));
    const reduced = fn(x, axes);
    return call.like(0, call.flag('keepdims', true) ? reduced.reshape(kept) : reduced);
  };

const sum: Reduction = (x, dims) => x.sum(dims, { dtype: x.dtype === 'bool' ? 'i64' : x.dtype });

/** The largest or smallest, of bools as well; of nothing, the type's own extreme. */
const extreme = (kind: 'amax' | 'amin'): Rule => {
  const rule = (call: Call, x: Tensor, dims: number[]): Tensor => {
    const shape = x.shape.filter((_, d) => !dims.includes(d));
    if (!dims.some(d => x.shape[d] === 0))
      return x.dtype === 'bool' ? x.to('u8')[kind](dims).to('bool') : x[kind](dims);
    const type = call.type(0);
    const [low, high] = isFloat(x.dtype)
      ? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
      : TYPES[type].kind === 'bool'
        ? [0, 1]
        : integerRange(type);
    return full(shape, kind === 'amax' ? low : high, { dtype: x.dtype });
  };
  return call => reduction((x, dims) => rule(call, x, dims))(call);
};

const mean: Reduction = (x, dims) => {
  const count = dims.reduce((n, d) => n * x.shape[d]!, 1);
  const total = sum(x, dims);
  return isFloat(x.dtype) ? total.div(count) : total.div(count, { roundingMode: 'trunc' });
};

/** Integers compute in f64 where the function is one of reals. */
const real =
  (fn: Reduction): Reduction =>
  (x, dims) =>
    fn(isFloat(x.dtype) ? x : x.to('f64'), dims);

const argExtreme =
  (kind: 'argmax' | 'argmin'): Rule =>
  call => {
    const x = call.x(0);
    const axis = call.axisAttribute(0, x.ndim);
    const last = call.flag('select_last_index');
    const keepdim = call.flag('keepdims', true);
    const ordered = x.dtype === 'bool' ? x.to('u8') : x;
    if (!last) return ordered[kind](axis, { keepdim });
    return ordered
      .flip(axis)
      [kind](axis, { keepdim })
      .neg()
      .add(x.shape[axis]! - 1);
  };

/** Before opset 13 everything from the axis on was one row. */
function asRows(call: Call, fn: (x: Tensor, dim: number) => Tensor): Tensor {
  const input = call.x(0);
  const half = input.dtype === 'f16' || input.dtype === 'bf16';
  const x = half ? input.to('f32') : input;
  const old = call.opset < 13;
  const axis = call.axisAttribute(old ? 1 : -1, x.ndim);
  if (!old) return fn(x, axis).to(input.dtype);
  const rows = x.shape.slice(0, axis).reduce((n, size) => n * size, 1);
  return fn(x.reshape([rows, rows === 0 ? 0 : x.numel() / rows]), 1)
    .reshape(x.shape)
    .to(input.dtype);
}

/** 1 at the first largest element of each row, 0 elsewhere. */
const hardmax: Rule = call =>
  call.like(
    0,
    asRows(call, (x, dim) => {
      const first = x.argmax(dim, { keepdim: true });
      return x.mul(0).scatter(dim, first, 1);
    }),
  );

const running =
  (scan: 'cumsum' | 'cumprod'): Rule =>
  call => {
    const x = call.x(0);
    const axis = call.axis(call.number(1), x.ndim);
    const reverse = call.flag('reverse');
    const size = x.shape[axis]!;
    const forward = reverse ? x.flip(axis) : x;
    const start = scan === 'cumsum' ? 0 : 1;
    // Exclusive: shifted by one, with the neutral element first.
    const amounts = new Array<number>(2 * x.ndim).fill(0);
    amounts[2 * (x.ndim - 1 - axis)] = 1;
    const shifted =
      call.flag('exclusive') && size > 0 ? forward.narrow(axis, 0, size - 1).constantPad(amounts, start) : forward;
    const total = shifted[scan](axis).to(x.dtype);
    return call.like(0, reverse ? total.flip(axis) : total);
  };

/** log(sum(exp)), where an all minus infinite group gives minus infinity. */
const logSumExp: Reduction = (x, dims) => x.logsumexp(dims);

export const reduce: OperatorTable = {
  ArgMax: argExtreme('argmax'),
  ArgMin: argExtreme('argmin'),
  CumProd: running('cumprod'),
  CumSum: running('cumsum'),
  Hardmax: hardmax,
  LogSoftmax: call =>
    call.like(
      0,
      asRows(call, (x, dim) => x.logSoftmax(dim)),
    ),
  ReduceL1: reduction((x, dims) => sum(x.abs(), dims)),
  ReduceL2: reduction(real((x, dims) => sum(x.mul(x), dims).sqrt())),
  ReduceLogSum: reduction(real((x, dims) => sum(x, dims).log())),
  ReduceLogSumExp: reduction(real(logSumExp)),
  ReduceMax: extreme('amax'),
  ReduceMean: reduction(mean),
  ReduceMin: extreme('amin'),
  ReduceProd: reduction((x, dims) => x.prod(dims, { dtype: x.dtype })),
  ReduceSum: reduction(sum),
  ReduceSumSquare: reduction((x, dims) => sum(x.mul(x), dims)),
  Softmax: call =>
    call.like(
      0,
      asRows(call, (x, dim) => x.softmax(dim)),
    ),
};
