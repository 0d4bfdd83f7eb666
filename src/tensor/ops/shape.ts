/**
 * Ops that change how dims are arranged and keep every element once: reshape, permute, split and their kin; and expand.
 * Functions here have the tensor first and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { isFloat } from '../../graph/dtype.ts';
import { shapeText } from '../convert.ts';
import {
  checkInt,
  checkSizes,
  checkTensor,
  checkWhole,
  describe,
  normalDim,
  normalDims,
  type SizeArgs,
  sizesOf,
} from '../operands.ts';
import { Tensor } from '../tensor.ts';

function inferred(op: string, shape: readonly number[], size: number, from: readonly number[]): number[] {
  const unknown = shape.filter(n => n === -1).length;
  if (unknown > 1) throw new RangeError(`${op}: shape ${shapeText(shape)} leaves more than one size open`);
  if (shape.some(n => n < -1)) throw new RangeError(`${op}: shape ${shapeText(shape)} has a negative size`);
  const known = shape.reduce((a, n) => (n === -1 ? a : a * n), 1);
  const fits = unknown ? known > 0 && size % known === 0 : known === size;
  if (!fits)
    throw new RangeError(`${op}: shape ${shapeText(shape)} does not hold the ${size} elements of ${shapeText(from)}`);
  return shape.map(n => (n === -1 ? size / known : n));
}

/** The same elements in C order under another shape, `[2, -1]` or `2, -1`; one size may be -1. */
export function reshape(x: Tensor, ...shape: SizeArgs): Tensor {
  checkTensor('reshape', 'input', x);
  return new Tensor(build.reshape(x.node, inferred('reshape', sizesOf('reshape', shape), x.numel(), x.shape)));
}

/** reshape (tensors are immutable, so a view is no different). */
export function view(x: Tensor, ...shape: SizeArgs): Tensor {
  checkTensor('view', 'input', x);
  return new Tensor(build.reshape(x.node, inferred('view', sizesOf('view', shape), x.numel(), x.shape)));
}

/** reshape to the shape of `other`. */
export function reshapeAs(x: Tensor, other: Tensor): Tensor {
  checkTensor('reshapeAs', 'other', other);
  if (x.numel() !== other.numel())
    throw new RangeError(
      `reshapeAs: other: ${shapeText(other.shape)} does not hold the elements of ${shapeText(x.shape)}`,
    );
  return reshape(x, other.shape);
}

/** reshape to the shape of `other`. */
export function viewAs(x: Tensor, other: Tensor): Tensor {
  checkTensor('viewAs', 'other', other);
  if (x.numel() !== other.numel())
    throw new RangeError(
      `viewAs: other: ${shapeText(other.shape)} does not hold the elements of ${shapeText(x.shape)}`,
    );
  return reshape(x, other.shape);
}

/** One dim. */
export function ravel(x: Tensor): Tensor {
  return reshape(x, [-1]);
}

/** Dims startDim to endDim (inclusive) as one; all of them by default. */
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  checkTensor('flatten', 'input', x);
  if (x.ndim === 0) return reshape(x, [1]);
  const start = normalDim('flatten', startDim, x.ndim);
  const end = normalDim('flatten', endDim, x.ndim);
  if (start > end) throw new RangeError(`flatten: startDim ${startDim} comes after endDim ${endDim}`);
  const merged = x.shape.slice(start, end + 1).reduce((a, n) => a * n, 1);
  return reshape(x, [...x.shape.slice(0, start), merged, ...x.shape.slice(end + 1)]);
}

/** One dim as several; one of `sizes` may be -1. */
export function unflatten(x: Tensor, dim: number, sizes: readonly number[]): Tensor {
  checkTensor('unflatten', 'input', x);
  const d = normalDim('unflatten', dim, x.ndim);
  checkSizes('unflatten', sizes);
  const inner = inferred('unflatten', sizes, x.shape[d]!, [x.shape[d]!]);
  return reshape(x, [...x.shape.slice(0, d), ...inner, ...x.shape.slice(d + 1)]);
}

