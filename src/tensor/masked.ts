/**
 * torch.masked: reductions and normalisations over the elements where a bool mask is true. Without a mask all elements
 * count.
 */
import { type DType, isFloat } from '../graph/dtype.ts';
import { checkTensor, type TensorLike } from './operands.ts';
import type { Dims } from './ops/reduce.ts';
import { checkOptions } from './options.ts';
import type { Tensor } from './tensor.ts';

export interface MaskedOptions {
  /** bool, broadcast to the input; true elements count. */
  readonly mask?: Tensor | null;
  readonly keepdim?: boolean;
  /** Converts first. */
  readonly dtype?: DType;
}

const OPTIONS = ['mask', 'keepdim', 'dtype'] as const;

/** x in the dtype asked for, with `neutral` where the mask is false. */
function kept(op: string, x: Tensor, options: MaskedOptions, neutral: TensorLike): Tensor {
  checkOptions(op, options, OPTIONS);
  checkTensor(op, 'input', x);
  const input = options.dtype ? x.to(options.dtype) : x;
  const { mask } = options;
  if (!mask) return input;
  if (mask.dtype !== 'bool') throw new TypeError(`${op}: mask: expected bool, got ${mask.dtype}`);
  return mask.where(input, neutral).to(input.dtype);
}

const lowest = (x: Tensor): number | bigint =>
  isFloat(x.dtype)
    ? Number.NEGATIVE_INFINITY
    : x.dtype === 'i64'
      ? -(2n ** 63n)
      : x.dtype === 'i32'
        ? -(2 ** 31)
        : x.dtype === 'i8'
          ? -128
          : 0;
const highest = (x: Tensor): number | bigint =>
  isFloat(x.dtype)
    ? Number.POSITIVE_INFINITY
    : x.dtype === 'i64'
      ? 2n ** 63n - 1n
      : x.dtype === 'i32'
        ? 2 ** 31 - 1
        : x.dtype === 'i8'
          ? 127
          : 255;

/** How many elements count, in x's float dtype. */
function counted(op: string, x: Tensor, dim: Dims | undefined, options: MaskedOptions): Tensor {
  const { mask, keepdim } = options;
  const ones = x.detach().mul(0).isnan().logicalNot();
  return (mask ? kept(op, ones, { mask }, false) : ones).sum(dim, { keepdim });
}

/** Sum of the elements that count. */
export const sum = (x: Tensor, dim?: Dims, options: MaskedOptions = {}): Tensor =>
  kept('masked.sum', x, options, 0).sum(dim, { keepdim: options.keepdim });

/** Product of the elements that count. */
export const prod = (x: Tensor, dim?: Dims, options: MaskedOptions = {}): Tensor => {
  const input = kept('masked.prod', x, options, 1);
  const { keepdim } = options;
  if (dim === undefined || dim === null || typeof dim === 'number') return input.prod(dim, { keepdim });
  return input.prod(dim.length === 0 ? null : dim, { keepdim });
};

/** Largest of the elements that count. */
export const amax = (x: Tensor, dim?: Dims, options: MaskedOptions = {}): Tensor =>
  kept('masked.amax', x, options, lowest(x)).amax(dim, { keepdim: options.keepdim });

/** Smallest of the elements that count. */
export const amin = (x: Tensor, dim?: Dims, options: MaskedOptions = {}): Tensor =>
  kept('masked.amin', x, options, highest(x)).amin(dim, { keepdim: options.keepdim });

/** Position of the first maximum, in the input's dtype (or `dtype`) as in PyTorch. */
export const argmax = (x: Tensor, dim?: number | null, options: MaskedOptions = {}): Tensor =>
  kept('masked.argmax', x, options, lowest(x))
    .argmax(dim, { keepdim: options.keepdim })
    .to(options.dtype ?? x.dtype);

/** Position of the first minimum, in the input's dtype (or `dtype`) as in PyTorch. */
export const argmin = (x: Tensor, dim?: number | null, options: MaskedOptions = {}): Tensor =>
  kept('masked.argmin', x, options, highest(x))
    .argmin(dim, { keepdim: options.keepdim })
    .to(options.dtype ?? x.dtype);

/** Mean of the elements that count; NaN where none does. */
export const mean = (x: Tensor, dim?: Dims, options: MaskedOptions = {}): Tensor =>
  sum(x, dim, options).div(counted('masked.mean', x, dim, options));

