/**
 * Choosing between values: where, clamp, masks, and the activations that are choices. Functions here have the tensor
 * first (for `where` the condition) and become methods of Tensor.
 */
import * as build from '../../graph/build.ts';
import { isFloat } from '../../graph/dtype.ts';
import { composite } from '../composite.ts';
import {
  broadcastShapes,
  checkTensor,
  checkTensors,
  describe,
  nodeOf,
  resultDType,
  type TensorLike,
} from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

function choose(op: string, condition: Tensor, a: TensorLike, b: TensorLike, dtype = resultDType(op, [a, b])): Tensor {
  checkTensor(op, 'condition', condition);
  if (condition.dtype !== 'bool') throw new TypeError(`${op}: condition: expected bool, got ${condition.dtype}`);
  const shapes = [condition, a, b].filter(value => value instanceof Tensor).map(value => value.shape);
  const shape = broadcastShapes(op, shapes);
  return new Tensor(
    build.where(
      build.broadcastTo(condition.node, shape),
      build.broadcastTo(nodeOf(a, dtype), shape),
      build.broadcastTo(nodeOf(b, dtype), shape),
    ),
  );
}

/** `a` where the condition holds, else `b`: `x.gt(0).where(x, 0)`. */
export function where(condition: Tensor, a: TensorLike, b: TensorLike): Tensor {
  return choose('where', condition, a, b);
}

/** x with `value` where the mask is true. */
export function maskedFill(x: Tensor, mask: Tensor, value: TensorLike): Tensor {
  checkTensor('maskedFill', 'input', x);
  if (value instanceof Tensor && value.ndim > 0)
    throw new RangeError(`maskedFill: value: expected a number or a tensor without dims, got ${describe(value)}`);
  return choose('maskedFill', mask, value, x, x.dtype);
}

/** What `clamp` limits to; either may be left out. */
export interface Limits {
  readonly min?: TensorLike | null;
  readonly max?: TensorLike | null;
}

/**
 * Limits to [min, max], `clamp(0, 1)` or `clamp({ min: 0 })`; either may be left out. Where a limit applies the
 * gradient is 0.
 */
export function clamp(x: Tensor, min?: TensorLike | Limits | null, max?: TensorLike | null): Tensor {
  checkTensor('clamp', 'input', x);
  const limits: Limits = typeof min === 'object' && min !== null && !(min instanceof Tensor) ? min : { min, max };
  checkOptions('clamp', limits, ['min', 'max']);
  const lo = limits.min ?? undefined;
  const hi = limits.max ?? undefined;
  if (lo === undefined && hi === undefined) throw new TypeError('clamp: at least one of min and max must be given');
  const bounds = [lo, hi].filter(bound => bound !== undefined);
  const dtype = resultDType('clamp', [x, ...bounds]);
  let out = x;
  if (lo !== undefined) out = choose('clamp', orNaN(out.lt(lo), lo), lo, out, dtype);
  if (hi !== undefined) out = choose('clamp', orNaN(out.gt(hi), hi), hi, out, dtype);
  if (dtype !== x.dtype || bounds.some(bound => typeof bound !== 'number')) return out;
  return composite('clamp', [x], { min: Number(lo ?? Number.NaN), max: Number(hi ?? Number.NaN) }, out);
}

/** Where `condition` holds or the limit is NaN. */
function orNaN(condition: Tensor, bound: TensorLike): Tensor {
  if (bound instanceof Tensor) return isFloat(bound.dtype) ? condition.logicalOr(bound.isnan()) : condition;
  return Number.isNaN(Number(bound)) ? new Tensor(build.full(1, condition.shape, 'bool')) : condition;
}

/** The larger of x and `min`, elementwise. */
export function clampMin(x: Tensor, min: TensorLike): Tensor {
  checkTensor('clampMin', 'input', x);
  return clamp(x, min, null);
}

/** The smaller of x and `max`, elementwise. */
export function clampMax(x: Tensor, max: TensorLike): Tensor {
  checkTensor('clampMax', 'input', x);
  return clamp(x, null, max);
}

/** clamp under NumPy's name. */
export function clip(x: Tensor, min?: TensorLike | null, max?: TensorLike | null): Tensor {
  return clamp(x, min, max);
}

/** x where positive, else 0. The gradient at 0 is 0; NaN stays. */
export function relu(x: Tensor): Tensor {
  checkTensor('relu', 'input', x);
  if (x.dtype === 'bool') throw new TypeError('relu: input: bool is not supported');
  return composite('relu', [x], {}, choose('relu', x.le(0), 0, x, x.dtype));
}

/** Finite stand-ins for NaN (default 0) and infinities (default the dtype's largest and smallest values). */
export function nanToNum(
  x: Tensor,
  options: { readonly nan?: number; readonly posinf?: number; readonly neginf?: number } = {},
): Tensor {
  checkOptions('nanToNum', options, ['nan', 'posinf', 'neginf']);
  checkTensor('nanToNum', 'input', x);
  if (!isFloat(x.dtype)) return x;
  const largest = { f32: 3.4028234663852886e38, f64: Number.MAX_VALUE, f16: 65504, bf16: 3.3895313892515355e38 };
  const limit = largest[x.dtype as keyof typeof largest];
  const { nan = 0, posinf = limit, neginf = -limit } = options;
  const finite = choose('nanToNum', x.isnan(), nan, x, x.dtype);
  const noTop = choose('nanToNum', x.isposinf(), posinf, finite, x.dtype);
  return choose('nanToNum', x.isneginf(), neginf, noTop, x.dtype);
}

/** 0 where x < 0, `values` where x is 0, 1 where x > 0. */
export function heaviside(x: Tensor, values: Tensor): Tensor {
  checkTensor('heaviside', 'input', x);
  checkTensor('heaviside', 'values', values);
  if (values.dtype !== x.dtype) throw new TypeError(`heaviside: dtypes differ: ${x.dtype} and ${values.dtype}`);
  const step = choose('heaviside', x.gt(0), 1, 0, x.dtype);
  return choose('heaviside', x.eq(0), values, step, x.dtype);
}

/** maximum, but a number wins over NaN. */
export function fmax(x: Tensor, other: Tensor): Tensor {
  checkTensors('fmax', x, other);
  return choose('fmax', orNaN(x.ge(other), other), x, other);
}

/** minimum, but a number wins over NaN. */
export function fmin(x: Tensor, other: Tensor): Tensor {
  checkTensors('fmin', x, other);
  return choose('fmin', orNaN(x.le(other), other), x, other);
}
