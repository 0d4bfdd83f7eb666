/**
 * Reading and writing at data-dependent places. Indices outside the range fail the program that runs them, with the
 * op's name; only where PyTorch wraps negative indices do they wrap (index, take, indexPut). Functions here have the
 * tensor first and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import type { ScatterKind } from '../../graph/node.ts';
import { level } from '../autocast.ts';
import { shapeText } from '../convert.ts';
import {
  broadcastShapes,
  checkInt,
  checkTensor,
  describe,
  knownNumbers,
  nodeOf,
  normalDim,
  type TensorLike,
} from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';
import { coordinate, flatIndex, strictIndex } from './along.ts';

/** The slices of `dim` at the positions of the vector `index`. */
export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  const d = checkVector('indexSelect', x, dim, index);
  if (x.ndim === 0) return x.reshape([1]).indexSelect(0, index).reshape([]);
  return new Tensor(build.gather(x.node, vectorOf(index), d, 'indexSelect'));
}

const vectorOf = (index: Tensor): Tensor['node'] => build.reshape(index.node, [index.numel()]);

function checkVector(op: string, x: Tensor, dim: number, index: Tensor): number {
  checkTensor(op, 'input', x);
  checkInt(op, 'index', index);
  if (index.ndim > 1) throw new RangeError(`${op}: index: expected a vector, got shape ${shapeText(index.shape)}`);
  return normalDim(op, dim, x.ndim);
}

/** Indices that are known and not more than this are checked when the op is called, others when the program runs. */
const SMALL_INDEX = 4096;

/** The checks torch.gather and scatter share: as many dims, and no larger than x outside `dim`. */
function checkAlong(op: string, x: Tensor, dim: number, index: Tensor, everyDim = true): number {
  checkTensor(op, 'input', x);
  checkInt(op, 'index', index);
  if (index.dtype !== 'i64' && index.numel() > 0)
    throw new TypeError(`${op}: index: expected a tensor i64, got ${index.dtype}`);
  const d = normalDim(op, dim, x.ndim);
  if (Math.max(index.ndim, 1) !== Math.max(x.ndim, 1))
    throw new RangeError(
      `${op}: index: expected as many dims as the input ${shapeText(x.shape)}, got ${shapeText(index.shape)}`,
    );
  if (everyDim && index.numel() > 0 && index.shape.some((n, i) => i !== d && n > x.shape[i]!))
    throw new RangeError(
      `${op}: index: shape ${shapeText(index.shape)} exceeds the input's ${shapeText(x.shape)} outside dim ${dim}`,
    );
  if (index.numel() <= SMALL_INDEX) {
    const size = x.ndim === 0 ? 1 : x.shape[d]!;
    const wrong = knownNumbers(index)?.find(i => i < 0 || i >= size);
    if (wrong !== undefined) throw new RangeError(`${op}: index ${wrong} is out of range for ${size} elements`);
  }
  return d;
}

/** out[i][j] = x[index[i][j]][j] for dim 0, and so on: the result has the index's shape. */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  const d = checkAlong('gather', x, dim, index);
  if (x.ndim === 0)
    return x
      .reshape([1])
      .gather(0, index.reshape([-1]))
      .reshape(index.shape);
  if (index.ndim === 0) return x.gather(d, index.reshape([1])).reshape([]);
  return gatherChecked('gather', x, d, strictIndex(index.node, x.shape[d]!, 'gather'));
}

function gatherChecked(op: string, x: Tensor, d: number, index: Tensor['node']): Tensor {
  if (index.size === 0) return new Tensor(build.full(0, index.shape, x.dtype));
  const flat = build.reshape(x.node, [x.numel()]);
  return new Tensor(build.gather(flat, flatIndex(index, x.shape, d), 0, op));
}

/** gather after broadcasting the index and x outside `dim`; without `dim` over the flattened tensor. */
export function takeAlongDim(x: Tensor, index: Tensor, dim?: number | null): Tensor {
  checkTensor('takeAlongDim', 'input', x);
  checkInt('takeAlongDim', 'indices', index);
  if (dim === undefined || dim === null) return take(x, index.reshape([-1]));
  const d = normalDim('takeAlongDim', dim, x.ndim);
  if (index.ndim !== x.ndim)
    throw new RangeError(
      `takeAlongDim: indices: expected as many dims as the input ${shapeText(x.shape)}, got ${shapeText(index.shape)}`,
    );
  const free = (shape: readonly number[]): number[] => shape.map((n, i) => (i === d ? 1 : n));
  const common = broadcastShapes('takeAlongDim', [free(x.shape), free(index.shape)]);
  const stretch = (part: Tensor): Tensor => part.expand(common.map((n, i) => (i === d ? part.shape[d]! : n)));
  return gather(stretch(x), d, stretch(index));
}

