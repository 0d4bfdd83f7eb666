/**
 * max, min, median and nanmedian of tensors as functions; what they return is what the methods of Tensor say.
 */
import { checkTensor } from './operands.ts';
import { checkOptions } from './options.ts';
import type { Tensor, ValuesAndIndices } from './tensor.ts';

/** `keepdim`: the reduced dim stays, with size 1; false by default. */
export type ExtremeOptions = { readonly keepdim?: boolean };

/** Overloads of `max` and `min`. */
export interface Extreme {
  (x: Tensor): Tensor;
  (x: Tensor, dim: number, options?: ExtremeOptions): ValuesAndIndices;
  (x: Tensor, other: Tensor): Tensor;
}

const extreme = (name: 'max' | 'min'): Extreme =>
  ((x: Tensor, dimOrOther?: number | Tensor, options?: ExtremeOptions) => {
    checkTensor(name, 'input', x);
    if (options !== undefined) checkOptions(name, options, ['keepdim']);
    return (x[name] as (dimOrOther?: number | Tensor, options?: ExtremeOptions) => Tensor | ValuesAndIndices)(
      dimOrOther,
      options,
    );
  }) as Extreme;

/** The largest element, or values and positions along a dim, or the elementwise larger of two. */
export const max: Extreme = extreme('max');
/** The smallest element, or values and positions along a dim, or the elementwise smaller of two. */
export const min: Extreme = extreme('min');

/** Overloads of `median` and its kin. */
export interface Middle {
  (x: Tensor): Tensor;
  (x: Tensor, dim: number, options?: ExtremeOptions): ValuesAndIndices;
}

const middle = (name: 'median' | 'nanmedian'): Middle =>
  ((x: Tensor, dim?: number, options?: ExtremeOptions) => {
    if (options !== undefined) checkOptions(name, options, ['keepdim']);
    checkTensor(name, 'input', x);
    return dim === undefined ? x[name]() : x[name](dim, options);
  }) as Middle;

/** The middle element, or middle values and their positions along a dim. */
export const median: Middle = middle('median');
/** median that leaves NaN out. */
export const nanmedian: Middle = middle('nanmedian');
