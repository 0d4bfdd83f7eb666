/**
 * Sums of embeddings, the input layer of recommenders; and the reverse of max pooling.
 */
import * as build from '../../graph/build.ts';
import { shapeText } from '../convert.ts';
import { arange, zeros } from '../creation.ts';
import { checkInt, checkTensor } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';
import { perDim, type Sizes } from './geometry.ts';
import { embedding } from './linear.ts';

export interface EmbeddingBagOptions {
  /** For a flat index: where each bag starts. */
  readonly offsets?: Tensor | null;
  /** 'mean' by default. */
  readonly mode?: 'sum' | 'mean' | 'max';
  /** A factor for each row, of the index's shape; for 'sum' only. */
  readonly perSampleWeights?: Tensor | null;
  /** Rows of this index do not count. */
  readonly paddingIdx?: number | null;
  /** The last offset is the end of the last bag. */
  readonly includeLastOffset?: boolean;
}

/** 0, which fails when it is computed where bags do not begin at the first of `n` indices or reach beyond the last. */
function offsetsChecked(offsets: Tensor, n: number): Tensor {
  const zero = (x: Tensor, sentence: string): Tensor =>
    new Tensor(build.checkIndex(x.long().node, 1, `embeddingBag: offsets: ${sentence}`));
  const first = zero(offsets.select(0, 0).abs(), 'expected the first to be 0, got {}');
  return first.add(zero(offsets.select(0, -1).sub(n).relu(), `expected at most ${n}, the last is {} more`));
}

/**
 * Reduces bags of embedding rows without keeping them: index [bags, n], or flat with offsets [bags]; weight [rows,
 * dim]; result [bags, dim]. Empty bags are 0.
 */
export function embeddingBag(index: Tensor, weight: Tensor, options: EmbeddingBagOptions = {}): Tensor {
  checkOptions('embeddingBag', options, ['offsets', 'mode', 'perSampleWeights', 'paddingIdx', 'includeLastOffset']);
  checkInt('embeddingBag', 'input', index);
  checkTensor('embeddingBag', 'weight', weight);
  const { offsets, mode = 'mean', perSampleWeights, paddingIdx = null, includeLastOffset = false } = options;
  if (mode !== 'sum' && mode !== 'mean' && mode !== 'max')
    throw new TypeError(`embeddingBag: mode: expected sum, mean or max, got ${String(mode)}`);
  if (perSampleWeights && mode !== 'sum')
    throw new TypeError(`embeddingBag: perSampleWeights: only for sum, not ${mode}`);
  if (index.ndim === 2 ? offsets : !offsets)
    throw new TypeError(
      `embeddingBag: offsets: a flat input needs them and an input of 2 dims has none, got input ${shapeText(index.shape)}`,
    );
  const flat = index.reshape([-1]);
  const n = flat.numel();
  let bags: number;
  let bagOf: Tensor;
  if (offsets) {
    bags = offsets.numel() - (includeLastOffset ? 1 : 0);
    const starts = offsets.narrow(0, 0, bags);
    bagOf = starts.searchsorted(arange(n, { dtype: offsets.dtype }), { right: true }).sub(1);
    if (bags > 0) bagOf = bagOf.add(offsetsChecked(offsets, n));
  } else {
    bags = index.shape[0]!;
    bagOf = arange(bags).unsqueeze(1).expand(index.shape).reshape([-1]);
  }
  const padding = paddingIdx === null ? null : flat.eq(paddingIdx < 0 ? paddingIdx + weight.shape[0]! : paddingIdx);
  let rows = embedding(flat, weight);
  if (perSampleWeights) rows = rows.mul(perSampleWeights.reshape([-1, 1]));
  const dim = weight.shape[1]!;
  const base = zeros([bags, dim], { dtype: rows.dtype });
  if (mode === 'max') {
    const lowest = base.sub(Number.POSITIVE_INFINITY);
    const shown = padding ? padding.unsqueeze(1).where(Number.NEGATIVE_INFINITY, rows).to(rows.dtype) : rows;
    const best = lowest.scatterReduce(0, bagOf.unsqueeze(1).expand([n, dim]), shown, 'amax');
    return best.detach().eq(Number.NEGATIVE_INFINITY).where(0, best);
  }
  if (padding) rows = padding.unsqueeze(1).where(0, rows);
  const total = base.indexAdd(0, bagOf, rows);
  if (mode === 'sum') return total;
  const ones = padding ? padding.logicalNot().to(rows.dtype) : new Tensor(build.full(1, [n], rows.dtype));
  const counts = zeros([bags], { dtype: rows.dtype }).indexAdd(0, bagOf, ones);
  return total.div(counts.clampMin(1).unsqueeze(1));
}

