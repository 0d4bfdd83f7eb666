/**
 * Indexing with a list of slices, numbers and tensors (Python's square brackets), boolean masks, and what depends on
 * the data's values. Functions here have the tensor first and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { hostArray } from '../../graph/dtype.ts';
import { level } from '../autocast.ts';
import { shapeText } from '../convert.ts';
import { broadcastShapes, checkTensor, describe, nodeOf, normalDim, sliceRange, type TensorLike } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';
import { stridesOf } from './along.ts';

/** Python's start:stop:step; parts left out have its defaults. */
export interface Slice {
  readonly start?: number | null;
  readonly stop?: number | null;
  readonly step?: number | null;
}

/**
 * One place in an index list: a number takes that slice and drops the dim; a slice (an object, or text as '1:5', ':',
 * '::-1') a range; null adds a dim of size 1; '...' stands for all dims not named; an integer tensor picks by its
 * elements, a bool tensor where it is true (its values are read now).
 */
export type IndexPart = number | boolean | string | null | Slice | Tensor;

type Part =
  | { readonly kind: 'take'; readonly index: Tensor; readonly dims: 1 }
  | { readonly kind: 'slice'; readonly slice: Slice }
  | { readonly kind: 'number'; readonly index: number }
  | { readonly kind: 'new' };

function parseSlice(op: string, text: string): Slice {
  const fields = text.split(':').map(field => field.trim());
  if (fields.length < 2 || fields.length > 3 || fields.some(field => field !== '' && !/^[+-]?\d+$/.test(field)))
    throw new TypeError(`${op}: index: expected '...' or a slice such as '1:5:2', got '${text}'`);
  const [start, stop, step] = fields.map(field => (field === '' ? null : Number(field)));
  return { start, stop, step };
}

/** Positions where a mask is true, one i64 vector per dim. Evaluates. */
function placesOf(mask: Tensor): Tensor[] {
  const data = mask.data() as Uint8Array;
  const strides = stridesOf(mask.shape);
  let count = 0;
  for (const value of data) if (value) count++;
  const columns = mask.shape.map(() => new BigInt64Array(count));
  let at = 0;
  for (let i = 0; i < data.length; i++) {
    if (!data[i]) continue;
    let rest = i;
    for (let d = 0; d < strides.length; d++) {
      const place = Math.floor(rest / strides[d]!);
      columns[d]![at] = BigInt(place);
      rest -= place * strides[d]!;
    }
    at++;
  }
  return columns.map(column => new Tensor(build.data(column, [count], 'i64')));
}

/** The list with '...' spelled out, masks as integer tensors, and a full slice for every dim left. */
function parse(op: string, x: Tensor, list: readonly IndexPart[]): Part[] {
  const used = list.reduce<number>((n, part) => {
    if (part === null || part === '...' || typeof part === 'boolean') return n;
    return n + (part instanceof Tensor && part.dtype === 'bool' ? part.ndim : 1);
  }, 0);
  if (used > x.ndim)
    throw new RangeError(`${op}: ${used} indices for a tensor of ${x.ndim} dims, shape ${shapeText(x.shape)}`);
  const rest = Array.from({ length: x.ndim - used }, (): Part => ({ kind: 'slice', slice: {} }));
  const parts: Part[] = [];
  let dim = 0;
  let sawEllipsis = false;
  for (const part of list) {
    if (part === '...') {
      if (sawEllipsis) throw new RangeError(`${op}: index: '...' may stand once`);
      sawEllipsis = true;
      parts.push(...rest);
      dim += rest.length;
    } else if (part === null) parts.push({ kind: 'new' });
    else if (typeof part === 'boolean') {
      parts.push({ kind: 'new' });
      if (!part) throw new RangeError(`${op}: index: false selects nothing and is not supported`);
    } else if (part instanceof Tensor && part.dtype === 'bool') {
      part.shape.forEach((n, i) => {
        if (n !== x.shape[dim + i])
          throw new RangeError(
            `${op}: mask of shape ${shapeText(part.shape)} does not match dims ${dim}... of ${shapeText(x.shape)}`,
          );
      });
      for (const index of placesOf(part)) parts.push({ kind: 'take', index, dims: 1 });
      dim += part.ndim;
    } else {
      if (part instanceof Tensor) {
        if (!['i64', 'i32', 'u8', 'i8'].includes(part.dtype))
          throw new TypeError(`${op}: index: expected integers or bool, got ${describe(part)}`);
        parts.push({ kind: 'take', index: part, dims: 1 });
      } else if (typeof part === 'number') parts.push({ kind: 'number', index: part });
      else if (typeof part === 'string') parts.push({ kind: 'slice', slice: parseSlice(op, part) });
      else if (typeof part === 'object' && !Array.isArray(part)) {
        checkOptions(`${op}: index`, part, ['start', 'stop', 'step']);
        parts.push({ kind: 'slice', slice: part });
      } else
        throw new TypeError(`${op}: index: expected numbers, slices, null, '...' or tensors, got ${describe(part)}`);
      dim++;
    }
  }
  return sawEllipsis ? parts : [...parts, ...rest];
}

