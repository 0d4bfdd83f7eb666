/**
 * New tensors of a tensor's dtype, and small queries. Functions here have the tensor first and become methods of
 * Tensor.
 */
import * as build from '../../graph/build.ts';
import { type DType, isFloat } from '../../graph/dtype.ts';
import { checkShape, type Scalar } from '../convert.ts';
import type { DTypeOption } from '../creation.ts';
import { checkTensor, checkWhole, describe } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';

function filled(op: string, x: Tensor, shape: readonly number[], value: Scalar, dtype: DType = x.dtype): Tensor {
  checkTensor(op, 'input', x);
  checkShape(op, shape);
  return new Tensor(build.full(typeof value === 'boolean' ? Number(value) : value, shape, dtype));
}

/** Zeros of `shape` in x's dtype. */
export function newZeros(x: Tensor, shape: readonly number[], options: DTypeOption = {}): Tensor {
  checkOptions('newZeros', options, ['dtype']);
  return filled('newZeros', x, shape, 0, options.dtype);
}

/** Ones of `shape` in x's dtype. */
export function newOnes(x: Tensor, shape: readonly number[], options: DTypeOption = {}): Tensor {
  checkOptions('newOnes', options, ['dtype']);
  return filled('newOnes', x, shape, 1, options.dtype);
}

/** newZeros: there is no memory without values. */
export function newEmpty(x: Tensor, shape: readonly number[], options: DTypeOption = {}): Tensor {
  checkOptions('newEmpty', options, ['dtype']);
  return filled('newEmpty', x, shape, 0, options.dtype);
}

/** newEmpty; strides have no meaning for values. */
export function newEmptyStrided(
  x: Tensor,
  shape: readonly number[],
  stride: readonly number[],
  options: DTypeOption = {},
): Tensor {
  checkOptions('newEmptyStrided', options, ['dtype']);
  if (!Array.isArray(stride) || stride.length !== shape.length)
    throw new RangeError(`newEmptyStrided: stride: expected ${shape.length} numbers, got ${describe(stride)}`);
  return filled('newEmptyStrided', x, shape, 0, options.dtype);
}

/** `value` in `shape` and x's dtype. */
export function newFull(x: Tensor, shape: readonly number[], value: Scalar, options: DTypeOption = {}): Tensor {
  checkOptions('newFull', options, ['dtype']);
  return filled('newFull', x, shape, value, options.dtype);
}

/** The real part: the tensor itself (there are no complex dtypes). */
export function real(x: Tensor): Tensor {
  checkTensor('real', 'input', x);
  return x;
}

/** The complex conjugate: the tensor itself (there are no complex dtypes). */
export function conj(x: Tensor): Tensor {
  checkTensor('conj', 'input', x);
  return x;
}

/** conj under its other name. */
export function conjPhysical(x: Tensor): Tensor {
  return conj(x);
}

/** True everywhere (there are no complex dtypes). */
export function isreal(x: Tensor): Tensor {
  return filled('isreal', x, x.shape, 1, 'bool');
}

/** The complex angle: 0, or pi where negative. */
export function angle(x: Tensor): Tensor {
  checkTensor('angle', 'input', x);
  const turned = x
    .lt(0)
    .where(Math.PI, 0)
    .to(isFloat(x.dtype) ? x.dtype : 'f32');
  return x.isnan().where(x, turned);
}

/** narrow under its other name. */
export function narrowCopy(x: Tensor, dim: number, start: number, length: number): Tensor {
  return x.narrow(dim, start, length);
}

function splitAlong(op: string, x: Tensor, sections: number | readonly number[], dim: number): Tensor[] {
  checkTensor(op, 'input', x);
  if (x.ndim <= dim) throw new RangeError(`${op}: input: expected at least ${dim + 1} dims, got ${x.ndim}`);
  if (typeof sections === 'number') {
    checkWhole(op, 'sections', sections, 1);
    if (x.shape[dim]! % sections !== 0)
      throw new RangeError(`${op}: ${sections} sections do not divide the ${x.shape[dim]} elements of dim ${dim}`);
  } else if (!Array.isArray(sections))
    throw new TypeError(`${op}: sections: expected a whole number or positions, got ${describe(sections)}`);
  return x.tensorSplit(sections, dim);
}

/** tensorSplit along dim 1 (vectors along dim 0) into equal sections. */
export function hsplit(x: Tensor, sections: number | readonly number[]): Tensor[] {
  return splitAlong('hsplit', x, sections, x.ndim === 1 ? 0 : 1);
}

/** tensorSplit along dim 0 into equal sections. */
export function vsplit(x: Tensor, sections: number | readonly number[]): Tensor[] {
  return splitAlong('vsplit', x, sections, 0);
}

/** tensorSplit along dim 2 into equal sections. */
export function dsplit(x: Tensor, sections: number | readonly number[]): Tensor[] {
  return splitAlong('dsplit', x, sections, 2);
}
