/**
 * Views that pick, repeat or reorder elements: select, slice, flip, roll, diagonals, triangles, windows, padding by a
 * constant. Functions here have the tensor first and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { axis, identityAxis } from '../../graph/reindex.ts';
import { shapeText } from '../convert.ts';
import {
  checkTensor,
  checkWhole,
  describe,
  normalDim,
  normalDims,
  type SizeArgs,
  sizesOf,
  sliceRange,
} from '../operands.ts';
import { Tensor } from '../tensor.ts';
import { coordinate } from './along.ts';
import { concatenate } from './join.ts';

/** The slice at `index` along `dim`, without that dim; negative counts from the end. */
export function select(x: Tensor, dim: number, index: number): Tensor {
  checkTensor('select', 'input', x);
  if (x.ndim === 0) throw new RangeError('select: input: expected at least one dim, got []');
  const d = normalDim('select', dim, x.ndim);
  const size = x.shape[d]!;
  if (!Number.isInteger(index) || index < -size || index >= size)
    throw new RangeError(`select: index ${index} is out of range for ${size} elements`);
  return x.narrow(d, index < 0 ? index + size : index, 1).squeeze(d);
}

/** Elements start, start + step, ... below end along `dim`, with Python's rules; the step may be negative. */
export function slice(x: Tensor, dim = 0, start?: number | null, end?: number | null, step = 1): Tensor {
  checkTensor('slice', 'input', x);
  if (x.ndim === 0) throw new RangeError('slice: input: expected at least one dim, got []');
  const d = normalDim('slice', dim, x.ndim);
  const range = sliceRange('slice', x.shape[d]!, start, end, step);
  const at = <T>(value: T, other: (n: number) => T): T[] => x.shape.map((n, i) => (i === d ? value : other(n)));
  return new Tensor(
    build.slice(
      x.node,
      at(range.start, () => 0),
      at(range.length, n => n),
      at(step, () => 1),
    ),
  );
}

/** Order reversed along `dims` (all by default). */
export function flip(x: Tensor, ...dims: SizeArgs): Tensor {
  checkTensor('flip', 'input', x);
  const flipped = normalDims('flip', dims.length > 0 ? sizesOf('flip', dims, 'dims') : undefined, x.ndim);
  return new Tensor(
    build.slice(
      x.node,
      x.shape.map((n, d) => (flipped.includes(d) ? Math.max(n - 1, 0) : 0)),
      x.shape,
      x.shape.map((_, d) => (flipped.includes(d) ? -1 : 1)),
    ),
  );
}

/** Left and right swapped: flip of dim 1. */
export function fliplr(x: Tensor): Tensor {
  checkTensor('fliplr', 'input', x);
  if (x.ndim < 2) throw new RangeError(`fliplr: input: expected at least 2 dims, got ${shapeText(x.shape)}`);
  return flip(x, 1);
}

/** Up and down swapped: flip of dim 0. */
export function flipud(x: Tensor): Tensor {
  checkTensor('flipud', 'input', x);
  if (x.ndim < 1) throw new RangeError('flipud: input: expected at least 1 dim, got []');
  return flip(x, 0);
}

/** Elements moved `shifts` places along `dims`, round the end; without dims, of the flattened tensor. */
export function roll(x: Tensor, shifts: number | readonly number[], dims?: number | readonly number[]): Tensor {
  checkTensor('roll', 'input', x);
  const by = typeof shifts === 'number' ? [shifts] : shifts;
  if (dims === undefined || (Array.isArray(dims) && dims.length === 0)) {
    if (by.length !== 1) throw new RangeError(`roll: shifts: expected one without dims, got ${by.length}`);
    return roll(x.reshape([-1]), by, 0).reshape(x.shape);
  }
  const along = typeof dims === 'number' ? [dims] : dims;
  if (by.length !== along.length)
    throw new RangeError(`roll: shifts and dims differ in length: ${by.length} and ${along.length}`);
  let out = x;
  along.forEach((dim, i) => {
    const d = normalDim('roll', dim, x.ndim);
    const size = x.ndim === 0 ? 0 : x.shape[d]!;
    if (size === 0) return;
    const cut = (((-by[i]! % size) + size) % size) | 0;
    if (cut === 0) return;
    out = concatenate('roll', [out.narrow(d, cut, size - cut), out.narrow(d, 0, cut)], d);
  });
  return out;
}

/** A quarter turn, k times, from dims[0] towards dims[1]. */
export function rot90(x: Tensor, k = 1, dims: readonly [number, number] = [0, 1]): Tensor {
  checkTensor('rot90', 'input', x);
  if (x.ndim < 2) throw new RangeError(`rot90: input: expected at least 2 dims, got ${shapeText(x.shape)}`);
  if (dims.length !== 2) throw new RangeError(`rot90: dims: expected two, got ${shapeText(dims)}`);
  const [a, b] = [normalDim('rot90', dims[0], x.ndim), normalDim('rot90', dims[1], x.ndim)];
  if (a === b) throw new RangeError(`rot90: dims ${shapeText(dims)} name a dim twice`);
  switch (((k % 4) + 4) % 4) {
    case 1:
      return flip(x, b).transpose(a, b);
    case 2:
      return flip(x, [a, b]);
    case 3:
      return flip(x, a).transpose(a, b);
    default:
      return x;
  }
}

