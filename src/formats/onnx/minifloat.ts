/**
 * The small floats of ONNX (float8 of OCP and of Graphcore, AMD and Qualcomm; float4; the power-of-two scale type): their bits to values
 * and values to bits, round to nearest even, with or without saturation (ONNX technical details "float8", "float4").
 */
import type { NumericType } from './elementTypes.ts';

export interface MiniFloat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  readonly signed: boolean;
  /** Whether there are infinities. */
  readonly infinity: boolean;
  /** fn: NaN is all ones; ieee: NaN above infinity; uz: NaN is minus zero; none: there is none. */
  readonly nan: 'fn' | 'ieee' | 'uz' | 'none';
}

export const MINI_FLOATS: Partial<Record<NumericType, MiniFloat>> = {
  float8e4m3fn: { exponentBits: 4, mantissaBits: 3, bias: 7, signed: true, infinity: false, nan: 'fn' },
  float8e4m3fnuz: { exponentBits: 4, mantissaBits: 3, bias: 8, signed: true, infinity: false, nan: 'uz' },
  float8e5m2: { exponentBits: 5, mantissaBits: 2, bias: 15, signed: true, infinity: true, nan: 'ieee' },
  float8e5m2fnuz: { exponentBits: 5, mantissaBits: 2, bias: 16, signed: true, infinity: false, nan: 'uz' },
  float4e2m1: { exponentBits: 2, mantissaBits: 1, bias: 1, signed: true, infinity: false, nan: 'none' },
};

/** The value of the bits. */
export function miniValue(format: MiniFloat, bits: number): number {
  const { exponentBits, mantissaBits, bias, infinity, nan } = format;
  const sign = bits >> (exponentBits + mantissaBits) ? -1 : 1;
  const exponent = (bits >> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = bits & (2 ** mantissaBits - 1);
  const top = exponent === 2 ** exponentBits - 1;
  if (nan === 'uz' && bits === 1 << (exponentBits + mantissaBits)) return Number.NaN;
  if (nan === 'fn' && top && mantissa === 2 ** mantissaBits - 1) return Number.NaN;
  if (infinity && top) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/** The largest finite value. */
export function miniMax(format: MiniFloat): number {
  const { exponentBits, mantissaBits, nan, infinity } = format;
  const all = 2 ** (exponentBits + mantissaBits) - 1;
  if (infinity) return miniValue(format, all - 2 ** mantissaBits);
  return miniValue(format, nan === 'fn' ? all - 1 : all);
}

/** Half to even, at the spacing of the format around |x|; the largest finite value or beyond is left to the caller. */
function roundMagnitude({ mantissaBits, bias }: MiniFloat, x: number): number {
  if (x === 0) return 0;
  const exponent = Math.max(Math.floor(Math.log2(x)), 1 - bias);
  // log2 may be one off at powers of two; the step only has to be fine enough, and 2^exponent at most x.
  const exact = 2 ** exponent > x ? exponent - 1 : 2 ** (exponent + 1) <= x ? exponent + 1 : exponent;
  const step = 2 ** (Math.max(exact, 1 - bias) - mantissaBits);
  const scaled = x / step;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  return (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor) * step;
}

/** `x` as the nearest value of the format. */
export function miniRound(format: MiniFloat, x: number, saturate: boolean): number {
  const { infinity, nan } = format;
  if (Number.isNaN(x)) return nan === 'none' ? 0 : Number.NaN;
  const sign = x < 0 || Object.is(x, -0) ? -1 : 1;
  const most = miniMax(format);
  const rounded = Number.isFinite(x) ? roundMagnitude(format, Math.abs(x)) : Number.POSITIVE_INFINITY;
  if (rounded > most) {
    if (saturate || nan === 'none') return sign * most;
    return infinity ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  const value = sign * rounded;
  return nan === 'uz' && value === 0 ? 0 : value;
}

/** The bits of a value of the format. */
export function miniBits(format: MiniFloat, value: number): number {
  const { exponentBits, mantissaBits, bias, nan, infinity } = format;
  const signBit = 1 << (exponentBits + mantissaBits);
  if (Number.isNaN(value)) return nan === 'uz' ? signBit : signBit - 1;
  const sign = value < 0 || Object.is(value, -0) ? signBit : 0;
  const size = Math.abs(value);
  if (size === Number.POSITIVE_INFINITY && infinity) return sign | ((2 ** exponentBits - 1) << mantissaBits);
  if (size === 0) return nan === 'uz' ? 0 : sign;
  const smallest = 2 ** (1 - bias);
  if (size < smallest) return sign | Math.round(size / (smallest / 2 ** mantissaBits));
  const exponent = Math.floor(Math.log2(size));
  const mantissa = Math.round((size / 2 ** exponent - 1) * 2 ** mantissaBits);
  return sign | ((exponent + bias) << mantissaBits) | mantissa;
}

/** float8e8m0: 2^(bits - 127); 255 is NaN. */
export const scaleValue = (bits: number): number => (bits === 255 ? Number.NaN : 2 ** (bits - 127));

/** The nearest power of two under the rounding mode (ONNX Cast: up, down or nearest, ties up). */
export function scaleRound(x: number, saturate: boolean, mode: string): number {
  if (Number.isNaN(x) || x < 0 || x === Number.POSITIVE_INFINITY) {
    if (x === Number.POSITIVE_INFINITY && saturate) return 2 ** 127;
    return Number.NaN;
  }
  if (x === 0) return 2 ** -127;
  const floor = Math.floor(Math.log2(x));
  const below = 2 ** floor > x ? floor - 1 : floor;
  const exact = 2 ** below === x;
  const up = mode === 'up' ? !exact : mode === 'down' ? false : x >= 1.5 * 2 ** below;
  const exponent = up ? below + 1 : below;
  if (exponent > 127) return saturate ? 2 ** 127 : Number.NaN;
  if (exponent < -127) return saturate || mode !== 'nearest' ? 2 ** -127 : 2 ** -127;
  return 2 ** exponent;
}
