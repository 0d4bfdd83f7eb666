/**
 * Padding in every mode. Amounts list before and after for the last dim, then for the one before it, and so on.
 */
import { shapeText } from '../convert.ts';
import { checkTensor, describe } from '../operands.ts';
import { concatenate } from '../ops/join.ts';
import { checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';

export type PadMode = 'constant' | 'reflect' | 'replicate' | 'circular';

export interface PadOptions {
  /** 'constant' by default. The other modes continue the content and pad the last one to three dims. */
  readonly mode?: PadMode;
  /** What 'constant' pads with, 0 by default. */
  readonly value?: number;
}

/** Elements around the tensor. Negative amounts crop in 'constant' mode. */
export function pad(x: Tensor, amounts: readonly number[], options: PadOptions = {}): Tensor {
  checkOptions('pad', options, ['mode', 'value']);
  checkTensor('pad', 'input', x);
  const { mode = 'constant', value = 0 } = options;
  if (!Array.isArray(amounts) || amounts.length % 2 !== 0 || amounts.some(n => !Number.isInteger(n))) {
    const came = Array.isArray(amounts) ? shapeText(amounts) : describe(amounts);
    throw new RangeError(`pad: amounts: expected pairs of whole numbers, last dim first, got ${came}`);
  }
  if (mode === 'constant') return x.constantPad(amounts, value);
  if (mode !== 'reflect' && mode !== 'replicate' && mode !== 'circular')
    throw new TypeError(`pad: mode: expected constant, reflect, replicate or circular, got ${String(mode)}`);
  const spatial = amounts.length / 2;
  if (spatial < 1 || spatial > 3 || x.ndim < spatial + 1 || x.ndim > spatial + 2)
    throw new RangeError(
      `pad: ${mode} pads the last one to three dims of a batch, got ${spatial} pairs for input ${shapeText(x.shape)}`,
    );
  let out = x;
  for (let i = 0; i < spatial; i++) out = padDim(mode, out, x.ndim - 1 - i, amounts[2 * i]!, amounts[2 * i + 1]!);
  return out;
}

function padDim(mode: Exclude<PadMode, 'constant'>, x: Tensor, d: number, before: number, after: number): Tensor {
  const size = x.shape[d]!;
  const cropped = x.narrow(d, Math.max(0, -before), size + Math.min(0, before) + Math.min(0, after));
  const lo = Math.max(0, before);
  const hi = Math.max(0, after);
  const n = cropped.shape[d]!;
  const most = mode === 'reflect' ? n - 1 : mode === 'circular' ? n : Number.POSITIVE_INFINITY;
  if (lo > most || hi > most || n === 0)
    throw new RangeError(
      `pad: ${mode}: at most ${Math.max(0, most)} elements beside a dim of ${n}, got ${lo} and ${hi}`,
    );
  const parts = [cropped];
  if (lo > 0) parts.unshift(edge(mode, cropped, d, lo, true));
  if (hi > 0) parts.push(edge(mode, cropped, d, hi, false));
  return concatenate('pad', parts, d);
}

function edge(mode: string, x: Tensor, d: number, count: number, start: boolean): Tensor {
  const n = x.shape[d]!;
  if (mode === 'circular') return x.narrow(d, start ? n - count : 0, count);
  if (mode === 'reflect') return x.narrow(d, start ? 1 : n - 1 - count, count).flip(d);
  return x.narrow(d, start ? 0 : n - 1, 1).expand(x.shape.map((size, i) => (i === d ? count : size)));
}