/** The whole tensor `times` times along each dim, `[2, 3]` or `2, 3`; more numbers than dims add dims in front. */
export function repeat(x: Tensor, ...times: SizeArgs): Tensor {
  checkTensor('repeat', 'input', x);
  const sizes = sizesOf('repeat', times, 'sizes');
  if (sizes.length < x.ndim)
    throw new RangeError(`repeat: sizes: expected at least ${x.ndim} numbers, got ${shapeText(sizes)}`);
  for (const n of sizes) checkWhole('repeat', 'sizes', n, 0);
  const padded = [...new Array<number>(sizes.length - x.ndim).fill(1), ...x.shape];
  const split = padded.flatMap(n => [1, n]);
  const spread = padded.flatMap((n, d) => [sizes[d]!, n]);
  return x
    .reshape(split)
    .expand(spread)
    .reshape(padded.map((n, d) => n * sizes[d]!));
}

/** repeat under NumPy's name: fewer sizes than dims leave the leading dims alone. */
export function tile(x: Tensor, ...times: SizeArgs): Tensor {
  checkTensor('tile', 'input', x);
  const sizes = sizesOf('tile', times, 'sizes');
  return repeat(x, [...new Array<number>(Math.max(0, x.ndim - sizes.length)).fill(1), ...sizes]);
}

/** Each element `times` times in a row along `dim` (of the flattened tensor by default). */
export function repeatInterleave(x: Tensor, times: number | Tensor, dim?: number | null): Tensor {
  checkTensor('repeatInterleave', 'input', x);
  if (dim === undefined || dim === null) return repeatInterleave(x.reshape([-1]), times, 0);
  if (x.ndim === 0) return repeatInterleave(x.reshape([1]), times, 0);
  const d = normalDim('repeatInterleave', dim, x.ndim);
  if (times instanceof Tensor) {
    if (times.numel() === 1) return repeatInterleave(x, times.item(), d);
    if (times.ndim !== 1 || times.shape[0] !== x.shape[d])
      throw new RangeError(`repeatInterleave: times: expected [${x.shape[d]}] counts, got ${shapeText(times.shape)}`);
    const counts = Array.from(times.data(), Number);
    const total = counts.reduce((sum, n) => sum + n, 0);
    if (counts.some(n => n < 0) || total >= 2 ** 31)
      throw new RangeError(
        `repeatInterleave: times: expected counts from 0 on, less than 2^31 together, got ${Math.min(...counts)} to ${Math.max(...counts)}`,
      );
    const places = new BigInt64Array(total);
    let end = 0;
    for (const [i, n] of counts.entries()) places.fill(BigInt(i), end, (end += n));
    return x.indexSelect(d, Tensor.from(places));
  }
  checkWhole('repeatInterleave', 'times', times, 0);
  const inner = [...x.shape.slice(0, d + 1), times, ...x.shape.slice(d + 1)];
  const out = x.shape.map((n, i) => (i === d ? n * times : n));
  return x
    .unsqueeze(d + 1)
    .expand(inner)
    .reshape(out);
}

function diagonalLength(rows: number, cols: number, offset: number): number {
  return Math.max(0, offset >= 0 ? Math.min(rows, cols - offset) : Math.min(rows + offset, cols));
}

/** The diagonal of dims dim1 and dim2 as the last dim; `offset` above (positive) or below. */
export function diagonal(x: Tensor, offset = 0, dim1 = 0, dim2 = 1): Tensor {
  checkTensor('diagonal', 'input', x);
  if (!Number.isInteger(offset))
    throw new RangeError(`diagonal: offset: expected a whole number, got ${describe(offset)}`);
  const [a, b] = [normalDim('diagonal', dim1, x.ndim), normalDim('diagonal', dim2, x.ndim)];
  if (x.ndim < 2 || a === b)
    throw new RangeError(`diagonal: expected two different dims of ${shapeText(x.shape)}, got ${dim1} and ${dim2}`);
  const moved = x.movedim([a, b], [-2, -1]);
  const [rows, cols] = [moved.shape[x.ndim - 2]!, moved.shape[x.ndim - 1]!];
  const lead = moved.shape.slice(0, -2);
  const length = diagonalLength(rows, cols, offset);
  // In the flattened matrix the diagonal is every (cols + 1)th element.
  const flat = moved.reshape([...lead, rows * cols]);
  const start = offset >= 0 ? offset : -offset * cols;
  return new Tensor(
    build.slice(
      flat.node,
      [...lead.map(() => 0), length > 0 ? start : 0],
      [...lead, length],
      [...lead.map(() => 1), cols + 1],
    ),
  );
}

