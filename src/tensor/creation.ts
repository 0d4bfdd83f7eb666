/**
 * Making tensors from nothing but sizes: constants, ranges, grids. Random ones are in random.ts, data in Tensor.from.
 */
import * as build from '../graph/build.ts';
import { type DType, isFloat } from '../graph/dtype.ts';
import type { Node } from '../graph/node.ts';
import { checkDType, checkShape, type NestedInput, type Scalar, shapeText, type TensorData } from './convert.ts';
import { checkTensor, checkWhole, describe } from './operands.ts';
import { coordinate } from './ops/along.ts';
import { checkChoice, checkOptions, type SizeArgsWith, shapeAndOptions } from './options.ts';
import { Tensor } from './tensor.ts';

export interface DTypeOption {
  readonly dtype?: DType;
}

/** `Tensor.from` as a function. */
export function tensor(
  data: NestedInput | TensorData,
  options: { readonly dtype?: DType; readonly shape?: readonly number[] } = {},
): Tensor {
  checkOptions('tensor', options, ['dtype', 'shape']);
  return Tensor.from(data, options);
}

const DTYPE = ['dtype'] as const;

const filled = (op: string, value: Scalar, natural: DType, shape: readonly number[], options: DTypeOption): Tensor => {
  checkShape(op, shape);
  const { dtype = natural } = checkOptions(op, options, DTYPE);
  checkDType(op, dtype);
  return new Tensor(build.full(typeof value === 'boolean' ? Number(value) : value, shape, dtype));
};

/** Zeros, f32 by default: `zeros([2, 3])` or `zeros(2, 3)`, options last. */
export function zeros(...sizes: SizeArgsWith<DTypeOption>): Tensor {
  return filled('zeros', 0, 'f32', ...shapeAndOptions('zeros', sizes, DTYPE));
}

/** Ones, f32 by default: `ones([2, 3])` or `ones(2, 3)`, options last. */
export function ones(...sizes: SizeArgsWith<DTypeOption>): Tensor {
  return filled('ones', 1, 'f32', ...shapeAndOptions('ones', sizes, DTYPE));
}

/** `value` everywhere; by default f32, bool for booleans, i64 for bigints. */
export function full(shape: readonly number[], value: Scalar, options: DTypeOption = {}): Tensor {
  if (typeof value !== 'number' && typeof value !== 'boolean' && typeof value !== 'bigint')
    throw new TypeError(`full: value: expected a number, got ${describe(value)}`);
  const natural = typeof value === 'boolean' ? 'bool' : typeof value === 'bigint' ? 'i64' : 'f32';
  return filled('full', value, natural, shape, options);
}

/** Zeros of x's shape and dtype. */
export const zerosLike = (x: Tensor, options: DTypeOption = {}): Tensor => fullLike(x, 0, options);

/** zeros: there is no memory without values. */
export const empty = (...sizes: SizeArgsWith<DTypeOption>): Tensor => zeros(...sizes);

/** zerosLike: there is no memory without values. */
export const emptyLike = (x: Tensor, options: DTypeOption = {}): Tensor => zerosLike(x, options);

/** Ones of x's shape and dtype. */
export const onesLike = (x: Tensor, options: DTypeOption = {}): Tensor => fullLike(x, 1, options);

/** `value` in x's shape and dtype. */
export function fullLike(x: Tensor, value: Scalar, options: DTypeOption = {}): Tensor {
  checkTensor('fullLike', 'input', x);
  return filled('fullLike', value, x.dtype, x.shape, options);
}

const along = (node: Node, factor: number, offset: number): Node => {
  const scaled = build.binary('mul', node, build.full(factor, node.shape, node.dtype));
  return build.binary('add', scaled, build.full(offset, node.shape, node.dtype));
};

/**
 * start, start + step, ... below end; `arange(end)` starts at 0. i64 when every number is whole, else f32; with an
 * integer dtype start and step are cut to whole numbers, as in PyTorch.
 *
 * @throws when step is 0 or leads away from end.
 */
export function arange(end: number, options?: DTypeOption): Tensor;
export function arange(start: number, end: number, options?: DTypeOption): Tensor;
export function arange(start: number, end: number, step: number, options?: DTypeOption): Tensor;
export function arange(first: number, ...rest: readonly (number | DTypeOption | undefined)[]): Tensor {
  const numbers = [first, ...rest.filter(value => typeof value === 'number')];
  const options = checkOptions('arange', rest.find(value => typeof value === 'object') ?? {}, DTYPE);
  let [start, end, step] = numbers.length === 1 ? [0, numbers[0]!, 1] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1];
  if (!Number.isFinite(start) || !Number.isFinite(end) || !Number.isFinite(step))
    throw new RangeError(`arange: expected finite numbers, got start ${start}, end ${end}, step ${step}`);
  if (step === 0) throw new RangeError('arange: step must not be 0');
  if ((end - start) * step < 0)
    throw new RangeError(`arange: step ${step} leads away from end: start ${start}, end ${end}`);
  const dtype = options.dtype ?? (numbers.every(Number.isInteger) ? 'i64' : 'f32');
  checkDType('arange', dtype);
  let length = Math.ceil((end - start) / step);
  if (!isFloat(dtype)) {
    [start, step] = [Math.trunc(start), Math.trunc(step)];
    if (step === 0) throw new RangeError(`arange: step ${numbers[2]} is 0 as ${dtype}`);
    if (dtype === 'i64') length = Math.max(0, Math.ceil((Math.trunc(end) - start) / step));
  }
  checkShape('arange', [length]);
  if (isFloat(dtype) || !Number.isInteger(start) || !Number.isInteger(step)) {
    const values = along(build.iota(length, 'f64'), step, start);
    return new Tensor(build.cast(values, dtype));
  }
  if (dtype === 'bool') return new Tensor(build.cast(along(build.iota(length, 'i64'), step, start), 'bool'));
  return new Tensor(along(build.iota(length, dtype), step, start));
}

