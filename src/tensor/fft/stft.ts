/**
 * Short-time Fourier transforms: of windows along a signal, and back.
 */
import * as build from '../../graph/build.ts';
import { axis, identityAxis } from '../../graph/reindex.ts';
import { shapeText } from '../convert.ts';
import { pad } from '../functional/pad.ts';
import { checkFloat, checkWhole } from '../operands.ts';
import { checkOptions } from '../options.ts';
import { Tensor } from '../tensor.ts';
import { type Complex, partsOf, viewAsComplex, viewAsReal } from './complex.ts';
import { fft, irfft, rfft } from './index.ts';

export interface StftOptions {
  /** Distance of windows, nFft / 4 by default. */
  readonly hopLength?: number | null;
  /** Length of `window`, nFft by default; a shorter one is padded to nFft on both sides. */
  readonly winLength?: number | null;
  /** Factors [winLength], ones by default. */
  readonly window?: Tensor | null;
  /** Windows are centred on their times: the signal is padded by nFft / 2 on both sides. True by default. */
  readonly center?: boolean;
  /** How it is padded: 'reflect' by default. */
  readonly padMode?: 'reflect' | 'constant' | 'replicate' | 'circular';
  /** Divides by the root of nFft. */
  readonly normalized?: boolean;
  /** Only the frequencies up to nFft / 2; true by default. */
  readonly onesided?: boolean | null;
}

/** Names of what stft and istft share. */
const OPTIONS = ['hopLength', 'winLength', 'window', 'center', 'normalized', 'onesided'] as const;

/** The window [nFft], and the hop. */
function framing(op: string, nFft: number, options: StftOptions, like: Tensor): { window: Tensor; hop: number } {
  checkWhole(op, 'nFft', nFft, 1);
  const hop = options.hopLength ?? Math.floor(nFft / 4);
  const length = options.winLength ?? nFft;
  checkWhole(op, 'hopLength', hop, 1);
  checkWhole(op, 'winLength', length, 1);
  if (length > nFft) throw new RangeError(`${op}: winLength: expected at most nFft ${nFft}, got ${length}`);
  const given = options.window ?? new Tensor(build.full(1, [length], like.dtype));
  if (given.ndim !== 1 || given.numel() !== length)
    throw new RangeError(`${op}: window: expected [${length}], got ${shapeText(given.shape)}`);
  const left = Math.floor((nFft - length) / 2);
  return { window: given.constantPad([left, nFft - length - left]), hop };
}

/**
 * Spectra of windows along the signals x [..., n]: [..., frequencies, windows, 2] with real and imaginary parts last,
 * or a pair { real, imag } with `returnComplex`.
 */
export function stft(x: Tensor, nFft: number, options: StftOptions & { readonly returnComplex: true }): Complex;
export function stft(x: Tensor, nFft: number, options?: StftOptions & { readonly returnComplex?: false }): Tensor;
export function stft(
  x: Tensor,
  nFft: number,
  options: StftOptions & { readonly returnComplex?: boolean } = {},
): Tensor | Complex {
  checkOptions('stft', options, [...OPTIONS, 'padMode', 'returnComplex']);
  checkFloat('stft', 'input', x);
  if (x.ndim !== 1 && x.ndim !== 2)
    throw new RangeError(`stft: input: expected [n] or [batch, n], got ${shapeText(x.shape)}`);
  const { window, hop } = framing('stft', nFft, options, x);
  const { center = true, padMode = 'reflect', normalized = false, onesided = true } = options;
  const rows = x.ndim === 1 ? x.unsqueeze(0) : x;
  const half = Math.floor(nFft / 2);
  const signal = center ? pad(rows.unsqueeze(1), [half, half], { mode: padMode }).squeeze(1) : rows;
  if (signal.shape[1]! < nFft)
    throw new RangeError(`stft: input: ${signal.shape[1]} elements are fewer than nFft ${nFft}`);
  const frames = signal.unfold(1, nFft, hop).mul(window);
  const norm = normalized ? 'ortho' : 'backward';
  const { real, imag } = (onesided ?? true) ? rfft(frames, null, -1, norm) : fft(frames, null, -1, norm);
  const shaped = (part: Tensor): Tensor => {
    const turned = part.transpose(1, 2);
    return x.ndim === 1 ? turned.squeeze(0) : turned;
  };
  const spectra = { real: shaped(real), imag: shaped(imag) };
  return options.returnComplex ? spectra : viewAsReal(spectra);
}

/**
 * The signals [..., n] whose stft x is, or the nearest ones: windows are added up where they overlap and divided by
 * what their squares add up to. x is [..., frequencies, windows, 2] or a pair; `length` cuts or pads the result.
 */
export function istft(
  x: Tensor | Complex,
  nFft: number,
  options: Omit<StftOptions, 'padMode'> & { readonly length?: number | null } = {},
): Tensor {
  checkOptions('istft', options, [...OPTIONS, 'length']);
  const pair = x instanceof Tensor ? viewAsComplex(x) : x;
  const { real, imag } = partsOf('istft', pair) as Complex;
  if (real.ndim !== 2 && real.ndim !== 3)
    throw new RangeError(`istft: input: expected frequencies and windows, and a batch, got ${shapeText(real.shape)}`);
  const { window, hop } = framing('istft', nFft, options, real);
  const { center = true, normalized = false } = options;
  const onesided = options.onesided ?? real.shape.at(-2) !== nFft;
  const bins = onesided ? Math.floor(nFft / 2) + 1 : nFft;
  if (real.shape.at(-2) !== bins)
    throw new RangeError(`istft: input: expected ${bins} frequencies for nFft ${nFft}, got ${shapeText(real.shape)}`);
  const shaped = (part: Tensor): Tensor => (real.ndim === 2 ? part.unsqueeze(0) : part).transpose(1, 2);
  const spectra = { real: shaped(real), imag: shaped(imag) };
  const norm = normalized ? 'ortho' : 'backward';
  // The signal is real: the frequencies above the half say nothing new.
  const frames = irfft(spectra, nFft, -1, norm);
  const count = frames.shape[1]!;
  const total = nFft + hop * (count - 1);
  const overlapped = (part: Tensor): Tensor => {
    const steps = axis([
      [1, hop],
      [2, 1],
    ]);
    return new Tensor(build.reindexTranspose(part.node, [identityAxis(0), steps], [part.shape[0]!, total]));
  };
  const signal = overlapped(frames.mul(window));
  const weight = overlapped(window.mul(window).expand([1, count, nFft]));
  const start = center ? Math.floor(nFft / 2) : 0;
  const wanted = options.length ?? (center ? total - 2 * Math.floor(nFft / 2) : total);
  const available = Math.min(wanted, total - start);
  if (!(available >= 1)) throw new RangeError(`istft: length: nothing is left of ${total} elements`);
  const cut = signal.narrow(1, start, available).div(weight.narrow(1, start, available));
  const out = available < wanted ? cut.constantPad([0, wanted - available]) : cut;
  return real.ndim === 2 ? out.squeeze(0) : out;
}
