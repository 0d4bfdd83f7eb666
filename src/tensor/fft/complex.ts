/**
 * Complex values as a pair of real tensors of one shape. A pair is a tree of tensors, so transforms and compile take it
 * as it is.
 */
import { shapeText } from '../convert.ts';
import { stack } from '../joins.ts';
import { checkFloat, checkTensor } from '../operands.ts';
import { Tensor } from '../tensor.ts';

export interface Complex {
  readonly real: Tensor;
  readonly imag: Tensor;
}

function checkPair(op: string, first: string, a: Tensor, second: string, b: Tensor): void {
  checkTensor(op, first, a);
  checkTensor(op, second, b);
  checkFloat(op, first, a);
  checkFloat(op, second, b);
  if (a.dtype !== b.dtype)
    throw new TypeError(`${op}: ${first} and ${second} differ in dtype: ${a.dtype} and ${b.dtype}`);
}

/** real + i imag, of two float tensors that broadcast. */
export function complex(real: Tensor, imag: Tensor): Complex {
  checkPair('complex', 'real', real, 'imag', imag);
  return { real: real.add(imag.mul(0)), imag: imag.add(real.mul(0)) };
}

/** abs (cos angle + i sin angle), of two float tensors that broadcast. */
export function polar(abs: Tensor, angle: Tensor): Complex {
  checkPair('polar', 'abs', abs, 'angle', angle);
  return { real: abs.mul(angle.cos()), imag: abs.mul(angle.sin()) };
}

/** `[..., 2]`: real and imaginary parts along a new last dim. */
export const viewAsReal = ({ real, imag }: Complex): Tensor => stack([real, imag], -1);

/** A pair from [..., 2]. */
export function viewAsComplex(x: Tensor): Complex {
  checkFloat('viewAsComplex', 'input', x);
  if (x.shape.at(-1) !== 2) throw new RangeError(`viewAsComplex: input: expected [..., 2], got ${shapeText(x.shape)}`);
  return { real: x.select(-1, 0), imag: x.select(-1, 1) };
}

/** A value whose imaginary part may be known to be 0. */
export interface Parts {
  readonly real: Tensor;
  readonly imag: Tensor | null;
}

/** A tensor or a pair as parts in f32 or f64. */
export function partsOf(op: string, x: Tensor | Complex): Parts {
  if (x instanceof Tensor) return { real: x.dtype === 'f64' ? x : x.to('f32'), imag: null };
  if (typeof x !== 'object' || x === null || !('real' in x) || !('imag' in x))
    throw new TypeError(`${op}: input: expected a tensor or a pair { real, imag }`);
  checkPair(op, 'real', x.real, 'imag', x.imag);
  if (shapeText(x.real.shape) !== shapeText(x.imag.shape))
    throw new RangeError(
      `${op}: input: parts differ in shape: ${shapeText(x.real.shape)} and ${shapeText(x.imag.shape)}`,
    );
  return x;
}

export const complexOf = ({ real, imag }: Parts): Complex => ({ real, imag: imag ?? real.mul(0) });

export const conjugate = ({ real, imag }: Parts): Parts => ({ real, imag: imag ? imag.neg() : null });

/** The same change of both parts. */
export const mapParts = ({ real, imag }: Parts, fn: (x: Tensor) => Tensor): Parts => ({
  real: fn(real),
  imag: imag && fn(imag),
});
