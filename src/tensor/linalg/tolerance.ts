/**
 * Which singular values count as zero: PyTorch's atol and rtol, each a number or one for every matrix.
 */
import { Tensor } from '../tensor.ts';
import { colsOf, rowsOf } from './matrices.ts';

export interface Tolerance {
  /** Absolute; 0 by default. */
  readonly atol?: number | Tensor | null;
  /**
   * By the largest singular value; max(m, n) times the dtype's precision by default, 0 when there is a positive atol.
   */
  readonly rtol?: number | Tensor | null;
}

/** Tensors of shape [] or of the batch, in x's dtype. */
export function toleranceOf(op: string, x: Tensor, { atol, rtol }: Tolerance): { atol: Tensor; rtol: Tensor } {
  const read = (name: string, value: number | Tensor): Tensor => {
    if (value instanceof Tensor) return value.to(x.dtype);
    if (typeof value !== 'number' || Number.isNaN(value))
      throw new TypeError(`${op}: ${name}: expected a number or a tensor, got ${String(value)}`);
    return Tensor.from(value, { dtype: x.dtype });
  };
  const precision = Math.max(rowsOf(x), colsOf(x)) * (x.dtype === 'f64' ? 2 ** -52 : 2 ** -23);
  const absolute = read('atol', atol ?? 0);
  if (rtol !== undefined && rtol !== null) return { atol: absolute, rtol: read('rtol', rtol) };
  return { atol: absolute, rtol: absolute.gt(0).where(0, read('rtol', precision)) };
}