/** Leaves out dims of size 1: all of them, or those of `dim` that have size 1. */
export function squeeze(x: Tensor, dim?: number | readonly number[]): Tensor {
  checkTensor('squeeze', 'input', x);
  const dims = normalDims('squeeze', dim, x.ndim);
  return reshape(
    x,
    x.shape.filter((n, d) => n !== 1 || !dims.includes(d)),
  );
}

/** A new dim of size 1 at `dim` of the result. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  checkTensor('unsqueeze', 'input', x);
  const d = normalDim('unsqueeze', dim, x.ndim + 1);
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
}

/** Dim i of the result is dim dims[i]; `[1, 0]` or `1, 0`. */
export function permute(x: Tensor, ...dims: SizeArgs): Tensor {
  checkTensor('permute', 'input', x);
  const order = sizesOf('permute', dims, 'order');
  if (order.length !== x.ndim)
    throw new RangeError(`permute: order ${shapeText(order)} names ${order.length} dims of a tensor of ${x.ndim}`);
  const axes = order.map(d => normalDim('permute', d, x.ndim));
  if (new Set(axes).size !== axes.length) throw new RangeError(`permute: order ${shapeText(order)} names a dim twice`);
  return new Tensor(build.permute(x.node, axes));
}

/** Two dims swapped. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  checkTensor('transpose', 'input', x);
  const a = normalDim('transpose', dim0, x.ndim);
  const b = normalDim('transpose', dim1, x.ndim);
  const order = x.shape.map((_, d) => (d === a ? b : d === b ? a : d));
  return new Tensor(build.permute(x.node, order));
}

/** transpose under NumPy's name. */
export function swapaxes(x: Tensor, axis0: number, axis1: number): Tensor {
  return transpose(x, axis0, axis1);
}

/** transpose under its short name. */
export function swapdims(x: Tensor, dim0: number, dim1: number): Tensor {
  return transpose(x, dim0, dim1);
}

/** The transpose of a matrix; a vector as it is. */
export function t(x: Tensor): Tensor {
  checkTensor('t', 'input', x);
  if (x.ndim > 2) throw new RangeError(`t: input: expected at most 2 dims, got ${shapeText(x.shape)}`);
  return x.ndim === 2 ? transpose(x, 0, 1) : x;
}

/** Moves dims `source` to the places `destination`; the others keep their order. */
export function movedim(
  x: Tensor,
  source: number | readonly number[],
  destination: number | readonly number[],
): Tensor {
  checkTensor('movedim', 'input', x);
  const from = (typeof source === 'number' ? [source] : source).map(d => normalDim('movedim', d, x.ndim));
  const to = (typeof destination === 'number' ? [destination] : destination).map(d => normalDim('movedim', d, x.ndim));
  if (from.length !== to.length)
    throw new RangeError(`movedim: source names ${from.length} dims and destination ${to.length}`);
  if (new Set(from).size !== from.length || new Set(to).size !== to.length)
    throw new RangeError('movedim: source and destination must not name a dim twice');
  const order = new Array<number>(x.ndim).fill(-1);
  from.forEach((d, i) => {
    order[to[i]!] = d;
  });
  const rest = x.shape.map((_, d) => d).filter(d => !from.includes(d));
  return new Tensor(
    build.permute(
      x.node,
      order.map(d => (d < 0 ? rest.shift()! : d)),
    ),
  );
}

/** movedim under NumPy's name. */
export function moveaxis(
  x: Tensor,
  source: number | readonly number[],
  destination: number | readonly number[],
): Tensor {
  return movedim(x, source, destination);
}