/** The variance; `correction` is taken off the count (1 by default). */
function variance(x: Tensor, dim?: Dims, options: MaskedOptions & { readonly correction?: number } = {}): Tensor {
  const { mask, keepdim, correction = 1 } = checkOptions('masked.var', options, [...OPTIONS, 'correction']);
  const input = options.dtype ? x.to(options.dtype) : isFloat(x.dtype) ? x : x.to('f32');
  const center = mean(input, dim, { mask, keepdim: true });
  const offset = kept('masked.var', input.sub(center), { mask }, 0);
  const count = counted('masked.var', input, dim, { mask, keepdim }).sub(correction).clampMin(0);
  return offset.mul(offset).sum(dim, { keepdim }).div(count);
}

export { variance as var };

/** Standard deviation; `correction` is taken off the count (1 by default). */
export const std = (x: Tensor, dim?: Dims, options: MaskedOptions & { readonly correction?: number } = {}): Tensor =>
  variance(x, dim, options).sqrt();

/** The p-norm of the elements that count. */
export const norm = (x: Tensor, p = 2, dim?: Dims, options: MaskedOptions = {}): Tensor =>
  kept('masked.norm', x, options, p === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : 0).norm(p, dim, {
    keepdim: options.keepdim,
  });

/** The (lower) median along `dim` of the elements that count. */
export const median = (x: Tensor, dim: number, options: MaskedOptions = {}): Tensor => {
  const { keepdim } = checkOptions('masked.median', options, OPTIONS);
  if (!isFloat(x.dtype)) throw new TypeError(`masked.median: input: expected a float tensor, got ${x.dtype}`);
  if (!options.mask) return x.median(dim, { keepdim }).values;
  return kept('masked.median', x, options, Number.NaN).nanmedian(dim, { keepdim }).values;
};

/** log(sum(exp(x))) of the elements that count. */
export const logsumexp = (x: Tensor, dim?: Dims, options: MaskedOptions = {}): Tensor =>
  kept('masked.logsumexp', isFloat(x.dtype) ? x : x.to('f32'), options, Number.NEGATIVE_INFINITY).logsumexp(dim, {
    keepdim: options.keepdim,
  });

/** Running sums along `dim`; what does not count adds 0. */
export const cumsum = (x: Tensor, dim: number, options: MaskedOptions = {}): Tensor =>
  kept('masked.cumsum', x, options, 0).cumsum(dim, { dtype: x.dtype === 'bool' ? 'i64' : x.dtype });

/** Running products along `dim`; what does not count multiplies by 1. */
export const cumprod = (x: Tensor, dim: number, options: MaskedOptions = {}): Tensor =>
  kept('masked.cumprod', x, options, 1).cumprod(dim, { dtype: x.dtype === 'bool' ? 'i64' : x.dtype });

/** softmax along `dim` of the elements that count; the others get 0. */
export const softmax = (x: Tensor, dim: number, options: MaskedOptions = {}): Tensor =>
  kept('masked.softmax', x, options, Number.NEGATIVE_INFINITY).softmax(dim);

/** Logarithm of softmax along `dim` of the elements that count. */
export const logSoftmax = (x: Tensor, dim: number, options: MaskedOptions = {}): Tensor =>
  kept('masked.logSoftmax', x, options, Number.NEGATIVE_INFINITY).logSoftmax(dim);

/** softmax of -x along `dim` of the elements that count. */
export const softmin = (x: Tensor, dim: number, options: MaskedOptions = {}): Tensor =>
  kept('masked.softmin', x, options, Number.POSITIVE_INFINITY).softmin(dim);

/** x over its p-norm along `dim`, both without the masked elements; those become 0. */
export const normalize = (
  x: Tensor,
  p: number,
  dim: number,
  options: MaskedOptions & { readonly eps?: number } = {},
): Tensor => {
  const { mask, dtype, eps = 1e-12 } = checkOptions('masked.normalize', options, [...OPTIONS, 'eps']);
  const length = norm(x, p, dim, { mask, dtype, keepdim: true });
  return kept('masked.normalize', x, { mask, dtype }, 0).div(length.clampMin(eps));
};

/** log(exp(x) + exp(other)), either side left out where its mask is false. */
export const logaddexp = (
  x: Tensor,
  other: Tensor,
  options: { readonly inputMask?: Tensor | null; readonly otherMask?: Tensor | null } = {},
): Tensor => {
  const { inputMask, otherMask } = checkOptions('masked.logaddexp', options, ['inputMask', 'otherMask']);
  return kept('masked.logaddexp', x, { mask: inputMask }, Number.NEGATIVE_INFINITY).logaddexp(
    kept('masked.logaddexp', other, { mask: otherMask }, Number.NEGATIVE_INFINITY),
  );
};