export interface MaxUnpoolOptions {
  readonly stride?: Sizes | null;
  readonly padding?: Sizes;
  /** Spatial sizes of the result (or its whole shape); by default what the windows imply. */
  readonly outputSize?: readonly number[] | null;
}

function maxUnpool(
  op: string,
  dims: number,
  x: Tensor,
  indices: Tensor,
  kernelSize: Sizes,
  options: MaxUnpoolOptions,
): Tensor {
  checkOptions(op, options, ['stride', 'padding', 'outputSize']);
  checkTensor(op, 'input', x);
  checkInt(op, 'indices', indices);
  if (x.ndim !== dims + 1 && x.ndim !== dims + 2)
    throw new RangeError(`${op}: input: expected ${dims + 1} or ${dims + 2} dims, got ${shapeText(x.shape)}`);
  if (indices.ndim !== x.ndim || indices.shape.some((n, d) => n !== x.shape[d]))
    throw new RangeError(`${op}: indices: expected ${shapeText(x.shape)}, got ${shapeText(indices.shape)}`);
  const kernel = perDim(op, 'kernelSize', kernelSize, dims, 1);
  const { stride, padding = 0, outputSize } = options;
  const steps = stride === undefined || stride === null ? kernel : perDim(op, 'stride', stride, dims, 1);
  const pads = perDim(op, 'padding', padding, dims, 0);
  const lead = x.shape.slice(0, x.ndim - dims);
  const sizes = x.shape.slice(x.ndim - dims);
  const implied = sizes.map((n, d) => (n - 1) * steps[d]! - 2 * pads[d]! + kernel[d]!);
  const out = outputSize ? outputSize.slice(-dims) : implied;
  const planes = lead.reduce((a, n) => a * n, 1);
  const area = out.reduce((a, n) => a * n, 1);
  const rows = x.reshape([planes, -1]);
  const base = zeros([planes, area], { dtype: x.dtype });
  const places = indices.reshape(rows.shape);
  const placed = base.scatter(1, places, rows.detach());
  // Of several maxima at one place the last stays, but PyTorch gives each of them that place's gradient.
  const added = x.requiresGrad ? base.scatterAdd(1, places, rows) : null;
  return (added ? placed.add(added.sub(added.detach())) : placed).reshape([...lead, ...out]);
}

/** Puts maxima back where `indices` of maxPool1d say, zeros elsewhere. */
export const maxUnpool1d = (x: Tensor, indices: Tensor, kernelSize: Sizes, options: MaxUnpoolOptions = {}): Tensor =>
  maxUnpool('maxUnpool1d', 1, x, indices, kernelSize, options);

/** Puts maxima back where `indices` of maxPool2d say, zeros elsewhere. */
export const maxUnpool2d = (x: Tensor, indices: Tensor, kernelSize: Sizes, options: MaxUnpoolOptions = {}): Tensor =>
  maxUnpool('maxUnpool2d', 2, x, indices, kernelSize, options);

/** Puts maxima back where `indices` of maxPool3d say, zeros elsewhere. */
export const maxUnpool3d = (x: Tensor, indices: Tensor, kernelSize: Sizes, options: MaxUnpoolOptions = {}): Tensor =>
  maxUnpool('maxUnpool3d', 3, x, indices, kernelSize, options);
