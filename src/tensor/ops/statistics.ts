/**
 * Quantiles, covariance, counting and searching sorted values. Functions here have the tensor first and become methods
 * of Tensor.
 */
import * as build from '../../graph/build.ts';
import { isFloat } from '../../graph/dtype.ts';
import { shapeText } from '../convert.ts';
import { checkFloat, checkInt, checkTensor, checkWhole, knownNumbers, normalDim } from '../operands.ts';
import { checkChoice, checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

export interface QuantileOptions {
  readonly keepdim?: boolean;
  /** Between two elements: 'linear' by default. */
  readonly interpolation?: 'linear' | 'lower' | 'higher' | 'midpoint' | 'nearest';
}

function quantiles(
  op: string,
  x: Tensor,
  q: number | Tensor,
  dim: number | null | undefined,
  options: QuantileOptions,
  skipNaN: boolean,
): Tensor {
  const { keepdim = false, interpolation = 'linear' } = checkOptions(op, options, ['keepdim', 'interpolation']);
  checkFloat(op, 'input', x);
  if (dim === undefined || dim === null) {
    const flat = quantiles(op, x.reshape([-1]), q, 0, { interpolation }, skipNaN);
    const many = q instanceof Tensor ? q.shape : [];
    return keepdim ? flat.reshape([...many, ...x.shape.map(() => 1)]) : flat;
  }
  const d = normalDim(op, dim, x.ndim);
  const input = x.ndim === 0 ? x.reshape([1]) : x;
  if (input.shape[d] === 0) throw new RangeError(`${op}: dim ${dim} must not be empty, got ${shapeText(x.shape)}`);
  if (typeof q === 'number' && !(q >= 0 && q <= 1)) throw new RangeError(`${op}: q: expected 0 to 1, got ${q}`);
  if (q instanceof Tensor && q.ndim > 1)
    throw new RangeError(`${op}: q: expected a number or a vector, got shape ${shapeText(q.shape)}`);
  if (q instanceof Tensor && q.dtype !== x.dtype)
    throw new TypeError(`${op}: dtypes differ: input ${x.dtype}, q ${q.dtype}`);
  const sorted = input.sort(d).values.movedim(d, -1);
  const n = sorted.shape.at(-1)!;
  const nans = sorted.detach().isnan().sum(-1, { keepdim: true });
  const last = skipNaN
    ? nans
        .neg()
        .add(n - 1)
        .clampMin(0)
        .to(x.dtype)
    : new Tensor(build.full(n - 1, nans.shape, x.dtype));
  const wanted = q instanceof Tensor ? q.reshape([-1]) : new Tensor(build.full(q, [1], x.dtype));
  const position = last.mul(wanted);
  const at = (place: Tensor): Tensor => sorted.gather(-1, place.long());
  let value: Tensor;
  switch (interpolation) {
    case 'lower':
      value = at(position.floor());
      break;
    case 'higher':
      value = at(position.ceil());
      break;
    case 'nearest':
      value = at(position.round());
      break;
    case 'midpoint':
      value = at(position.floor()).lerp(at(position.ceil()), 0.5);
      break;
    case 'linear':
      value = at(position.floor()).lerp(at(position.ceil()), position.sub(position.floor()));
      break;
    default:
      throw new TypeError(
        `${op}: interpolation: expected linear, lower, higher, midpoint or nearest, got ${String(interpolation)}`,
      );
  }
  if (!skipNaN) value = nans.gt(0).where(Number.NaN, value).to(x.dtype);
  const front = value.movedim(-1, 0);
  const kept = keepdim && x.ndim > 0 ? front.unsqueeze(d + 1) : front;
  return q instanceof Tensor && q.ndim === 1 ? kept : kept.squeeze(0);
}

/** Values below which the fraction q of the elements lies; a vector of q adds a leading dim. NaN if there is one. */
export function quantile(x: Tensor, q: number | Tensor, dim?: number | null, options: QuantileOptions = {}): Tensor {
  return quantiles('quantile', x, q, dim, options, false);
}

/** quantile of the elements that are not NaN. */
export function nanquantile(x: Tensor, q: number | Tensor, dim?: number | null, options: QuantileOptions = {}): Tensor {
  return quantiles('nanquantile', x, q, dim, options, true);
}

export interface CovOptions {
  /** Divides by the weights' sum less this; 1 by default. */
  readonly correction?: number;
  /** How often each observation occurred, integers. */
  readonly fweights?: Tensor | null;
  /** How much each observation counts, floats. */
  readonly aweights?: Tensor | null;
}

/** Covariance matrix of variables in rows and observations in columns. */
export function cov(x: Tensor, options: CovOptions = {}): Tensor {
  checkOptions('cov', options, ['correction', 'fweights', 'aweights']);
  checkTensor('cov', 'input', x);
  const { correction = 1, fweights, aweights } = options;
  if (x.ndim > 2) throw new RangeError(`cov: input: expected at most 2 dims, got ${shapeText(x.shape)}`);
  const input = isFloat(x.dtype) ? x : x.to('f32');
  const rows = input.ndim === 2 ? input : input.reshape([1, -1]);
  const n = rows.shape[1]!;
  for (const [name, weights] of [
    ['fweights', fweights],
    ['aweights', aweights],
  ] as const)
    if (weights && (weights.ndim > 1 || weights.numel() !== n))
      throw new RangeError(`cov: ${name}: expected [${n}], got ${shapeText(weights.shape)}`);
    else if (weights && knownNumbers(weights)?.some(w => w < 0))
      throw new RangeError(`cov: ${name}: expected no negative weights`);
  if (fweights && isFloat(fweights.dtype))
    throw new TypeError(`cov: fweights: expected integers, got ${fweights.dtype}`);
  let weights: Tensor | null = fweights ? fweights.to(rows.dtype).reshape([-1]) : null;
  if (aweights) weights = weights ? weights.mul(aweights.reshape([-1])) : aweights.reshape([-1]).to(rows.dtype);
  const total = weights ? weights.sum() : new Tensor(build.full(n, [], rows.dtype));
  const mean = (weights ? rows.mul(weights) : rows).sum(1, { keepdim: true }).div(total);
  const centered = rows.sub(mean);
  const norm =
    aweights && correction !== 0
      ? total.sub(weights!.mul(aweights).sum().div(total).mul(correction))
      : total.sub(correction);
  const scaled = weights ? centered.mul(weights) : centered;
  const matrix = scaled.matmul(centered.transpose(0, 1)).div(norm.clampMin(0));
  return rows.shape[0] === 1 ? matrix.reshape([]) : matrix;
}

/** Matrix of correlation coefficients of variables in rows. */
export function corrcoef(x: Tensor): Tensor {
  const matrix = cov(x);
  if (matrix.ndim === 0) return matrix.div(matrix);
  const deviation = matrix.diagonal().sqrt();
  return matrix.div(deviation.unsqueeze(1)).div(deviation).clamp(-1, 1);
}

const MOST_BINS = 2 ** 31 - 1;

/** How often each whole number from 0 on occurs (or the sum of its weights). The largest is read now. */
export function bincount(
  x: Tensor,
  options: { readonly weights?: Tensor | null; readonly minlength?: number } = {},
): Tensor {
  checkOptions('bincount', options, ['weights', 'minlength']);
  checkInt('bincount', 'input', x);
  const { weights, minlength = 0 } = options;
  if (x.ndim !== 1) throw new RangeError(`bincount: input: expected a vector, got ${shapeText(x.shape)}`);
  checkWhole('bincount', 'minlength', minlength, 0);
  if (weights && (weights.ndim !== 1 || weights.shape[0] !== x.shape[0]))
    throw new RangeError(`bincount: weights: expected ${shapeText(x.shape)}, got ${shapeText(weights.shape)}`);
  if (x.numel() > 0 && Number(x.amin().item()) < 0)
    throw new RangeError('bincount: input: expected no negative numbers');
  const length = Math.max(minlength, x.numel() === 0 ? 0 : Number(x.amax().item()) + 1);
  if (length > MOST_BINS) throw new RangeError(`bincount: input: ${length - 1} came, expected less than ${MOST_BINS}`);
  const counted = weights
    ? isFloat(weights.dtype)
      ? weights
      : weights.to('f64')
    : new Tensor(build.full(1, x.shape, 'i64'));
  return new Tensor(build.full(0, [length], counted.dtype)).scatterAdd(0, x.long(), counted);
}

/** How many elements fall into each of `bins` equal bins from min to max (of the data where both are 0, read now). */
export function histc(
  x: Tensor,
  options: { readonly bins?: number; readonly min?: number; readonly max?: number } = {},
): Tensor {
  checkOptions('histc', options, ['bins', 'min', 'max']);
  checkFloat('histc', 'input', x);
  const { bins = 100, min = 0, max = 0 } = options;
  checkWhole('histc', 'bins', bins, 1);
  if (min > max) throw new RangeError(`histc: max ${max} is below min ${min}`);
  let [lo, hi] = [min, max];
  if (lo === hi && x.numel() > 0) [lo, hi] = [x.amin().item(), x.amax().item()];
  if (lo === hi) [lo, hi] = [lo - 1, hi + 1];
  const flat = x.detach().reshape([-1]);
  const inside = flat.ge(lo).logicalAnd(flat.le(hi));
  const place = flat
    .sub(lo)
    .mul(bins / (hi - lo))
    .floor()
    .clamp(0, bins - 1);
  return new Tensor(build.full(0, [bins], x.dtype)).scatterAdd(0, inside.where(place, 0).long(), inside.to(x.dtype));
}

export interface SearchOptions {
  /** After equal elements instead of before them. */
  readonly right?: boolean;
  /** The same as text: 'left' or 'right'. */
  readonly side?: 'left' | 'right' | null;
  /** Positions as i32 instead of i64. */
  readonly outInt32?: boolean;
  /** i64 positions that sort the sequence, where it is not sorted. */
  readonly sorter?: Tensor | null;
}

/** Names of SearchOptions. */
const SEARCH = ['right', 'side', 'outInt32', 'sorter'] as const;

/**
 * Where each value would be put into the sorted last dim: i64 of the values' shape. The sequence is a vector, or has
 * the values' leading dims.
 */
export function searchsorted(x: Tensor, values: Tensor | number, options: SearchOptions = {}): Tensor {
  checkOptions('searchsorted', options, SEARCH);
  checkTensor('searchsorted', 'sequence', x);
  const { right = false, side = null, outInt32 = false, sorter = null } = options;
  checkChoice('searchsorted', 'side', side, ['left', 'right', null]);
  const sequence = sorter ? x.gather(-1, sorter) : x;
  if (typeof values === 'number')
    return searchsorted(sequence, new Tensor(build.constant(values, x.dtype)), { right, side, outInt32 });
  checkTensor('searchsorted', 'values', values);
  const lead = sequence.shape.slice(0, -1);
  if (
    sequence.ndim === 0 ||
    (sequence.ndim > 1 && (values.ndim !== sequence.ndim || lead.some((n, d) => n !== values.shape[d])))
  )
    throw new RangeError(
      `searchsorted: the sequence ${shapeText(sequence.shape)} must be a vector or have the leading dims of the values ${shapeText(values.shape)}`,
    );
  if (side === 'left' && right) throw new TypeError('searchsorted: side left and right: true contradict each other');
  const after = right || side === 'right';
  const count = bisect(sequence, values, after);
  return outInt32 ? count.int() : count;
}

const isBefore = (element: Tensor, value: Tensor, after: boolean): Tensor =>
  (after ? element.gt(value) : element.ge(value)).logicalNot();

/**
 * How many elements come before each value, by halving the stretch in question: also what is not sorted is probed where
 * PyTorch probes it.
 */
function bisect(sequence: Tensor, values: Tensor, after: boolean): Tensor {
  const n = sequence.shape.at(-1)!;
  const flat = sequence.reshape([-1]);
  const lead = values.shape.slice(0, -1);
  const rows = lead.reduce((a, size) => a * size, 1);
  const row = sequence.ndim === 1 ? 0 : new Tensor(build.iota(rows, 'i64')).mul(n).reshape([...lead, 1]);
  let start = new Tensor(build.full(0, values.shape, 'i64'));
  let end = new Tensor(build.full(n, values.shape, 'i64'));
  for (let size = n; size >= 1; size = Math.floor(size / 2)) {
    const middle = start.add(end).bitwiseRightShift(1);
    const open = start.lt(end);
    const before = isBefore(flat.take(middle.clampMax(n - 1).add(row)), values, after);
    start = open.logicalAnd(before).where(middle.add(1), start);
    end = open.logicalAnd(before.logicalNot()).where(middle, end);
  }
  return start;
}

/**
 * Which bucket between sorted boundaries each element falls into; `right` says whether a boundary belongs to the bucket
 * above.
 */
export function bucketize(x: Tensor | number, boundaries: Tensor, options: SearchOptions = {}): Tensor {
  checkOptions('bucketize', options, SEARCH);
  checkTensor('bucketize', 'boundaries', boundaries);
  if (boundaries.ndim !== 1)
    throw new RangeError(`bucketize: boundaries: expected a vector, got ${shapeText(boundaries.shape)}`);
  return searchsorted(boundaries, x, options);
}

/** Scales the slices along `dim` whose p-norm exceeds maxnorm down to it. */
export function renorm(x: Tensor, p: number, dim: number, maxnorm: number): Tensor {
  checkFloat('renorm', 'input', x);
  if (x.ndim < 2) throw new RangeError(`renorm: input: expected at least 2 dims, got ${shapeText(x.shape)}`);
  const d = normalDim('renorm', dim, x.ndim);
  if (!(p > 0) || !(maxnorm >= 0))
    throw new RangeError(`renorm: expected p > 0 and maxnorm >= 0, got ${p} and ${maxnorm}`);
  const norms = x.norm(
    p,
    x.shape.map((_, i) => i).filter(i => i !== d),
    { keepdim: true },
  );
  const scale = norms.gt(maxnorm).where(norms.add(1e-7).reciprocal().mul(maxnorm), 1);
  return x.mul(scale);
}

/** All combinations of r elements of a vector, as rows. */
export function combinations(x: Tensor, r = 2, withReplacement = false): Tensor {
  checkTensor('combinations', 'input', x);
  if (x.ndim !== 1) throw new RangeError(`combinations: input: expected a vector, got ${shapeText(x.shape)}`);
  checkWhole('combinations', 'r', r, 0);
  if (r === 0) return new Tensor(build.full(0, [0], x.dtype));
  const n = x.numel();
  const rows: number[][] = [];
  const grow = (row: number[]): void => {
    if (row.length === r) {
      rows.push(row);
      return;
    }
    const from = row.length === 0 ? 0 : row[row.length - 1]! + (withReplacement ? 0 : 1);
    for (let i = from; i < n; i++) grow([...row, i]);
  };
  grow([]);
  if (rows.length === 0) return new Tensor(build.full(0, [0, r], x.dtype));
  return x.index([Tensor.from(rows, { dtype: 'i64' })]);
}

/** x with the elements of source on the diagonal of dims dim1 and dim2. */
export function diagonalScatter(x: Tensor, source: Tensor, offset = 0, dim1 = 0, dim2 = 1): Tensor {
  checkTensor('diagonalScatter', 'input', x);
  checkTensor('diagonalScatter', 'source', source);
  const places = new Tensor(build.reshape(build.iota(x.numel(), 'i64'), x.shape)).diagonal(offset, dim1, dim2);
  if (source.ndim !== places.ndim || source.shape.some((n, d) => n !== places.shape[d]))
    throw new RangeError(
      `diagonalScatter: source: expected ${shapeText(places.shape)}, got ${shapeText(source.shape)}`,
    );
  return x.reshape([-1]).indexPut([places], source).reshape(x.shape);
}

/**
 * The flattened x with source at the positions of `index` (negative ones from the end), in x's shape; `accumulate`
 * adds.
 */
export function put(x: Tensor, index: Tensor, source: Tensor, accumulate = false): Tensor {
  checkTensor('put', 'input', x);
  checkInt('put', 'index', index);
  checkTensor('put', 'source', source);
  if (source.numel() !== index.numel())
    throw new RangeError(`put: source: expected ${index.numel()} elements, got ${source.numel()}`);
  if (index.numel() === 0) return x;
  return x
    .reshape([-1])
    .indexPut([index.reshape([-1])], source.reshape([-1]), { accumulate })
    .reshape(x.shape);
}

/** log of the multivariate gamma function of dimension p. */
export function mvlgamma(x: Tensor, p: number): Tensor {
  checkTensor('mvlgamma', 'input', x);
  checkWhole('mvlgamma', 'p', p, 1);
  const input = isFloat(x.dtype) ? x : x.to('f32');
  let total = input.lgamma();
  for (let j = 1; j < p; j++) total = total.add(input.sub(j / 2).lgamma());
  return total.add((p * (p - 1) * Math.log(Math.PI)) / 4);
}