/** Elements of the flattened tensor at the positions of `index`; negative ones count from the end. */
export function take(x: Tensor, index: Tensor): Tensor {
  checkTensor('take', 'input', x);
  checkInt('take', 'index', index);
  if (index.numel() === 0) return new Tensor(build.full(0, index.shape, x.dtype));
  const flat = build.reshape(x.node, [x.numel()]);
  return new Tensor(build.gather(flat, build.checkIndex(index.node, x.numel(), 'take'), 0, 'take'));
}

function scatterAlong(
  op: string,
  kind: ScatterKind,
  x: Tensor,
  dim: number,
  index: Tensor,
  source: TensorLike,
): Tensor {
  const d = checkAlong(op, x, dim, index);
  if (x.ndim === 0) return scatterAlong(op, kind, x.reshape([1]), 0, index.reshape([-1]), whole(source)).reshape([]);
  if (index.ndim === 0) return scatterAlong(op, kind, x, d, index.reshape([1]), whole(source));
  if (source instanceof Tensor) [x, source] = level(x, source);
  if (index.numel() === 0) return x;
  let updates = nodeOf(source, x.dtype);
  if (source instanceof Tensor) {
    if (source.dtype !== x.dtype) throw new TypeError(`${op}: dtypes differ: input ${x.dtype}, src ${source.dtype}`);
    if (source.ndim !== index.ndim || index.shape.some((n, i) => n > source.shape[i]!))
      throw new RangeError(
        `${op}: src: shape ${shapeText(source.shape)} is smaller than the index's ${shapeText(index.shape)}`,
      );
    updates = build.slice(
      updates,
      index.shape.map(() => 0),
      index.shape,
    );
  } else updates = build.broadcastTo(updates, index.shape);
  const flat = flatIndex(strictIndex(index.node, x.shape[d]!, op), x.shape, d);
  const count = index.numel();
  const out = build.scatter(
    kind,
    build.reshape(x.node, [x.numel()]),
    build.reshape(flat, [count]),
    build.reshape(updates, [count]),
    0,
    op,
  );
  return new Tensor(build.reshape(out, x.shape));
}

const whole = (source: TensorLike): TensorLike => (source instanceof Tensor ? source.reshape([-1]) : source);

const REDUCTIONS: { readonly [name: string]: ScatterKind } = {
  add: 'add',
  sum: 'add',
  multiply: 'mul',
  prod: 'mul',
  amax: 'max',
  amin: 'min',
};

/**
 * x with out[index[i][j]][j] = src[i][j] for dim 0, and so on; of several writes to one place the last stays. `reduce`
 * adds or multiplies instead.
 */
export function scatter(
  x: Tensor,
  dim: number,
  index: Tensor,
  src: TensorLike,
  options: { readonly reduce?: 'add' | 'multiply' } = {},
): Tensor {
  const { reduce } = checkOptions('scatter', options, ['reduce']);
  const kind = reduce === undefined ? 'set' : REDUCTIONS[reduce];
  if (!kind) throw new TypeError(`scatter: reduce: expected add or multiply, got ${String(reduce)}`);
  return scatterAlong('scatter', kind, x, dim, index, src);
}

/** x with src added at the places scatter writes to. */
export function scatterAdd(x: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  checkTensor('scatterAdd', 'src', src);
  return scatterAlong('scatterAdd', 'add', x, dim, index, src);
}

/**
 * x with src reduced into it at the places scatter writes to; without `includeSelf` x's own values do not count there.
 */
export function scatterReduce(
  x: Tensor,
  dim: number,
  index: Tensor,
  src: Tensor,
  reduce: 'sum' | 'prod' | 'mean' | 'amax' | 'amin',
  options: { readonly includeSelf?: boolean } = {},
): Tensor {
  checkOptions('scatterReduce', options, ['includeSelf']);
  checkTensor('scatterReduce', 'src', src);
  const { includeSelf = true } = options;
  if (index.numel() === 0) return x;
  const neutral = { sum: 0, mean: 0, prod: 1, amax: lowest(x), amin: highest(x) }[reduce];
  if (neutral === undefined)
    throw new TypeError(`scatterReduce: reduce: expected sum, prod, mean, amax or amin, got ${String(reduce)}`);
  const base = includeSelf ? x : scatterAlong('scatterReduce', 'set', x, dim, index, neutral);
  if (reduce !== 'mean') return scatterAlong('scatterReduce', REDUCTIONS[reduce]!, base, dim, index, src);
  const total = scatterAlong('scatterReduce', 'add', base, dim, index, src);
  const ones = new Tensor(build.full(1, src.shape, x.dtype));
  const before = new Tensor(build.full(includeSelf ? 1 : 0, x.shape, x.dtype));
  const counts = scatterAlong('scatterReduce', 'add', before, dim, index, ones).clampMin(1);
  return total.div(counts, { roundingMode: x.dtype.startsWith('f') || x.dtype === 'bf16' ? null : 'floor' });
}

