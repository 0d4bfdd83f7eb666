/**
 * torch.fft. Input is a real tensor or a pair { real, imag }; complex results are such pairs, whose parts are f32 or
 * f64. `norm` says where the factor 1 / n stands: 'backward' (the default) in the inverse, 'forward' in the transform,
 * 'ortho' its square root in both.
 */
import * as build from '../../graph/build.ts';
import { type DType, isFloat } from '../../graph/dtype.ts';
import { shapeText } from '../convert.ts';
import { cat } from '../joins.ts';
import { checkTensor, checkWhole, normalDim } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';
import { type Complex, complexOf, conjugate, mapParts, type Parts, partsOf } from './complex.ts';
import { transformLast } from './transform.ts';

export type { Complex } from './complex.ts';

export type FFTNorm = 'backward' | 'ortho' | 'forward';
/** What is transformed: real or complex numbers. */
export type Input = Tensor | Complex;
/** Which dims: all by default. */
export type Dims = number | readonly number[] | null;
/** Points per transformed dim: the input is cut or filled with zeros; its own sizes by default. */
export type SizesOption = number | readonly number[] | null;

function scaleOf(op: string, norm: FFTNorm | null | undefined, n: number, inverse: boolean): number {
  const mode = norm ?? 'backward';
  if (mode !== 'backward' && mode !== 'ortho' && mode !== 'forward')
    throw new RangeError(`${op}: norm: expected backward, ortho or forward, got ${String(norm)}`);
  if (mode === 'ortho') return 1 / Math.sqrt(n);
  return (mode === 'backward') === inverse ? 1 / n : 1;
}

/** Dim d cut or padded with zeros to n. */
function resized(x: Tensor, d: number, n: number): Tensor {
  const size = x.shape[d]!;
  if (size === n) return x;
  if (size > n) return x.narrow(d, 0, n);
  return x.constantPad([...new Array<number>(2 * (x.ndim - 1 - d)).fill(0), 0, n - size]);
}

function dimOf(op: string, x: Parts, dim: number): number {
  if (x.real.ndim === 0) throw new RangeError(`${op}: input: expected at least one dim, got []`);
  return normalDim(op, dim, x.real.ndim);
}

function checkLength(op: string, n: number): void {
  if (!Number.isSafeInteger(n) || n < 1)
    throw new RangeError(`${op}: n: expected a whole number of at least 1, got ${n}`);
}

const scaledBy = (x: Parts, factor: number): Parts => (factor === 1 ? x : mapParts(x, part => part.mul(factor)));

/** The transform of dim d, which has its final length, without a factor. */
function along(x: Parts, d: number, sign: 1 | -1): Parts {
  const last = x.real.ndim - 1;
  if (d === last) return transformLast(x, sign);
  return mapParts(
    transformLast(
      mapParts(x, part => part.transpose(d, last)),
      sign,
    ),
    part => part.transpose(d, last),
  );
}

function oneDim(op: string, x: Input, n: number | null, dim: number, norm: FFTNorm | null, sign: 1 | -1): Parts {
  const parts = partsOf(op, x);
  const d = dimOf(op, parts, dim);
  const length = n ?? parts.real.shape[d]!;
  checkLength(op, length);
  const fitted = mapParts(parts, part => resized(part, d, length));
  return scaledBy(along(fitted, d, sign), scaleOf(op, norm, length, sign === 1));
}

/** Of a real signal's transform along d, the part from 0 to n / 2, which says everything. */
const halfOf = (x: Parts, d: number): Parts => {
  const n = x.real.shape[d]!;
  return mapParts(x, part => part.narrow(d, 0, Math.floor(n / 2) + 1));
};