/** x after its numbers, slices and new dims, and which dims of it integer tensors index. */
interface Viewed {
  readonly view: Tensor;
  readonly taken: readonly { readonly dim: number; readonly index: Tensor }[];
}

function viewed(op: string, x: Tensor, parts: readonly Part[]): Viewed {
  const start: number[] = [];
  const length: number[] = [];
  const step: number[] = [];
  const shape: number[] = [];
  const taken: { dim: number; index: Tensor }[] = [];
  // A number beside tensors is an index of its own kind, as in NumPy.
  let dim = 0;
  for (const part of parts) {
    if (part.kind === 'new') {
      shape.push(1);
      continue;
    }
    const size = x.shape[dim]!;
    if (part.kind === 'number') {
      const { index } = part;
      if (!Number.isInteger(index) || index < -size || index >= size)
        throw new RangeError(`${op}: index ${index} is out of range for ${size} elements`);
      start.push(index < 0 ? index + size : index);
      length.push(1);
      step.push(1);
    } else if (part.kind === 'slice') {
      const range = sliceRange(op, size, part.slice.start, part.slice.stop, part.slice.step ?? 1);
      start.push(range.length > 0 ? range.start : 0);
      length.push(range.length);
      step.push(part.slice.step ?? 1);
      shape.push(range.length);
    } else {
      start.push(0);
      length.push(size);
      step.push(1);
      taken.push({ dim: shape.length, index: part.index });
      shape.push(size);
    }
    dim++;
  }
  return { view: new Tensor(build.reshape(build.slice(x.node, start, length, step), shape)), taken };
}

/** Merges the indexed dims of a view into one, at `at`, and the index tensors into one flat index. */
function merged(
  op: string,
  { view, taken }: Viewed,
): { rows: Tensor; index: Tensor['node']; at: number; order: number[] } {
  const dims = taken.map(part => part.dim);
  const adjacent = dims.every((d, i) => i === 0 || d === dims[i - 1]! + 1);
  const at = adjacent ? dims[0]! : 0;
  const others = view.shape.map((_, d) => d).filter(d => !dims.includes(d));
  const order = [...others.slice(0, at), ...dims, ...others.slice(at)];
  const moved = view.permute(order);
  const sizes = dims.map(d => view.shape[d]!);
  const total = sizes.reduce((a, n) => a * n, 1);
  const shape = broadcastShapes(
    op,
    taken.map(part => part.index.shape),
  );
  const strides = stridesOf(sizes);
  const flat = taken
    .map((part, i) => {
      const checked = new Tensor(build.checkIndex(part.index.long().node, sizes[i]!, op));
      return strides[i] === 1 ? checked : checked.mul(strides[i]!);
    })
    .reduce((a, b) => a.add(b));
  const rows = moved.reshape([...moved.shape.slice(0, at), total, ...moved.shape.slice(at + dims.length)]);
  return { rows, index: build.broadcastTo(flat.node, shape), at, order };
}

/**
 * x[a, b, ...] as in Python: `x.index(0)`, `x.index('1:3', null, '...')`, `x.index(rows, cols)`, or with the same in an
 * array. Negative indices count from the end.
 *
 * @throws for numbers out of range at once, for tensors' elements when the program runs.
 */
export function index(x: Tensor, ...parts: readonly [parts: readonly IndexPart[]] | readonly IndexPart[]): Tensor {
  checkTensor('index', 'input', x);
  const list = (parts.length === 1 && Array.isArray(parts[0]) ? parts[0] : parts) as readonly IndexPart[];
  const taken = viewed('index', x, parse('index', x, list));
  if (taken.taken.length === 0) return taken.view;
  const { rows, index: flat, at } = merged('index', taken);
  return new Tensor(build.gather(rows.node, flat, at, 'index'));
}