const LIMITS: { readonly [dtype: string]: readonly [number | bigint, number | bigint] } = {
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u8: [0, 255],
  i8: [-128, 127],
  bool: [0, 1],
};
const lowest = (x: Tensor): number | bigint => LIMITS[x.dtype]?.[0] ?? Number.NEGATIVE_INFINITY;
const highest = (x: Tensor): number | bigint => LIMITS[x.dtype]?.[1] ?? Number.POSITIVE_INFINITY;

function indexed(op: string, kind: ScatterKind, x: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  const d = checkVector(op, x, dim, index);
  [x, source] = level(x, source);
  if (source.dtype !== x.dtype) throw new TypeError(`${op}: dtypes differ: input ${x.dtype}, source ${source.dtype}`);
  if (x.ndim === 0) return indexed(op, kind, x.reshape([1]), 0, index, source.reshape([-1])).reshape([]);
  const expected = x.shape.map((n, i) => (i === d ? index.numel() : n));
  const updates = source.ndim === 0 && expected.every(n => n === 1) ? source.reshape(expected) : source;
  if (updates.ndim !== x.ndim || updates.shape.some((n, i) => n !== expected[i]))
    throw new RangeError(`${op}: source: expected shape ${shapeText(expected)}, got ${shapeText(source.shape)}`);
  return new Tensor(build.scatter(kind, x.node, vectorOf(index), updates.node, d, op));
}

/** x with alpha * source[i] added to the slice at index[i] of `dim`. */
export function indexAdd(
  x: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  options: { readonly alpha?: number } = {},
): Tensor {
  checkOptions('indexAdd', options, ['alpha']);
  checkTensor('indexAdd', 'source', source);
  const { alpha = 1 } = options;
  return indexed('indexAdd', 'add', x, dim, index, alpha === 1 ? source : source.mul(alpha));
}

/** x with source[i] in place of the slice at index[i] of `dim`. */
export function indexCopy(x: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  checkTensor('indexCopy', 'source', source);
  return indexed('indexCopy', 'set', x, dim, index, source);
}

/** x with `value` in the slices at `index` of `dim`. */
export function indexFill(x: Tensor, dim: number, index: Tensor, value: TensorLike): Tensor {
  const d = checkVector('indexFill', x, dim, index);
  if (value instanceof Tensor && value.ndim > 0)
    throw new RangeError(`indexFill: value: expected a number or a tensor without dims, got ${describe(value)}`);
  if (x.ndim === 0) return indexFill(x.reshape([1]), 0, index, value).reshape([]);
  const wrapped = build.checkIndex(vectorOf(index), x.shape[d]!, 'indexFill');
  const shape = x.shape.map((n, i) => (i === d ? index.numel() : n));
  const updates = build.broadcastTo(nodeOf(value, x.dtype), shape);
  return new Tensor(build.scatter('set', x.node, wrapped, updates, d, 'indexFill'));
}

/** x with source[i] reduced into the slice at index[i] of `dim`. */
export function indexReduce(
  x: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  reduce: 'prod' | 'mean' | 'amax' | 'amin',
  options: { readonly includeSelf?: boolean } = {},
): Tensor {
  checkOptions('indexReduce', options, ['includeSelf']);
  const d = checkVector('indexReduce', x, dim, index);
  checkTensor('indexReduce', 'source', source);
  if (x.ndim === 0) return indexReduce(x.reshape([1]), 0, index, source.reshape([-1]), reduce, options).reshape([]);
  const shape = x.shape.map((n, i) => (i === d ? index.numel() : n));
  const every = index.reshape(shape.map((_, i) => (i === d ? -1 : 1))).expand(shape);
  return scatterReduce(x, d, every, source, reduce, options);
}

/** x with source in place of the slice at `index` of `dim`. */
export function selectScatter(x: Tensor, source: Tensor, dim: number, index: number): Tensor {
  checkTensor('selectScatter', 'input', x);
  checkTensor('selectScatter', 'source', source);
  const d = normalDim('selectScatter', dim, x.ndim);
  const size = x.shape[d]!;
  if (!Number.isInteger(index) || index < -size || index >= size)
    throw new RangeError(`selectScatter: index ${index} is out of range for ${size} elements`);
  const at = index < 0 ? index + size : index;
  const here = new Tensor(coordinate(x.shape, d)).eq(at);
  const expected = x.shape.filter((_, i) => i !== d);
  if (source.ndim !== expected.length || source.shape.some((n, i) => n !== expected[i]))
    throw new RangeError(
      `selectScatter: source: expected shape ${shapeText(expected)}, got ${shapeText(source.shape)}`,
    );
  return here.where(source.to(x.dtype).unsqueeze(d), x);
}