/** The real signal of length n along d whose half transform is x, without a factor. */
function fromHalf(x: Parts, d: number, n: number, sign: 1 | -1): Tensor {
  const half = mapParts(x, part => resized(part, d, Math.floor(n / 2) + 1));
  const mirrored = n - half.real.shape[d]!;
  const mirror = (part: Tensor): Tensor => part.narrow(d, 1, mirrored).flip(d);
  // The ends of the half have no imaginary part.
  const tame = (part: Tensor): Tensor => {
    const inner = part.narrow(d, 1, mirrored);
    const zero = (count: number): Tensor => part.narrow(d, 0, count).mul(0);
    return cat([zero(1), inner, ...(n % 2 === 0 ? [zero(1)] : [])], d);
  };
  const imag = half.imag && tame(half.imag);
  const full: Parts =
    mirrored === 0
      ? { real: half.real, imag: null }
      : {
          real: cat([half.real, mirror(half.real)], d),
          imag: imag && cat([imag, mirror(imag).neg()], d),
        };
  return along(full, d, sign).real;
}

/** Dims and lengths of an n-dimensional transform: all dims by default, or as many last ones as there are lengths. */
function plan(
  op: string,
  x: Parts,
  s: SizesOption | undefined,
  dim: Dims | undefined,
): { dims: number[]; sizes: (number | null)[] } {
  const lengths = s === undefined || s === null ? null : typeof s === 'number' ? [s] : s;
  const listed = dim === undefined || dim === null ? null : typeof dim === 'number' ? [dim] : dim;
  const { ndim, shape } = x.real;
  const dims = listed
    ? listed.map(d => dimOf(op, x, d))
    : Array.from({ length: lengths?.length ?? ndim }, (_, i) => ndim - (lengths?.length ?? ndim) + i);
  if (dims.some(d => d < 0) || new Set(dims).size !== dims.length || (lengths && lengths.length !== dims.length))
    throw new RangeError(
      `${op}: s and dim do not fit: ${shapeText(lengths ?? [])} and ${shapeText(listed ?? [])} for ${shapeText(shape)}`,
    );
  if (dims.length === 0) throw new RangeError(`${op}: dim: expected at least one dim, got none`);
  return { dims, sizes: dims.map((_, i) => (lengths && lengths[i] !== -1 ? lengths[i]! : null)) };
}

function manyDims(
  op: string,
  x: Parts,
  dims: readonly number[],
  sizes: readonly (number | null)[],
  norm: FFTNorm | null,
  sign: 1 | -1,
): Parts {
  let out = x;
  dims.forEach((d, i) => {
    const n = sizes[i] ?? out.real.shape[d]!;
    checkLength(op, n);
    const fitted = mapParts(out, part => resized(part, d, n));
    out = scaledBy(along(fitted, d, sign), scaleOf(op, norm, n, sign === 1));
  });
  return out;
}

/** The transform of dim `dim` (-1), cut or padded to n. */
export const fft = (x: Input, n: number | null = null, dim = -1, norm: FFTNorm | null = null): Complex =>
  complexOf(oneDim('fft.fft', x, n, dim, norm, -1));

/** The inverse of fft. */
export const ifft = (x: Input, n: number | null = null, dim = -1, norm: FFTNorm | null = null): Complex =>
  complexOf(oneDim('fft.ifft', x, n, dim, norm, 1));

/** Of the transform of a real signal the frequencies from 0 to n / 2. */
export function rfft(x: Tensor, n: number | null = null, dim = -1, norm: FFTNorm | null = null): Complex {
  checkTensor('fft.rfft', 'input', x);
  return complexOf(halfOf(oneDim('fft.rfft', x, n, dim, norm, -1), normalDim('fft.rfft', dim, x.ndim)));
}

function hermitian(
  op: string,
  x: Parts,
  n: number | null,
  dim: number,
  norm: FFTNorm | null,
  inverse: boolean,
): Tensor {
  const d = dimOf(op, x, dim);
  const length = n ?? 2 * (x.real.shape[d]! - 1);
  checkLength(op, length);
  // hfft is the transform forward of a signal that is Hermitian: the inverse of its conjugate, without the inverse's
  // factor.
  const signal = inverse ? x : conjugate(x);
  const scale = scaleOf(op, norm, length, inverse);
  const out = fromHalf(signal, d, length, 1);
  return scale === 1 ? out : out.mul(scale);
}

