/**
 * Histograms in one and several dims. Functions here have the tensor first and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { isFloat } from '../../graph/dtype.ts';
import { shapeText } from '../convert.ts';
import { checkFloat, checkTensor, checkWhole, describe } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

export interface HistogramOptions {
  /** Lower and upper end of the bins (a pair for each dim); of the data by default. */
  readonly range?: readonly number[] | null;
  /** What each point counts; 1 by default. */
  readonly weight?: Tensor | null;
  /** Divides by the total and the bins' sizes. */
  readonly density?: boolean;
}

/** Names of HistogramOptions. */
const OPTIONS = ['range', 'weight', 'density'] as const;

/** Edges [bins + 1] of equal bins over the range, or over the data, widened by 1/2 each way where it has no extent. */
function equalEdges(x: Tensor, bins: number, range: readonly number[] | null): Tensor {
  const literal = (value: number): Tensor => new Tensor(build.constant(value, x.dtype));
  let [low, high] = range ? [literal(range[0]!), literal(range[1]!)] : [literal(0), literal(1)];
  if (!range && x.numel() > 0) [low, high] = [x.amin(), x.amax()];
  const flat = low.eq(high);
  const start = flat.where(low.sub(0.5), low);
  const end = flat.where(high.add(0.5), high);
  const step = end.sub(start).div(bins);
  const i = new Tensor(build.iota(bins + 1, x.dtype));
  // From the nearer end, so that both ends are exact.
  return i.lt(Math.floor((bins + 1) / 2)).where(start.add(step.mul(i)), end.sub(step.mul(i.neg().add(bins))));
}

function checkRange(op: string, range: readonly number[] | null, pairs: number): void {
  if (
    range &&
    (range.length !== 2 * pairs || range.some((r, i) => !Number.isFinite(r) || (i % 2 === 1 && r < range[i - 1]!)))
  )
    throw new RangeError(`${op}: range: expected ${pairs} ascending pairs of finite numbers, got ${shapeText(range)}`);
}

/** Bin of each point of a vector, and whether it is in one. The last bin holds its upper edge, too. */
function place(points: Tensor, edges: Tensor): { readonly bin: Tensor; readonly inside: Tensor } {
  const bins = edges.numel() - 1;
  const bin = edges.searchsorted(points, { right: true }).sub(1);
  const inside = points.ge(edges.select(0, 0)).logicalAnd(points.le(edges.select(0, bins)));
  return { bin: inside.where(bin.clamp(0, bins - 1), 0), inside };
}

function checkEdges(op: string, edges: Tensor, dtype: Tensor['dtype']): Tensor {
  if (edges.ndim !== 1 || edges.numel() < 2)
    throw new RangeError(`${op}: bins: expected at least two edges in a vector, got ${shapeText(edges.shape)}`);
  return edges.to(dtype);
}

/**
 * How many elements (or how much weight) fall between each two edges: hist [bins] and binEdges [bins + 1]. `bins` is a
 * number of equal bins or ascending edges; outside of them nothing counts.
 */
export function histogram(
  x: Tensor,
  bins: number | Tensor = 100,
  options: HistogramOptions = {},
): { readonly hist: Tensor; readonly binEdges: Tensor } {
  checkOptions('histogram', options, OPTIONS);
  checkFloat('histogram', 'input', x);
  const { hist, binEdges } = counted('histogram', x.reshape([-1, 1]), [bins], {
    ...options,
    weight: options.weight?.reshape([-1]),
  });
  return { hist, binEdges: binEdges[0]! };
}

/**
 * A histogram over points x [..., D]: hist with a dim for each of the D coordinates, and the edges of each. `bins` is a
 * number for all coordinates, or a number or ascending edges for each.
 */
export function histogramdd(
  x: Tensor,
  bins: number | readonly (number | Tensor)[],
  options: HistogramOptions = {},
): { readonly hist: Tensor; readonly binEdges: Tensor[] } {
  checkOptions('histogramdd', options, OPTIONS);
  checkFloat('histogramdd', 'input', x);
  if (x.ndim < 2) throw new RangeError(`histogramdd: input: expected at least 2 dims, got ${shapeText(x.shape)}`);
  const dims = x.shape.at(-1)!;
  const points = x.reshape([x.shape.slice(0, -1).reduce((a, n) => a * n, 1), dims]);
  const list = typeof bins === 'number' ? new Array<number>(dims).fill(bins) : bins;
  return counted('histogramdd', points, list, { ...options, weight: options.weight?.reshape([-1]) });
}

function counted(
  op: string,
  points: Tensor,
  bins: readonly (number | Tensor)[],
  { range = null, weight = null, density = false }: HistogramOptions,
): { hist: Tensor; binEdges: Tensor[] } {
  const [count, dims] = points.shape as [number, number];
  if (!Array.isArray(bins) || bins.length !== dims)
    throw new RangeError(`${op}: bins: expected one for each of ${dims} coordinates, got ${describe(bins)}`);
  checkRange(op, range, dims);
  if (weight) {
    checkTensor(op, 'weight', weight);
    if (weight.numel() !== count || !isFloat(weight.dtype))
      throw new RangeError(`${op}: weight: expected ${count} floats, got ${describe(weight)}`);
  }
  const fixed = points.detach();
  const binEdges = bins.map((given, d) => {
    if (given instanceof Tensor) return checkEdges(op, given, points.dtype);
    checkWhole(op, 'bins', given, 1);
    return equalEdges(fixed.select(1, d), given, range ? range.slice(2 * d, 2 * d + 2) : null);
  });
  const sizes = binEdges.map(edges => edges.numel() - 1);
  const total = sizes.reduce((a, n) => a * n, 1);
  let flat = new Tensor(build.full(0, [count], 'i64'));
  let inside = new Tensor(build.full(1, [count], 'bool'));
  binEdges.forEach((edges, d) => {
    const placed = place(fixed.select(1, d), edges);
    flat = flat.mul(sizes[d]!).add(placed.bin);
    inside = inside.logicalAnd(placed.inside);
  });
  const amount = inside.where(weight ? weight.to(points.dtype) : 1, 0).to(points.dtype);
  let hist = new Tensor(build.full(0, [total], points.dtype)).scatterAdd(0, flat, amount).reshape(sizes);
  if (density) {
    hist = hist.div(hist.sum());
    binEdges.forEach((edges, d) => {
      const widths = edges.narrow(0, 1, sizes[d]!).sub(edges.narrow(0, 0, sizes[d]!));
      hist = hist.div(widths.reshape(sizes.map((n, i) => (i === d ? n : 1))));
    });
  }
  return { hist, binEdges };
}