/** x with `values` at the places of `index(list)`; `accumulate` adds instead of replacing. */
export function indexPut(
  x: Tensor,
  list: readonly IndexPart[],
  values: TensorLike,
  options: { readonly accumulate?: boolean } = {},
): Tensor {
  checkOptions('indexPut', options, ['accumulate']);
  checkTensor('indexPut', 'input', x);
  const kind = options.accumulate ? 'add' : 'set';
  if (values instanceof Tensor) [x, values] = level(x, values);
  // Where each element of x stands, indexed the same way, says where the values go.
  const positions = new Tensor(build.reshape(build.iota(x.numel(), 'i64'), x.shape));
  const places = index(positions, list);
  const given = nodeOf(values, x.dtype);
  if (shapeText(broadcastShapes('indexPut', [given.shape, places.shape])) !== shapeText(places.shape))
    throw new RangeError(
      `indexPut: values: expected at most ${shapeText(places.shape)}, got ${shapeText(given.shape)}`,
    );
  const updates = build.broadcastTo(given, places.shape);
  const count = places.numel();
  if (count === 0) return x;
  const out = build.scatter(
    kind,
    build.reshape(x.node, [x.numel()]),
    build.reshape(places.node, [count]),
    build.reshape(updates, [count]),
    0,
    'indexPut',
  );
  return new Tensor(build.reshape(out, x.shape));
}

/** x with source in the slice start:end:step of `dim`. */
export function sliceScatter(
  x: Tensor,
  source: Tensor,
  dim = 0,
  start?: number | null,
  end?: number | null,
  step = 1,
): Tensor {
  checkTensor('sliceScatter', 'input', x);
  checkTensor('sliceScatter', 'source', source);
  const d = normalDim('sliceScatter', dim, x.ndim);
  const list: IndexPart[] = [...new Array<IndexPart>(d).fill(':'), { start, stop: end, step }];
  const places = x.slice(d, start, end, step).shape;
  if (shapeText(source.shape) !== shapeText(places))
    throw new RangeError(`sliceScatter: source: expected ${shapeText(places)}, got ${shapeText(source.shape)}`);
  return indexPut(x, list, source);
}

/** The elements where the mask is true, as a vector. The mask is read now. */
export function maskedSelect(x: Tensor, mask: Tensor): Tensor {
  checkTensor('maskedSelect', 'input', x);
  checkTensor('maskedSelect', 'mask', mask);
  if (mask.dtype !== 'bool') throw new TypeError(`maskedSelect: mask: expected bool, got ${mask.dtype}`);
  const shape = broadcastShapes('maskedSelect', [x.shape, mask.shape]);
  return index(x.expand(shape).reshape([-1]), [mask.expand(shape).reshape([-1])]);
}

/** x with the elements of source, in order, where the mask is true. */
export function maskedScatter(x: Tensor, mask: Tensor, source: Tensor): Tensor {
  checkTensor('maskedScatter', 'input', x);
  checkTensor('maskedScatter', 'mask', mask);
  checkTensor('maskedScatter', 'source', source);
  if (mask.dtype !== 'bool') throw new TypeError(`maskedScatter: mask: expected bool, got ${mask.dtype}`);
  [x, source] = level(x, source);
  if (source.dtype !== x.dtype)
    throw new TypeError(`maskedScatter: dtypes differ: input ${x.dtype}, source ${source.dtype}`);
  const spread = mask.expand(broadcastShapes('maskedScatter', [x.shape, mask.shape]));
  const order = spread.reshape([-1]).cumsum(0).sub(1).reshape(spread.shape);
  const picked = source.reshape([-1]).take(spread.where(order, 0));
  return spread.where(picked, x);
}

/**
 * i64 [n, ndim]: the places of the elements that are not 0, in order; with `asTuple` a vector for each dim (one for a
 * tensor without dims). The values are read now.
 */
export function nonzero(x: Tensor, options: { readonly asTuple: true }): Tensor[];
export function nonzero(x: Tensor, options?: { readonly asTuple?: false }): Tensor;
export function nonzero(x: Tensor, options: { readonly asTuple?: boolean } = {}): Tensor | Tensor[] {
  checkOptions('nonzero', options, ['asTuple']);
  checkTensor('nonzero', 'input', x);
  if (options.asTuple) return nonzero(x.ndim === 0 ? x.reshape([1]) : x).unbind(1);
  const places = placesOf(x.bool());
  const count = x.ndim === 0 ? Number(x.bool().item()) : places[0]!.numel();
  const out = hostArray('i64', count * x.ndim) as BigInt64Array;
  places.forEach((place, d) => {
    const column = place.data() as BigInt64Array;
    for (let i = 0; i < count; i++) out[i * x.ndim + d] = column[i]!;
  });
  return new Tensor(build.data(out, [count, x.ndim], 'i64'));
}

/** nonzero under its other name. */
export function argwhere(x: Tensor): Tensor {
  return nonzero(x);
}