/** A matrix with the last dim on its diagonal, as dims dim1 and dim2 of the result. */
export function diagEmbed(x: Tensor, offset = 0, dim1 = -2, dim2 = -1): Tensor {
  checkTensor('diagEmbed', 'input', x);
  if (x.ndim === 0) throw new RangeError('diagEmbed: input: expected at least one dim, got []');
  const rank = x.ndim + 1;
  const [a, b] = [normalDim('diagEmbed', dim1, rank), normalDim('diagEmbed', dim2, rank)];
  if (a === b) throw new RangeError(`diagEmbed: dims ${dim1} and ${dim2} are the same`);
  const lead = x.shape.slice(0, -1);
  const n = x.shape[x.ndim - 1]! + Math.abs(offset);
  const start = offset >= 0 ? offset : -offset * n;
  const map = axis([[lead.length, 1]], -start, n + 1);
  const placed = build.reindex(x.node, [...lead, n * n], [...lead.map((_, d) => identityAxis(d)), map]);
  return new Tensor(placed).reshape([...lead, n, n]).movedim([-2, -1], [a, b]);
}

/** Of a vector the diagonal matrix, of a matrix its diagonal. */
export function diag(x: Tensor, offset = 0): Tensor {
  checkTensor('diag', 'input', x);
  if (x.ndim === 1) return diagEmbed(x, offset);
  if (x.ndim === 2) return diagonal(x, offset);
  throw new RangeError(`diag: input: expected 1 or 2 dims, got ${shapeText(x.shape)}`);
}

/** The diagonal matrix of the flattened tensor. */
export function diagflat(x: Tensor, offset = 0): Tensor {
  checkTensor('diagflat', 'input', x);
  return diagEmbed(x.reshape([-1]), offset);
}

/** The sum of a matrix's diagonal. */
export function trace(x: Tensor): Tensor {
  checkTensor('trace', 'input', x);
  if (x.ndim !== 2) throw new RangeError(`trace: input: expected 2 dims, got ${shapeText(x.shape)}`);
  return diagonal(x).sum();
}

function triangle(op: string, x: Tensor, keep: (rows: Tensor, cols: Tensor) => Tensor): Tensor {
  checkTensor(op, 'input', x);
  if (x.ndim < 2) throw new RangeError(`${op}: input: expected at least 2 dims, got ${shapeText(x.shape)}`);
  const matrix = x.shape.slice(-2);
  const mask = keep(new Tensor(coordinate(matrix, 0, 1, 'i32')), new Tensor(coordinate(matrix, 1, 1, 'i32')));
  return x.dtype === 'bool' ? mask.logicalAnd(x) : mask.where(x, 0).to(x.dtype);
}

/** Zero above the diagonal `diagonal` (0 the main one) of the last two dims. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return triangle('tril', x, (rows, cols) => cols.sub(rows).le(diagonal));
}

/** Zero below the diagonal `diagonal` (0 the main one) of the last two dims. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return triangle('triu', x, (rows, cols) => cols.sub(rows).ge(diagonal));
}

/** Windows of `size` elements every `step` along `dim`, as a new last dim. */
export function unfold(x: Tensor, dim: number, size: number, step: number): Tensor {
  checkTensor('unfold', 'input', x);
  checkWhole('unfold', 'size', size, 0);
  checkWhole('unfold', 'step', step, 1);
  const d = normalDim('unfold', dim, x.ndim);
  const whole = x.ndim === 0 ? x.reshape([1]) : x;
  const length = whole.shape[d]!;
  if (size > length) throw new RangeError(`unfold: size ${size} exceeds the ${length} elements of dim ${dim}`);
  const count = Math.floor((length - size) / step) + 1;
  const axes = whole.shape.map((_, i) =>
    i === d
      ? axis([
          [d, step],
          [whole.ndim, 1],
        ])
      : identityAxis(i),
  );
  const out = new Tensor(build.reindex(whole.node, [...whole.shape.map((n, i) => (i === d ? count : n)), size], axes));
  return x.ndim === 0 ? out.reshape([size]) : out;
}

/**
 * `value` around the tensor: `amounts` lists before and after for the last dim, then for the one before it, and so on.
 * Negative amounts crop.
 */
export function constantPad(x: Tensor, amounts: readonly number[], value = 0): Tensor {
  checkTensor('constantPad', 'input', x);
  if (amounts.length % 2 !== 0 || amounts.length > 2 * x.ndim)
    throw new RangeError(
      `constantPad: amounts: expected up to ${x.ndim} pairs for input ${shapeText(x.shape)}, got ${shapeText(amounts)}`,
    );
  const lo = x.shape.map((_, d) => amounts[2 * (x.ndim - 1 - d)] ?? 0);
  const hi = x.shape.map((_, d) => amounts[2 * (x.ndim - 1 - d) + 1] ?? 0);
  const sizes = x.shape.map((n, d) => n + lo[d]! + hi[d]!);
  if (sizes.some(n => n < 0))
    throw new RangeError(
      `constantPad: amounts ${shapeText(amounts)} would make sizes ${shapeText(sizes)} of input ${shapeText(x.shape)}`,
    );
  return new Tensor(build.pad(x.node, lo, hi, value));
}