/** The real signal of length n (2 (m - 1) by default) whose rfft is x [..., m]. */
export const irfft = (x: Input, n: number | null = null, dim = -1, norm: FFTNorm | null = null): Tensor =>
  hermitian('fft.irfft', partsOf('fft.irfft', x), n, dim, norm, true);

/** The real transform of length n of a signal that is conjugate symmetric and of which x holds the half from 0 on. */
export const hfft = (x: Input, n: number | null = null, dim = -1, norm: FFTNorm | null = null): Tensor =>
  hermitian('fft.hfft', partsOf('fft.hfft', x), n, dim, norm, false);

/** The inverse of hfft. */
export function ihfft(x: Tensor, n: number | null = null, dim = -1, norm: FFTNorm | null = null): Complex {
  checkTensor('fft.ihfft', 'input', x);
  const spectrum = oneDim('fft.ihfft', x, n, dim, norm, 1);
  return complexOf(halfOf(spectrum, normalDim('fft.ihfft', dim, x.ndim)));
}

function complexMany(
  op: string,
  x: Input,
  s: SizesOption | undefined,
  dim: Dims | undefined,
  norm: FFTNorm | null,
  sign: 1 | -1,
): Complex {
  const parts = partsOf(op, x);
  const { dims, sizes } = plan(op, parts, s, dim);
  return complexOf(manyDims(op, parts, dims, sizes, norm, sign));
}

/** The transform of several dims (all by default), cut or padded to s. */
export const fftn = (x: Input, s?: SizesOption, dim?: Dims, norm: FFTNorm | null = null): Complex =>
  complexMany('fft.fftn', x, s, dim, norm, -1);

/** The inverse of fftn. */
export const ifftn = (x: Input, s?: SizesOption, dim?: Dims, norm: FFTNorm | null = null): Complex =>
  complexMany('fft.ifftn', x, s, dim, norm, 1);

/** Real to half: of the last dim first, then of the others. */
function halfMany(
  op: string,
  x: Tensor,
  s: SizesOption | undefined,
  dim: Dims | undefined,
  norm: FFTNorm | null,
  sign: 1 | -1,
): Complex {
  checkTensor(op, 'input', x);
  const parts = partsOf(op, x);
  const { dims, sizes } = plan(op, parts, s, dim);
  const last = dims.length - 1;
  const half = halfOf(manyDims(op, parts, dims.slice(last), sizes.slice(last), norm, sign), dims[last]!);
  return complexOf(manyDims(op, half, dims.slice(0, last), sizes.slice(0, last), norm, sign));
}

/** Half to real: of all dims but the last first. */
function realMany(
  op: string,
  x: Input,
  s: SizesOption | undefined,
  dim: Dims | undefined,
  norm: FFTNorm | null,
  inverse: boolean,
): Tensor {
  const parts = partsOf(op, x);
  const { dims, sizes } = plan(op, parts, s, dim);
  const last = dims.length - 1;
  const others = manyDims(op, parts, dims.slice(0, last), sizes.slice(0, last), norm, inverse ? 1 : -1);
  return hermitian(op, others, sizes[last]!, dims[last]!, norm, inverse);
}

/** rfft of the last of several dims and fft of the others. */
export const rfftn = (x: Tensor, s?: SizesOption, dim?: Dims, norm: FFTNorm | null = null): Complex =>
  halfMany('fft.rfftn', x, s, dim, norm, -1);

/** The inverse of rfftn. */
export const irfftn = (x: Input, s?: SizesOption, dim?: Dims, norm: FFTNorm | null = null): Tensor =>
  realMany('fft.irfftn', x, s, dim, norm, true);

/** fft of all of several dims but the last, of which hfft. */
export const hfftn = (x: Input, s?: SizesOption, dim?: Dims, norm: FFTNorm | null = null): Tensor =>
  realMany('fft.hfftn', x, s, dim, norm, false);