/** Stretches dims of size 1 to the sizes given, `[4, -1]` or `4, -1`; -1 keeps a size, and new dims come in front. */
export function expand(x: Tensor, ...sizes: SizeArgs): Tensor {
  checkTensor('expand', 'input', x);
  const shape = sizesOf('expand', sizes);
  const lead = shape.length - x.ndim;
  const fail = (): never => {
    throw new RangeError(`expand: ${shapeText(x.shape)} does not broadcast to ${shapeText(shape)}`);
  };
  if (lead < 0) fail();
  const stretched = shape.map((n, d) => {
    const have = d < lead ? 1 : x.shape[d - lead]!;
    if (n === -1) return d < lead ? fail() : have;
    if (n < 0 || (have !== 1 && have !== n)) fail();
    return n;
  });
  return new Tensor(build.broadcastTo(x.node, stretched));
}

/** expand to the shape of `other`. */
export function expandAs(x: Tensor, other: Tensor): Tensor {
  checkTensor('expandAs', 'other', other);
  return expand(x, other.shape);
}

/** expand under NumPy's name (no -1). */
export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor {
  return expand(x, shape);
}

/** Sums what broadcasting to x's shape repeated: the result has `shape`; sums of integers and booleans are i64. */
export function sumToSize(x: Tensor, shape: readonly number[]): Tensor {
  checkTensor('sumToSize', 'input', x);
  checkSizes('sumToSize', shape);
  const lead = x.ndim - shape.length;
  if (lead < 0 || shape.some((n, d) => n !== 1 && n !== x.shape[d + lead]))
    throw new RangeError(`sumToSize: shape ${shapeText(shape)} does not broadcast to ${shapeText(x.shape)}`);
  if (shape.length > 0 && lead === 0 && shape.every((n, d) => n === x.shape[d])) return x;
  const dims = x.shape.map((_, d) => d).filter(d => d < lead || shape[d - lead] === 1);
  const terms = isFloat(x.dtype) ? x.node : build.cast(x.node, 'i64');
  return new Tensor(build.reshape(build.reduce('sum', terms, dims), shape));
}

/**
 * Part of one dim: `length` elements from `start` on. A start that is an integer tensor of one element may be computed;
 * outside of the dim it fails the program.
 */
export function narrow(x: Tensor, dim: number, start: number | Tensor, length: number): Tensor {
  checkTensor('narrow', 'input', x);
  const d = normalDim('narrow', dim, x.ndim);
  if (x.ndim === 0) throw new RangeError('narrow: input: expected at least one dim, got []');
  const size = x.shape[d]!;
  if (start instanceof Tensor) {
    checkInt('narrow', 'start', start);
    checkWhole('narrow', 'length', length, 0);
    if (start.numel() !== 1 || length > size)
      throw new RangeError(
        `narrow: expected a start of one element and at most ${size} elements, got ${shapeText(start.shape)} and ${length}`,
      );
    // The first and the last element bound all others.
    const first = build.checkIndex(build.cast(build.reshape(start.node, []), 'i64'), size - length + 1, 'narrow');
    const places = build.binary('add', build.broadcastTo(first, [length]), build.iota(length, 'i64'));
    return new Tensor(build.gather(x.node, places, d, 'narrow'));
  }
  if (!Number.isInteger(start) || start < -size || start > size)
    throw new RangeError(`narrow: start ${start} is out of range for ${size} elements`);
  checkWhole('narrow', 'length', length, 0);
  const from = start < 0 ? start + size : start;
  if (from + length > size)
    throw new RangeError(`narrow: ${length} elements from ${start} exceed the ${size} elements of dim ${dim}`);
  const starts = x.shape.map((_, i) => (i === d ? from : 0));
  return new Tensor(
    build.slice(
      x.node,
      starts,
      x.shape.map((n, i) => (i === d ? length : n)),
    ),
  );
}

/**
 * Parts along `dim` of `sizeOrSizes` elements each (the last may be smaller), or of the sizes given.
 */