/** `steps` numbers from start to end, both included. */
export function linspace(start: number, end: number, steps: number, options: DTypeOption = {}): Tensor {
  const { dtype = 'f32' } = checkOptions('linspace', options, DTYPE);
  checkDType('linspace', dtype);
  checkWhole('linspace', 'steps', steps, 0);
  return new Tensor(build.cast(evenly(start, end, steps), dtype));
}

/** Counted from both ends, so that each end is exact. */
function evenly(start: number, end: number, steps: number): Node {
  const step = steps > 1 ? (end - start) / (steps - 1) : 0;
  const i = build.iota(steps, 'f64');
  const up = along(i, step, start);
  if (steps < 2) return up;
  const down = along(i, step, end - step * (steps - 1));
  const half = build.compare('lt', i, build.full(Math.ceil(steps / 2), [steps], 'f64'));
  return build.where(half, up, down);
}

/** base to the powers linspace(start, end, steps). */
export function logspace(
  start: number,
  end: number,
  steps: number,
  options: DTypeOption & { readonly base?: number } = {},
): Tensor {
  const { dtype = 'f32', base = 10 } = checkOptions('logspace', options, ['dtype', 'base']);
  checkDType('logspace', dtype);
  checkWhole('logspace', 'steps', steps, 0);
  const powers = build.binary('pow', build.full(base, [steps], 'f64'), evenly(start, end, steps));
  return new Tensor(build.cast(powers, dtype));
}

/** Ones on the diagonal of an n by m matrix (m = n by default). */
export function eye(n: number, m: number = n, options: DTypeOption = {}): Tensor {
  checkOptions('eye', options, DTYPE);
  checkWhole('eye', 'n', n, 0);
  checkWhole('eye', 'm', m, 0);
  const { dtype = 'f32' } = options;
  checkDType('eye', dtype);
  const shape = [n, m];
  return new Tensor(build.cast(build.compare('eq', coordinate(shape, 0), coordinate(shape, 1)), dtype));
}

/**
 * Coordinate grids of vectors: n vectors give n tensors of n dims. With indexing 'xy' the first two dims are swapped.
 */
export function meshgrid(vectors: readonly Tensor[], options: { readonly indexing?: 'ij' | 'xy' } = {}): Tensor[] {
  if (!Array.isArray(vectors)) throw new TypeError(`meshgrid: expected an array of tensors, got ${describe(vectors)}`);
  const { indexing = 'ij' } = checkOptions('meshgrid', options, ['indexing']);
  checkChoice('meshgrid', 'indexing', indexing, ['ij', 'xy']);
  if (vectors.length === 0) throw new RangeError('meshgrid: expected at least one tensor, got none');
  vectors.forEach((vector, i) => {
    checkTensor('meshgrid', `tensors[${i}]`, vector);
    if (vector.ndim > 1)
      throw new RangeError(`meshgrid: tensors[${i}]: expected at most one dim, got ${shapeText(vector.shape)}`);
    if (vector.dtype !== vectors[0]!.dtype)
      throw new TypeError(`meshgrid: dtypes differ: ${vectors[0]!.dtype} and ${vector.dtype}`);
  });
  const shape = vectors.map(vector => vector.numel());
  const grids = vectors.map((vector, d) => vector.reshape(shape.map((n, i) => (i === d ? n : 1))).expand(shape));
  return indexing === 'xy' && vectors.length > 1 ? grids.map(grid => grid.transpose(0, 1)) : grids;
}

export interface TriangleOptions extends DTypeOption {
  /** Diagonals above the main one. */
  readonly offset?: number;
}

function triangle(
  op: string,
  rows: number,
  cols: number,
  options: TriangleOptions,
  inside: (row: number, col: number, offset: number) => boolean,
): Tensor {
  const { dtype = 'i64', offset = 0 } = checkOptions(op, options, ['dtype', 'offset']);
  checkDType(op, dtype);
  if (isFloat(dtype) || dtype === 'bool') throw new TypeError(`${op}: dtype: expected integers, got ${dtype}`);
  checkWhole(op, 'rows', rows, 0);
  checkWhole(op, 'cols', cols, 0);
  const found: [number, number][] = [];
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) if (inside(i, j, offset)) found.push([i, j]);
  const data = BigInt64Array.from([...found.map(([i]) => BigInt(i)), ...found.map(([, j]) => BigInt(j))]);
  return Tensor.from(data, { shape: [2, found.length] }).to(dtype);
}

/** Row and column indices [2, n], i64 by default, of the lower triangle of a matrix. */
export const trilIndices = (rows: number, cols: number, options: TriangleOptions = {}): Tensor =>
  triangle('trilIndices', rows, cols, options, (i, j, offset) => j - i <= offset);

/** Row and column indices [2, n], i64 by default, of the upper triangle of a matrix. */
export const triuIndices = (rows: number, cols: number, options: TriangleOptions = {}): Tensor =>
  triangle('triuIndices', rows, cols, options, (i, j, offset) => j - i >= offset);