/** The inverse of hfftn. */
export const ihfftn = (x: Tensor, s?: SizesOption, dim?: Dims, norm: FFTNorm | null = null): Complex =>
  halfMany('fft.ihfftn', x, s, dim, norm, 1);

const LAST_TWO: readonly number[] = [-2, -1];

/** fftn of the last two dims by default. */
export const fft2 = (x: Input, s?: SizesOption, dim: Dims = LAST_TWO, norm: FFTNorm | null = null): Complex =>
  fftn(x, s, dim, norm);
/** The inverse of fft2. */
export const ifft2 = (x: Input, s?: SizesOption, dim: Dims = LAST_TWO, norm: FFTNorm | null = null): Complex =>
  ifftn(x, s, dim, norm);
/** rfftn of the last two dims by default. */
export const rfft2 = (x: Tensor, s?: SizesOption, dim: Dims = LAST_TWO, norm: FFTNorm | null = null): Complex =>
  rfftn(x, s, dim, norm);
/** The inverse of rfft2. */
export const irfft2 = (x: Input, s?: SizesOption, dim: Dims = LAST_TWO, norm: FFTNorm | null = null): Tensor =>
  irfftn(x, s, dim, norm);
/** hfftn of the last two dims by default. */
export const hfft2 = (x: Input, s?: SizesOption, dim: Dims = LAST_TWO, norm: FFTNorm | null = null): Tensor =>
  hfftn(x, s, dim, norm);
/** The inverse of hfft2. */
export const ihfft2 = (x: Tensor, s?: SizesOption, dim: Dims = LAST_TWO, norm: FFTNorm | null = null): Complex =>
  ihfftn(x, s, dim, norm);

function checkFrequencies(op: string, n: number, dtype: DType): void {
  checkWhole(op, 'n', n, 1);
  if (!isFloat(dtype)) throw new TypeError(`${op}: dtype: expected a float dtype, got ${dtype}`);
}

/**
 * Frequencies of fft's result [n] in cycles per unit of sample spacing d: 0, 1, ..., then the negative ones, over n d.
 */
export function fftfreq(n: number, d = 1, options: { readonly dtype?: DType } = {}): Tensor {
  const { dtype = 'f32' } = checkOptions('fftfreq', options, ['dtype']);
  checkFrequencies('fft.fftfreq', n, dtype);
  const i = new Tensor(build.iota(n, dtype));
  return i
    .lt(Math.ceil(n / 2))
    .where(i, i.sub(n))
    .div(n * d);
}

/** Frequencies of rfft's result [n / 2 + 1]. */
export function rfftfreq(n: number, d = 1, options: { readonly dtype?: DType } = {}): Tensor {
  const { dtype = 'f32' } = checkOptions('rfftfreq', options, ['dtype']);
  checkFrequencies('fft.rfftfreq', n, dtype);
  return new Tensor(build.iota(Math.floor(n / 2) + 1, dtype)).div(n * d);
}

function shifted(op: string, x: Tensor, dim: Dims | undefined, by: (n: number) => number): Tensor {
  checkTensor(op, 'input', x);
  const listed = dim === undefined || dim === null ? x.shape.map((_, d) => d) : typeof dim === 'number' ? [dim] : dim;
  const dims = listed.map(d => normalDim(op, d, x.ndim));
  return dims.length === 0
    ? x
    : x.roll(
        dims.map(d => by(x.shape[d]!)),
        dims,
      );
}

/** Moves frequency 0 to the middle of `dim` (all by default). */
export const fftshift = (x: Tensor, dim?: Dims): Tensor => shifted('fft.fftshift', x, dim, n => Math.floor(n / 2));

/** The inverse of fftshift. */
export const ifftshift = (x: Tensor, dim?: Dims): Tensor => shifted('fft.ifftshift', x, dim, n => -Math.floor(n / 2));
