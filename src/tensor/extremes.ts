/**
 * max, min, median and nanmedian of tensors as functions; what they return is what the methods of Tensor say.
 */
import { checkTensor, refuseOut } from './operands.ts';
import type { Tensor, ValuesAndIndices } from './tensor.ts';

type Options = { readonly keepdim?: boolean };

interface Extreme {
  (x: Tensor): Tensor;
  (x: Tensor, dim: number, options?: Options): ValuesAndIndices;
  (x: Tensor, other: Tensor): Tensor;
}

const extreme = (name: 'max' | 'min'): Extreme =>
  ((x: Tensor, dimOrOther?: number | Tensor, options?: Options) => {
    checkTensor(name, 'input', x);
    refuseOut(name, options);
    return (x[name] as (dimOrOther?: number | Tensor, options?: Options) => Tensor | ValuesAndIndices)(
      dimOrOther,
      options,
    );
  }) as Extreme;

/** The largest element, or values and positions along a dim, or the elementwise larger of two. */
export const max: Extreme = extreme('max');
/** The smallest element, or values and positions along a dim, or the elementwise smaller of two. */
export const min: Extreme = extreme('min');

interface Middle {
  (x: Tensor): Tensor;
  (x: Tensor, dim: number, options?: Options): ValuesAndIndices;
}

const middle = (name: 'median' | 'nanmedian'): Middle =>
  ((x: Tensor, dim?: number, options?: Options) => {
    checkTensor(name, 'input', x);
    return dim === undefined ? x[name]() : x[name](dim, options);
  }) as Middle;

/** The middle element, or middle values and their positions along a dim. */
export const median: Middle = middle('median');
/** median that leaves NaN out. */
export const nanmedian: Middle = middle('nanmedian');
