/**
 * Windows for the short-time Fourier transform, with torch's names. `periodic` (true by default) is the window of one
 * element more without its last, as spectra want it; false the symmetric one of filters.
 */

import type { DType } from '../../graph/dtype.ts';
import { checkDType } from '../convert.ts';
import { arange, ones } from '../creation.ts';
import { checkWhole } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { i0 } from '../special/index.ts';
import type { Tensor } from '../tensor.ts';

export interface WindowOptions {
  /** True by default. */
  readonly periodic?: boolean;
  /** 'f32' by default. */
  readonly dtype?: DType;
}

/** `shape` of positions from 0 to 1 over a window of n elements. */
const OPTIONS = ['periodic', 'dtype'] as const;

function windowOf(op: string, n: number, options: WindowOptions, shape: (at: Tensor) => Tensor): Tensor {
  const { periodic = true, dtype = 'f32' } = checkOptions(op, options, OPTIONS);
  checkWhole(op, 'windowLength', n, 0);
  checkDType(op, dtype);
  if (n < 2) return ones([n], { dtype });
  return shape(arange(n, { dtype: 'f64' }).div(periodic ? n : n - 1)).to(dtype);
}

const cosine = (at: Tensor, turns: number): Tensor => at.mul(2 * Math.PI * turns).cos();

/** A triangle: 1 - |2 at - 1|. */
export const bartlettWindow = (windowLength: number, options: WindowOptions = {}): Tensor =>
  windowOf('bartlettWindow', windowLength, options, at => at.mul(2).sub(1).abs().neg().add(1));

/** Hann's raised cosine. */
export const hannWindow = (windowLength: number, options: WindowOptions = {}): Tensor =>
  windowOf('hannWindow', windowLength, options, at => cosine(at, 1).mul(-0.5).add(0.5));

/** alpha - beta cos: Hamming's, with alpha 0.54 and beta 0.46 by default. */
export const hammingWindow = (
  windowLength: number,
  options: WindowOptions & { readonly alpha?: number; readonly beta?: number } = {},
): Tensor => {
  const {
    alpha = 0.54,
    beta = 0.46,
    ...window
  } = checkOptions('hammingWindow', options, [...OPTIONS, 'alpha', 'beta']);
  return windowOf('hammingWindow', windowLength, window, at => cosine(at, 1).mul(-beta).add(alpha));
};

/** Blackman's two cosines. */
export const blackmanWindow = (windowLength: number, options: WindowOptions = {}): Tensor =>
  windowOf('blackmanWindow', windowLength, options, at =>
    cosine(at, 2).mul(0.08).sub(cosine(at, 1).mul(0.5)).add(0.42),
  );

/** Kaiser's, of the modified Bessel function; beta (12 by default) says how steep it is. */
export const kaiserWindow = (
  windowLength: number,
  options: WindowOptions & { readonly beta?: number } = {},
): Tensor => {
  const { beta = 12, ...window } = checkOptions('kaiserWindow', options, [...OPTIONS, 'beta']);
  return windowOf('kaiserWindow', windowLength, window, at => {
    const off = at.mul(2).sub(1);
    const inside = off.mul(off).neg().add(1).clampMin(0).sqrt();
    return i0(inside.mul(beta)).div(i0(ones([], { dtype: 'f64' }).mul(beta)));
  });
};