export function split(x: Tensor, sizeOrSizes: number | readonly number[], dim = 0): Tensor[] {
  checkTensor('split', 'input', x);
  const d = normalDim('split', dim, x.ndim);
  if (x.ndim === 0) throw new RangeError('split: input: expected at least one dim, got []');
  const total = x.shape[d]!;
  let sizes: number[];
  if (typeof sizeOrSizes === 'number') {
    checkWhole('split', 'size', sizeOrSizes, total === 0 ? 0 : 1);
    sizes = [];
    for (let at = 0; at < total; at += sizeOrSizes) sizes.push(Math.min(sizeOrSizes, total - at));
    if (total === 0) sizes = [0];
  } else {
    sizes = [...sizeOrSizes];
    for (const n of sizes) checkWhole('split', 'sizes', n, 0);
    const sum = sizes.reduce((a, n) => a + n, 0);
    if (sum !== total)
      throw new RangeError(`split: sizes ${shapeText(sizes)} sum to ${sum}, and dim ${dim} has ${total}`);
  }
  let at = 0;
  return sizes.map(n => {
    const part = narrow(x, d, at, n);
    at += n;
    return part;
  });
}

/** split by a list of sizes. */
export function splitWithSizes(x: Tensor, sizes: readonly number[], dim = 0): Tensor[] {
  return split(x, sizes, dim);
}

/** At most `chunks` parts of equal size (the last may be smaller); of an empty dim as many empty ones. */
export function chunk(x: Tensor, chunks: number, dim = 0): Tensor[] {
  checkTensor('chunk', 'input', x);
  checkWhole('chunk', 'chunks', chunks, 1);
  const d = normalDim('chunk', dim, x.ndim);
  if (x.ndim === 0) throw new RangeError('chunk: input: expected at least one dim, got []');
  if (x.shape[d] === 0) return Array.from({ length: chunks }, () => x);
  return split(x, Math.ceil(x.shape[d]! / chunks), d);
}

/** `sections` parts as equal as can be, or parts cut before the given positions. */
export function tensorSplit(x: Tensor, sections: number | readonly number[], dim = 0): Tensor[] {
  checkTensor('tensorSplit', 'input', x);
  const d = normalDim('tensorSplit', dim, x.ndim);
  if (x.ndim === 0) throw new RangeError('tensorSplit: input: expected at least one dim, got []');
  const total = x.shape[d]!;
  let cuts: number[];
  if (typeof sections === 'number') {
    checkWhole('tensorSplit', 'sections', sections, 1);
    const base = Math.floor(total / sections);
    const extra = total % sections;
    cuts = Array.from({ length: sections - 1 }, (_, i) => (i + 1) * base + Math.min(i + 1, extra));
  } else if (!Array.isArray(sections))
    throw new TypeError(`tensorSplit: sections: expected a whole number or positions, got ${describe(sections)}`);
  else cuts = (sections as readonly number[]).map(at => Math.min(Math.max(at < 0 ? at + total : at, 0), total));
  let from = 0;
  return [...cuts, total].map(cut => {
    const part = narrow(x, d, from, Math.max(0, cut - from));
    from = cut;
    return part;
  });
}

/** The slices along `dim`, without it. */
export function unbind(x: Tensor, dim = 0): Tensor[] {
  checkTensor('unbind', 'input', x);
  const d = normalDim('unbind', dim, x.ndim);
  if (x.ndim === 0) throw new RangeError('unbind: input: expected at least one dim, got []');
  const rest = x.shape.filter((_, i) => i !== d);
  return Array.from({ length: x.shape[d]! }, (_, i) => reshape(narrow(x, d, i, 1), rest));
}

/** The tensor itself (values are immutable). */
export function clone(x: Tensor): Tensor {
  checkTensor('clone', 'input', x);
  return x;
}

/** The tensor itself (every tensor is in C order). */
export function contiguous(x: Tensor): Tensor {
  checkTensor('contiguous', 'input', x);
  return x;
}
